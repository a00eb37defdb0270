//! What senders deliver while the server runs: durable before it is acknowledged, in bronze exactly once.
//!
//! One [`Feed`] per source table. Deliveries go through one writer thread, which knows repeated ones by their key, appends the
//! others to the table's journal, syncs once for all that wait, and answers. Rows then wait in memory until [`Feed::load`] commits them
//! to bronze; the commit's ledger says how far the journal has been loaded, and what lies behind that is loaded after a restart.

mod damage;
mod delivered;
mod journal;
mod keys;
mod load;
mod replay;
mod rows;
mod segment;
#[cfg(test)]
mod testing;
mod topic;
mod writer;

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use chrono::{DateTime, Utc};
use tokio::sync::{Notify, mpsc, oneshot};
use wardlake_connect::{Chunk, ConnectError, FileTable, RejectedRecord, hl7, source::FileFormat};
use wardlake_core::{ErrorKind, HasErrorKind, TableName, columns::ColumnList};
use wardlake_storage::Lake;

use self::{keys::Noted, segment::Frame, writer::Request};
use crate::{Workspace, bronze, error::LoadError};

pub use self::delivered::delivered;
pub(crate) use self::segment::frame_of;
pub use self::{
    damage::{Damage, DamageKind},
    journal::SEGMENT_BYTES,
    replay::{Aside, ReplayOptions, Replayed, payloads, replay, set_aside, set_aside_sql},
    segment::Origin,
    topic::{TopicLoad, load_topic, topic_position},
};
pub use wardlake_connect::Reading;

/// Deliveries that may wait for the disk at once; further senders wait for a place.
const REQUESTS: usize = 4096;

/// The folder of all journals within a lake on this machine.
pub(crate) const FOLDER: &str = "_landing/intake";

/// Bronze's `_file` of rows in a journal segment.
fn file_of(label: &str, segment: &str) -> Arc<str> {
    format!("{FOLDER}/{label}/{segment}").into()
}

/// The journal segment that a row's `_file` names, if the row was delivered to the feed `label`.
pub fn segment_of<'f>(label: &str, file: &'f str) -> Option<&'f str> {
    file.strip_prefix(FOLDER)?.strip_prefix('/')?.strip_prefix(label)?.strip_prefix('/')
}

/// What one sender hands over.
#[derive(Debug)]
pub struct Delivery {
    /// By what a repeated delivery is known; empty for none.
    pub key: Vec<u8>,
    /// As received.
    pub payload: Vec<u8>,
    /// What the payload holds.
    pub content: Content,
    /// By which way it came.
    pub origin: Origin,
}

/// What a payload holds, found out before anything is stored.
#[derive(Debug)]
pub enum Content {
    /// Records of a format, read.
    Records {
        /// The format.
        format: FileFormat,
        /// The rows.
        chunks: Vec<Chunk>,
    },
    /// An HL7 message, read. Rows are made of many messages at once, when they are loaded.
    Message(hl7::Row),
    /// One record that cannot be read: it is kept with its reason.
    Rejected {
        /// A stable code, such as `hl7_required_field_missing`.
        reason: String,
    },
}

/// What became of a delivery. The bytes are on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// The number of its first row in the feed.
    pub first_row: u64,
    /// Its rows.
    pub rows: u32,
    /// It was delivered before, and nothing was stored now.
    pub is_repeated: bool,
}

/// Why a delivery was not taken.
#[derive(Debug, thiserror::Error)]
pub enum IntakeError {
    /// Too much waits to be loaded.
    #[error("{waiting_bytes} bytes of {table} wait to be loaded; send again in a moment")]
    Busy {
        /// `<source>.<table>`.
        table: String,
        /// Bytes that wait.
        waiting_bytes: u64,
    },
    /// The key names another delivery.
    #[error("the key was used for other content; a new delivery needs a key of its own")]
    KeyReused,
    /// The disk refused.
    #[error("{table}: the delivery could not be stored: {reason}")]
    NotStored {
        /// `<source>.<table>`.
        table: String,
        /// The system's reason.
        reason: String,
    },
    /// The disk has less room than it is to have.
    #[error("{table}: nothing is taken at the moment: {reason}")]
    NoRoom {
        /// `<source>.<table>`.
        table: String,
        /// How much there is, and where.
        reason: String,
    },
    /// The server stops.
    #[error("the server is stopping; send again to its successor")]
    Stopping,
}

impl HasErrorKind for IntakeError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::KeyReused => ErrorKind::Conflict,
            Self::Busy { .. } | Self::NotStored { .. } | Self::NoRoom { .. } | Self::Stopping => ErrorKind::Unavailable,
        }
    }
}

/// How a feed stands.
#[derive(Clone, Debug, Default, serde::Serialize)]
pub struct FeedStatus {
    /// `<source>.<table>`.
    pub table: String,
    /// Rows accepted since the feed began.
    pub rows_accepted: u64,
    /// Rows loaded into bronze.
    pub rows_loaded: u64,
    /// Rows that have been taken through the models, those that stand still left out, and published.
    pub rows_shown: u64,
    /// Bytes that wait to be loaded.
    pub waiting_bytes: u64,
    /// When the last delivery was accepted.
    pub last_accepted_at: Option<DateTime<Utc>>,
    /// What failed last, and is not mended since.
    pub last_error: Option<String>,
    /// Parts of its journal that cannot be read.
    pub damage: Vec<Damage>,
}

/// How a feed is set up.
#[derive(Clone)]
pub struct FeedOptions {
    /// `<source>.<table>`.
    pub label: String,
    /// The bronze table.
    pub name: TableName,
    /// How deliveries are read.
    pub table: FileTable,
    /// Declared columns of the source table: bronze has them from the start.
    pub columns: Vec<String>,
    /// Above so many waiting bytes senders are told to come back.
    pub max_waiting_bytes: u64,
    /// For how long a key is remembered at least.
    pub key_window: std::time::Duration,
}

/// One table that takes deliveries.
pub struct Feed {
    options: FeedOptions,
    folder: PathBuf,
    requests: mpsc::Sender<Request>,
    waiting: Arc<Waiting>,
    damage: Vec<Damage>,
    /// Why nothing is taken.
    no_room: Mutex<Option<String>>,
    /// One load at a time.
    loading: tokio::sync::Mutex<()>,
    lake: Arc<Lake>,
}

/// Accepted deliveries that bronze does not have yet.
pub(crate) struct Waiting {
    deliveries: Mutex<Vec<Accepted>>,
    bytes: AtomicU64,
    accepted: AtomicU64,
    loaded: AtomicU64,
    /// A commit failed since it was known what bronze has.
    is_unsure: AtomicBool,
    shown: AtomicU64,
    last_accepted_us: AtomicU64,
    error: Mutex<Option<String>>,
    /// The columns that the table had after the last load.
    columns: Mutex<Arc<ColumnList>>,
    /// Which journal they are in, where a table may have several.
    journal: Option<String>,
    /// Told after each accepted delivery.
    news: Arc<Notify>,
}

/// One accepted delivery.
pub(crate) struct Accepted {
    pub(crate) first_row: u64,
    pub(crate) rows: u32,
    pub(crate) bytes: u64,
    /// By what other journals of the table know it, if it has a key.
    pub(crate) noted: Option<Noted>,
    pub(crate) records: Records,
}

/// Records on their way to bronze, and where they came from.
pub(crate) struct Records {
    /// Bronze's `_file`: the journal segment, or what a part of a log calls it.
    pub(crate) file: Arc<str>,
    pub(crate) received_us: i64,
    pub(crate) origin: Origin,
    pub(crate) chunks: Vec<Chunk>,
    /// In place of chunks: one message.
    pub(crate) message: Option<hl7::Row>,
    /// The place of each row of the chunks; without it they are numbered on from `first_position`.
    pub(crate) positions: Option<Vec<i64>>,
    pub(crate) first_position: i64,
    pub(crate) rejected: Vec<RejectedRecord>,
}

impl Waiting {
    fn lock(&self) -> MutexGuard<'_, Vec<Accepted>> {
        self.deliveries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn push(&self, accepted: Vec<Accepted>) {
        let Some(last) = accepted.last() else { return };
        self.accepted.store(last.first_row + u64::from(last.rows) - 1, Ordering::Relaxed);
        self.last_accepted_us.store(last.records.received_us.max(0) as u64, Ordering::Relaxed);
        self.bytes.fetch_add(accepted.iter().map(|delivery| delivery.bytes).sum(), Ordering::Relaxed);
        self.lock().extend(accepted);
        self.news.notify_one();
    }

    pub(crate) fn note_error(&self, error: Option<String>) {
        *self.error.lock().unwrap_or_else(PoisonError::into_inner) = error;
    }

    pub(crate) fn note_columns(&self, columns: ColumnList) {
        *self.columns.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(columns);
    }

    fn columns(&self) -> Arc<ColumnList> {
        Arc::clone(&self.columns.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Feed {
    /// Opens a table's journal, takes up what bronze does not have of it, and starts its writer. `news` is told whenever something
    /// was accepted. The lake has to be on this machine, or `folder` has to name a place that is.
    pub async fn open(
        workspace: &Workspace,
        options: FeedOptions,
        folder: Option<&Path>,
        news: Arc<Notify>,
    ) -> Result<Self, LoadError> {
        let root_is_within_lake = folder.is_none();
        let Some(root) =
            folder.map(Path::to_path_buf).or_else(|| workspace.lake.local_path().map(|lake| lake.join(FOLDER)))
        else {
            return Err(LoadError::NoJournal { tables: vec![options.label] });
        };
        let folder = root.join(&options.label);
        bronze::create(workspace, &options.label, &options.name, &options.table, &options.columns, None).await?;
        let loaded = load::loaded_rows(workspace, &options).await?;
        let journal = match root_is_within_lake {
            true => None,
            false => journal_in(&options, &folder, loaded).await?,
        };
        let (done_to, elsewhere) = match &journal {
            Some(journal) if loaded > 0 => {
                let own = load::loaded_of_journal(workspace, &options, &journal.id).await?;
                let elsewhere = match own == loaded {
                    true => Vec::new(),
                    false => load::delivered_elsewhere(workspace, &options, &journal.id, own == 0).await?,
                };
                (own.max(journal.done_to), elsewhere)
            }
            // Of a table that was made anew, all is loaded again.
            _ => (loaded, Vec::new()),
        };
        let waiting = Arc::new(Waiting {
            deliveries: Mutex::default(),
            bytes: AtomicU64::new(0),
            accepted: AtomicU64::new(loaded),
            loaded: AtomicU64::new(loaded),
            is_unsure: AtomicBool::new(false),
            shown: AtomicU64::new(0),
            last_accepted_us: AtomicU64::new(0),
            error: Mutex::default(),
            columns: Mutex::new(Arc::new(load::table_columns(workspace, &options).await?)),
            journal: journal.map(|journal| journal.id),
            news,
        });
        let (requests, receive) = mpsc::channel(REQUESTS);
        let opening = writer::Opening {
            folder: folder.clone(),
            options: options.clone(),
            loaded,
            done_to,
            elsewhere,
            waiting: Arc::clone(&waiting),
        };
        let opened = tokio::task::spawn_blocking(move || opening.start(receive)).await??;
        if opened.moved > 0 {
            workspace.events.warn(format!(
                "{}: {} deliveries that were accepted here before another server had the lake are loaded now",
                options.label, opened.moved
            ));
        }
        let damage = damage::keep(workspace, &options, &folder, opened.damage, loaded).await?;
        let ((no_room, loading), lake) = (Default::default(), Arc::clone(&workspace.lake));
        Ok(Self { options, folder, requests, waiting, damage, no_room, loading, lake })
    }

    /// `<source>.<table>`.
    pub fn label(&self) -> &str {
        &self.options.label
    }

    /// The bronze table.
    pub fn table_name(&self) -> &TableName {
        &self.options.name
    }

    /// How deliveries are read.
    pub fn table(&self) -> &FileTable {
        &self.options.table
    }

    /// Where its journal lies.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Reads records as this table's format says, or as `format` does, where that is akin to it: what a sender says of its bytes makes no
    /// other columns of them. [`FileFormat::Json`] stands for JSON in either shape. Nothing is stored.
    pub fn read(&self, payload: &[u8], format: Option<FileFormat>) -> Result<Reading, ConnectError> {
        let wanted = self.options.table.format.file_format;
        let format = match format {
            Some(asked) if !asked.is_akin_to(wanted) => {
                let (found, wanted) = (asked.name(), wanted.name());
                return Err(ConnectError::OtherFormat { path: DELIVERY.into(), found, wanted });
            }
            Some(FileFormat::Json) if wardlake_connect::is_lines_of_objects(payload) => Some(FileFormat::Ndjson),
            Some(FileFormat::Auto) => None,
            asked => asked,
        };
        Reading::of(payload, DELIVERY, &self.options.table, Some(self.waiting.columns().names()), format)
    }

    /// Stores a delivery. When this returns a receipt, the bytes are synced; senders that wait together share one sync. The order
    /// of the calls is the order of the rows.
    pub async fn deliver(&self, delivery: Delivery) -> Result<Receipt, IntakeError> {
        let stored = self.submit(delivery).await.map_err(|(error, _)| error)?;
        stored.await.map_err(|_| IntakeError::Stopping)?
    }

    /// Hands a delivery in without waiting for the disk: its place in the order is taken when this returns. One that is not
    /// taken comes back.
    pub async fn submit(
        &self,
        delivery: Delivery,
    ) -> Result<oneshot::Receiver<Result<Receipt, IntakeError>>, (IntakeError, Delivery)> {
        // Another server may have the lake: what this one acknowledged now would wait here for its next start.
        if !self.lake.may_write() {
            return Err((IntakeError::Stopping, delivery));
        }
        let no_room = self.no_room.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(reason) = no_room {
            return Err((IntakeError::NoRoom { table: self.options.label.clone(), reason }, delivery));
        }
        let waiting_bytes = self.waiting_bytes();
        if waiting_bytes > self.options.max_waiting_bytes {
            return Err((IntakeError::Busy { table: self.options.label.clone(), waiting_bytes }, delivery));
        }
        let (answer, receive) = oneshot::channel();
        match self.requests.send(Request { delivery, answer }).await {
            Ok(()) => Ok(receive),
            Err(mpsc::error::SendError(request)) => Err((IntakeError::Stopping, request.delivery)),
        }
    }

    /// Takes nothing from now on, for this reason; with none, takes deliveries again. What was taken is loaded all the same.
    pub fn note_room(&self, shortage: Option<String>) {
        *self.no_room.lock().unwrap_or_else(PoisonError::into_inner) = shortage;
    }

    /// Commits what waits to bronze; the new version, if anything did.
    pub async fn load(&self, workspace: &Workspace) -> Result<Option<u64>, LoadError> {
        let _one = self.loading.lock().await;
        let result = load::load(workspace, &self.options, &self.folder, &self.waiting).await;
        self.waiting.note_error(result.as_ref().err().map(ToString::to_string));
        result
    }

    /// Bytes that wait to be loaded.
    pub fn waiting_bytes(&self) -> u64 {
        self.waiting.bytes.load(Ordering::Relaxed)
    }

    /// The number of the last row that bronze has.
    pub fn rows_loaded(&self) -> u64 {
        self.waiting.loaded.load(Ordering::Relaxed)
    }

    /// Notes that rows up to this number have been taken through the models and published.
    pub fn note_shown(&self, rows: u64) {
        self.waiting.shown.fetch_max(rows, Ordering::Relaxed);
    }

    /// How it stands now.
    pub fn status(&self) -> FeedStatus {
        let last = self.waiting.last_accepted_us.load(Ordering::Relaxed) as i64;
        FeedStatus {
            table: self.options.label.clone(),
            rows_accepted: self.waiting.accepted.load(Ordering::Relaxed),
            rows_loaded: self.waiting.loaded.load(Ordering::Relaxed),
            rows_shown: self.waiting.shown.load(Ordering::Relaxed),
            waiting_bytes: self.waiting_bytes(),
            last_accepted_at: DateTime::from_timestamp_micros(last).filter(|_| last > 0),
            last_error: self.waiting.error.lock().unwrap_or_else(PoisonError::into_inner).clone(),
            damage: self.damage.clone(),
        }
    }
}

/// Which journal a folder outside the lake holds; none if it does not say any more.
async fn journal_in(options: &FeedOptions, folder: &Path, loaded: u64) -> Result<Option<journal::Identity>, LoadError> {
    let place = folder.to_owned();
    let found = tokio::task::spawn_blocking(move || journal::identity(&place, loaded)).await?;
    found.map_err(|error| LoadError::Journal {
        table: options.label.clone(),
        folder: folder.display().to_string(),
        reason: error.to_string(),
    })
}

/// What stands for a delivery in errors.
const DELIVERY: &str = "the delivery";

/// Reads what was accepted: as many columns as a table may have are taken, for that was decided then.
fn read(table: &FileTable, payload: &[u8], format: Option<FileFormat>) -> Result<Reading, ConnectError> {
    Reading::of(payload, DELIVERY, table, None, format)
}

/// The frame of a delivery that is to be stored, and what it holds.
fn frame(delivery: Delivery, first_row: u64, received_us: i64) -> (Frame, Content) {
    let Delivery { key, payload, content, origin } = delivery;
    let (kind, rows) = match &content {
        Content::Records { format, chunks } => {
            let rows: usize = chunks.iter().map(|chunk| chunk.rows).sum();
            (format.name().to_owned(), rows as u32)
        }
        Content::Message(_) => (FileFormat::Hl7.name().to_owned(), 1),
        Content::Rejected { reason } => (format!("rejected:{reason}"), 1),
    };
    (Frame { first_row, rows, received_us, kind, origin, key, payload }, content)
}

/// The format that a frame names. None of a name that this version does not know: the table's settings and the payload say then.
fn format_of(name: &str) -> Option<FileFormat> {
    serde_json::from_value(serde_json::Value::String(name.to_owned())).ok()
}
