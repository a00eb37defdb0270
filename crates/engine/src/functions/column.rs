//! Arguments of a call as typed columns. A constant is a column of one row that every row reads.

use std::sync::Arc;

use arrow::{
    array::{
        Array, ArrayAccessor, ArrayRef, AsArray, BooleanArray, Float64Array, Int64Array, StringArray, StringViewArray,
        TimestampMicrosecondArray, timezone::Tz,
    },
    compute::{CastOptions, cast_with_options},
    datatypes::{
        DataType, Date32Type, Date64Type, TimeUnit, TimestampMicrosecondType, TimestampMillisecondType,
        TimestampNanosecondType, TimestampSecondType,
    },
    error::ArrowError,
};
use datafusion::{
    common::{Result, ScalarValue},
    logical_expr::ColumnarValue,
};

use super::{
    datetime::iso,
    scalar::{Call, is_text},
};
use crate::words::{say, sql_name};

/// Microseconds of a day.
pub(super) const DAY_US: i64 = 86_400_000_000;

/// A typed argument.
pub(super) struct Values<A> {
    array: A,
    stride: usize,
}

impl<A: Array> Values<A> {
    /// The value at `row`, None if NULL.
    pub(super) fn get<'a>(&'a self, row: usize) -> Option<<&'a A as ArrayAccessor>::Item>
    where
        &'a A: ArrayAccessor,
    {
        let row = row * self.stride;
        (!self.array.is_null(row)).then(|| (&self.array).value(row))
    }

    /// The one value of a constant argument.
    pub(super) fn constant<'a>(&'a self) -> Option<<&'a A as ArrayAccessor>::Item>
    where
        &'a A: ArrayAccessor,
    {
        if self.stride == 0 { self.get(0) } else { None }
    }
}

/// A column of instants: UTC microseconds for columns with a time zone, wall-clock microseconds otherwise.
pub(super) type Instants = Values<TimestampMicrosecondArray>;
/// A column of text.
pub(super) type Texts = Values<StringViewArray>;

impl Call<'_> {
    /// Whether argument `i` is given.
    pub(super) fn has(&self, i: usize) -> bool {
        i < self.args.len()
    }

    /// The type of argument `i`; NULL if there is none.
    pub(super) fn data_type(&self, i: usize) -> DataType {
        match self.args.get(i).map_or(DataType::Null, ColumnarValue::data_type) {
            DataType::Dictionary(_, value) => *value,
            data_type => data_type,
        }
    }

    /// Argument `i` as an array and how far a row moves in it. A missing argument is NULL.
    pub(super) fn array(&self, i: usize) -> Result<(ArrayRef, usize)> {
        // Dictionaries are unpacked: kernels see plain arrays only.
        let (array, stride) = match self.args.get(i) {
            Some(ColumnarValue::Array(array)) => (Arc::clone(array), 1),
            Some(ColumnarValue::Scalar(value)) => (value.to_array_of_size(1)?, 0),
            None => (ScalarValue::Null.to_array_of_size(1)?, 0),
        };
        if let DataType::Dictionary(_, value) = array.data_type() {
            let array = cast(&array, &value.clone())?;
            return Ok((array, stride));
        }
        Ok((array, stride))
    }

    /// Argument `i` cast to `to`; a value that cannot be cast is an error that does not show it.
    fn cast(&self, i: usize, to: &DataType) -> Result<(ArrayRef, usize)> {
        let (array, stride) = self.array(i)?;
        let result = cast(&array, to)?;
        if result.null_count() > array.logical_null_count() {
            return say!("{}: {} holds a value that is no {}", self.name, self.subject(i), sql_name(to));
        }
        Ok((result, stride))
    }

    /// Argument `i` as text.
    pub(super) fn texts(&self, i: usize) -> Result<Texts> {
        let (array, stride) = self.cast(i, &DataType::Utf8View)?;
        Ok(Values { array: array.as_string_view().clone(), stride })
    }

    /// Argument `i` as 64-bit integers.
    pub(super) fn integers(&self, i: usize) -> Result<Values<Int64Array>> {
        let (array, stride) = self.cast(i, &DataType::Int64)?;
        Ok(Values { array: array.as_primitive().clone(), stride })
    }

    /// Argument `i` as 64-bit floats.
    pub(super) fn floats(&self, i: usize) -> Result<Values<Float64Array>> {
        let (array, stride) = self.cast(i, &DataType::Float64)?;
        Ok(Values { array: array.as_primitive().clone(), stride })
    }

    /// Argument `i` as instants: a date is its midnight; ISO 8601 text is read, an offset in it brings it to UTC.
    pub(super) fn instants(&self, i: usize) -> Result<Instants> {
        let (array, stride) = self.array(i)?;
        let values = to_instants(&array, self.name, i)?;
        if is_text(array.data_type()) && values.null_count() > array.null_count() {
            return say!(
                "{}: {} holds text that is no date or timestamp; try_to_timestamp gives NULL instead",
                self.name,
                self.subject(i)
            );
        }
        Ok(Values { array: values, stride })
    }

    /// The time zone of argument `i`, if its type has one.
    pub(super) fn zone(&self, i: usize) -> Result<Option<Tz>> {
        match self.data_type(i) {
            DataType::Timestamp(_, Some(zone)) => Ok(Some(zone.parse()?)),
            _ => Ok(None),
        }
    }

    /// One text per row.
    pub(super) fn make_text<S: AsRef<str>>(&self, value: impl FnMut(usize) -> Option<S>) -> Result<ArrayRef> {
        Ok(Arc::new((0..self.rows).map(value).collect::<StringArray>()))
    }

    /// One integer per row.
    pub(super) fn make_integer(&self, value: impl FnMut(usize) -> Option<i64>) -> Result<ArrayRef> {
        Ok(Arc::new((0..self.rows).map(value).collect::<Int64Array>()))
    }

    /// One float per row.
    pub(super) fn make_float(&self, value: impl FnMut(usize) -> Option<f64>) -> Result<ArrayRef> {
        Ok(Arc::new((0..self.rows).map(value).collect::<Float64Array>()))
    }

    /// One boolean per row.
    pub(super) fn make_boolean(&self, value: impl FnMut(usize) -> Option<bool>) -> Result<ArrayRef> {
        Ok(Arc::new((0..self.rows).map(value).collect::<BooleanArray>()))
    }

    /// One instant per row in microseconds, as a date or timestamp by the call's return type.
    pub(super) fn make_instant(&self, value: impl FnMut(usize) -> Option<i64>) -> Result<ArrayRef> {
        let values = (0..self.rows).map(value).collect::<TimestampMicrosecondArray>();
        match self.return_type {
            DataType::Date32 => {
                let days = values.unary_opt::<_, Date32Type>(|us| i32::try_from(us.div_euclid(DAY_US)).ok());
                Ok(Arc::new(days))
            }
            DataType::Timestamp(TimeUnit::Microsecond, zone) => Ok(Arc::new(values.with_timezone_opt(zone.clone()))),
            other => say!("{}: {other} is not an instant", self.name),
        }
    }
}

/// A cast that gives NULL where a value cannot be cast.
pub(super) fn cast(array: &ArrayRef, to: &DataType) -> Result<ArrayRef, ArrowError> {
    if array.data_type() == to {
        return Ok(Arc::clone(array));
    }
    cast_with_options(array, to, &CastOptions { safe: true, ..CastOptions::default() })
}

fn to_instants(array: &ArrayRef, name: &str, i: usize) -> Result<TimestampMicrosecondArray> {
    Ok(match array.data_type() {
        DataType::Date32 => array.as_primitive::<Date32Type>().unary_opt(|days| i64::from(days).checked_mul(DAY_US)),
        DataType::Date64 => array.as_primitive::<Date64Type>().unary_opt(|ms| ms.checked_mul(1_000)),
        DataType::Timestamp(TimeUnit::Second, _) => {
            array.as_primitive::<TimestampSecondType>().unary_opt(|s| s.checked_mul(1_000_000))
        }
        DataType::Timestamp(TimeUnit::Millisecond, _) => {
            array.as_primitive::<TimestampMillisecondType>().unary_opt(|ms| ms.checked_mul(1_000))
        }
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            array.as_primitive::<TimestampMicrosecondType>().clone().with_timezone_opt(None::<Arc<str>>)
        }
        DataType::Timestamp(TimeUnit::Nanosecond, _) => {
            array.as_primitive::<TimestampNanosecondType>().unary(|ns| ns.div_euclid(1_000))
        }
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => {
            let texts = cast(array, &DataType::Utf8View)?;
            texts.as_string_view().iter().map(|text| text.and_then(iso::parse)?.utc()).collect()
        }
        DataType::Null => TimestampMicrosecondArray::new_null(array.len()),
        other => return say!("{name}: argument {} is {other}, not a date or timestamp", i + 1),
    })
}
