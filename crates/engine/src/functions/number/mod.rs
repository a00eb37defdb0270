//! Numbers: reading them from text, writing them by a pattern, and arithmetic that dbt projects expect.

mod arithmetic;
mod read;
pub(super) mod template;

use super::scalar::ScalarFunction;

pub(super) fn all() -> Vec<ScalarFunction> {
    arithmetic::all().into_iter().chain(read::all()).collect()
}
