//! The one thread that writes a table's journal.

use std::{io, path::PathBuf, sync::Arc};

use chrono::Utc;
use tokio::sync::{mpsc, oneshot};

use super::{
    Accepted, Content, Delivery, FeedOptions, IntakeError, Receipt, Records, RejectedRecord, Waiting,
    damage::Damage,
    file_of, format_of, frame,
    journal::Journal,
    keys::{Keys, Seen},
    read,
    segment::{Frame, Origin, SegmentFile},
};
use crate::error::LoadError;

/// Deliveries and bytes that share one sync at most.
const GROUP_DELIVERIES: usize = 1024;
const GROUP_BYTES: usize = 8 << 20;

/// A delivery and where its answer goes.
pub(crate) struct Request {
    pub(crate) delivery: Delivery,
    pub(crate) answer: Answer,
}

/// Where a sender waits for its receipt.
type Answer = oneshot::Sender<Result<Receipt, IntakeError>>;

/// A journal about to be opened.
pub(crate) struct Opening {
    pub(crate) folder: PathBuf,
    pub(crate) options: FeedOptions,
    /// Rows that bronze has.
    pub(crate) loaded: u64,
    pub(crate) waiting: Arc<Waiting>,
}

struct Writer {
    options: FeedOptions,
    journal: Journal,
    keys: Keys,
    waiting: Arc<Waiting>,
}

impl Opening {
    /// Reads the journal's past and starts the thread, which ends when every sender is gone. What cannot be read of it.
    pub(crate) fn start(self, receive: mpsc::Receiver<Request>) -> Result<Vec<Damage>, LoadError> {
        let Self { folder, options, loaded, waiting } = self;
        let mut keys = Keys::new(options.key_window);
        let mut again: Vec<Accepted> = Vec::new();
        let window_us = i64::try_from(options.key_window.as_micros()).unwrap_or(i64::MAX);
        let oldest_us = Utc::now().timestamp_micros().saturating_sub(window_us);
        let wants = |segment: &SegmentFile| {
            segment.written_us >= oldest_us || segment.end_row.is_some_and(|end| end > loaded + 1)
        };
        let opened = Journal::open(&folder, loaded + 1, wants, |segment, frame| {
            let receipt = Receipt { first_row: frame.first_row, rows: frame.rows, is_repeated: false };
            keys.note(&frame.key, &frame.payload, receipt, frame.received_us);
            if frame.end_row() > loaded + 1 {
                again.push(accepted_again(&options, segment, frame));
            }
        });
        let label = options.label.clone();
        let (journal, damage) = opened.map_err(|error| LoadError::Journal {
            table: label.clone(),
            folder: folder.display().to_string(),
            reason: error.to_string(),
        })?;
        waiting.push(again);
        let writer = Writer { options, journal, keys, waiting };
        std::thread::Builder::new()
            .name(format!("journal {label}"))
            .spawn(move || writer.run(receive))
            .map_err(|error| LoadError::Task { message: error.to_string() })?;
        Ok(damage)
    }
}

/// A frame that bronze does not have, read once more. By settings that were changed since it may be no record any more: then it is kept
/// as one that cannot be read, and holds up nothing behind it.
fn accepted_again(options: &FeedOptions, segment: &str, frame: Frame) -> Accepted {
    let content = match frame.kind.strip_prefix("rejected:") {
        Some(reason) => Content::Rejected { reason: reason.to_owned() },
        None => match read(&options.table, &frame.payload, Some(format_of(&frame.kind))) {
            Ok(reading) if reading.rejected.is_empty() => {
                Content::Records { format: reading.format, chunks: reading.chunks }
            }
            _ => Content::Rejected { reason: "unreadable_by_current_settings".to_owned() },
        },
    };
    accepted(&file_of(&options.label, segment), frame, content)
}

fn accepted(file: &Arc<str>, frame: Frame, content: Content) -> Accepted {
    let first_position = i64::try_from(frame.first_row).unwrap_or(i64::MAX);
    let mut records = Records {
        file: Arc::clone(file),
        received_us: frame.received_us,
        origin: frame.origin,
        chunks: Vec::new(),
        message: None,
        positions: None,
        first_position,
        rejected: Vec::new(),
    };
    let bytes = frame.payload.len() as u64;
    match content {
        Content::Records { chunks, .. } => records.chunks = chunks,
        Content::Message(row) => records.message = Some(row),
        Content::Rejected { reason } => records.rejected.push(RejectedRecord {
            position: first_position,
            message: told(&reason, &records.origin),
            reason,
            bytes: frame.payload,
        }),
    }
    Accepted { first_row: frame.first_row, rows: frame.rows, bytes, records }
}

/// What is said of a rejected record: in rows, columns tell by which way it came.
fn told(reason: &str, origin: &Origin) -> String {
    let reason = reason.replace('_', " ");
    match (origin.is_unknown(), origin.answer.is_empty()) {
        (true, _) => reason,
        (false, true) => format!("{reason}; from {}, not answered", origin.peer),
        (false, false) => format!("{reason}; from {}, answered {}", origin.peer, origin.answer),
    }
}

impl Writer {
    fn run(mut self, mut receive: mpsc::Receiver<Request>) {
        while let Some(first) = receive.blocking_recv() {
            let mut bytes = first.delivery.payload.len();
            let mut group = vec![first];
            while group.len() < GROUP_DELIVERIES && bytes < GROUP_BYTES {
                let Ok(next) = receive.try_recv() else { break };
                bytes += next.delivery.payload.len();
                group.push(next);
            }
            self.store(group);
        }
    }

    /// Stores a group with one sync, then answers all of it.
    fn store(&mut self, group: Vec<Request>) {
        let received_us = Utc::now().timestamp_micros();
        let mut frames = Vec::with_capacity(group.len());
        let mut contents = Vec::with_capacity(group.len());
        let mut answers = Vec::with_capacity(group.len());
        let mut next_row = self.journal.next_row();
        for Request { delivery, answer } in group {
            let result = match self.keys.seen(&delivery.key, &delivery.payload) {
                Seen::Reused => Err(IntakeError::KeyReused),
                Seen::Repeated(receipt) => Ok(receipt),
                Seen::New => {
                    let (frame, content) = frame(delivery, next_row, received_us);
                    let receipt = Receipt { first_row: next_row, rows: frame.rows, is_repeated: false };
                    self.keys.note(&frame.key, &frame.payload, receipt, received_us);
                    next_row = frame.end_row();
                    frames.push(frame);
                    contents.push(content);
                    Ok(receipt)
                }
            };
            answers.push((answer, result));
        }
        match self.journal.append(&frames) {
            Ok(segment) => {
                self.hand_on(&segment, frames, contents);
                for (answer, result) in answers {
                    // A sender that has gone asks again.
                    let _ = answer.send(result);
                }
            }
            Err(error) => self.refuse(&error, &frames, answers),
        }
    }

    fn hand_on(&self, segment: &str, frames: Vec<Frame>, contents: Vec<Content>) {
        let file = file_of(&self.options.label, segment);
        let accept = |(frame, content)| accepted(&file, frame, content);
        self.waiting.push(frames.into_iter().zip(contents).map(accept).collect());
    }

    /// Nothing of the group was stored: neither the new deliveries nor those that repeat one of them.
    fn refuse(&mut self, error: &io::Error, frames: &[Frame], answers: Vec<(Answer, Result<Receipt, IntakeError>)>) {
        frames.iter().for_each(|frame| self.keys.forget(&frame.key));
        let first_row = self.journal.next_row();
        let (table, reason) = (self.options.label.clone(), error.to_string());
        self.waiting.note_error(Some(format!("deliveries could not be stored: {reason}")));
        for (answer, result) in answers {
            let was_stored = matches!(&result, Ok(receipt) if receipt.first_row < first_row);
            let result = match result {
                Ok(_) if !was_stored => Err(IntakeError::NotStored { table: table.clone(), reason: reason.clone() }),
                other => other,
            };
            let _ = answer.send(result);
        }
    }
}
