//! New inputs from known ones, and settings to read them by.

use std::io::Write;

use flate2::{Compression as Level, write::GzEncoder};
use rand::{Rng, rngs::SmallRng, seq::IndexedRandom};
use serde_json::{Map, Value, json};

use super::{
    Shape,
    case::{Case, table},
    text::{compression_of, uncompressed},
};

/// Longer inputs say nothing new and cost time.
const MAX_BYTES: usize = 16 * 1024;

const DELIMITED: &[&[u8]] = &[
    b"\"",
    b"\"\"",
    b"\",\"",
    b",",
    b";",
    b"|",
    b"||",
    b"\t",
    b"\n",
    b"\r",
    b"\r\n",
    b"\\",
    b"\\\"",
    b"\\\n",
    b"#",
    b"\n#",
    b"'",
    b"\0",
    b" ",
    b"\n\n",
    b",,",
    b"\"\n",
    b"\n\"",
    b"\xFF",
    b"\xC3\xA9",
    b"\xE9",
    b"\xEF\xBB\xBF",
    b"\xFF\xFE",
    b"a",
    b"1",
    b"NULL",
    b"PAR1",
];
const OBJECTS: &[&[u8]] = &[
    b"{",
    b"}",
    b"[",
    b"]",
    b"\"",
    b":",
    b",",
    b"\\",
    b"\n",
    b"\r\n",
    b"\r",
    b" ",
    b"\0",
    b"{}",
    b"[]",
    b"{\"a\":1}",
    b"\"a\":",
    b"null",
    b"true",
    b"-",
    b"1e5",
    b"0.5",
    b"\\u0000",
    b"\\ud83d",
    b"\\u00e9",
    b"\xFF",
    b"\xC3\xA9",
    b"\xEF\xBB\xBF",
    b"\xFF\xFE",
    b"\"data\":[",
    b"NaN",
    b"\t",
    b"PAR1",
];

const MESSAGES: &[&[u8]] = &[
    b"MSH|^~\\&|A|F|||2026||ADT^A01|1|P|2.5\r",
    b"MSH|",
    b"MSH",
    b"MSH#*~!&#",
    b"\rPID|1||P1\r",
    b"\rZZZ|",
    b"FHS|^~\\&|\r",
    b"BHS|^~\\&|\r",
    b"BTS|1\r",
    b"\rBTS|2|\r",
    b"FTS|1\r",
    b"\rFTS|7\r",
    b"\r",
    b"\n",
    b"\r\n",
    b"\r\r",
    b"\x0B",
    b"\x1C\r",
    b"\x1C",
    b"\x1C\r\x0B",
    b"\x0BMSH|",
    b"|",
    b"^",
    b"~",
    b"&",
    b"\\",
    b"\\F\\",
    b"\\XC3A9\\",
    b"\\X00\\",
    b"\\M2442\\",
    b"\"\"",
    b" ",
    b"\0",
    b"\xE9",
    b"\xC3\xA9",
    b"\xEF\xBB\xBF",
    b"\xFF\xFE",
    b"\x1B$B",
    b"UNICODE UTF-8",
    b"8859/1",
    b"+0530",
];

/// An input made from the corpus, with settings and cuts that are drawn for it.
pub(crate) fn case(rng: &mut SmallRng, shape: Shape, corpus: &[Vec<u8>]) -> Case {
    let entry = pick(rng, corpus);
    let compression = compression_of(&entry);
    let mut bytes = match uncompressed(&entry, compression) {
        Some(text) if rng.random_bool(0.7) => text,
        _ => entry,
    };
    for _ in 0..rng.random_range(0..8) {
        mutate(rng, shape, &mut bytes, corpus);
        bytes.truncate(MAX_BYTES);
    }
    if rng.random_ratio(1, 20)
        && let Ok(text) = std::str::from_utf8(&bytes)
    {
        bytes = utf16(text, rng.random(), rng.random());
    }
    if rng.random_ratio(1, 20) {
        bytes = compressed(rng, &bytes);
    }
    let format = loop {
        let format = settings(rng, shape);
        if table(&format).is_some() {
            break format;
        }
    };
    let size = bytes.len().max(2);
    let pieces = vec![
        (rng.random_range(1..64), rng.random_range(1..4)),
        (rng.random_range(1..size.min(4096)), rng.random_range(2..5)),
    ];
    Case { bytes, format, pieces }
}

fn pick(rng: &mut SmallRng, corpus: &[Vec<u8>]) -> Vec<u8> {
    corpus.choose(rng).cloned().unwrap_or_default()
}

pub(crate) fn mutate(rng: &mut SmallRng, shape: Shape, bytes: &mut Vec<u8>, corpus: &[Vec<u8>]) {
    let at = rng.random_range(0..=bytes.len());
    let end = (at + rng.random_range(0..40)).min(bytes.len());
    match rng.random_range(0..9) {
        0 if at < bytes.len() => bytes[at] ^= 1 << rng.random_range(0..8),
        1 if at < bytes.len() => bytes[at] = rng.random(),
        2 => bytes.truncate(at),
        3 => {
            bytes.drain(at..end);
        }
        4 => {
            let part = bytes[at..end].to_vec();
            bytes.splice(at..at, part);
        }
        5 => {
            let other = pick(rng, corpus);
            let from = rng.random_range(0..=other.len());
            let to = (from + rng.random_range(0..200)).min(other.len());
            bytes.splice(at..end, other[from..to].iter().copied());
        }
        6 => {
            let from = rng.random_range(0..=bytes.len());
            let part = bytes[at..end].to_vec();
            bytes.splice(from..from, part);
        }
        _ => {
            let tokens = match shape {
                Shape::Csv => DELIMITED,
                Shape::Ndjson | Shape::Json => OBJECTS,
                Shape::Hl7 => MESSAGES,
            };
            for _ in 0..rng.random_range(1..4) {
                let token = tokens.choose(rng).copied().unwrap_or_default();
                bytes.splice(at..at, token.iter().copied());
            }
        }
    }
}

fn utf16(text: &str, is_big_endian: bool, has_mark: bool) -> Vec<u8> {
    let mark = has_mark.then_some(0xFEFF);
    let units = mark.into_iter().chain(text.encode_utf16());
    units.flat_map(|unit| if is_big_endian { unit.to_be_bytes() } else { unit.to_le_bytes() }).collect()
}

/// One or two members, at times cut short.
fn compressed(rng: &mut SmallRng, bytes: &[u8]) -> Vec<u8> {
    let is_gzip = rng.random();
    let (one, two) = bytes.split_at(rng.random_range(0..=bytes.len()));
    let mut out = Vec::new();
    for part in [one, two] {
        if is_gzip {
            let mut encoder = GzEncoder::new(&mut out, Level::fast());
            encoder.write_all(part).unwrap();
            encoder.finish().unwrap();
        } else {
            out.extend(zstd::encode_all(part, 1).unwrap());
        }
    }
    if rng.random_ratio(1, 3) {
        out.truncate(rng.random_range(0..=out.len()));
    }
    out
}

fn settings(rng: &mut SmallRng, shape: Shape) -> Value {
    let mut format = Map::new();
    let mut set = |name: &str, choices: &[Value], one_in: u32| {
        if rng.random_ratio(1, one_in)
            && let Some(choice) = choices.choose(rng)
        {
            format.insert(name.to_owned(), choice.clone());
        }
    };
    let encodings = ["utf-8", "utf-16", "utf-16le", "utf-16be", "latin-1", "windows-1252"].map(Value::from);
    set("encoding", &encodings, 3);
    set("compression", &["none", "gzip", "zstd"].map(Value::from), 20);
    set("null", &[json!("NULL"), json!(["", "a"])], 4);
    match shape {
        Shape::Csv => {
            set("type", &["csv", "csv", "csv", "csv", "tsv", "auto"].map(Value::from), 1);
            set("delimiter", &[",", ",", ";", "tab", "|", "||", ",,", "é", " ", "a"].map(Value::from), 2);
            set("quote", &["'", "none"].map(Value::from), 4);
            set("escape", &["\\", "\\", "'", "#"].map(Value::from), 3);
            set("comment", &["#", "#", "'", "\\", "\""].map(Value::from), 3);
            set("header", &[json!(true), json!(false), json!("auto")], 2);
            set("columns", &[json!(["a", "b"]), json!(["id", "name", "at"])], 5);
            set("empty_is_null", &[json!(true), json!(false)], 3);
            set("ragged", &["pad", "reject"].map(Value::from), 3);
            set("skip_rows", &[json!(1), json!(2), json!(9)], 5);
        }
        Shape::Ndjson => set("type", &["ndjson", "ndjson", "ndjson", "auto"].map(Value::from), 1),
        Shape::Json => {
            set("type", &["json", "json", "json", "auto"].map(Value::from), 1);
            set("records", &["", "/data", "/d/items", "/data/0", "/a"].map(Value::from), 3);
        }
        Shape::Hl7 => {
            set("type", &["hl7", "hl7", "hl7", "auto"].map(Value::from), 1);
            set("mapping", &[json!({"columns": {"x": "ZZZ-1[*]"}, "accept": {"processing": "P"}})], 4);
        }
    }
    Value::Object(format)
}
