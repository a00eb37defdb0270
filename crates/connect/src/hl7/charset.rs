//! From bytes to text: MSH-18 says how, and where it is wrong the bytes are read another way and a note says so. Nothing is
//! replaced: a message either is text in some character set, byte for byte, or it is quarantined.
//!
//! ISO 8859-1 and -9 are read as Windows-1252 and -1254, which only give characters to bytes that mean nothing in them.

use std::borrow::Cow;

use encoding_rs::{Encoding, GB18030, ISO_2022_JP, UTF_8, UTF_16BE, UTF_16LE, WINDOWS_1252};

/// How the bytes of a message are text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Charset {
    encoding: &'static Encoding,
    /// Whether the text begins with a byte-order mark that an answer then needs too: UTF-8 needs none.
    has_mark: bool,
}

/// The text of a message.
#[derive(Debug)]
pub(crate) struct Decoded<'b> {
    pub(crate) text: Cow<'b, str>,
    pub(crate) charset: Charset,
    /// That and how the text was read otherwise than declared.
    pub(crate) note: Option<String>,
}

impl Charset {
    pub(crate) const UTF_8: Self = Self { encoding: UTF_8, has_mark: false };

    pub(crate) fn new(encoding: &'static Encoding) -> Self {
        Self { encoding, has_mark: false }
    }

    pub(crate) fn is_utf8(self) -> bool {
        self.encoding == UTF_8
    }

    /// The text, if the bytes are text in this character set.
    pub(crate) fn decode(self, bytes: &[u8]) -> Option<Cow<'_, str>> {
        self.encoding.decode_without_bom_handling_and_without_replacement(bytes)
    }

    /// The bytes of `text`; what this character set does not have becomes a question mark.
    pub(crate) fn encode(self, text: &str) -> Vec<u8> {
        let mark = if self.has_mark { "\u{FEFF}" } else { "" };
        let units = || mark.encode_utf16().chain(text.encode_utf16());
        if self.encoding == UTF_16LE {
            return units().flat_map(u16::to_le_bytes).collect();
        }
        if self.encoding == UTF_16BE {
            return units().flat_map(u16::to_be_bytes).collect();
        }
        let (bytes, _, has_unmappable) = self.encoding.encode(text);
        if !has_unmappable {
            return bytes.into_owned();
        }
        let mapped = |c: char| if self.encoding.encode(c.encode_utf8(&mut [0; 4])).2 { '?' } else { c };
        self.encoding.encode(&text.chars().map(mapped).collect::<String>()).0.into_owned()
    }
}

/// Reads a message by its byte-order mark, else by MSH-18, else as what it turns out to be.
pub(crate) fn decode(bytes: &[u8]) -> Decoded<'_> {
    let (charset, length) = match bytes {
        [0xEF, 0xBB, 0xBF, ..] => (Some(UTF_8), 3),
        [0xFF, 0xFE, ..] => (Some(UTF_16LE), 2),
        [0xFE, 0xFF, ..] => (Some(UTF_16BE), 2),
        [_, 0, _, 0, ..] => (Some(UTF_16LE), 0),
        [0, _, 0, _, ..] => (Some(UTF_16BE), 0),
        _ => (None, 0),
    };
    let bytes = &bytes[length..];
    if let Some(encoding) = charset {
        let charset = Charset { encoding, has_mark: length > 0 && encoding != UTF_8 };
        return match charset.decode(bytes) {
            Some(text) => Decoded { text, charset, note: None },
            None => by_content(bytes, &format!("the bytes are no {}", encoding.name())),
        };
    }
    decode_part(bytes)
}

/// Reads a message that was cut out of a text, which tells by its mark and its zeros what the part cannot.
pub(crate) fn decode_part(bytes: &[u8]) -> Decoded<'_> {
    match declared(bytes) {
        Declared::Nothing if bytes.is_ascii() => by_content(bytes, ""),
        Declared::Nothing => by_content(bytes, "no character set declared"),
        Declared::Unknown => by_content(bytes, "unknown character set declared"),
        Declared::Ascii if bytes.is_ascii() => by_content(bytes, ""),
        Declared::Ascii => by_content(bytes, "ASCII declared"),
        // The name was found in single bytes, so it is wrong; as pairs they might well be text, but none that says anything.
        Declared::Known(encoding) if encoding == UTF_16BE || encoding == UTF_16LE => {
            by_content(bytes, &format!("{} declared", encoding.name()))
        }
        Declared::Known(encoding) => {
            let charset = Charset::new(encoding);
            match charset.decode(bytes) {
                Some(text) => Decoded { text, charset, note: None },
                None => by_content(bytes, &format!("{} declared", encoding.name())),
            }
        }
    }
}

/// UTF-8 if it is that, else Windows-1252, which every sequence of bytes is.
fn by_content<'b>(bytes: &'b [u8], why: &str) -> Decoded<'b> {
    let (text, charset) = match std::str::from_utf8(bytes) {
        Ok(text) => (Cow::Borrowed(text), Charset::UTF_8),
        Err(_) => (WINDOWS_1252.decode_without_bom_handling(bytes).0, Charset::new(WINDOWS_1252)),
    };
    let note = (!why.is_empty()).then(|| format!("{why}, read as {}", charset.encoding.name()));
    Decoded { text, charset, note }
}

#[derive(Debug, PartialEq, Eq)]
enum Declared {
    Nothing,
    Ascii,
    Known(&'static Encoding),
    Unknown,
}

/// What MSH-18 says. The header is found before its character set is known: its delimiters are ASCII in all of them.
fn declared(bytes: &[u8]) -> Declared {
    let start = bytes.iter().position(|byte| !byte.is_ascii_whitespace()).unwrap_or_default();
    let header = &bytes[start..];
    let header = header.split(|byte| matches!(byte, b'\r' | b'\n')).next().unwrap_or_default();
    let (Some(field), Some(repetition)) = (header.get(3), header.get(5)) else { return Declared::Nothing };
    let Some(names) = header.split(|byte| byte == field).nth(17) else { return Declared::Nothing };
    let mut names = names.split(|byte| byte == repetition).map(|name| named(&String::from_utf8_lossy(name)));
    let first = names.next().unwrap_or(Declared::Nothing);
    // ISO 2022 is ASCII until an escape sequence switches, so it is a further repetition that brings it in.
    let is_ascii = matches!(first, Declared::Nothing | Declared::Ascii);
    if is_ascii && names.any(|name| name == Declared::Known(ISO_2022_JP)) {
        return Declared::Known(ISO_2022_JP);
    }
    first
}

/// The character set of a name of HL7 table 0211, or of a name that senders write instead.
fn named(name: &str) -> Declared {
    let name = name.trim().to_ascii_uppercase();
    let label = match name.as_str() {
        "" => return Declared::Nothing,
        "ASCII" | "US-ASCII" | "ISO IR6" => return Declared::Ascii,
        "UNICODE UTF-8" => return Declared::Known(UTF_8),
        "UNICODE" | "UNICODE UTF-16" => return Declared::Known(UTF_16BE),
        "ISO IR14" | "ISO IR87" => return Declared::Known(ISO_2022_JP),
        "GB 18030-2000" => return Declared::Known(GB18030),
        "KS X 1001" => "euc-kr".to_owned(),
        "BIG-5" => "big5".to_owned(),
        other => match other.strip_prefix("8859/").or_else(|| other.strip_prefix("ISO IR8859/")) {
            Some(part) => format!("iso-8859-{part}"),
            None => other.to_owned(),
        },
    };
    match Encoding::for_label_no_replacement(label.as_bytes()) {
        Some(encoding) => Declared::Known(encoding),
        None => Declared::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(charset: &str, name: &[u8]) -> Vec<u8> {
        let header = format!("MSH|^~\\&|A|B|C|D|2026||ADT^A01|1|P|2.5||||||{charset}\rPID|||1||");
        [header.as_bytes(), name].concat()
    }

    #[test]
    fn names_of_character_sets_are_followed() {
        for (charset, name, expected) in [
            ("", &b"Jos\xC3\xA9"[..], "José"),
            ("ASCII", b"Jose", "Jose"),
            ("8859/1", b"Jos\xE9", "José"),
            ("8859/2", b"\xB1", "ą"),
            ("8859/3", b"\xB1", "ħ"),
            ("8859/4", b"\xB1", "ą"),
            ("8859/5", b"\xB1", "Б"),
            ("8859/6", b"\xC7", "ا"),
            ("8859/7", b"\xE1", "α"),
            ("8859/8", b"\xE0", "א"),
            ("8859/9", b"\xFD", "ı"),
            ("8859/15", b"\xA4", "€"),
            ("UNICODE UTF-8", b"Jos\xC3\xA9", "José"),
            ("utf-8", b"Jos\xC3\xA9", "José"),
            ("8859/1~UNICODE UTF-8", b"Jos\xE9", "José"),
            ("GB 18030-2000", b"\xC0\xEE", "李"),
            ("ISO IR87", b"\x1B$B;3ED\x1B(B", "山田"),
            ("~ISO IR87", b"\x1B$B;3ED\x1B(B", "山田"),
            ("KS X 1001", b"\xB1\xE8", "김"),
        ] {
            let bytes = message(charset, name);
            let decoded = decode(&bytes);
            assert!(decoded.text.ends_with(&format!("||{expected}")), "{charset}: {}", decoded.text);
            let is_told = charset.is_empty() && !bytes.is_ascii();
            assert_eq!(decoded.note.is_some(), is_told, "{charset}: {:?}", decoded.note);
        }
    }

    #[test]
    fn a_wrong_name_is_noted_and_the_text_is_kept() {
        for (charset, name, expected, note) in [
            ("", &b"Jos\xE9"[..], "José", "no character set declared, read as windows-1252"),
            ("ASCII", b"Jos\xE9", "José", "ASCII declared, read as windows-1252"),
            ("UNICODE UTF-8", b"Jos\xE9", "José", "UTF-8 declared, read as windows-1252"),
            ("UNICODE UTF-16", b"Jos\xC3\xA9", "José", "UTF-16BE declared, read as UTF-8"),
            ("8859/7", b"\xFF", "ÿ", "ISO-8859-7 declared, read as windows-1252"),
            ("Klingon", b"Jos\xC3\xA9", "José", "unknown character set declared, read as UTF-8"),
        ] {
            let bytes = message(charset, name);
            let decoded = decode(&bytes);
            assert!(decoded.text.ends_with(&format!("||{expected}")), "{charset}: {}", decoded.text);
            assert_eq!(decoded.note.as_deref(), Some(note), "{charset}");
        }
    }

    #[test]
    fn a_mark_or_zeros_tell_unicode() {
        let text = "MSH|^~\\&|A||||||ADT^A01|1|P|2.5||||||UNICODE UTF-16\rPID|||1||José";
        for charset in [
            Charset { encoding: UTF_16LE, has_mark: true },
            Charset { encoding: UTF_16BE, has_mark: true },
            Charset { encoding: UTF_16LE, has_mark: false },
            Charset { encoding: UTF_16BE, has_mark: false },
        ] {
            let bytes = charset.encode(text);
            let decoded = decode(&bytes);
            assert_eq!((&*decoded.text, decoded.charset, decoded.note), (text, charset, None));
        }
        let bytes = [b"\xEF\xBB\xBF", text.as_bytes()].concat();
        let decoded = decode(&bytes);
        assert_eq!((&*decoded.text, decoded.charset, decoded.note), (text, Charset::UTF_8, None));
    }

    #[test]
    fn what_a_character_set_lacks_is_a_question_mark() {
        assert_eq!(Charset::new(WINDOWS_1252).encode("é山"), b"\xE9?");
        assert_eq!(Charset::new(ISO_2022_JP).encode("山"), b"\x1B$B;3\x1B(B");
    }
}
