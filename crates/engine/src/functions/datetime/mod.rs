//! Dates and times. Instants are microseconds; a column with a time zone is read on its local clock.

mod arithmetic;
mod convert;
mod fields;
pub(super) mod iso;
pub(crate) mod part;
mod pattern;
mod template;
mod zone;

use super::scalar::ScalarFunction;

pub(super) use arithmetic::dateadd_function as dateadd;
pub(super) use convert::reader;

pub(super) fn all() -> Vec<ScalarFunction> {
    let families = [arithmetic::all(), convert::all(), fields::all(), zone::all()];
    families.into_iter().flatten().collect()
}
