//! The keys of a data file, and those that are looked up. A lookup costs what it finds, not what there is.

use std::{collections::HashSet, sync::Arc};

use arrow::{
    array::{Array, ArrayRef, BooleanArray, RecordBatch},
    compute::filter_record_batch,
    datatypes::{Field, Schema},
    row::{RowConverter, SortField},
};
use datafusion::common::hash_utils::{RandomState, create_hashes};

use super::read::{held_schema, query};
use crate::{StorageError, TableSnapshot, schema_change::require_columns, types::cast_batch};

/// The keys of a file: their hashes in order, and beside each the row.
#[derive(Debug)]
pub(super) struct Keys {
    hashes: Vec<u64>,
    rows: Vec<u32>,
    /// Where those begin whose first bits are 0, 1, 2, …, and where the last end. Hashes spread evenly: some four share their first bits.
    starts: Vec<u32>,
    /// Bits of a hash that are not such first ones.
    shift: u32,
}

impl Keys {
    /// Of the rows of a file.
    pub(super) fn of(of: &TableSnapshot, columns: &[String], batches: &[RecordBatch]) -> Result<Self, StorageError> {
        let mut keys = Vec::new();
        let mut first = 0;
        for batch in batches {
            let arrays = key_arrays(&batch.schema(), batch.columns(), columns);
            for (row, hash) in hashes(of, &arrays, batch.num_rows())?.into_iter().enumerate() {
                keys.extend(hash.map(|hash| (hash, first + row as u32)));
            }
            first += batch.num_rows() as u32;
        }
        Ok(Self::new(keys))
    }

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
    pub(super) fn find(&self, wanted: &[u64]) -> Vec<u32> {
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

    /// Memory it takes, some 13 bytes a key.
    pub(super) fn bytes(&self) -> usize {
        size_of_val(&self.hashes[..]) + size_of_val(&self.rows[..]) + size_of_val(&self.starts[..])
    }
}

fn first_bits(hash: u64, shift: u32) -> usize {
    hash.checked_shr(shift).unwrap_or(0) as usize
}

/// Keys that are looked up.
pub(super) struct Wanted {
    /// In order, each once.
    pub(super) hashes: Vec<u64>,
    /// The keys themselves: two may share a hash.
    keys: HashSet<Box<[u8]>>,
    converter: RowConverter,
    columns: Vec<String>,
}

impl Wanted {
    pub(super) fn new(of: &TableSnapshot, columns: &[String], keys: &RecordBatch) -> Result<Self, StorageError> {
        let own = held_schema(of);
        require_columns(of.name(), &own, columns, "key")?;
        let fields: Vec<Field> = columns.iter().filter_map(|name| own.field_with_name(name).ok().cloned()).collect();
        let named = keys.schema();
        let named = named.fields().iter().zip(columns).map(|(field, name)| field.as_ref().clone().with_name(name));
        let named = Arc::new(Schema::new(named.collect::<Vec<_>>()));
        let keys = RecordBatch::try_new(named, keys.columns().to_vec()).map_err(|error| query(of, error))?;
        let sorts = fields.iter().map(|field| SortField::new(field.data_type().clone())).collect();
        let keys = cast_batch(&keys, &Arc::new(Schema::new(fields)))?;
        let converter = RowConverter::new(sorts).map_err(|error| query(of, error))?;
        let rows = converter.convert_columns(keys.columns()).map_err(|error| query(of, error))?;
        let found = hashes(of, keys.columns(), keys.num_rows())?;
        let exact =
            rows.iter().zip(&found).filter(|(_, hash)| hash.is_some()).map(|(row, _)| row.as_ref().into()).collect();
        let mut hashes: Vec<u64> = found.into_iter().flatten().collect();
        hashes.sort_unstable();
        hashes.dedup();
        Ok(Self { hashes, keys: exact, converter, columns: columns.to_vec() })
    }

    /// The rows of a batch that have one of the keys.
    pub(super) fn filter(&self, of: &TableSnapshot, batch: &RecordBatch) -> Result<Option<RecordBatch>, StorageError> {
        let error = |error| query(of, error);
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
fn hashes(of: &TableSnapshot, arrays: &[ArrayRef], rows: usize) -> Result<Vec<Option<u64>>, StorageError> {
    let mut hashes = vec![0; rows];
    create_hashes(arrays, &RandomState::with_seed(0), &mut hashes).map_err(StorageError::query(of.name()))?;
    let is_key = |row: usize| arrays.iter().all(|array| array.is_valid(row));
    Ok(hashes.into_iter().enumerate().map(|(row, hash)| is_key(row).then_some(hash)).collect())
}
