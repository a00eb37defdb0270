//! The one thread that writes a table's journal.

use std::{collections::HashSet, io, path::PathBuf, sync::Arc};

use chrono::Utc;
use tokio::sync::{mpsc, oneshot};
use wardlake_connect::RejectReason;

use super::{
    Accepted, Content, Delivery, FeedOptions, IntakeError, Receipt, Records, RejectedRecord, Waiting,
    damage::Damage,
    file_of, format_of, frame,
    journal::Journal,
    keys::{Keys, Noted, Seen},
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
    /// The last row that bronze has.
    pub(crate) loaded: u64,
    /// The last row of this journal that is in bronze or stands behind once more.
    pub(crate) done_to: u64,
    /// What bronze has of other journals since it had something of this one, as far as that is known.
    pub(crate) elsewhere: Vec<Noted>,
    pub(crate) waiting: Arc<Waiting>,
}

/// What a journal turned out to be.
pub(crate) struct Opened {
    /// What cannot be read of it.
    pub(crate) damage: Vec<Damage>,
    /// Deliveries that it took before another journal did.
    pub(crate) moved: usize,
}

struct Writer {
    options: FeedOptions,
    journal: Journal,
    keys: Keys,
    waiting: Arc<Waiting>,
}

impl Opening {
    /// Reads the journal's past and starts the thread, which ends when every sender is gone.
    pub(crate) fn start(self, receive: mpsc::Receiver<Request>) -> Result<Opened, LoadError> {
        let Self { folder, options, loaded, done_to, elsewhere, waiting } = self;
        let mut keys = Keys::new(options.key_window);
        let mut again: Vec<Accepted> = Vec::new();
        // Another journal gave out the numbers behind those, and bronze has them of it.
        let is_overtaken = loaded > done_to;
        let mut overtaken: Vec<Frame> = Vec::new();
        let window_us = i64::try_from(options.key_window.as_micros()).unwrap_or(i64::MAX);
        let now_us = Utc::now().timestamp_micros();
        let wants = |segment: &SegmentFile, newest_us: i64| {
            // The clock may be ahead now, and may have been when the newest was written.
            let oldest_us = now_us.min(newest_us).saturating_sub(window_us);
            segment.written_us >= oldest_us || segment.end_row.is_some_and(|end| end > done_to + 1)
        };
        let opened = Journal::open(&folder, loaded.max(done_to) + 1, wants, |segment, frame| {
            note(&mut keys, &frame);
            match frame.end_row() > done_to + 1 {
                true if is_overtaken => overtaken.push(frame),
                true => again.push(accepted_again(&options, segment, frame)),
                false => {}
            }
        });
        let label = options.label.clone();
        let failed = |error: io::Error| LoadError::Journal {
            table: label.clone(),
            folder: folder.display().to_string(),
            reason: error.to_string(),
        };
        let (mut journal, damage) = opened.map_err(failed)?;
        // A sender that was not answered here has sent again to the other server.
        let is_there: HashSet<(u128, u128)> = elsewhere.iter().map(Noted::delivery).collect();
        overtaken.retain(|frame| Noted::of(frame).is_none_or(|noted| !is_there.contains(&noted.delivery())));
        let moved = overtaken.len();
        if moved > 0 {
            let (segment, frames) = journal.move_up(overtaken).map_err(failed)?;
            frames.iter().for_each(|frame| note(&mut keys, frame));
            again.extend(frames.into_iter().map(|frame| accepted_again(&options, &segment, frame)));
        } else if is_overtaken {
            journal.settle().map_err(failed)?;
        }
        elsewhere.into_iter().for_each(|noted| keys.take_in(noted, now_us));
        waiting.push(again);
        let writer = Writer { options, journal, keys, waiting };
        std::thread::Builder::new()
            .name(format!("journal {label}"))
            .spawn(move || writer.run(receive))
            .map_err(|error| LoadError::Task { message: error.to_string() })?;
        Ok(Opened { damage, moved })
    }
}

/// Remembers by its key that a frame is there.
fn note(keys: &mut Keys, frame: &Frame) {
    let receipt = Receipt { first_row: frame.first_row, rows: frame.rows, is_repeated: false };
    keys.note(&frame.key, &frame.payload, receipt, frame.received_us);
}

/// A frame that bronze does not have, read once more. By settings that were changed since it may be no record any more: then it is kept
/// as one that cannot be read, and holds up nothing behind it.
fn accepted_again(options: &FeedOptions, segment: &str, frame: Frame) -> Accepted {
    let content = match frame.kind.strip_prefix("rejected:") {
        Some(reason) => Content::Rejected { reason: reason.to_owned() },
        None => match read(&options.table, &frame.payload, format_of(&frame.kind)) {
            Ok(reading) if reading.rejected.is_empty() => {
                Content::Records { format: reading.format, chunks: reading.chunks }
            }
            _ => Content::Rejected { reason: UNREADABLE_NOW.to_owned() },
        },
    };
    accepted(&file_of(&options.label, segment), frame, content)
}

fn accepted(file: &Arc<str>, frame: Frame, content: Content) -> Accepted {
    let first_position = i64::try_from(frame.first_row).unwrap_or(i64::MAX);
    let noted = Noted::of(&frame);
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
    Accepted { first_row: frame.first_row, rows: frame.rows, bytes, noted, records }
}

/// The reason of a delivery that was accepted, and of which the settings of today make no row.
const UNREADABLE_NOW: &str = "unreadable_by_current_settings";

/// What is said of a rejected record: the sentence of its reason, as of a record of a file. In rows, columns tell by which way it came.
fn told(code: &str, origin: &Origin) -> String {
    let reason = match RejectReason::of_code(code) {
        Some(reason) => reason.message().to_owned(),
        None if code == UNREADABLE_NOW => {
            "the delivery was accepted, and the table's settings of now make no row of it".to_owned()
        }
        // A journal of another version knows reasons of its own.
        None => code.replace('_', " "),
    };
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

#[cfg(test)]
mod tests {
    use std::{path::Path, time::Duration};

    use tokio::sync::Notify;

    use super::*;
    use crate::{
        Workspace,
        intake::{
            Feed,
            testing::{lines, open},
        },
    };

    async fn feed(workspace: &Workspace, options: &FeedOptions, folder: &Path) -> Feed {
        Feed::open(workspace, options.clone(), Some(folder), Arc::new(Notify::new())).await.unwrap()
    }

    async fn deliver(feed: &Feed, id: u64) -> Receipt {
        let payload = format!("{{\"id\":{id}}}").into_bytes();
        let reading = feed.read(&payload, None).unwrap();
        let content = Content::Records { format: reading.format, chunks: reading.chunks };
        feed.deliver(Delivery { key: format!("key {id}").into_bytes(), payload, content, origin: Origin::default() })
            .await
            .unwrap()
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a01_what_a_journal_holds_when_another_takes_over_is_loaded_when_its_turn_comes() {
        let folder = tempfile::tempdir().unwrap();
        let (workspace, mut options) = open(folder.path(), &["id"]).await;
        options.key_window = Duration::from_secs(3600);
        let (north, south) = (folder.path().join("north"), folder.path().join("south"));
        let mut id = 0;
        // So often that each has something of its own before the other's, and behind it.
        for _ in 0..3 {
            for journal in [&north, &south] {
                let open = feed(&workspace, &options, journal).await;
                assert!(open.status().damage.is_empty(), "{:?}", open.status().damage);
                while open.status().waiting_bytes > 0 {
                    open.load(&workspace).await.unwrap();
                }
                for is_loaded in [true, true, false, false] {
                    id += 1;
                    deliver(&open, id).await;
                    if is_loaded {
                        open.load(&workspace).await.unwrap();
                    }
                }
            }
        }
        for journal in [&north, &south, &north, &south] {
            let open = feed(&workspace, &options, journal).await;
            // What it took is known by its key, under the number that it has now.
            let first = deliver(&open, if journal == &north { 3 } else { 7 }).await;
            assert!(first.is_repeated, "{first:?}");
            while open.status().waiting_bytes > 0 {
                open.load(&workspace).await.unwrap();
            }
        }
        let sql = "select count(*), count(distinct id), count(distinct _position) from bronze.adt";
        let rows = lines(&workspace, sql).await;
        assert_eq!(rows, [format!("{id} {id} {id}")]);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a01_what_is_sent_again_to_another_server_is_there_once() {
        let folder = tempfile::tempdir().unwrap();
        let (workspace, mut options) = open(folder.path(), &["id"]).await;
        options.key_window = Duration::from_secs(3600);
        let (north, south) = (folder.path().join("north"), folder.path().join("south"));
        let first = feed(&workspace, &options, &north).await;
        deliver(&first, 1).await;
        first.load(&workspace).await.unwrap();
        deliver(&first, 2).await;
        drop(first);
        // Neither was answered.
        let second = feed(&workspace, &options, &south).await;
        assert_eq!(deliver(&second, 1).await, Receipt { first_row: 1, rows: 1, is_repeated: true });
        assert_eq!(deliver(&second, 2).await, Receipt { first_row: 2, rows: 1, is_repeated: false });
        second.load(&workspace).await.unwrap();
        drop(second);
        for _ in 0..2 {
            let first = feed(&workspace, &options, &north).await;
            assert_eq!(first.status().waiting_bytes, 0);
            assert!(deliver(&first, 2).await.is_repeated);
        }
        let rows = lines(&workspace, "select id, _position from bronze.adt order by id").await;
        assert_eq!(rows, ["1 1", "2 2"]);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a01_keys_are_known_by_a_server_that_starts_while_the_clock_is_ahead() {
        let folder = tempfile::tempdir().unwrap();
        let (workspace, mut options) = open(folder.path(), &["id"]).await;
        options.key_window = Duration::from_secs(3600);
        let place = folder.path().join("journals");
        // A segment each.
        for id in [1, 2] {
            let feed = feed(&workspace, &options, &place).await;
            deliver(&feed, id).await;
            feed.load(&workspace).await.unwrap();
        }
        // To a clock that is ten days ahead they were written ten days ago.
        let written_at = std::time::SystemTime::now() - Duration::from_secs(10 * 86_400);
        let segments = std::fs::read_dir(place.join(&options.label)).unwrap().map(|entry| entry.unwrap().path());
        let segments: Vec<_> = segments.filter(|path| path.extension().is_some_and(|end| end == "journal")).collect();
        assert_eq!(segments.len(), 2);
        for segment in segments {
            std::fs::File::options().write(true).open(segment).unwrap().set_modified(written_at).unwrap();
        }
        let feed = feed(&workspace, &options, &place).await;
        for id in [1, 2] {
            assert_eq!(deliver(&feed, id).await, Receipt { first_row: id, rows: 1, is_repeated: true });
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a01_a_move_that_was_cut_off_is_done_again() {
        let folder = tempfile::tempdir().unwrap();
        let (workspace, options) = open(folder.path(), &["id"]).await;
        let (north, south) = (folder.path().join("north"), folder.path().join("south"));
        deliver(&feed(&workspace, &options, &north).await, 1).await;
        let other = feed(&workspace, &options, &south).await;
        deliver(&other, 2).await;
        other.load(&workspace).await.unwrap();
        // The process dies when all is written down once more, and before that counts.
        let journal = north.join(&options.label);
        let numbers = std::fs::read_to_string(journal.join("numbers.json")).unwrap();
        drop(feed(&workspace, &options, &north).await);
        let mut numbers: serde_json::Value = serde_json::from_str(&numbers).unwrap();
        numbers["moving_to"] = 2.into();
        std::fs::write(journal.join("numbers.json"), numbers.to_string()).unwrap();
        let open = feed(&workspace, &options, &north).await;
        assert!(open.status().damage.is_empty(), "{:?}", open.status().damage);
        while open.status().waiting_bytes > 0 {
            open.load(&workspace).await.unwrap();
        }
        let rows = lines(&workspace, "select id, _position from bronze.adt order by id").await;
        assert_eq!(rows, ["1 2", "2 1"]);
    }
}
