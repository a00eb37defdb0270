//! Shell patterns over names, as Python's `fnmatch` has them.

use globset::{GlobBuilder, GlobMatcher};

/// A pattern or a plain text.
pub(crate) enum Pattern {
    Plain(String),
    Glob(Box<GlobMatcher>),
}

impl Pattern {
    /// A text that is no valid pattern matches itself only.
    pub(crate) fn new(text: &str) -> Self {
        if !has_wildcard(text) {
            return Self::Plain(text.to_owned());
        }
        // Names are not paths: `*` matches every character.
        match GlobBuilder::new(text).literal_separator(false).backslash_escape(false).build() {
            Ok(glob) => Self::Glob(Box::new(glob.compile_matcher())),
            Err(_) => Self::Plain(text.to_owned()),
        }
    }

    pub(crate) fn matches(&self, text: &str) -> bool {
        match self {
            Self::Plain(plain) => plain == text,
            Self::Glob(glob) => glob.is_match(text),
        }
    }
}

/// Whether a text is a pattern.
pub(crate) fn has_wildcard(text: &str) -> bool {
    text.contains(['*', '?', '[', ']'])
}

/// dbt's rule for `fqn:`: the last part alone, or the first parts, or a pattern over the rest from its first wildcard.
/// The package may be left out.
pub(crate) fn matches_fqn(fqn: &[String], selector: &str) -> bool {
    matches_scoped(fqn, selector) || matches_scoped(fqn.get(1..).unwrap_or_default(), selector)
}

fn matches_scoped(fqn: &[String], selector: &str) -> bool {
    let Some(name) = fqn.last() else { return false };
    if name == selector {
        return true;
    }
    let flat: Vec<&str> = fqn.iter().flat_map(|part| part.split('.')).collect();
    let wanted: Vec<&str> = selector.split('.').collect();
    if flat.len() < wanted.len() {
        return false;
    }
    for (i, part) in wanted.iter().enumerate() {
        if has_wildcard(part) {
            return Pattern::new(&wanted[i..].join(".")).matches(&flat[i..].join("."));
        }
        if flat[i] != *part {
            return false;
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fqn_rules() {
        let fqn: Vec<String> = ["shop", "staging", "crm", "stg_orders"].map(str::to_owned).into();
        for (selector, expected) in [
            ("stg_orders", true),
            ("staging", true),
            ("staging.crm", true),
            ("shop.staging", true),
            ("crm", false),
            ("staging.*", true),
            ("*orders", true),
            ("staging.crm.stg_?rders", true),
            ("marts.*", false),
        ] {
            assert_eq!(matches_fqn(&fqn, selector), expected, "{selector}");
        }
    }
}
