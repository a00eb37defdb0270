//! What a lake that serves for years lets go: rows past their retention, epochs beyond what they may hold, files, with a grace that no clock
//! breaks. And what a server does while its disk has too little room.

use std::{
    fs, thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::{
    faults::{Clock, Disk},
    mllp::{Sender, admission, clinic, verdict},
    serve::ward,
    served::{POLL, Served},
    world::World,
};

const PATIENCE: Duration = Duration::from_secs(120);
const TOKEN: (&str, &str) = ("Authorization", "Bearer secret");

/// Loads another file and builds what is made of it.
fn night(world: &World, number: u32) {
    world.write(&format!("inbox/lists_{number:02}.csv"), format!("ward,name\nw{number},Ward {number}\n"));
    world.ok(&["ingest"]);
    world.ok(&["build"]);
}

/// Numbers of the epochs, newest first, and which of them are pinned for what.
fn epochs(world: &World) -> Vec<(u64, Value)> {
    let list = world.ok(&["epochs", "list", "--json"]);
    let epochs = list.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    epochs.map(|epoch| (epoch["number"].as_u64().unwrap(), epoch["pinned"]["note"].clone())).collect()
}

fn data_files(world: &World, table: &str) -> usize {
    let entries = fs::read_dir(world.path().join("lake").join(table)).unwrap();
    entries.filter(|entry| entry.as_ref().unwrap().path().extension().is_some_and(|end| end == "parquet")).count()
}

#[test]
fn rows_of_the_lakes_own_tables_go_with_age_and_decisions_stay() {
    let Some(clock) = Clock::of_its_own() else { return };
    let world = clock.drives(ward()).env("NO_FAKE_STAT", "1");
    world.write(
        "wardlake.yml",
        "retention: {system: never, runs: 30}\ntargets:\n  dev: {lake: lake, retention: {accounting: 7}}\n",
    );
    night(&world, 0);
    let of_first = world.count("system.runs");
    assert!(of_first >= 2, "{of_first} runs");
    // Ledgers that only name runs forget them, those by which files and decisions count once do not.
    let forgets = |table: &str| {
        let first = world.path().join(format!("lake/system/{table}/_delta_log/00000000000000000000.json"));
        fs::read_to_string(first).unwrap().contains("delta.setTransactionRetentionDuration")
    };
    assert_eq!(["runs", "run_nodes", "load_log"].map(forgets), [true, true, false]);
    clock.set("+20d");
    night(&world, 1);
    let (runs, nodes) = (world.count("system.runs"), world.count("system.run_nodes"));
    // A clock that has just jumped makes no row old: somebody may put it right.
    clock.set("+35d");
    world.ok(&["maintain"]);
    assert_eq!(world.count("system.runs"), runs, "no pass of an hour ago saw them old");
    clock.set("+36d");
    let told = world.ok(&["maintain", "--dry-run"]);
    assert!(told.contains(&format!("{of_first} of system.runs")) && !told.contains("run_nodes"), "{told}");
    assert_eq!(world.count("system.runs"), runs, "a dry run deletes nothing");
    let told = world.ok(&["maintain"]);
    assert!(told.contains(&format!("{of_first} of system.runs")), "{told}");
    assert_eq!(world.count("system.runs"), runs - of_first);
    assert_eq!((world.count("system.run_nodes"), world.count("system.load_log")), (nodes, 2));
    assert!(!world.ok(&["maintain"]).contains("retention"), "once");
    // What is loaded is known for ever: the files come in once.
    clock.set("+900d");
    world.ok(&["maintain"]);
    world.ok(&["ingest"]);
    assert_eq!((world.count("bronze.lists"), world.count("system.load_log")), (2, 2));
}

#[test]
fn slips_in_what_is_kept_are_told_with_their_place() {
    let world = ward();
    for (text, place, says) in [
        ("min_free: much\n", "wardlake.yml:1:11", "`min_free` must be a size"),
        ("retention:\n  runs: 0\n", "wardlake.yml:2:9", "`retention.runs` must be a number of days"),
        ("targets:\n  dev:\n    lake: lake\n    retention: {load_log: 3}\n", "wardlake.yml:4:17", "stay for ever"),
        ("targets:\n  dev:\n    lake: lake\n    epochs: {keep_byte: 3}\n", "wardlake.yml:4:14", "`keep_bytes`"),
    ] {
        world.write("wardlake.yml", text);
        let printed = world.fails(2, &["parse", "--log-format", "json"]);
        let mut events = printed.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let problem = events.find(|event| event["event"] == "problem").unwrap_or_else(|| panic!("{printed}"));
        let found = format!("{}:{}:{}", problem["file"].as_str().unwrap(), problem["line"], problem["column"]);
        assert!(found == place && problem.to_string().contains(says), "{text}: {found}: {problem}");
    }
}

#[test]
fn the_schema_of_wardlake_yml_knows_what_is_kept() {
    let file = crate::world::repository().join("schemas/wardlake.schema.json");
    let schema: Value = serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let settings = json!({
        "retention": {"system": 30, "run_nodes": "never"},
        "min_free": "2GiB",
        "targets": {"prod": {"lake": "x", "epochs": {"keep_bytes": 1}, "retention": {"alerts": 400}}},
    });
    assert!(validator.is_valid(&settings));
    assert!(!validator.is_valid(&json!({"retention": {"load_log": 30}})));
    let known = schema["$defs"]["retention"]["properties"].as_object().unwrap();
    let wanted: Vec<&str> = wardlake_project::RETAINED.iter().map(|(name, _)| *name).collect();
    assert_eq!(known.keys().filter(|key| *key != "system").collect::<Vec<_>>(), wanted);
}

#[test]
fn c02_pinned_epochs_stay_and_the_oldest_go_beyond_the_bound() {
    let Some(clock) = Clock::of_its_own() else { return };
    let world = clock.drives(ward()).env("NO_FAKE_STAT", "1");
    night(&world, 0);
    let pinned = epochs(&world)[0].0;
    let pinned_text = pinned.to_string();
    world.ok(&["epochs", "pin", &pinned_text, "--note", "annual report"]);
    assert!(world.fails(2, &["epochs", "pin", "999"]).contains("there is no epoch 999"));
    for number in 1..4 {
        clock.set(&format!("+{number}d"));
        night(&world, number);
    }
    clock.set("+4d");
    world.ok(&["maintain"]);
    let before = epochs(&world);
    assert!(before.len() >= 4, "without a bound each day's stays: {before:?}");
    world.write("wardlake.yml", "epochs: {keep_bytes: 1}\n");
    world.ok(&["maintain"]);
    let left = epochs(&world);
    assert!(left.len() < before.len() && left[0] == before[0], "{before:?} became {left:?}");
    assert!(left.contains(&(pinned, json!("annual report"))), "{left:?}");
    assert!(world.ok(&["epochs", "list"]).contains("(pinned: annual report)"));
    let count = "select count(*) as n from main.names";
    let shown = |world: &World| world.ok(&["sql", count, "--epoch", &pinned_text, "--format", "csv"]);
    // Two months and several passes later it still reads.
    for day in [60, 61, 62] {
        clock.set(&format!("+{day}d"));
        world.ok(&["maintain"]);
    }
    assert_eq!(shown(&world), "n\n1\n");
    world.ok(&["epochs", "unpin", &pinned_text]);
    for day in [63, 64] {
        clock.set(&format!("+{day}d"));
        world.ok(&["maintain"]);
    }
    assert!(epochs(&world).iter().all(|(number, _)| *number != pinned));
    // The newest version, and that of the epoch which the newest is told from.
    assert!(data_files(&world, "main/names") <= 2);
    assert_eq!(world.count("main.names"), 4);
}

#[test]
fn c10_of_a_table_that_is_made_anew_the_last_five_of_an_hour_stay() {
    let Some(clock) = Clock::of_its_own() else { return };
    let world = clock.drives(ward()).env("NO_FAKE_STAT", "1");
    for number in 0..9 {
        clock.set(&format!("+{}m", 3 * number));
        night(&world, number);
    }
    // What the clock shows counts when a pass before has seen it.
    world.ok(&["maintain"]);
    clock.set("+50m");
    world.ok(&["maintain"]);
    let mut versions = std::collections::BTreeSet::new();
    // The first is of what was ingested, before there was the table.
    for (number, _) in epochs(&world).into_iter().filter(|(number, _)| *number > 1) {
        let rows = world.ok(&["sql", "select count(*) as n from main.names", "--epoch", &number.to_string()]);
        versions.insert(rows);
    }
    // One more where a whole epoch is there for others that are told from it.
    assert!((5..=6).contains(&versions.len()), "{versions:?}");
    assert_eq!(world.count("main.names"), 9);
}

#[test]
fn c10_a_clock_that_jumps_ahead_and_back_deletes_no_row_and_no_epoch() {
    let Some(clock) = Clock::of_its_own() else { return };
    let world = clock.drives(ward()).env("NO_FAKE_STAT", "1");
    world.write("wardlake.yml", "retention: {runs: 30}\nepochs: {keep_bytes: 1}\n");
    (0..3).for_each(|number| night(&world, number));
    let (runs, before) = (world.count("system.runs"), epochs(&world));
    assert!(runs >= 3 && before.len() >= 4, "{runs} runs, {before:?}");
    let is_all_there = |when: &str| {
        let shown = epochs(&world);
        assert!(before.iter().all(|epoch| shown.contains(epoch)), "{when}: {before:?} became {shown:?}");
        assert_eq!(world.count("system.runs"), runs, "{when}");
    };
    // What the pass ahead saw counts no more when the clock has been put right.
    for (offset, when) in [("+91d", "ahead"), ("+20m", "put right"), ("+40m", "later")] {
        clock.set(offset);
        world.ok(&["maintain"]);
        is_all_there(when);
    }
    // A clock that stays where it is is believed.
    for offset in ["+91d", "+92d"] {
        clock.set(offset);
        world.ok(&["maintain"]);
    }
    assert!(world.count("system.runs") < runs && epochs(&world).len() < before.len());
}

#[test]
fn c10_a_clock_that_jumps_ahead_deletes_no_young_file() {
    let Some(clock) = Clock::of_its_own() else { return };
    let world = clock.drives(ward()).env("NO_FAKE_STAT", "1");
    night(&world, 0);
    night(&world, 1);
    // A writer is at work: its file is in no log yet.
    let unnamed = world.path().join("lake/main/names/part-of-a-writer-at-work.parquet");
    fs::write(&unnamed, "half").unwrap();
    let at_work = fs::File::open(world.path().join("lake/_in_use")).unwrap();
    at_work.lock_shared().unwrap();
    let before = data_files(&world, "main/names");
    assert_eq!(before, 3);
    clock.set("+400d");
    world.ok(&["maintain"]);
    assert_eq!(data_files(&world, "main/names"), before, "all of them are seconds old");
    // Whoever sees them unneeded again, a grace later, deletes them.
    clock.set("+402d");
    world.ok(&["maintain"]);
    assert!(!unnamed.exists() && data_files(&world, "main/names") < before);
    assert_eq!(world.count("main.names"), 2);
}

fn until(what: &str, is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "{what} did not happen");
        thread::sleep(POLL);
    }
}

fn event(id: u64) -> String {
    json!({"id": id.to_string(), "ward": "a", "beds": 1}).to_string()
}

#[test]
fn a08_with_less_room_than_it_is_to_have_a_server_takes_nothing() {
    let world = clinic("true");
    world.write("wardlake.yml", "min_free: 1000000TiB\n");
    let served = Served::start(&world, &["--mllp", "127.0.0.1:0"], &["http", "mllp"]);
    let ready = served.get("/ready");
    let reason = ready.json()["error"].as_str().unwrap().to_owned();
    assert!(ready.status == 503 && reason.contains("`min_free`") && reason.contains("lake"), "{reason}");
    assert_eq!(served.get("/healthz").status, 204);
    let mut sender = Sender::connect(served.mllp.unwrap()).unwrap();
    assert_eq!(verdict(&sender.send(&admission(1)).unwrap()).0, "AE");
    served.stop();
    world.write("wardlake.yml", "min_free: 0\n");
    let served = Served::start(&world, &["--mllp", "127.0.0.1:0"], &["http", "mllp"]);
    let mut sender = Sender::connect(served.mllp.unwrap()).unwrap();
    assert_eq!(verdict(&sender.send(&admission(1)).unwrap()).0, "AA");
    served.wait_until_shown("hl7.messages", 1);
    served.stop();
    assert_eq!(world.count("bronze.messages"), 1);
}

#[test]
fn a08_room_that_comes_back_is_found_without_a_restart() {
    let Some(disk) = Disk::mount(32 << 10) else { return };
    let intake = disk.path().join("intake").to_string_lossy().into_owned();
    let world = ward();
    world.write("wardlake.yml", "min_free: 8MiB\n");
    let mut served = Served::start(&world, &["--journal", &intake], &["http"]);
    let send = |served: &Served, id: u64| served.post("/ingest/feed/events", &[TOKEN], event(id).as_bytes());
    assert_eq!(send(&served, 1).status, 200);
    served.wait_until_shown("feed.events", 1);
    let large = disk.path().join("large");
    fs::write(&large, vec![0_u8; 26 << 20]).unwrap();
    until("room is short", || served.get("/ready").status == 503);
    let refused = send(&served, 2);
    assert_eq!(refused.status, 503);
    assert!(refused.headers.to_ascii_lowercase().contains("retry-after"), "{refused:?}");
    assert!(refused.body.contains("intake") || refused.body.contains(&*disk.path().to_string_lossy()), "{refused:?}");
    let is_told = |event: &Value| event["event"] == "message" && event["text"].to_string().contains("min_free");
    let told = served.await_event(is_told);
    assert_eq!(told["level"], "warn");
    fs::remove_file(&large).unwrap();
    until("there is room", || served.get("/ready").status == 200);
    assert_eq!(send(&served, 2).status, 200);
    served.wait_until_shown("feed.events", 2);
    served.stop();
    assert_eq!(world.count("bronze.events"), 2);
}
