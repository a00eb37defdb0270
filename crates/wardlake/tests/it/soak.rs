//! A server that stays on: what an hour's worth of events adds, and what a day of small deliveries leaves. The clock is the test's.
//!
//! They take from minutes to an hour: `cargo xtask soak` runs them with the release build, with `WARDLAKE_SOAK_EVENTS` events of a day of
//! `WARDLAKE_SOAK_HOURS` hours, and `WARDLAKE_SOAK_WAVES` waves in 24 hours.

use std::{
    collections::BTreeSet,
    fs,
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use wardlake_testkit::skip::skipped_everywhere;

use crate::{
    crash::setting,
    faults::Clock,
    peers,
    serve::ward,
    served::{Served, Stream},
    world::{World, copy_folder, repository},
};

const HOUR: u64 = 3_600;
/// Events of one request.
const BATCH: u64 = 1_000;
const START_WITHIN: Duration = Duration::from_secs(10);
/// What an hour may add, beside the multiple of the bytes that came.
const FIXED_BYTES: u64 = 50 << 20;
const FIXED_FILES: u64 = 200;

/// How much is asked for; says that it is left out where nothing is.
fn asked(name: &str) -> Option<u64> {
    let count = setting(name, 0);
    if count == 0 {
        skipped_everywhere("a recipe of up to an hour: `cargo xtask soak`");
    }
    (count > 0).then_some(count)
}

/// What a lake and its server take.
#[derive(Clone, Copy, Debug)]
struct Held {
    bytes: u64,
    files: u64,
    memory: u64,
}

impl Held {
    fn of(lake: &Path, served: &Served) -> Self {
        let (mut bytes, mut files) = (0, 0);
        count(lake, &mut bytes, &mut files);
        Self { bytes, files, memory: served.resident_bytes() }
    }
}

fn count(folder: &Path, bytes: &mut u64, files: &mut u64) {
    // What is deleted meanwhile is not counted.
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        match entry.metadata() {
            Ok(kept) if kept.is_dir() => count(&entry.path(), bytes, files),
            Ok(kept) => {
                *bytes += kept.len();
                *files += 1;
            }
            Err(_) => {}
        }
    }
}

/// The value that `share` of all are at most.
fn share_of(values: &mut [f64], share: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    values[((values.len() - 1) as f64 * share) as usize]
}

/// Waits until what is not needed any more was looked for, by a pass over the whole lake that begins now.
fn await_pass(served: &Served, clock: &Clock, now: u64) {
    let begun = |status: &Value| status["last_maintained_at"].as_str().unwrap_or_default().to_owned();
    // The first may have begun before.
    for minutes in [11, 22] {
        let before = begun(&served.get("/v1/status").json());
        clock.set(&format!("+{}", now + minutes * 60));
        served.wait_for("a pass over the lake", |status| begun(status) != before);
    }
}

/// Events of one hour of the day that is played, spread over it.
fn events(numbers: std::ops::Range<u64>, a_day: u64) -> String {
    numbers
        .map(|number| {
            let (encounter, step) = (number / 3, number % 3);
            let at = chrono::DateTime::from_timestamp((1_790_000_000 + number * 24 * HOUR / a_day).cast_signed(), 0).unwrap();
            let at = at.format("%Y-%m-%d %H:%M:%S").to_string();
            let kind = ["A01", "A02", "A03"][step as usize];
            let event = json!({
                "event_id": format!("S{number}"), "event_type": kind, "occurred_at": at,
                "recorded_at": at, "hospital_id": format!("H{:02}", encounter % 7 + 1), "patient_id": format!("P{encounter}"),
                "encounter_id": format!("E{encounter}"), "department_id": format!("H01-D{:02}", (encounter + step) % 9 + 1),
                "room_id": format!("R{}", encounter % 90), "bed_id": format!("B{}", (encounter * 3 + step) % 900),
            });
            format!("{event}\n")
        })
        .collect()
}

/// Each hour of a day costs what the hour before did, in bytes, files, memory and the time of a wave.
#[test]
fn c01_each_hour_of_a_day_adds_the_same() {
    let Some(total) = asked("WARDLAKE_SOAK_EVENTS") else { return };
    let Some(clock) = Clock::of_its_own() else { return };
    let hours = setting("WARDLAKE_SOAK_HOURS", 24);
    let world = World::empty();
    copy_folder(&repository().join("hospital"), world.path());
    let world = clock.drives(world).env("NO_FAKE_STAT", "1");
    world.ok(&["simulate", "--out", "landing", "--days", "2", "--hospitals", "7", "--seed", "3"]);
    world.ok(&["ingest"]);
    world.ok(&["build"]);
    let (lake, an_hour) = (world.path().join("lake"), total / hours);
    let mut table: Vec<(Held, u64, f64)> = Vec::new();
    let (mut sent, mut before) = (0, None);
    for hour in 0..hours {
        // What one process saw unneeded for an hour by the clock goes with the next.
        let started = Instant::now();
        let mut served = Served::start(&world, &["--refresh", "20"], &["http"]);
        assert!(started.elapsed() <= START_WITHIN, "the start of hour {hour} took {:?}", started.elapsed());
        let before = before.get_or_insert_with(|| Held::of(&lake, &served));
        let (mut own, upto) = (0, (hour + 1) * an_hour);
        let ended = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                let mut follower = Stream::open(served.http, "kpi_live_occupancy", None);
                while follower.try_next().is_some() {
                    if ended.load(Ordering::Relaxed) {
                        break;
                    }
                }
            });
            while sent < upto {
                let next = (sent + BATCH).min(upto);
                clock.set(&format!("+{}", next * hours * HOUR / total));
                let (body, key) = (events(sent..next, total), format!("part {next}"));
                let answer = served.post("/ingest/live/adt_events", &[("Idempotency-Key", &key)], body.as_bytes());
                match answer.status {
                    200 => (own, sent) = (own + body.len() as u64, next),
                    429 => thread::sleep(Duration::from_millis(50)),
                    _ => panic!("{answer:?}"),
                }
            }
            served.wait_until_shown("live.adt_events", sent);
            if hour == hours / 2 {
                world.ok(&["build"]);
            }
            await_pass(&served, &clock, sent * hours * HOUR / total);
            ended.store(true, Ordering::Relaxed);
        });
        let after = Held::of(&lake, &served);
        let mut waves: Vec<f64> =
            served.told("wave_finished").map(|event| event["duration_s"].as_f64().unwrap()).collect();
        let added = Held {
            bytes: after.bytes.saturating_sub(before.bytes),
            files: after.files.saturating_sub(before.files),
            ..after
        };
        let p99 = share_of(&mut waves, 0.99);
        println!(
            "hour {hour}: {own} bytes came; +{} bytes and +{} files, {} bytes and {} files in all, {} MB of memory, {} waves, \
             p50 {:.3} s, p99 {p99:.3} s",
            added.bytes,
            added.files,
            after.bytes,
            after.files,
            after.memory >> 20,
            waves.len(),
            share_of(&mut waves, 0.5)
        );
        table.push((added, own, p99));
        *before = after;
        served.stop();
    }
    for (added, own, _) in &table {
        assert!(added.bytes <= 3 * own + FIXED_BYTES, "an hour of {own} bytes added {added:?}");
        assert!(added.files <= FIXED_FILES, "an hour added {added:?}");
    }
    // The first hours fill what is kept for an hour.
    let late = &table[(table.len() / 3).min(3)..];
    let mean = late.iter().map(|(added, ..)| added.bytes).sum::<u64>() as f64 / late.len() as f64;
    let half = late.len() / 2;
    let part =
        |rows: &[(Held, u64, f64)]| rows.iter().map(|(added, ..)| added.bytes).sum::<u64>() as f64 / rows.len() as f64;
    let (early, later) = (part(&late[..half]), part(&late[half..]));
    assert!(
        later <= early * 1.1 + FIXED_BYTES as f64 / 10.0,
        "an hour adds {early:.0} bytes at first, {later:.0} later; {mean:.0} as a rule"
    );
    let (first, last) = (&table[1], &table[table.len() - 1]);
    assert!(last.0.memory as f64 <= 1.2 * first.0.memory as f64 + 200e6, "memory grew from {first:?} to {last:?}");
    assert!(last.2 <= 1.2 * first.2 + 0.1, "waves grew from {first:?} to {last:?}");

    let served = Served::start(&world, &[], &["http"]);
    // All of it once more is nothing new.
    let rows = world.count("bronze.live_adt_events");
    let mut next = 0;
    while next < total {
        let (from, hour) = (next, next / an_hour);
        next = (next + BATCH).min((hour + 1) * an_hour);
        let key = format!("part {next}");
        let answer =
            served.post("/ingest/live/adt_events", &[("Idempotency-Key", &key)], events(from..next, total).as_bytes());
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    served.stop();
    assert_eq!(world.count("bronze.live_adt_events"), rows, "what came twice is there once");
    peers::read_everywhere(&world, &["bronze.live_adt_events", "silver.int_bed_ledger"]);
}

/// A day of small deliveries: every thinning and every grace comes due, and what is left does not grow.
#[test]
fn c01_a_day_of_small_deliveries_leaves_disk_and_files_flat() {
    let Some(waves) = asked("WARDLAKE_SOAK_WAVES") else { return };
    let Some(clock) = Clock::of_its_own() else { return };
    let world = clock.drives(ward()).env("NO_FAKE_STAT", "1");
    let lake = world.path().join("lake");
    let token = ("Authorization", "Bearer secret");
    let mut held = Vec::new();
    for part in 0..8 {
        // What one process saw unneeded for an hour by the clock goes with the next.
        let served = Served::start(&world, &[], &["http"]);
        for id in part * waves / 8..(part + 1) * waves / 8 {
            clock.set(&format!("+{}", id * 24 * HOUR / waves));
            let body = format!("{}\n", json!({"id": id.to_string(), "ward": "a", "beds": "1"}));
            let key = format!("delivery {id}");
            let headers = [token, ("Idempotency-Key", key.as_str())];
            assert_eq!(served.post("/ingest/feed/events", &headers, body.as_bytes()).status, 200);
            served.wait_until_shown("feed.events", id + 1);
        }
        await_pass(&served, &clock, (part + 1) * 3 * HOUR);
        held.push(Held::of(&lake, &served));
        println!("after {} hours: {:?}", (part + 1) * 3, held[held.len() - 1]);
        served.stop();
    }
    let (half, end) = (held[3], held[7]);
    assert!(end.files as f64 <= 1.1 * half.files as f64 + 20.0, "{held:?}");
    assert!(end.bytes as f64 <= 1.2 * half.bytes as f64 + 1e6, "{held:?}");
    assert!(end.memory as f64 <= 1.2 * half.memory as f64 + 50e6, "{held:?}");

    let served = Served::start(&world, &[], &["http"]);
    for id in 0..waves {
        let body = format!("{}\n", json!({"id": id.to_string(), "ward": "a", "beds": "1"}));
        let key = format!("delivery {id}");
        assert_eq!(
            served.post("/ingest/feed/events", &[token, ("Idempotency-Key", &key)], body.as_bytes()).status,
            200
        );
    }
    served.stop();
    assert_eq!((world.count("bronze.events"), world.count("main.events")), (waves, waves));
    let listed = world.ok(&["epochs", "list", "--json"]);
    let epochs: BTreeSet<u64> =
        listed.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["number"].as_u64().unwrap()).collect();
    let step = (epochs.len() / 20).max(1);
    for epoch in epochs.iter().step_by(step) {
        let query = "select count(*) as n from main.events";
        assert!(world.ok(&["sql", query, "--epoch", &epoch.to_string(), "--format", "csv"]).starts_with("n\n"));
    }
    peers::read_everywhere(&world, &["bronze.events", "main.events"]);
}
