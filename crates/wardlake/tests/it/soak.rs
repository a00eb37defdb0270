//! A server that stays on: what an hour's worth of events adds, and what a day of small deliveries leaves. The clock is the test's.
//!
//! By themselves they take a minute or two each. The long forms take up to an hour: `cargo xtask soak` runs them with the release build, with
//! `WARDLAKE_SOAK_EVENTS` events of a day in `WARDLAKE_SOAK_HOURS` parts, and `WARDLAKE_SOAK_WAVES` waves in 24 hours.

use std::{
    collections::BTreeSet,
    fs,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use crate::{
    crash::setting,
    faults::Clock,
    peers,
    serve::ward,
    served::{Served, Stream},
    world::{World, copy_folder, repository},
};

const HOUR: u64 = 3_600;
const DAY: u64 = 24 * HOUR;
/// Events of one request.
const BATCH: u64 = 1_000;
/// What an hour may add, beside the multiple of the bytes that came.
const FIXED_BYTES: u64 = 50 << 20;
const FIXED_FILES: u64 = 200;

/// How a day of events is played.
struct Day {
    events: u64,
    /// The server is started so often, for an equal part each.
    parts: u64,
    /// Of what is simulated before.
    days: &'static str,
    start_within: Duration,
    /// Files that a part may add; none where a part is too short for its own to go within it: then no part may add many more than the first.
    files: Option<u64>,
    /// By how much more a later part may add: the build of the night comes once.
    spare_bytes: u64,
    /// The share of waves that are at most as long as is compared, and by how much longer they may get. A few waves have no other tail than
    /// what runs beside them.
    waves: (f64, f64, f64),
}

impl Day {
    fn asked() -> Self {
        match setting("WARDLAKE_SOAK_EVENTS", 0) {
            // A build for tests takes several times as long, and other tests run beside it.
            0 => Self {
                events: 15_000,
                parts: 3,
                days: "1",
                start_within: Duration::from_secs(90),
                files: None,
                spare_bytes: FIXED_BYTES / 2,
                waves: (0.5, 2.0, 2.0),
            },
            events => Self {
                events,
                parts: setting("WARDLAKE_SOAK_HOURS", 24),
                days: "2",
                start_within: Duration::from_secs(10),
                files: Some(FIXED_FILES),
                spare_bytes: FIXED_BYTES / 10,
                waves: (0.99, 1.2, 0.1),
            },
        }
    }
}

/// How a time of small deliveries is played.
struct Time {
    waves: u64,
    hours: u64,
    /// The server is started so often, for an equal part each.
    parts: u64,
    /// Behind which of them, and behind the last, what is held is compared.
    settled: usize,
    /// Files that may have come on top of a tenth.
    spare_files: f64,
    /// Epochs that are read at the end.
    read: usize,
}

impl Time {
    fn asked() -> Self {
        match setting("WARDLAKE_SOAK_WAVES", 0) {
            // With two deliveries an hour nothing is thinned before the next day: days in place of hours, and of each the epoch that stays, with
            // what of the log and of small files it needs.
            0 => Self { waves: 200, hours: 5 * 24, parts: 5, settled: 2, spare_files: 200.0, read: 5 },
            waves => Self { waves, hours: 24, parts: 8, settled: 3, spare_files: 20.0, read: 20 },
        }
    }
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
    // Passes are ten minutes apart by this clock. One that has begun before began earlier by it.
    let offset = now + 11 * 60;
    let earliest = Utc::now() + chrono::Duration::seconds(offset.cast_signed());
    clock.set(&format!("+{offset}"));
    served.wait_for("a pass over the lake", |status| {
        let begun = status["last_maintained_at"].as_str().and_then(|text| text.parse::<DateTime<Utc>>().ok());
        begun.is_some_and(|begun| begun >= earliest)
    });
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

/// What a part of the day cost.
#[derive(Debug)]
struct Part {
    added: Held,
    /// Bytes that came.
    own: u64,
    /// How long its waves took.
    longest: f64,
}

impl Day {
    /// Each part cost what those before it did.
    fn judge(&self, parts: &[Part]) {
        let most_files = self.files.unwrap_or(parts[0].added.files * 3 / 2 + FIXED_FILES);
        for Part { added, own, .. } in parts {
            assert!(added.bytes <= 3 * own + FIXED_BYTES, "an hour of {own} bytes added {added:?}");
            assert!(added.files <= most_files, "an hour added {added:?}, of {most_files} files at most");
        }
        // The first hours fill what is kept for an hour.
        let late = &parts[(parts.len() / 3).min(3)..];
        let (early, later) = late.split_at(late.len() / 2);
        let mean = |parts: &[Part]| parts.iter().map(|part| part.added.bytes).sum::<u64>() as f64 / parts.len() as f64;
        let (early, later) = (mean(early), mean(later));
        assert!(
            later <= early * 1.1 + self.spare_bytes as f64,
            "an hour adds {early:.0} bytes at first, {later:.0} later"
        );
        let (first, last) = (&parts[1], &parts[parts.len() - 1]);
        let memory = (first.added.memory as f64, last.added.memory as f64);
        assert!(memory.1 <= 1.2 * memory.0 + 200e6, "memory grew from {first:?} to {last:?}");
        let (_, factor, spare) = self.waves;
        assert!(last.longest <= factor * first.longest + spare, "waves grew from {first:?} to {last:?}");
    }
}

/// Each hour of a day costs what the hour before did, in bytes, files, memory and the time of a wave.
#[test]
fn c01_each_hour_of_a_day_adds_the_same() {
    let Some(clock) = Clock::of_its_own() else { return };
    let day = Day::asked();
    let (total, hours) = (day.events, day.parts);
    let world = World::empty();
    copy_folder(&repository().join("hospital"), world.path());
    let world = clock.drives(world).env("NO_FAKE_STAT", "1");
    world.ok(&["simulate", "--out", "landing", "--days", day.days, "--hospitals", "7", "--seed", "3"]);
    world.ok(&["ingest"]);
    world.ok(&["build"]);
    let (lake, an_hour) = (world.path().join("lake"), total / hours);
    let mut table: Vec<Part> = Vec::new();
    let (mut sent, mut before) = (0, None);
    for hour in 0..hours {
        // What one process saw unneeded for an hour by the clock goes with the next.
        let started = Instant::now();
        let mut served = Served::start(&world, &["--refresh", "20"], &["http"]);
        assert!(started.elapsed() <= day.start_within, "the start of hour {hour} took {:?}", started.elapsed());
        let before = before.get_or_insert_with(|| Held::of(&lake, &served));
        let (mut own, upto) = (0, (hour + 1) * an_hour);
        let mut follower = Stream::open(served.http, "kpi_live_occupancy", None);
        // It follows until the server stops, and ends with it.
        let following = thread::spawn(move || while follower.try_next().is_some() {});
        while sent < upto {
            let next = (sent + BATCH).min(upto);
            clock.set(&format!("+{}", next * DAY / total));
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
        await_pass(&served, &clock, sent * DAY / total);
        let after = Held::of(&lake, &served);
        let mut waves: Vec<f64> =
            served.told("wave_finished").map(|event| event["duration_s"].as_f64().unwrap()).collect();
        let added = Held {
            bytes: after.bytes.saturating_sub(before.bytes),
            files: after.files.saturating_sub(before.files),
            ..after
        };
        let longest = share_of(&mut waves, day.waves.0);
        println!(
            "hour {hour}: {own} bytes came; +{} bytes and +{} files, {} bytes and {} files in all, {} MB of memory, {} waves, \
             p50 {:.3} s, p99 {:.3} s",
            added.bytes,
            added.files,
            after.bytes,
            after.files,
            after.memory >> 20,
            waves.len(),
            share_of(&mut waves, 0.5),
            share_of(&mut waves, 0.99)
        );
        table.push(Part { added, own, longest });
        *before = after;
        served.stop();
        following.join().unwrap();
    }
    day.judge(&table);

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
    let Some(clock) = Clock::of_its_own() else { return };
    let Time { waves, hours, parts, settled, spare_files, read } = Time::asked();
    let world = clock.drives(ward()).env("NO_FAKE_STAT", "1");
    let lake = world.path().join("lake");
    let token = ("Authorization", "Bearer secret");
    let mut held = Vec::new();
    for part in 0..parts {
        // What one process saw unneeded for an hour by the clock goes with the next.
        let served = Served::start(&world, &[], &["http"]);
        for id in part * waves / parts..(part + 1) * waves / parts {
            clock.set(&format!("+{}", id * hours * HOUR / waves));
            let body = format!("{}\n", json!({"id": id.to_string(), "ward": "a", "beds": "1"}));
            let key = format!("delivery {id}");
            let headers = [token, ("Idempotency-Key", key.as_str())];
            assert_eq!(served.post("/ingest/feed/events", &headers, body.as_bytes()).status, 200);
            served.wait_until_shown("feed.events", id + 1);
        }
        let passed = (part + 1) * hours / parts;
        await_pass(&served, &clock, passed * HOUR);
        let now = Held::of(&lake, &served);
        println!("after {passed} hours: {now:?}");
        held.push(now);
        served.stop();
    }
    let (half, end) = (held[settled], held[held.len() - 1]);
    assert!(end.files as f64 <= 1.1 * half.files as f64 + spare_files, "{held:?}");
    assert!(end.bytes as f64 <= 1.2 * half.bytes as f64 + 1e6, "{held:?}");
    assert!(end.memory as f64 <= 1.2 * half.memory as f64 + 50e6, "{held:?}");

    let served = Served::start(&world, &[], &["http"]);
    // Keys are known for a day.
    for id in waves - waves * 24 / hours..waves {
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
    let step = (epochs.len() / read).max(1);
    for epoch in epochs.iter().step_by(step) {
        let query = "select count(*) as n from main.events";
        assert!(world.ok(&["sql", query, "--epoch", &epoch.to_string(), "--format", "csv"]).starts_with("n\n"));
    }
    peers::read_everywhere(&world, &["bronze.events", "main.events"]);
}
