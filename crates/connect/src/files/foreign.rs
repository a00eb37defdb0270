//! What is certainly none of the formats that are read, told by its first bytes: a zip archive or a log-in page would otherwise
//! become rows of garbage, or a load of nothing that looks like a good one.
//!
//! Each sign is one that no table has: bytes that no text holds, or the words with which such a file has to begin.

use std::path::Path;

use memchr::memmem;

use super::json::text::skip_space;
use crate::ConnectError;

/// What a file is instead, and what to do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Foreign {
    what: &'static str,
    advice: &'static str,
}

const UNPACK: &str = "unpack it and deliver the files in it";
const AS_SHEETS: &str = "save each of its sheets as CSV in UTF-8 and deliver those";
const RECOMPRESS: &str = "deliver it unpacked, or compressed with gzip or zstd";
const ONCE: &str = "compress it once only, and leave `compression` of its format at `auto`";
const EXPORT: &str = "export it as CSV, NDJSON or Parquet";
const NO_TABLE: &str = "it holds no table: keep it out of the `path` of the source table";
const FROM_ITS_SYSTEM: &str = "take the data, as CSV or JSON, from the system that wrote it";

/// Beginnings that are certain by themselves.
const BEGINNINGS: &[(&[u8], &str, &str)] = &[
    (b"\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1", "an old Office document such as an Excel workbook (xls)", AS_SHEETS),
    (b"7z\xBC\xAF\x27\x1C", "a 7z archive", UNPACK),
    (b"Rar!\x1A\x07", "a rar archive", UNPACK),
    (b"\x1F\x8B\x08", "compressed with gzip", ONCE),
    (b"\x28\xB5\x2F\xFD", "compressed with zstd", ONCE),
    (b"\xFD7zXZ\0", "compressed with xz", RECOMPRESS),
    (b"\x04\x22\x4D\x18", "compressed with lz4", RECOMPRESS),
    (b"\xFF\x06\0\0sNaPpY", "compressed with snappy", RECOMPRESS),
    (b"LZIP\x01", "compressed with lzip", RECOMPRESS),
    (b"\x1F\x9D", "compressed with compress (.Z)", RECOMPRESS),
    (b"%PDF-", "a PDF document", FROM_ITS_SYSTEM),
    (b"%!PS-", "a PostScript document", FROM_ITS_SYSTEM),
    (b"{\\rtf", "an RTF document", FROM_ITS_SYSTEM),
    (b"\x89PNG\r\n\x1A\n", "an image (PNG)", NO_TABLE),
    (b"\xFF\xD8\xFF", "an image (JPEG)", NO_TABLE),
    (b"GIF87a", "an image (GIF)", NO_TABLE),
    (b"GIF89a", "an image (GIF)", NO_TABLE),
    (b"II*\0", "an image (TIFF)", NO_TABLE),
    (b"MM\0*", "an image (TIFF)", NO_TABLE),
    (b"Obj\x01", "an Avro file", EXPORT),
    (b"ARROW1\0\0", "an Arrow file", EXPORT),
    (b"SQLite format 3\0", "an SQLite database", EXPORT),
    (b"\x89HDF\r\n\x1A\n", "an HDF5 file", EXPORT),
    (b"\xFF\xFE\0\0", "text in UTF-32", "save it in UTF-8"),
    (b"\0\0\xFE\xFF", "text in UTF-32", "save it in UTF-8"),
];

/// So many bytes are looked at for the names of what an archive holds, and for control characters.
const LOOKED_AT: usize = 4096;
/// No text has so many kinds of control characters; what is compressed, encrypted or a program has all of them.
const KINDS_OF_CONTROL: usize = 8;

impl Foreign {
    /// What `head`, the first bytes of a file once it is uncompressed, shows before it is decoded.
    pub(crate) fn of_bytes(head: &[u8]) -> Option<Self> {
        let found = |what, advice| Some(Self { what, advice });
        let head = &head[..head.len().min(LOOKED_AT)];
        if let Some(&(_, what, advice)) = BEGINNINGS.iter().find(|(beginning, ..)| head.starts_with(beginning)) {
            return found(what, advice);
        }
        if [b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08"].iter().any(|magic| head.starts_with(*magic)) {
            return Some(Self::of_zip(head));
        }
        let at = |place: usize, magic: &[u8]| head.get(place..).is_some_and(|rest| rest.starts_with(magic));
        let is_bzip2 = head.starts_with(b"BZh") && (at(4, b"1AY&SY") || at(4, b"\x17rE8P\x90"));
        if is_bzip2 {
            return found("compressed with bzip2", RECOMPRESS);
        }
        if at(257, b"ustar") && head[..257].contains(&0) {
            return found("a tar archive", UNPACK);
        }
        if at(128, b"DICM") && head[..128].contains(&0) {
            return found("a DICOM image", NO_TABLE);
        }
        let is_bitmap = head.starts_with(b"BM") && at(6, &[0; 4]);
        let is_riff = head.starts_with(b"RIFF") && (at(8, b"WEBP") || at(8, b"WAVE") || at(8, b"AVI "));
        if is_bitmap || is_riff || head.starts_with(&[0]) && at(4, b"ftyp") {
            return found("an image, a sound or a film", NO_TABLE);
        }
        let has_control = |from: usize| head.iter().skip(from).take(64).any(|byte| is_odd_control(*byte));
        if (head.starts_with(b"PAR1") || head.starts_with(b"PARE")) && has_control(4) {
            let advice = "write `type: parquet` in its format, and deliver it as it was written: it compresses itself";
            return found("a Parquet file", advice);
        }
        if head.starts_with(b"ORC") && has_control(3) {
            return found("an ORC file", EXPORT);
        }
        // UTF-16 has one NUL beside a letter, never four at the start.
        if !head.is_empty() && head.iter().take(4).all(|byte| *byte == 0) {
            let advice = "its writing or copying ended before its data: have it sent again";
            return found("NUL bytes in the place of text", advice);
        }
        None
    }

    fn of_zip(head: &[u8]) -> Self {
        let has = |name: &[u8]| memmem::find(head, name).is_some();
        if has(b"opendocument.spreadsheet") {
            return Self { what: "an OpenDocument spreadsheet (ods)", advice: AS_SHEETS };
        }
        if has(b"[Content_Types].xml") || has(b"xl/") {
            return Self { what: "an Office document such as an Excel workbook (xlsx)", advice: AS_SHEETS };
        }
        Self { what: "a zip archive", advice: UNPACK }
    }

    /// What `text`, the beginning of a decoded file, shows by control characters of many kinds.
    pub(crate) fn of_controls(text: &[u8]) -> Option<Self> {
        let mut seen = [false; 0x20];
        let text = &text[..text.len().min(LOOKED_AT)];
        text.iter().filter(|byte| is_odd_control(**byte)).for_each(|byte| seen[usize::from(*byte)] = true);
        let kinds = seen.iter().filter(|seen| **seen).count();
        (kinds >= KINDS_OF_CONTROL).then_some(Self { what: "binary data", advice: EXPORT })
    }

    /// Whether `text`, the beginning of a decoded file, is a page or document of markup.
    pub(crate) fn of_markup(text: &[u8]) -> Option<Self> {
        let text = &text[skip_space(text, 0)..];
        let begins = |word: &[u8]| {
            text.get(..word.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(word))
                && text.get(word.len()).is_none_or(|next| matches!(next, b'>' | b'/') || next.is_ascii_whitespace())
        };
        let near = &text[..text.len().min(LOOKED_AT)];
        let has = |word: &[u8]| memmem::find(near, word).is_some();
        let is_page = [&b"<!doctype html"[..], b"<html", b"<head", b"<body"].into_iter().any(begins);
        let is_declared = begins(b"<?xml") || begins(b"<!doctype") || text.starts_with(b"<!--");
        if is_page || is_declared && (has(b"<html") || has(b"<HTML")) {
            let advice = "it may be the error or log-in page of a server: fetch the file again";
            return Some(Self { what: "an HTML page", advice });
        }
        if is_declared || is_element(text) {
            let what = match has(b"ClinicalDocument") {
                true => "a clinical document in XML (CDA)",
                false => "an XML document",
            };
            let advice = "XML is not read: convert it to JSON or CSV, or keep it out of the `path` of the source table";
            return Some(Self { what, advice });
        }
        None
    }

    /// The error for the file or delivery at `path`.
    pub(crate) fn refused(self, path: &Path) -> ConnectError {
        let message = format!("it is {}; {}", self.what, self.advice);
        ConnectError::Corrupt { path: path.to_owned(), format: "text", message }
    }
}

/// A control character that is neither white space nor in use between fields, records or messages, nor a sign of an encoding.
fn is_odd_control(byte: u8) -> bool {
    matches!(byte, 0 | 2..=8 | 14..=25)
}

fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b':') || !byte.is_ascii()
}

/// Whether a text begins with an element that is closed, or that names its name space: a column in angle brackets is neither.
fn is_element(text: &[u8]) -> bool {
    let Some(rest) = text.strip_prefix(b"<") else { return false };
    let length = rest.iter().take_while(|byte| is_name(**byte)).count();
    let (name, behind) = rest.split_at(length);
    if !name.first().is_some_and(|first| first.is_ascii_alphabetic() || *first == b'_') {
        return false;
    }
    let Some(end) = memchr::memchr(b'>', behind) else { return false };
    let has_name_space = memmem::find(&behind[..end], b" xmlns").is_some();
    let closing = [&b"</"[..], name, b">"].concat();
    has_name_space || memmem::find(behind, &closing).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_that_only_resembles_another_format_is_not_refused() {
        for text in [
            &b"PK,name\n1,2\n"[..],
            b"PAR1,x\n1,2\n",
            b"ORC,x\n",
            b"BM,x\n1,2\n",
            b"RIFF,x\n",
            b"BZh,x\n",
            b"GIF,x\n",
            b"<id>,<name>\n1,2\n",
            b"<5,count\n1,2\n",
            b"<header,b\n",
            b"\0id,name\n",
            b"\0i\0d\0,\0n\0\n",
            b"\x01\x1F\x1E\x1D\x1C\x0B\x0C\x1B",
            b"",
        ] {
            assert_eq!(Foreign::of_bytes(text), None, "{text:?}");
            assert_eq!(Foreign::of_controls(text), None, "{text:?}");
            assert_eq!(Foreign::of_markup(text), None, "{text:?}");
        }
    }
}
