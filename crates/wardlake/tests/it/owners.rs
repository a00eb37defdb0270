//! Several servers of one lake, killed and paused over and over while senders go on: one of them serves, and what was acknowledged is in
//! bronze once, whoever took it.
//!
//! `cargo xtask owners` is the long recipe. `WARDLAKE_OWNERS_ROUNDS` and `WARDLAKE_OWNERS_SEED` say how many rounds of what chance;
//! `WARDLAKE_OWNERS_LAKE` puts the lake on an S3 server (`s3`) or on Azurite (`azurite`) instead of in a folder, where the servers share the
//! folder of the journals, as those of one machine do; with `WARDLAKE_OWNERS_JOURNALS=own` each has its own, as if on a machine of its own.

use std::{
    collections::BTreeSet,
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use serde_json::json;
use wardlake_testkit::skip::skipped;

use crate::{
    crash::{Dice, free_port, setting},
    mllp::{Sender, admission, verdict},
    object_store::Server,
    serve::ward,
    served::{POLL, Served},
    world::{World, repository},
};

/// A lake has so many servers at most.
const SERVERS: usize = 5;
/// Of each protocol.
const SENDERS: u64 = 2;
/// A sender turns to the next server if one says nothing for so long.
const ANSWER_WITHIN: Duration = Duration::from_secs(3);
/// So long after the end of its owner a lake is served again, if somebody waits for it.
const SERVED_WITHIN: Duration = Duration::from_secs(30);
/// Whatever is waited for beside that takes no longer on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);
/// Longer than a lease.
const BEYOND_A_LEASE: Duration = Duration::from_secs(17);
/// An owner takes so many deliveries before it is killed: something is at stake.
const AT_STAKE: usize = 15;

const TOKEN: (&str, &str) = ("Authorization", "Bearer secret");

/// A second table beside the ward's, which takes messages, and a model that hides no row that comes twice.
const MESSAGES: &str = r"
version: 2
sources:
  - name: hl7
    schema: bronze
    tables:
      - name: messages
        config: {meta: {wardlake: {mllp: true, format: {type: hl7}}}}
        columns: [{name: message}, {name: message_control_id}, {name: patient_id}]
";
const OF_MESSAGES: &str = "{{ config(materialized='incremental') }}
select message_control_id, patient_id from {{ changes(source('hl7', 'messages')) }}";

/// What its senders know of the lake: kept outside of it.
#[derive(Default)]
struct Outside {
    acknowledged: Mutex<Vec<String>>,
    /// No new deliveries are begun.
    is_over: AtomicBool,
    /// Nobody will serve any more.
    is_abandoned: AtomicBool,
}

impl Outside {
    fn note(&self, key: String) {
        self.acknowledged.lock().unwrap_or_else(PoisonError::into_inner).push(key);
    }

    fn count(&self) -> usize {
        self.acknowledged.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// The keys of one protocol.
    fn keys(&self, first: char) -> Vec<String> {
        let all = self.acknowledged.lock().unwrap_or_else(PoisonError::into_inner);
        let mut keys: Vec<String> = all.iter().filter(|key| key.starts_with(first)).cloned().collect();
        keys.sort_unstable();
        keys
    }

    /// Numbered deliveries, one after the other, each until `send` to one of the servers is acknowledged.
    fn send_all(&self, sender: u64, mut send: impl FnMut(usize, u64) -> Option<String>) {
        let mut server = sender as usize;
        for number in (sender..).step_by(SENDERS as usize) {
            if self.is_over.load(Ordering::Relaxed) {
                return;
            }
            loop {
                if self.is_abandoned.load(Ordering::Relaxed) {
                    return;
                }
                match send(server % SERVERS, number) {
                    Some(key) => break self.note(key),
                    None => server += 1,
                }
                thread::sleep(POLL);
            }
            thread::sleep(POLL);
        }
    }
}

/// Senders do not wait for servers that a failed test leaves.
struct Abandons<'a>(&'a Outside);

impl Drop for Abandons<'_> {
    fn drop(&mut self) {
        self.0.is_over.store(true, Ordering::Relaxed);
        self.0.is_abandoned.store(thread::panicking(), Ordering::Relaxed);
    }
}

/// The status of an answer that comes soon; none of one that does not.
fn status(to: SocketAddr, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Option<u16> {
    let mut stream = TcpStream::connect_timeout(&to, ANSWER_WITHIN).ok()?;
    stream.set_read_timeout(Some(ANSWER_WITHIN)).ok()?;
    let mut head =
        format!("{method} {path} HTTP/1.1\r\nHost: {to}\r\nConnection: close\r\nContent-Length: {}\r\n", body.len());
    headers.iter().for_each(|(name, value)| head += &format!("{name}: {value}\r\n"));
    stream.write_all(format!("{head}\r\n{body}").as_bytes()).ok()?;
    let mut answer = Vec::new();
    // A body that is cut off has a status all the same.
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).split_whitespace().nth(1)?.parse().ok()
}

fn post(to: SocketAddr, number: u64) -> Option<String> {
    let key = format!("h{number}");
    let body = json!({"id": key, "ward": format!("w{}", number % 7), "beds": "1"}).to_string();
    let headers = [TOKEN, ("Idempotency-Key", key.as_str())];
    let status = status(to, "POST", "/ingest/feed/events", &headers, &format!("{body}\n"))?;
    assert!(status == 200 || status == 429 || status >= 500, "delivery {number} was refused with {status}");
    (status == 200).then_some(key)
}

/// Hands a message over by a connection that lasts for as long as its server.
fn message(connection: &mut Option<(SocketAddr, Sender<TcpStream>)>, to: SocketAddr, number: u64) -> Option<String> {
    let sender = match connection.take() {
        Some((address, sender)) if address == to => Some(sender),
        _ => TcpStream::connect_timeout(&to, ANSWER_WITHIN).ok().and_then(|stream| {
            stream.set_read_timeout(Some(ANSWER_WITHIN)).ok()?;
            Some(Sender(BufReader::new(stream)))
        }),
    };
    let mut sender = sender?;
    let answer = sender.send(&admission(number)).ok()?;
    let (code, id) = verdict(&answer);
    if code != "AA" {
        assert_eq!(code, "AE", "message {number}: {answer}");
        return None;
    }
    assert_eq!(id, format!("M{number}"));
    *connection = Some((to, sender));
    Some(id)
}

/// One of the places at which a server of the lake listens.
struct Place {
    http: SocketAddr,
    mllp: SocketAddr,
    served: Option<Served>,
}

/// Where the servers keep what they acknowledged.
enum Journals {
    InTheLake,
    Shared(PathBuf),
    Own(PathBuf),
}

impl Journals {
    fn of(&self, place: usize) -> Option<String> {
        let folder = match self {
            Self::InTheLake => return None,
            Self::Shared(folder) => folder.clone(),
            Self::Own(folder) => folder.join(place.to_string()),
        };
        Some(folder.to_str().unwrap().to_owned())
    }
}

/// All servers of a lake.
struct Servers<'a> {
    world: &'a World,
    places: Vec<Place>,
    journals: Journals,
    outside: &'a Outside,
    /// The longest time from an owner's end to the next.
    longest: Duration,
    /// Servers that stopped because they had lost the lake.
    lost: usize,
}

impl<'a> Servers<'a> {
    fn new(world: &'a World, outside: &'a Outside, journals: Journals) -> Self {
        let place = |_| Place { http: free_port(), mllp: free_port(), served: None };
        let places = (0..SERVERS).map(place).collect();
        Self { world, places, journals, outside, longest: Duration::ZERO, lost: 0 }
    }

    fn start(&mut self, place: usize) {
        let journal = self.journals.of(place);
        let Place { http, mllp, served } = &mut self.places[place];
        let (http, mllp) = (http.to_string(), mllp.to_string());
        let mut arguments = vec!["--standby", "--http", http.as_str(), "--mllp", mllp.as_str()];
        arguments.extend(journal.iter().flat_map(|journal| ["--journal", journal.as_str()]));
        *served = Some(Served::start(self.world, &arguments, &["http"]));
    }

    fn running(&self) -> Vec<usize> {
        (0..SERVERS).filter(|place| self.places[*place].served.is_some()).collect()
    }

    /// So many of them run, at places from the first on; the others have stopped by themselves.
    fn be(&mut self, count: usize) {
        self.bury();
        for place in 0..SERVERS {
            match (place < count, self.places[place].served.take()) {
                (true, None) => self.start(place),
                (false, Some(served)) => served.stop(),
                (_, served) => self.places[place].served = served,
            }
        }
    }

    /// Takes out those that ended because they had lost the lake; no other reason is good.
    fn bury(&mut self) {
        for place in &mut self.places {
            if let Some(ended) = place.served.as_mut().and_then(Served::ended) {
                assert_eq!(ended.code(), Some(2), "a server ended with {ended}");
                place.served = None;
                self.lost += 1;
            }
        }
    }

    /// The one that serves.
    fn owner(&mut self, within: Duration) -> usize {
        let began = Instant::now();
        loop {
            self.bury();
            let ready = |place: &usize| status(self.places[*place].http, "GET", "/ready", &[], "") == Some(200);
            let ready: Vec<usize> = self.running().into_iter().filter(ready).collect();
            // One that has just come back learns in a moment that it has lost the lake.
            if let [owner] = ready[..] {
                return owner;
            }
            assert!(began.elapsed() < within, "{} servers serve after {:?}", ready.len(), began.elapsed());
            thread::sleep(POLL);
        }
    }

    /// Waits until the servers have taken some deliveries more.
    fn take_some(&self) {
        let (wanted, began) = (self.outside.count() + AT_STAKE, Instant::now());
        while self.outside.count() < wanted {
            assert!(began.elapsed() < PATIENCE, "nobody takes deliveries");
            thread::sleep(POLL);
        }
    }

    fn kill(&mut self, place: usize) {
        if let Some(served) = self.places[place].served.take() {
            served.kill();
        }
    }

    /// Kills the owner; who waits has the lake soon.
    fn kill_owner(&mut self) {
        let owner = self.owner(PATIENCE);
        self.kill(owner);
        if !self.running().is_empty() {
            let ended = Instant::now();
            self.owner(SERVED_WITHIN);
            self.longest = self.longest.max(ended.elapsed());
        }
    }

    /// Lets the owner stand still for a while.
    fn pause_owner(&mut self, pause: Duration) {
        let owner = self.owner(PATIENCE);
        let Some(served) = &self.places[owner].served else { return };
        served.signal("STOP");
        thread::sleep(pause);
        served.signal("CONT");
    }

    /// Waits until all that was accepted is shown, and stops all servers. What one of them has in a journal of its own, it loads itself.
    fn drain(&mut self) {
        let places = match self.journals {
            Journals::InTheLake | Journals::Shared(_) => 1,
            Journals::Own(_) => SERVERS,
        };
        self.be(0);
        for place in 0..places {
            self.start(place);
            self.owner(PATIENCE);
            let Some(served) = self.places[place].served.take() else { return };
            served.wait_for("all that was accepted to be shown", |status| {
                let feeds = status["feeds"].as_array().unwrap();
                feeds.iter().all(|feed| feed["waiting_bytes"] == 0 && feed["rows_shown"] == feed["rows_accepted"])
            });
            served.stop();
        }
    }

    /// The owner stands still for a while, and dies; the next one, or one that waits, dies as well.
    fn round(&mut self, dice: &mut Dice, least_pause: Duration) {
        let count = 2 + dice.below(SERVERS as u64 - 1) as usize;
        self.be(count);
        self.owner(PATIENCE);
        self.take_some();
        self.pause_owner(least_pause + Duration::from_millis(dice.below(1000)));
        self.owner(PATIENCE);
        self.be(count);
        self.take_some();
        thread::sleep(Duration::from_millis(dice.below(300)));
        self.kill_owner();
        // While it begins, or later.
        thread::sleep(Duration::from_millis(dice.below(600)));
        if self.running().is_empty() {
            self.be(1);
        }
        let running = self.running();
        match dice.below(3) {
            0 => self.kill(running[dice.below(running.len() as u64) as usize]),
            _ => self.kill_owner(),
        }
    }
}

/// The kind of lake that a recipe is run on.
enum Lake {
    Folder,
    S3(Server),
    Azurite(Azurite),
}

impl Lake {
    /// As the environment says; none if what it needs is not installed.
    fn chosen() -> Option<Self> {
        match std::env::var("WARDLAKE_OWNERS_LAKE").as_deref() {
            Err(_) | Ok("folder") => Some(Self::Folder),
            Ok("s3") => Server::start().map(Self::S3),
            Ok("azurite") => Azurite::start().map(Self::Azurite),
            Ok(other) => panic!("WARDLAKE_OWNERS_LAKE is {other} and can be folder, s3 or azurite"),
        }
    }

    fn holds(&self, world: World) -> World {
        match self {
            Self::Folder => world,
            Self::S3(server) => server.holds(world, "owners"),
            Self::Azurite(azurite) => world
                .env("WARDLAKE_LAKE", "az://bucket/owners")
                .env("AZURE_STORAGE_USE_EMULATOR", "true")
                .env("AZURITE_BLOB_STORAGE_URL", &azurite.endpoint),
        }
    }
}

/// An Azure Blob server of this machine with an empty container.
struct Azurite {
    process: Child,
    endpoint: String,
}

impl Azurite {
    fn start() -> Option<Self> {
        let Ok(folder) = std::env::var("WARDLAKE_AZURITE") else {
            skipped("Azurite is not installed; `cargo xtask owners --lake azurite` installs it");
            return None;
        };
        let mut process = Command::new("node")
            .arg(repository().join("peers/azure_server.mjs"))
            .arg(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut endpoint = String::new();
        // It prints its address once it serves.
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut endpoint).unwrap();
        let server = Self { process, endpoint: endpoint.trim().to_owned() };
        assert!(server.endpoint.starts_with("http://127.0.0.1:"), "azure_server.mjs: {endpoint}");
        Some(server)
    }
}

impl Drop for Azurite {
    fn drop(&mut self) {
        // It ends when nobody can write to it any more.
        drop(self.process.stdin.take());
        let _ = self.process.wait();
    }
}

/// Compares a table with what was acknowledged, key by key.
fn compare(world: &World, table: &str, key: &str, acknowledged: &[String]) {
    let rows = world.sql(&format!("select \"{key}\" as k, _position as p from {table}"));
    let mut keys: Vec<String> = rows.iter().map(|row| row["k"].clone()).collect();
    keys.sort_unstable();
    let doubled: Vec<&String> = keys.windows(2).filter(|pair| pair[0] == pair[1]).map(|pair| &pair[0]).collect();
    let found: BTreeSet<&String> = keys.iter().collect();
    let wanted: BTreeSet<&String> = acknowledged.iter().collect();
    let lost: Vec<_> = wanted.difference(&found).collect();
    let unknown: Vec<_> = found.difference(&wanted).collect();
    assert!(
        lost.is_empty() && doubled.is_empty() && unknown.is_empty(),
        "{table}: lost {lost:?}, doubled {doubled:?}, never acknowledged {unknown:?}"
    );
    let numbers: BTreeSet<&String> = rows.iter().map(|row| &row["p"]).collect();
    assert_eq!(numbers.len(), rows.len(), "{table}: a row number was given out twice");
}

#[test]
fn a01_owners_come_and_go_and_every_acknowledged_delivery_is_there_once() {
    let rounds = setting("WARDLAKE_OWNERS_ROUNDS", 3);
    let seed = setting("WARDLAKE_OWNERS_SEED", 20_261_130);
    let Some(lake) = Lake::chosen() else { return };
    println!("owners: {rounds} rounds from seed {seed}; WARDLAKE_OWNERS_SEED={seed} repeats them");
    let world = lake.holds(ward());
    world.write("sources/hl7.yml", MESSAGES);
    world.write("models/messages.sql", OF_MESSAGES);
    let folder = world.path().join("journals");
    let has_own = std::env::var("WARDLAKE_OWNERS_JOURNALS").is_ok_and(|journals| journals == "own");
    let journals = match lake {
        Lake::Folder => Journals::InTheLake,
        _ if has_own => Journals::Own(folder),
        _ => Journals::Shared(folder),
    };
    let (outside, mut dice) = (Outside::default(), Dice::new(seed));
    let mut servers = Servers::new(&world, &outside, journals);
    let addresses: Vec<(SocketAddr, SocketAddr)> =
        servers.places.iter().map(|place| (place.http, place.mllp)).collect();
    thread::scope(|scope| {
        let ends = Abandons(&outside);
        for sender in 0..SENDERS {
            let (outside, addresses) = (&outside, &addresses);
            scope.spawn(move || outside.send_all(sender, |server, number| post(addresses[server].0, number)));
            let mut connection = None;
            scope.spawn(move || {
                outside.send_all(sender, |server, number| message(&mut connection, addresses[server].1, number));
            });
        }
        for round in 0..rounds {
            // Where a lease says who owns the lake, every second pause is longer than that.
            let least_pause = match lake {
                Lake::S3(_) | Lake::Azurite(_) if round % 2 == 1 => BEYOND_A_LEASE,
                _ => Duration::from_millis(50),
            };
            servers.round(&mut dice, least_pause);
            println!("owners: round {round}: {} acknowledged", outside.count());
        }
        servers.be(2);
        servers.owner(PATIENCE);
        // Senders end when what they have begun is acknowledged.
        drop(ends);
    });
    servers.drain();
    let (deliveries, messages) = (outside.keys('h'), outside.keys('M'));
    println!(
        "owners: {} deliveries and {} messages; served again after {:?} at most; {} servers lost the lake",
        deliveries.len(),
        messages.len(),
        servers.longest,
        servers.lost
    );
    assert!(deliveries.len() > AT_STAKE && messages.len() > AT_STAKE);
    compare(&world, "bronze.events", "id", &deliveries);
    compare(&world, "bronze.messages", "message_control_id", &messages);
    assert_eq!(world.count("main.events"), deliveries.len() as u64);
    assert_eq!(world.count("main.messages"), messages.len() as u64);
    match lake {
        Lake::Folder => assert_eq!(servers.lost, 0, "a lock is not lost"),
        _ => assert!(rounds < 2 || servers.lost > 0, "an owner that stood still for longer than its lease went on"),
    }
}

#[test]
fn a01_a_lake_in_a_bucket_has_one_owner_for_as_long_as_it_renews_its_lease() {
    let Some(server) = Server::start() else { return };
    let world = server.holds(ward(), "owned");
    let folder = |name: &str| world.path().join(name).to_str().unwrap().to_owned();
    let (north, south) = (folder("north"), folder("south"));
    let refused = world.fails(2, &["serve", "--http", "127.0.0.1:0"]);
    assert!(refused.contains("feed.events") && refused.contains("--journal DIR"), "{refused}");
    let event = |number: u64| json!({"id": number.to_string(), "ward": "a", "beds": "1"}).to_string();
    let post = |served: &Served, number: u64| {
        let answer = served.post("/ingest/feed/events", &[TOKEN], format!("{}\n", event(number)).as_bytes());
        assert_eq!(answer.status, 200, "{answer:?}");
        served.wait_until_shown("feed.events", number);
    };
    let mut first = Served::start(&world, &["--journal", &north], &["http"]);
    post(&first, 1);
    let refused = world.fails(2, &["serve", "--http", "127.0.0.1:0", "--journal", &south]);
    assert!(refused.contains(&format!("is served by process {} on ", first.process())), "{refused}");
    let mut standby = Served::start(&world, &["--standby", "--journal", &south], &["http"]);
    let answer = standby.get("/ready");
    assert!(answer.status == 503 && answer.body.contains("is served by process"), "{answer:?}");

    // It stands still for longer than its lease holds.
    let stopped = Instant::now();
    first.signal("STOP");
    standby.await_event(|event| {
        event["event"] == "message" && event["text"].as_str().is_some_and(|text| text.contains("owns the lake now"))
    });
    standby.wait_for("it to serve", |status| status["feeds"].is_array());
    assert!(stopped.elapsed() < SERVED_WITHIN, "{:?}", stopped.elapsed());
    post(&standby, 2);
    first.signal("CONT");
    let failed = first.await_event(|event| event["event"] == "command_failed");
    assert!(failed["message"].as_str().unwrap().contains("this server no longer owns"), "{failed}");
    assert_eq!(first.wait().code(), Some(2));
    post(&standby, 3);

    // Who stops by itself is waited for by nobody.
    standby.stop();
    let began = Instant::now();
    let next = Served::start(&world, &["--journal", &south], &["http"]);
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    post(&next, 4);
    // Nor who died on this machine, by one that has its journals.
    next.kill();
    let next = Served::start(&world, &["--journal", &south], &["http"]);
    post(&next, 5);
    next.stop();
    let wanted: Vec<String> = (1..=5).map(|number| number.to_string()).collect();
    compare(&world, "bronze.events", "id", &wanted);
}
