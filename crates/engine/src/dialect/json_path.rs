//! JSON paths: `$.a.b[0]`, `a.b`, `$['a b']`, `/a/b` as steps.

use datafusion::sql::sqlparser::ast::{Expr, JsonPath, JsonPathElem};

use super::build::{number, text};

/// The steps of a path as arguments of `json_get…`; None if it is none.
pub(super) fn steps(path: &str) -> Option<Vec<Expr>> {
    let path = path.trim();
    if let Some(pointer) = path.strip_prefix('/') {
        return Some(pointer.split('/').map(|step| step.parse().map_or_else(|_| text(step), number)).collect());
    }
    let mut rest = path.strip_prefix('$').unwrap_or(path);
    let mut steps = Vec::new();
    while !rest.is_empty() {
        if let Some(inner) = rest.strip_prefix('[') {
            let (step, after) = inner.split_once(']')?;
            let step = step.trim();
            let quoted = step.strip_prefix(['\'', '"']).and_then(|step| step.strip_suffix(['\'', '"']));
            steps.push(match quoted {
                Some(key) => text(key),
                None => number(step.parse().ok()?),
            });
            rest = after;
            continue;
        }
        rest = rest.strip_prefix('.').unwrap_or(rest);
        if let Some(inner) = rest.strip_prefix('"') {
            let (key, after) = inner.split_once('"')?;
            steps.push(text(key));
            rest = after;
            continue;
        }
        let end = rest.find(['.', '[']).unwrap_or(rest.len());
        let (key, after) = rest.split_at(end);
        // Wildcards select many values, which these functions do not return.
        if key.is_empty() || key.contains('*') {
            return None;
        }
        steps.push(text(key));
        rest = after;
    }
    Some(steps)
}

/// The steps of Snowflake's `x:a.b[0]`.
pub(super) fn access_steps(path: &JsonPath) -> Vec<Expr> {
    path.path
        .iter()
        .map(|step| match step {
            JsonPathElem::Dot { key, .. } => text(key.clone()),
            JsonPathElem::Bracket { key } | JsonPathElem::ColonBracket { key } => key.clone(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_become_steps() {
        let check = |path: &str, expected: Option<&str>| {
            let found = steps(path).map(|steps| steps.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "));
            assert_eq!(found.as_deref(), expected, "{path}");
        };
        check("$.name[0].family", Some("'name' 0 'family'"));
        check("a.b", Some("'a' 'b'"));
        check("$['a b'].c", Some("'a b' 'c'"));
        check("/a/0", Some("'a' 0"));
        check("$", Some(""));
        check("$.a[*]", None);
    }
}
