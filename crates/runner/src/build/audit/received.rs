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
    datatypes::{DataType, Int64Type, Schema},
    error::ArrowError,
    json::{LineDelimitedWriter, WriterBuilder, writer::LineDelimited},
};
use datafusion::{
    catalog::TableProvider,
    logical_expr::{ColumnarValue, Volatility, create_udf},
    prelude::SessionContext,
};
use wardlake_core::lineage;

use super::text::value;
use crate::{RunnerError, sql::identifier};

/// Where a row is among the batches that are to be filled.
type Slot = (usize, usize);

/// Rows that are looked for: file and batch, and there the position of each.
#[derive(Default)]
struct Wanted(HashMap<(String, String), Vec<(i64, Slot)>>);

impl Wanted {
    /// The rows of a quarantine that came with a batch, `known` ones left out.
    fn new(rows: &[RecordBatch], known: &HashSet<String>) -> Result<Self, RunnerError> {
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
                places = self.0.get(&place).map_or(&[], Vec::as_slice);
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
) -> Result<(), RunnerError> {
    let wanted = Arc::new(Wanted::new(rows, known)?);
    if wanted.0.is_empty() {
        return Ok(());
    }
    let schema = bronze.schema();
    let own: Vec<_> = schema.fields().iter().filter(|field| !lineage::ALL.contains(&field.name().as_str())).collect();
    let place = [
        (lineage::FILE, DataType::Utf8View),
        (lineage::POSITION, DataType::Int64),
        (lineage::BATCH_ID, DataType::Utf8View),
    ];
    let own_types = own.iter().map(|field| field.data_type().clone()).collect();
    let own_schema = Arc::new(Schema::new(own.iter().map(|field| Arc::clone(field)).collect::<Vec<_>>()));
    let own_names: Vec<String> = own.iter().map(|field| identifier(field.name())).collect();
    let is_wanted = {
        let wanted = Arc::clone(&wanted);
        move |arguments: &[ColumnarValue]| {
            let arrays = ColumnarValue::values_to_arrays(arguments)?;
            let mut found = BooleanBufferBuilder::new(arrays[0].len());
            let [files, positions, batches] = [0, 1, 2].map(|index| &arrays[index]);
            let (files, batches) = (files.as_string_view(), batches.as_string_view());
            wanted.look_up(files, positions.as_primitive(), batches, |_, slot| found.append(slot.is_some()));
            Ok(ColumnarValue::Array(Arc::new(BooleanArray::new(found.finish(), None))))
        }
    };
    let as_json = move |arguments: &[ColumnarValue]| {
        let arrays = ColumnarValue::values_to_arrays(arguments)?;
        let rows = RecordBatch::try_new(Arc::clone(&own_schema), arrays)?;
        Ok(ColumnarValue::Array(Arc::new(json_rows(&rows)?)))
    };
    let place_types = place.iter().map(|(_, data_type)| data_type.clone()).collect();
    let of = (Volatility::Immutable, DataType::Boolean, DataType::Utf8);
    context.register_udf(create_udf("is_wanted", place_types, of.1, of.0, Arc::new(is_wanted)));
    context.register_udf(create_udf("as_json", own_types, of.2, of.0, Arc::new(as_json)));
    context.register_table("bronze", bronze)?;
    let place = place.map(|(name, _)| name).join(", ");
    let sql = format!("select {place}, as_json({}) as raw from bronze where is_wanted({place})", own_names.join(", "));
    let found = context.sql(&sql).await?.collect().await?;
    place_raw(rows, &found, &wanted)
}

/// Puts each found text into its slot; the other slots stay as they are.
fn place_raw(rows: &mut [RecordBatch], found: &[RecordBatch], wanted: &Wanted) -> Result<(), RunnerError> {
    // Per batch of `rows` and per row of it: array and index its text is taken from.
    let mut sources: Vec<Vec<(usize, usize)>> =
        rows.iter().map(|batch| (0..batch.num_rows()).map(|row| (0, row)).collect()).collect();
    let mut texts: Vec<ArrayRef> = vec![new_null_array(&DataType::Utf8, 0)];
    for batch in found {
        let (files, batches) = (
            cast(column(batch, lineage::FILE)?, &DataType::Utf8View)?,
            cast(column(batch, lineage::BATCH_ID)?, &DataType::Utf8View)?,
        );
        let positions = column(batch, lineage::POSITION)?.as_primitive();
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
    Ok(StringArray::from_iter_values(String::from_utf8_lossy(&bytes).lines()))
}
