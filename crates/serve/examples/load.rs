//! Load for a running `wardlake serve`, and what it makes of it:
//!
//! ```text
//! cargo run --release -p wardlake-serve --example load -- http 127.0.0.1:8080 live/adt_events 20 1000 4
//! cargo run --release -p wardlake-serve --example load -- mllp 127.0.0.1:2575 20 8
//! cargo run --release -p wardlake-serve --example load -- fresh 127.0.0.1:8080 live/adt_events 60 2000
//! cargo run --release -p wardlake-serve --example load -- history 127.0.0.1:8080 live/adt_events 10000000 700
//! ```
//!
//! `http`: seconds, events per request, connections. `mllp`: seconds, connections. `fresh`: seconds, events per second; measures the
//! time from an acknowledgement to the epoch that shows it. `history`: events, and the days before the other loads over which they
//! are spread; ends when all of them are shown.
#![allow(clippy::print_stdout, clippy::unwrap_used, clippy::expect_used, reason = "a tool that ends where it fails")]

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    sync::atomic::{AtomicU64, Ordering},
    thread,
    time::{Duration, Instant},
};

/// Numbers of events, unique over all senders of this run.
static NEXT: AtomicU64 = AtomicU64::new(0);

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let text = |place: usize| arguments.get(place).map(String::as_str).expect("see the first lines of this file");
    let number = |place: usize| text(place).parse::<u64>().expect("a number");
    match text(0) {
        "http" => http(text(1), text(2), number(3), number(4), number(5)),
        "mllp" => mllp(text(1), number(2), number(3)),
        "fresh" => fresh(text(1), text(2), number(3), number(4)),
        "history" => history(text(1), text(2), number(3), number(4)),
        other => println!("there is no load `{other}`"),
    }
}

/// When the loads begin that tell of now, in seconds since 1970.
const NOW: u64 = 1_790_000_000;

/// The next event of now, which moves on.
fn event(run: u128) -> String {
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    event_at(run, number, NOW + number / 2000)
}

/// An admission, transfer or discharge of one of many encounters.
fn event_at(run: u128, number: u64, seconds: u64) -> String {
    let (encounter, step) = (number / 3, number % 3);
    let kind = ["A01", "A02", "A03"][step as usize];
    let at = chrono::DateTime::from_timestamp(seconds as i64, 0).expect("an instant");
    let at = at.format("%Y-%m-%d %H:%M:%S");
    format!(
        "{{\"event_id\":\"L{run}-{number}\",\"event_type\":\"{kind}\",\"occurred_at\":\"{at}\",\"recorded_at\":\"{at}\",\
         \"hospital_id\":\"H{:02}\",\"patient_id\":\"L{run}-P{encounter}\",\"encounter_id\":\"L{run}-E{encounter}\",\
         \"department_id\":\"H01-D{:02}\",\"room_id\":\"R{}\",\"bed_id\":\"B{}\"}}\n",
        encounter % 7 + 1,
        (encounter + step) % 9 + 1,
        encounter % 90,
        (encounter * 3 + step) % 900
    )
}

fn run_id() -> u128 {
    std::time::SystemTime::UNIX_EPOCH.elapsed().map_or(0, |age| age.as_millis())
}

/// One keep-alive connection.
struct Connection(BufReader<TcpStream>);

impl Connection {
    fn open(to: &str) -> Self {
        let stream = TcpStream::connect(to).unwrap();
        stream.set_nodelay(true).unwrap();
        Self(BufReader::new(stream))
    }

    fn ask(&mut self, method: &str, path: &str, body: &str) -> (u16, String) {
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-ndjson\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        self.0.get_mut().write_all(format!("{head}{body}").as_bytes()).unwrap();
        let (mut status, mut length) = (0, 0);
        loop {
            let mut line = String::new();
            self.0.read_line(&mut line).unwrap();
            if line.starts_with("HTTP/") {
                status = line.split_whitespace().nth(1).and_then(|code| code.parse().ok()).unwrap_or(0);
            } else if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap_or(0);
            } else if line.trim().is_empty() {
                break;
            }
        }
        let mut body = vec![0; length];
        self.0.read_exact(&mut body).unwrap();
        (status, String::from_utf8_lossy(&body).into_owned())
    }
}

fn http(to: &str, table: &str, seconds: u64, batch: u64, connections: u64) {
    let run = run_id();
    let path = format!("/ingest/{table}");
    let started = Instant::now();
    let (sent, refused): (u64, u64) = thread::scope(|scope| {
        let senders: Vec<_> = (0..connections)
            .map(|_| {
                scope.spawn(|| {
                    let mut connection = Connection::open(to);
                    let (mut sent, mut refused) = (0, 0);
                    while started.elapsed() < Duration::from_secs(seconds) {
                        let body: String = (0..batch).map(|_| event(run)).collect();
                        match connection.ask("POST", &path, &body).0 {
                            200 => sent += batch,
                            429 => {
                                refused += 1;
                                thread::sleep(Duration::from_millis(100));
                            }
                            status => println!("answered with {status}"),
                        }
                    }
                    (sent, refused)
                })
            })
            .collect();
        senders.into_iter().map(|sender| sender.join().unwrap()).fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1))
    });
    let took = started.elapsed().as_secs_f64();
    println!(
        "http: {sent} events acknowledged in {took:.1} s, {:.0} a second; told to wait {refused} times",
        sent as f64 / took
    );
}

fn mllp(to: &str, seconds: u64, connections: u64) {
    let run = run_id();
    let started = Instant::now();
    let sent: u64 = thread::scope(|scope| {
        let senders: Vec<_> = (0..connections)
            .map(|_| {
                scope.spawn(|| {
                    let mut connection = Connection::open(to);
                    let mut sent = 0;
                    let mut byte = [0];
                    while started.elapsed() < Duration::from_secs(seconds) {
                        let number = NEXT.fetch_add(1, Ordering::Relaxed);
                        let message = format!(
                            "\x0bMSH|^~\\&|LOAD|NORTH|LAKE|HOME|20261128120000||ADT^A01^ADT_A01|L{run}-{number}|P|2.5.1\r\
                             EVN|A01|20261128120000\rPID|1||L{run}-P{number}^^^NORTH^MR||Meier^Anna||19700101|F\r\
                             PV1|1|I|W{}^1^2||||||||||||||||L{run}-E{number}\r\x1c\r",
                            number % 9
                        );
                        connection.0.get_mut().write_all(message.as_bytes()).unwrap();
                        let mut answer = Vec::new();
                        while byte[0] != 0x1c || answer.is_empty() {
                            connection.0.read_exact(&mut byte).unwrap();
                            answer.push(byte[0]);
                        }
                        connection.0.read_exact(&mut byte).unwrap();
                        assert!(answer.windows(6).any(|part| part == b"MSA|AA"), "{}", String::from_utf8_lossy(&answer));
                        sent += 1;
                    }
                    sent
                })
            })
            .collect();
        senders.into_iter().map(|sender| sender.join().unwrap()).sum()
    });
    let took = started.elapsed().as_secs_f64();
    println!(
        "mllp: {sent} messages acknowledged over {connections} connections in {took:.1} s, {:.0} a second",
        sent as f64 / took
    );
}

/// What happened over some days before now, as fast as it is taken.
fn history(to: &str, table: &str, events: u64, days: u64) {
    const BATCH: u64 = 1_500;
    let (run, started, span) = (run_id(), Instant::now(), days * 86_400);
    let mut connection = Connection::open(to);
    let (mut number, mut last) = (0, 0);
    while number < events {
        let upto = (number + BATCH).min(events);
        let body: String =
            (number..upto).map(|number| event_at(run, number, NOW - span + number * span / events)).collect();
        match connection.ask("POST", &format!("/ingest/{table}"), &body) {
            (200, answer) => {
                last = last_row(&answer);
                number = upto;
            }
            (429, _) => thread::sleep(Duration::from_millis(100)),
            (status, answer) => return println!("answered with {status}: {answer}"),
        }
    }
    while shown(&mut connection, table) < last {
        thread::sleep(Duration::from_millis(100));
    }
    let took = started.elapsed().as_secs_f64();
    println!("history: {events} events of {days} days shown after {took:.1} s, {:.0} a second", events as f64 / took);
}

/// The last of the rows that an answer acknowledges.
fn last_row(answer: &str) -> u64 {
    let answer: serde_json::Value = serde_json::from_str(answer).unwrap();
    answer["first_row"].as_u64().unwrap() + answer["rows"].as_u64().unwrap() - 1
}

/// The last row of a table that an epoch shows.
fn shown(connection: &mut Connection, table: &str) -> u64 {
    let body = connection.ask("GET", "/v1/status", "").1;
    let status: serde_json::Value = serde_json::from_str(&body).unwrap();
    let label = table.replace('/', ".");
    let feed = status["feeds"].as_array().unwrap().iter().find(|feed| feed["table"] == label.as_str()).unwrap();
    feed["rows_shown"].as_u64().unwrap()
}

/// Sends at a steady rate, a request every twentieth of a second, and watches the status for the moment each is shown.
fn fresh(to: &str, table: &str, seconds: u64, rate: u64) {
    let run = run_id();
    let (send, receive) = std::sync::mpsc::channel::<(u64, Instant)>();
    let watcher = {
        let (to, table) = (to.to_owned(), table.to_owned());
        thread::spawn(move || {
            let mut connection = Connection::open(&to);
            let mut times: Vec<f64> = Vec::new();
            for (row, acknowledged) in receive {
                while shown(&mut connection, &table) < row {
                    thread::sleep(Duration::from_millis(3));
                }
                times.push(acknowledged.elapsed().as_secs_f64() * 1000.0);
            }
            times
        })
    };
    let started = Instant::now();
    let mut connection = Connection::open(to);
    let pause = Duration::from_millis(50);
    for request in 1..=seconds * 20 {
        let body: String = (0..rate / 20).map(|_| event(run)).collect();
        let (status, answer) = connection.ask("POST", &format!("/ingest/{table}"), &body);
        assert_eq!(status, 200, "{answer}");
        send.send((last_row(&answer), Instant::now())).unwrap();
        thread::sleep((pause * u32::try_from(request).unwrap()).saturating_sub(started.elapsed()));
    }
    drop(send);
    let mut times = watcher.join().unwrap();
    times.sort_by(f64::total_cmp);
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize];
    println!(
        "fresh: {} requests of {} events, {rate} events a second; from acknowledgement to epoch p50 {:.0} ms, p90 {:.0} ms, p99 {:.0} ms, \
         longest {:.0} ms",
        times.len(),
        rate / 20,
        at(0.5),
        at(0.9),
        at(0.99),
        at(1.0)
    );
}
