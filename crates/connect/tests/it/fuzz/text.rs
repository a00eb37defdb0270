//! The text of a file as a second implementation finds it: uncompressed, without its byte-order mark, UTF-16 as UTF-8.

use std::io::Read;

use flate2::read::MultiGzDecoder;
use wardlake_connect::source::{Compression, Encoding};

/// What the file holds once uncompressed, or `None` if that is not possible.
pub(crate) fn uncompressed(bytes: &[u8], compression: Compression) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    let result = match compression {
        Compression::Gzip => MultiGzDecoder::new(bytes).read_to_end(&mut out),
        Compression::Zstd => {
            zstd::stream::read::Decoder::new(bytes).and_then(|mut decoder| decoder.read_to_end(&mut out))
        }
        _ => {
            out = bytes.to_vec();
            Ok(out.len())
        }
    };
    result.ok().map(|_| out)
}

/// How the bytes are known to be compressed when nothing is said of it.
pub(crate) fn compression_of(bytes: &[u8]) -> Compression {
    if bytes.starts_with(&[0x1F, 0x8B]) {
        Compression::Gzip
    } else if bytes.starts_with(&[0x28, 0xB5, 0x2F, 0xFD]) {
        Compression::Zstd
    } else {
        Compression::None
    }
}

/// The text, the length of its byte-order mark, and how its records are encoded (`Auto`: UTF-8, else Windows-1252).
pub(crate) struct Text {
    pub(crate) bytes: Vec<u8>,
    pub(crate) mark: usize,
    pub(crate) encoding: Encoding,
}

/// `declared` is the setting, `found` what the reader says of the file; only which UTF-16 it is, is taken from it.
pub(crate) fn decoded(raw: &[u8], declared: Encoding, found: Encoding) -> Text {
    let (mark, of_mark) = match raw {
        [0xEF, 0xBB, 0xBF, ..] => (3, Some(Encoding::Utf8)),
        [0xFF, 0xFE, ..] => (2, Some(Encoding::Utf16Le)),
        [0xFE, 0xFF, ..] => (2, Some(Encoding::Utf16Be)),
        _ => (0, None),
    };
    let is_utf16 = matches!(found, Encoding::Utf16Le | Encoding::Utf16Be);
    let counts = match declared {
        Encoding::Auto => of_mark.is_some(),
        Encoding::Utf16 => matches!(of_mark, Some(Encoding::Utf16Le | Encoding::Utf16Be)),
        known => of_mark == Some(known),
    };
    let mark = if counts { mark } else { 0 };
    let rest = &raw[mark..];
    if is_utf16 {
        return Text { bytes: from_utf16(rest, found == Encoding::Utf16Be), mark, encoding: Encoding::Utf8 };
    }
    let encoding = match (declared, of_mark) {
        (Encoding::Auto, Some(Encoding::Utf8)) => Encoding::Utf8,
        (known, _) => known,
    };
    Text { bytes: rest.to_vec(), mark, encoding }
}

/// A unit that is no text becomes the byte 0xFF, which no UTF-8 text holds.
fn from_utf16(raw: &[u8], is_big_endian: bool) -> Vec<u8> {
    let (pairs, odd) = raw.as_chunks::<2>();
    let units =
        pairs.iter().map(|pair| if is_big_endian { u16::from_be_bytes(*pair) } else { u16::from_le_bytes(*pair) });
    let mut out = Vec::new();
    for unit in char::decode_utf16(units) {
        match unit {
            Ok(c) => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
            Err(_) => out.push(0xFF),
        }
    }
    // A lone high surrogate and the odd byte behind it are one broken unit.
    let is_pending = pairs.last().is_some_and(|pair| (0xD8..0xDC).contains(&pair[usize::from(!is_big_endian)]));
    if !odd.is_empty() && !is_pending {
        out.push(0xFF);
    }
    out
}

/// The text of a record or field, or `None` if its encoding does not allow it.
pub(crate) fn record_text(raw: &[u8], encoding: Encoding) -> Option<String> {
    let is_single_byte = matches!(encoding, Encoding::Latin1 | Encoding::Windows1252);
    match std::str::from_utf8(raw) {
        Ok(text) if !is_single_byte => Some(text.to_owned()),
        Err(_) if encoding == Encoding::Utf8 => None,
        _ => Some(raw.iter().map(|byte| single_byte(*byte, encoding)).collect()),
    }
}

/// The upper half of ISO 8859-1 is the beginning of Unicode; Windows-1252 differs from it in these 32 places.
fn single_byte(byte: u8, encoding: Encoding) -> char {
    const WINDOWS: [char; 32] = [
        '€', '\u{81}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{8d}', 'Ž', '\u{8f}', '\u{90}', '‘',
        '’', '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', '\u{9d}', 'ž', 'Ÿ',
    ];
    match byte {
        0x80..=0x9F if encoding != Encoding::Latin1 => WINDOWS[usize::from(byte - 0x80)],
        _ => char::from(byte),
    }
}
