//! By which names the server is spoken to. A web page that somebody here opens can reach every address that its reader can, and with a
//! name that the page's owner points here it could read the answers as well (DNS rebinding). So requests have to name a host that this
//! server is, and only its own pages may change something.

use std::{collections::BTreeSet, net::IpAddr};

use axum::{
    extract::{Request, State},
    http::{
        StatusCode, Version,
        header::{HOST, ORIGIN},
    },
    middleware::Next,
    response::{IntoResponse, Response},
};

use super::{App, answer::Refusal, connection::Via, ingest};

/// Where an operator adds names.
const HELP: &str = "list the host under `serve: {hosts: [..]}` of the target in wardlake.yml if it is this server's";

/// The hosts that the server is.
#[derive(Debug)]
pub(crate) struct Hosts {
    /// In lower case; addresses as Rust writes them.
    names: BTreeSet<String>,
    listens_on: Option<IpAddr>,
}

impl Hosts {
    /// The server listens on that address, and has these names beside those that every server has.
    pub(crate) fn new(listens_on: Option<IpAddr>, declared: &[String]) -> Self {
        let mut names: BTreeSet<String> = declared.iter().filter_map(|host| name_of(host)).collect();
        if let Some(machine) = wardlake_load::machine_name().and_then(|name| name_of(&name)) {
            names.extend(machine.split_once('.').map(|(first, _)| first.to_owned()));
            names.insert(machine);
        }
        Self { names, listens_on: listens_on.map(|address| address.to_canonical()) }
    }

    /// Whether `host`, with or without a port, is this server; `reached` is the address that the client came to.
    fn knows(&self, host: &str, reached: Option<IpAddr>) -> bool {
        let Some(name) = name_of(host) else { return false };
        if self.names.contains(&name) {
            return true;
        }
        match name.parse::<IpAddr>() {
            Ok(address) => address.is_loopback() || [self.listens_on, reached].contains(&Some(address)),
            Err(_) => name == "localhost" || name.ends_with(".localhost"),
        }
    }

    fn knows_origin(&self, origin: &str, reached: Option<IpAddr>) -> bool {
        // `null` is the origin of a page that does not say where it is from.
        origin.split_once("://").is_some_and(|(_, host)| self.knows(host, reached))
    }
}

/// The host of `host[:port]`, in lower case; none if it is not that.
fn name_of(host: &str) -> Option<String> {
    let host = host.trim();
    let is_port = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let name = match host.strip_prefix('[') {
        _ if host.parse::<IpAddr>().is_ok() => host,
        Some(rest) => {
            let (name, after) = rest.split_once(']')?;
            let is_well_formed = after.is_empty() || after.strip_prefix(':').is_some_and(is_port);
            is_well_formed.then_some(name)?
        }
        None => {
            let (name, port) = host.split_once(':').unwrap_or((host, ""));
            is_port(port).then_some(name)?
        }
    };
    if let Ok(address) = name.parse::<IpAddr>() {
        return Some(address.to_canonical().to_string());
    }
    let name = name.strip_suffix('.').unwrap_or(name);
    let is_name = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte));
    (is_name && !name.is_empty()).then(|| name.to_ascii_lowercase())
}

/// Lets a request through that names this server, and none that another server's page makes to change something.
pub(crate) async fn guard(State(app): State<App>, request: Request, next: Next) -> Response {
    let refused = refusal(&app, &request);
    match refused {
        Some(refusal) => refusal.into_response(),
        None => next.run(request).await,
    }
}

fn refusal(app: &App, request: &Request) -> Option<Refusal> {
    let headers = request.headers();
    let reached = request.extensions().get::<Via>().and_then(|via| via.reached);
    let mut origins = headers.get_all(ORIGIN).iter();
    let is_own = origins.all(|origin| origin.to_str().is_ok_and(|origin| app.hosts.knows_origin(origin, reached)));
    if !is_own && !request.method().is_safe() {
        let text = "the request comes from the page of another host, which may not change anything here";
        return Some(Refusal::new(StatusCode::FORBIDDEN, text).with("help", HELP));
    }
    // Who shows the token is no page that was led here.
    if ingest::shows_token(app, request) {
        return None;
    }
    let mut hosts = headers.get_all(HOST).iter();
    let known = match (hosts.next(), hosts.next()) {
        (Some(host), None) => host.to_str().is_ok_and(|host| app.hosts.knows(host, reached)),
        // Probes of old speak HTTP/1.0 and name no host. Browsers always do.
        (None, _) if request.version() == Version::HTTP_10 => !headers.contains_key(ORIGIN),
        _ => {
            let text = "a request names its host once, in a Host header";
            return Some(Refusal::new(StatusCode::BAD_REQUEST, text));
        }
    };
    // What the first line names counts for more than the header.
    let is_named_well = request.uri().authority().is_none_or(|named| app.hosts.knows(named.as_str(), reached));
    if known && is_named_well {
        return None;
    }
    let text = "the request is for a host that this server does not know as itself; use localhost, its address or its \
                machine's name";
    Some(Refusal::new(StatusCode::MISDIRECTED_REQUEST, text).with("help", HELP))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_knows_itself_and_nobody_else() {
        let declared = ["Lake.Hospital.example:8080", "10.9.8.7"].map(str::to_owned);
        let hosts = Hosts::new(Some(IpAddr::from([0, 0, 0, 0])), &declared);
        let reached = Some(IpAddr::from([10, 1, 2, 3]));
        for known in [
            "localhost",
            "LOCALHOST:8080",
            "localhost.",
            "wardlake.localhost:1",
            "127.0.0.1:8080",
            "127.8.9.1",
            "[::1]:8080",
            "[::1]",
            "[::ffff:127.0.0.1]:1",
            "0.0.0.0:8080",
            "10.1.2.3:8080",
            "[::ffff:10.1.2.3]",
            "10.9.8.7",
            "lake.hospital.example",
            "lake.hospital.example:9",
        ] {
            assert!(hosts.knows(known, reached), "{known}");
            assert!(hosts.knows_origin(&format!("http://{known}"), reached), "{known}");
        }
        for other in [
            "",
            "evil.example",
            "localhost.evil.example",
            "evillocalhost",
            "10.1.2.4",
            "127.0.0.1.evil.example",
            "127.0.0.1@evil.example",
            "evil.example@127.0.0.1",
            "evil.example@wardlake.localhost",
            "[::1]evil.example",
            "[::2]:8080",
            "localhost:8080:evil",
            "lake.hospital.example.evil.example",
            "hospital.example",
        ] {
            assert!(!hosts.knows(other, reached), "{other}");
        }
        assert!(!hosts.knows_origin("null", reached));
        assert!(!hosts.knows_origin("https://evil.example", reached));
    }
}
