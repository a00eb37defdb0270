//! What the columns of files hold: the type that every value fits, and whether a column could be the key.

use std::{
    collections::{HashMap, HashSet, hash_map::DefaultHasher},
    hash::{Hash, Hasher},
};

use arrow::array::{Array, AsArray};
use chrono::{NaiveDate, NaiveDateTime};
use wardlake_connect::Chunk;

use super::names::identifier;

/// So many rows of a file tell whether its values differ.
const KEY_ROWS: u64 = 2_000_000;
/// Digits that a whole number may have to fit 64 bits.
const WHOLE_DIGITS: usize = 18;
/// Digits that a floating-point number keeps.
const EXACT_DIGITS: usize = 15;
/// Digits behind the point that a decimal column keeps; what has more is a floating-point number.
const SCALE: usize = 4;

/// Words in the names of columns whose digits are no quantity: as numbers they would lose their leading zeros.
const CODE_WORDS: &str = "account anr barcode bsnr code fax iban icd id identifier ids ik lanr license loinc mobile mrn npi phone plz \
                          postal postcode ssn tel telephone uuid zip zipcode";
/// Words that say so at the end of a name: `room_number`, but not `number_of_beds`.
const LAST_CODE_WORDS: &str = "contact key no nr number policy ref";

/// The type of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// Text that names something.
    Code,
    Text,
    Boolean,
    Integer,
    Decimal,
    Double,
    Date,
    Timestamp,
}

/// What is known of one column.
pub(crate) struct Column {
    /// As the files spell it.
    pub(crate) name: String,
    pub(crate) kind: Kind,
    /// Whether every row of every file has a value here that no other row of its file has.
    pub(crate) is_unique: bool,
}

/// What all values so far have in common.
#[derive(Clone, Copy)]
struct Fits {
    boolean: bool,
    integer: bool,
    number: bool,
    date: bool,
    timestamp: bool,
    /// The most digits before and behind the point.
    whole: usize,
    scale: usize,
}

struct Seen {
    name: String,
    fits: Fits,
    has_value: bool,
    is_unique: bool,
    /// Rows of the file that have a value here, and the values' hashes.
    filled: u64,
    values: HashSet<u64>,
}

/// Looks at the rows of a table's files.
#[derive(Default)]
pub(super) struct Look {
    columns: Vec<Seen>,
    by_name: HashMap<String, usize>,
    file_rows: u64,
    pub(super) rows: u64,
}

impl Look {
    /// The names so far, as they were first spelled.
    pub(super) fn names(&self) -> Vec<String> {
        self.columns.iter().map(|column| column.name.clone()).collect()
    }

    /// Notes columns of a file that may have no rows.
    pub(super) fn note(&mut self, names: &[String]) {
        for name in names {
            self.place(name);
        }
    }

    fn place(&mut self, name: &str) -> usize {
        // A column that earlier files did not have is in none of their rows.
        let is_unique = self.rows == self.file_rows;
        let columns = &mut self.columns;
        *self.by_name.entry(name.to_lowercase()).or_insert_with(|| {
            let fits =
                Fits { boolean: true, integer: true, number: true, date: true, timestamp: true, whole: 0, scale: 0 };
            columns.push(Seen {
                name: name.to_owned(),
                fits,
                has_value: false,
                is_unique,
                filled: 0,
                values: HashSet::new(),
            });
            columns.len() - 1
        })
    }

    /// Looks at some rows.
    pub(super) fn add(&mut self, chunk: &Chunk) {
        for (name, array) in chunk.columns.iter().zip(&chunk.arrays) {
            let place = self.place(name);
            let Some(texts) = array.as_string_opt::<i32>() else { continue };
            let column = &mut self.columns[place];
            let is_counted = column.is_unique && self.file_rows < KEY_ROWS;
            for value in (0..texts.len()).filter(|row| texts.is_valid(*row)).map(|row| texts.value(row).trim()) {
                if value.is_empty() {
                    continue;
                }
                column.filled += 1;
                column.has_value = true;
                column.fits.narrow(value);
                if is_counted && column.is_unique {
                    let mut hasher = DefaultHasher::new();
                    value.hash(&mut hasher);
                    column.is_unique = column.values.insert(hasher.finish());
                }
            }
            if !column.is_unique {
                column.values = HashSet::new();
            }
        }
        self.file_rows += chunk.rows as u64;
        self.rows += chunk.rows as u64;
    }

    /// A file has ended: its keys may come again in the next.
    pub(super) fn end_file(&mut self) {
        for column in &mut self.columns {
            column.is_unique &= column.filled == self.file_rows;
            column.filled = 0;
            column.values = HashSet::new();
        }
        self.file_rows = 0;
    }

    pub(super) fn finish(self) -> Vec<Column> {
        let column = |seen: Seen| Column {
            kind: if seen.has_value { seen.fits.kind(&seen.name) } else { Kind::Text },
            is_unique: seen.has_value && seen.is_unique,
            name: seen.name,
        };
        self.columns.into_iter().map(column).collect()
    }
}

impl Fits {
    fn narrow(&mut self, value: &str) {
        self.boolean = self.boolean && (value.eq_ignore_ascii_case("true") || value.eq_ignore_ascii_case("false"));
        if self.number {
            match digits(value) {
                Some((whole, scale)) => {
                    self.whole = self.whole.max(whole);
                    self.scale = self.scale.max(scale);
                    self.integer &= scale == 0 && !value.contains('.');
                }
                None => (self.number, self.integer) = (false, false),
            }
        }
        let is_date = (self.date || self.timestamp) && is_date(value);
        self.date &= is_date;
        self.timestamp = self.timestamp && (is_date || is_timestamp(value));
    }

    fn kind(self, name: &str) -> Kind {
        let is_code = is_code(name);
        match self {
            Self { boolean: true, .. } => Kind::Boolean,
            Self { number: true, .. } if is_code => Kind::Code,
            Self { integer: true, whole: ..=WHOLE_DIGITS, .. } => Kind::Integer,
            Self { number: true, whole, scale: ..=SCALE, .. } if whole + SCALE <= WHOLE_DIGITS => Kind::Decimal,
            Self { number: true, whole, scale, .. } if whole + scale <= EXACT_DIGITS => Kind::Double,
            // As a number it would lose digits.
            Self { number: true, .. } => Kind::Code,
            Self { date: true, .. } => Kind::Date,
            Self { timestamp: true, .. } => Kind::Timestamp,
            _ if is_code => Kind::Code,
            _ => Kind::Text,
        }
    }
}

/// Whether a column of this name names something.
pub(super) fn is_code(name: &str) -> bool {
    let is_among = |words: &str, word: &str| words.split_whitespace().any(|code| code == word);
    let name = identifier(name);
    let mut words = name.split('_');
    words.clone().any(|word| is_among(CODE_WORDS, word))
        || words.next_back().is_some_and(|last| is_among(LAST_CODE_WORDS, last))
}

/// Digits before and behind the point of a number without leading zeros.
fn digits(value: &str) -> Option<(usize, usize)> {
    let value = value.strip_prefix('-').unwrap_or(value);
    let (whole, fraction) = value.split_once('.').unwrap_or((value, "0"));
    let are_digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let has_leading_zero = whole.len() > 1 && whole.starts_with('0');
    let scale = if value.contains('.') { fraction.len() } else { 0 };
    (are_digits(whole) && are_digits(fraction) && !has_leading_zero).then_some((whole.len(), scale))
}

fn is_date(value: &str) -> bool {
    value.len() == 10 && is_written_with(value, b"-") && NaiveDate::parse_from_str(value, "%Y-%m-%d").is_ok()
}

/// Local date and time to the second or finer; with a zone it is an instant, whose zone a timestamp would drop.
fn is_timestamp(value: &str) -> bool {
    value.len() >= 19
        && value.is_char_boundary(10)
        && is_written_with(&value[..10], b"-")
        && value.get(11..).is_some_and(|time| is_written_with(time, b":."))
        && ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f"]
            .iter()
            .any(|format| NaiveDateTime::parse_from_str(value, format).is_ok())
}

/// Digits and these: what parses a date takes spaces and signs as well, what casts one does not.
fn is_written_with(text: &str, others: &[u8]) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit() || others.contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_is_what_every_value_fits() {
        for (name, values, expected) in [
            ("beds", &["1", "20", "-3"][..], Kind::Integer),
            ("beds", &["1", "x"], Kind::Text),
            ("amount", &["1.5", "20"], Kind::Decimal),
            ("amount", &["1.123456", "20"], Kind::Double),
            ("amount", &["007"], Kind::Text),
            ("zip_code", &["12345"], Kind::Code),
            ("ContactNumber", &["6920112242"], Kind::Code),
            ("patient_id", &["x1"], Kind::Code),
            ("active", &["True", "FALSE"], Kind::Boolean),
            ("born", &["1970-01-31"], Kind::Date),
            ("born", &["1970-02-31"], Kind::Text),
            ("born", &["1/31/1970", "1970-01-31"], Kind::Text),
            ("seen", &["2025-01-02", "2025-01-02T10:00:00.5"], Kind::Timestamp),
            ("seen", &["2025-01-02T10:00:00Z"], Kind::Text),
            ("number_of_beds", &["12"], Kind::Integer),
            ("room_number", &["12"], Kind::Code),
            ("big", &["1234567890123456789012"], Kind::Code),
        ] {
            let mut fits =
                Fits { boolean: true, integer: true, number: true, date: true, timestamp: true, whole: 0, scale: 0 };
            values.iter().for_each(|value| fits.narrow(value));
            assert_eq!(fits.kind(name), expected, "{name} {values:?}");
        }
    }
}
