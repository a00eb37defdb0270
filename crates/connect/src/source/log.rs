//! Logs that somebody else keeps: a table follows one from the position that its ledger holds.
//!
//! **Positions come from the caller.** How far a log was taken stands in the caller's table, in the commit that holds its rows, and nowhere
//! else. Whoever follows asks for it before anything of a part is delivered.
//!
//! **Exactly once** is then the caller's one comparison: each [`Stretch`] says whether it [fits](Stretch::fit) the position that the ledger
//! holds at the moment of the commit, and what follows on is written together with its [end](Stretch::end).
//!
//! A position is a number that grows. What a source's own position holds beyond that is what its records say, not what is compared.

use std::{error::Error, fmt, path::PathBuf, pin::Pin};

use serde::Serialize;
use serde_json::Value;

use super::table::FileTable;
use crate::{Chunk, ConnectError};

/// What is waited for.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Why a caller does not know a position now.
pub type PositionError = Box<dyn Error + Send + Sync>;

/// Asks for the next position of a part that the caller's table wants; none if it has nothing of that part.
pub type PositionOf = Box<dyn Fn(Part) -> Answer<'static, Result<Option<i64>, PositionError>> + Send + Sync>;

/// Parts of a log, each of which goes on where it was left.
pub type Stretches = Vec<Box<dyn Stretch>>;

/// A part of a log that has positions of its own. What it is called here is written into tables: it never changes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Part {
    /// The [key](super::Kind::key) of its kind.
    pub kind: &'static str,
    /// Its name among the parts that a table follows by this kind.
    pub name: String,
    /// Bronze's `_file` of its rows.
    pub file: String,
}

impl Part {
    /// Under which name the ledger of the table of source table `label` (`<source>.<table>`) keeps its position.
    pub fn ledger_id(&self, label: &str) -> String {
        format!("{}:{label}:{}", self.kind, self.name)
    }
}

/// Who follows a log.
pub struct Follower {
    /// `<source>.<table>`.
    pub label: String,
    /// Files that the settings name are relative to it.
    pub folder: PathBuf,
    /// Where each part goes on.
    pub position: PositionOf,
}

/// A source that is a log.
pub trait Log: Send + Sync {
    /// Prepares to follow it; nobody is spoken to before [`Follow::read`].
    fn follow(&self, follower: Follower) -> Box<dyn Follow>;
}

/// A log that is being followed. An outage is a state, told by the [`Monitor`], and not an end.
pub trait Follow: Send {
    /// Waits for what comes next. At least one position moves by it, though it may do so without a record. The call may be dropped at any
    /// time: nothing is lost by that.
    ///
    /// # Errors
    ///
    /// Settings that can never work.
    fn read(&mut self) -> Answer<'_, Result<Stretches, ConnectError>>;

    /// Asks for the position of a part again and goes on there, in answer to a [`Fit::Ahead`].
    fn ask_again(&mut self, part: &Part);

    /// Tells whoever keeps the log how far it was taken: the next position of each part. Nothing here depends on it.
    fn taken(&self, positions: &[(Part, i64)]);

    /// Reads from anywhere how it goes.
    fn monitor(&self) -> Box<dyn Monitor>;

    /// Takes leave.
    fn close(self: Box<Self>) -> Answer<'static, Result<(), ConnectError>>;
}

/// How following goes, for people and for alerts.
pub trait Monitor: Send + Sync {
    /// The state now.
    fn state(&self) -> LogState;
}

/// How following stands.
#[derive(Clone, Debug, Serialize)]
pub struct LogState {
    /// Records behind the newest, if that is known of every part.
    pub lag: Option<u64>,
    /// What else its kind tells: `connected`, and `last_error` with `at` and `message`, wherever there are such.
    #[serde(flatten)]
    pub details: Value,
}

/// How a stretch and the position in the caller's ledger go together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fit {
    /// It follows on the ledger and can be committed as it now is, to its [end](Stretch::end).
    Follows,
    /// The ledger is already at or beyond its end: there is nothing to commit.
    Known,
    /// Between the ledger and it something is missing. Committing it would lose that; it has to be [asked for again](Follow::ask_again).
    Ahead,
}

/// A stretch of one part of a log, from one position to the next.
pub trait Stretch: fmt::Debug + Send + Sync {
    /// Of which part.
    fn part(&self) -> Part;

    /// The position behind it: where its part goes on.
    fn end(&self) -> i64;

    /// Compares it with the position that the caller's ledger holds at the moment of the commit, and drops what the ledger already counts.
    fn fit(&mut self, ledger: Option<i64>) -> Fit;

    /// Keeps its first half and gives the second; none of less than two records.
    fn split(&mut self) -> Option<Box<dyn Stretch>>;

    /// Its rows and the records that are none, for a table with these columns.
    fn rows(&self, table: &FileTable, columns: &[String]) -> Vec<Rows>;

    /// What was gone before it could be read, each gap as a record without bytes.
    fn lost(&self) -> Vec<RejectedRecord>;

    /// All of its records as rejected ones.
    fn rejected(&self, reason: &str, message: &str) -> Vec<RejectedRecord>;

    /// A copy. Records share their bytes with it.
    fn copy(&self) -> Box<dyn Stretch>;
}

impl Clone for Box<dyn Stretch> {
    fn clone(&self) -> Self {
        self.copy()
    }
}

/// Some records of a stretch, read.
#[derive(Clone, Debug, Default)]
pub struct Rows {
    /// The rows.
    pub chunks: Vec<Chunk>,
    /// The position of each row of the chunks.
    pub positions: Vec<i64>,
    /// The records that are no rows.
    pub rejected: Vec<RejectedRecord>,
}

/// A record that is kept beside its table.
#[derive(Clone, PartialEq, Eq)]
pub struct RejectedRecord {
    /// Its place in the part, or in the journal.
    pub position: i64,
    /// A stable code.
    pub reason: String,
    /// Why, in one sentence without a value of it.
    pub message: String,
    /// As it came.
    pub bytes: Vec<u8>,
}

/// Shows the place and the size; the bytes may be a patient's.
impl fmt::Debug for RejectedRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RejectedRecord")
            .field("position", &self.position)
            .field("reason", &self.reason)
            .field("bytes", &self.bytes.len())
            .finish_non_exhaustive()
    }
}
