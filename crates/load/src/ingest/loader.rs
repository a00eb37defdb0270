//! The blocking half of a load: reads files in order, decides which rows are news, and hands finished bronze batches on.

use std::{
    borrow::Cow,
    collections::{BTreeMap, HashMap, HashSet},
    io::Write,
    path::Path,
    sync::Arc,
    time::Instant,
};

use arrow::{
    array::{ArrayRef, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray, new_null_array},
    datatypes::{DataType, Field, Schema},
};
use wardlake_connect::{
    Chunk, ConnectError, Event, FileReport, FoundFile, Rejected,
    source::{Change, Deletes, FileFormat, OnSchemaChange},
};
use wardlake_core::{
    columns::{ColumnList, is_same_column},
    lineage,
};
use wardlake_records::{FileLoad, system::LoggedFile};

use super::{
    TablePlan,
    change::{KeyStates, Offered, RowChange, filter_news, key_columns, key_hashes, key_values},
    drift::ColumnsSoFar,
    late::LateFile,
    log::{SeenFiles, modified_us},
    rejected::RejectedSoFar,
    types,
};
use crate::{
    bronze::{self, Lineage, hex_hashes},
    error::LoadError,
};

/// What the loader hands to the writer.
pub(crate) enum Piece {
    /// Rows for bronze.
    Rows(RecordBatch),
    /// Some records that could not be read, of one file; all of them once `is_last` came.
    Rejected { file: String, sha256: String, sequence: u64, records: Vec<Rejected>, is_last: bool },
    /// Lines of one file whose row stands earlier in it.
    Repeated { file: String, sha256: String, sequence: u64, positions: Vec<i64> },
    /// What somebody should look at, though it was loaded.
    Word(String),
}

/// Everything a load of one table carries from file to file.
pub(crate) struct Loader<'a> {
    pub(crate) plan: &'a TablePlan,
    pub(crate) batch_id: String,
    /// The source's own columns of bronze, in table order; grows with the files.
    pub(crate) columns: ColumnList,
    pub(crate) states: Option<KeyStates>,
    pub(crate) so_far: ColumnsSoFar,
    pub(crate) rows_in_table: u64,
    pub(crate) seen: SeenFiles,
    /// Per path that was loaded before into a table without keys: its rows in bronze.
    pub(crate) loaded_rows: HashMap<String, HashMap<u128, u64>>,
    /// Rows so far of paths that are read more than once, each load for what is new in it; see [`super::reload`].
    pub(crate) grown: HashMap<String, HashMap<u128, u64>>,
    /// Whether rows of the last file were taken: without any of them it can be left out as if it had never been read.
    pub(crate) has_taken_rows: bool,
    pub(crate) send: &'a mut dyn FnMut(Piece) -> Result<(), LoadError>,
}

/// Counts of one file while it is read.
#[derive(Default)]
struct Counts {
    inserted: u64,
    updated: u64,
    deleted: u64,
    unchanged: u64,
    repeated: u64,
}

impl Counts {
    /// Rows that go into the table.
    fn news(&self) -> u64 {
        self.inserted + self.updated + self.deleted
    }

    fn add(&mut self, offered: Offered) {
        match offered {
            Offered::Unchanged => self.unchanged += 1,
            Offered::Repeated => self.repeated += 1,
            Offered::News(RowChange::Insert) => self.inserted += 1,
            Offered::News(RowChange::Update) => self.updated += 1,
            Offered::News(RowChange::Delete) => self.deleted += 1,
        }
    }
}

/// One file on its way into bronze.
struct FileInWork<'a> {
    path: &'a Path,
    relative: &'a str,
    counts: Counts,
    types: BTreeMap<String, String>,
    present: Option<HashSet<u128>>,
    rejected: RejectedSoFar,
    /// The table's columns before the file.
    known: Vec<String>,
    /// Positions of rows that stand earlier in the file.
    repeated: Vec<i64>,
    /// How often each row of an earlier load of this path is in bronze, for tables without keys.
    loaded: Option<HashMap<u128, u64>>,
    received_us: i64,
}

impl Loader<'_> {
    /// Loads one file. `landing` receives its bytes as they are read. `late` is set where files older than one loaded before
    /// come in between. `received_us` orders the files of one commit.
    pub(crate) fn load(
        &mut self,
        file: &FoundFile,
        landing: &mut (dyn Write + Send),
        late: Option<&mut LateFile>,
        received_us: i64,
    ) -> Result<LoggedFile, LoadError> {
        let started = Instant::now();
        let (report, work) = self.take_file(file, landing, late, received_us)?;
        self.logged(file, report, work, started)
    }

    /// Reads a loaded file once more, for the keys whose past changed. It is no load: its rejected records are kept and its
    /// columns are known.
    pub(crate) fn load_again(
        &mut self,
        file: &FoundFile,
        late: &mut LateFile,
        received_us: i64,
    ) -> Result<(), LoadError> {
        let (_, work) = self.take_file(file, &mut std::io::sink(), Some(late), received_us)?;
        self.rows_in_table += work.counts.news();
        Ok(())
    }

    /// Reads a load once more as the one it was: with its place in time and its id.
    pub(crate) fn reload(
        &mut self,
        file: &FoundFile,
        sequence: u64,
        late: Option<&mut LateFile>,
        received_us: i64,
    ) -> Result<(), LoadError> {
        let (report, work) = self.take_file(file, &mut std::io::sink(), late, received_us)?;
        self.rows_in_table += work.counts.news();
        self.send_rejected(file, &report.sha256, sequence, work.rejected, &work.known)?;
        for word in report.words() {
            (self.send)(Piece::Word(format!("{}: {word}", file.relative)))?;
        }
        Ok(())
    }

    fn take_file<'f>(
        &mut self,
        file: &'f FoundFile,
        landing: &mut (dyn Write + Send),
        mut late: Option<&mut LateFile>,
        received_us: i64,
    ) -> Result<(FileReport, FileInWork<'f>), LoadError> {
        let detects_deletes = self.plan.table.deletes == Deletes::Detect;
        self.has_taken_rows = false;
        let mut work = FileInWork {
            path: &file.path,
            relative: &file.relative,
            counts: Counts::default(),
            types: BTreeMap::new(),
            present: (detects_deletes || late.is_some()).then(HashSet::new),
            rejected: RejectedSoFar::default(),
            known: self.columns.names().to_vec(),
            repeated: Vec::new(),
            loaded: self.grown.get(&file.relative).cloned().or_else(|| self.loaded_rows.remove(&file.relative)),
            received_us,
        };
        if let Some(states) = &mut self.states {
            states.begin_file();
        }
        let known = work.known.clone();
        let report = self.read(file, &known, landing, &mut work, late.as_deref_mut())?;
        if let (true, Some(present)) = (detects_deletes, work.present.take()) {
            let gone = match late {
                Some(late) => late.retain(&present),
                None => self.states.as_mut().map(|states| states.retain(&present)).unwrap_or_default(),
            };
            self.send_deletes(&mut work, &gone)?;
        }
        Ok((report, work))
    }

    fn read(
        &mut self,
        file: &FoundFile,
        known: &[String],
        landing: &mut (dyn Write + Send),
        work: &mut FileInWork<'_>,
        mut late: Option<&mut LateFile>,
    ) -> Result<FileReport, LoadError> {
        let plan = self.plan;
        let mut failure = None;
        let known = (!known.is_empty()).then_some(known);
        let mut sink = |event: Event| {
            let result = match event {
                Event::Chunk(chunk) => self.take_chunk(work, *chunk, late.as_deref_mut()),
                Event::Rejected(record) => {
                    work.rejected.add(record);
                    Ok(())
                }
            };
            result.map_err(|error| {
                failure = Some(error);
                ConnectError::Stopped
            })
        };
        let report = wardlake_connect::read(file, &plan.table, known, Some(landing), plan.threads, &mut sink);
        match (report, failure) {
            (_, Some(error)) => Err(error),
            (Err(error), None) => Err(LoadError::Source { table: plan.label.clone(), error }),
            (Ok(report), None) => Ok(report),
        }
    }

    fn take_chunk(
        &mut self,
        work: &mut FileInWork<'_>,
        chunk: Chunk,
        late: Option<&mut LateFile>,
    ) -> Result<(), LoadError> {
        self.has_taken_rows = true;
        let mut chunk = Cow::Owned(chunk);
        bronze::spell(&mut chunk, &self.columns);
        if work.types.is_empty() {
            work.types = types::classes(&chunk.columns, &chunk.arrays);
        }
        self.leave_out_new(&mut chunk);
        let news = self.news(work, &chunk, late);
        if let Some(grown) = self.grown.get_mut(work.relative) {
            let new = news.iter().zip(&chunk.row_hashes).filter(|(change, _)| change.is_some());
            new.for_each(|(_, hash)| *grown.entry(*hash).or_default() += 1);
        }
        let batch = self.bronze_batch(work, &chunk, &news)?;
        let batch = match news.iter().all(Option::is_some) {
            true => batch,
            false => filter_news(&batch, &news)?,
        };
        if batch.num_rows() > 0 {
            (self.send)(Piece::Rows(batch))?;
        }
        Ok(())
    }

    /// With `on_schema_change: ignore`, a column that the table does not have is no part of its rows: their hashes are those of rows that
    /// never had it.
    fn leave_out_new(&self, chunk: &mut Cow<'_, Chunk>) {
        if self.plan.table.on_schema_change != OnSchemaChange::Ignore || self.rows_in_table == 0 {
            return;
        }
        // A lineage column is no new column but a mistake of the extract, and is told of.
        let is_kept = |name: &String| self.columns.contains(name) || lineage::is_lineage(name);
        if chunk.columns.iter().all(is_kept) {
            return;
        }
        let kept = chunk.columns.iter().zip(&chunk.arrays).filter(|(name, _)| is_kept(name));
        let (columns, arrays): (Vec<String>, Vec<ArrayRef>) =
            kept.map(|(name, array)| (name.clone(), Arc::clone(array))).unzip();
        let (positions, rows, kept) = (chunk.positions.clone(), chunk.rows, chunk.kept.clone());
        let known = Chunk { columns: columns.clone(), arrays, positions, row_hashes: Vec::new(), rows, kept };
        *chunk = Cow::Owned(known.renamed(columns));
    }

    /// Per row: what it is to the table, or `None` if it is no news.
    fn news(
        &mut self,
        work: &mut FileInWork<'_>,
        chunk: &Chunk,
        mut late: Option<&mut LateFile>,
    ) -> Vec<Option<RowChange>> {
        let Some(states) = &mut self.states else { return append_news(work, chunk) };
        let keys = key_columns(&self.plan.table.keys, &chunk.columns, &chunk.arrays);
        let hashes = key_hashes(&keys, chunk.rows);
        let mut news = Vec::with_capacity(chunk.rows);
        for (row, key) in hashes.into_iter().enumerate() {
            let hash = chunk.row_hashes[row];
            let offered = match &mut late {
                Some(late) => {
                    late.note_name(key, || key_values(&keys, row));
                    late.offer(key, hash)
                }
                None => {
                    states.note_name(key, || key_values(&keys, row));
                    states.offer(key, hash)
                }
            };
            if let Some(present) = &mut work.present {
                present.insert(key);
            }
            work.counts.add(offered);
            if offered == Offered::Repeated {
                work.repeated.push(chunk.positions.value(row));
            }
            news.push(match offered {
                Offered::News(change) => Some(change),
                Offered::Unchanged | Offered::Repeated => None,
            });
        }
        news
    }

    /// The chunk with every known column, in table order, and the lineage columns behind them.
    fn bronze_batch(
        &mut self,
        work: &FileInWork<'_>,
        chunk: &Chunk,
        news: &[Option<RowChange>],
    ) -> Result<RecordBatch, LoadError> {
        for column in &chunk.columns {
            if !self.columns.contains(column) {
                self.add_column(work.path, column)?;
            }
        }
        let mut fields: Vec<Field> =
            self.columns.names().iter().map(|name| Field::new(name, DataType::Utf8, true)).collect();
        let mut arrays = vec![new_null_array(&DataType::Utf8, chunk.rows); fields.len()];
        for (name, array) in chunk.columns.iter().zip(&chunk.arrays) {
            // One that is left out has no place.
            if let Some(place) = self.columns.place(name) {
                arrays[place] = Arc::clone(array);
            }
        }
        let changes = StringArray::from_iter_values(news.iter().map(|change| change.map_or("", RowChange::as_str)));
        let hashes = hex_hashes(&chunk.row_hashes)?;
        let mut lineage = self.lineage(work, chunk.positions.clone(), hashes, changes);
        lineage.kept.clone_from(&chunk.kept);
        lineage.push(&mut fields, &mut arrays);
        Ok(RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays)?)
    }

    fn add_column(&mut self, path: &Path, column: &str) -> Result<(), LoadError> {
        let refused = |message: String| {
            let error = ConnectError::Columns { path: path.to_owned(), message };
            Err(LoadError::Source { table: self.plan.label.clone(), error })
        };
        if lineage::is_lineage(column) {
            return refused(format!("`{column}` bears the name of a lineage column; rename it in the extract"));
        }
        match self.plan.table.on_schema_change {
            OnSchemaChange::Fail if self.rows_in_table > 0 => {
                refused(format!("the column `{column}` is new and `on_schema_change` is `fail`"))
            }
            OnSchemaChange::Ignore if self.rows_in_table > 0 => Ok(()),
            _ => {
                self.columns.add(column);
                Ok(())
            }
        }
    }

    fn lineage<'a>(
        &'a self,
        work: &'a FileInWork<'_>,
        positions: Int64Array,
        hashes: StringArray,
        changes: StringArray,
    ) -> Lineage<'a> {
        let (source, file, batch_id) = (&self.plan.label, work.relative, &self.batch_id);
        let received = TimestampMicrosecondArray::from_value(work.received_us, positions.len());
        Lineage { source, file, batch_id, received, positions, hashes, changes, kept: None }
    }

    /// Rows that say a key is gone: its key columns, everything else NULL.
    fn send_deletes(
        &mut self,
        work: &mut FileInWork<'_>,
        gone: &[(u128, Vec<Option<Box<str>>>)],
    ) -> Result<(), LoadError> {
        if gone.is_empty() {
            return Ok(());
        }
        if gone.iter().any(|(_, values)| values.len() != self.plan.table.keys.len()) {
            let what = "a record is gone whose key is not known".to_owned();
            return Err(LoadError::Broken { table: self.plan.label.clone(), what });
        }
        work.counts.deleted += gone.len() as u64;
        let mut fields = Vec::new();
        let mut arrays: Vec<ArrayRef> = Vec::new();
        for name in self.columns.names() {
            fields.push(Field::new(name, DataType::Utf8, true));
            arrays.push(match self.plan.table.keys.iter().position(|key| is_same_column(key, name)) {
                Some(at) => Arc::new(
                    gone.iter().map(|(_, values)| values.get(at).and_then(Option::as_deref)).collect::<StringArray>(),
                ),
                None => new_null_array(&DataType::Utf8, gone.len()),
            });
        }
        let positions = Int64Array::from_value(i64::MAX, gone.len());
        let hashes = hex_hashes(&vec![0; gone.len()])?;
        let changes = StringArray::new_repeated(RowChange::Delete.as_str(), gone.len());
        self.lineage(work, positions, hashes, changes).push(&mut fields, &mut arrays);
        (self.send)(Piece::Rows(RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays)?))
    }

    fn logged(
        &mut self,
        file: &FoundFile,
        report: FileReport,
        work: FileInWork<'_>,
        started: Instant,
    ) -> Result<LoggedFile, LoadError> {
        let sequence = self.seen.sequence(&file.relative) + 1;
        let rows_before = self.rows_in_table;
        self.rows_in_table += work.counts.news();
        let Counts { inserted, updated, deleted, unchanged, repeated } = work.counts;
        if !work.repeated.is_empty() {
            (self.send)(Piece::Repeated {
                file: file.relative.clone(),
                sha256: report.sha256.clone(),
                sequence,
                positions: work.repeated,
            })?;
        }
        let rejected = work.rejected.count();
        self.send_rejected(file, &report.sha256, sequence, work.rejected, &work.known)?;
        for word in report.words() {
            (self.send)(Piece::Word(format!("{}: {word}", file.relative)))?;
        }
        let has_order = !matches!(report.file_format, FileFormat::Json | FileFormat::Ndjson);
        let drift = self.so_far.drift(&report.columns, &work.types, has_order);
        self.so_far.pass(&report.columns, &work.types);
        Ok(LoggedFile {
            load: FileLoad {
                source: self.plan.label.clone(),
                file: file.relative.clone(),
                bytes: report.bytes_read,
                sha256: report.sha256,
                rows_before,
                rows_read: report.rows,
                inserted,
                updated,
                deleted,
                unchanged,
                repeated,
                rejected,
                drift,
                duration_ms: u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
            },
            batch_id: self.batch_id.clone(),
            sequence,
            size: file.size,
            modified_us: modified_us(file),
            is_late: false,
            order_key: String::new(),
            column_types: work.types,
            columns: report.columns,
        })
    }
}

/// A file without keys that was loaded before and has grown brings only the rows it did not have.
fn append_news(work: &mut FileInWork<'_>, chunk: &Chunk) -> Vec<Option<RowChange>> {
    let Some(loaded) = &mut work.loaded else {
        work.counts.inserted += chunk.rows as u64;
        return vec![Some(RowChange::Insert); chunk.rows];
    };
    let mut news = Vec::with_capacity(chunk.rows);
    for hash in &chunk.row_hashes {
        let change = match loaded.get_mut(hash).filter(|count| **count > 0) {
            Some(count) => {
                *count -= 1;
                work.counts.unchanged += 1;
                None
            }
            None => {
                work.counts.inserted += 1;
                Some(RowChange::Insert)
            }
        };
        news.push(change);
    }
    news
}

/// Whether rows of this table are compared with what was there before.
pub(crate) fn is_compared(plan: &TablePlan) -> bool {
    plan.table.change != Change::Append
}
