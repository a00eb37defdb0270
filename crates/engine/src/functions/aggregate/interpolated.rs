//! `percentile_cont`, exact. DataFusion's own cuts the share between two values to six decimals, so that the 90th
//! percentile of 1 and 2 is 1.899999.

use std::{mem::size_of_val, sync::Arc};

use arrow::{
    array::{ArrayRef, AsArray, Float64Array, ListArray},
    buffer::OffsetBuffer,
    datatypes::{DataType, Field, FieldRef, Float64Type},
};
use datafusion::{
    common::{Result, ScalarValue, plan_err},
    functions_aggregate::percentile_cont::percentile_cont_udaf,
    logical_expr::{
        Accumulator, AggregateUDFImpl, Signature, Volatility,
        function::{AccumulatorArgs, StateFieldsArgs},
    },
};

use super::{super::FunctionDoc, ordered};

pub(super) const PERCENTILE_CONT_DOC: FunctionDoc = FunctionDoc {
    name: "percentile_cont",
    signature: "percentile_cont(p) within group (order by x)\npercentile_cont(x, p)",
    description: "The value at the share p (0 to 1) of all values, interpolated linearly between the two next to it, as \
                  a float. NULLs do not count. `order by x desc` counts from the greatest.",
    example: "percentile_cont(0.9) within group (order by x) over 1, 2 → 1.9",
};

/// `percentile_cont`.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct PercentileCont {
    signature: Signature,
    aliases: Vec<String>,
}

impl PercentileCont {
    pub(super) fn new() -> Self {
        Self { signature: Signature::user_defined(Volatility::Immutable), aliases: vec!["quantile_cont".to_owned()] }
    }
}

impl AggregateUDFImpl for PercentileCont {
    fn name(&self) -> &str {
        "percentile_cont"
    }

    fn aliases(&self) -> &[String] {
        &self.aliases
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        match types {
            [value, _] if value.is_numeric() || value.is_null() => Ok(vec![DataType::Float64; 2]),
            [value, _] => {
                plan_err!("percentile_cont of {value}: only numbers can be interpolated; use percentile_disc")
            }
            _ => plan_err!("percentile_cont takes a value and a share"),
        }
    }

    fn return_type(&self, _types: &[DataType]) -> Result<DataType> {
        Ok(DataType::Float64)
    }

    fn state_fields(&self, args: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        let element = Field::new_list_field(DataType::Float64, true);
        Ok(vec![Arc::new(Field::new(format!("{}[values]", args.name), DataType::List(Arc::new(element)), true))])
    }

    fn supports_within_group_clause(&self) -> bool {
        true
    }

    fn accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        let share = ordered::share(&args)?;
        let descending = args.order_bys.first().is_some_and(|order| order.options.descending);
        let share = if descending { 1.0 - share } else { share };
        Ok(Box::new(Interpolated { values: Vec::new(), share, is_distinct: args.is_distinct }))
    }

    /// Moving frames need values to be taken out again, which DataFusion's accumulator does.
    fn create_sliding_accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        percentile_cont_udaf().inner().create_sliding_accumulator(args)
    }
}

#[derive(Debug)]
struct Interpolated {
    values: Vec<f64>,
    share: f64,
    is_distinct: bool,
}

impl Accumulator for Interpolated {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.values.extend(values[0].as_primitive::<Float64Type>().iter().flatten());
        Ok(())
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        for list in states[0].as_list::<i32>().iter().flatten() {
            self.values.extend(list.as_primitive::<Float64Type>().iter().flatten());
        }
        Ok(())
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let values = Float64Array::from(std::mem::take(&mut self.values));
        let field = Arc::new(Field::new_list_field(DataType::Float64, true));
        let offsets = OffsetBuffer::from_lengths([values.len()]);
        Ok(vec![ScalarValue::List(Arc::new(ListArray::new(field, offsets, Arc::new(values), None)))])
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        // A window evaluates once per row: the values stay.
        let mut values = self.values.clone();
        values.sort_unstable_by(f64::total_cmp);
        if self.is_distinct {
            values.dedup();
        }
        if values.is_empty() {
            return Ok(ScalarValue::Float64(None));
        }
        let position = self.share * (values.len() - 1) as f64;
        let (low, high) = (values[position.floor() as usize], values[position.ceil() as usize]);
        let value = if low == high { low } else { low + (high - low) * position.fract() };
        Ok(ScalarValue::Float64(Some(value)))
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.values.capacity() * size_of::<f64>()
    }
}
