//! The settings of what a table is fed by beside files: HTTP requests and MLLP connections.

use std::fmt;

use serde_json::{Map, Value};

use super::fields::{ConfigProblem, Fields};

/// The largest request or message, unless the settings say otherwise: 64 MiB.
const MAX_BYTES: u64 = 64 << 20;

/// A text that is never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Takes a secret in.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The secret itself, for the one place that needs it.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// Whether `other` is the secret, in a time that tells nothing about where they differ.
    pub fn is(&self, other: &[u8]) -> bool {
        let own = self.0.as_bytes();
        own.len() == other.len() && own.iter().zip(other).fold(0, |differences, (a, b)| differences | (a ^ b)) == 0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// `http`: the table takes `POST /ingest/<source>/<table>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpSettings {
    /// `token`: what senders show as `Authorization: Bearer …`; none asks for nothing.
    pub token: Option<Secret>,
    /// `max_bytes`: of a request's body, and of what it unpacks to (default 64 MiB).
    pub max_bytes: u64,
}

/// `mllp`: the table takes HL7 v2 messages over MLLP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MllpSettings {
    /// `listen`: `address:port`; `--mllp` wins over it.
    pub listen: Option<String>,
    /// `max_bytes`: of a message (default 64 MiB).
    pub max_bytes: u64,
    /// `tls`: none speaks plain TCP.
    pub tls: Option<TlsFiles>,
}

/// The PEM files of a TLS listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// `certificate`: the chain, own certificate first.
    pub certificate: String,
    /// `key`: its private key.
    pub key: String,
    /// `client_ca`: senders have to show a certificate signed by one of these; none asks for none.
    pub client_ca: Option<String>,
}

/// `http: true` is short for `http: {}`.
fn block(value: Option<Value>, path: &str, problems: &mut Vec<ConfigProblem>) -> Option<Map<String, Value>> {
    match value? {
        Value::Bool(false) => None,
        Value::Bool(true) => Some(Map::new()),
        Value::Object(map) => Some(map),
        _ => {
            problems.push(ConfigProblem {
                path: path.to_owned(),
                message: "must be a block of settings, or `true`".to_owned(),
                help: None,
            });
            None
        }
    }
}

/// An empty token would let everyone in: it is most often an environment variable that is not set.
fn token(fields: &mut Fields<'_>) -> Option<Secret> {
    let token: String = fields.take("token", "a text")?;
    if token.is_empty() {
        fields.problem(
            "token",
            "must not be empty".to_owned(),
            Some("set the environment variable it is read from, or leave `token` out to ask for none".to_owned()),
        );
    }
    Some(Secret(token))
}

impl HttpSettings {
    pub(crate) fn from_value(value: Option<Value>, problems: &mut Vec<ConfigProblem>) -> Option<Self> {
        let mut fields = Fields::new("http", block(value, "http", problems)?, problems);
        let settings = Self {
            token: token(&mut fields),
            max_bytes: fields.take("max_bytes", "a number of bytes").unwrap_or(MAX_BYTES),
        };
        fields.finish();
        Some(settings)
    }
}

impl MllpSettings {
    pub(crate) fn from_value(value: Option<Value>, problems: &mut Vec<ConfigProblem>) -> Option<Self> {
        let mut fields = Fields::new("mllp", block(value, "mllp", problems)?, problems);
        let mut settings = Self {
            listen: fields.take("listen", "an address and a port such as `127.0.0.1:2575`"),
            max_bytes: fields.take("max_bytes", "a number of bytes").unwrap_or(MAX_BYTES),
            tls: None,
        };
        let tls = fields.raw("tls");
        fields.finish();
        settings.tls = TlsFiles::from_value(tls, problems);
        Some(settings)
    }
}

impl TlsFiles {
    fn from_value(value: Option<Value>, problems: &mut Vec<ConfigProblem>) -> Option<Self> {
        let mut fields = Fields::new("mllp.tls", block(value, "mllp.tls", problems)?, problems);
        let mut file = |key: &'static str| match fields.take::<String>(key, "a file") {
            Some(file) => file,
            None => {
                fields.problem(key, "is missing".to_owned(), Some("name a PEM file".to_owned()));
                String::new()
            }
        };
        let (certificate, key) = (file("certificate"), file("key"));
        let settings = Self { certificate, key, client_ca: fields.take("client_ca", "a file") };
        fields.finish();
        Some(settings)
    }
}
