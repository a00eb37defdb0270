//! What was loaded before: `system.load_log`, repaired from the bronze commits where a crash kept it from being written.

use std::collections::{BTreeMap, HashMap};

use arrow::{array::AsArray, datatypes::Int64Type};
use chrono::Utc;
use wardlake_access::{SystemReason, Viewer};
use wardlake_connect::FoundFile;
use wardlake_core::{LedgerEntry, TableName};
use wardlake_engine::ReadState;
use wardlake_records::system::{self, LoggedFile};
use wardlake_storage::TableSnapshot;

use super::TablePlan;
use crate::{Workspace, error::LoadError};

/// The key of the file records in a bronze commit's metadata.
pub(crate) const FILES_METADATA: &str = "wardlake.files";

/// One load of one path.
#[derive(Clone, Debug)]
pub(crate) struct PastLoad {
    pub(crate) sequence: u64,
    pub(crate) batch_id: String,
    pub(crate) order_key: String,
    pub(crate) modified_us: u64,
    /// Of its bytes, under which they are kept.
    pub(crate) sha256: String,
}

/// The last load of one path.
#[derive(Clone, Debug)]
pub(crate) struct SeenFile {
    /// Every load of the path, the first one first.
    pub(crate) loads: Vec<PastLoad>,
    pub(crate) sequence: u64,
    pub(crate) sha256: String,
    pub(crate) size: u64,
    pub(crate) modified_us: u64,
    pub(crate) column_types: BTreeMap<String, String>,
    pub(crate) columns: Vec<String>,
}

/// The last load of every path of one table, by path.
#[derive(Clone, Debug, Default)]
pub(crate) struct SeenFiles(
    pub(crate) BTreeMap<String, SeenFile>,
    /// How often paths were loaded whose rows are no longer there.
    BTreeMap<String, u64>,
);

impl SeenFiles {
    /// Whether the file may hold something that was not loaded: a new path, or other bytes as far as size and time tell.
    pub(crate) fn is_new(&self, file: &FoundFile) -> bool {
        match self.0.get(&file.relative) {
            Some(seen) => seen.size != file.size || seen.modified_us != modified_us(file),
            None => true,
        }
    }

    /// How often the path was loaded.
    pub(crate) fn sequence(&self, relative: &str) -> u64 {
        let lost = self.1.get(relative).copied().unwrap_or_default();
        self.0.get(relative).map_or(lost, |seen| seen.sequence)
    }

    /// The same where the table with the rows of all of these loads is gone: every file is new, and its loads are counted on.
    pub(crate) fn lost(self) -> Self {
        Self(BTreeMap::new(), self.0.into_iter().map(|(file, seen)| (file, seen.sequence)).collect())
    }

    /// The same where the newest commits of the table are gone: what it has not consumed is made again, and loads are counted on.
    pub(crate) fn set_back_to(mut self, label: &str, consumed: &HashMap<String, i64>) -> Self {
        let prefix = ledger_prefix(label);
        let held = |file: &str| consumed.get(&format!("{prefix}{file}")).map_or(0, |version| version.unsigned_abs());
        let lost = self.0.iter().filter(|(file, seen)| held(file) < seen.sequence);
        let lost: Vec<String> = lost.map(|(file, _)| file.clone()).collect();
        for file in lost {
            let Some(mut seen) = self.0.remove(&file) else { continue };
            seen.loads.retain(|load| load.sequence <= held(&file));
            if seen.loads.is_empty() {
                self.1.insert(file, seen.sequence);
            } else {
                // No file looks like this one: it is read, and compared with what the loads before left.
                (seen.size, seen.modified_us) = (u64::MAX, u64::MAX);
                seen.sha256.clear();
                self.0.insert(file, seen);
            }
        }
        self
    }

    fn note(&mut self, file: &LoggedFile) {
        let load = PastLoad {
            sequence: file.sequence,
            batch_id: file.batch_id.clone(),
            order_key: file.order_key.clone(),
            modified_us: file.modified_us,
            sha256: file.load.sha256.clone(),
        };
        let seen = SeenFile {
            loads: vec![load],
            sequence: file.sequence,
            sha256: file.load.sha256.clone(),
            size: file.size,
            modified_us: file.modified_us,
            column_types: file.column_types.clone(),
            columns: file.columns.clone(),
        };
        self.add(&file.load.file, seen);
    }

    /// Takes in one load of a path, in whatever order they come.
    fn add(&mut self, file: &str, mut seen: SeenFile) {
        if let Some(known) = self.0.get_mut(file) {
            known.loads.append(&mut seen.loads);
            known.loads.sort_by_key(|load| load.sequence);
            if seen.sequence > known.sequence {
                seen.loads = std::mem::take(&mut known.loads);
                *known = seen;
            }
        } else {
            self.0.insert(file.to_owned(), seen);
        }
    }
}

/// Microseconds since 1970 of the file's last change. A file of before 1970 has lost its time and counts as one of 1970.
pub(crate) fn modified_us(file: &FoundFile) -> u64 {
    u64::try_from(file.modified.timestamp_micros()).unwrap_or_default()
}

/// The load log as it was when the run began.
pub(crate) struct LoadLog(BTreeMap<String, SeenFiles>);

impl LoadLog {
    pub(crate) async fn read(workspace: &Workspace) -> Result<Self, LoadError> {
        let mut log: BTreeMap<String, SeenFiles> = BTreeMap::new();
        let name = TableName::new(system::SCHEMA, "load_log")?;
        if !workspace.lake.exists(&name).await? {
            return Ok(Self(log));
        }
        let session = workspace.engine.session(Viewer::System(SystemReason::Load), ReadState::Working).await?;
        let sql = "select arrow_cast(source, 'Utf8') as source, arrow_cast(file, 'Utf8') as file, sequence, \
                   arrow_cast(sha256, 'Utf8') as sha256, bytes, modified_us, \
                   arrow_cast(column_types, 'Utf8') as column_types, arrow_cast(order_key, 'Utf8') as order_key, \
                   arrow_cast(columns, 'Utf8') as columns, arrow_cast(batch_id, 'Utf8') as batch_id \
                   from system.load_log";
        for batch in session.collect(sql).await? {
            let text = |column: usize| batch.column(column).as_string::<i32>();
            let number = |column: usize| batch.column(column).as_primitive::<Int64Type>();
            for row in 0..batch.num_rows() {
                let load = PastLoad {
                    sequence: number(2).value(row).unsigned_abs(),
                    batch_id: text(9).value(row).to_owned(),
                    order_key: text(7).value(row).to_owned(),
                    modified_us: number(5).value(row).unsigned_abs(),
                    sha256: text(3).value(row).to_owned(),
                };
                let seen = SeenFile {
                    sequence: load.sequence,
                    sha256: text(3).value(row).to_owned(),
                    size: number(4).value(row).unsigned_abs(),
                    modified_us: load.modified_us,
                    column_types: kept(&name, "the column_types", text(6).value(row))?,
                    columns: kept(&name, "the columns", text(8).value(row))?,
                    loads: vec![load],
                };
                log.entry(text(0).value(row).to_owned()).or_default().add(text(1).value(row), seen);
            }
        }
        Ok(Self(log))
    }

    /// Whether anything of the table was ever loaded.
    pub(crate) fn knows(&self, label: &str) -> bool {
        self.0.contains_key(label)
    }

    /// Whether a table has consumed loads that the log does not have yet: its commits are then still needed to write them down.
    pub(crate) fn lacks(&self, consumed: &HashMap<String, i64>) -> bool {
        let loads = consumed.iter().filter_map(|(app_id, version)| Some((app_id.strip_prefix("file:")?, version)));
        let mut loads = loads.filter_map(|(rest, version)| Some((rest.split_once(':')?, version.unsigned_abs())));
        loads.any(|((label, file), sequence)| self.0.get(label).is_none_or(|seen| seen.sequence(file) < sequence))
    }

    /// See [`SeenFiles::is_new`].
    pub(crate) fn is_new(&self, label: &str, file: &FoundFile) -> bool {
        self.0.get(label).is_none_or(|seen| seen.is_new(file))
    }

    /// The table's loads, those included that a crash kept out of the log: bronze knows better.
    pub(crate) async fn repaired(
        &self,
        workspace: &Workspace,
        plan: &TablePlan,
        snapshot: Option<&TableSnapshot>,
    ) -> Result<SeenFiles, LoadError> {
        let mut seen = self.0.get(&plan.label).cloned().unwrap_or_default();
        let Some(snapshot) = snapshot else { return Ok(seen) };
        let prefix = ledger_prefix(&plan.label);
        let is_behind = snapshot.consumed_all().await?.iter().any(|(app_id, version)| {
            app_id.strip_prefix(&prefix).is_some_and(|file| seen.sequence(file) < version.unsigned_abs())
        });
        if !is_behind {
            return Ok(seen);
        }
        let mut missing: Vec<LoggedFile> = Vec::new();
        for commit in snapshot.history(None).await? {
            let Some(files) = commit.metadata.get(FILES_METADATA) else { continue };
            let files: Result<Vec<LoggedFile>, _> = match files {
                serde_json::Value::String(text) => serde_json::from_str(text),
                other => serde_json::from_value(other.clone()),
            };
            let files = files.map_err(|error| LoadError::Unreadable {
                table: plan.name.clone(),
                what: format!("what version {} loaded", commit.version),
                reason: error.to_string(),
            })?;
            missing.extend(files.into_iter().filter(|file| file.sequence > seen.sequence(&file.load.file)));
        }
        // Each load is written as whoever committed it would: it may be at it now, and of the two one writes.
        let mut loads: BTreeMap<&str, Vec<LoggedFile>> = BTreeMap::new();
        for file in &missing {
            loads.entry(&file.batch_id).or_default().push(file.clone());
        }
        for load in loads.values() {
            append(workspace, plan, load).await?;
        }
        for file in &missing {
            seen.note(file);
        }
        Ok(seen)
    }
}

/// What the log keeps of a loaded file as JSON.
fn kept<T: serde::de::DeserializeOwned>(table: &TableName, what: &str, text: &str) -> Result<T, LoadError> {
    serde_json::from_str(text).map_err(|error| LoadError::Unreadable {
        table: table.clone(),
        what: format!("{what} of a loaded file"),
        reason: error.to_string(),
    })
}

/// Under which name bronze counts the commits that loaded files: each is made on what the one before it left.
pub(crate) fn commits_id(label: &str) -> String {
    format!("files:{label}")
}

fn ledger_prefix(label: &str) -> String {
    format!("file:{label}:")
}

/// What a bronze commit says it consumed: this path, loaded for the n-th time.
pub(crate) fn ledger_entry(label: &str, file: &LoggedFile) -> LedgerEntry {
    LedgerEntry::new(
        format!("{}{}", ledger_prefix(label), file.load.file),
        i64::try_from(file.sequence).unwrap_or(i64::MAX),
    )
}

/// Writes the log rows of one bronze commit, once: all of `files` came with it.
pub(crate) async fn append(workspace: &Workspace, plan: &TablePlan, files: &[LoggedFile]) -> Result<(), LoadError> {
    let Some(first) = files.first() else { return Ok(()) };
    let rows = system::load_rows(&workspace.run_id, files, Utc::now())?;
    let ledger = LedgerEntry::new(format!("load:{}:{}", plan.label, first.batch_id), 1);
    Ok(system::append(&workspace.lake, "load_log", rows, ledger).await?)
}
