//! How the bytes of a file are to be read.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::fields::{ConfigProblem, Fields};
use crate::hl7::Mapping;

/// The shape of a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FileFormat {
    /// Chosen by the file's extension and first bytes.
    #[default]
    Auto,
    /// Delimited text.
    Csv,
    /// Delimited text whose delimiter is TAB.
    Tsv,
    /// One document: an array of objects, one object, or objects one after the other.
    Json,
    /// One object per line.
    Ndjson,
    /// Apache Parquet.
    Parquet,
    /// HL7 version 2 messages, one or many.
    Hl7,
}

impl FileFormat {
    /// Its name in the settings.
    pub fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Csv => "csv",
            Self::Tsv => "tsv",
            Self::Json => "json",
            Self::Ndjson => "ndjson",
            Self::Parquet => "parquet",
            Self::Hl7 => "hl7",
        }
    }

    /// Whether what is of one of both makes the same columns if it is read as the other: JSON in either shape, delimited text with any
    /// delimiter. `Auto` is any of them.
    pub fn is_akin_to(self, other: Self) -> bool {
        let kind = |format| match format {
            Self::Tsv => Self::Csv,
            Self::Ndjson => Self::Json,
            other => other,
        };
        self == Self::Auto || other == Self::Auto || kind(self) == kind(other)
    }
}

/// The text encoding of a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Encoding {
    /// A byte-order mark decides; else UTF-16 is known by its NUL bytes, and a record that is not UTF-8 is Windows-1252. JSON is UTF-8
    /// by its own rules: there such a record is rejected.
    #[default]
    #[serde(rename = "auto")]
    Auto,
    /// UTF-8; a record that is not is rejected.
    #[serde(rename = "utf-8", alias = "utf8")]
    Utf8,
    /// UTF-16 whose byte-order mark decides; little-endian without one.
    #[serde(rename = "utf-16", alias = "utf16")]
    Utf16,
    /// UTF-16, little-endian.
    #[serde(rename = "utf-16le", alias = "utf16le")]
    Utf16Le,
    /// UTF-16, big-endian.
    #[serde(rename = "utf-16be", alias = "utf16be")]
    Utf16Be,
    /// ISO 8859-1.
    #[serde(rename = "latin-1", alias = "latin1", alias = "iso-8859-1")]
    Latin1,
    /// Windows-1252.
    #[serde(rename = "windows-1252", alias = "cp1252")]
    Windows1252,
}

/// How a file is compressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Compression {
    /// Known by the first bytes.
    #[default]
    Auto,
    /// As it is.
    None,
    /// gzip, of one or more members.
    Gzip,
    /// Zstandard, of one or more frames.
    Zstd,
}

/// Whether the first record names the columns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Header {
    /// It does.
    #[default]
    Yes,
    /// It is data.
    No,
    /// It does unless it repeats a field, or has a field that is a number, a date or empty.
    Auto,
}

/// What separates the fields of delimited text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Delimiter {
    /// Found from the first lines, among `, ; | TAB ^ ~ : $ #`.
    #[default]
    Auto,
    /// One or more characters.
    Text(String),
}

/// What becomes of a record with too few fields.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Ragged {
    /// The missing fields are NULL, and the record is counted.
    #[default]
    Pad,
    /// It is rejected.
    Reject,
}

/// The `format` block of a file source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Format {
    /// `type`: the shape of the files.
    pub file_format: FileFormat,
    /// `delimiter`: a text, `tab`, or `auto` (default).
    pub delimiter: Delimiter,
    /// `quote`: one character (default `"`), or `none`.
    pub quote: Option<u8>,
    /// `escape`: the character that takes the next one literally; without it (default) a quote is doubled.
    pub escape: Option<u8>,
    /// `comment`: lines that begin with this character are skipped (default none).
    pub comment: Option<u8>,
    /// `header`: true (default; false where `columns` are given), false or auto.
    pub header: Header,
    /// `columns`: names in the order of the fields; they replace those of a header.
    pub columns: Vec<String>,
    /// `encoding`: default auto.
    pub encoding: Encoding,
    /// `compression`: default auto.
    pub compression: Compression,
    /// `null_values` (also read as `"null"`, which has to be quoted in YAML): texts that mean NULL, where they stand unquoted in delimited
    /// text or as a string in JSON. Default none.
    pub nulls: Vec<String>,
    /// `empty_is_null`: whether an empty field of delimited text is NULL (default). Between quotes it is the empty string either way, and so
    /// is an empty string of JSON.
    pub empty_is_null: bool,
    /// `skip_rows`: lines before the header that are not part of the table.
    pub skip_rows: usize,
    /// `records`: JSON pointer to the array (or object) of records in a JSON document.
    pub records: Option<String>,
    /// `ragged`: pad (default) or reject.
    pub ragged: Ragged,
    /// `mapping`: the columns that HL7 messages become, beside or in place of the usual ones.
    pub mapping: Mapping,
}

impl Default for Format {
    fn default() -> Self {
        Self {
            file_format: FileFormat::default(),
            delimiter: Delimiter::default(),
            quote: Some(b'"'),
            escape: None,
            comment: None,
            header: Header::default(),
            columns: Vec::new(),
            encoding: Encoding::default(),
            compression: Compression::default(),
            nulls: Vec::new(),
            empty_is_null: true,
            skip_rows: 0,
            records: None,
            ragged: Ragged::default(),
            mapping: Mapping::default(),
        }
    }
}

impl Format {
    /// Reads the block; a setting with a problem keeps its default.
    pub(crate) fn from_map(values: Map<String, Value>, problems: &mut Vec<ConfigProblem>) -> Self {
        let mut fields = Fields::new("format", values, problems);
        let default = Self::default();
        let delimiter: Option<String> = fields.take("delimiter", "a text such as `;`, `tab` or `auto`");
        let columns: Vec<String> = fields.take("columns", "a list of names").unwrap_or_default();
        let header = fields.raw("header");
        let mapping = Mapping::from_json(&fields.raw("mapping").unwrap_or(Value::Null));
        let nulls = nulls(&mut fields);
        let mut format = Self {
            file_format: fields.take("type", "one of auto, csv, tsv, json, ndjson, parquet, hl7").unwrap_or_default(),
            delimiter: delimiter.as_deref().map(delimiter_of).unwrap_or_default(),
            quote: fields.ascii("quote").unwrap_or(default.quote),
            escape: fields.ascii("escape").unwrap_or(None),
            comment: fields.ascii("comment").unwrap_or(None),
            header: if columns.is_empty() { Header::Yes } else { Header::No },
            encoding: fields
                .take("encoding", "one of auto, utf-8, utf-16, utf-16le, utf-16be, latin-1, windows-1252")
                .unwrap_or_default(),
            compression: fields.take("compression", "one of auto, none, gzip, zstd").unwrap_or_default(),
            nulls,
            empty_is_null: fields.take("empty_is_null", "true or false").unwrap_or(default.empty_is_null),
            skip_rows: fields.take("skip_rows", "a number of lines").unwrap_or_default(),
            records: fields.take("records", "a JSON pointer such as `/data/items`"),
            ragged: fields.take("ragged", "`pad` or `reject`").unwrap_or_default(),
            mapping: Mapping::default(),
            columns,
        };
        match mapping {
            Ok(mapping) => format.mapping = mapping,
            Err(found) => fields.problems(found),
        }
        match header {
            None => {}
            Some(Value::Bool(true)) => format.header = Header::Yes,
            Some(Value::Bool(false)) => format.header = Header::No,
            Some(Value::String(text)) if text == "auto" => format.header = Header::Auto,
            Some(_) => fields.problem("header", "must be true, false or `auto`".to_owned(), None),
        }
        format.check(&mut fields);
        fields.finish();
        format
    }

    fn check(&mut self, fields: &mut Fields<'_>) {
        // A doubled quote is what no escape means already.
        if self.escape == self.quote {
            self.escape = None;
        }
        if let Delimiter::Text(text) = &self.delimiter {
            let bytes = text.as_bytes();
            let special = [self.quote, self.escape, self.comment];
            if bytes.is_empty() || bytes.iter().any(|byte| matches!(byte, b'\n' | b'\r' | 0)) {
                fields.problem("delimiter", "must be one or more characters of one line".to_owned(), None);
            } else if let Some(one) = doubled(text) {
                fields.problem(
                    "delimiter",
                    "is the same separator twice: what stands between two is an empty field".to_owned(),
                    Some(format!("write `{one}`")),
                );
            } else if special.iter().flatten().any(|byte| bytes.contains(byte)) {
                fields.problem(
                    "delimiter",
                    "must differ from `quote`, `escape` and `comment`".to_owned(),
                    Some("write `quote: none` if fields are never quoted".to_owned()),
                );
            }
        }
        if let Some(pointer) = &self.records
            && !pointer.is_empty()
            && !pointer.starts_with('/')
        {
            fields.problem(
                "records",
                "must be a JSON pointer".to_owned(),
                Some(format!("write it as `/{}`", pointer.replace('.', "/"))),
            );
        }
        if self.mapping != Mapping::default() && !matches!(self.file_format, FileFormat::Hl7 | FileFormat::Auto) {
            let help = Some("write `type: hl7`".to_owned());
            fields.problem("mapping", "is for HL7 messages only".to_owned(), help);
        }
        let mut seen = std::collections::HashSet::new();
        if self.columns.iter().any(|name| name.trim().is_empty() || !seen.insert(name.trim().to_lowercase())) {
            fields.problem("columns", "must be names that differ from each other".to_owned(), None);
        }
    }
}

/// `null` is the older name of `null_values`.
fn nulls(fields: &mut Fields<'_>) -> Vec<String> {
    if fields.has("null_values") && fields.has("null") {
        let help = Some("write all of them under `null_values`".to_owned());
        fields.problem("null", "is another name of `null_values`".to_owned(), help);
    }
    let older = fields.texts("null");
    fields.texts("null_values").or(older).unwrap_or_default()
}

/// The separator that a delimiter repeats, if it is one of those that no file doubles; `||` and `::` are in use.
fn doubled(delimiter: &str) -> Option<&'static str> {
    [(',', ","), (';', ";"), ('\t', "tab")]
        .into_iter()
        .find(|(one, _)| delimiter.len() > 1 && delimiter.chars().all(|char| char == *one))
        .map(|(_, written)| written)
}

fn delimiter_of(text: &str) -> Delimiter {
    match text {
        "auto" => Delimiter::Auto,
        "tab" | "TAB" | "\\t" => Delimiter::Text("\t".to_owned()),
        other => Delimiter::Text(other.to_owned()),
    }
}
