//! Numbers: reading them from text, writing them by a pattern, and arithmetic that dbt projects expect.

mod arithmetic;
mod checked;
mod literal;
mod read;
pub(super) mod template;

use super::scalar::ScalarFunction;

pub(super) use checked::{Checked, FloatToDecimal, Operation};
pub(super) use literal::{DECIMAL_DIGITS, Exact};
pub(crate) use literal::{NUMERIC_LITERAL, beyond_floats};

pub(super) fn all() -> Vec<ScalarFunction> {
    arithmetic::all().into_iter().chain(read::all()).chain([literal::numeric_literal()]).collect()
}
