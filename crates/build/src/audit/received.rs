//! The rows as received behind rows of a model, read from the bronze table they came from. Few rows of many are looked for:
//! their places are a filter of the scan itself, so that other columns are unpacked and turned into text for those rows alone.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use arrow::{
    array::{
        Array, ArrayRef, AsArray, BooleanArray, BooleanBufferBuilder, Int64Array, RecordBatch, StringArray,
        StringViewArray, new_null_array,
    },
    compute::{cast, interleave},
    datatypes::{DataType, Field, Int64Type, Schema, SchemaRef},
    error::ArrowError,
    json::{LineDelimitedWriter, WriterBuilder, writer::LineDelimited},
};
use datafusion::{
    catalog::TableProvider,
    error::DataFusionError,
    logical_expr::{ColumnarValue, ScalarUDF, Volatility, create_udf},
    prelude::SessionContext,
};
use wardlake_core::lineage;
use wardlake_engine::sql::identifier;

use super::text::value;
use crate::error::BuildError;

/// Where a row is among the batches that are to be filled.
type Slot = (usize, usize);

/// Rows that are looked for: file and batch, and there the position of each.
#[derive(Default)]
struct Wanted(HashMap<(String, String), Vec<(i64, Slot)>>);

impl Wanted {
    /// The rows of a quarantine that came with a batch, `known` ones left out.
    fn new(rows: &[RecordBatch], known: &HashSet<String>) -> Result<Self, BuildError> {
        let mut wanted = Self::default();
        for (index, batch) in rows.iter().enumerate() {
            let text = |name: &str| column(batch, name).map(|array| array.as_string::<i32>());
            let (ids, files, batches) = (text("quarantine_id")?, text("source_file")?, text("batch_id")?);
            let positions = column(batch, "source_position")?.as_primitive::<Int64Type>();
            for row in (0..batch.num_rows()).filter(|row| positions.is_valid(*row) && !known.contains(ids.value(*row)))
            {
                let Some((file, batch)) = value(files, row).zip(value(batches, row)) else { continue };
                let place = (file.to_owned(), batch.to_owned());
                wanted.0.entry(place).or_default().push((positions.value(row), (index, row)));
            }
        }
        wanted.0.values_mut().for_each(|places| places.sort_unstable());
        Ok(wanted)
    }

    /// The slot of each row of a scan, handed to `take` with the row's number. Rows of a file come one after another and in
    /// order, so that a look beside the last place finds most of them.
    fn look_up(
        &self,
        files: &StringViewArray,
        positions: &Int64Array,
        batches: &StringViewArray,
        mut take: impl FnMut(usize, Option<Slot>),
    ) {
        let mut places: &[(i64, Slot)] = &[];
        let (mut last_view, mut next, mut last_position) = (None, 0, i64::MIN);
        for row in 0..positions.len() {
            if files.is_null(row) || batches.is_null(row) || positions.is_null(row) {
                take(row, None);
                continue;
            }
            let (view, position) = ((files.views()[row], batches.views()[row]), positions.value(row));
            // Equal views are equal texts.
            if last_view.replace(view) != Some(view) {
                let place = (files.value(row).to_owned(), batches.value(row).to_owned());
                places = self.0.get(&place).map(Vec::as_slice).unwrap_or_default();
                last_position = i64::MAX;
            }
            if position < last_position {
                next = places.partition_point(|(place, _)| *place < position);
            }
            last_position = position;
            while places.get(next).is_some_and(|(place, _)| *place < position) {
                next += 1;
            }
            take(row, places.get(next).filter(|(place, _)| *place == position).map(|(_, slot)| *slot));
        }
    }
}

fn column<'a>(batch: &'a RecordBatch, name: &str) -> Result<&'a ArrayRef, ArrowError> {
    batch.column_by_name(name).ok_or_else(|| ArrowError::SchemaError(format!("there is no column `{name}`")))
}

/// Fills `raw` in rows of a quarantine, but for `known` ones, from the rows of `bronze` at their places.
pub(super) async fn fill(
    context: &SessionContext,
    bronze: Arc<dyn TableProvider>,
    rows: &mut [RecordBatch],
    known: &HashSet<String>,
) -> Result<(), BuildError> {
    let wanted = Arc::new(Wanted::new(rows, known)?);
    if wanted.0.is_empty() {
        return Ok(());
    }
    let place = [lineage::FILE, lineage::POSITION, lineage::BATCH_ID];
    let schema = bronze.schema();
    let is_own = |field: &&Arc<Field>| !lineage::is_lineage(field.name());
    let own: Vec<Arc<Field>> = schema.fields().iter().filter(is_own).cloned().collect();
    let names: Vec<String> = own.iter().map(|field| identifier(field.name())).collect();
    context.register_udf(is_wanted(Arc::clone(&wanted)));
    context.register_udf(as_json(Arc::new(Schema::new(own))));
    context.register_table("bronze", bronze)?;
    let place = place.join(", ");
    let sql = format!("select {place}, as_json({}) as raw from bronze where is_wanted({place})", names.join(", "));
    let found = context.sql(&sql).await?.collect().await?;
    place_raw(rows, &found, &wanted)
}

/// `is_wanted(file, position, batch)`: whether a row is looked for.
fn is_wanted(wanted: Arc<Wanted>) -> ScalarUDF {
    let place = vec![DataType::Utf8View, DataType::Int64, DataType::Utf8View];
    let is_wanted = move |arguments: &[ColumnarValue]| -> Result<ColumnarValue, DataFusionError> {
        let arrays = ColumnarValue::values_to_arrays(arguments)?;
        let (files, positions, batches) =
            (arrays[0].as_string_view(), arrays[1].as_primitive::<Int64Type>(), arrays[2].as_string_view());
        let mut found = BooleanBufferBuilder::new(positions.len());
        wanted.look_up(files, positions, batches, |_, slot| found.append(slot.is_some()));
        Ok(ColumnarValue::Array(Arc::new(BooleanArray::new(found.finish(), None))))
    };
    create_udf("is_wanted", place, DataType::Boolean, Volatility::Immutable, Arc::new(is_wanted))
}

/// `as_json(…)`: a row of these columns as a JSON object.
fn as_json(columns: SchemaRef) -> ScalarUDF {
    let types = columns.fields().iter().map(|field| field.data_type().clone()).collect();
    let as_json = move |arguments: &[ColumnarValue]| -> Result<ColumnarValue, DataFusionError> {
        let rows = RecordBatch::try_new(Arc::clone(&columns), ColumnarValue::values_to_arrays(arguments)?)?;
        Ok(ColumnarValue::Array(Arc::new(json_rows(&rows)?)))
    };
    create_udf("as_json", types, DataType::Utf8, Volatility::Immutable, Arc::new(as_json))
}

/// Puts each found text into its slot; the other slots stay as they are.
fn place_raw(rows: &mut [RecordBatch], found: &[RecordBatch], wanted: &Wanted) -> Result<(), BuildError> {
    // Per batch of `rows` and per row of it: array and index its text is taken from.
    let mut sources: Vec<Vec<(usize, usize)>> =
        rows.iter().map(|batch| (0..batch.num_rows()).map(|row| (0, row)).collect()).collect();
    let mut texts: Vec<ArrayRef> = vec![new_null_array(&DataType::Utf8, 0)];
    for batch in found {
        let view = |name: &str| cast(column(batch, name)?, &DataType::Utf8View);
        let (files, batches) = (view(lineage::FILE)?, view(lineage::BATCH_ID)?);
        let positions = column(batch, lineage::POSITION)?.as_primitive::<Int64Type>();
        let array = texts.len();
        texts.push(cast(column(batch, "raw")?, &DataType::Utf8)?);
        wanted.look_up(files.as_string_view(), positions, batches.as_string_view(), |row, slot| {
            if let Some((batch, at)) = slot {
                sources[batch][at] = (array, row);
            }
        });
    }
    for (batch, sources) in rows.iter_mut().zip(sources) {
        let index = batch.schema().index_of("raw")?;
        texts[0] = Arc::clone(batch.column(index));
        let texts: Vec<&dyn Array> = texts.iter().map(AsRef::as_ref).collect();
        let mut columns = batch.columns().to_vec();
        columns[index] = interleave(&texts, &sources)?;
        *batch = RecordBatch::try_new(batch.schema(), columns)?;
    }
    Ok(())
}

/// Every row as a JSON object, NULL included.
pub(super) fn json_rows(batch: &RecordBatch) -> Result<StringArray, ArrowError> {
    if batch.num_rows() == 0 {
        return Ok(StringArray::from_iter_values([""; 0]));
    }
    let mut bytes = Vec::new();
    let mut writer: LineDelimitedWriter<_> =
        WriterBuilder::new().with_explicit_nulls(true).build::<_, LineDelimited>(&mut bytes);
    writer.write(batch)?;
    writer.finish()?;
    drop(writer);
    Ok(String::from_utf8_lossy(&bytes).lines().map(Some).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_found_by_file_batch_and_position() {
        let slots = |places: &[(i64, usize)]| -> Vec<(i64, Slot)> {
            places.iter().map(|(position, row)| (*position, (0, *row))).collect()
        };
        let wanted = Wanted(HashMap::from([
            (("a.csv".to_owned(), "load 1".to_owned()), slots(&[(2, 0), (5, 1), (9, 2)])),
            (("a.csv".to_owned(), "fix:1".to_owned()), slots(&[(5, 3)])),
            (("a name that is longer than a view.csv".to_owned(), "load 1".to_owned()), slots(&[(1, 4)])),
        ]));
        let rows = [
            (Some("a.csv"), Some(1), Some("load 1"), None),
            (Some("a.csv"), Some(2), Some("load 1"), Some(0)),
            (Some("a.csv"), Some(9), Some("load 1"), Some(2)),
            // Rows of one file that are not in order.
            (Some("a.csv"), Some(5), Some("load 1"), Some(1)),
            (Some("a.csv"), Some(5), Some("fix:1"), Some(3)),
            (Some("a.csv"), Some(2), Some("fix:1"), None),
            (Some("a name that is longer than a view.csv"), Some(1), Some("load 1"), Some(4)),
            (Some("b.csv"), Some(2), Some("load 1"), None),
            (None, Some(2), Some("load 1"), None),
            (Some("a.csv"), None, Some("load 1"), None),
            (Some("a.csv"), Some(2), None, None),
            (Some("a.csv"), Some(9), Some("load 1"), Some(2)),
        ];
        let files: StringViewArray = rows.iter().map(|row| row.0).collect();
        let positions: Int64Array = rows.iter().map(|row| row.1).collect();
        let batches: StringViewArray = rows.iter().map(|row| row.2).collect();
        let mut found = Vec::new();
        wanted.look_up(&files, &positions, &batches, |row, slot| found.push((row, slot.map(|(_, row)| row))));
        let expected: Vec<_> = rows.iter().map(|row| row.3).enumerate().collect();
        assert_eq!(found, expected);
    }
}
