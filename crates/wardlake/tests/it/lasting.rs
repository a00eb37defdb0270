//! What a lake keeps and what it lets go, over days of an injected clock.

use std::{fs, path::Path};

use serde_json::json;

use crate::{faults::Clock, serve::ward, served::Served};

fn files(folder: &Path, end: &str) -> usize {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries
        .map(|path| if path.is_dir() { files(&path, end) } else { usize::from(path.to_string_lossy().ends_with(end)) })
        .sum()
}

/// A lake that only nightly runs touch is kept in shape by them: what is left is what the kept epochs name.
#[test]
fn c10_forty_nights_leave_what_a_month_of_epochs_names() {
    const NIGHTS: usize = 40;
    let Some(clock) = Clock::of_its_own() else { return };
    // What is on the disk keeps its own times.
    let world = clock.drives(ward()).env("NO_FAKE_STAT", "1");
    for night in 0..NIGHTS {
        clock.set(&format!("+{night}d"));
        world.write(&format!("inbox/lists_{night:02}.csv"), format!("ward,name\nw{night},Ward {night}\n"));
        world.ok(&["ingest"]);
        world.ok(&["build"]);
    }
    let lake = world.path().join("lake");
    let epochs = world.ok(&["epochs", "list", "--json"]);
    let numbers: Vec<u64> = epochs
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["number"].as_u64().unwrap())
        .collect();
    assert!((30..=40).contains(&numbers.len()), "{} epochs", numbers.len());
    // Each of them reads, and the table has no more versions than they name.
    for number in [numbers[0], numbers[numbers.len() / 2], numbers[numbers.len() - 1]] {
        let rows = world.ok(&[
            "sql",
            "select count(*) as n from main.names",
            "--epoch",
            &number.to_string(),
            "--format",
            "csv",
        ]);
        assert!(rows.starts_with("n\n"), "{rows}");
    }
    assert_eq!(world.count("main.names"), NIGHTS as u64);
    let versions = files(&lake.join("main/names"), ".parquet");
    assert!(versions <= 37, "{versions} files of a table that is rebuilt every night");
    // By hand the same, by the time that the pass before saw, and a third time nothing is left to do.
    for day in [400, 401] {
        clock.set(&format!("+{}d", NIGHTS + day));
        world.ok(&["maintain"]);
    }
    let epochs = world.ok(&["epochs", "list"]).lines().count();
    assert!(epochs <= 2, "{epochs} epochs beside the newest, and the one that it is told from");
    // What a pass sees unneeded goes with one an hour later.
    clock.set(&format!("+{}d", NIGHTS + 402));
    world.ok(&["maintain"]);
    let told = world.ok(&["maintain", "--dry-run"]);
    assert!(told.starts_with("Would delete 0 files"), "{told}");
    assert!(files(&lake.join("main/names"), ".parquet") <= 2);
    assert_eq!((world.count("main.names"), world.count("bronze.lists")), (NIGHTS as u64, NIGHTS as u64));
}

/// What upkeep merges behind the last delivery is shown without another one: the small files of a quiet ward go.
#[test]
fn c01_what_is_merged_behind_the_last_delivery_is_what_readers_read() {
    const EVENTS: u64 = 40;
    let Some(clock) = Clock::of_its_own() else { return };
    let world = clock.drives(ward()).env("NO_FAKE_STAT", "1");
    let mut served = Served::start(&world, &[], &["http"]);
    let token = ("Authorization", "Bearer secret");
    for id in 1..=EVENTS {
        let body = format!("{}\n", json!({"id": id.to_string(), "ward": "a", "beds": "1"}));
        assert_eq!(served.post("/ingest/feed/events", &[token], body.as_bytes()).status, 200);
        served.wait_until_shown("feed.events", id);
    }
    let is_merged = |event: &serde_json::Value| {
        event["merged"].as_array().is_some_and(|tables| tables.contains(&json!("bronze.events")))
    };
    served.await_event(|event| event["event"] == "upkeep_finished" && is_merged(event));
    served.stop();
    for later in ["+1m", "+40d", "+41d", "+42d"] {
        clock.set(later);
        world.ok(&["maintain"]);
    }
    let lake = world.path().join("lake");
    let left = files(&lake.join("bronze"), ".parquet") + files(&lake.join("main/events"), ".parquet");
    assert!(left < EVENTS as usize, "{left} files are left");
    assert_eq!((world.count("bronze.events"), world.count("main.events")), (EVENTS, EVENTS));
}

/// Hundreds of waves: the log and the small files of their tables go, and whoever reads changes misses nothing.
#[test]
fn c01_what_waves_leave_is_cleaned_and_the_next_goes_on() {
    const EVENTS: u64 = 300;
    let Some(clock) = Clock::of_its_own() else { return };
    let world = clock.drives(ward()).env("NO_FAKE_STAT", "1");
    let served = Served::start(&world, &[], &["http"]);
    let token = ("Authorization", "Bearer secret");
    let send = |served: &Served, id: u64| {
        let body = format!("{}\n", json!({"id": id.to_string(), "ward": "a", "beds": "1"}));
        assert_eq!(served.post("/ingest/feed/events", &[token], body.as_bytes()).status, 200);
        served.wait_until_shown("feed.events", id);
    };
    (1..=EVENTS).for_each(|id| send(&served, id));
    // A server keeps its lake in shape itself.
    let refused = world.fails(2, &["maintain"]);
    assert!(refused.contains("is served by process"), "{refused}");
    served.stop();
    let lake = world.path().join("lake");
    let before = (files(&lake.join("_epochs"), ".json"), files(&lake, ".json"), files(&lake, ".parquet"));
    assert!(before.0 > EVENTS as usize, "{before:?}");
    world.ok(&["maintain"]);
    clock.set("+3h");
    world.ok(&["maintain"]);
    let after = (files(&lake.join("_epochs"), ".json"), files(&lake, ".json"));
    assert!(after.0 < 10 && after.1 < before.1 / 3, "{before:?} became {after:?}");
    // What was merged is deleted when no kept epoch names it any more.
    for later in ["+40d", "+41d", "+42d"] {
        clock.set(later);
        world.ok(&["maintain"]);
    }
    let left = files(&lake.join("bronze"), ".parquet") + files(&lake.join("main/events"), ".parquet");
    assert!(left < 20, "{left} of {} files are left", before.2);
    // Readers of the newest epoch and of changes find what they need.
    assert_eq!((world.count("bronze.events"), world.count("main.events")), (EVENTS, EVENTS));
    let served = Served::start(&world, &[], &["http"]);
    send(&served, EVENTS + 1);
    served.stop();
    assert_eq!((world.count("bronze.events"), world.count("main.events")), (EVENTS + 1, EVENTS + 1));
}
