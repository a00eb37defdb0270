//! The process dies at any moment; the rerun ends in the same tables.

use std::time::Duration;

use crate::world::World;

/// Kills per lake, and lakes: fifty kills in all, spread over every stage from the first file to the last model.
const KILLS: u32 = 10;
const LAKES: u32 = 5;

#[test]
fn fifty_kills_leave_no_trace() {
    let Some(calm) = World::example("hms") else { return };
    let started = std::time::Instant::now();
    calm.ok(&["ingest"]);
    let ingest_time = started.elapsed();
    let started = std::time::Instant::now();
    calm.ok(&["build"]);
    let build_time = started.elapsed();
    let wanted = calm.contents();
    assert!(wanted.len() > 13);

    // A fixed sequence: a failure can be repeated.
    let mut random: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut part = move || {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        (random % 1000) as f64 / 1000.0
    };
    for _ in 0..LAKES {
        let world = World::example("hms").unwrap();
        for kill in 0..KILLS {
            let (command, time) = if kill < KILLS / 2 { ("ingest", ingest_time) } else { ("build", build_time) };
            let mut child = world.spawn(&[command]);
            std::thread::sleep(Duration::from_secs_f64(time.as_secs_f64() * part()));
            child.kill().unwrap();
            child.wait().unwrap();
            if kill + 1 == KILLS / 2 {
                world.ok(&["ingest"]);
            }
        }
        world.ok(&["build"]);
        assert_eq!(world.contents(), wanted);
        let twice = world.value(
            "select count(*) as n from (select source, file, sequence from system.load_log group by 1, 2, 3 having count(*) > 1)",
        );
        assert_eq!(twice, "0", "no load is logged twice");
        assert_eq!(world.count("system.load_log"), 13, "every load is logged");
    }
}
