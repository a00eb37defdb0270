//! Numbers with all the digits that were written.
//!
//! DataFusion makes a 64-bit float of every literal with a point, which holds some 15 digits. As a float it goes into the plan, but its
//! shortest text is what was written, so that up to there nothing is lost. A longer literal is kept as text, in a call of
//! `numeric_literal`, which is the same float wherever a float will do.

use arrow::datatypes::DataType;
use datafusion::{common::ScalarValue, logical_expr::Expr};

use super::super::{FunctionDoc, scalar::ScalarFunction};

/// The function that holds a literal with more digits than a float.
pub(crate) const NUMERIC_LITERAL: &str = "numeric_literal";

/// Digits of a literal that are the same again when a 64-bit float is written out.
const FLOAT_DIGITS: usize = 15;

/// Digits that a decimal holds.
pub(in crate::functions) const DECIMAL_DIGITS: usize = 38;

pub(super) fn numeric_literal() -> ScalarFunction {
    ScalarFunction::new(
        FunctionDoc {
            name: NUMERIC_LITERAL,
            signature: "numeric_literal(x)",
            description: "The number that a text writes out, as a double; beside decimals with all of its digits. Literals \
                          of more than 15 digits are such calls.",
            example: "numeric_literal('0.25') → 0.25",
        },
        1..=1,
        |_| Ok(DataType::Float64),
        |call| {
            let texts = call.texts(0)?;
            call.make_float(|row| texts.get(row)?.parse().ok())
        },
    )
}

/// The digits of a literal if a 64-bit float cannot hold them. `1e5` is a float by what it says.
pub(crate) fn beyond_floats(number: &str) -> Option<String> {
    let digits = number.replace('_', "");
    let is_plain = digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let significant = digits.bytes().filter(u8::is_ascii_digit).skip_while(|digit| *digit == b'0').count();
    let is_beyond = if digits.contains('.') {
        significant > FLOAT_DIGITS
    } else {
        significant > 0 && digits.parse::<u64>().is_err()
    };
    (is_plain && is_beyond && Exact::parse(&digits).is_some()).then_some(digits)
}

/// A decimal number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::functions) struct Exact {
    unscaled: i128,
    precision: u8,
    scale: u8,
}

impl Exact {
    /// The number that a literal stands for, if it is one and a decimal can hold it.
    pub(in crate::functions) fn of(expr: &Expr) -> Option<Self> {
        match expr {
            Expr::Literal(ScalarValue::Float64(Some(value)), _) => Self::parse(&value.to_string()),
            Expr::Literal(ScalarValue::Int64(Some(value)), _) => Self::parse(&value.to_string()),
            Expr::ScalarFunction(call) if call.name() == NUMERIC_LITERAL => match call.args.as_slice() {
                [Expr::Literal(text, _)] => Self::parse(text.try_as_str().flatten()?),
                _ => None,
            },
            _ => None,
        }
    }

    /// Digits with or without a point and a sign.
    fn parse(text: &str) -> Option<Self> {
        let (is_negative, digits) = match text.strip_prefix('-') {
            Some(digits) => (true, digits),
            None => (false, text),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        if whole.is_empty() && fraction.is_empty() {
            return None;
        }
        let mut unscaled = 0_i128;
        for digit in whole.bytes().chain(fraction.bytes()) {
            if !digit.is_ascii_digit() {
                return None;
            }
            unscaled = unscaled.checked_mul(10)?.checked_add(i128::from(digit - b'0'))?;
        }
        let precision = (whole.trim_start_matches('0').len() + fraction.len()).max(1);
        if precision > DECIMAL_DIGITS {
            return None;
        }
        let (precision, scale) = (u8::try_from(precision).ok()?, u8::try_from(fraction.len()).ok()?);
        Some(Self { unscaled: if is_negative { -unscaled } else { unscaled }, precision, scale })
    }

    /// Digits before the point.
    pub(in crate::functions) fn whole_digits(self) -> usize {
        usize::from(self.precision.saturating_sub(self.scale))
    }

    /// Digits behind the point.
    pub(in crate::functions) fn scale(self) -> usize {
        usize::from(self.scale)
    }

    /// As a literal of exactly its digits.
    pub(in crate::functions) fn literal(self) -> Expr {
        let scale = i8::try_from(self.scale).unwrap_or(i8::MAX);
        Expr::Literal(ScalarValue::Decimal128(Some(self.unscaled), self.precision, scale), None)
    }
}

#[cfg(test)]
mod tests {
    use datafusion::logical_expr::lit;

    use super::*;

    #[test]
    fn b01_a_literal_is_what_was_written() {
        for (value, digits) in [
            (4.07, (407, 3, 2)),
            (-0.05, (-5, 2, 2)),
            (99999.99, (9_999_999, 7, 2)),
            (100.0, (100, 3, 0)),
            (0.0, (0, 1, 0)),
            (1e20, (10_i128.pow(20), 21, 0)),
            (123_456_789_012.345, (123_456_789_012_345, 15, 3)),
        ] {
            let (unscaled, precision, scale) = digits;
            assert_eq!(Exact::of(&lit(value)), Some(Exact { unscaled, precision, scale }), "{value}");
        }
        for value in [f64::NAN, f64::INFINITY, 1e300, 1e-300] {
            assert_eq!(Exact::of(&lit(value)), None, "{value}");
        }
    }

    #[test]
    fn b01_only_what_a_float_cannot_hold_is_kept_as_text() {
        for number in ["1234567890123456.78", "0.30000000000000004", "99999999999999999999", "1_000_000_000_000_000.25"]
        {
            assert!(beyond_floats(number).is_some(), "{number}");
        }
        for number in [
            "4.07",
            "0.000000000000000001",
            "18446744073709551615",
            "1e5",
            "1.2345678901234567e3",
            "0",
            "00000000000000000000",
        ] {
            assert_eq!(beyond_floats(number), None, "{number}");
        }
    }
}
