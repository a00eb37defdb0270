//! What a column of text looks like: enough to notice that `integer` became `text` between two extracts.

use std::collections::BTreeMap;

use arrow::array::{Array, ArrayRef, AsArray};

/// Values looked at per column and file.
const SAMPLE: usize = 1000;

/// So many of a hundred values have to fit a class: a few damaged ones do not change what a column is.
const ENOUGH_PERCENT: usize = 95;

/// The narrowest class that nearly all sampled values of a column fit.
fn class_of(values: &ArrayRef) -> Option<&'static str> {
    let text = values.as_string_opt::<i32>()?;
    let mut counts: BTreeMap<&'static str, usize> = BTreeMap::new();
    for value in (0..text.len().min(SAMPLE)).filter(|&row| text.is_valid(row)).map(|row| text.value(row).trim()) {
        if !value.is_empty() {
            *counts.entry(class_of_value(value)).or_default() += 1;
        }
    }
    let total: usize = counts.values().sum();
    let count = |class: &str| counts.get(class).copied().unwrap_or_default();
    let is_enough = |fitting: usize| fitting * 100 >= total * ENOUGH_PERCENT;
    let classes = [
        ("integer", count("integer")),
        ("decimal", count("integer") + count("decimal")),
        ("date", count("date")),
        ("timestamp", count("date") + count("timestamp")),
    ];
    match total {
        0 => None,
        _ => Some(classes.iter().find(|(_, fitting)| is_enough(*fitting)).map_or("text", |(class, _)| class)),
    }
}

fn class_of_value(value: &str) -> &'static str {
    let bytes = value.as_bytes();
    let digits = bytes.strip_prefix(b"-").unwrap_or(bytes);
    if digits.iter().all(u8::is_ascii_digit) {
        // Leading zeros are part of an identifier, not of a number.
        return if digits.is_empty() || (digits.len() > 1 && digits[0] == b'0') { "text" } else { "integer" };
    }
    if digits[0].is_ascii_digit()
        && digits.iter().all(|b| b.is_ascii_digit() || *b == b'.')
        && value.parse::<f64>().is_ok()
    {
        return "decimal";
    }
    let is_iso_date = bytes.len() >= 10
        && bytes[4] == b'-'
        && bytes[7] == b'-'
        && bytes[..4].iter().chain(&bytes[5..7]).chain(&bytes[8..10]).all(u8::is_ascii_digit);
    match (is_iso_date, bytes.len()) {
        (true, 10) => "date",
        (true, 16..) => "timestamp",
        _ => "text",
    }
}

/// The class of every column that holds a value.
pub(crate) fn classes(columns: &[String], arrays: &[ArrayRef]) -> BTreeMap<String, String> {
    let class = |(name, array): (&String, &ArrayRef)| Some((name.clone(), class_of(array)?.to_owned()));
    columns.iter().zip(arrays).filter_map(class).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::StringArray;

    use super::*;

    fn check(values: &[&str], expected: Option<&str>) {
        let array: ArrayRef = Arc::new(StringArray::from_iter_values(values));
        assert_eq!(class_of(&array), expected, "{values:?}");
    }

    #[test]
    fn the_narrowest_class_wins() {
        check(&["1", "-20", ""], Some("integer"));
        check(&["1", "2.50"], Some("decimal"));
        check(&[&["1"; 99][..], &["one"]].concat(), Some("integer"));
        check(&["007"], Some("text"));
        check(&["2025-01-02"], Some("date"));
        check(&["2025-01-02", "2025-01-02T10:00:00"], Some("timestamp"));
        check(&["2025-01-02", "1/2/2025"], Some("text"));
        check(&["", ""], None);
    }
}
