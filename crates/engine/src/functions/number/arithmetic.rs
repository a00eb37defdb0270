//! `div`, `width_bucket`.

use arrow::{array::ArrayRef, datatypes::DataType};
use datafusion::common::Result;

use super::super::{
    FunctionDoc,
    scalar::{Call, ScalarFunction},
};
use crate::words::say;

pub(super) fn all() -> Vec<ScalarFunction> {
    vec![
        ScalarFunction::new(
            FunctionDoc {
                name: "div",
                signature: "div(a, b)",
                description: "The whole quotient, cut towards zero. Division by zero is an error.",
                example: "div(-7, 2) → -3",
            },
            2..=2,
            |types| {
                let whole = types.get(0).is_integer() && types.get(1).is_integer();
                Ok(if whole { DataType::Int64 } else { DataType::Float64 })
            },
            div,
        ),
        ScalarFunction::new(
            FunctionDoc {
                name: "width_bucket",
                signature: "width_bucket(x, low, high, count)",
                description: "The number, from 1, of the bucket that holds x when low to high is cut into count equal \
                              ones; 0 below, count + 1 at high and above. low may be greater than high.",
                example: "width_bucket(37, 0, 100, 10) → 4",
            },
            4..=4,
            |_| Ok(DataType::Int64),
            width_bucket,
        ),
    ]
}

fn div(call: &Call<'_>) -> Result<ArrayRef> {
    let mut by_zero = false;
    let result = if *call.return_type == DataType::Int64 {
        let (a, b) = (call.integers(0)?, call.integers(1)?);
        call.make_integer(|row| {
            let (a, b) = (a.get(row)?, b.get(row)?);
            by_zero |= b == 0;
            a.checked_div(b)
        })?
    } else {
        let (a, b) = (call.floats(0)?, call.floats(1)?);
        call.make_float(|row| {
            let (a, b) = (a.get(row)?, b.get(row)?);
            by_zero |= b == 0.0;
            Some((a / b).trunc())
        })?
    };
    if by_zero { say!("div: division by zero; safe_divide gives NULL instead") } else { Ok(result) }
}

fn width_bucket(call: &Call<'_>) -> Result<ArrayRef> {
    let (x, low, high) = (call.floats(0)?, call.floats(1)?, call.floats(2)?);
    let counts = call.integers(3)?;
    call.make_integer(|row| {
        let (x, low, high, count) = (x.get(row)?, low.get(row)?, high.get(row)?, counts.get(row)?);
        if count < 1 || low == high || [x, low, high].iter().any(|value| value.is_nan()) {
            return None;
        }
        let share = (x - low) / (high - low);
        Some(if share < 0.0 {
            0
        } else if share >= 1.0 {
            count.checked_add(1)?
        } else {
            (share * count as f64) as i64 + 1
        })
    })
}
