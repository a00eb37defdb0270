//! Names: of files, which differ in a date or a number from day to day; of tables and columns, as SQL can have them without quotes.

use chrono::{Datelike, NaiveDate};

/// A part of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Token {
    Text(String),
    /// A date that `{date}` stands for.
    Date,
    /// Any other digits.
    Digits(String),
}

/// The path as its parts.
pub(super) fn tokens(path: &str) -> Vec<Token> {
    let bytes = path.as_bytes();
    let mut tokens = Vec::new();
    let (mut start, mut at) = (0, 0);
    while at < bytes.len() {
        if !bytes[at].is_ascii_digit() {
            at += 1;
            continue;
        }
        if start < at {
            tokens.push(Token::Text(path[start..at].to_owned()));
        }
        match date_length(&bytes[at..]) {
            Some(length) => {
                tokens.push(Token::Date);
                at += length;
            }
            None => {
                let digits = bytes[at..].iter().take_while(|byte| byte.is_ascii_digit()).count();
                tokens.push(Token::Digits(path[at..at + digits].to_owned()));
                at += digits;
            }
        }
        start = at;
    }
    if start < path.len() {
        tokens.push(Token::Text(path[start..].to_owned()));
    }
    tokens
}

/// How long the date is with which these bytes begin: `2025-01-31`, `2025_01_31` or `20250131`, as `{date}` takes them.
fn date_length(bytes: &[u8]) -> Option<usize> {
    [(10, "%Y-%m-%d"), (10, "%Y_%m_%d"), (8, "%Y%m%d")].into_iter().find_map(|(length, format)| {
        let text = std::str::from_utf8(bytes.get(..length)?).ok()?;
        let has_shape = text.bytes().filter(u8::is_ascii_digit).count() == 8;
        let date = NaiveDate::parse_from_str(text, format).ok().filter(|_| has_shape)?;
        // Eight digits are more often a number than a date of another age.
        (1900..=2100).contains(&date.year()).then_some(length)
    })
}

/// What files of one table have in common: everything but dates and digits.
pub(super) fn shape(tokens: &[Token]) -> String {
    tokens
        .iter()
        .map(|token| match token {
            Token::Text(text) => text.as_str(),
            Token::Date => "\u{1}",
            Token::Digits(_) => "\u{2}",
        })
        .collect()
}

/// The digits of a path, in order.
pub(super) fn digits(tokens: &[Token]) -> Vec<&str> {
    let mut found = Vec::new();
    for token in tokens {
        if let Token::Digits(digits) = token {
            found.push(digits.as_str());
        }
    }
    found
}

/// The pattern of these paths, which have one shape: their text, `{date}` for dates, `[0-9]*` for digits that are not everywhere the
/// same.
pub(super) fn pattern(paths: &[Vec<Token>]) -> String {
    let Some(first) = paths.first() else { return String::new() };
    let part = |(place, token): (usize, &Token)| match token {
        Token::Text(text) => literal(text),
        Token::Date => "{date}".to_owned(),
        Token::Digits(digits) if paths.iter().all(|path| path.get(place) == Some(token)) => digits.clone(),
        Token::Digits(_) => "[0-9]*".to_owned(),
    };
    first.iter().enumerate().map(part).collect()
}

/// A text that a pattern takes as it is.
pub(super) fn literal(text: &str) -> String {
    text.chars().map(|c| if "*?[]{}\\".contains(c) { format!("[{c}]") } else { c.to_string() }).collect()
}

/// The table's name: the text of the file's name without its ending, else that of a folder above it.
pub(super) fn table_name(tokens: &[Token]) -> Option<String> {
    let path: String = tokens
        .iter()
        .map(|token| match token {
            Token::Text(text) => text.clone(),
            Token::Date | Token::Digits(_) => " ".to_owned(),
        })
        .collect();
    path.rsplit('/').map(identifier).find(|name| !name.is_empty())
}

/// `PatientID` as `patient_id`, `Date of birth` as `date_of_birth`; empty where nothing is left.
pub(super) fn identifier(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut name = String::with_capacity(text.len() + 4);
    for (at, &c) in chars.iter().enumerate() {
        let before = at.checked_sub(1).and_then(|at| chars.get(at));
        let follows_lower = before.is_some_and(|before| before.is_lowercase() || before.is_numeric());
        let ends_capitals = before.is_some_and(|before| before.is_uppercase())
            && chars.get(at + 1).is_some_and(|after| after.is_lowercase());
        if !c.is_alphanumeric() || (c.is_uppercase() && (follows_lower || ends_capitals)) {
            name.push('_');
        }
        if c.is_alphanumeric() {
            name.extend(c.to_lowercase());
        }
    }
    let words: Vec<&str> = name.split('_').filter(|word| !word.is_empty()).collect();
    let name = words.join("_");
    match name.chars().next() {
        Some(first) if first.is_numeric() => format!("n_{name}"),
        _ => name,
    }
}

/// A name of which `taken` has no other, numbered where it has to be.
pub(super) fn unique(name: &str, taken: &mut std::collections::BTreeSet<String>) -> String {
    let mut candidate = name.to_owned();
    let mut number = 1;
    while !taken.insert(candidate.clone()) {
        number += 1;
        candidate = format!("{name}_{number}");
    }
    candidate
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_one_table_have_one_pattern() {
        for (paths, expected) in [
            (&["patients.csv"][..], "patients.csv"),
            (&["adt/adt_2025-01-02.json"], "adt/adt_{date}.json"),
            (&["p_20250102.csv", "p_20250103.csv"], "p_{date}.csv"),
            (&["p_20251399.csv", "p_20251398.csv"], "p_[0-9]*.csv"),
            (&["ward7/p_1.csv", "ward7/p_12.csv"], "ward7/p_[0-9]*.csv"),
            (&["p_20250102123000.csv", "p_20250103123001.csv"], "p_{date}[0-9]*.csv"),
            (&["a[1]*{x}.csv"], "a[[]1[]][*][{]x[}].csv"),
        ] {
            let paths: Vec<Vec<Token>> = paths.iter().map(|path| tokens(path)).collect();
            assert!(paths.windows(2).all(|pair| shape(&pair[0]) == shape(&pair[1])), "{paths:?}");
            assert_eq!(pattern(&paths), expected);
        }
    }

    #[test]
    fn names_are_as_sql_has_them() {
        for (text, expected) in [
            ("FullName", "full_name"),
            ("DOB", "dob"),
            ("patientID", "patient_id"),
            ("HTTPStatus code", "http_status_code"),
            ("Größe (cm)", "größe_cm"),
            ("2nd", "n_2nd"),
            ("PATIENT", "patient"),
            ("a__b_", "a_b"),
            ("%", ""),
        ] {
            assert_eq!(identifier(text), expected);
        }
        for (path, expected) in
            [("patients_2025-01-02", Some("patients")), ("billing/20250102", Some("billing")), ("20250102", None)]
        {
            assert_eq!(table_name(&tokens(path)).as_deref(), expected);
        }
    }
}
