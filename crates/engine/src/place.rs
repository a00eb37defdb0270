//! Where in a text stands what its query failed at.

use datafusion::sql::sqlparser::{
    dialect::GenericDialect,
    tokenizer::{Token, Tokenizer},
};

use crate::{EngineError, dialect, error::NO_FUNCTION};

/// A place in a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// From 1.
    pub line: usize,
    /// In characters, from 1.
    pub column: usize,
}

impl EngineError {
    /// Where in `sql`, whose planning gave this error, stands what it is about; none if that is not certain. The planner's own places are
    /// those of the rewritten statement, so a name has its place where the text has it once.
    pub fn place_in(&self, sql: &str) -> Option<Place> {
        match self {
            Self::Syntax(_) => {
                let found = dialect::rewrite(sql).err().filter(|found| found.line > 0)?;
                Some(Place { line: found.line, column: found.column })
            }
            Self::UnknownTable { name, .. } => only_place(sql, name.rsplit('.').next()?.trim_matches('"')),
            Self::UnknownColumn { column, .. } => only_place(sql, column),
            Self::Plan { message } => only_place(sql, message.strip_prefix(NO_FUNCTION)?.split('`').next()?),
            _ => None,
        }
    }
}

/// Where a name stands, if it stands once in the code: not in comments, nor in literals.
fn only_place(sql: &str, name: &str) -> Option<Place> {
    let tokens = Tokenizer::new(&GenericDialect {}, sql).tokenize_with_location().ok()?;
    let mut found = tokens.iter().filter(|token| match &token.token {
        Token::Word(word) if word.quote_style.is_some() => word.value == name,
        Token::Word(word) => word.value.eq_ignore_ascii_case(name),
        _ => false,
    });
    let start = found.next()?.span.start;
    match found.next() {
        Some(_) => None,
        None => Some(Place { line: usize::try_from(start.line).ok()?, column: usize::try_from(start.column).ok()? }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn e01_a_name_has_a_place_where_it_stands_once() {
        let unknown = EngineError::UnknownColumn { column: "bed".to_owned(), name: "bed".to_owned(), nearest: None };
        let check = |sql: &str, expected: Option<(usize, usize)>| {
            assert_eq!(unknown.place_in(sql).map(|place| (place.line, place.column)), expected, "{sql}");
        };
        check("select bed from x", Some((1, 8)));
        check("select -- bed\n  'bed', x.BED\nfrom x", Some((2, 12)));
        check("select bed from x where bed = 1", None);
        check("select beds from x", None);
        let syntax = dialect::rewrite("select 1\nfrom t\nwhere )").unwrap_err();
        let place = EngineError::from(syntax).place_in("select 1\nfrom t\nwhere )");
        assert_eq!(place, Some(Place { line: 3, column: 7 }));
    }
}
