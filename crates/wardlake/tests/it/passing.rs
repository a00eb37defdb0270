//! What is in the way for a while and passes: senders are told to send again, load balancers to look elsewhere, and people are told of an
//! alert all the same. Nobody has to tell the server that it is over.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::{
    mllp::{Sender, admission, clinic, verdict},
    serve::ward,
    served::{POLL, Served},
};

/// No condition of these tests takes longer.
const PATIENCE: Duration = Duration::from_secs(120);
const TOKEN: (&str, &str) = ("Authorization", "Bearer secret");

fn until(what: &str, is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "{what} did not happen");
        thread::sleep(POLL);
    }
}

fn event(id: u64, beds: u64) -> String {
    json!({"id": id.to_string(), "ward": "a", "beds": beds}).to_string()
}

#[test]
#[cfg(target_os = "linux")]
fn a08_a_full_disk_is_told_as_something_that_passes() {
    let Some(disk) = crate::faults::Disk::mount(16 << 10) else { return };
    let intake = disk.path().join("intake").to_string_lossy().into_owned();
    let world = clinic("true");
    world.write("wardlake.yml", "min_free: 0\n");
    let served = Served::start(&world, &["--journal", &intake, "--mllp", "127.0.0.1:0"], &["http", "mllp"]);
    let mut sender = Sender::connect(served.mllp.unwrap()).unwrap();
    let mut send = |number: u64| {
        let answer = sender.send(&admission(number)).unwrap();
        (verdict(&answer).0, answer)
    };
    assert_eq!(send(0).0, "AA");
    assert_eq!(served.get("/ready").status, 200);
    disk.change(&format!("size={}k", disk.used_kilobytes()));
    let mut number = 1;
    let (code, answer) = loop {
        match send(number) {
            (code, _) if code == "AA" => number += 1,
            refused => break refused,
        }
        assert!(number < 100_000, "the disk never filled up");
    };
    // Not AR: engines throw away what is rejected.
    assert_eq!(code, "AE", "{answer}");
    assert!(answer.contains("207^Application internal error"), "{answer}");
    let ready = served.get("/ready");
    assert_eq!(ready.status, 503);
    let reason = ready.json()["error"].as_str().unwrap().to_owned();
    assert!(reason.contains("hl7.messages") && reason.contains("No space left"), "{reason}");
    assert_eq!(served.get("/healthz").status, 204, "a server that is started anew has no more room");
    let status = served.get("/v1/status").json();
    assert!(status["feeds"][0]["last_error"].as_str().is_some_and(|error| error.contains("stored")), "{status}");
    // Nobody sends meanwhile.
    disk.change("size=16m");
    until("the server is ready again", || served.get("/ready").status == 200);
    assert_eq!(send(number).0, "AA");
    served.wait_until_shown("hl7.messages", number + 1);
    served.stop();
    assert_eq!(world.count("bronze.messages"), number + 1);
    assert!(!disk.path().join("intake/hl7.messages/.room").exists());
}

#[test]
fn a08_who_cannot_load_is_not_ready_until_it_can() {
    let world = ward();
    let served = Served::start(&world, &[], &["http"]);
    assert_eq!(served.post("/ingest/feed/events", &[TOKEN], event(1, 1).as_bytes()).status, 200);
    served.wait_until_shown("feed.events", 1);
    assert_eq!(served.get("/ready").status, 200);
    // Bronze cannot be loaded: a file stands where its log belongs.
    let log = world.path().join("lake/bronze/events/_delta_log");
    let aside = world.path().join("lake/bronze/events/aside");
    std::fs::rename(&log, &aside).unwrap();
    std::fs::write(&log, "").unwrap();
    assert_eq!(served.post("/ingest/feed/events", &[TOKEN], event(2, 1).as_bytes()).status, 200);
    until("the server is not ready", || served.get("/ready").status == 503);
    let told = served.get("/ready").json();
    assert!(told["error"].as_str().is_some_and(|error| error.contains("feed.events")), "{told}");
    std::fs::remove_file(&log).unwrap();
    std::fs::rename(&aside, &log).unwrap();
    until("the server is ready again", || served.get("/ready").status == 200);
    served.wait_until_shown("feed.events", 2);
    served.stop();
    assert_eq!(world.count("main.events"), 2);
}

#[test]
fn a08_a_sender_that_is_held_back_is_told_to_send_again() {
    let world = clinic("true");
    let served = Served::start(&world, &["--mllp", "127.0.0.1:0", "--max-waiting", "1"], &["http", "mllp"]);
    let mut sender = Sender::connect(served.mllp.unwrap()).unwrap();
    let note = format!("NTE|1||{}\r", "x".repeat(20_000));
    let mut send = |number: u64| {
        let message = [&admission(number)[..], note.as_bytes()].concat();
        verdict(&sender.send(&message).unwrap()).0
    };
    assert_eq!(send(0), "AA");
    served.wait_until_shown("hl7.messages", 1);
    let log = world.path().join("lake/bronze/messages/_delta_log");
    let aside = world.path().join("lake/bronze/messages/aside");
    std::fs::rename(&log, &aside).unwrap();
    std::fs::write(&log, "").unwrap();
    let mut number = 1;
    let refused = loop {
        match send(number) {
            code if code == "AA" => number += 1,
            code => break code,
        }
        assert!(number < 1000, "nothing was ever held back");
    };
    assert_eq!(refused, "AE");
    std::fs::remove_file(&log).unwrap();
    std::fs::rename(&aside, &log).unwrap();
    until("the server is ready again", || served.get("/ready").status == 200);
    assert_eq!(send(number), "AA");
    served.wait_until_shown("hl7.messages", number + 1);
    served.stop();
    assert_eq!(world.count("bronze.messages"), number + 1);
}

/// Takes what is posted to a free port while it is open, and refuses it before.
fn webhook(is_open: &Arc<AtomicBool>) -> (SocketAddr, mpsc::Receiver<Value>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (send, taken) = mpsc::channel();
    let is_open = Arc::clone(is_open);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut reader = BufReader::new(stream.unwrap());
            let mut bytes = 0;
            let mut line = String::new();
            while reader.read_line(&mut line).unwrap() > 2 {
                let length = line.to_ascii_lowercase().strip_prefix("content-length:").map(str::trim).map(str::parse);
                bytes = length.map_or(bytes, Result::unwrap);
                line.clear();
            }
            let mut body = vec![0; bytes];
            reader.read_exact(&mut body).unwrap();
            let takes = is_open.load(Ordering::SeqCst);
            let status = if takes { "200 OK" } else { "503 Service Unavailable" };
            let answer = format!("HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
            // A server that was killed does not hear it.
            let _ = reader.get_mut().write_all(answer.as_bytes());
            if takes && send.send(serde_json::from_slice(&body).unwrap()).is_err() {
                return;
            }
        }
    });
    (address, taken)
}

#[test]
fn a06_an_alert_that_no_webhook_took_before_a_crash_is_told_by_the_next_server() {
    let world = ward();
    let is_open = Arc::new(AtomicBool::new(false));
    let (address, taken) = webhook(&is_open);
    let alerts = format!(
        "webhooks: [\"http://{address}/told\"]\nalerts:\n  - {{name: full, model: beds, key: [ward], value: beds, \
         when: beds > 2, message: '{{ward}} has {{beds}}'}}\n"
    );
    world.write("alerts.yml", alerts);
    let mut served = Served::start(&world, &[], &["http"]);
    assert_eq!(served.post("/ingest/feed/events", &[TOKEN], event(1, 3).as_bytes()).status, 200);
    served.await_event(|event| event["event"] == "alert" && event["notice"]["is_raised"] == true);
    // It is noted as told, and the webhook has not taken it: here the process dies.
    let noted = world.path().join("lake/_state/alerts.json");
    until("the alert is noted", || std::fs::read(&noted).is_ok_and(|bytes| !bytes.is_empty()));
    served.kill();
    let kept = std::fs::read_to_string(world.path().join("lake/_state/alerts_on_their_way.json")).unwrap();
    assert!(!kept.contains(&address.to_string()), "an address may hold a secret: {kept}");

    is_open.store(true, Ordering::SeqCst);
    let served = Served::start(&world, &[], &["http"]);
    let notice = taken.recv_timeout(PATIENCE).unwrap();
    assert_eq!((&notice["is_raised"], &notice["message"]), (&json!(true), &json!("a has 3")));
    // What it took is not sent once more, by this server or the next one.
    served.stop();
    let served = Served::start(&world, &[], &["http"]);
    assert_eq!(served.post("/ingest/feed/events", &[TOKEN], event(1, 1).as_bytes()).status, 200);
    let notice = taken.recv_timeout(PATIENCE).unwrap();
    assert_eq!((&notice["is_raised"], &notice["message"]), (&json!(false), &json!("a has 3")));
    served.stop();
    assert_eq!(world.count("system.alerts"), 2);
}
