//! The server dies at any moment while senders go on sending: what was acknowledged is in bronze exactly once, and the models end
//! as if nothing had happened.
//!
//! `WARDLAKE_CRASH_MESSAGES` and `WARDLAKE_CRASH_KILLS` make it the long recipe: 20000 messages and 50 kills.

use std::{
    net::{SocketAddr, TcpListener},
    sync::atomic::{AtomicU64, Ordering},
    thread,
    time::Duration,
};

use serde_json::json;

use crate::{
    serve::ward,
    served::{POLL, Served, request},
    world::World,
};

pub(crate) fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// Numbers, always the same ones.
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed | 1)
    }

    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

/// A port that is free now. The server is restarted on it.
pub(crate) fn free_port() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

fn body(number: u64) -> String {
    format!("{}\n", json!({"id": format!("m{number}"), "ward": format!("w{}", number % 7), "beds": "1"}))
}

/// Sends numbered messages one after the other, each until it is acknowledged.
fn send_all(to: SocketAddr, numbers: &mut dyn Iterator<Item = u64>, acknowledged: &AtomicU64) {
    for number in numbers {
        let key = format!("message {number}");
        let headers = [("Authorization", "Bearer secret"), ("Idempotency-Key", key.as_str())];
        loop {
            match request(to, "POST", "/ingest/feed/events", &headers, body(number).as_bytes()) {
                Ok(answer) if answer.status == 200 => break,
                // Nobody is there, or the answer was lost: ask again, as any sender does.
                Ok(answer) if answer.status >= 500 || answer.status == 429 => thread::sleep(POLL),
                Err(_) => thread::sleep(POLL),
                Ok(answer) => panic!("message {number} was refused: {answer:?}"),
            }
        }
        acknowledged.fetch_add(1, Ordering::Relaxed);
    }
}

fn assert_each_once(world: &World, messages: u64) {
    assert_eq!(world.count("bronze.events"), messages, "every message is in bronze once");
    assert_eq!(world.value("select count(distinct id) as n from bronze.events"), messages.to_string());
    let positions = world
        .sql("select min(_position) as low, max(_position) as high, count(distinct _position) as n from bronze.events");
    assert_eq!(positions[0]["n"], messages.to_string(), "{positions:?}");
}

/// How many messages a crash test sends.
pub(crate) fn messages() -> u64 {
    setting("WARDLAKE_CRASH_MESSAGES", 600)
}

/// Four senders hand all messages in, by `send`, while the server that listens at `flag` is killed over and over and started again.
/// Ends when `table` shows every message and the last server has stopped by itself.
pub(crate) fn kill_while_sending(
    world: &World,
    flag: &str,
    table: &str,
    send: impl Fn(SocketAddr, &mut dyn Iterator<Item = u64>, &AtomicU64) + Sync,
) {
    let (messages, kills) = (messages(), setting("WARDLAKE_CRASH_KILLS", 6));
    let address = free_port();
    let text = address.to_string();
    let start = || {
        let listeners: &[&str] = if flag == "--http" { &["http"] } else { &["http", "mllp"] };
        Served::start(world, &[flag, &text], listeners)
    };
    let acknowledged = AtomicU64::new(0);
    let mut dice = Dice::new(0x5eed);
    let served = thread::scope(|scope| {
        for sender in 0..4 {
            let (send, acknowledged) = (&send, &acknowledged);
            scope.spawn(move || send(address, &mut (0..messages).filter(|n| n % 4 == sender), acknowledged));
        }
        for kill in 0..kills {
            let served = start();
            // Each server lives until it has taken its share, and then a moment of chance longer: within a sync, a load or a wave.
            let share = messages * (kill + 1) / (kills + 1);
            while acknowledged.load(Ordering::Relaxed) < share {
                thread::sleep(POLL);
            }
            thread::sleep(Duration::from_millis(dice.below(300)));
            served.kill();
        }
        start()
    });
    served.wait_until_shown(table, messages);
    served.stop();
}

#[test]
fn kills_lose_nothing_that_was_acknowledged() {
    let messages = messages();
    let calm = ward();
    let served = Served::start(&calm, &[], &["http"]);
    let all: String = (0..messages).map(body).collect();
    let headers = [("Authorization", "Bearer secret")];
    for part in all.as_bytes().split_inclusive(|byte| *byte == b'\n').collect::<Vec<_>>().chunks(1000) {
        assert_eq!(served.post("/ingest/feed/events", &headers, &part.concat()).status, 200);
    }
    served.wait_until_shown("feed.events", messages);
    served.stop();
    let wanted = calm.sql("select ward, beds from main.beds order by ward");

    let world = ward();
    kill_while_sending(&world, "--http", "feed.events", send_all);
    assert_each_once(&world, messages);
    assert_eq!(world.sql("select ward, beds from main.beds order by ward"), wanted);
    assert_eq!(world.count("main.events"), messages);
}

#[test]
fn a_full_and_a_read_only_disk_refuse_and_lose_nothing() {
    let Some(disk) = crate::faults::Disk::mount(64 << 10) else { return };
    let intake = disk.path().join("intake").to_string_lossy().into_owned();
    let world = ward();
    world.write("wardlake.yml", "min_free: 0\n");
    let served = Served::start(&world, &["--journal", &intake], &["http"]);
    let headers = |key: &str| {
        vec![("Authorization".to_owned(), "Bearer secret".to_owned()), ("Idempotency-Key".to_owned(), key.to_owned())]
    };
    let send = |number: u64| {
        let headers = headers(&format!("message {number}"));
        let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        served.post("/ingest/feed/events", &headers, body(number).as_bytes()).status
    };
    disk.change("ro");
    assert_eq!(send(0), 503, "a read-only journal takes nothing");
    disk.change("rw");
    // Until then the server tries whether there is room, and takes some for it.
    while served.get("/ready").status != 200 {
        thread::sleep(POLL);
    }
    assert_eq!((send(0), send(1)), (200, 200));
    disk.change(&format!("size={}k", disk.used_kilobytes()));
    let mut number = 2;
    while send(number) == 200 {
        number += 1;
        assert!(number < 100_000, "the disk never filled up");
    }
    disk.change("size=64m");
    for again in 0..=number {
        assert_eq!(send(again), 200, "message {again}");
    }
    served.wait_until_shown("feed.events", number + 1);
    served.kill();
    let served = Served::start(&world, &["--journal", &intake], &["http"]);
    served.wait_until_shown("feed.events", number + 1);
    served.stop();
    assert_each_once(&world, number + 1);
}

#[test]
fn a_clock_that_jumps_loses_and_repeats_nothing() {
    const JUMPS: [&str; 6] = ["+0", "+3d", "-2d", "+400d", "-30d", "+0"];
    let Some(clock) = crate::faults::Clock::of_its_own() else { return };
    let world = clock.drives(ward());
    let messages = messages();
    let share = |part: usize| messages * part as u64 / JUMPS.len() as u64;
    let acknowledged = AtomicU64::new(0);
    let mut served = Served::start(&world, &[], &["http"]);
    for (part, jump) in JUMPS.into_iter().enumerate() {
        clock.set(jump);
        // What was sent by the other clock is sent again.
        let numbers = share(part.saturating_sub(1))..share(part + 1);
        send_all(served.http, &mut numbers.into_iter(), &acknowledged);
        if part % 2 == 1 {
            served.kill();
            served = Served::start(&world, &[], &["http"]);
        }
    }
    served.wait_until_shown("feed.events", messages);
    served.stop();
    assert_each_once(&world, messages);
    assert_eq!(world.count("main.events"), messages);
    assert_eq!(world.value("select sum(beds) as n from main.beds"), messages.to_string());
    let days = world.value("select count(distinct cast(_received_at as date)) as n from bronze.events");
    assert!(days.parse::<u64>().unwrap() >= 4, "the clock never jumped: {days} days");
}
