//! One criterion: `[@][n+][method[.arg…]:]value[+n]`.

use wardlake_core::Diagnostic;

/// A criterion taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Atom {
    /// `fqn`, `tag`, `path`, …
    pub(crate) method: String,
    /// What follows the method: `config.materialized` has `materialized`.
    pub(crate) arguments: Vec<String>,
    pub(crate) value: String,
    /// `@`.
    pub(crate) with_siblings: bool,
    /// `+x`: `Some(None)` is all of them, `Some(Some(n))` n steps.
    pub(crate) parents: Option<Option<usize>>,
    /// `x+`.
    pub(crate) children: Option<Option<usize>>,
}

impl Atom {
    /// Reads a criterion.
    pub(crate) fn parse(text: &str) -> Result<Self, Diagnostic> {
        let bad = |why: &str| {
            Diagnostic::error("WL-P030", format!("`{text}` is not a selection: {why}"))
                .help("for example `stg_orders`, `+mart`, `tag:nightly`, `path:models/staging`, `2+dim_patient+1`")
        };
        let (with_siblings, rest) = match text.strip_prefix('@') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (parents, rest) = match rest[digits..].strip_prefix('+') {
            Some(after) => (Some(depth(&rest[..digits])), after),
            None => (None, rest),
        };
        let head = rest.trim_end_matches(|c: char| c.is_ascii_digit());
        let (children, rest) = match head.strip_suffix('+') {
            Some(before) => (Some(depth(&rest[head.len()..])), before),
            None => (None, rest),
        };
        if with_siblings && children.is_some() {
            return Err(bad("`@` already takes what is below"));
        }
        let (method, value) = match rest.split_once(':') {
            // A drive letter or a URL is no method.
            Some((method, value)) if is_method(method) => (method.to_owned(), value.to_owned()),
            _ => (default_method(rest).to_owned(), rest.to_owned()),
        };
        if value.is_empty() {
            return Err(bad("there is no name in it"));
        }
        let mut parts = method.split('.').map(str::to_owned);
        let method = parts.next().unwrap_or_default();
        Ok(Self { method, arguments: parts.collect(), value, with_siblings, parents, children })
    }
}

fn depth(digits: &str) -> Option<usize> {
    digits.parse().ok()
}

fn is_method(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '.')
}

fn default_method(value: &str) -> &'static str {
    if value.contains(['/', '\\']) {
        "path"
    } else if [".sql", ".csv", ".py"].iter().any(|end| value.to_ascii_lowercase().ends_with(end)) {
        "file"
    } else {
        "fqn"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn criteria_are_taken_apart() {
        let atom = |text| Atom::parse(text).unwrap();
        let plain = atom("stg_x");
        assert_eq!(
            (plain.method.as_str(), plain.value.as_str(), plain.parents, plain.children),
            ("fqn", "stg_x", None, None)
        );
        let both = atom("2+config.meta.owner:me+1");
        assert_eq!(
            (both.method.as_str(), both.arguments, both.value.as_str()),
            ("config", vec!["meta".to_owned(), "owner".to_owned()], "me")
        );
        assert_eq!((both.parents, both.children), (Some(Some(2)), Some(Some(1))));
        assert_eq!(atom("+x").parents, Some(None));
        assert!(atom("@x").with_siblings);
        assert_eq!(atom("models/a/*").method, "path");
        assert_eq!(atom("x1").value, "x1");
        assert!(Atom::parse("@x+").is_err() && Atom::parse("+").is_err() && Atom::parse("tag:").is_err());
    }
}
