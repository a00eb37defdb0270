//! `sum` of whole numbers and of large decimals. DataFusion's begins again at the other end where it leaves the range of its type; this
//! one adds in a type that no number of rows fills, and says so if the result does not fit, as PostgreSQL and DuckDB do.

use std::sync::Arc;

use arrow::{
    array::{Array, ArrayRef, AsArray, BooleanArray},
    datatypes::{DataType, Decimal128Type, Decimal256Type, Field, FieldRef, Int64Type, UInt64Type, i256},
};
use datafusion::{
    common::{Result, ScalarValue},
    error::DataFusionError,
    functions_aggregate::sum::sum_udaf,
    logical_expr::{
        Accumulator, AggregateUDFImpl, EmitTo, GroupsAccumulator, ReversedUDAF, SetMonotonicity, Signature,
        function::{AccumulatorArgs, StateFieldsArgs},
        utils::AggregateOrderSensitivity,
    },
};

use super::super::FunctionDoc;
use crate::words::{Said, say, sql_name};

pub(super) const SUM_DOC: FunctionDoc = FunctionDoc {
    name: "sum",
    signature: "sum(x)",
    description: "The sum of the values that are not NULL; NULL if there are none. A sum of whole numbers is a bigint, and an \
                  error if it is out of its range.",
    example: "sum(x) over the values 1, 2, NULL → 3",
};

/// Digits of the greatest decimals. Of those with fewer than 28, ten thousand million rows do not leave the range of their sum.
const MOST_DIGITS: u8 = 38;

/// `sum`.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Sum {
    signature: Signature,
}

impl Sum {
    pub(super) fn new() -> Self {
        Self { signature: sum_udaf().signature().clone() }
    }
}

impl AggregateUDFImpl for Sum {
    fn name(&self) -> &str {
        "sum"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        sum_udaf().return_type(types)
    }

    fn state_fields(&self, args: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        let return_field = match Wide::of(args.return_type()) {
            Some(wide) => wide.field(&args.return_field),
            None => Arc::clone(&args.return_field),
        };
        sum_udaf().inner().state_fields(StateFieldsArgs { return_field, ..args })
    }

    fn accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        let Some(wide) = Wide::of(args.return_field.data_type()) else {
            return sum_udaf().inner().accumulator(args);
        };
        let return_field = wide.field(&args.return_field);
        let sum = sum_udaf().inner().accumulator(AccumulatorArgs { return_field, ..args })?;
        Ok(Box::new(WideSum { sum, wide }))
    }

    fn create_sliding_accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        // A moving sum of distinct values exists for bigint alone.
        let wide = if args.is_distinct { None } else { Wide::of(args.return_field.data_type()) };
        let Some(wide) = wide else { return sum_udaf().inner().create_sliding_accumulator(args) };
        let return_field = wide.field(&args.return_field);
        let sum = sum_udaf().inner().create_sliding_accumulator(AccumulatorArgs { return_field, ..args })?;
        Ok(Box::new(WideSum { sum, wide }))
    }

    fn groups_accumulator_supported(&self, args: AccumulatorArgs<'_>) -> bool {
        sum_udaf().inner().groups_accumulator_supported(args)
    }

    fn create_groups_accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn GroupsAccumulator>> {
        let Some(wide) = Wide::of(args.return_field.data_type()) else {
            return sum_udaf().inner().create_groups_accumulator(args);
        };
        let return_field = wide.field(&args.return_field);
        let sums = sum_udaf().inner().create_groups_accumulator(AccumulatorArgs { return_field, ..args })?;
        Ok(Box::new(WideSums { sums, wide }))
    }

    fn reverse_expr(&self) -> ReversedUDAF {
        ReversedUDAF::Identical
    }

    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        AggregateOrderSensitivity::Insensitive
    }

    fn set_monotonicity(&self, data_type: &DataType) -> SetMonotonicity {
        sum_udaf().inner().set_monotonicity(data_type)
    }
}

/// A type of sums that could leave their range, and how they are added up instead.
#[derive(Clone, Debug)]
struct Wide {
    result: DataType,
}

impl Wide {
    fn of(result: &DataType) -> Option<Self> {
        match result {
            DataType::Int64 | DataType::UInt64 | DataType::Decimal128(MOST_DIGITS, _) => {
                Some(Self { result: result.clone() })
            }
            _ => None,
        }
    }

    /// The type in which is added.
    fn data_type(&self) -> DataType {
        match self.result {
            DataType::Decimal128(_, scale) => DataType::Decimal256(76, scale),
            _ => DataType::Decimal128(MOST_DIGITS, 0),
        }
    }

    fn field(&self, result: &Field) -> FieldRef {
        Arc::new(result.clone().with_data_type(self.data_type()))
    }

    /// Values as they are added.
    fn widened(&self, values: &[ArrayRef]) -> Result<[ArrayRef; 1]> {
        let (values, to) = (&values[0], self.data_type());
        let widened: ArrayRef = match values.data_type() {
            DataType::Int64 => {
                let wide = values.as_primitive::<Int64Type>().unary::<_, Decimal128Type>(i128::from);
                Arc::new(wide.with_data_type(to))
            }
            DataType::UInt64 => {
                let wide = values.as_primitive::<UInt64Type>().unary::<_, Decimal128Type>(i128::from);
                Arc::new(wide.with_data_type(to))
            }
            DataType::Decimal128(..) => {
                let wide = values.as_primitive::<Decimal128Type>().unary::<_, Decimal256Type>(i256::from_i128);
                Arc::new(wide.with_data_type(to))
            }
            other => return say!("sum: {other} cannot be added up"),
        };
        Ok([widened])
    }

    /// Sums in the type of the result.
    fn narrowed(&self, sums: &ArrayRef) -> Result<ArrayRef> {
        let narrowed: ArrayRef = match self.result {
            DataType::Int64 => {
                let narrow = |sum: i128| i64::try_from(sum).map_err(|_| self.misfit());
                Arc::new(sums.as_primitive::<Decimal128Type>().try_unary::<_, Int64Type, DataFusionError>(narrow)?)
            }
            DataType::UInt64 => {
                let narrow = |sum: i128| u64::try_from(sum).map_err(|_| self.misfit());
                Arc::new(sums.as_primitive::<Decimal128Type>().try_unary::<_, UInt64Type, DataFusionError>(narrow)?)
            }
            _ => {
                let narrow = |sum: i256| decimal(sum).ok_or_else(|| self.misfit());
                let sums = sums.as_primitive::<Decimal256Type>();
                let sums = sums.try_unary::<_, Decimal128Type, DataFusionError>(narrow)?;
                Arc::new(sums.with_data_type(self.result.clone()))
            }
        };
        Ok(narrowed)
    }

    fn narrowed_scalar(&self, sum: ScalarValue) -> Result<ScalarValue> {
        Ok(match (sum, &self.result) {
            (ScalarValue::Decimal128(Some(sum), ..), DataType::Int64) => {
                ScalarValue::Int64(Some(i64::try_from(sum).map_err(|_| self.misfit())?))
            }
            (ScalarValue::Decimal128(Some(sum), ..), DataType::UInt64) => {
                ScalarValue::UInt64(Some(u64::try_from(sum).map_err(|_| self.misfit())?))
            }
            (ScalarValue::Decimal256(Some(sum), ..), DataType::Decimal128(precision, scale)) => {
                ScalarValue::Decimal128(Some(decimal(sum).ok_or_else(|| self.misfit())?), *precision, *scale)
            }
            (_, result) => ScalarValue::try_from(result)?,
        })
    }

    fn misfit(&self) -> DataFusionError {
        let wider = if self.result.is_integer() { "decimal(38, 0)" } else { "double" };
        let target = sql_name(&self.result);
        DataFusionError::External(Box::new(Said(format!(
            "sum: a sum is out of range for {target}; sum(cast(x as {wider})) holds more"
        ))))
    }
}

/// The value if it has no more digits than a decimal holds.
fn decimal(sum: i256) -> Option<i128> {
    let limit = 10_i128.pow(u32::from(MOST_DIGITS));
    sum.to_i128().filter(|sum| -limit < *sum && *sum < limit)
}

/// The sum of one group.
#[derive(Debug)]
struct WideSum {
    sum: Box<dyn Accumulator>,
    wide: Wide,
}

impl Accumulator for WideSum {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.sum.update_batch(&self.wide.widened(values)?)
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.sum.merge_batch(states)
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        self.sum.state()
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let sum = self.sum.evaluate()?;
        self.wide.narrowed_scalar(sum)
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.sum.retract_batch(&self.wide.widened(values)?)
    }

    fn supports_retract_batch(&self) -> bool {
        self.sum.supports_retract_batch()
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.sum.size()
    }
}

/// The sums of many groups.
struct WideSums {
    sums: Box<dyn GroupsAccumulator>,
    wide: Wide,
}

impl GroupsAccumulator for WideSums {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        opt_filter: Option<&BooleanArray>,
        total_num_groups: usize,
    ) -> Result<()> {
        self.sums.update_batch(&self.wide.widened(values)?, group_indices, opt_filter, total_num_groups)
    }

    fn merge_batch(&mut self, values: &[ArrayRef], group_indices: &[usize], total_num_groups: usize) -> Result<()> {
        self.sums.merge_batch(values, group_indices, total_num_groups)
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        let sums = self.sums.evaluate(emit_to)?;
        self.wide.narrowed(&sums)
    }

    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        self.sums.state(emit_to)
    }

    fn convert_to_state(&self, values: &[ArrayRef], opt_filter: Option<&BooleanArray>) -> Result<Vec<ArrayRef>> {
        self.sums.convert_to_state(&self.wide.widened(values)?, opt_filter)
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.sums.size()
    }
}
