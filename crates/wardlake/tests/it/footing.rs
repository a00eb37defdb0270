//! What a server stands on: one owner per lake, loading that waits for no model, a journal that survives damage.

use std::{fs, path::PathBuf};

use serde_json::{Value, json};

use crate::{serve::ward, served::Served, world::World};

const TOKEN: (&str, &str) = ("Authorization", "Bearer secret");

fn event(id: u64) -> String {
    format!("{}\n", json!({"id": id.to_string(), "ward": "a", "beds": "1"}))
}

fn post(served: &Served, id: u64) {
    let answer = served.post("/ingest/feed/events", &[TOKEN], event(id).as_bytes());
    assert_eq!(answer.status, 200, "{answer:?}");
}

/// The journal of the ward's feed.
fn journal(world: &World) -> PathBuf {
    let lake = walk(world.path()).into_iter().find(|path| path.ends_with("_landing/intake/feed.events"));
    lake.expect("the feed has a journal")
}

fn walk(folder: &std::path::Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(walk(&path));
        }
        found.push(path);
    }
    found
}

#[test]
fn a01_a_second_server_of_a_lake_is_refused_and_told_who_has_it() {
    let world = ward();
    let first = Served::start(&world, &[], &["http"]);
    post(&first, 1);
    let refused = world.fails(2, &["serve", "--http", "127.0.0.1:0"]);
    assert!(refused.contains("is served by process") && refused.contains("--standby"), "{refused}");
    // Journals of another lake's server in the same folder are one journal as well.
    let other = ward();
    let folder = other.path().join("journals");
    let folder = folder.to_str().unwrap();
    let second = Served::start(&other, &["--journal", folder], &["http"]);
    let third = ward();
    let refused = third.fails(2, &["serve", "--http", "127.0.0.1:0", "--journal", folder]);
    assert!(refused.contains("is served by process"), "{refused}");
    post(&second, 1);
    // Other commands stay allowed, and a killed owner's lake is free at once.
    assert_eq!(world.ok(&["sql", "select 1 as n", "--format", "csv"]), "n\n1\n");
    first.kill();
    let again = Served::start(&world, &[], &["http"]);
    post(&again, 2);
    again.wait_until_shown("feed.events", 2);
    again.stop();
    second.stop();
    assert_eq!(world.count("bronze.events"), 2);
}

#[test]
fn a01_a_standby_serves_when_the_owner_ends() {
    let world = ward();
    let first = Served::start(&world, &[], &["http"]);
    post(&first, 1);
    let mut standby = Served::start(&world, &["--standby"], &["http"]);
    let answer = standby.get("/ready");
    assert_eq!(answer.status, 503, "{answer:?}");
    assert!(answer.body.contains("is served by process"), "{answer:?}");
    assert_eq!(standby.post("/ingest/feed/events", &[TOKEN], event(2).as_bytes()).status, 503);
    first.kill();
    standby
        .await_event(|event| event["event"] == "message" && event["text"].as_str().unwrap().contains("owns the lake"));
    standby.wait_for("it to serve", |status| status["feeds"].is_array());
    standby.wait_until_shown("feed.events", 1);
    assert_eq!(standby.get("/ready").status, 200);
    post(&standby, 2);
    standby.wait_until_shown("feed.events", 2);
    standby.stop();
    assert_eq!(world.count("bronze.events"), 2);
}

/// A second table that takes requests, and a model on it that fails for one value.
const OTHER: &str = r#"
version: 2
sources:
  - name: lab
    schema: bronze
    tables:
      - name: results
        config: {meta: {wardlake: {http: {token: secret}, format: {type: ndjson}}}}
        columns: [{name: n}]
"#;
const FAILING: &str = "{{ config(materialized='incremental') }}
select cast(n as integer) as n, _position as position from {{ changes(source('lab', 'results')) }}";
const BELOW: &str = "{{ config(materialized='incremental') }}
select n from {{ changes(ref('results')) }}";

fn status_of<'s>(status: &'s Value, table: &str) -> &'s Value {
    status["feeds"].as_array().unwrap().iter().find(|feed| feed["table"] == table).unwrap()
}

#[test]
fn a03_a_model_that_fails_stops_alone_and_is_tried_at_its_pace() {
    let world = ward();
    world.write("sources/lab.yml", OTHER);
    world.write("models/results.sql", FAILING);
    world.write("models/below.sql", BELOW);
    let served = Served::start(&world, &[], &["http"]);
    let send = |n: &str| {
        let body = format!("{}\n", json!({"n": n}));
        assert_eq!(served.post("/ingest/lab/results", &[TOKEN], body.as_bytes()).status, 200);
    };
    send("1");
    served.wait_until_shown("lab.results", 1);
    send("x");
    let status = served.wait_for("the model to stand still", |status| {
        status["stopped_models"].as_array().is_some_and(|models| !models.is_empty())
    });
    let stopped = &status["stopped_models"][0];
    assert_eq!(stopped["unique_id"], "model.ward.results");
    assert_eq!(stopped["holds_up"], json!(["model.ward.below"]));
    assert!(!stopped["cause"].as_str().unwrap().is_empty());
    // Other deliveries are taken, loaded and shown, its own are loaded, and nobody asks it again and again.
    let tries = |status: &Value| status["stopped_models"][0]["tries"].as_u64().unwrap();
    for id in 1..=200 {
        post(&served, id);
        send("2");
    }
    served.wait_until_shown("feed.events", 200);
    let status =
        served.wait_for("its table to be loaded", |status| status_of(status, "lab.results")["rows_loaded"] == 202);
    assert!(tries(&status) < 20, "{status}");
    served.stop();
    assert_eq!(world.count("main.events"), 200);
    assert_eq!((world.count("bronze.results"), world.count("main.results"), world.count("main.below")), (202, 1, 1));
    // Mended, it takes all that waited, once.
    world.write("models/results.sql", FAILING.replace("cast(n", "try_cast(n"));
    let served = Served::start(&world, &[], &["http"]);
    served.wait_for("the model to go through", |status| status["waves"].as_u64() > Some(0));
    served.stop();
    assert_eq!((world.count("main.results"), world.count("main.below")), (202, 202));
}

#[test]
fn a03_a_model_goes_on_by_itself_when_its_cause_is_gone() {
    let world = ward();
    // Fails for as long as the list is empty.
    world.write(
        "models/shares.sql",
        "{{ config(materialized='incremental') }}
select id, 100 / (select count(*) from {{ source('feed', 'lists') }}) as share from {{ changes(source('feed', 'events')) }}",
    );
    let served = Served::start(&world, &[], &["http"]);
    post(&served, 1);
    served.wait_for("the model to stand still", |status| {
        status["stopped_models"].as_array().is_some_and(|models| !models.is_empty())
    });
    post(&served, 2);
    world.write("inbox/.lists_1.csv", "ward,name\na,Intensive\n");
    fs::rename(world.path().join("inbox/.lists_1.csv"), world.path().join("inbox/lists_1.csv")).unwrap();
    served.wait_for("the model to go on", |status| {
        status["stopped_models"].as_array().is_some_and(Vec::is_empty) && status["waves"].as_u64() > Some(0)
    });
    served.stop();
    assert_eq!(world.count("main.shares"), 2);
}

/// Waves that take longer than what is loaded beside them, and deliveries all the while: some load is always under way when a wave ends.
#[test]
fn a03_what_is_delivered_during_slow_waves_is_loaded_beside_them() {
    let world = ward();
    world.write(
        "models/slow.sql",
        "{{ config(materialized='incremental') }}
select id, (select count(*) from generate_series(1, 200000) as a(x) cross join generate_series(1, 20000) as b(y)
    where x % 7 = y % 5) as n
from {{ changes(source('feed', 'events')) }}",
    );
    let served = Served::start(&world, &[], &["http"]);
    let mut sent = 0;
    let waves = |status: &Value| status["waves"].as_u64().unwrap();
    let first = waves(&served.get("/v1/status").json());
    loop {
        for _ in 0..20 {
            sent += 1;
            post(&served, sent);
        }
        if waves(&served.get("/v1/status").json()) >= first + 4 {
            break;
        }
    }
    let status = served.wait_until_shown("feed.events", sent);
    assert!(status["last_wave_ms"].as_u64() > Some(1000), "the waves are not slow: {status}");
    served.stop();
    assert_eq!((world.count("bronze.events"), world.count("main.slow")), (sent, sent));
}

#[test]
fn a05_a_damaged_journal_is_told_and_all_else_of_it_is_loaded() {
    let world = ward();
    // Nothing is loaded: the server ends as it has answered.
    let served = Served::start(&world, &[], &["http"]);
    (1..=3).for_each(|id| post(&served, id));
    served.wait_until_shown("feed.events", 3);
    served.kill();
    let segment = fs::read_dir(journal(&world)).unwrap().map(|entry| entry.unwrap().path());
    let segment = segment.into_iter().find(|path| path.extension().is_some_and(|end| end == "journal")).unwrap();
    let whole = fs::read(&segment).unwrap();
    // As if bronze had none of it.
    fs::remove_dir_all(walk(world.path()).into_iter().find(|path| path.ends_with("bronze/events")).unwrap()).unwrap();
    let mut bytes = whole.clone();
    let place = bytes.windows(7).position(|part| part == b"\"id\":\"2").unwrap();
    bytes[place + 6] ^= 0x40;
    fs::write(&segment, bytes).unwrap();
    let served = Served::start(&world, &[], &["http"]);
    let status = served.wait_for("the rest to be loaded", |status| status["feeds"][0]["rows_loaded"] == 3);
    assert_eq!(status["feeds"][0]["damage"][0]["rows"], json!({"start": 2, "end": 3}));
    post(&served, 4);
    served.wait_until_shown("feed.events", 4);
    served.stop();
    let rows = world.sql("select id from bronze.events order by id");
    assert_eq!(rows.iter().map(|row| row["id"].as_str()).collect::<Vec<_>>(), ["1", "3", "4"]);
    let damage = world.sql("select kind, first_row, end_row, is_in_bronze from system.damage");
    assert_eq!(
        (damage.len(), damage[0]["kind"].as_str(), damage[0]["first_row"].as_str()),
        (1, "unreadable_frames", "2")
    );
    assert_eq!(damage[0]["is_in_bronze"], "false");
    // It is told once.
    Served::start(&world, &[], &["http"]).stop();
    assert_eq!(world.count("system.damage"), 1);
}

const NAMES: &str = "select ward, name from {{ source('feed', 'lists') }}";

fn list(world: &World, name: &str) {
    world.write(&format!("inbox/lists_{name}.csv"), format!("ward,name\n{name},Ward {name}\n"));
    world.ok(&["ingest"]);
}

fn newest_epoch(world: &World) -> String {
    let epochs = world.ok(&["epochs", "list"]);
    epochs.split_whitespace().next().unwrap().to_owned()
}

#[test]
fn a09_a_build_that_fails_touches_nothing_that_an_epoch_shows() {
    let world = ward();
    list(&world, "a");
    world.ok(&["build"]);
    let epoch = newest_epoch(&world);
    // A table becomes a view, and a view a table, in a build whose gates fail.
    world.write("models/names.sql", format!("{{{{ config(materialized='view') }}}}\n{NAMES}"));
    world.write(
        "models/beds.sql",
        "{{ config(materialized='table') }}\nselect ward, sum(beds) as beds from {{ ref('events') }} group by ward",
    );
    world.write("models/broken.sql", "select cast('x' as integer) as n from {{ ref('names') }}");
    world.write("models/tests.yml", "models:\n  - name: broken\n    config: {materialized: table}\n");
    world.fails(1, &["build"]);
    for which in [&[][..], &["--epoch", &epoch]] {
        let read = |table: &str| world.ok(&[&["sql", table, "--format", "csv"], which].concat());
        assert_eq!(read("select count(*) as n from main.names"), "n\n1\n");
        assert_eq!(read("select count(*) as n from main.beds"), "n\n0\n");
    }
    fs::remove_file(world.path().join("models/broken.sql")).unwrap();
    fs::remove_file(world.path().join("models/tests.yml")).unwrap();
    list(&world, "b");
    world.ok(&["build"]);
    assert_eq!((world.count("main.names"), world.count("main.beds")), (2, 0));
    assert_eq!(
        world.ok(&["sql", "select count(*) as n from main.names", "--epoch", &epoch, "--format", "csv"]),
        "n\n1\n"
    );
}

#[test]
fn a12_a_rollback_holds_until_something_else_is_built() {
    let world = ward();
    list(&world, "a");
    world.ok(&["build"]);
    let good = newest_epoch(&world);
    let names = |condition: &str| {
        world.write("models/names.sql", format!("{{{{ config(materialized='table') }}}}\n{NAMES} where {condition}"));
    };
    names("1 = 0");
    world.ok(&["build"]);
    assert_eq!(world.count("main.names"), 0);
    world.ok(&["epochs", "rollback", &good]);
    for _ in 0..2 {
        let told = world.ok(&["build"]);
        assert!(told.contains("a rollback holds"), "{told}");
        assert_eq!(world.count("main.names"), 1);
    }
    // What is built otherwise is shown.
    names("ward <> 'z'");
    world.ok(&["build"]);
    assert_eq!(world.count("main.names"), 1);
    list(&world, "b");
    world.ok(&["build"]);
    assert_eq!(world.count("main.names"), 2);
}
