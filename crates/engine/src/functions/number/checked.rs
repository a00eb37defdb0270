//! Arithmetic that says so when a result leaves the range of its type, as in PostgreSQL and DuckDB, where DataFusion begins again at the
//! other end; and floats as decimals of the digits that they show, where DataFusion multiplies first and so changes the last ones.
//!
//! The planner puts these in place of `+`, `-`, `*` and casts (see `typed.rs`): they are not called by name.

use std::sync::Arc;

use arrow::{
    array::{Array, ArrayRef, AsArray, Datum, Decimal128Array},
    compute::kernels::numeric,
    datatypes::{DataType, Field, FieldRef, Float32Type, Float64Type},
    error::ArrowError,
};
use datafusion::{
    common::{Result, ScalarValue},
    logical_expr::{
        ColumnarValue, Expr, Operator, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
    },
    physical_expr_common::datum::apply,
};

use crate::words::{say, sql_name};

/// What is done with integers of one type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(in crate::functions) enum Operation {
    Add,
    Subtract,
    Multiply,
    Negate,
}

impl Operation {
    /// The operation of an operator, if integers can leave their range by it without a word.
    pub(in crate::functions) fn of(operator: Operator) -> Option<Self> {
        match operator {
            Operator::Plus => Some(Self::Add),
            Operator::Minus => Some(Self::Subtract),
            Operator::Multiply => Some(Self::Multiply),
            _ => None,
        }
    }

    /// The result for constants, unless it is out of range.
    pub(in crate::functions) fn of_constants(self, values: &[&ScalarValue]) -> Option<ScalarValue> {
        let result = match (self, values) {
            (Self::Add, [left, right]) => left.add_checked(*right),
            (Self::Subtract, [left, right]) => left.sub_checked(*right),
            (Self::Multiply, [left, right]) => left.mul_checked(*right),
            (Self::Negate, [value]) => {
                ScalarValue::new_zero(&value.data_type()).and_then(|zero| zero.sub_checked(*value))
            }
            _ => return None,
        };
        result.ok()
    }

    fn sign(self) -> &'static str {
        match self {
            Self::Add => "+",
            Self::Subtract => "-",
            Self::Multiply => "*",
            Self::Negate => "-",
        }
    }
}

/// An operation on integers of one type.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(in crate::functions) struct Checked {
    operation: Operation,
    signature: Signature,
}

impl Checked {
    pub(in crate::functions) fn new(operation: Operation) -> Self {
        let operands = if operation == Operation::Negate { 1 } else { 2 };
        Self { operation, signature: Signature::any(operands, Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for Checked {
    fn name(&self) -> &str {
        match self.operation {
            Operation::Add => "checked_add",
            Operation::Subtract => "checked_subtract",
            Operation::Multiply => "checked_multiply",
            Operation::Negate => "checked_negate",
        }
    }

    /// That of the operator: columns without a name of their own keep theirs.
    fn schema_name(&self, args: &[Expr]) -> Result<String> {
        Ok(match args {
            [left, right] => format!("{} {} {}", left.schema_name(), self.operation.sign(), right.schema_name()),
            [operand] => format!("(- {})", operand.schema_name()),
            _ => self.name().to_owned(),
        })
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn is_strict(&self) -> bool {
        true
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        Ok(types[0].clone())
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        let is_nullable = args.arg_fields.iter().any(|field| field.is_nullable());
        Ok(Field::new(self.name(), args.arg_fields[0].data_type().clone(), is_nullable).into())
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let kernel: fn(&dyn Datum, &dyn Datum) -> Result<ArrayRef, ArrowError> = match self.operation {
            Operation::Add => numeric::add,
            Operation::Subtract | Operation::Negate => numeric::sub,
            Operation::Multiply => numeric::mul,
        };
        let data_type = args.return_field.data_type();
        let result = match args.args.as_slice() {
            [left, right] => apply(left, right, kernel),
            [operand] => apply(&ColumnarValue::Scalar(ScalarValue::new_zero(data_type)?), operand, kernel),
            other => return say!("`{}`: {} operands", self.operation.sign(), other.len()),
        };
        match result {
            Ok(result) => Ok(result),
            Err(_) => say!(
                "`{}`: a result is out of range for {}; cast one side to decimal(38, 0) or double",
                self.operation.sign(),
                sql_name(data_type)
            ),
        }
    }
}

/// A float as a decimal: the number that its shortest text shows, rounded half away from zero, as in PostgreSQL and Spark.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(in crate::functions) struct FloatToDecimal {
    precision: u8,
    scale: u8,
    /// What does not fit is NULL.
    is_lenient: bool,
    signature: Signature,
}

impl FloatToDecimal {
    pub(in crate::functions) fn new(precision: u8, scale: u8, is_lenient: bool) -> Self {
        Self { precision, scale, is_lenient, signature: Signature::any(1, Volatility::Immutable) }
    }

    fn data_type(&self) -> DataType {
        DataType::Decimal128(self.precision, i8::try_from(self.scale).unwrap_or(i8::MAX))
    }

    /// The decimals, and whether a number did not fit.
    fn decimals(&self, values: impl Iterator<Item = Option<f64>>) -> (Decimal128Array, bool) {
        let limit = 10_i128.checked_pow(u32::from(self.precision)).unwrap_or(i128::MAX);
        let mut is_misfit = false;
        let decimals = values.map(|value| {
            let units = unscaled(value?, self.scale).filter(|units| units.abs() < limit);
            is_misfit |= units.is_none();
            units
        });
        (decimals.collect(), is_misfit)
    }
}

impl ScalarUDFImpl for FloatToDecimal {
    fn name(&self) -> &str {
        "float_to_decimal"
    }

    /// That of what is cast, as of any cast.
    fn schema_name(&self, args: &[Expr]) -> Result<String> {
        Ok(args.first().map(|value| value.schema_name().to_string()).unwrap_or_default())
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _types: &[DataType]) -> Result<DataType> {
        Ok(self.data_type())
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        let is_nullable = self.is_lenient || args.arg_fields[0].is_nullable();
        Ok(Field::new(self.name(), self.data_type(), is_nullable).into())
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let is_constant = matches!(args.args[0], ColumnarValue::Scalar(_));
        let array = args.args[0].to_array(if is_constant { 1 } else { args.number_rows })?;
        let (decimals, is_misfit) = match array.data_type() {
            DataType::Float64 => self.decimals(array.as_primitive::<Float64Type>().iter()),
            // As a float of 64 bits it would show more digits than it has.
            DataType::Float32 => {
                let widened = |value: f32| value.to_string().parse().unwrap_or(f64::NAN);
                self.decimals(array.as_primitive::<Float32Type>().iter().map(|value| value.map(widened)))
            }
            other => return say!("float_to_decimal: {other} is no float"),
        };
        if is_misfit && !self.is_lenient {
            let target = sql_name(&self.data_type());
            return say!("cast: a number does not fit {target}; try_cast gives NULL, a greater precision keeps it");
        }
        let decimals = decimals.with_data_type(self.data_type());
        if is_constant {
            return Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&decimals, 0)?));
        }
        Ok(ColumnarValue::Array(Arc::new(decimals)))
    }
}

/// Powers of ten that are exact as floats.
const POWERS: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20,
    1e21, 1e22,
];

/// No two numbers of up to 15 digits give the same float.
const SURE_UNITS: f64 = 1e15;

/// The number in units of `10^-scale`.
fn unscaled(value: f64, scale: u8) -> Option<i128> {
    if let Some(power) = POWERS.get(usize::from(scale)) {
        let units = (value * power).round();
        // What gives the float back is what it shows.
        if units.abs() < SURE_UNITS && units / power == value {
            return Some(units as i128);
        }
    }
    if !value.is_finite() {
        return None;
    }
    let text = format!("{:e}", value.abs());
    let (mantissa, exponent) = text.split_once('e')?;
    let fraction = mantissa.split_once('.').map_or(0, |(_, fraction)| fraction.len());
    let digits: i128 = mantissa.replace('.', "").parse().ok()?;
    let shift = exponent.parse::<i32>().ok()? - i32::try_from(fraction).ok()? + i32::from(scale);
    let power = 10_i128.checked_pow(shift.unsigned_abs());
    let units = match power {
        Some(power) if shift >= 0 => digits.checked_mul(power)?,
        Some(power) => digits / power + i128::from(digits % power * 2 >= power),
        // Beyond what a decimal holds, or less than half of a unit.
        None if shift >= 0 => return (digits == 0).then_some(0),
        None => 0,
    };
    Some(if value < 0.0 { -units } else { units })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn b01_a_float_becomes_the_decimal_that_it_shows() {
        for (value, scale, expected) in [
            (4.07, 15, Some(4_070_000_000_000_000)),
            (4.07, 2, Some(407)),
            (99999.99, 15, Some(99_999_990_000_000_000_000)),
            (2.675, 2, Some(268)),
            (-2.675, 2, Some(-268)),
            (1.005, 2, Some(101)),
            (0.1 + 0.2, 15, Some(300_000_000_000_000)),
            (0.1 + 0.2, 17, Some(30_000_000_000_000_004)),
            (0.0, 5, Some(0)),
            (-0.0, 5, Some(0)),
            (1e20, 0, Some(10_i128.pow(20))),
            (1e-30, 10, Some(0)),
            (5e-11, 10, Some(1)),
            (1e300, 0, None),
            (f64::NAN, 2, None),
            (f64::NEG_INFINITY, 2, None),
        ] {
            assert_eq!(unscaled(value, scale), expected, "{value} at {scale}");
        }
    }

    #[test]
    fn b19_constants_are_worked_out_unless_they_are_out_of_range() {
        let (most, one) = (ScalarValue::Int64(Some(i64::MAX)), ScalarValue::Int64(Some(1)));
        assert_eq!(Operation::Add.of_constants(&[&one, &one]), Some(ScalarValue::Int64(Some(2))));
        assert_eq!(Operation::Add.of_constants(&[&most, &one]), None);
        assert_eq!(Operation::Multiply.of_constants(&[&most, &most]), None);
        let least = ScalarValue::Int64(Some(i64::MIN));
        assert_eq!(Operation::Subtract.of_constants(&[&least, &one]), None);
        assert_eq!(Operation::Negate.of_constants(&[&one]), Some(ScalarValue::Int64(Some(-1))));
        assert_eq!(Operation::Negate.of_constants(&[&least]), None);
    }
}
