//! Regular expressions (Rust's `regex`: no look-around, linear time): `regexp_substr`, `regexp_extract`,
//! `regexp_split_to_array`.

use std::{collections::HashMap, sync::Arc};

use arrow::{
    array::{ArrayRef, ListBuilder, StringBuilder},
    datatypes::{DataType, Field},
};
use datafusion::common::Result;
use regex::Regex;

use super::super::{
    FunctionDoc,
    column::Texts,
    scalar::{Call, ScalarFunction},
};
use crate::words::say;

pub(super) fn all() -> Vec<ScalarFunction> {
    vec![
        ScalarFunction::new(
            FunctionDoc {
                name: "regexp_substr",
                signature: "regexp_substr(x, pattern)\nregexp_substr(x, pattern, position, occurrence, flags, group)",
                description: "The part of x that matches; NULL if none does. position counts characters from 1, \
                              occurrence matches from 1, group 0 is the whole match. Flags: i, m, s, x, c; e with no \
                              group means the first group (as in Snowflake).",
                example: "regexp_substr('MRN 0042-7', '[0-9]+') → 0042",
            },
            2..=6,
            |_| Ok(DataType::Utf8),
            regexp_substr,
        ),
        ScalarFunction::new(
            FunctionDoc {
                name: "regexp_extract",
                signature: "regexp_extract(x, pattern)\nregexp_extract(x, pattern, group)",
                description: "The whole match, or its group; NULL if nothing matches.",
                example: "regexp_extract('bed 4-B', '([0-9]+)-([A-Z])', 2) → B",
            },
            2..=3,
            |_| Ok(DataType::Utf8),
            regexp_extract,
        ),
        ScalarFunction::new(
            FunctionDoc {
                name: "regexp_split_to_array",
                signature: "regexp_split_to_array(x, pattern)\nregexp_split_to_array(x, pattern, flags)",
                description: "The parts of x between the matches, as an array.",
                example: "regexp_split_to_array('a, b;c', '[,;] *') → [a, b, c]",
            },
            2..=3,
            |_| Ok(DataType::List(Arc::new(Field::new_list_field(DataType::Utf8, true)))),
            regexp_split_to_array,
        )
        .aliases(&["regexp_split", "string_split_regex"]),
    ]
}

/// Compiled patterns, each compiled once per batch.
struct Patterns {
    texts: Texts,
    flags: Option<Texts>,
    compiled: HashMap<(String, String), Regex>,
    name: &'static str,
}

impl Patterns {
    fn new(call: &Call<'_>, pattern: usize, flags: usize) -> Result<Self> {
        let flags = if call.has(flags) { Some(call.texts(flags)?) } else { None };
        Ok(Self { texts: call.texts(pattern)?, flags, compiled: HashMap::new(), name: call.name })
    }

    fn flags(&self, row: usize) -> &str {
        self.flags.as_ref().and_then(|flags| flags.get(row)).unwrap_or("")
    }

    fn get(&mut self, row: usize) -> Result<Option<&Regex>> {
        let Some(text) = self.texts.get(row) else { return Ok(None) };
        let flags: String = self.flags(row).chars().filter(|flag| matches!(flag, 'i' | 'm' | 's' | 'x')).collect();
        let key = (text.to_owned(), flags);
        if !self.compiled.contains_key(&key) {
            let prefix = if key.1.is_empty() { String::new() } else { format!("(?{})", key.1) };
            let Ok(regex) = Regex::new(&format!("{prefix}{}", key.0)) else {
                return say!("{}: the pattern is no regular expression", self.name);
            };
            self.compiled.insert(key.clone(), regex);
        }
        Ok(self.compiled.get(&key))
    }
}

fn regexp_substr(call: &Call<'_>) -> Result<ArrayRef> {
    let texts = call.texts(0)?;
    let (positions, occurrences, groups) = (call.integers(2)?, call.integers(3)?, call.integers(5)?);
    let mut patterns = Patterns::new(call, 1, 4)?;
    let mut out = StringBuilder::with_capacity(call.rows, call.rows * 8);
    for row in 0..call.rows {
        let position = positions.get(row).unwrap_or(1).max(1) as usize - 1;
        let occurrence = occurrences.get(row).unwrap_or(1).max(1) as usize - 1;
        let default_group = i64::from(patterns.flags(row).contains('e'));
        let group = usize::try_from(groups.get(row).unwrap_or(default_group)).unwrap_or(0);
        let found = match (texts.get(row), patterns.get(row)?) {
            (Some(text), Some(regex)) => {
                let start = text.char_indices().nth(position).map_or(text.len(), |(at, _)| at);
                regex
                    .captures_iter(&text[start..])
                    .nth(occurrence)
                    .and_then(|found| found.get(group))
                    .map(|m| m.as_str())
            }
            _ => None,
        };
        out.append_option(found);
    }
    Ok(Arc::new(out.finish()))
}

fn regexp_extract(call: &Call<'_>) -> Result<ArrayRef> {
    let (texts, groups) = (call.texts(0)?, call.integers(2)?);
    let mut patterns = Patterns::new(call, 1, usize::MAX)?;
    let mut out = StringBuilder::with_capacity(call.rows, call.rows * 8);
    for row in 0..call.rows {
        let group = usize::try_from(groups.get(row).unwrap_or(0)).unwrap_or(0);
        let found = match (texts.get(row), patterns.get(row)?) {
            (Some(text), Some(regex)) => regex.captures(text).and_then(|found| found.get(group)).map(|m| m.as_str()),
            _ => None,
        };
        out.append_option(found);
    }
    Ok(Arc::new(out.finish()))
}

fn regexp_split_to_array(call: &Call<'_>) -> Result<ArrayRef> {
    let texts = call.texts(0)?;
    let mut patterns = Patterns::new(call, 1, 2)?;
    let mut out = ListBuilder::new(StringBuilder::new());
    for row in 0..call.rows {
        match (texts.get(row), patterns.get(row)?) {
            (Some(text), Some(regex)) => {
                regex.split(text).for_each(|part| out.values().append_value(part));
                out.append(true);
            }
            _ => out.append(false),
        }
    }
    Ok(Arc::new(out.finish()))
}
