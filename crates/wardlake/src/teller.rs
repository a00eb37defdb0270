//! Tells what happens while a command works: as lines for people or as JSON, on the stream that the command leaves to it.
//!
//! A command that ends waits for its reader, so that nothing of what it says is lost. A server does not: its lines wait in a queue
//! of bounded length, a thread of its own writes them, and what finds no room is counted, told when there is room again, and left
//! out. Neither ends because nobody reads.

use std::{
    io::{self, Write},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    time::Duration,
};

use chrono::Local;
use clap::ValueEnum;
use serde::Serialize;
use wardlake_records::RunEvent;

use crate::printing::{Stream, escaped_json, painted, safe};

/// Lines of a server that may wait for their reader.
const WAITING_LINES: usize = 8192;
/// So long a server that ends waits for its last lines to be read.
const LAST_LINES: Duration = Duration::from_secs(1);

/// How a run is told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// Lines for people.
    #[default]
    Text,
    /// One JSON object per event.
    Json,
}

/// How this command tells. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Teller {
    pub(crate) format: LogFormat,
    pub(crate) quiet: bool,
    stream: Stream,
    queue: Option<Arc<Queue>>,
}

impl Teller {
    /// `stream` is standard error where standard output belongs to the command's result.
    pub(crate) fn new(format: LogFormat, quiet: bool, stream: Stream) -> Self {
        Self { format, quiet, stream, queue: None }
    }

    /// The same for what must not wait for its reader.
    pub(crate) fn for_server(self) -> io::Result<Self> {
        Ok(Self { queue: Some(Queue::start(self.stream)?), ..self })
    }

    /// The same for the events of a run, which always stand on standard output.
    pub(crate) fn of_run(&self) -> Self {
        Self { stream: Stream::Out, ..self.clone() }
    }

    /// Whether nothing that is told may hold up the work.
    pub(crate) fn never_waits(&self) -> bool {
        self.queue.is_some()
    }

    pub(crate) fn stream(&self) -> Stream {
        self.stream
    }

    /// Tells a line, whose parts are safe already.
    pub(crate) fn line(&self, line: String) {
        match &self.queue {
            None => painted(self.stream, &line),
            Some(queue) => queue.push(line, |count| self.left_out(count)),
        }
    }

    /// Tells an event as JSON.
    pub(crate) fn event(&self, event: &impl Serialize) {
        if let Ok(line) = serde_json::to_string(event) {
            self.line(escaped_json(&line));
        }
    }

    /// Tells a message of a template.
    pub(crate) fn message(&self, text: &str) {
        if !self.quiet {
            self.line(self.message_line("info", text));
        }
    }

    fn left_out(&self, count: u64) -> String {
        self.message_line("warn", &format!("{count} lines of this log were left out: they were not read in time"))
    }

    fn message_line(&self, level: &str, text: &str) -> String {
        match self.format {
            LogFormat::Text => timed(&safe(text)),
            LogFormat::Json => {
                let event = RunEvent::Message { level: level.to_owned(), text: text.to_owned() };
                escaped_json(&serde_json::to_string(&event).unwrap_or_else(|_| text.to_owned()))
            }
        }
    }

    /// Waits until everything is written, but no longer than a reader who is there takes.
    pub(crate) fn flush(&self) {
        if let Some(queue) = &self.queue {
            queue.flush();
        }
    }
}

/// A line with the time before it.
pub(crate) fn timed(text: &str) -> String {
    format!("{}  {text}", Local::now().format("%H:%M:%S"))
}

/// What waits to be written.
#[derive(Debug)]
enum Waiting {
    Line(String),
    /// Everything before it is written.
    Mark(SyncSender<()>),
}

/// Lines on their way through a thread of their own.
#[derive(Debug)]
pub(crate) struct Queue {
    sender: SyncSender<Waiting>,
    left_out: AtomicU64,
}

impl Queue {
    pub(crate) fn start(stream: Stream) -> io::Result<Arc<Self>> {
        let (sender, receiver) = sync_channel(WAITING_LINES);
        std::thread::Builder::new().name("log".to_owned()).spawn(move || write_all(stream, receiver))?;
        Ok(Arc::new(Self { sender, left_out: AtomicU64::new(0) }))
    }

    fn push(&self, line: String, notice: impl FnOnce(u64) -> String) {
        let before = self.left_out.swap(0, Ordering::Relaxed);
        let has_room = before == 0 || self.sender.try_send(Waiting::Line(notice(before))).is_ok();
        let is_kept = has_room && self.sender.try_send(Waiting::Line(line)).is_ok();
        let lost = u64::from(!is_kept) + if has_room { 0 } else { before };
        self.left_out.fetch_add(lost, Ordering::Relaxed);
    }

    fn flush(&self) {
        let (done, written) = sync_channel(1);
        if self.sender.try_send(Waiting::Mark(done)).is_ok() {
            let _ = written.recv_timeout(LAST_LINES);
        }
    }
}

fn write_all(stream: Stream, waiting: Receiver<Waiting>) {
    for next in waiting {
        match next {
            Waiting::Line(line) => painted(stream, &line),
            Waiting::Mark(done) => {
                let _ = done.send(());
            }
        }
    }
}

/// The log lines of libraries on their way to standard error, each written at once.
pub(crate) struct LibraryLines(pub(crate) Option<Arc<Queue>>);

impl Write for LibraryLines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(bytes);
        let line = text.strip_suffix('\n').unwrap_or(&text).to_owned();
        match &self.0 {
            Some(queue) => queue.push(line, |count| format!("{count} lines were left out: they were not read in time")),
            None => painted(Stream::Err, &line),
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn e03_a_full_queue_counts_what_it_leaves_out() {
        let (sender, receiver) = sync_channel(2);
        let queue = Queue { sender, left_out: AtomicU64::new(0) };
        let push = |line: &str| queue.push(line.to_owned(), |count| format!("{count} left out"));
        ["a", "b", "c", "d"].into_iter().for_each(push);
        let next = || match receiver.try_recv() {
            Ok(Waiting::Line(line)) => line,
            _ => "nothing".to_owned(),
        };
        assert_eq!((next(), next(), next()), ("a".to_owned(), "b".to_owned(), "nothing".to_owned()));
        push("e");
        assert_eq!((next(), next()), ("2 left out".to_owned(), "e".to_owned()));
        assert_eq!(queue.left_out.load(Ordering::Relaxed), 0);
    }
}
