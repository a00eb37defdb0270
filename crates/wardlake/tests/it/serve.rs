//! `wardlake serve`: deliveries over HTTP, continuous models, change streams, folder watch, stops and kills.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener},
    sync::mpsc,
    time::{Duration, Instant},
};

use flate2::{Compression, write::GzEncoder};
use serde_json::{Value, json};

use crate::{
    served::{Served, Stream},
    world::World,
};

const SOURCE: &str = r#"
version: 2
sources:
  - name: feed
    schema: bronze
    tables:
      - name: events
        config:
          meta:
            wardlake:
              http: {token: "{{ env_var('FEED_TOKEN', 'secret') }}", max_bytes: 100000}
              format: {type: ndjson}
        columns: [{name: id}, {name: ward}, {name: beds}]
      - name: lists
        config:
          meta:
            wardlake:
              root: inbox
              path: "lists_*.csv"
        columns: [{name: ward}, {name: name}]
"#;

const EVENTS: &str = "{{ config(materialized='incremental', unique_key='id') }}
select id, ward, cast(beds as bigint) as beds, _position as position
from {{ changes(source('feed', 'events')) }}
qualify row_number() over (partition by id order by _position desc) = 1";

/// A project with one table that takes requests, one that is read from files, and models on both.
pub(crate) fn ward() -> World {
    let world = World::empty();
    world.write("dbt_project.yml", "name: ward\nversion: '1.0'\nmodel-paths: [models, sources]\n");
    world.write("sources/feed.yml", SOURCE);
    world.write("macros/changes.sql", "{% macro changes(relation) %}{{ relation }}{% endmacro %}");
    world.write("models/events.sql", EVENTS);
    world.write(
        "models/beds.sql",
        "{{ config(materialized='view') }}\nselect ward, sum(beds) as beds from {{ ref('events') }} group by ward",
    );
    world.write(
        "models/names.sql",
        "{{ config(materialized='table') }}\nselect ward, name from {{ source('feed', 'lists') }}",
    );
    world
}

const TOKEN: (&str, &str) = ("Authorization", "Bearer secret");

fn event(id: u64, ward: &str) -> String {
    format!("{}\n", json!({"id": id.to_string(), "ward": ward, "beds": "1"}))
}

#[test]
fn what_is_delivered_reaches_the_models_in_seconds() {
    let world = ward();
    let served = Served::start(&world, &[], &["http"]);
    let answer = served.post("/ingest/feed/events", &[TOKEN], (event(1, "a") + &event(2, "b")).as_bytes());
    assert_eq!((answer.status, answer.json()), (200, json!({"rows": 2, "first_row": 1, "repeated": false})));
    served.wait_until_shown("feed.events", 2);
    let mut beds = Stream::open(served.http, "beds", None);
    let first = beds.next();
    assert_eq!(first.kind, "snapshot");
    assert_eq!(first.rows.as_array().unwrap().len(), 2);
    let mut others = [(); 3].map(|()| Stream::open(served.http, "beds", None));
    others.iter_mut().for_each(|other| assert_eq!(other.next().rows, first.rows));
    let mut rows = Stream::open(served.http, "main.events", None);
    assert_eq!(rows.next().rows, json!([]));

    let third = json!({"id": "3", "ward": "a", "beds": "5"}).to_string();
    let ndjson = ("Content-Type", "application/x-ndjson");
    assert_eq!(served.post("/ingest/feed/events", &[TOKEN, ndjson], third.as_bytes()).status, 200);
    let changed = rows.next();
    assert_eq!(changed.kind, "changes");
    assert_eq!(changed.rows[0]["id"], "3");
    assert_eq!(changed.rows[0]["_change_type"], "insert");
    let shown = beds.next();
    let ward_a = shown.rows.as_array().unwrap().iter().find(|row| row["ward"] == "a").unwrap().clone();
    assert_eq!(ward_a["beds"], 6);
    others.iter_mut().for_each(|other| assert_eq!(other.next().rows, shown.rows));
    drop(rows);

    // One that comes back misses nothing and gets nothing twice.
    let array =
        serde_json::to_vec(&json!([{"id": "4", "ward": "a", "beds": 1}, {"id": "3", "ward": "c", "beds": 5}])).unwrap();
    assert_eq!(served.post("/ingest/feed/events", &[TOKEN, ("Content-Type", "application/json")], &array).status, 200);
    served.wait_until_shown("feed.events", 5);
    let mut again = Stream::open(served.http, "events", Some(&changed.id));
    let missed = again.next();
    let kinds: Vec<&str> =
        missed.rows.as_array().unwrap().iter().map(|row| row["_change_type"].as_str().unwrap()).collect();
    assert_eq!(kinds.len(), 3, "{missed:?}");
    assert!(["insert", "update_preimage", "update_postimage"].iter().all(|kind| kinds.contains(kind)), "{missed:?}");
    served.stop();
    assert_eq!(world.count("main.events"), 4);
    assert_eq!(world.count("bronze.events"), 5);
    let lineage = world.sql("select _file, _position from bronze.events order by _position limit 1");
    assert!(lineage[0]["_file"].starts_with("_landing/intake/feed.events/"), "{lineage:?}");
    // A batch build on the same lake finds nothing to do but what it always does.
    world.ok(&["build"]);
    assert_eq!(world.count("main.events"), 4);
}

/// A model whose build does not end.
const ENDLESS: &str = "{{ config(materialized='table') }}
select count(*) as n from generate_series(1, 10000000) as a(x) cross join generate_series(1, 10000000) as b(y) where x % 7 = y % 5";

#[test]
fn neither_waves_nor_a_stop_wait_for_a_refresh() {
    let world = ward();
    world.write("models/endless.sql", ENDLESS);
    let mut served = Served::start(&world, &[], &["http"]);
    served
        .await_event(|event| event["event"] == "node_started" && event["label"].as_str().unwrap().contains("endless"));
    assert_eq!(served.post("/ingest/feed/events", &[TOKEN], event(1, "a").as_bytes()).status, 200);
    served.wait_until_shown("feed.events", 1);
    assert_eq!(Stream::open(served.http, "beds", None).next().rows, json!([{"ward": "a", "beds": 1}]));
    let asked = Instant::now();
    served.stop();
    assert!(asked.elapsed() < Duration::from_secs(20), "the stop took {:?}", asked.elapsed());
    assert_eq!(world.count("main.events"), 1);
}

#[test]
fn a_refresh_builds_what_waves_do_not_and_leaves_out_what_it_is_told_to() {
    let world = ward();
    world.write("models/endless.sql", ENDLESS);
    world.write("tests/every_event_has_a_ward.sql", "select * from {{ ref('events') }} where ward is null");
    let mut served = Served::start(&world, &["--exclude", "endless"], &["http"]);
    let mut built = |command: &str| {
        served.await_event(|event| event["event"] == "run_started" && event["command"] == command);
        let mut labels = Vec::new();
        loop {
            let event =
                served.await_event(|event| event["event"] == "node_finished" || event["event"] == "run_finished");
            match event["result"]["label"].as_str() {
                Some(label) => labels.push(label.to_owned()),
                None => break,
            }
        }
        labels.sort();
        labels
    };
    assert_eq!(built("prepare"), ["incremental model main.events", "view model main.beds"]);
    let refreshed = ["table model main.names", "test every_event_has_a_ward", "view model main.beds"];
    assert_eq!(built("refresh"), refreshed);
    served.stop();
    let refused = world.fails(2, &["serve", "--http", "127.0.0.1:0", "--exclude", "colour:red"]);
    assert!(refused.contains("`colour:` is not a selection method"), "{refused}");
}

#[test]
fn a_table_is_trimmed_to_its_view_beside_the_waves() {
    let world = ward();
    world.write(
        "models/recent.sql",
        "{{ config(materialized='incremental', incremental_strategy='append', meta={'wardlake': {'trimmed_to': 'newest'}}) }}
        select id, ward, _position as position from {{ changes(source('feed', 'events')) }}",
    );
    world.write(
        "models/newest.sql",
        "{{ config(materialized='view') }}
        select * from {{ ref('recent') }} qualify row_number() over (partition by id order by position desc) = 1",
    );
    let mut served = Served::start(&world, &[], &["http"]);
    let send = |served: &Served, number: u64| {
        let event = event(number % 3, &format!("w{number}"));
        assert_eq!(served.post("/ingest/feed/events", &[TOKEN], event.as_bytes()).status, 200);
        served.wait_until_shown("feed.events", number);
    };
    (1..=60).for_each(|number| send(&served, number));
    let upkeep = served.await_event(|event| event["event"] == "upkeep_finished" && event["trimmed"] != json!([]));
    assert_eq!(upkeep["trimmed"], json!(["main.recent"]));
    (61..=63).for_each(|number| send(&served, number));
    served.stop();
    let newest = world.sql("select ward from main.newest order by ward");
    let newest: Vec<&str> = newest.iter().map(|row| row["ward"].as_str()).collect();
    assert_eq!(newest, ["w61", "w62", "w63"]);
    // It had at least 40 rows when it was trimmed to three; those that came meanwhile stayed.
    let left = world.count("main.recent");
    assert!((6..=26).contains(&left), "{left} rows are left");
    assert_eq!(world.count("main.events"), 3);
}

/// Takes what is posted to a free port, from the third request on.
fn webhook() -> (SocketAddr, mpsc::Receiver<Value>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (send, taken) = mpsc::channel();
    std::thread::spawn(move || {
        for (request, stream) in listener.incoming().enumerate() {
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
            let status = if request < 2 { "503 Service Unavailable" } else { "200 OK" };
            let answer = format!("HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
            reader.get_mut().write_all(answer.as_bytes()).unwrap();
            if request >= 2 && send.send(serde_json::from_slice(&body).unwrap()).is_err() {
                return;
            }
        }
    });
    (address, taken)
}

#[test]
fn an_alert_is_told_once_when_it_is_raised_and_once_when_it_clears() {
    let world = ward();
    let (address, taken) = webhook();
    let alerts = format!(
        "webhooks: [\"http://{address}/{{{{ 'told' }}}}\"]
alerts:
  - {{name: lost, sql: select * from nowhere, key: [ward], when: 'true', message: lost}}
  - {{name: full, model: beds, key: [ward], value: beds, when: beds > 2, message: '{{ward}} has {{beds}}'}}
"
    );
    world.write("alerts.yml", &alerts);
    let mut served = Served::start(&world, &[], &["http"]);
    let send = |served: &Served, number: u64, beds: u64| {
        let event = json!({"id": "1", "ward": "a", "beds": beds}).to_string();
        assert_eq!(served.post("/ingest/feed/events", &[TOKEN], event.as_bytes()).status, 200);
        served.wait_until_shown("feed.events", number);
    };
    send(&served, 1, 3);
    served.await_event(|event| event["event"] == "alert" && event["notice"]["is_raised"] == true);
    send(&served, 2, 4);
    send(&served, 3, 1);
    served.await_event(|event| event["event"] == "alert" && event["notice"]["is_raised"] == false);
    // The webhook refused twice; what cleared waited for what was raised.
    let told = [(); 2].map(|()| taken.recv_timeout(Duration::from_secs(60)).unwrap());
    let told =
        told.each_ref().map(|notice| (notice["is_raised"].as_bool().unwrap(), notice["message"].as_str().unwrap()));
    assert_eq!(told, [(true, "a has 3"), (false, "a has 3")]);
    served.stop();
    let kept = world.sql("select alert, state, key, value from system.alerts order by told_at");
    let kept: Vec<String> =
        kept.iter().map(|row| format!("{} {} {}", row["alert"], row["state"], row["value"])).collect();
    assert_eq!(kept, ["full raised 3", "full cleared 3"]);
}

#[test]
fn requests_that_cannot_be_taken_say_why() {
    let world = ward();
    let served = Served::start(&world, &[], &["http"]);
    let post = |path: &str, headers: &[(&str, &str)], body: &[u8]| {
        let answer = served.post(path, headers, body);
        (answer.status, answer.json())
    };
    let ok = event(1, "a");
    assert_eq!(post("/ingest/feed/events", &[], ok.as_bytes()).0, 401);
    assert_eq!(post("/ingest/feed/events", &[("Authorization", "Bearer other")], ok.as_bytes()).0, 403);
    let (status, answer) = post("/ingest/feed/event", &[TOKEN], ok.as_bytes());
    assert_eq!((status, &answer["did_you_mean"]), (404, &json!("feed/events")));
    assert_eq!(post("/ingest/feed/lists", &[TOKEN], ok.as_bytes()).0, 404);
    let (status, answer) = post("/ingest/feed/events", &[TOKEN], format!("{ok}{{\"id\": Meier\n{ok}").as_bytes());
    assert_eq!((status, &answer["line"], &answer["reason"]), (400, &json!(2), &json!("invalid_json")));
    assert!(!answer.to_string().contains("Meier"), "no value of a row is told: {answer}");
    assert_eq!(post("/ingest/feed/events", &[TOKEN], b"").0, 400);
    assert_eq!(post("/ingest/feed/events", &[TOKEN, ("Content-Type", "image/png")], ok.as_bytes()).0, 415);
    assert_eq!(post("/ingest/feed/events", &[TOKEN, ("Content-Encoding", "br")], ok.as_bytes()).0, 415);
    assert_eq!(post("/ingest/feed/events", &[TOKEN, ("Content-Encoding", "gzip")], ok.as_bytes()).0, 400);
    assert_eq!(post("/ingest/feed/events", &[TOKEN], &vec![b'x'; 100_001]).0, 413);
    let mut bomb = GzEncoder::new(Vec::new(), Compression::best());
    bomb.write_all(&vec![b' '; 10_000_000]).unwrap();
    assert_eq!(post("/ingest/feed/events", &[TOKEN, ("Content-Encoding", "gzip")], &bomb.finish().unwrap()).0, 413);
    assert_eq!(served.get("/v1/stream/nothing").status, 404);

    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    packed.write_all(ok.as_bytes()).unwrap();
    let packed = packed.finish().unwrap();
    assert_eq!(post("/ingest/feed/events", &[TOKEN, ("Content-Encoding", "gzip")], &packed).1["first_row"], 1);
    let key = ("Idempotency-Key", "night shift 7");
    let first = post("/ingest/feed/events", &[TOKEN, key], event(2, "a").as_bytes()).1;
    assert_eq!(first, json!({"rows": 1, "first_row": 2, "repeated": false}));
    let again = post("/ingest/feed/events", &[TOKEN, key], event(2, "a").as_bytes()).1;
    assert_eq!(again, json!({"rows": 1, "first_row": 2, "repeated": true}));
    assert_eq!(post("/ingest/feed/events", &[TOKEN, key], event(3, "a").as_bytes()).0, 409);
    served.kill();

    // The key is known to the next server as well.
    let served = Served::start(&world, &[], &["http"]);
    let again = served.post("/ingest/feed/events", &[TOKEN, key], event(2, "a").as_bytes()).json();
    assert_eq!(again, json!({"rows": 1, "first_row": 2, "repeated": true}));
    served.wait_until_shown("feed.events", 2);
    served.stop();
    assert_eq!(world.count("bronze.events"), 2);
}

#[test]
fn senders_are_told_to_come_back_when_too_much_waits() {
    let world = ward();
    // Bronze cannot be loaded: a file stands where its folder belongs.
    let served = Served::start(&world, &["--max-waiting", "1"], &["http"]);
    served.post("/ingest/feed/events", &[TOKEN], event(1, "a").as_bytes());
    served.wait_until_shown("feed.events", 1);
    let log = world.path().join("lake/bronze/events/_delta_log");
    let aside = world.path().join("lake/bronze/events/aside");
    std::fs::rename(&log, &aside).unwrap();
    std::fs::write(&log, "").unwrap();
    let body: String = (2..900).map(|id| event(id, "a")).collect();
    let mut accepted = 0;
    let refused = loop {
        let answer = served.post("/ingest/feed/events", &[TOKEN], body.as_bytes());
        match answer.status {
            200 => accepted += 1,
            _ => break answer,
        }
        assert!(accepted < 1000, "nothing ever said stop");
    };
    assert_eq!(refused.status, 429, "{refused:?}");
    assert!(refused.headers.to_lowercase().contains("retry-after: 1"), "{refused:?}");
    std::fs::remove_file(&log).unwrap();
    std::fs::rename(&aside, &log).unwrap();
    served.wait_until_shown("feed.events", 1 + accepted * 898);
    served.stop();
    assert_eq!(world.count("bronze.events"), 1 + accepted * 898);
    assert_eq!(world.count("main.events"), 899);
}

#[test]
fn files_are_picked_up_once_when_they_are_complete() {
    let world = ward();
    world.write("inbox/lists_0.csv", "ward,name\na,North\n");
    let mut served = Served::start(&world, &["--refresh", "1"], &["http"]);
    served.await_event(|event| event["event"] == "file_loaded");
    for number in 1..=40 {
        world.write(&format!("inbox/.lists_{number}.tmp"), format!("ward,name\nw{number},Ward {number}\n"));
        let from = world.path().join(format!("inbox/.lists_{number}.tmp"));
        std::fs::rename(from, world.path().join(format!("inbox/lists_{number}.csv"))).unwrap();
    }
    let mut seen = std::collections::BTreeSet::new();
    while seen.len() < 40 {
        let event = served.await_event(|event| event["event"] == "file_loaded");
        assert!(seen.insert(event["load"]["file"].as_str().unwrap().to_owned()), "loaded twice: {event}");
    }
    // One that is still being written waits until it is closed.
    let mut slow = std::fs::File::create(world.path().join("inbox/lists_slow.csv")).unwrap();
    slow.write_all(b"ward,name\ns1,Slow").unwrap();
    slow.sync_all().unwrap();
    slow.write_all(b" One\ns2,Slow Two\n").unwrap();
    drop(slow);
    let event = served.await_event(|event| event["event"] == "file_loaded");
    assert_eq!(event["load"]["inserted"], 2, "{event}");
    served.stop();
    assert_eq!(world.count("bronze.lists"), 43);
    let loads = world.value("select count(distinct run_id) as n from system.runs where command = 'ingest'");
    assert!(loads.parse::<u64>().unwrap() > 1, "each load is a run of its own, with its own records: {loads}");
    assert_eq!(
        world.value("select count(*) as n from (select _file from bronze.lists group by 1 having count(*) > 2)"),
        "0"
    );
}
