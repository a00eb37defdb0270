//! Rows of data files in memory, for readers that come again and again and want little: the waves of a server. A data file never
//! changes, so what was read of it holds for as long as some version names it.
//!
//! Small tables are held whole (`read.rs`). Of large ones, rows are looked up by key (`keys.rs`): of each file the hashes of its keys are
//! held, and only rows that have one of the wanted are read. Both are held up to a bound (`bounded.rs`); what was given up is read again.
//!
//! Each viewer has rows and keys of its own; what all of them have is bounded together.

mod bounded;
mod keys;
mod read;

use std::{collections::HashSet, sync::Arc};

use arrow::{
    array::{RecordBatch, UInt32Array},
    compute::take_record_batch,
    datatypes::SchemaRef,
};
use deltalake::kernel::Add;
use futures::{StreamExt, TryStreamExt};
use object_store::path::Path;
use wardlake_access::ViewerKey;
use wardlake_core::TableName;

use self::{
    bounded::Bounded,
    keys::{Keys, Wanted},
    read::{PlainFile, held_schema, query, read, selection},
};
use crate::{StorageError, TableSnapshot, incremental::Added, state::plain_file, types::cast_batch};

/// Tables of so many bytes on disk are held whole.
const SMALL_TABLE_BYTES: u64 = 8 << 20;
/// Rows that are held of all files together.
pub const ROW_BYTES: usize = 256 << 20;
/// Keys that are held of all files together: those of some 40 million rows.
pub const KEY_BYTES: usize = 512 << 20;
/// Files that are read side by side.
const PARALLEL_READS: usize = 4;

/// Rows of data files in memory, of all viewers.
#[derive(Debug)]
pub struct HeldFiles(Arc<Shared>);

/// A data file, as one viewer reads it.
type FilePlace = (ViewerKey, TableName, Path);

#[derive(Debug)]
struct Shared {
    rows: Bounded<FilePlace, Vec<RecordBatch>>,
    /// Also of files that will be in their table soon: they are not read before.
    keys: Bounded<(Arc<KeyColumns>, Path), Keys>,
}

/// Columns by which a viewer looks up rows of a table.
#[derive(Debug, PartialEq, Eq, Hash)]
struct KeyColumns {
    viewer: ViewerKey,
    table: TableName,
    columns: Vec<String>,
}

/// Rows of data files in memory, of one viewer.
#[derive(Debug)]
pub struct HeldRows {
    viewer: ViewerKey,
    shared: Arc<Shared>,
}

impl Default for HeldFiles {
    fn default() -> Self {
        Self::bounded(ROW_BYTES, KEY_BYTES)
    }
}

impl HeldFiles {
    fn bounded(row_bytes: usize, key_bytes: usize) -> Self {
        Self(Arc::new(Shared { rows: Bounded::new(row_bytes), keys: Bounded::new(key_bytes) }))
    }

    /// Those of one viewer: what another one read is not among them.
    pub fn of(&self, viewer: ViewerKey) -> HeldRows {
        HeldRows { viewer, shared: Arc::clone(&self.0) }
    }
}

impl HeldRows {
    /// The columns of rows that are held: the table's, texts as views.
    pub fn schema(of: &TableSnapshot) -> SchemaRef {
        held_schema(of)
    }

    /// All rows of a table, if it is small and its files hold nothing but its rows.
    pub async fn table(&self, of: &TableSnapshot) -> Result<Option<Vec<RecordBatch>>, StorageError> {
        match plain_files(of).filter(|files| are_few(files)) {
            Some(files) => self.read_all(of, files).await.map(Some),
            None => Ok(None),
        }
    }

    /// The rows that were added after `version`, if they are few. As [`TableSnapshot::appended_since`].
    pub async fn appended_since(
        &self,
        of: &TableSnapshot,
        version: Option<u64>,
    ) -> Result<Option<Vec<RecordBatch>>, StorageError> {
        let Some(version) = version else { return self.table(of).await };
        if of.state.plain_files().is_none() {
            return Ok(None);
        }
        // Files that were since merged into others are there for whoever has not read them.
        let Added { here, moved } = of.handle.added(version, of.version()).await?;
        let plain = |add: &Add| plain_file(add).map(|(path, bytes)| PlainFile { path, bytes });
        let files: Option<Vec<PlainFile>> = here.values().chain(moved.values().flatten()).map(plain).collect();
        match files.filter(|files| are_few(files)) {
            Some(files) => self.read_all(of, files).await.map(Some),
            None => Ok(None),
        }
    }

    /// The rows whose `columns` are a row of `keys`, which has as many columns. NULL is no key. `None` as in [`Self::table`], however
    /// large the table is. Without any key the keys of the files are read all the same, for the next lookup.
    pub async fn matching(
        &self,
        of: &TableSnapshot,
        columns: &[String],
        keys: &RecordBatch,
    ) -> Result<Option<Vec<RecordBatch>>, StorageError> {
        let Some(files) = plain_files(of) else { return Ok(None) };
        let wanted = Wanted::new(of, columns, keys)?;
        let by =
            Arc::new(KeyColumns { viewer: self.viewer.clone(), table: of.name().clone(), columns: columns.to_vec() });
        let named: HashSet<Path> = files.iter().map(|file| file.path.clone()).collect();
        let found: Vec<(Vec<u32>, PlainFile)> = futures::stream::iter(files)
            .map(|file| {
                let (by, wanted) = (&by, &wanted);
                async move {
                    let keys = self.keys(of, by, &file, true).await?;
                    Ok::<_, StorageError>((keys.find(&wanted.hashes), file))
                }
            })
            .buffered(PARALLEL_READS)
            .try_collect()
            .await?;
        // Keys of files that no version in use names go, except those that nobody has asked for yet.
        self.shared.keys.retain(|(other, path), was_read| !was_read || *other != by || named.contains(path));
        let schema = held_schema(of);
        let mut batches = Vec::new();
        for (rows, file) in found.into_iter().filter(|(rows, _)| !rows.is_empty()) {
            for batch in self.take(of, &file, &rows).await? {
                batches.extend(wanted.filter(of, &cast_batch(&batch, &schema)?)?);
            }
        }
        Ok(Some(batches))
    }

    /// Reads the keys of files that will be in the table soon, if the viewer looks up rows of it: a lookup is not to wait for that.
    pub(crate) async fn expect(&self, of: &TableSnapshot, adds: &[Add]) -> Result<(), StorageError> {
        // Those that were announced before and never came go.
        self.shared.keys.retain(|(by, _), was_read| was_read || !self.is_own(by, of));
        let looked_up: HashSet<Arc<KeyColumns>> = self.shared.keys.keys().into_iter().map(|(by, _)| by).collect();
        for by in looked_up.iter().filter(|by| self.is_own(by, of)) {
            for (path, bytes) in adds.iter().filter_map(plain_file) {
                self.keys(of, by, &PlainFile { path, bytes }, false).await?;
            }
        }
        Ok(())
    }

    fn is_own(&self, by: &KeyColumns, of: &TableSnapshot) -> bool {
        by.viewer == self.viewer && by.table == *of.name()
    }

    async fn read_all(&self, of: &TableSnapshot, files: Vec<PlainFile>) -> Result<Vec<RecordBatch>, StorageError> {
        let rows: Vec<Arc<Vec<RecordBatch>>> = futures::stream::iter(files)
            .map(|file| async move { self.rows(of, &file).await })
            .buffered(PARALLEL_READS)
            .try_collect()
            .await?;
        let schema = held_schema(of);
        let batches = rows.iter().flat_map(|rows| rows.iter());
        batches.map(|batch| cast_batch(batch, &schema)).collect()
    }

    /// All rows of a file.
    async fn rows(&self, of: &TableSnapshot, file: &PlainFile) -> Result<Arc<Vec<RecordBatch>>, StorageError> {
        let place = (self.viewer.clone(), of.name().clone(), file.path.clone());
        if let Some(rows) = self.shared.rows.find(&place) {
            return Ok(rows);
        }
        let rows = Arc::new(read(of, file, None, None).await?);
        self.shared.rows.keep(place, &rows, rows.iter().map(RecordBatch::get_array_memory_size).sum(), true);
        Ok(rows)
    }

    /// The keys of a file, for a lookup or before there is one; read from its rows if they are held anyway.
    async fn keys(
        &self,
        of: &TableSnapshot,
        by: &Arc<KeyColumns>,
        file: &PlainFile,
        is_lookup: bool,
    ) -> Result<Arc<Keys>, StorageError> {
        let place = (Arc::clone(by), file.path.clone());
        if let Some(keys) = self.shared.keys.find(&place) {
            return Ok(keys);
        }
        let batches = match file.is_small() {
            true => self.rows(of, file).await?,
            false => Arc::new(read(of, file, Some(&by.columns), None).await?),
        };
        let keys = Arc::new(Keys::of(of, &by.columns, &batches)?);
        self.shared.keys.keep(place, &keys, keys.bytes(), is_lookup);
        Ok(keys)
    }

    /// Some rows of a file, in its order.
    async fn take(&self, of: &TableSnapshot, file: &PlainFile, rows: &[u32]) -> Result<Vec<RecordBatch>, StorageError> {
        if !file.is_small() {
            return read(of, file, None, Some(selection(rows))).await;
        }
        let all = self.rows(of, file).await?;
        let (mut taken, mut first, mut rows) = (Vec::new(), 0, rows);
        for batch in all.iter() {
            let here = rows.partition_point(|row| (*row as usize) < first + batch.num_rows());
            let places: UInt32Array = rows[..here].iter().map(|row| row - first as u32).collect();
            if !places.is_empty() {
                taken.push(take_record_batch(batch, &places).map_err(|error| query(of, error))?);
            }
            rows = &rows[here..];
            first += batch.num_rows();
        }
        Ok(taken)
    }
}

fn are_few(files: &[PlainFile]) -> bool {
    files.iter().map(|file| file.bytes).sum::<u64>() <= SMALL_TABLE_BYTES
}

fn plain_files(of: &TableSnapshot) -> Option<Vec<PlainFile>> {
    let files = of.state.plain_files()?;
    Some(files.into_iter().map(|(path, bytes)| PlainFile { path, bytes }).collect())
}

#[cfg(test)]
mod tests {
    use arrow::{
        array::{ArrayRef, AsArray, Int64Array},
        datatypes::Int64Type,
    };
    use datafusion::physical_plan::memory::MemoryStream;

    use wardlake_access::{SystemReason, Viewer};

    use super::*;
    use crate::{Commit, Lake};

    fn numbers(numbers: impl IntoIterator<Item = i64>) -> RecordBatch {
        let column: ArrayRef = Arc::new(Int64Array::from_iter_values(numbers));
        RecordBatch::try_from_iter([("n", column)]).unwrap()
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn c04_what_was_given_up_is_read_again_and_says_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let lake = Lake::open(&folder.path().to_string_lossy()).await.unwrap();
        let name: TableName = "s.t".parse().unwrap();
        for first in 0..8 {
            let rows = numbers(first * 1000..(first + 1) * 1000);
            let stream = MemoryStream::try_new(vec![rows.clone()], rows.schema(), None).unwrap();
            lake.append(&name, vec![Box::pin(stream)], Commit::default()).await.unwrap();
        }
        let of = lake.require(&name).await.unwrap();
        let (columns, wanted) = (["n".to_owned()], numbers([7999, 5, 1005, 9000]));
        let mut held_files = Vec::new();
        // Nothing fits, the keys of some files do, those of all do.
        for bound in [0, 40_000, 1 << 20] {
            let files = HeldFiles::bounded(bound, bound);
            let held = files.of(Viewer::System(SystemReason::Test).key());
            for _ in 0..3 {
                let found = held.matching(&of, &columns, &wanted).await.unwrap().unwrap();
                let column = |batch: &RecordBatch| batch.column(0).as_primitive::<Int64Type>().values().to_vec();
                let mut values: Vec<i64> = found.iter().flat_map(column).collect();
                values.sort_unstable();
                assert_eq!(values, [5, 1005, 7999]);
                assert!(files.0.keys.bytes() <= bound && files.0.rows.bytes() <= bound);
            }
            held_files.push(files.0.keys.keys().len());
        }
        assert!(held_files[0] == 0 && (1..8).contains(&held_files[1]) && held_files[2] == 8, "{held_files:?}");
    }
}
