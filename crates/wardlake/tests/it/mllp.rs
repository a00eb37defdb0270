//! HL7 v2 over MLLP, against the real listener: every message is answered, kept and loaded once.

use std::{
    io::{BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use crate::{
    crash::{kill_while_sending, messages},
    served::{POLL, Served},
    world::{World, acceptance_data},
};

const START: u8 = 0x0B;
const END: u8 = 0x1C;

pub(crate) fn clinic(mllp: &str) -> World {
    let world = World::empty();
    world.write("dbt_project.yml", "name: clinic\nversion: '1.0'\nmodel-paths: [models, sources]\n");
    let source = format!(
        "version: 2\nsources:\n  - name: hl7\n    schema: bronze\n    tables:\n      - name: messages\n        config:\n          \
         meta:\n            wardlake:\n              mllp: {mllp}\n              format: {{type: hl7}}\n        \
         columns: [{{name: message}}, {{name: message_control_id}}, {{name: trigger_event}}, {{name: patient_id}}]\n"
    );
    world.write("sources/hl7.yml", source);
    world.write(
        "models/events.sql",
        "{{ config(materialized='incremental') }}\nselect message_control_id, trigger_event, patient_id \
         from {{ changes(source('hl7', 'messages')) }}",
    );
    world
}

/// A sender that waits for each answer.
pub(crate) struct Sender<S>(pub(crate) BufReader<S>);

impl Sender<TcpStream> {
    pub(crate) fn connect(to: SocketAddr) -> std::io::Result<Self> {
        let stream = TcpStream::connect(to)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(60)))?;
        Ok(Self(BufReader::new(stream)))
    }
}

impl<S: Read + Write> Sender<S> {
    pub(crate) fn write(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.0.get_mut().write_all(bytes)
    }

    /// The next answer without its frame.
    pub(crate) fn answer(&mut self) -> std::io::Result<String> {
        let mut frame = Vec::new();
        let mut byte = [0];
        while !frame.ends_with(&[END, b'\r']) {
            self.0.read_exact(&mut byte)?;
            frame.push(byte[0]);
        }
        Ok(String::from_utf8_lossy(&frame[1..frame.len() - 2]).into_owned())
    }

    pub(crate) fn send(&mut self, message: &[u8]) -> std::io::Result<String> {
        self.write(&framed(message))?;
        self.answer()
    }
}

pub(crate) fn framed(message: &[u8]) -> Vec<u8> {
    [&[START], message, &[END, b'\r']].concat()
}

/// `MSA-1` and `MSA-2`.
pub(crate) fn verdict(answer: &str) -> (String, String) {
    let segment = answer.split('\r').find(|segment| segment.starts_with("MSA")).unwrap_or_else(|| panic!("{answer:?}"));
    let mut fields = segment.split('|').skip(1).map(str::to_owned);
    (fields.next().unwrap_or_default(), fields.next().unwrap_or_default())
}

pub(crate) fn admission(number: u64) -> Vec<u8> {
    format!(
        "MSH|^~\\&|ADT|NORTH|LAKE|HOME|20261128120000||ADT^A01^ADT_A01|M{number}|P|2.5.1\rEVN|A01|20261128120000\r\
         PID|1||P{}^^^NORTH^MR||Meier^Anna||19700101|F\rPV1|1|I|W{}^1^2||||||||||||||||E{number}\r",
        number % 50,
        number % 7
    )
    .into_bytes()
}

/// A field of the header, counted as `split` does.
fn header_field(message: &[u8], place: usize) -> String {
    let text = String::from_utf8_lossy(message).into_owned();
    let header = text.trim_start_matches('\u{feff}').lines().next().unwrap();
    header.split('|').nth(place).unwrap_or_default().to_owned()
}

/// In enhanced mode a sender can say that it wants to hear nothing (MSH-15 and MSH-16 are NE).
fn wants_no_answer(message: &[u8]) -> bool {
    header_field(message, 14) == "NE" && header_field(message, 15) == "NE"
}

#[test]
fn every_real_message_is_answered_and_kept_as_it_came() {
    let Some(data) = acceptance_data() else { return };
    let mut messages: Vec<(String, Vec<u8>)> = std::fs::read_dir(data.join("hl7v2"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|end| end == "hl7"))
        .map(|path| (path.file_stem().unwrap().to_string_lossy().into_owned(), std::fs::read(&path).unwrap()))
        .collect();
    messages.sort();
    assert_eq!(messages.len(), 36);
    let world = clinic("true");
    let served = Served::start(&world, &["--mllp", "127.0.0.1:0"], &["http", "mllp"]);
    let mut sender = Sender::connect(served.mllp.unwrap()).unwrap();
    for (name, message) in &messages {
        sender.write(&framed(message)).unwrap();
        if wants_no_answer(message) {
            continue;
        }
        let (code, _) = verdict(&sender.answer().unwrap());
        assert!(["AA", "CA"].contains(&code.as_str()), "{name} was answered with {code}");
    }
    // Sent again, each is answered and none is stored; sent all at once, the answers come in order.
    let all: Vec<u8> = messages.iter().flat_map(|(_, message)| framed(message)).collect();
    sender.write(&all).unwrap();
    for (name, message) in messages.iter().filter(|(_, message)| !wants_no_answer(message)) {
        let control_id = header_field(message, 9);
        let (code, answered) = verdict(&sender.answer().unwrap());
        assert!(["AA", "CA"].contains(&code.as_str()), "{name}");
        assert_eq!(answered, control_id, "{name}: the answers keep the order");
    }
    served.wait_until_shown("hl7.messages", 36);
    served.stop();
    assert_eq!(world.count("bronze.messages"), 36);
    assert_eq!(world.count("main.events"), 36);
}

#[test]
fn broken_messages_are_refused_with_a_reason_and_kept() {
    let world = clinic("true");
    let served = Served::start(&world, &["--mllp", "127.0.0.1:0"], &["http", "mllp"]);
    let mut sender = Sender::connect(served.mllp.unwrap()).unwrap();
    assert_eq!(verdict(&sender.send(&admission(1)).unwrap()), ("AA".to_owned(), "M1".to_owned()));
    let no_type = admission(2).to_vec();
    let no_type = String::from_utf8(no_type).unwrap().replace("ADT^A01^ADT_A01", "");
    let answer = sender.send(no_type.as_bytes()).unwrap();
    assert!(["AE", "AR"].contains(&verdict(&answer).0.as_str()), "{answer}");
    assert!(answer.contains("\rERR|"), "{answer}");
    assert!(!answer.contains("Meier"), "no value of a patient is told: {answer}");
    let answer = sender.send(b"nothing that is a message").unwrap();
    assert!(["AE", "AR"].contains(&verdict(&answer).0.as_str()), "{answer}");
    // A message that is cut off by the next one, and one by the end of the connection.
    let cut = [&[START], &admission(3)[..80], &framed(&admission(4))[..]].concat();
    sender.write(&cut).unwrap();
    let first = verdict(&sender.answer().unwrap());
    assert!(["AE", "AR"].contains(&first.0.as_str()), "{first:?}");
    assert_eq!(verdict(&sender.answer().unwrap()), ("AA".to_owned(), "M4".to_owned()));
    let mut hasty = Sender::connect(served.mllp.unwrap()).unwrap();
    hasty.write(&[&[START], &admission(5)[..60]].concat()).unwrap();
    hasty.0.get_mut().shutdown(std::net::Shutdown::Write).unwrap();
    let last = verdict(&hasty.answer().unwrap());
    assert!(["AE", "AR"].contains(&last.0.as_str()), "{last:?}");
    served.wait_until_shown("hl7.messages", 6);
    served.stop();
    assert_eq!(world.count("bronze.messages"), 2);
    let kept = world.sql("select reason, length from system.rejected_rows where _source = 'hl7.messages'");
    assert_eq!(kept.len(), 4, "{kept:?}");
    assert!(kept.iter().all(|row| row["reason"].starts_with("hl7_")), "{kept:?}");
}

#[test]
fn tls_takes_those_who_show_a_certificate() {
    let authority_key = rcgen::KeyPair::generate().unwrap();
    let mut authority = rcgen::CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let authority_certificate = authority.self_signed(&authority_key).unwrap();
    let issuer = rcgen::Issuer::new(authority, authority_key);
    let issued = |name: &str| {
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate =
            rcgen::CertificateParams::new(vec![name.to_owned()]).unwrap().signed_by(&key, &issuer).unwrap();
        (certificate, key)
    };
    let (server_certificate, server_key) = issued("localhost");
    let (client_certificate, client_key) = issued("sender");
    let world = clinic("{tls: {certificate: tls/server.pem, key: tls/server.key, client_ca: tls/ca.pem}}");
    world.write("tls/ca.pem", authority_certificate.pem());
    world.write("tls/server.pem", server_certificate.pem());
    world.write("tls/server.key", server_key.serialize_pem());
    let served = Served::start(&world, &["--mllp", "127.0.0.1:0"], &["http", "mllp"]);
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut roots = rustls::RootCertStore::empty();
    roots.add(authority_certificate.der().clone()).unwrap();
    let builder = || {
        rustls::ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots.clone())
    };
    let connect = |config: rustls::ClientConfig| {
        let connection = rustls::ClientConnection::new(Arc::new(config), "localhost".try_into().unwrap()).unwrap();
        let stream = TcpStream::connect(served.mllp.unwrap()).unwrap();
        Sender(BufReader::new(rustls::StreamOwned::new(connection, stream)))
    };
    let key = rustls::pki_types::PrivateKeyDer::try_from(client_key.serialize_der()).unwrap();
    let known = builder().with_client_auth_cert(vec![client_certificate.der().clone()], key).unwrap();
    assert_eq!(verdict(&connect(known).send(&admission(1)).unwrap()).0, "AA");
    assert!(connect(builder().with_no_client_auth()).send(&admission(2)).is_err(), "a stranger is not listened to");
    served.wait_until_shown("hl7.messages", 1);
    served.stop();
    assert_eq!(world.count("bronze.messages"), 1);
}

/// Sends numbered messages until each is acknowledged, on a new connection whenever one breaks.
fn send_all(to: SocketAddr, numbers: &mut dyn Iterator<Item = u64>, acknowledged: &AtomicU64) {
    let mut sender = None;
    for number in numbers {
        loop {
            if sender.is_none() {
                sender = Sender::connect(to).ok();
            }
            let answer = sender.as_mut().and_then(|sender| sender.send(&admission(number)).ok());
            match answer.as_deref().map(verdict) {
                Some((code, id)) if code == "AA" => {
                    assert_eq!(id, format!("M{number}"));
                    break;
                }
                Some((code, _)) => assert_eq!(code, "AE", "only a server that cannot store now refuses"),
                None => {
                    sender = None;
                    thread::sleep(POLL);
                }
            }
        }
        acknowledged.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn kills_lose_no_message_that_was_acknowledged() {
    let messages = messages();
    let world = clinic("true");
    kill_while_sending(&world, "--mllp", "hl7.messages", send_all);
    assert_eq!(world.count("bronze.messages"), messages, "every message is in bronze once");
    assert_eq!(
        world.value("select count(distinct message_control_id) as n from bronze.messages"),
        messages.to_string()
    );
    assert_eq!(world.count("main.events"), messages);
}
