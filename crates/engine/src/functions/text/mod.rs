//! Text: keys and hashes, searching, regular expressions, building and cleaning.

mod key;
mod regex;
mod search;
mod shape;

use super::scalar::ScalarFunction;

pub(super) fn all() -> Vec<ScalarFunction> {
    let families = [key::all(), regex::all(), search::all(), shape::all()];
    families.into_iter().flatten().collect()
}
