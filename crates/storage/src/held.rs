//! Rows of data files in memory, for readers that come again and again and want little: the waves of a server. A data file never
//! changes, so what was read of it holds for as long as some version names it.
//!
//! Small tables are held whole. Of large ones, rows are looked up by key: of each file the hashes of its keys are held, and only
//! rows that have one of the wanted are read. A lookup costs what it finds, not what there is.
//!
//! Each viewer has rows and keys of its own; what all of them have is bounded together.

use std::{
    collections::{HashMap, HashSet},
    ops::Range,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use arrow::{
    array::{Array, ArrayRef, BooleanArray, RecordBatch, UInt32Array},
    compute::{filter_record_batch, take_record_batch},
    datatypes::{DataType, Field, Schema, SchemaRef},
    row::{RowConverter, SortField},
};
use bytes::Bytes;
use datafusion::common::hash_utils::{RandomState, create_hashes};
use deltalake::kernel::Add;
use futures::{StreamExt, TryStreamExt, future::BoxFuture};
use object_store::{ObjectStore, ObjectStoreExt, path::Path};
use parquet::{
    arrow::{
        ParquetRecordBatchStreamBuilder, ProjectionMask,
        arrow_reader::{ArrowReaderOptions, RowSelection, RowSelector},
        async_reader::AsyncFileReader,
    },
    errors::{ParquetError, Result as ParquetResult},
    file::metadata::{PageIndexPolicy, ParquetMetaData, ParquetMetaDataReader},
};
use wardlake_access::ViewerKey;
use wardlake_core::TableName;

use crate::{
    StorageError, TableHead, head::plain_file, incremental::Added, schema_change::require_columns, types::cast_batch,
};

/// Files that are held whole, and tables made of them, have so many bytes on disk at most.
const SMALL_FILE_BYTES: u64 = 1 << 20;
const SMALL_TABLE_BYTES: u64 = 8 << 20;
/// Rows that are held of all files together; the longest unread are given up.
const HELD_BYTES: usize = 256 << 20;
/// Rows per batch, as queries like them.
const BATCH_ROWS: usize = 8 << 10;
/// Files that are read side by side.
const PARALLEL_READS: usize = 4;

type Rows = Arc<Vec<RecordBatch>>;
/// A data file, as one viewer reads it.
type FilePlace = (ViewerKey, TableName, Path);
/// Columns by which a viewer looks up rows of a table.
type Lookup = (ViewerKey, TableName, Vec<String>);
type FileKeys = HashMap<Path, Arc<Keys>>;

/// Rows of data files in memory, of all viewers.
#[derive(Debug, Default)]
pub struct HeldFiles(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    files: Mutex<Files>,
    /// The keys of each file.
    keys: Mutex<HashMap<Lookup, FileKeys>>,
    /// The same of files that will be in the table soon; of the last such announcement.
    expected: Mutex<HashMap<Lookup, FileKeys>>,
}

/// Rows of data files in memory, of one viewer.
#[derive(Debug)]
pub struct HeldRows {
    viewer: ViewerKey,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Files {
    rows: HashMap<FilePlace, Held>,
    bytes: usize,
    reads: u64,
}

#[derive(Debug)]
struct Held {
    rows: Rows,
    bytes: usize,
    read: u64,
}

/// The keys of a file: their hashes in order, and beside each the row.
#[derive(Debug)]
struct Keys {
    hashes: Vec<u64>,
    rows: Vec<u32>,
    /// Where those begin whose first bits are 0, 1, 2, …, and where the last end. Hashes spread evenly: some four share their first bits.
    starts: Vec<u32>,
    /// Bits of a hash that are not such first ones.
    shift: u32,
}

/// A data file of a version.
#[derive(Clone)]
struct DataFile {
    path: Path,
    bytes: u64,
}

impl HeldFiles {
    /// Those of one viewer: what another one read is not among them.
    pub fn of(&self, viewer: ViewerKey) -> HeldRows {
        HeldRows { viewer, shared: Arc::clone(&self.0) }
    }
}

impl HeldRows {
    /// The columns of rows that are held: the table's, texts as views.
    pub fn schema(head: &TableHead) -> SchemaRef {
        let view = |field: &Arc<Field>| match field.data_type() {
            DataType::Utf8 => Arc::new(Field::new(field.name(), DataType::Utf8View, field.is_nullable())),
            _ => Arc::clone(field),
        };
        Arc::new(Schema::new(head.schema().fields().iter().map(view).collect::<Vec<_>>()))
    }

    /// All rows of a table, if it is small and its files hold nothing but its rows.
    pub async fn table(&self, head: &TableHead) -> Result<Option<Vec<RecordBatch>>, StorageError> {
        match plain_files(head).filter(|files| are_few(files)) {
            Some(files) => self.read_all(head, files).await.map(Some),
            None => Ok(None),
        }
    }

    /// The rows that were added after `version`, if they are few. As [`crate::TableSnapshot::appended_since`].
    pub async fn appended_since(
        &self,
        head: &TableHead,
        version: Option<u64>,
    ) -> Result<Option<Vec<RecordBatch>>, StorageError> {
        let Some(version) = version else { return self.table(head).await };
        if head.plain_files().is_none() {
            return Ok(None);
        }
        // Files that were since merged into others are there for whoever has not read them.
        let Added { here, moved } = head.handle.added(version, head.version()).await?;
        let plain = |add: &Add| plain_file(add).map(|(path, bytes)| DataFile { path, bytes });
        let files: Option<Vec<DataFile>> = here.values().chain(moved.values().flatten()).map(plain).collect();
        match files.filter(|files| are_few(files)) {
            Some(files) => self.read_all(head, files).await.map(Some),
            None => Ok(None),
        }
    }

    /// The rows whose `columns` are a row of `keys`, which has as many columns. NULL is no key. `None` as in [`Self::table`], however
    /// large the table is. Without any key the keys of the files are read all the same, for the next lookup.
    pub async fn matching(
        &self,
        head: &TableHead,
        columns: &[String],
        keys: &RecordBatch,
    ) -> Result<Option<Vec<RecordBatch>>, StorageError> {
        let Some(files) = plain_files(head) else { return Ok(None) };
        let wanted = Wanted::new(head, columns, keys)?;
        let known = (self.viewer.clone(), head.name().clone(), columns.to_vec());
        let held: FileKeys = lock(&self.shared.keys).get(&known).cloned().unwrap_or_default();
        let expected = |path: &Path| lock(&self.shared.expected).get(&known)?.get(path).cloned();
        let found = futures::stream::iter(files)
            .map(|file| {
                let keys = held.get(&file.path).cloned().or_else(|| expected(&file.path));
                async {
                    let keys = match keys {
                        Some(keys) => keys,
                        None => Arc::new(self.keys_of(head, columns, &file).await?),
                    };
                    Ok::<_, StorageError>((keys.find(&wanted.hashes), file, keys))
                }
            })
            .buffered(PARALLEL_READS)
            .try_collect::<Vec<_>>()
            .await?;
        // Keys of files that no version in use names go.
        let now = found.iter().map(|(_, file, keys)| (file.path.clone(), Arc::clone(keys))).collect();
        lock(&self.shared.keys).insert(known, now);
        let schema = Self::schema(head);
        let mut batches = Vec::new();
        for (rows, file, _) in found.into_iter().filter(|(rows, ..)| !rows.is_empty()) {
            for batch in self.take(head, &file, &rows).await? {
                batches.extend(wanted.filter(head, &cast_batch(&batch, &schema)?)?);
            }
        }
        Ok(Some(batches))
    }

    /// Reads the keys of files that will be in the table soon, if the viewer looks up rows of it: a lookup is not to wait for that.
    pub(crate) async fn expect(&self, head: &TableHead, adds: &[Add]) -> Result<(), StorageError> {
        let looked_up: Vec<Vec<String>> = lock(&self.shared.keys)
            .keys()
            .filter(|(viewer, table, _)| *viewer == self.viewer && table == head.name())
            .map(|(_, _, columns)| columns.clone())
            .collect();
        for columns in looked_up {
            let mut expected = FileKeys::new();
            for (path, bytes) in adds.iter().filter_map(plain_file) {
                let file = DataFile { path: path.clone(), bytes };
                expected.insert(path, Arc::new(self.keys_of(head, &columns, &file).await?));
            }
            lock(&self.shared.expected).insert((self.viewer.clone(), head.name().clone(), columns), expected);
        }
        Ok(())
    }

    async fn read_all(&self, head: &TableHead, files: Vec<DataFile>) -> Result<Vec<RecordBatch>, StorageError> {
        let rows: Vec<Rows> = futures::stream::iter(files)
            .map(|file| async move { self.rows(head, &file).await })
            .buffered(PARALLEL_READS)
            .try_collect()
            .await?;
        let schema = Self::schema(head);
        let batches = rows.iter().flat_map(|rows| rows.iter());
        batches.map(|batch| cast_batch(batch, &schema)).collect()
    }

    /// All rows of a file.
    async fn rows(&self, head: &TableHead, file: &DataFile) -> Result<Rows, StorageError> {
        let place = (self.viewer.clone(), head.name().clone(), file.path.clone());
        if let Some(rows) = lock(&self.shared.files).find(&place) {
            return Ok(rows);
        }
        let rows = Arc::new(read(head, file, None, None).await?);
        lock(&self.shared.files).keep(place, &rows);
        Ok(rows)
    }

    /// The keys of a file; read from its rows if they are held anyway.
    async fn keys_of(&self, head: &TableHead, columns: &[String], file: &DataFile) -> Result<Keys, StorageError> {
        let batches = match file.bytes <= SMALL_FILE_BYTES {
            true => self.rows(head, file).await?,
            false => Arc::new(read(head, file, Some(columns), None).await?),
        };
        let mut keys = Vec::new();
        let mut first = 0;
        for batch in batches.iter() {
            let arrays = key_arrays(&batch.schema(), batch.columns(), columns);
            for (row, hash) in hashes(head, &arrays, batch.num_rows())?.into_iter().enumerate() {
                keys.extend(hash.map(|hash| (hash, first + row as u32)));
            }
            first += batch.num_rows() as u32;
        }
        Ok(Keys::new(keys))
    }

    /// Some rows of a file, in its order.
    async fn take(&self, head: &TableHead, file: &DataFile, rows: &[u32]) -> Result<Vec<RecordBatch>, StorageError> {
        if file.bytes > SMALL_FILE_BYTES {
            return read(head, file, None, Some(selection(rows))).await;
        }
        let all = self.rows(head, file).await?;
        let (mut taken, mut first, mut rows) = (Vec::new(), 0, rows);
        for batch in all.iter() {
            let here = rows.partition_point(|row| (*row as usize) < first + batch.num_rows());
            let places: UInt32Array = rows[..here].iter().map(|row| row - first as u32).collect();
            if !places.is_empty() {
                taken.push(take_record_batch(batch, &places).map_err(|error| query(head, error))?);
            }
            rows = &rows[here..];
            first += batch.num_rows();
        }
        Ok(taken)
    }
}

fn lock<T>(what: &Mutex<T>) -> MutexGuard<'_, T> {
    what.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Files {
    fn find(&mut self, place: &FilePlace) -> Option<Rows> {
        self.reads += 1;
        let held = self.rows.get_mut(place)?;
        held.read = self.reads;
        Some(Arc::clone(&held.rows))
    }

    fn keep(&mut self, place: FilePlace, rows: &Rows) {
        let bytes = rows.iter().map(RecordBatch::get_array_memory_size).sum();
        let held = Held { rows: Arc::clone(rows), bytes, read: self.reads };
        self.bytes += bytes;
        if let Some(before) = self.rows.insert(place, held) {
            self.bytes -= before.bytes;
        }
        if self.bytes <= HELD_BYTES {
            return;
        }
        // A quarter goes at once, so that the search for it is seldom.
        let mut ages: Vec<(u64, FilePlace)> =
            self.rows.iter().map(|(place, held)| (held.read, place.clone())).collect();
        ages.sort_unstable();
        for (_, place) in ages {
            if self.bytes <= HELD_BYTES / 4 * 3 {
                break;
            }
            self.bytes -= self.rows.remove(&place).map_or(0, |held| held.bytes);
        }
    }
}

impl Keys {
    /// Of the hash and the row of each key.
    fn new(mut keys: Vec<(u64, u32)>) -> Self {
        keys.sort_unstable();
        let bits = (keys.len() / 4).max(1).ilog2();
        let shift = u64::BITS - bits;
        let mut starts = vec![0u32; (1 << bits) + 1];
        for (hash, _) in &keys {
            starts[first_bits(*hash, shift) + 1] += 1;
        }
        for place in 1..starts.len() {
            starts[place] += starts[place - 1];
        }
        let (hashes, rows) = keys.into_iter().unzip();
        Self { hashes, rows, starts, shift }
    }

    /// The rows whose hash is one of `wanted`.
    fn find(&self, wanted: &[u64]) -> Vec<u32> {
        let mut found = Vec::new();
        for hash in wanted {
            let first = first_bits(*hash, self.shift);
            for place in self.starts[first] as usize..self.starts[first + 1] as usize {
                if self.hashes[place] == *hash {
                    found.push(self.rows[place]);
                }
            }
        }
        found.sort_unstable();
        found
    }
}

fn first_bits(hash: u64, shift: u32) -> usize {
    hash.checked_shr(shift).unwrap_or(0) as usize
}

/// Keys that are looked up.
struct Wanted {
    /// In order, each once.
    hashes: Vec<u64>,
    /// The keys themselves: two may share a hash.
    keys: HashSet<Box<[u8]>>,
    converter: RowConverter,
    columns: Vec<String>,
}

impl Wanted {
    fn new(head: &TableHead, columns: &[String], keys: &RecordBatch) -> Result<Self, StorageError> {
        let own = HeldRows::schema(head);
        require_columns(head.name(), &own, columns, "key")?;
        let fields: Vec<Field> = columns.iter().filter_map(|name| own.field_with_name(name).ok().cloned()).collect();
        let named = keys.schema();
        let named = named.fields().iter().zip(columns).map(|(field, name)| field.as_ref().clone().with_name(name));
        let named = Arc::new(Schema::new(named.collect::<Vec<_>>()));
        let keys = RecordBatch::try_new(named, keys.columns().to_vec()).map_err(|error| query(head, error))?;
        let sorts = fields.iter().map(|field| SortField::new(field.data_type().clone())).collect();
        let keys = cast_batch(&keys, &Arc::new(Schema::new(fields)))?;
        let converter = RowConverter::new(sorts).map_err(|error| query(head, error))?;
        let rows = converter.convert_columns(keys.columns()).map_err(|error| query(head, error))?;
        let found = hashes(head, keys.columns(), keys.num_rows())?;
        let exact =
            rows.iter().zip(&found).filter(|(_, hash)| hash.is_some()).map(|(row, _)| row.as_ref().into()).collect();
        let mut hashes: Vec<u64> = found.into_iter().flatten().collect();
        hashes.sort_unstable();
        hashes.dedup();
        Ok(Self { hashes, keys: exact, converter, columns: columns.to_vec() })
    }

    /// The rows of a batch that have one of the keys.
    fn filter(&self, head: &TableHead, batch: &RecordBatch) -> Result<Option<RecordBatch>, StorageError> {
        let error = |error| query(head, error);
        let arrays = key_arrays(&batch.schema(), batch.columns(), &self.columns);
        let rows = self.converter.convert_columns(&arrays).map_err(error)?;
        let is_wanted: BooleanArray = rows.iter().map(|row| Some(self.keys.contains(row.as_ref()))).collect();
        let batch = filter_record_batch(batch, &is_wanted).map_err(error)?;
        Ok((batch.num_rows() > 0).then_some(batch))
    }
}

fn key_arrays(schema: &Schema, arrays: &[ArrayRef], columns: &[String]) -> Vec<ArrayRef> {
    columns.iter().filter_map(|name| Some(Arc::clone(&arrays[schema.index_of(name).ok()?]))).collect()
}

/// The hash of each row's key; none where a part of it is NULL.
fn hashes(head: &TableHead, arrays: &[ArrayRef], rows: usize) -> Result<Vec<Option<u64>>, StorageError> {
    let mut hashes = vec![0; rows];
    create_hashes(arrays, &RandomState::with_seed(0), &mut hashes).map_err(StorageError::query(head.name()))?;
    let is_key = |row: usize| arrays.iter().all(|array| array.is_valid(row));
    Ok(hashes.into_iter().enumerate().map(|(row, hash)| is_key(row).then_some(hash)).collect())
}

fn are_few(files: &[DataFile]) -> bool {
    files.iter().map(|file| file.bytes).sum::<u64>() <= SMALL_TABLE_BYTES
}

fn plain_files(head: &TableHead) -> Option<Vec<DataFile>> {
    let file = |(path, bytes): (&Path, &u64)| DataFile { path: path.clone(), bytes: *bytes };
    head.plain_files().map(|files| files.iter().map(file).collect())
}

/// The rows of a file, or some of them, with the table's columns, or some of them.
async fn read(
    head: &TableHead,
    file: &DataFile,
    columns: Option<&[String]>,
    rows: Option<RowSelection>,
) -> Result<Vec<RecordBatch>, StorageError> {
    let error = |error| StorageError::query(head.name())(datafusion::error::DataFusionError::from(error));
    let reader = FileReader { store: head.handle.store(), file: file.clone(), whole: None };
    let pages = if rows.is_some() { PageIndexPolicy::Optional } else { PageIndexPolicy::Skip };
    let options = ArrowReaderOptions::new().with_page_index_policy(pages);
    let mut builder = ParquetRecordBatchStreamBuilder::new_with_options(reader, options)
        .await
        .map_err(error)?
        .with_batch_size(BATCH_ROWS);
    let own = HeldRows::schema(head);
    let mut schema = Arc::clone(&own);
    if let Some(columns) = columns {
        let mask = ProjectionMask::columns(builder.parquet_schema(), columns.iter().map(String::as_str));
        builder = builder.with_projection(mask);
        let fields = columns.iter().filter_map(|name| own.field_with_name(name).ok().cloned());
        schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    }
    if let Some(rows) = rows {
        builder = builder.with_row_selection(rows);
    }
    let batches: Vec<RecordBatch> = builder.build().map_err(error)?.try_collect().await.map_err(error)?;
    batches.iter().map(|batch| cast_batch(batch, &schema)).collect()
}

/// Reads parts of a file; a small one is read at once.
struct FileReader {
    store: Arc<dyn ObjectStore>,
    file: DataFile,
    whole: Option<Bytes>,
}

impl AsyncFileReader for FileReader {
    fn get_bytes(&mut self, range: Range<u64>) -> BoxFuture<'_, ParquetResult<Bytes>> {
        let error = |error| ParquetError::External(Box::new(error));
        Box::pin(async move {
            if self.file.bytes > SMALL_FILE_BYTES {
                return self.store.get_range(&self.file.path, range).await.map_err(error);
            }
            let whole = match self.whole.take() {
                Some(whole) => whole,
                None => self.store.get_range(&self.file.path, 0..self.file.bytes).await.map_err(error)?,
            };
            let part = whole.slice(range.start as usize..range.end as usize);
            self.whole = Some(whole);
            Ok(part)
        })
    }

    fn get_metadata<'a>(
        &'a mut self,
        options: Option<&'a ArrowReaderOptions>,
    ) -> BoxFuture<'a, ParquetResult<Arc<ParquetMetaData>>> {
        let pages = options.map_or(PageIndexPolicy::Skip, ArrowReaderOptions::offset_index_policy);
        let bytes = self.file.bytes;
        let reader = ParquetMetaDataReader::new().with_offset_index_policy(pages);
        Box::pin(async move { Ok(Arc::new(reader.load_and_finish(self, bytes).await?)) })
    }
}

/// Reads these rows, which are in order, and skips the others.
fn selection(rows: &[u32]) -> RowSelection {
    let mut selectors = Vec::new();
    let mut next = 0;
    for row in rows.iter().map(|row| *row as usize) {
        if row > next {
            selectors.push(RowSelector::skip(row - next));
        }
        selectors.push(RowSelector::select(1));
        next = row + 1;
    }
    RowSelection::from(selectors)
}

fn query(head: &TableHead, error: arrow::error::ArrowError) -> StorageError {
    StorageError::query(head.name())(error.into())
}
