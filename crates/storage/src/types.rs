//! Which column types a table stores, and how every other Arrow type is brought into one of them.
//!
//! Delta has no unsigned integers, no times of day, no nanoseconds and one kind of text. Unsigned integers widen, times of day
//! become their text (sortable, readable everywhere), timestamps become microseconds: UTC when they carry a zone, `timestamp_ntz`
//! when they do not. Every column is nullable: a column that is added later has to be.

use std::sync::Arc;

use arrow::{
    array::{Array, ArrayRef, AsArray, Decimal128Array, RecordBatch, RecordBatchOptions, new_null_array},
    compute::{CastOptions, cast_with_options},
    datatypes::{DataType, Field, FieldRef, Schema, SchemaRef, TimeUnit, UInt64Type},
};

use crate::StorageError;

/// The type a table stores for `data_type`, or `None` if there is none without loss.
pub fn delta_type(data_type: &DataType) -> Option<DataType> {
    use DataType as T;
    Some(match data_type {
        T::Null | T::Utf8 | T::LargeUtf8 | T::Utf8View | T::Time32(_) | T::Time64(_) => T::Utf8,
        T::Interval(_) | T::Duration(_) => T::Utf8,
        T::Boolean | T::Int8 | T::Int16 | T::Int32 | T::Int64 | T::Float32 | T::Float64 | T::Date32 => {
            data_type.clone()
        }
        T::UInt8 => T::Int16,
        T::UInt16 => T::Int32,
        T::UInt32 => T::Int64,
        T::UInt64 => T::Decimal128(20, 0),
        T::Float16 => T::Float32,
        T::Date64 => T::Timestamp(TimeUnit::Microsecond, None),
        T::Timestamp(_, None) => T::Timestamp(TimeUnit::Microsecond, None),
        T::Timestamp(_, Some(_)) => T::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        T::Decimal32(p, s) | T::Decimal64(p, s) | T::Decimal128(p, s) | T::Decimal256(p, s) => decimal(*p, *s),
        T::Binary | T::LargeBinary | T::BinaryView | T::FixedSizeBinary(_) => T::Binary,
        T::Dictionary(_, value) => delta_type(value)?,
        T::RunEndEncoded(_, value) => delta_type(value.data_type())?,
        T::List(item) | T::LargeList(item) | T::ListView(item) | T::LargeListView(item) | T::FixedSizeList(item, _) => {
            T::List(Arc::new(Field::new("element", delta_type(item.data_type())?, true)))
        }
        T::Struct(fields) => T::Struct(fields.iter().map(delta_field).collect::<Option<Vec<FieldRef>>>()?.into()),
        T::Map(entries, _) => map_type(entries)?,
        T::Union(..) => return None,
    })
}

/// Delta's decimals have up to 38 digits, of which the scale is at least 0.
fn decimal(precision: u8, scale: i8) -> DataType {
    let negative = scale.min(0).unsigned_abs();
    DataType::Decimal128((precision + negative).min(38), scale.max(0))
}

fn delta_field(field: &FieldRef) -> Option<FieldRef> {
    Some(Arc::new(Field::new(field.name(), delta_type(field.data_type())?, true)))
}

fn map_type(entries: &FieldRef) -> Option<DataType> {
    let DataType::Struct(fields) = entries.data_type() else { return None };
    let [key, value] = fields.as_ref() else { return None };
    let entries = vec![
        Field::new("key", delta_type(key.data_type())?, false),
        Field::new("value", delta_type(value.data_type())?, true),
    ];
    Some(DataType::Map(Arc::new(Field::new("key_value", DataType::Struct(entries.into()), false)), false))
}

/// The schema a table stores for rows of `schema`: same names and order, storable types, all nullable, no metadata.
pub fn delta_schema(schema: &Schema) -> Result<SchemaRef, StorageError> {
    let fields = schema.fields().iter().map(|field| {
        delta_field(field).ok_or_else(|| StorageError::UnsupportedType {
            column: field.name().clone(),
            data_type: field.data_type().to_string(),
        })
    });
    Ok(Arc::new(Schema::new(fields.collect::<Result<Vec<_>, _>>()?)))
}

/// `batch` with the columns of `target`, found by name and cast; columns it lacks are NULL, those the target lacks are left out.
pub fn cast_batch(batch: &RecordBatch, target: &SchemaRef) -> Result<RecordBatch, StorageError> {
    if batch.schema_ref() == target {
        return Ok(batch.clone());
    }
    let columns = target.fields().iter().map(|field| match batch.schema_ref().index_of(field.name()) {
        Ok(index) => cast_column(field.name(), batch.column(index), field.data_type()),
        Err(_) => Ok(new_null_array(field.data_type(), batch.num_rows())),
    });
    let columns = columns.collect::<Result<Vec<_>, _>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(Arc::clone(target), columns, &options).map_err(|_| StorageError::Cast {
        column: first_null_in_required(batch, target),
        from: "NULL".into(),
        to: "NOT NULL".into(),
    })
}

fn first_null_in_required(batch: &RecordBatch, target: &SchemaRef) -> String {
    let required = target.fields().iter().filter(|field| !field.is_nullable());
    let has_null = |field: &&FieldRef| batch.column_by_name(field.name()).is_none_or(|column| column.null_count() > 0);
    required.clone().find(has_null).map_or_else(String::new, |field| field.name().clone())
}

/// Casts one column; a value that does not fit is an error, which never quotes it.
fn cast_column(name: &str, column: &ArrayRef, to: &DataType) -> Result<ArrayRef, StorageError> {
    let from = column.data_type();
    if from == to {
        return Ok(Arc::clone(column));
    }
    let error = || StorageError::Cast { column: name.to_owned(), from: from.to_string(), to: to.to_string() };
    if let (DataType::UInt64, DataType::Decimal128(precision, 0)) = (from, to) {
        // Arrow casts this by way of signed integers and caps what they cannot hold.
        let values = column.as_primitive::<UInt64Type>();
        let exact: Decimal128Array = values.iter().map(|value| value.map(i128::from)).collect();
        let exact = exact.with_precision_and_scale(*precision, 0).map_err(|_| error())?;
        exact.validate_decimal_precision(*precision).map_err(|_| error())?;
        return Ok(Arc::new(exact));
    }
    let options = CastOptions { safe: false, ..Default::default() };
    // A naive timestamp has no zone to convert from: arrow would read it as UTC, which is what a table of UTC instants means.
    cast_with_options(column, to, &options).map_err(|_| error())
}

/// Whether a table with `schema` needs Delta's `timestampNtz` feature.
pub(crate) fn needs_timestamp_ntz(schema: &Schema) -> bool {
    fn in_type(data_type: &DataType) -> bool {
        match data_type {
            DataType::Timestamp(_, None) => true,
            DataType::List(item) | DataType::Map(item, _) => in_type(item.data_type()),
            DataType::Struct(fields) => fields.iter().any(|field| in_type(field.data_type())),
            _ => false,
        }
    }
    schema.fields().iter().any(|field| in_type(field.data_type()))
}

/// Whether the two types hold the same values: they differ at most in names and nullability of nested fields.
pub(crate) fn same_type(left: &DataType, right: &DataType) -> bool {
    left == right || (left.is_nested() && delta_type(left) == delta_type(right))
}

#[cfg(test)]
mod tests {
    use arrow::array::{Int64Array, StringViewArray, Time64MicrosecondArray, TimestampNanosecondArray, UInt64Array};

    use super::*;

    #[test]
    fn every_type_has_a_place() {
        use DataType as T;
        let utc = || Some("UTC".into());
        let cases = [
            (T::UInt8, T::Int16),
            (T::UInt64, T::Decimal128(20, 0)),
            (T::Utf8View, T::Utf8),
            (T::Null, T::Utf8),
            (T::Time64(TimeUnit::Nanosecond), T::Utf8),
            (
                T::Timestamp(TimeUnit::Nanosecond, Some("Europe/Madrid".into())),
                T::Timestamp(TimeUnit::Microsecond, utc()),
            ),
            (T::Timestamp(TimeUnit::Second, None), T::Timestamp(TimeUnit::Microsecond, None)),
            (T::Decimal256(76, 10), T::Decimal128(38, 10)),
            (T::Dictionary(Box::new(T::Int32), Box::new(T::LargeUtf8)), T::Utf8),
        ];
        for (from, to) in cases {
            assert_eq!(delta_type(&from), Some(to), "{from}");
        }
    }

    #[test]
    fn batches_are_cast_by_name() {
        let batch = RecordBatch::try_from_iter([
            ("n", Arc::new(UInt64Array::from(vec![Some(u64::MAX), None])) as ArrayRef),
            ("s", Arc::new(StringViewArray::from(vec!["a", "b"])) as ArrayRef),
            ("t", Arc::new(TimestampNanosecondArray::from(vec![1_500, 2_000])) as ArrayRef),
            ("time", Arc::new(Time64MicrosecondArray::from(vec![0, 3_600_000_000])) as ArrayRef),
        ])
        .unwrap();
        let target = delta_schema(batch.schema_ref()).unwrap();
        let stored = cast_batch(&batch, &target).unwrap();
        assert_eq!(stored.schema(), target);
        assert_eq!(stored.column(0).null_count(), 1);
        let wider =
            Arc::new(Schema::new(vec![Field::new("x", DataType::Int32, true), Field::new("s", DataType::Utf8, true)]));
        assert_eq!(cast_batch(&batch, &wider).unwrap().column(0).null_count(), 2);
    }

    #[test]
    fn errors_name_the_column_and_not_the_value() {
        let batch =
            RecordBatch::try_from_iter([("n", Arc::new(Int64Array::from(vec![987_654_321_000])) as ArrayRef)]).unwrap();
        let target = Arc::new(Schema::new(vec![Field::new("n", DataType::Int32, true)]));
        let text = cast_batch(&batch, &target).unwrap_err().to_string();
        assert!(text.contains("column n") && !text.contains("987"), "{text}");
    }
}
