//! Withheld rows beside deaths, failures and other writers: every row is in its model's table or in the quarantine, once, and every
//! decision about it stands.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Stdio,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
    time::Duration,
};

use serde_json::{Value, json};

use crate::{
    crash::{kill_while_sending, messages},
    served::{POLL, Served, request},
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
              FED
        columns: [{name: id}, {name: ward}, {name: beds}]
"#;
const FILES: &str = "path: 'landing/events_*.csv'";
const POSTS: &str = "{http: {token: secret}, format: {type: ndjson}}";

const EVENTS: &str = "{{ config(materialized='incremental') }}
select
    id,
    ward,
    try_cast(beds as bigint) as beds,
    beds as _raw_beds,
    _source as _raw__source,
    _file as _raw__file,
    _position as _raw__position,
    _batch_id as _raw__batch_id,
    _row_hash as _raw__row_hash
from {{ changes(source('feed', 'events')) }}
";

fn properties(expectation: &str) -> String {
    format!(
        "version: 2
models:
  - name: events
    config:
      meta:
        wardlake:
          input: source('feed', 'events')
          row_key: id
          expectations:
            - {expectation}
"
    )
}

/// A project with one model that takes only what is new, and withholds rows whose beds are no number.
fn world(fed: &str) -> World {
    let world = World::empty();
    world.write("dbt_project.yml", "name: withheld\nversion: '1.0'\nmodel-paths: [models, sources]\n");
    world.write("sources/feed.yml", SOURCE.replace("FED", fed));
    world.write("macros/changes.sql", "{% macro changes(relation) %}{{ relation }}{% endmacro %}");
    world.write("models/events.sql", EVENTS);
    world.write("models/events.yml", properties("typed: beds"));
    world
}

/// A file of events, of which those with a mark are to be withheld, on its way to the models.
fn deliver(world: &World, number: u64, events: &[(u64, bool)]) {
    let line = |(id, is_bad): &(u64, bool)| format!("{id},a,{}\n", if *is_bad { "many" } else { "1" });
    let lines: String = events.iter().map(line).collect();
    world.write(&format!("landing/events_{number:02}.csv"), format!("id,ward,beds\n{lines}"));
    world.ok(&["ingest"]);
}

fn log_entry(world: &World, table: &str, version: u64) -> PathBuf {
    world.path().join(format!("lake/{table}/_delta_log/{version:020}.json"))
}

/// What is put aside for the quarantine and not written down there.
fn aside(world: &World) -> usize {
    std::fs::read_dir(world.path().join("lake/_withheld/main/events")).map_or(0, Iterator::count)
}

/// Every id from 1 to `ids` is in the table or withheld, once.
fn assert_each_once(world: &World, ids: u64) {
    let all = "select id, 'table' as place from main.events \
               union all select row_key as id, state as place from quarantine.events where state <> 'released'";
    let wrong = format!("select id, count(*) as n from ({all}) as found group by id having count(*) <> 1");
    assert_eq!(world.sql(&wrong), [], "ids that are there more than once");
    assert_eq!(world.value(&format!("select count(*) as n from ({all}) as found")), ids.to_string());
    let open = world.sql("select raw from quarantine.events where raw is null or raw not like '%many%'");
    assert_eq!(open, [], "withheld rows are kept as they came");
}

fn states(world: &World) -> Vec<String> {
    let rows = world.sql("select row_key, state from quarantine.events order by cast(row_key as bigint)");
    rows.iter().map(|row| format!("{} {}", row["row_key"], row["state"])).collect()
}

/// A commit cannot be made while a folder stands in its place.
fn block(entry: &Path) {
    std::fs::create_dir_all(entry).unwrap();
}

#[test]
fn a14_rows_whose_quarantine_failed_are_there_after_the_next_build() {
    let world = world(FILES);
    deliver(&world, 1, &[(1, false), (2, true)]);
    world.ok(&["build"]);
    let next = log_entry(&world, "quarantine/events", 1);
    block(&next);
    deliver(&world, 2, &[(3, false), (4, true), (5, true)]);
    world.fails(1, &["build"]);
    assert!(log_entry(&world, "main/events", 1).exists(), "the model's own commit was made");
    assert_eq!(states(&world), ["2 open"]);
    // More that comes meanwhile changes nothing about it.
    deliver(&world, 3, &[(6, true)]);
    world.fails(1, &["build"]);
    std::fs::remove_dir(next).unwrap();
    world.ok(&["build"]);
    assert_each_once(&world, 6);
    assert_eq!(states(&world), ["2 open", "4 open", "5 open", "6 open"]);
    assert_eq!(aside(&world), 0);
    let accounted = "select sum(rows_in) as i, sum(rows_out) as o, sum(rows_quarantined) as q from system.accounting";
    let accounted = &world.sql(accounted)[0];
    assert_eq!(["i", "o", "q"].map(|name| accounted[name].as_str()), ["6", "2", "4"]);
    // Nothing is left that a further build would do again.
    world.ok(&["build"]);
    world.ok(&["build", "--full-refresh"]);
    assert_each_once(&world, 6);
}

#[test]
fn a14_rows_of_a_first_build_are_there_as_well() {
    let world = world(FILES);
    deliver(&world, 1, &[(1, false), (2, true)]);
    let first = log_entry(&world, "quarantine/events", 0);
    block(&first);
    world.fails(1, &["build"]);
    assert!(log_entry(&world, "main/events", 0).exists(), "the model's own commit was made");
    std::fs::remove_dir(first).unwrap();
    world.ok(&["build"]);
    assert_each_once(&world, 2);
    assert_eq!(aside(&world), 0);
}

#[test]
fn a14_a_server_that_dies_between_its_commits_makes_the_second_on_its_next_start() {
    let world = world(POSTS);
    let served = Served::start(&world, &[], &["http"]);
    post(served.http, 1, false);
    post(served.http, 2, true);
    served.wait_until_shown("feed.events", 2);
    served.stop();
    let version = (0..).find(|version| !log_entry(&world, "quarantine/events", *version).exists()).unwrap();
    let next = log_entry(&world, "quarantine/events", version);
    block(&next);
    let served = Served::start(&world, &[], &["http"]);
    post(served.http, 3, true);
    post(served.http, 4, false);
    let stands_still = |status: &Value| status["stopped_models"].as_array().is_some_and(|models| !models.is_empty());
    served.wait_for("the model to stand still", stands_still);
    assert!(aside(&world) > 0);
    served.kill();
    std::fs::remove_dir(next).unwrap();
    let served = Served::start(&world, &[], &["http"]);
    served.wait_until_shown("feed.events", 4);
    served.stop();
    assert_each_once(&world, 4);
    assert_eq!(aside(&world), 0);
}

/// Builds that are killed within 40 ms of their model's commit.
const KILLS: u64 = 8;

#[test]
fn a14_builds_killed_behind_the_models_commit_lose_no_row() {
    let world = world(FILES);
    deliver(&world, 0, &[(1, false), (2, true)]);
    world.ok(&["build"]);
    // A fixed sequence: a failure can be repeated.
    let mut random: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut microseconds = move || {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random % 40_000
    };
    for kill in 1..=KILLS {
        let id = 3 * kill;
        deliver(&world, kill, &[(id, false), (id + 1, true), (id + 2, true)]);
        let mut build = world.spawn(&["build"]);
        let committed = log_entry(&world, "main/events", kill);
        while !committed.exists() && build.try_wait().unwrap().is_none() {
            thread::sleep(Duration::from_millis(1));
        }
        // The moment of the kill, not a wait for anything.
        thread::sleep(Duration::from_micros(microseconds()));
        build.kill().unwrap();
        build.wait().unwrap();
        assert!(committed.exists(), "build {kill} ended before its commit");
    }
    world.ok(&["build"]);
    assert_each_once(&world, 3 * KILLS + 2);
    assert_eq!(aside(&world), 0);
}

const TOKEN: (&str, &str) = ("Authorization", "Bearer secret");

fn event(id: u64, is_bad: bool) -> String {
    format!("{}\n", json!({"id": id.to_string(), "ward": "a", "beds": if is_bad { "many" } else { "1" }}))
}

fn post(to: SocketAddr, id: u64, is_bad: bool) {
    let answer = request(to, "POST", "/ingest/feed/events", &[TOKEN], event(id, is_bad).as_bytes()).unwrap();
    assert_eq!(answer.status, 200, "{answer:?}");
}

/// Every third event is withheld.
fn send_all(to: SocketAddr, numbers: &mut dyn Iterator<Item = u64>, acknowledged: &AtomicU64) {
    for number in numbers {
        let (key, body) = (format!("event {number}"), event(number + 1, number % 3 == 0));
        let headers = [TOKEN, ("Idempotency-Key", key.as_str())];
        loop {
            match request(to, "POST", "/ingest/feed/events", &headers, body.as_bytes()) {
                Ok(answer) if answer.status == 200 => break,
                // Nobody is there, or the answer was lost: ask again, as any sender does.
                Ok(answer) if answer.status >= 500 || answer.status == 429 => thread::sleep(POLL),
                Err(_) => thread::sleep(POLL),
                Ok(answer) => panic!("event {number} was refused: {answer:?}"),
            }
        }
        acknowledged.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn a14_a_server_killed_at_any_moment_accounts_for_every_row() {
    let world = world(POSTS);
    kill_while_sending(&world, "--http", "feed.events", send_all);
    assert_each_once(&world, messages());
    let withheld = world.value("select count(*) as n from quarantine.events where state = 'open'");
    assert_eq!(withheld, messages().div_ceil(3).to_string());
}

#[test]
fn a14_what_only_refused_runs_withheld_is_settled_by_the_next_that_passes() {
    let world = world(FILES);
    deliver(&world, 1, &[(1, false)]);
    world.ok(&["build"]);
    world.write("models/events.yml", properties("{typed: beds, threshold: 1}"));
    deliver(&world, 2, &[(2, true), (3, true)]);
    world.fails(1, &["build"]);
    assert_eq!(states(&world), ["2 open", "3 open"], "people see what the gate did not let through");
    // The same rows again, and this time the table is written: they are withheld for good.
    world.write("models/events.yml", properties("{typed: beds, threshold: 5}"));
    world.ok(&["build"]);
    deliver(&world, 3, &[(4, false)]);
    world.ok(&["build"]);
    assert_each_once(&world, 4);
    assert_eq!(states(&world), ["2 open", "3 open"]);
    // And again, and the rule is what gives way: they are in the table, and not withheld.
    world.write("models/events.yml", properties("{typed: beds, threshold: 1}"));
    deliver(&world, 4, &[(5, true), (6, true)]);
    world.fails(1, &["build"]);
    assert_eq!(states(&world), ["2 open", "3 open", "5 open", "6 open"]);
    world.write("models/events.yml", properties("{typed: beds, action: warn}"));
    world.ok(&["build"]);
    assert_each_once(&world, 6);
    assert_eq!(states(&world), ["2 open", "3 open", "5 released", "6 released"]);
}

#[test]
fn a14_a_view_that_a_dead_run_left_behind_is_not_taken_for_the_projects() {
    let world = World::empty();
    world.write("dbt_project.yml", "name: views\nversion: '1.0'\n");
    world.write("models/v.sql", "{{ config(materialized='view') }} select 1 as n");
    world.ok(&["build"]);
    // As if a build of another query had died before its end.
    let view = world.path().join("lake/_views/main/v.json");
    let text = std::fs::read_to_string(&view).unwrap();
    assert!(text.contains("select 1 as n"), "{text}");
    std::fs::write(&view, text.replace("select 1 as n", "select 2 as n")).unwrap();
    world.ok(&["build"]);
    assert_eq!(world.value("select n from main.v"), "1");
}

/// Says that it is over when it goes.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

#[test]
fn a15_decisions_beside_a_server_lose_nothing() {
    /// Events with even ids are withheld; the first of them are decided about.
    const DECIDED: u64 = 12;
    let world = world(POSTS);
    let served = Served::start(&world, &[], &["http"]);
    let (is_over, sent) = (AtomicBool::new(false), AtomicU64::new(0));
    thread::scope(|scope| {
        let to = served.http;
        let (is_over, sent) = (&is_over, &sent);
        // The sender ends however this does.
        let _over = Over(is_over);
        scope.spawn(move || {
            while !is_over.load(Ordering::Acquire) {
                let id = sent.load(Ordering::Relaxed) + 1;
                post(to, id, id % 2 == 0);
                sent.store(id, Ordering::Release);
                // A rate at which nearly every wave has a row to withhold.
                thread::sleep(POLL);
            }
        });
        served.wait_until_shown("feed.events", 2 * DECIDED);
        for id in (2..=2 * DECIDED).step_by(2) {
            let row = format!("row_key = '{id}'");
            let printed = match id % 4 {
                0 => world.ok(&["quarantine", "dismiss", "events", "--where", &row, "--reason", "a test"]),
                _ => {
                    let correct = ["quarantine", "fix", "events", "--set", "beds = '1'", "--reason", "asked"];
                    world.ok(&[&correct[..], &["--where", row.as_str()]].concat())
                }
            };
            let is_done = ["1 row of events: dismissed", "Corrected 1 cell in 1 row"];
            assert!(is_done.iter().any(|done| printed.starts_with(done)), "{id}: {printed}");
        }
    });
    let sent = sent.into_inner();
    served.wait_until_shown("feed.events", sent);
    served.stop();
    world.ok(&["build"]);
    let wanted: Vec<String> = (2..=sent)
        .step_by(2)
        .map(|id| match (id <= 2 * DECIDED, id % 4) {
            (true, 0) => format!("{id} dismissed"),
            (true, _) => format!("{id} fixed"),
            (false, _) => format!("{id} open"),
        })
        .collect();
    assert_eq!(states(&world), wanted);
    let fixed = DECIDED / 2;
    assert_eq!(world.count("main.events"), sent.div_ceil(2) + fixed);
    assert_eq!(world.value("select count(distinct id) as n from main.events"), (sent.div_ceil(2) + fixed).to_string());
    let actions = "select action, count(distinct quarantine_id) as n from system.quarantine_actions group by action";
    let actions = world.sql(actions);
    assert!(actions.len() == 2 && actions.iter().all(|row| row["n"] == (DECIDED / 2).to_string()), "{actions:?}");
}

#[test]
fn a15_decisions_of_several_people_at_once_all_stand() {
    let world = world(FILES);
    let events: Vec<(u64, bool)> = (1..=8).map(|id| (id, true)).collect();
    deliver(&world, 1, &events);
    world.ok(&["build"]);
    let people: Vec<_> = (1..=6)
        .map(|id| {
            let row = format!("row_key = '{id}'");
            let dismiss = ["quarantine", "dismiss", "events", "--where", row.as_str(), "--reason", "a test"];
            world.command(&dismiss).stdout(Stdio::piped()).spawn().unwrap()
        })
        .collect();
    for person in people {
        let output = person.wait_with_output().unwrap();
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success() && printed.starts_with("1 row of events: dismissed"), "{printed}");
    }
    let wanted: Vec<String> =
        (1..=8).map(|id| format!("{id} {}", if id <= 6 { "dismissed" } else { "open" })).collect();
    assert_eq!(states(&world), wanted);
    assert_eq!(world.count("system.quarantine_actions"), 6);
}
