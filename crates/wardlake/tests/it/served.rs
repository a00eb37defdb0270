//! The server from outside: a real process on free loopback ports, and the small clients that talk to it.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    process::{Child, ChildStdout, ExitStatus, Stdio},
    sync::mpsc,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::world::World;

/// No condition of a test takes longer on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);
/// Between two looks at a condition that only the server's state tells.
pub(crate) const POLL: Duration = Duration::from_millis(20);

/// A running `wardlake serve`.
pub(crate) struct Served {
    child: Child,
    pub(crate) http: SocketAddr,
    pub(crate) mllp: Option<SocketAddr>,
    events: mpsc::Receiver<Value>,
}

/// An answer to a request.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: String,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

impl Served {
    /// Starts a server on free ports and waits until it listens for everything `listeners` names. Its stop leaves no time to others, if
    /// the arguments do not say otherwise.
    pub(crate) fn start(world: &World, arguments: &[&str], listeners: &[&str]) -> Self {
        let mut all = vec!["serve", "--log-format", "json"];
        if !arguments.contains(&"--http") {
            all.extend(["--http", "127.0.0.1:0"]);
        }
        if !arguments.contains(&"--drain") {
            all.extend(["--drain", "0"]);
        }
        all.extend(arguments);
        let mut child = world.command(&all).stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn().unwrap();
        let events = read_events(child.stdout.take().unwrap());
        let mut served = Self { child, http: SocketAddr::from(([127, 0, 0, 1], 0)), mllp: None, events };
        for _ in listeners {
            let event = served.await_event(|event| event["event"] == "listening");
            let address = event["address"].as_str().unwrap().parse().unwrap();
            match event["protocol"].as_str().unwrap() {
                "http" => served.http = address,
                _ => served.mllp = Some(address),
            }
        }
        served
    }

    /// The next event of that kind.
    pub(crate) fn await_event(&mut self, is_it: impl Fn(&Value) -> bool) -> Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.events.recv_timeout(left) {
                Ok(event) if is_it(&event) => return event,
                Ok(_) => {}
                Err(error) => panic!("the server did not tell of it: {error}; it is {:?}", self.child.try_wait()),
            }
        }
    }

    /// The events of a kind that it has told and nobody has waited for.
    pub(crate) fn told(&mut self, kind: &str) -> impl Iterator<Item = Value> {
        self.events.try_iter().filter(move |event| event["event"] == kind)
    }

    /// Bytes of memory that its process has.
    pub(crate) fn resident_bytes(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.split_whitespace().next().unwrap().parse::<u64>().unwrap() << 10
    }

    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Asks it to stop and waits until it has drained.
    pub(crate) fn stop(self) {
        self.terminate();
        let status = self.wait();
        assert!(status.success(), "a stop ended with {status}");
    }

    /// Asks it to stop.
    pub(crate) fn terminate(&self) {
        self.signal("TERM");
    }

    /// Lets it stand still, or go on.
    pub(crate) fn freeze(&self, is_frozen: bool) {
        self.signal(if is_frozen { "STOP" } else { "CONT" });
    }

    /// Sends its process a signal.
    pub(crate) fn signal(&self, name: &str) {
        signal(self.child.id(), name);
    }

    /// The number of its process.
    pub(crate) fn process(&self) -> u32 {
        self.child.id()
    }

    /// How its process ended, if it has.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().unwrap()
    }

    /// Waits until the process has ended.
    pub(crate) fn wait(mut self) -> ExitStatus {
        self.child.wait().unwrap()
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        request(self.http, "GET", path, &[], b"").unwrap()
    }

    pub(crate) fn post(&self, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        request(self.http, "POST", path, headers, body).unwrap()
    }

    /// Waits until the server's state is as wanted.
    pub(crate) fn wait_for(&self, what: &str, is_so: impl Fn(&Value) -> bool) -> Value {
        let deadline = Instant::now() + PATIENCE;
        let mut last = Value::Null;
        while Instant::now() < deadline {
            last = self.get("/v1/status").json();
            if is_so(&last) {
                return last;
            }
            std::thread::sleep(POLL);
        }
        panic!("{what} did not happen; the server stands at {last}");
    }

    /// Waits until every feed has loaded what it accepted and a wave has shown it.
    pub(crate) fn wait_until_shown(&self, table: &str, rows: u64) -> Value {
        self.wait_for(&format!("{table} with {rows} rows"), |status| {
            let feeds = status["feeds"].as_array().unwrap();
            feeds.iter().any(|feed| feed["table"] == table && feed["rows_shown"].as_u64() >= Some(rows))
        })
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // A test that fails leaves no server behind.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Sends a process a signal.
pub(crate) fn signal(process: u32, name: &str) {
    let sent = std::process::Command::new("kill").args([&format!("-{name}"), &process.to_string()]).status().unwrap();
    assert!(sent.success());
}

fn read_events(stdout: ChildStdout) -> mpsc::Receiver<Value> {
    let (send, receive) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stdout).lines() {
            let Ok(line) = line else { return };
            let event: Value = serde_json::from_str(&line).unwrap_or_else(|_| Value::String(line));
            if event["event"] == "message" {
                println!("server: {event}");
            }
            if send.send(event).is_err() {
                return;
            }
        }
    });
    receive
}

/// One request on a connection of its own.
pub(crate) fn request(
    to: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> std::io::Result<Answer> {
    let mut stream = TcpStream::connect(to)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut head =
        format!("{method} {path} HTTP/1.1\r\nHost: {to}\r\nConnection: close\r\nContent-Length: {}\r\n", body.len());
    for (name, value) in headers {
        head += &format!("{name}: {value}\r\n");
    }
    stream.write_all(format!("{head}\r\n").as_bytes())?;
    stream.write_all(body)?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let text = String::from_utf8_lossy(&answer).into_owned();
    let (headers, body) =
        text.split_once("\r\n\r\n").ok_or_else(|| std::io::Error::other(format!("no answer: {text:?}")))?;
    let status = headers.split_whitespace().nth(1).and_then(|code| code.parse().ok()).unwrap_or_default();
    Ok(Answer { status, headers: headers.to_owned(), body: body.to_owned() })
}

/// A change stream, read event by event.
pub(crate) struct Stream(BufReader<TcpStream>);

/// One server-sent event.
#[derive(Debug, Default)]
pub(crate) struct Sent {
    pub(crate) id: String,
    pub(crate) kind: String,
    pub(crate) rows: Value,
}

impl Stream {
    pub(crate) fn open(to: SocketAddr, model: &str, last_id: Option<&str>) -> Self {
        let mut stream = TcpStream::connect(to).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let last = last_id.map(|id| format!("Last-Event-ID: {id}\r\n")).unwrap_or_default();
        write!(stream, "GET /v1/stream/{model} HTTP/1.1\r\nHost: {to}\r\n{last}\r\n").unwrap();
        let mut reader = BufReader::new(stream);
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        assert!(line.contains(" 200 "), "{line}");
        Self(reader)
    }

    pub(crate) fn next(&mut self) -> Sent {
        self.try_next().expect("the stream goes on")
    }

    /// The next event, if the stream goes on.
    pub(crate) fn try_next(&mut self) -> Option<Sent> {
        let mut sent = Sent::default();
        let mut line = String::new();
        loop {
            line.clear();
            if self.0.read_line(&mut line).ok()? == 0 {
                return None;
            }
            match line.trim_end().split_once(": ") {
                Some(("id", id)) => sent.id = id.to_owned(),
                Some(("event", kind)) => sent.kind = kind.to_owned(),
                Some(("data", data)) => {
                    sent.rows = serde_json::from_str(data).unwrap();
                }
                _ if line.trim().is_empty() && !sent.id.is_empty() => return Some(sent),
                _ => {}
            }
        }
    }
}
