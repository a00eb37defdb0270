//! What a test says that cannot be run here.
//!
//! A skipped test looks like one that passes. Where `WARDLAKE_REQUIRE_ALL` is set (and neither empty nor `0`), as in CI, it fails.

use std::{env, ffi::OsStr, fmt::Display};

/// Names the machines that have all that tests need.
const REQUIRE_ALL: &str = "WARDLAKE_REQUIRE_ALL";

/// Says that a test is skipped for lack of something that can be installed; the caller returns then.
///
/// # Panics
///
/// `WARDLAKE_REQUIRE_ALL` is set.
#[expect(clippy::panic, reason = "a test that must not be skipped ends here")]
pub fn skipped(reason: impl Display) {
    if is_set(env::var_os(REQUIRE_ALL).as_deref()) {
        panic!("this test must not be skipped, for {REQUIRE_ALL} is set: {reason}");
    }
    skipped_everywhere(reason);
}

/// Says that a test is skipped for lack of something that nobody can install: rights of the process, or data that are not part of
/// the repository. That fails nowhere.
#[expect(clippy::print_stdout, reason = "the harness shows it to who asks for it")]
pub fn skipped_everywhere(reason: impl Display) {
    println!("skipped: {reason}");
}

fn is_set(value: Option<&OsStr>) -> bool {
    value.is_some_and(|value| !value.is_empty() && value != "0")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_value_and_a_zero_ask_for_nothing() {
        let values = [None, Some(""), Some("0"), Some("1")];
        assert_eq!(values.map(|value| is_set(value.map(OsStr::new))), [false, false, false, true]);
    }
}
