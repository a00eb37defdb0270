//! One pass over a table: how many rows, and per column how many are empty, how many differ, and within which bounds they
//! lie.
//!
//! The pass is a plain scan, folded here: a query of so many aggregates costs more to plan than a small table to read.
//!
//! Bounds and means are taken of measures only. The lowest number of an identifier and the oldest birth date each belong to
//! one person; and of text no value is kept at all.

use std::sync::Arc;

use arrow::{
    array::{Array, ArrayRef, AsArray},
    compute::{cast, max, min, sum},
    datatypes::{DataType, Float64Type, Int64Type, SchemaRef, TimeUnit},
};
use datafusion::{
    common::TableReference,
    functions_aggregate::approx_distinct::approx_distinct_udaf,
    logical_expr::Accumulator,
    physical_expr::{aggregate::AggregateExprBuilder, expressions::col},
    physical_plan::{ExecutionPlan, StatisticsArgs, StatisticsContext, execute_stream},
    scalar::ScalarValue,
};
use futures::TryStreamExt;
use wardlake_core::TableName;
use wardlake_engine::Session;

use crate::error::TrustError;

/// Distinct values of larger tables are not counted: hashing every cell would cost more than a profile may.
const MOST_ROWS_HASHED: usize = 5_000_000;

/// Wider tables are not profiled column by column.
pub(crate) const MOST_COLUMNS: usize = 200;

/// Words in the name of a column whose bounds say something about one person, not about the data.
const PERSONAL: [&str; 16] = [
    "id", "ids", "key", "mrn", "ssn", "nr", "number", "phone", "code", "birth", "born", "dob", "postal", "zip",
    "death", "died",
];

/// What kind of values a column holds, as far as its profile goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Measures: bounds and mean.
    Number,
    /// Days and instants: bounds, in seconds since 1970.
    Instant,
    /// The mean is the share of true.
    Flag,
    /// Text and identifiers: nulls and distinct values.
    Text,
    /// Floats that are identifiers in disguise, lists, structures: nulls only.
    Opaque,
}

impl Kind {
    /// Its name in `system.profiles`.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Number => "number",
            Self::Instant => "instant",
            Self::Flag => "flag",
            Self::Text => "text",
            Self::Opaque => "other",
        }
    }
}

/// The figures of one column of one version.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ColumnProfile {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    pub(crate) null_count: u64,
    pub(crate) distinct_count: Option<u64>,
    pub(crate) min: Option<f64>,
    pub(crate) max: Option<f64>,
    pub(crate) mean: Option<f64>,
}

/// The figures of one version of one table.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct TableProfile {
    pub(crate) relation: TableName,
    pub(crate) version: u64,
    pub(crate) row_count: u64,
    /// Empty for tables wider than [`MOST_COLUMNS`].
    pub(crate) columns: Vec<ColumnProfile>,
}

/// Reads the table once.
pub(crate) async fn table(session: &Session, relation: &TableName, version: u64) -> Result<TableProfile, TrustError> {
    let context = session.context();
    let provider = context.table_provider(TableReference::partial(relation.schema(), relation.name())).await?;
    let schema = provider.schema();
    let mut places: Vec<usize> = (0..schema.fields().len()).filter(|i| !is_lineage(schema.field(*i).name())).collect();
    if places.len() > MOST_COLUMNS {
        places.clear();
    }
    let scan = provider.scan(&context.state(), Some(&places), &[], None).await?;
    let is_hashed = rows_at_most(scan.as_ref(), MOST_ROWS_HASHED);
    let schema = scan.schema();
    let mut columns: Vec<Folded> =
        (0..schema.fields().len()).map(|i| Folded::new(&schema, i, is_hashed)).collect::<Result<_, _>>()?;
    let mut row_count = 0;
    let mut batches = execute_stream(scan, context.task_ctx())?;
    while let Some(batch) = batches.try_next().await? {
        row_count += batch.num_rows() as u64;
        for (column, values) in columns.iter_mut().zip(batch.columns()) {
            column.fold(values)?;
        }
    }
    let columns = columns.into_iter().map(Folded::finish).collect::<Result<_, _>>()?;
    Ok(TableProfile { relation: relation.clone(), version, row_count, columns })
}

fn rows_at_most(scan: &dyn ExecutionPlan, most: usize) -> bool {
    let statistics = StatisticsContext::new().compute(scan, &StatisticsArgs::new()).ok();
    let rows = statistics.and_then(|statistics| statistics.num_rows.get_value().copied());
    rows.is_none_or(|rows| rows <= most)
}

/// Where a row came from follows from the loads. Bronze tells it in columns with a leading underscore, the layers behind it
/// in these.
fn is_lineage(column: &str) -> bool {
    column.starts_with('_') || ["source_file", "source_position", "received_at"].contains(&column)
}

/// A column on its way to its profile.
struct Folded {
    profile: ColumnProfile,
    distinct: Option<Box<dyn Accumulator>>,
    sum: f64,
    filled: u64,
}

impl Folded {
    fn new(schema: &SchemaRef, place: usize, is_hashed: bool) -> Result<Self, TrustError> {
        let field = schema.field(place);
        let (kind, is_counted) = kind(field.name(), field.data_type());
        let distinct = match is_counted && is_hashed {
            true => {
                let column = col(field.name(), schema)?;
                let counter = AggregateExprBuilder::new(approx_distinct_udaf(), vec![column])
                    .schema(Arc::clone(schema))
                    .alias("distinct_count")
                    .build()?;
                Some(counter.create_accumulator()?)
            }
            false => None,
        };
        let profile = ColumnProfile {
            name: field.name().clone(),
            kind,
            null_count: 0,
            distinct_count: None,
            min: None,
            max: None,
            mean: None,
        };
        Ok(Self { profile, distinct, sum: 0.0, filled: 0 })
    }

    fn fold(&mut self, values: &ArrayRef) -> Result<(), TrustError> {
        let nulls = values.logical_null_count() as u64;
        self.profile.null_count += nulls;
        self.filled += values.len() as u64 - nulls;
        if let Some(distinct) = &mut self.distinct {
            distinct.update_batch(std::slice::from_ref(values))?;
        }
        match self.profile.kind {
            Kind::Number => {
                let numbers = cast(values, &DataType::Float64)?;
                let numbers = numbers.as_primitive::<Float64Type>();
                self.sum += sum(numbers).unwrap_or(0.0);
                self.widen(min(numbers), max(numbers));
            }
            Kind::Instant => {
                let seconds = cast(&cast(values, &DataType::Timestamp(TimeUnit::Second, None))?, &DataType::Int64)?;
                let seconds = seconds.as_primitive::<Int64Type>();
                self.widen(min(seconds).map(|at| at as f64), max(seconds).map(|at| at as f64));
            }
            Kind::Flag => self.sum += values.as_boolean().true_count() as f64,
            Kind::Text | Kind::Opaque => {}
        }
        Ok(())
    }

    fn widen(&mut self, low: Option<f64>, high: Option<f64>) {
        let pick = |known: Option<f64>, new: Option<f64>, choose: fn(f64, f64) -> f64| match (known, new) {
            (Some(known), Some(new)) => Some(choose(known, new)),
            (known, new) => known.or(new),
        };
        self.profile.min = pick(self.profile.min, low, f64::min);
        self.profile.max = pick(self.profile.max, high, f64::max);
    }

    fn finish(mut self) -> Result<ColumnProfile, TrustError> {
        if let Some(distinct) = &mut self.distinct
            && let ScalarValue::UInt64(count) = distinct.evaluate()?
        {
            self.profile.distinct_count = count;
        }
        if matches!(self.profile.kind, Kind::Number | Kind::Flag) && self.filled > 0 {
            self.profile.mean = Some(self.sum / self.filled as f64);
        }
        // NaN and the infinities are no figures to compare.
        for figure in [&mut self.profile.min, &mut self.profile.max, &mut self.profile.mean] {
            *figure = figure.filter(|figure| figure.is_finite());
        }
        Ok(self.profile)
    }
}

/// The kind of a column, and whether its distinct values are counted.
fn kind(name: &str, data_type: &DataType) -> (Kind, bool) {
    let lower = name.to_lowercase();
    let is_personal = lower.split('_').any(|word| PERSONAL.contains(&word));
    match data_type {
        DataType::Boolean => (Kind::Flag, false),
        // What a measure differs in is its bounds and mean; counting its distinct values costs most and says least.
        DataType::Float16 | DataType::Float32 | DataType::Float64 | DataType::Decimal128(..) if is_personal => {
            (Kind::Opaque, false)
        }
        DataType::Float16 | DataType::Float32 | DataType::Float64 | DataType::Decimal128(..) => (Kind::Number, false),
        integer if integer.is_integer() && is_personal => (Kind::Text, true),
        integer if integer.is_integer() => (Kind::Number, true),
        DataType::Date32 | DataType::Date64 if is_personal => (Kind::Text, true),
        DataType::Date32 | DataType::Date64 => (Kind::Instant, true),
        DataType::Timestamp(..) if is_personal => (Kind::Opaque, false),
        DataType::Timestamp(..) => (Kind::Instant, false),
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => (Kind::Text, true),
        _ => (Kind::Opaque, false),
    }
}

#[cfg(test)]
mod tests {
    use arrow::{
        array::{BooleanArray, Date32Array, Float64Array, StringArray},
        datatypes::{Field, Schema},
    };

    use super::*;

    #[test]
    fn what_belongs_to_a_person_has_no_bounds() {
        let check = |name: &str, data_type: DataType, expected: (Kind, bool)| {
            assert_eq!(kind(name, &data_type), expected, "{name}");
        };
        check("total_amount", DataType::Decimal128(38, 2), (Kind::Number, false));
        check("triage_level", DataType::Int32, (Kind::Number, true));
        check("patient_id", DataType::Int64, (Kind::Text, true));
        check("MRN", DataType::Int64, (Kind::Text, true));
        check("phone_number", DataType::Float64, (Kind::Opaque, false));
        check("birth_date", DataType::Date32, (Kind::Text, true));
        check("admitted_at", DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())), (Kind::Instant, false));
        check("gender", DataType::Utf8View, (Kind::Text, true));
        check("is_delete", DataType::Boolean, (Kind::Flag, false));
    }

    #[test]
    fn a_column_is_folded_batch_by_batch() {
        let schema: SchemaRef = Arc::new(Schema::new(vec![
            Field::new("cost", DataType::Float64, true),
            Field::new("ward", DataType::Utf8, true),
            Field::new("is_open", DataType::Boolean, true),
            Field::new("admitted_on", DataType::Date32, true),
        ]));
        let batches: [Vec<ArrayRef>; 2] = [
            vec![
                Arc::new(Float64Array::from(vec![Some(2.0), None])),
                Arc::new(StringArray::from(vec!["A", "B"])),
                Arc::new(BooleanArray::from(vec![Some(true), None])),
                Arc::new(Date32Array::from(vec![1, 3])),
            ],
            vec![
                Arc::new(Float64Array::from(vec![Some(-1.0), Some(5.0)])),
                Arc::new(StringArray::from(vec![Some("A"), None])),
                Arc::new(BooleanArray::from(vec![false, true])),
                Arc::new(Date32Array::from(vec![None, Some(2)])),
            ],
        ];
        let folded: Vec<ColumnProfile> = (0..4)
            .map(|i| {
                let mut column = Folded::new(&schema, i, true).unwrap();
                for batch in &batches {
                    column.fold(&batch[i]).unwrap();
                }
                column.finish().unwrap()
            })
            .collect();
        let figures = |i: usize| {
            let found = &folded[i];
            (found.null_count, found.distinct_count, found.min, found.max, found.mean)
        };
        assert_eq!(figures(0), (1, None, Some(-1.0), Some(5.0), Some(2.0)));
        assert_eq!(figures(1), (1, Some(2), None, None, None));
        assert_eq!(figures(2), (1, None, None, None, Some(2.0 / 3.0)));
        assert_eq!(figures(3), (1, Some(3), Some(86_400.0), Some(3.0 * 86_400.0), None));
        assert_eq!(Folded::new(&schema, 1, false).unwrap().finish().unwrap().distinct_count, None);
    }
}
