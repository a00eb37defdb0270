//! `max_by(x, y)` and `min_by(x, y)`: x where y is greatest or smallest.

use std::{cmp::Ordering, mem::size_of_val, sync::Arc};

use arrow::{
    array::ArrayRef,
    compute::{SortOptions, sort_to_indices},
    datatypes::{DataType, Field, FieldRef},
};
use datafusion::{
    common::{Result, ScalarValue},
    logical_expr::{
        Accumulator, AggregateUDFImpl, Signature, Volatility,
        function::{AccumulatorArgs, StateFieldsArgs},
    },
};

use super::super::FunctionDoc;

pub(super) const MAX_BY_DOC: FunctionDoc = FunctionDoc {
    name: "max_by",
    signature: "max_by(x, y)",
    description: "x of the row with the greatest y, NULL included. Rows whose y is NULL do not count; of equal y any \
                  row's x is taken. Also called arg_max.",
    example: "max_by(department, moved_at)",
};

pub(super) const MIN_BY_DOC: FunctionDoc = FunctionDoc {
    name: "min_by",
    signature: "min_by(x, y)",
    description: "x of the row with the smallest y, NULL included. Rows whose y is NULL do not count; of equal y any \
                  row's x is taken. Also called arg_min.",
    example: "min_by(department, moved_at)",
};

/// Both aggregates; they differ in their direction.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct ExtremeBy {
    name: &'static str,
    aliases: Vec<String>,
    greatest: bool,
    signature: Signature,
}

impl ExtremeBy {
    pub(super) fn max() -> Self {
        Self::new("max_by", "arg_max", true)
    }

    pub(super) fn min() -> Self {
        Self::new("min_by", "arg_min", false)
    }

    fn new(name: &'static str, alias: &str, greatest: bool) -> Self {
        let aliases = vec![alias.to_owned(), alias.replace('_', "")];
        Self { name, aliases, greatest, signature: Signature::any(2, Volatility::Immutable) }
    }
}

impl AggregateUDFImpl for ExtremeBy {
    fn name(&self) -> &str {
        self.name
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
        let field = |part: &str, i: usize| {
            Arc::new(Field::new(format!("{}[{part}]", args.name), args.input_fields[i].data_type().clone(), true))
        };
        Ok(vec![field("value", 0), field("by", 1)])
    }

    fn accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        Ok(Box::new(ExtremeByAccumulator {
            value: ScalarValue::try_from(args.expr_fields[0].data_type())?,
            by: ScalarValue::try_from(args.expr_fields[1].data_type())?,
            greatest: self.greatest,
        }))
    }
}

#[derive(Debug)]
struct ExtremeByAccumulator {
    value: ScalarValue,
    by: ScalarValue,
    greatest: bool,
}

impl Accumulator for ExtremeByAccumulator {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let by = &values[1];
        if by.len() == by.null_count() {
            return Ok(());
        }
        let options = SortOptions { descending: self.greatest, nulls_first: false };
        let Some(&best) = sort_to_indices(by, Some(options), Some(1))?.values().first() else { return Ok(()) };
        let candidate = ScalarValue::try_from_array(by, best as usize)?;
        let better = if self.greatest { Ordering::Greater } else { Ordering::Less };
        if self.by.is_null() || candidate.partial_cmp(&self.by) == Some(better) {
            self.value = ScalarValue::try_from_array(&values[0], best as usize)?.compacted();
            self.by = candidate.compacted();
        }
        Ok(())
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.update_batch(states)
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![self.value.clone(), self.by.clone()])
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        Ok(self.value.clone())
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.value.size() + self.by.size()
    }
}
