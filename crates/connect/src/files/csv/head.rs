//! What the first lines of delimited text tell: line end, delimiter and the names of the columns.

use super::{
    scan::{Dialect, Ending, Field, Scanner},
    split::newline_of,
};
use crate::{
    files::{names::ColumnNames, stream::decode_single_byte},
    position::Position,
    source::{Delimiter, Encoding, Format, Header},
};

/// Candidates in the order of preference.
const DELIMITERS: &[u8] = b",;|\t^~:$#";
/// So many records and bytes are looked at to find the delimiter.
const SNIFF_RECORDS: usize = 200;
const SNIFF_BYTES: usize = 256 * 1024;
/// What is looked at first.
const FIRST_WINDOW_BYTES: usize = 32 * 1024;

/// The settled reading of one file.
#[derive(Clone, Debug)]
pub(crate) struct Head {
    pub(crate) dialect: Dialect,
    pub(crate) columns: Vec<String>,
    /// Where the first data record begins.
    pub(crate) data: Position,
    /// Blank lines and comments before it.
    pub(crate) blank: u64,
}

/// Reads the head of a text. `head` is its beginning, at `start`; `tab` tells that fields are separated by TAB unless the
/// format says otherwise.
pub(crate) fn read_head(
    head: &[u8],
    start: Position,
    format: &Format,
    encoding: Encoding,
    names: &ColumnNames,
    tab: bool,
) -> Head {
    let newline = newline_of(head, format.quote);
    let mut dialect = Dialect {
        delimiter: b",".to_vec(),
        quote: format.quote,
        escape: format.escape,
        comment: format.comment,
        newline,
    };
    let mut places = Vec::new();
    let mut start = start;
    let mut rest = head;
    let named = named_delimiter(&dialect, head);
    // Who counts the lines before the header counts this one, and a line that is all of a record is kept as it is.
    if let Some((_, next)) = named
        && format.skip_rows == 0
        && format.columns.len() != 1
    {
        start = start.after(&rest[..next], newline);
        rest = &rest[next..];
    }
    for _ in 0..format.skip_rows {
        dialect.note(rest, &mut places);
        let line = Scanner::new(&dialect, rest, &places).line(0);
        start = start.after(&rest[..line.next], newline);
        rest = &rest[line.next..];
    }
    match &format.delimiter {
        Delimiter::Text(text) => dialect.delimiter = encode(text, encoding),
        Delimiter::Auto => {
            dialect.delimiter = vec![match named {
                Some((delimiter, _)) => delimiter,
                None if tab => b'\t',
                None => sniff(rest, &dialect),
            }];
        }
    }
    let mut fields = Vec::new();
    let (first, blank) = widening(rest, |window| first_record(&dialect, window, &mut fields));
    let data = match first {
        Some((begin, _)) => start.after(&rest[..begin], newline),
        None => start.after(rest, newline),
    };
    let Some((begin, next)) = first else {
        return Head { dialect, columns: names.header(&format.columns), data, blank };
    };
    let texts: Vec<String> = fields.iter().map(|field| text(&dialect, rest, *field, encoding)).collect();
    let has_header = match format.header {
        Header::Yes => true,
        Header::No => false,
        Header::Auto => looks_like_names(&texts),
    };
    let columns = if !format.columns.is_empty() {
        names.header(&format.columns)
    } else if has_header {
        names.header(&texts)
    } else {
        (1..=texts.len()).map(|number| format!("column_{number}")).collect()
    };
    let data = if has_header { data.after(&rest[begin..next], newline) } else { data };
    Head { dialect, columns, data, blank }
}

/// The delimiter that a first line such as `sep=;` names, and where the next line begins: spreadsheets write it for each other, and
/// it is no record. A spreadsheet that saves such a file again ends the line with delimiters.
fn named_delimiter(dialect: &Dialect, bytes: &[u8]) -> Option<(u8, usize)> {
    let end = memchr::memchr(dialect.newline, bytes);
    let next = end.map_or(bytes.len(), |end| dialect.behind_newline(bytes, end));
    let line = &bytes[..end.unwrap_or(bytes.len())];
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let line = line.strip_prefix(b"\"").map_or(line, |quoted| quoted.strip_suffix(b"\"").unwrap_or(quoted));
    let (name, value) = line.split_at_checked(b"sep=".len())?;
    let delimiter = match value {
        b"\\t" => b'\t',
        _ => *value.first()?,
    };
    let is_special = [dialect.quote, dialect.escape, dialect.comment].contains(&Some(delimiter));
    let is_delimiter = !is_special && (delimiter.is_ascii_punctuation() || delimiter == b'\t');
    let is_alone = value == b"\\t" || value.iter().all(|byte| *byte == delimiter);
    (name.eq_ignore_ascii_case(b"sep=") && is_delimiter && is_alone).then_some((delimiter, next))
}

/// Asks `look` what the beginning of `bytes` tells, with more of it while what was seen reaches the end of the window: the
/// answer is that for all of `bytes`, and rarely takes so many.
fn widening<T>(bytes: &[u8], mut look: impl FnMut(&[u8]) -> (T, usize)) -> T {
    let mut window = FIRST_WINDOW_BYTES;
    loop {
        let part = &bytes[..bytes.len().min(window)];
        let (answer, seen) = look(part);
        if seen < part.len() || part.len() == bytes.len() {
            return answer;
        }
        window *= 8;
    }
}

/// Begin and end of the first record that is neither blank nor a comment, and how many lines came before it; and up to where
/// was looked.
fn first_record(dialect: &Dialect, bytes: &[u8], fields: &mut Vec<Field>) -> ((Option<(usize, usize)>, u64), usize) {
    let mut places = Vec::new();
    dialect.note(bytes, &mut places);
    let mut scanner = Scanner::new(dialect, bytes, &places);
    let (mut at, mut blank, mut seen) = (0, 0, 0);
    while at < bytes.len() {
        scanner.seek(at);
        if dialect.comment == Some(bytes[at]) {
            at = scanner.line(at).next;
            blank += 1;
            continue;
        }
        let mut record = scanner.record(at, fields);
        seen = seen.max(record.next);
        if record.ending != Ending::Whole {
            // A broken header is one line of names as they stand.
            scanner.seek(at);
            record = scanner.line(at);
            split_plainly(dialect, bytes, (record.start, record.end), fields);
        }
        if bytes[record.start..record.end].iter().all(|byte| matches!(byte, b' ' | b'\r')) {
            at = record.next;
            blank += 1;
            continue;
        }
        return ((Some((at, record.next)), blank), seen);
    }
    ((None, blank), bytes.len())
}

/// Splits a line without regard to quotes.
fn split_plainly(dialect: &Dialect, bytes: &[u8], (start, end): (usize, usize), fields: &mut Vec<Field>) {
    let plain = Dialect { quote: None, escape: None, ..dialect.clone() };
    let line = &bytes[start..end];
    let mut places = Vec::new();
    plain.note(line, &mut places);
    Scanner::new(&plain, line, &places).record(0, fields);
    for field in fields {
        field.start += start;
        field.end += start;
    }
}

fn encode(text: &str, encoding: Encoding) -> Vec<u8> {
    match encoding {
        Encoding::Latin1 | Encoding::Windows1252 => encoding_rs::WINDOWS_1252.encode(text).0.into_owned(),
        _ => text.as_bytes().to_vec(),
    }
}

fn text(dialect: &Dialect, bytes: &[u8], field: Field, encoding: Encoding) -> String {
    let mut raw = Vec::new();
    if field.escaped {
        super::unescape(dialect, &bytes[field.start..field.end], field.quoted, &mut raw);
    } else {
        raw.extend_from_slice(&bytes[field.start..field.end]);
    }
    raw.retain(|byte| *byte != 0);
    let is_utf8 = !matches!(encoding, Encoding::Latin1 | Encoding::Windows1252);
    match String::from_utf8(raw) {
        Ok(text) if is_utf8 || text.is_ascii() => text,
        Ok(text) => single_byte(encoding, text.as_bytes()),
        Err(error) => single_byte(encoding, error.as_bytes()),
    }
}

fn single_byte(encoding: Encoding, bytes: &[u8]) -> String {
    let mut out = Vec::new();
    decode_single_byte(encoding, bytes, &mut out);
    String::from_utf8_lossy(&out).into_owned()
}

/// The candidate that cuts the most records into as many fields as the first one, weighed by the number of fields.
fn sniff(bytes: &[u8], dialect: &Dialect) -> u8 {
    let bytes = &bytes[..bytes.len().min(SNIFF_BYTES)];
    let mut best = (0.0, b',');
    for candidate in DELIMITERS {
        if [dialect.quote, dialect.escape, dialect.comment].contains(&Some(*candidate)) {
            continue;
        }
        let dialect = Dialect { delimiter: vec![*candidate], ..dialect.clone() };
        let score = widening(bytes, |window| score(window, &dialect));
        if score > best.0 {
            best = (score, *candidate);
        }
    }
    best.1
}

/// The weight of a delimiter, and up to where was looked.
fn score(bytes: &[u8], dialect: &Dialect) -> (f64, usize) {
    let mut places = Vec::new();
    dialect.note(bytes, &mut places);
    let mut scanner = Scanner::new(dialect, bytes, &places);
    let mut fields = Vec::new();
    let (mut at, mut width, mut records, mut equal) = (0, 0, 0_u32, 0_u32);
    while at < bytes.len() && (records as usize) < SNIFF_RECORDS {
        if dialect.comment == Some(bytes[at]) {
            at = scanner.line(at).next;
            continue;
        }
        let record = scanner.record(at, &mut fields);
        at = record.next;
        if record.start == record.end {
            continue;
        }
        records += 1;
        let count = if record.ending == Ending::Whole { fields.len() } else { 0 };
        if records == 1 {
            width = count;
        }
        equal += u32::from(count == width);
    }
    if width < 2 {
        return (0.0, at);
    }
    // A column count that holds for nearly every line beats a larger one that does not.
    let share = f64::from(equal) / f64::from(records);
    (share * share * (width as f64).ln_1p(), at)
}

/// Whether a header has values among its names, as the first line of a file without one has. Years may be names, and so may the days of
/// a month where there are several.
pub(crate) fn has_values(header: &[String]) -> bool {
    let days = header.iter().filter(|field| matches!(field.parse::<u32>(), Ok(1..=31))).count();
    matches!(days, 1 | 2) || header.iter().any(|field| is_date(field) || is_amount(field))
}

/// Whether a text is a date, with or without a time.
fn is_date(text: &str) -> bool {
    let (date, rest) = text.split_at_checked(10).unwrap_or((text, ""));
    let is_whole = rest.is_empty() || rest.starts_with([' ', 'T']);
    let mut layouts = ["%Y-%m-%d", "%d.%m.%Y", "%m/%d/%Y", "%d/%m/%Y"].into_iter();
    is_whole && layouts.any(|layout| chrono::NaiveDate::parse_from_str(date, layout).is_ok())
}

/// Whether a text is a number that is neither a year nor a day of a month.
fn is_amount(text: &str) -> bool {
    let is_number = text.starts_with(|c: char| c.is_ascii_digit() || c == '-') && text.parse::<f64>().is_ok();
    is_number && !matches!(text.parse::<u32>(), Ok(1..=31 | 1900..=2100))
}

/// Whether fields are names rather than values: none repeats another, or is a number, a date or empty.
pub(crate) fn looks_like_names(fields: &[String]) -> bool {
    let mut seen = std::collections::HashSet::new();
    fields.iter().enumerate().all(|(i, field)| {
        let field = field.trim();
        let is_value = field.parse::<f64>().is_ok()
            || chrono::NaiveDate::parse_from_str(field, "%Y-%m-%d").is_ok()
            || field.starts_with(|c: char| c.is_ascii_digit());
        // The last name may be missing: many exports end every line with a delimiter.
        !is_value && (!field.is_empty() || i + 1 == fields.len()) && seen.insert(field.to_lowercase())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_is_widened_until_the_answer_is_certain() {
        let dialect =
            Dialect { delimiter: vec![b','], quote: Some(b'"'), escape: None, comment: Some(b'#'), newline: b'\n' };
        for length in [10, FIRST_WINDOW_BYTES - 5, FIRST_WINDOW_BYTES, 10 * FIRST_WINDOW_BYTES] {
            let comment = format!("#{}\n", "x".repeat(length));
            let header = format!("a,\"{}\n\"\n", "b\n".repeat(length / 2));
            let text = format!("{comment}{header}1,2\n");
            let mut fields = Vec::new();
            let found = widening(text.as_bytes(), |window| first_record(&dialect, window, &mut fields));
            assert_eq!(found, (Some((comment.len(), comment.len() + header.len())), 1), "{length}");
            assert_eq!(fields.len(), 2, "{length}");
        }
    }
}
