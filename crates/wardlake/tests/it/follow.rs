//! Who follows a model: large tables come in parts, and an epoch that the lake does not know is told of.

use std::{
    collections::BTreeSet,
    io::{BufRead, BufReader, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use serde_json::{Value, json};

use crate::{serve::ward, served::Served};

const TOKEN: (&str, &str) = ("Authorization", "Bearer secret");
const PATIENCE: Duration = Duration::from_secs(60);

/// A change stream, read event by event, those without an id as well.
struct Events(BufReader<TcpStream>);

#[derive(Debug, Default)]
struct Heard {
    id: Option<String>,
    kind: String,
    bytes: usize,
    data: Value,
}

impl Heard {
    fn rows(&self) -> &[Value] {
        self.data.as_array().unwrap_or_else(|| panic!("{self:?}"))
    }
}

impl Events {
    fn open(to: SocketAddr, path: &str, last_id: Option<&str>) -> Self {
        let mut stream = TcpStream::connect(to).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let last = last_id.map(|id| format!("Last-Event-ID: {id}\r\n")).unwrap_or_default();
        write!(stream, "GET /v1/stream/{path} HTTP/1.1\r\nHost: {to}\r\n{last}\r\n").unwrap();
        let mut reader = BufReader::new(stream);
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        assert!(line.contains(" 200 "), "{line}");
        while line.trim() != "" {
            line.clear();
            assert_ne!(reader.read_line(&mut line).unwrap(), 0, "the head ended");
        }
        Self(reader)
    }

    fn next(&mut self) -> Heard {
        let mut heard = Heard::default();
        let mut line = String::new();
        loop {
            line.clear();
            assert_ne!(self.0.read_line(&mut line).unwrap(), 0, "the stream ended");
            match line.trim_end().split_once(": ") {
                Some(("id", id)) => heard.id = Some(id.to_owned()),
                Some(("event", kind)) => heard.kind = kind.to_owned(),
                Some(("data", data)) => {
                    heard.bytes = data.len();
                    heard.data = serde_json::from_str(data).unwrap();
                }
                _ if line.trim().is_empty() && !heard.kind.is_empty() => return heard,
                _ => {}
            }
        }
    }
}

fn event(id: &str, ward: &str) -> String {
    format!("{}\n", json!({"id": id, "ward": ward, "beds": "1"}))
}

#[test]
fn c04_a_table_comes_in_parts() {
    let world = ward();
    let served = Served::start(&world, &[], &["http"]);
    let mut sent: u64 = 0;
    for post in 0..3 {
        let body: String = (0..1500).map(|row| event(&format!("{post}-{row}"), "a")).collect();
        assert_eq!(served.post("/ingest/feed/events", &[TOKEN], body.as_bytes()).status, 200);
        sent += 1500;
    }
    // Rows of which few fit into a part.
    for wide in 0..8 {
        let body = event(&format!("wide-{wide}"), &"w".repeat(90_000));
        assert_eq!(served.post("/ingest/feed/events", &[TOKEN], body.as_bytes()).status, 200);
        sent += 1;
    }
    served.wait_until_shown("feed.events", sent);
    let mut events = Events::open(served.http, "events?since=0", None);
    let mut ids = BTreeSet::new();
    let mut parts = 0;
    let last = loop {
        let part = events.next();
        parts += 1;
        assert_eq!(part.kind, if parts == 1 { "snapshot" } else { "changes" });
        assert!((1..=1000).contains(&part.rows().len()) && part.bytes <= 256 << 10, "{} bytes", part.bytes);
        for row in part.rows() {
            assert_eq!(row["_change_type"], "insert");
            assert!(ids.insert(row["id"].as_str().unwrap().to_owned()), "a row came twice: {}", row["id"]);
        }
        // Who is cut off before the end begins again: no part but the last is an epoch.
        if let Some(id) = part.id {
            break id;
        }
    };
    assert_eq!(ids.len() as u64, sent);
    assert!(parts >= 5, "{parts} parts");

    // What is new meanwhile comes behind the last part, once.
    assert_eq!(served.post("/ingest/feed/events", &[TOKEN], event("new", "b").as_bytes()).status, 200);
    for stream in [&mut events, &mut Events::open(served.http, "events", Some(&last))] {
        let news = stream.next();
        assert_eq!((news.kind.as_str(), news.rows().len()), ("changes", 1), "{news:?}");
        assert_eq!(news.rows()[0]["id"], "new");
        assert!(news.id.is_some());
    }
    served.stop();
}

#[test]
fn b21_an_epoch_that_the_lake_does_not_know_is_told_of() {
    let world = ward();
    let served = Served::start(&world, &[], &["http"]);
    assert_eq!(served.post("/ingest/feed/events", &[TOKEN], event("1", "a").as_bytes()).status, 200);
    served.wait_until_shown("feed.events", 1);
    let mut known = String::new();
    for unknown in ["999999999999", "18446744073709551615", "99999999999999999999999999", "abc", "-1"] {
        for model in ["events", "beds"] {
            let mut events = Events::open(served.http, model, Some(unknown));
            let reset = events.next();
            assert_eq!((reset.kind.as_str(), reset.id.as_deref()), ("reset", None), "{unknown}: {reset:?}");
            assert!(reset.data["reason"].as_str().is_some_and(|reason| reason.contains("epoch")), "{reset:?}");
            let whole = events.next();
            assert_eq!((whole.kind.as_str(), whole.rows().len()), ("snapshot", 1), "{unknown}: {whole:?}");
            known = whole.id.unwrap();
        }
    }
    let mut asked = Events::open(served.http, "events?since=999999999999", None);
    assert_eq!((asked.next().kind.as_str(), asked.next().kind.as_str()), ("reset", "snapshot"));
    // Who names an epoch of this lake goes on from there.
    let mut events = Events::open(served.http, "events", Some(&known));
    assert_eq!(served.post("/ingest/feed/events", &[TOKEN], event("2", "b").as_bytes()).status, 200);
    let news = events.next();
    assert_eq!((news.kind.as_str(), news.rows().len()), ("changes", 1), "{news:?}");
    assert_eq!(news.rows()[0]["id"], "2");
    served.stop();
}
