//! The one way a table changes: under its writer lock, check the ledger, build the actions on the newest state, and put the
//! next log entry if nobody else did.
//!
//! Delta-rs records `txn` entries without looking at them, refuses appends beside rewrites, and reports a commit that landed
//! as failed when its checkpoint fails. So the entry is written here, and after every error the log itself says what is true.

use std::{collections::HashMap, sync::Arc};

use deltalake::{
    checkpoints,
    kernel::{
        Action, Transaction,
        transaction::{CommitData, TransactionError},
    },
    logstore::CommitOrBytes,
    protocol::DeltaOperation,
};
use object_store::ObjectStoreExt;
use serde_json::Value;
use std::collections::BTreeMap;
use wardlake_core::LedgerEntry;

use crate::{
    SchemaChange, StorageError, WriteOptions,
    checksum::sealed_commit,
    log::{checkpoint_path, note_checkpoint},
    state::TableState,
    table::TableHandle,
};

/// Attempts against writers of other processes. Within this process there is one writer per table.
const ATTEMPTS: u32 = 20;
/// Commits between checkpoints: opening a table reads at most so many log entries.
pub(crate) const COMMITS_PER_CHECKPOINT: u64 = 50;
/// Key in `commitInfo` by which a commit is recognised as one's own after an error.
const TOKEN: &str = "wardlakeCommit";

/// What a write says about itself, and how it treats the table.
#[derive(Debug, Clone, Default)]
pub struct Commit {
    /// What the rows were made from. If the table has all of it already, nothing is written.
    pub ledger: Vec<LedgerEntry>,
    /// Where the table's ledger has to stand for the rows to follow on it; `None` where it must have no entry. Asked in the same
    /// breath as the commit, so that of two processes that consume one source, one commits.
    pub requires: Vec<(String, Option<i64>)>,
    /// Entries for the ledger that nothing is asked of: they say that this very commit is in the table.
    pub notes: Vec<LedgerEntry>,
    /// What was read of the table to make the rows.
    pub follows: Follows,
    /// Goes into the log entry's `commitInfo`: run id, model, … Never values of rows.
    pub metadata: serde_json::Map<String, Value>,
    /// What to do when the columns differ from the table's.
    pub schema_change: SchemaChange,
    /// Partition columns of a table this write creates or overwrites; an existing table that is not overwritten keeps its own.
    pub partition_by: Vec<String>,
    /// Delta properties of a table this write creates.
    pub properties: BTreeMap<String, String>,
    /// An overwrite forgets what the table had consumed before: its rows come from this commit's ledger alone.
    pub reset_ledger: bool,
    /// One of many small ones: somebody else writes checkpoints ([`crate::Lake::checkpoint_if_due`]).
    pub is_frequent: bool,
    /// How data files are written.
    pub options: WriteOptions,
}

impl Commit {
    /// A commit that consumed `ledger`.
    pub fn consuming(ledger: Vec<LedgerEntry>) -> Self {
        Self { ledger, ..Self::default() }
    }
}

/// Which state of a table the rows of an append or overwrite were made from. If another writer was there since, in this process or in
/// another, nothing is written: [`StorageError::Conflict`] asks to read again and to make the rows anew. Merges read the table themselves
/// and need none of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Follows {
    /// The rows do not depend on those that are there.
    #[default]
    Anything,
    /// There was no table.
    NoTable,
    /// This version.
    Version(u64),
}

/// What became of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CommitOutcome {
    /// The table has a new version.
    Committed {
        /// The new version.
        version: u64,
        /// Rows in the files that were written, rewritten ones included.
        rows: u64,
        /// Bytes of those files.
        bytes: u64,
    },
    /// The table already had everything the commit's ledger names; nothing was written.
    AlreadyApplied {
        /// The table's version.
        version: u64,
    },
}

impl CommitOutcome {
    /// The version that holds the rows.
    pub fn version(&self) -> u64 {
        match self {
            Self::Committed { version, .. } | Self::AlreadyApplied { version } => *version,
        }
    }

    /// Rows written.
    pub fn rows(&self) -> u64 {
        match self {
            Self::Committed { rows, .. } => *rows,
            Self::AlreadyApplied { .. } => 0,
        }
    }

    /// Bytes written.
    pub fn bytes(&self) -> u64 {
        match self {
            Self::Committed { bytes, .. } => *bytes,
            Self::AlreadyApplied { .. } => 0,
        }
    }
}

/// Actions on one state of a table.
pub(crate) struct Change {
    pub(crate) actions: Vec<Action>,
    pub(crate) operation: DeltaOperation,
}

/// How an attempt to commit ended.
pub(crate) enum Committed {
    Version(u64),
    AlreadyApplied(u64),
}

impl TableHandle {
    /// Commits what `change` builds on the newest state; builds it again when another process was first.
    ///
    /// The caller holds the writer lock.
    pub(crate) async fn commit(
        &self,
        commit: &Commit,
        mut change: impl FnMut(Option<&TableState>) -> Result<Change, StorageError>,
    ) -> Result<Committed, StorageError> {
        for _ in 0..ATTEMPTS {
            let now = self.state().await?;
            self.require_place(commit, now.as_ref().map(|now| now.version()))?;
            let mut further = Vec::new();
            if let Some(now) = &now {
                if self.has_applied(now, commit)? {
                    return Ok(Committed::AlreadyApplied(now.version()));
                }
                if commit.reset_ledger {
                    let own: Vec<LedgerEntry> = commit.ledger.iter().chain(&commit.notes).cloned().collect();
                    further = resets(now, None, &own);
                }
            } else if let Some((app_id, _)) = commit.requires.iter().find(|(_, at)| at.is_some()) {
                return Err(StorageError::LedgerMoved { table: self.name.clone(), app_id: app_id.clone() });
            }
            let change = change(now.as_deref())?;
            if let Some(version) = self.put(now.as_ref(), change, commit, further).await? {
                if !commit.is_frequent {
                    self.checkpoint_if_due(version).await;
                }
                return Ok(Committed::Version(version));
            }
        }
        Err(StorageError::Conflict { table: self.name.to_string(), attempts: ATTEMPTS })
    }

    /// An error if a table that is at version `now` is not where the commit's rows were made from.
    fn require_place(&self, commit: &Commit, now: Option<u64>) -> Result<(), StorageError> {
        let is_there = match commit.follows {
            Follows::Anything => true,
            Follows::NoTable => now.is_none(),
            Follows::Version(version) => now == Some(version),
        };
        match is_there {
            true => Ok(()),
            false => Err(StorageError::Conflict { table: self.name.to_string(), attempts: 1 }),
        }
    }

    /// Whether the table has all that a commit consumed; an error if it does not stand where the commit requires it to.
    fn has_applied(&self, now: &TableState, commit: &Commit) -> Result<bool, StorageError> {
        if commit.ledger.is_empty() && !commit.reset_ledger {
            return Ok(false);
        }
        if let Some((app_id, _)) = commit.requires.iter().find(|(id, at)| now.consumed(id) != *at) {
            return Err(StorageError::LedgerMoved { table: self.name.clone(), app_id: app_id.clone() });
        }
        self.is_applied(now, &commit.ledger)
    }

    /// Whether the table has all of the entries. Having some is an error, except upstream tables that did not move while
    /// others did.
    pub(crate) fn is_applied(&self, now: &TableState, entries: &[LedgerEntry]) -> Result<bool, StorageError> {
        let consumed = |entry: &LedgerEntry| now.consumed(&entry.app_id);
        let has = |entry: &&LedgerEntry| consumed(entry).is_some_and(|version| version >= entry.version);
        if !entries.is_empty() && entries.iter().all(|entry| has(&entry)) {
            return Ok(true);
        }
        let unmoved =
            |entry: &LedgerEntry| entry.app_id.starts_with("table:") && consumed(entry) == Some(entry.version);
        match entries.iter().filter(has).filter(|entry| !unmoved(entry)).count() {
            0 => Ok(false),
            applied => Err(StorageError::PartlyApplied { table: self.name.clone(), applied, entries: entries.len() }),
        }
    }

    /// Puts the log entry that follows `now` with the commit's ledger, its notes and `further` entries; `None` if another writer put one
    /// first.
    async fn put(
        &self,
        now: Option<&Arc<TableState>>,
        change: Change,
        commit: &Commit,
        further: Vec<Transaction>,
    ) -> Result<Option<u64>, StorageError> {
        let delta = |error| StorageError::delta(&self.name)(error);
        let token = uuid::Uuid::new_v4().to_string();
        let mut info: HashMap<String, Value> =
            commit.metadata.iter().map(|(key, value)| (key.clone(), value.clone())).collect();
        info.insert(TOKEN.into(), Value::String(token.clone()));
        info.insert("clientVersion".into(), Value::String(concat!("wardlake ", env!("CARGO_PKG_VERSION")).into()));
        let own = transactions(&commit.ledger).into_iter().chain(transactions(&commit.notes));
        let transactions = own.chain(further).collect();
        let data = CommitData::new(change.actions, change.operation, info, transactions);
        if let Some(now) = now {
            now.require_allowed(&self.name, &data.actions, &data.operation)?;
        }
        let bytes = sealed_commit(data.get_bytes().map_err(|error| delta(error.into()))?);
        let version = now.map_or(0, |now| now.version() + 1);
        let entry = CommitOrBytes::LogBytes(bytes.clone());
        self.fence.check(&self.name)?;
        match self.log_store.write_commit_entry(version, entry, uuid::Uuid::new_v4()).await {
            Ok(()) => {
                self.take_in(now, version, &bytes).await;
                Ok(Some(version))
            }
            // A store that retried its own put may find its own entry.
            Err(error) => match self.log_store.read_commit_entry(version).await {
                Ok(Some(found)) if contains(&found, token.as_bytes()) => Ok(Some(version)),
                Ok(Some(_)) => Ok(None),
                Ok(None) if matches!(error, TransactionError::VersionAlreadyExists(_)) => Ok(None),
                _ => Err(delta(error.into())),
            },
        }
    }

    /// A checkpoint makes opening fast; a commit stands without it.
    async fn checkpoint_if_due(&self, version: u64) {
        if !(version + 1).is_multiple_of(COMMITS_PER_CHECKPOINT) {
            return;
        }
        if let Err(error) = self.checkpoint().await {
            tracing::warn!(table = %self.name, version, %error, "no checkpoint was written; the next is tried later");
        }
    }

    /// Writes a checkpoint of the newest version, by which the library's state in memory is as compact as the checkpoint.
    pub(crate) async fn checkpoint(&self) -> Result<(), StorageError> {
        let Some(now) = self.state().await? else {
            return Err(StorageError::TableNotFound { table: self.name.clone() });
        };
        let path = checkpoint_path(now.version());
        let is_new = match self.store().head(&path).await {
            Ok(_) => false,
            Err(object_store::Error::NotFound { .. }) => true,
            Err(error) => return Err(StorageError::store("read", path)(error)),
        };
        let delta = now.delta(&self.name, &self.log_store).await?;
        checkpoints::create_checkpoint(delta, None).await.map_err(StorageError::delta(&self.name))?;
        self.note_checkpoint(now.version());
        self.let_go().await;
        // One that was there stays, and nobody knows any more what was written then.
        match is_new {
            true => note_checkpoint(&self.name, &self.log_store, now.version()).await,
            false => Ok(()),
        }
    }
}

fn transactions(entries: &[LedgerEntry]) -> Vec<Transaction> {
    let now = chrono::Utc::now().timestamp_millis();
    entries.iter().map(|entry| Transaction::new_with_last_update(&entry.app_id, entry.version, Some(now))).collect()
}

/// Entries that set what is consumed back from `now` to `then`, or to nothing, except those the commit sets itself.
pub(crate) fn resets(now: &TableState, then: Option<&TableState>, own: &[LedgerEntry]) -> Vec<Transaction> {
    let before = |app_id: &str| then.and_then(|then| then.consumed(app_id));
    let changed = now.consumed_all().filter(|(app_id, version)| {
        before(app_id) != Some(*version) && !own.iter().any(|entry| entry.app_id == *app_id)
    });
    let back: Vec<_> = changed.map(|(app_id, _)| LedgerEntry::new(app_id, before(app_id).unwrap_or(-1))).collect();
    transactions(&back)
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}
