//! Ephemeral models become CTEs in front of the query that uses them.

/// The ephemeral model behind a CTE.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InjectedCte {
    /// The model's unique id.
    pub id: String,
    /// `__dbt__cte__<name> as ( … )`.
    pub sql: String,
}

/// Puts `ctes` in front of `sql`, joining a `with` that is already there.
pub(crate) fn inject(sql: &str, ctes: &[InjectedCte]) -> String {
    if ctes.is_empty() {
        return sql.to_owned();
    }
    let list: Vec<&str> = ctes.iter().map(|cte| cte.sql.as_str()).collect();
    let list = list.join(", ");
    let start = skip_blank(sql, 0);
    let Some(after_with) = keyword(sql, start, "with") else {
        return format!("{}with {list}\n{}", &sql[..start], &sql[start..]);
    };
    let next = skip_blank(sql, after_with);
    let head_end = keyword(sql, next, "recursive").unwrap_or(after_with);
    format!("{} {list},{}", &sql[..head_end], &sql[head_end..])
}

/// The offset after `word` if it stands at `at` as a whole word.
fn keyword(sql: &str, at: usize, word: &str) -> Option<usize> {
    let end = at + word.len();
    let is_word = sql.get(at..end)?.eq_ignore_ascii_case(word);
    let goes_on = sql[end..].chars().next().is_some_and(|c| c.is_alphanumeric() || c == '_');
    (is_word && !goes_on).then_some(end)
}

/// The offset of the first character that is neither blank nor in a comment.
fn skip_blank(sql: &str, mut at: usize) -> usize {
    loop {
        let rest = &sql[at..];
        let trimmed = rest.trim_start();
        at += rest.len() - trimmed.len();
        let skip = if trimmed.starts_with("--") {
            trimmed.find('\n').map_or(trimmed.len(), |i| i + 1)
        } else if trimmed.starts_with("/*") {
            trimmed.find("*/").map_or(trimmed.len(), |i| i + 2)
        } else {
            return at;
        };
        at += skip;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn with_is_joined_and_comments_are_passed_over() {
        let ctes = [InjectedCte { id: "m".into(), sql: "c as (select 1)".into() }];
        let cases = [
            ("select * from c", "with c as (select 1)\nselect * from c"),
            (
                "-- with\n/* x */ WITH a as (select 2) select 3",
                "-- with\n/* x */ WITH c as (select 1), a as (select 2) select 3",
            ),
            ("with recursive r as (select 2) select 3", "with recursive c as (select 1), r as (select 2) select 3"),
            ("withdrawn", "with c as (select 1)\nwithdrawn"),
        ];
        for (sql, expected) in cases {
            assert_eq!(inject(sql, &ctes), expected);
        }
    }
}
