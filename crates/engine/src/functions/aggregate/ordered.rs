//! Aggregates over all values of a group: `mode`, `percentile_disc`. Values are kept as arrays of their own type.

use std::{mem::size_of_val, sync::Arc};

use arrow::{
    array::{Array, ArrayRef, AsArray, ListArray, RecordBatch},
    buffer::OffsetBuffer,
    compute::{SortOptions, concat, filter, is_not_null, partition, sort, sort_to_indices},
    datatypes::{DataType, Field, FieldRef, Schema},
};
use datafusion::{
    common::{Result, ScalarValue, plan_err},
    logical_expr::{
        Accumulator, AggregateUDFImpl, ColumnarValue, Signature, Volatility,
        function::{AccumulatorArgs, StateFieldsArgs},
    },
};

use super::super::FunctionDoc;
use crate::words::say;

pub(super) const MODE_DOC: FunctionDoc = FunctionDoc {
    name: "mode",
    signature: "mode(x)\nmode() within group (order by x)",
    description: "The most frequent value; of several equally frequent ones the smallest. NULLs do not count.",
    example: "mode(x) over the values 1, 2, 2, 3 → 2",
};

pub(super) const PERCENTILE_DISC_DOC: FunctionDoc = FunctionDoc {
    name: "percentile_disc",
    signature: "percentile_disc(p) within group (order by x)\npercentile_disc(x, p)",
    description: "The first value, in order, at or after the share p (0 to 1) of all values: always one of the values, \
                  of any type. NULLs do not count. `order by x desc` counts from the greatest.",
    example: "percentile_disc(0.5) within group (order by x) over 1, 2, 3, 10 → 2",
};

/// Gathers the values of a group that are not NULL.
#[derive(Debug)]
struct Values {
    data_type: DataType,
    batches: Vec<ArrayRef>,
}

impl Values {
    fn new(data_type: DataType) -> Self {
        Self { data_type, batches: Vec::new() }
    }

    fn update(&mut self, array: &ArrayRef) -> Result<()> {
        let array = if array.null_count() > 0 { filter(array, &is_not_null(array)?)? } else { Arc::clone(array) };
        if !array.is_empty() && !array.data_type().is_null() {
            self.batches.push(array);
        }
        Ok(())
    }

    fn merge(&mut self, states: &[ArrayRef]) -> Result<()> {
        for list in states[0].as_list::<i32>().iter().flatten() {
            self.update(&list)?;
        }
        Ok(())
    }

    fn all(&self) -> Result<ArrayRef> {
        if self.batches.is_empty() {
            return Ok(arrow::array::new_empty_array(&self.data_type));
        }
        let batches: Vec<&dyn Array> = self.batches.iter().map(AsRef::as_ref).collect();
        Ok(concat(&batches)?)
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let values = self.all()?;
        let offsets = OffsetBuffer::from_lengths([values.len()]);
        let field = Arc::new(Field::new_list_field(self.data_type.clone(), true));
        Ok(vec![ScalarValue::List(Arc::new(ListArray::new(field, offsets, values, None)))])
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.batches.iter().map(|batch| batch.get_slice_memory()).sum::<usize>()
    }
}

/// The memory of a slice, not of the batch it is cut from.
trait SliceMemory {
    fn get_slice_memory(&self) -> usize;
}

impl SliceMemory for ArrayRef {
    fn get_slice_memory(&self) -> usize {
        self.to_data().get_slice_memory_size().unwrap_or_else(|_| self.get_array_memory_size())
    }
}

fn list_state(args: &StateFieldsArgs<'_>) -> Vec<FieldRef> {
    let element = Field::new_list_field(args.input_fields[0].data_type().clone(), true);
    vec![Arc::new(Field::new(format!("{}[values]", args.name), DataType::List(Arc::new(element)), true))]
}

/// The constant share of a percentile, its second argument.
pub(super) fn share(args: &AccumulatorArgs<'_>) -> Result<f64> {
    let empty = RecordBatch::new_empty(Arc::new(Schema::empty()));
    let value = match args.exprs.get(1).map(|expr| expr.evaluate(&empty)) {
        Some(Ok(ColumnarValue::Scalar(value))) => value.cast_to(&DataType::Float64)?,
        _ => return plan_err!("{}: the share must be a constant", args.name),
    };
    match value {
        ScalarValue::Float64(Some(share)) if (0.0..=1.0).contains(&share) => Ok(share),
        _ => plan_err!("{}: the share must lie between 0 and 1", args.name),
    }
}

/// `mode`.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Mode {
    signature: Signature,
}

impl Mode {
    pub(super) fn new() -> Self {
        Self { signature: Signature::any(1, Volatility::Immutable) }
    }
}

impl AggregateUDFImpl for Mode {
    fn name(&self) -> &str {
        "mode"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        Ok(types[0].clone())
    }

    fn state_fields(&self, args: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        Ok(list_state(&args))
    }

    fn accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        Ok(Box::new(ModeAccumulator(Values::new(args.expr_fields[0].data_type().clone()))))
    }
}

#[derive(Debug)]
struct ModeAccumulator(Values);

impl Accumulator for ModeAccumulator {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.0.update(&values[0])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.0.merge(states)
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        self.0.state()
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let values = sort(&self.0.all()?, None)?;
        let mut longest = 0..0;
        for range in partition(&[Arc::clone(&values)])?.ranges() {
            // Only a longer run replaces the one before: equal counts keep the smaller value.
            if range.len() > longest.len() {
                longest = range;
            }
        }
        if longest.is_empty() {
            return ScalarValue::try_from(&self.0.data_type);
        }
        ScalarValue::try_from_array(&values, longest.start)
    }

    fn size(&self) -> usize {
        self.0.size()
    }
}

/// `percentile_disc`.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct PercentileDisc {
    signature: Signature,
    aliases: Vec<String>,
}

impl PercentileDisc {
    pub(super) fn new() -> Self {
        Self { signature: Signature::any(2, Volatility::Immutable), aliases: vec!["quantile_disc".to_owned()] }
    }
}

impl AggregateUDFImpl for PercentileDisc {
    fn name(&self) -> &str {
        "percentile_disc"
    }

    fn aliases(&self) -> &[String] {
        &self.aliases
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        Ok(types[0].clone())
    }

    fn state_fields(&self, args: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        Ok(list_state(&args))
    }

    fn supports_within_group_clause(&self) -> bool {
        true
    }

    fn accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        let share = share(&args)?;
        let descending = args.order_bys.first().is_some_and(|order| order.options.descending);
        let values = Values::new(args.expr_fields[0].data_type().clone());
        Ok(Box::new(PercentileDiscAccumulator { values, share, descending }))
    }
}

#[derive(Debug)]
struct PercentileDiscAccumulator {
    values: Values,
    share: f64,
    descending: bool,
}

impl Accumulator for PercentileDiscAccumulator {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.values.update(&values[0])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.values.merge(states)
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        self.values.state()
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let values = self.values.all()?;
        if values.is_empty() {
            return ScalarValue::try_from(&self.values.data_type);
        }
        let position = ((self.share * values.len() as f64).ceil() as usize).clamp(1, values.len());
        let options = SortOptions { descending: self.descending, nulls_first: false };
        let order = sort_to_indices(&values, Some(options), Some(position))?;
        match order.values().get(position - 1) {
            Some(&index) => ScalarValue::try_from_array(&values, index as usize),
            None => say!("percentile_disc: no value at its own position"),
        }
    }

    fn size(&self) -> usize {
        self.values.size()
    }
}
