//! A lake that an older release wrote: it opens, every epoch of it reads, and it goes on without a reload.
//!
//! `fixtures/ward-of-2026-11.tar.gz` is the project of [`crate::serve::ward`] with its lake, by the release before epochs were thinned: two lists
//! and six deliveries, an epoch each.

use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::{served::Served, world::World};

const TOKEN: (&str, &str) = ("Authorization", "Bearer secret");

fn older() -> World {
    let world = World::empty();
    let packed = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/fixtures/ward-of-2026-11.tar.gz");
    let unpacked = Command::new("tar").args(["xzf", packed, "-C"]).arg(world.path()).stdin(Stdio::null()).status();
    assert!(unpacked.unwrap().success());
    world
}

fn epochs(world: &World) -> Vec<u64> {
    let listed = world.ok(&["epochs", "list", "--json"]);
    let number = |line: &str| serde_json::from_str::<Value>(line).unwrap()["number"].as_u64().unwrap();
    listed.lines().map(number).collect()
}

fn count_at(world: &World, table: &str, epoch: u64) -> u64 {
    let query = format!("select count(*) as n from {table}");
    let shown = world.ok(&["sql", &query, "--epoch", &epoch.to_string(), "--format", "csv"]);
    shown.lines().nth(1).unwrap().parse().unwrap()
}

#[test]
fn a_lake_of_an_older_release_goes_on_without_a_reload() {
    let world = older();
    assert_eq!(epochs(&world), (1..=10).rev().collect::<Vec<_>>());
    // The first epoch is of the lists; each delivery made one more, and the second list the ninth.
    assert_eq!((2..=8).map(|epoch| count_at(&world, "main.events", epoch)).collect::<Vec<_>>(), [0, 1, 2, 3, 4, 5, 6]);
    assert_eq!([1, 8, 9].map(|epoch| count_at(&world, "bronze.lists", epoch)), [2, 2, 5]);

    // Nothing is read again, and that empty fields are read otherwise since is told once.
    let first = world.ok(&["ingest"]);
    assert!(first.contains("`wardlake ingest --reload -s feed.lists`"), "{first}");
    let second = world.ok(&["ingest"]);
    assert!(!second.contains("--reload") && second.contains("Completed successfully"), "{second}");
    assert_eq!((world.count("bronze.lists"), world.count("bronze.events")), (5, 6));

    let served = Served::start(&world, &[], &["http"]);
    let deliver = |id: u64| {
        // The bytes of its first delivery: the same key with others would be refused.
        let body = format!("{}\n", json!({"id": id.to_string(), "ward": "a", "beds": id.to_string()}));
        let key = format!("delivery {id}");
        served.post("/ingest/feed/events", &[TOKEN, ("Idempotency-Key", &key)], body.as_bytes()).json()
    };
    assert_eq!(deliver(3), json!({"rows": 1, "first_row": 3, "repeated": true}));
    assert_eq!(deliver(7), json!({"rows": 1, "first_row": 7, "repeated": false}));
    served.wait_until_shown("feed.events", 7);
    served.stop();
    world.ok(&["build"]);
    assert_eq!((world.count("main.events"), world.count("main.names")), (7, 5));
    // Its epochs are still there, and read.
    assert_eq!(count_at(&world, "main.events", 5), 3);
}
