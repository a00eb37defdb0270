//! Clients that are slow, silent, many or led here by a web page, and a server that stops: others are served, and it ends in time.

use std::{
    io::{BufReader, ErrorKind, Read, Write},
    net::{SocketAddr, TcpStream},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use flate2::{Compression, write::GzEncoder};
use serde_json::{Value, json};

use crate::{
    mllp::{Sender, admission, clinic, framed, verdict},
    serve::ward,
    served::{POLL, Served, Stream},
    world::World,
};

/// No time-out of these tests is longer.
const PATIENCE: Duration = Duration::from_secs(60);
const TOKEN: (&str, &str) = ("Authorization", "Bearer secret");
const EVENT: &[u8] = br#"{"id": "1", "ward": "a", "beds": "1"}"#;
/// The head of a request with a longer body than anybody sends, and the first byte of it.
const ENDLESS: &[u8] = b"POST /ingest/feed/events HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer secret\r\n\
    Content-Length: 1000\r\n\r\n{";

/// A connection on which this was said.
fn said(to: SocketAddr, bytes: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(to).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(bytes).unwrap();
    stream
}

/// What the server says until it closes the connection.
fn until_closed(stream: &mut impl Read) -> String {
    let mut heard = Vec::new();
    match stream.read_to_end(&mut heard) {
        Ok(_) => {}
        // It had not read everything.
        Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
        Err(error) => panic!("the connection was not closed: {error}"),
    }
    String::from_utf8_lossy(&heard).into_owned()
}

/// The status of a request without a body, given by its head.
fn status_of(to: SocketAddr, head: &str) -> u16 {
    let answer = until_closed(&mut said(to, format!("{head}\r\nConnection: close\r\n\r\n").as_bytes()));
    answer.split_whitespace().nth(1).and_then(|code| code.parse().ok()).unwrap_or_else(|| panic!("{head}: {answer:?}"))
}

fn until(what: &str, is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "{what} did not happen");
        thread::sleep(POLL);
    }
}

fn warns(event: &Value, of: &str) -> bool {
    event["event"] == "message" && event["text"].as_str().is_some_and(|text| text.contains(of))
}

#[test]
fn a07_bodies_that_never_end_hold_up_nobody() {
    let world = ward();
    let served = Served::start(&world, &["--body-timeout", "3"], &["http"]);
    let mut endless: Vec<TcpStream> = (0..80).map(|_| said(served.http, ENDLESS)).collect();
    assert_eq!(served.post("/ingest/feed/events", &[TOKEN], EVENT).status, 200);
    for stream in &mut endless {
        let answer = until_closed(stream);
        assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    }
    served.stop();
    assert_eq!(world.count("bronze.events"), 1);
}

#[test]
fn a07_who_says_nothing_more_is_left_and_who_listens_is_not() {
    let world = ward();
    let served = Served::start(&world, &["--head-timeout", "1", "--idle-timeout", "2"], &["http"]);
    assert_eq!(served.post("/ingest/feed/events", &[TOKEN], EVENT).status, 200);
    served.wait_until_shown("feed.events", 1);
    let mut beds = Stream::open(served.http, "beds", None);
    assert_eq!(beds.next().rows, json!([{"ward": "a", "beds": 1}]));
    let mut half = said(served.http, b"GET /v1/status HTTP/1.1\r\nHost: local");
    let mut silent = said(served.http, b"");
    let mut kept = said(served.http, b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_eq!(until_closed(&mut half), "");
    assert_eq!(until_closed(&mut silent), "");
    let answer = until_closed(&mut kept);
    assert!(answer.starts_with("HTTP/1.1 204 "), "{answer}");
    let other = br#"{"id": "2", "ward": "a", "beds": "2"}"#;
    assert_eq!(served.post("/ingest/feed/events", &[TOKEN], other).status, 200);
    assert_eq!(beds.next().rows, json!([{"ward": "a", "beds": 3}]));
    served.stop();
}

#[test]
fn a07_a_follower_that_reads_nothing_is_left() {
    let world = ward();
    world.write(
        "models/long.sql",
        "{{ config(materialized='view') }}
        select e.id, a.x, repeat('x', 2000) as text
        from {{ ref('events') }} e cross join generate_series(1, 10000) as a(x)",
    );
    let served = Served::start(&world, &["--write-timeout", "1"], &["http"]);
    assert_eq!(served.post("/ingest/feed/events", &[TOKEN], EVENT).status, 200);
    served.wait_until_shown("feed.events", 1);
    let mut deaf = said(served.http, b"GET /v1/stream/long HTTP/1.1\r\nHost: localhost\r\n\r\n");
    served.wait_for("the follower's end", |status| status["sockets"]["connections"] == 1);
    let heard = until_closed(&mut deaf);
    assert!(heard.starts_with("HTTP/1.1 200 "), "{}", &heard[..heard.len().min(200)]);
    assert!(heard.len() > 100_000, "the stream ended by itself: {heard}");
    assert!(!heard.ends_with("0\r\n\r\n"), "it was told everything");
    served.stop();
}

#[test]
fn a07_an_address_with_all_its_connections_gets_one_more_for_the_quietest() {
    let world = ward();
    let served = Served::start(&world, &["--connections-per-peer", "4"], &["http"]);
    let mut silent: Vec<TcpStream> = (0..10).map(|_| said(served.http, b"GET / HTTP/1.1\r\n")).collect();
    assert_eq!(served.post("/ingest/feed/events", &[TOKEN], EVENT).status, 200);
    assert_eq!(until_closed(&mut silent[0]), "");
    drop(silent);
    served.stop();
}

/// A clinic that speaks TLS, and what its senders trust.
fn secret_clinic() -> (World, rustls::ClientConfig) {
    let key = rcgen::KeyPair::generate().unwrap();
    let parameters = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let certificate = parameters.self_signed(&key).unwrap();
    let world = clinic("{tls: {certificate: tls/server.pem, key: tls/server.key}}");
    world.write("tls/server.pem", certificate.pem());
    world.write("tls/server.key", key.serialize_pem());
    let mut roots = rustls::RootCertStore::empty();
    roots.add(certificate.der().clone()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    (world, config)
}

#[test]
fn a07_who_never_speaks_to_the_tls_port_is_left_and_holds_up_nobody() {
    let (world, config) = secret_clinic();
    let arguments = ["--mllp", "127.0.0.1:0", "--head-timeout", "2"];
    let mut served = Served::start(&world, &arguments, &["http", "mllp"]);
    let mllp = served.mllp.unwrap();
    let mut mute = said(mllp, b"");
    let _stranger = said(mllp, b"GET / HTTP/1.1\r\n\r\n");
    served.await_event(|event| warns(event, "its TLS handshake failed"));
    let connection = rustls::ClientConnection::new(Arc::new(config), "localhost".try_into().unwrap()).unwrap();
    let mut sender = Sender(BufReader::new(rustls::StreamOwned::new(connection, said(mllp, b""))));
    assert_eq!(verdict(&sender.send(&admission(1)).unwrap()).0, "AA");
    assert_eq!(until_closed(&mut mute), "");
    served.stop();
    assert_eq!(world.count("bronze.messages"), 1);
}

#[test]
fn a07_a_sender_that_reads_no_answers_is_left() {
    let world = clinic("true");
    let arguments = ["--mllp", "127.0.0.1:0", "--write-timeout", "1"];
    let mut served = Served::start(&world, &arguments, &["http", "mllp"]);
    let mllp = served.mllp.unwrap();
    let mut deaf = said(mllp, b"");
    deaf.set_write_timeout(Some(Duration::from_secs(5))).unwrap();
    // The same message over and over: it is stored once and answered each time, until nothing more is taken.
    let many = framed(&admission(1)).repeat(100);
    let is_held_up = (0..5000).any(|_| deaf.write_all(&many).is_err());
    assert!(is_held_up, "the server took everything, whoever reads its answers");
    served.await_event(|event| warns(event, "took no answer"));
    let answer = Sender::connect(mllp).unwrap().send(&admission(2)).unwrap();
    assert_eq!(verdict(&answer).0, "AA");
    served.stop();
    assert_eq!(world.count("bronze.messages"), 2);
}

#[test]
fn a07_messages_that_do_not_end_have_bounds() {
    let world = clinic("{max_bytes: 1000000}");
    let arguments = ["--mllp", "127.0.0.1:0", "--max-unfinished", "4"];
    let mut served = Served::start(&world, &arguments, &["http", "mllp"]);
    let mllp = served.mllp.unwrap();
    let half = [vec![0x0B], vec![b'x'; 900_000]].concat();
    let unfinished = |status: &Value| status["sockets"]["unfinished_bytes"].as_u64().unwrap();
    // An address may have two megabytes, half of the four.
    let first = said(mllp, &half);
    served.wait_for("the first half", |status| unfinished(status) > 800_000);
    let second = said(mllp, &half);
    served.wait_for("the second half", |status| unfinished(status) > 1_700_000);
    let mut third = said(mllp, b"");
    // It may be closed before it has said everything.
    let _ = third.write_all(&half);
    served.await_event(|event| warns(event, "no room") && warns(event, "hl7.messages"));
    until_closed(&mut third);
    served.wait_for("room again", |status| unfinished(status) < 1_800_000);
    let answer = Sender::connect(mllp).unwrap().send(&admission(1)).unwrap();
    assert_eq!(verdict(&answer).0, "AA", "what is small has room");
    drop((first, second));
    served.wait_for("the end of both", |status| unfinished(status) == 0);
    served.stop();
    assert_eq!(world.count("bronze.messages"), 1);
}

#[test]
fn a07_half_a_message_is_refused_in_time_and_a_quiet_sender_stays() {
    let world = clinic("true");
    let arguments = ["--mllp", "127.0.0.1:0", "--body-timeout", "1"];
    let mut served = Served::start(&world, &arguments, &["http", "mllp"]);
    let mllp = served.mllp.unwrap();
    let mut quiet = Sender::connect(mllp).unwrap();
    assert_eq!(verdict(&quiet.send(&admission(1)).unwrap()).0, "AA");
    let mut half = Sender::connect(mllp).unwrap();
    half.write(&framed(&admission(2))[..80]).unwrap();
    let answer = half.answer().unwrap();
    assert!(["AE", "AR"].contains(&verdict(&answer).0.as_str()), "{answer}");
    assert_eq!(until_closed(&mut half.0), "");
    served.await_event(|event| warns(event, "began a message and did not go on"));
    assert_eq!(verdict(&quiet.send(&admission(3)).unwrap()).0, "AA");
    served.stop();
    assert_eq!(world.count("bronze.messages"), 2);
}

#[test]
fn a07_a_stop_ends_whatever_clients_do() {
    // One table that takes both.
    let world = clinic("true\n              http: true");
    let served = Served::start(&world, &["--mllp", "127.0.0.1:0"], &["http", "mllp"]);
    let mllp = served.mllp.unwrap();
    let mut sender = Sender::connect(mllp).unwrap();
    assert_eq!(verdict(&sender.send(&admission(1)).unwrap()).0, "AA");
    served.wait_until_shown("hl7.messages", 1);
    let _held = [
        said(served.http, b"POST /ingest/hl7/messages HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\nMSH"),
        said(served.http, b"GET /v1/status HTTP/1.1\r\nHo"),
        said(served.http, b"GET /v1/stream/events HTTP/1.1\r\nHost: localhost\r\n\r\n"),
        said(served.http, b""),
        said(mllp, &framed(&admission(2))[..80]),
        said(mllp, b""),
    ];
    // With the sender and the one that asks.
    served.wait_for("all connections", |status| status["sockets"]["connections"].as_u64() >= Some(8));
    let asked = Instant::now();
    served.stop();
    assert!(asked.elapsed() < Duration::from_secs(25), "the stop took {:?}", asked.elapsed());
    assert_eq!(world.count("bronze.messages"), 1);
}

#[test]
fn a07_a_stop_is_told_of_before_the_ports_are_closed() {
    let world = ward();
    let served = Served::start(&world, &["--drain", "10"], &["http"]);
    assert_eq!(served.get("/ready").status, 200);
    served.terminate();
    until("the end of readiness", || served.get("/ready").status == 503);
    let answer = served.get("/ready").json();
    assert!(answer["error"].as_str().unwrap().contains("stopping"), "{answer}");
    assert_eq!(served.get("/healthz").status, 204);
    assert_eq!(served.post("/ingest/feed/events", &[TOKEN], EVENT).status, 200);
    let status = served.wait();
    assert!(status.success(), "{status}");
    assert_eq!(world.count("main.events"), 1, "what came meanwhile went through the last wave");
}

#[test]
fn a07_a_second_signal_ends_at_once() {
    let world = ward();
    let served = Served::start(&world, &["--drain", "600"], &["http"]);
    assert_eq!(served.post("/ingest/feed/events", &[TOKEN], EVENT).status, 200);
    served.terminate();
    until("the end of readiness", || served.get("/ready").status == 503);
    let asked = Instant::now();
    served.terminate();
    let status = served.wait();
    assert!(asked.elapsed() < Duration::from_secs(20), "it took {:?}", asked.elapsed());
    assert_eq!(status.code(), Some(143));
    // To the next server that was a crash.
    let served = Served::start(&world, &[], &["http"]);
    served.wait_until_shown("feed.events", 1);
    served.stop();
    assert_eq!(world.count("bronze.events"), 1);
}

#[test]
fn a20_a_body_that_is_cut_short_is_refused_for_good() {
    let world = ward();
    let served = Served::start(&world, &[], &["http"]);
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    packed.write_all(EVENT).unwrap();
    let packed = packed.finish().unwrap();
    let json_type = ("Content-Type", "application/json");
    for (header, body) in [
        (json_type, &br#"[{"id": "1", "ward": "Meier", "beds": "1"}, {"id": "2""#[..]),
        (json_type, &br#"{"id": "1", "ward": "Meier""#[..]),
        (("Content-Encoding", "gzip"), &packed[..packed.len() - 9]),
        (("Content-Type", "application/octet-stream"), &packed[..packed.len() - 9]),
    ] {
        let answer = served.post("/ingest/feed/events", &[TOKEN, header], body);
        assert_eq!(answer.status, 400, "{answer:?}");
        assert!(!answer.body.contains("next run") && !answer.body.contains("Meier"), "{answer:?}");
        assert!(!answer.headers.to_lowercase().contains("retry-after"), "{answer:?}");
    }
    assert_eq!(served.post("/ingest/feed/events", &[TOKEN], EVENT).json()["first_row"], 1);
    served.stop();
}

#[test]
fn c07_a_server_answers_to_its_own_names_alone() {
    let world = ward();
    world.write(
        "wardlake.yml",
        "targets:\n  dev:\n    lake: lake\n    serve: {hosts: [lake.hospital.example, '10.9.8.7']}\n",
    );
    let served = Served::start(&world, &[], &["http"]);
    let port = served.http.port();
    let read = |host: &str| status_of(served.http, &format!("GET /v1/status HTTP/1.1\r\nHost: {host}"));
    for known in [
        format!("127.0.0.1:{port}").as_str(),
        format!("localhost:{port}").as_str(),
        "LOCALHOST",
        "wardlake.localhost",
        "[::1]:8080",
        "lake.hospital.example",
        "Lake.Hospital.Example:443",
        "10.9.8.7",
    ] {
        assert_eq!(read(known), 200, "{known}");
    }
    if let Ok(machine) = std::fs::read_to_string("/proc/sys/kernel/hostname") {
        assert_eq!(read(&format!("{}:{port}", machine.trim())), 200, "{machine}");
    }
    for other in ["evil.example", "localhost.evil.example", "10.9.8.6", "hospital.example", "evil.example@localhost"] {
        assert_eq!(read(other), 421, "{other}");
        let follow = format!("GET /v1/stream/beds HTTP/1.1\r\nHost: {other}");
        assert_eq!(status_of(served.http, &follow), 421, "{other}");
    }
    // The first line names a host as well; old probes name none, and a browser always says where it is from.
    let ask = |head: &str| status_of(served.http, head);
    assert_eq!(ask("GET http://evil.example/v1/status HTTP/1.1\r\nHost: localhost"), 421);
    assert_eq!(ask("GET /v1/status HTTP/1.1\r\nHost: localhost\r\nHost: evil.example"), 400);
    assert_eq!(ask("GET /v1/status HTTP/1.1"), 400);
    assert_eq!(ask("GET /ready HTTP/1.0"), 200);
    assert_eq!(ask("GET /v1/status HTTP/1.0\r\nOrigin: http://evil.example"), 421);
    served.stop();
}

#[test]
fn c07_pages_of_others_change_nothing_and_a_token_is_a_name() {
    let world = ward();
    let served = Served::start(&world, &[], &["http"]);
    let post = |host: &str, more: &str| {
        let body = String::from_utf8_lossy(EVENT);
        let head = format!("POST /ingest/feed/events HTTP/1.1\r\nHost: {host}\r\nContent-Type: text/plain\r\n{more}");
        let request = format!("{head}Content-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len());
        let answer = until_closed(&mut said(served.http, request.as_bytes()));
        answer.split_whitespace().nth(1).map(str::to_owned).unwrap_or_default()
    };
    let token = "Authorization: Bearer secret\r\n";
    let wrong = "Authorization: Bearer other\r\n";
    for origin in ["http://evil.example", "https://evil.example:8443", "null", "http://localhost.evil.example"] {
        let origin = format!("Origin: {origin}\r\n");
        assert_eq!(post("localhost", &origin), "403", "{origin}");
        assert_eq!(post("evil.example", &origin), "403", "{origin}");
        assert_eq!(post("localhost", &format!("{origin}{token}")), "403", "{origin}");
    }
    assert_eq!(post("evil.example", ""), "421");
    assert_eq!(post("evil.example", wrong), "421");
    assert_eq!(post("localhost", wrong), "403");
    assert_eq!(post("lake.somewhere.example", token), "200", "who shows the token was not led here");
    assert_eq!(post("localhost", &format!("Origin: http://localhost:3000\r\n{token}")), "200");
    served.wait_until_shown("feed.events", 2);
    served.stop();
    assert_eq!(world.count("bronze.events"), 2);
}
