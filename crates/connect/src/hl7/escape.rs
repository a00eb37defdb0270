//! Escape sequences (HL7 2.7, chapter 2.7): what stands between two escape characters. One that is not known, or that would
//! bring what no text may hold, stays as it is written.

use std::borrow::Cow;

use encoding_rs::ISO_2022_JP;

use super::{charset::Charset, message::Delimiters};

/// The text that `raw` stands for. Bytes written in hexadecimal are in the message's own character set.
pub(crate) fn unescape<'m>(raw: &'m str, delimiters: &Delimiters, charset: Charset) -> Cow<'m, str> {
    let Some(escape) = delimiters.escape.filter(|escape| raw.contains(*escape)) else { return Cow::Borrowed(raw) };
    let mut out = Unescaped { text: String::with_capacity(raw.len()), bytes: Vec::new(), written: 0, charset };
    let mut rest = raw;
    while let Some(start) = rest.find(escape) {
        out.plain(&rest[..start]);
        let behind = &rest[start + 1..];
        let Some(length) = behind.find(escape) else {
            rest = &rest[start..];
            break;
        };
        let (sequence, mut after) = (&behind[..length], &behind[length + 1..]);
        match delimiters.meaning(sequence) {
            Some(Meaning::Text(text)) => out.plain(text.encode_utf8(&mut [0; 4])),
            Some(Meaning::Spaces(spaces)) => out.plain(&" ".repeat(spaces)),
            Some(Meaning::Lines(lines)) => out.plain(&"\n".repeat(lines)),
            Some(Meaning::Nothing) => {}
            Some(Meaning::Bytes(bytes)) => out.bytes(&bytes, &rest[start..start + length + 2]),
            Some(Meaning::Japanese) => {
                let run = after.find(escape).map_or(after, |end| &after[..end]);
                match japanese(run) {
                    Some(text) => {
                        out.plain(&text);
                        after = &after[run.len()..];
                    }
                    None => out.plain(&rest[start..start + length + 2]),
                }
            }
            // A sequence all the same, of a vendor or of another standard.
            None if sequence.starts_with(['Z', '.', 'C', 'M', 'X']) => out.plain(&rest[start..start + length + 2]),
            // Two escape characters that happen to stand there; the second may begin a sequence.
            None => {
                out.plain(&rest[start..start + 1 + length]);
                after = &behind[length..];
            }
        }
        rest = after;
    }
    out.plain(rest);
    out.flush();
    Cow::Owned(out.text)
}

enum Meaning {
    Text(char),
    Spaces(usize),
    Lines(usize),
    /// Switches a rendering on or off.
    Nothing,
    Bytes(Vec<u8>),
    /// JIS X 0208 from here to the next sequence.
    Japanese,
}

/// A layout command may ask for so many lines or spaces; more than that is no layout.
const MAX_REPEAT: usize = 100;

impl Delimiters {
    fn meaning(&self, sequence: &str) -> Option<Meaning> {
        let repeat = |text: &str| match text.trim() {
            "" => Some(1),
            digits => digits.parse().ok().filter(|count| *count <= MAX_REPEAT),
        };
        match sequence {
            "F" => Some(Meaning::Text(self.field)),
            "S" => self.component.map(Meaning::Text),
            "T" => self.subcomponent.map(Meaning::Text),
            "R" => self.repetition.map(Meaning::Text),
            "E" => self.escape.map(Meaning::Text),
            "P" => self.truncation.map(Meaning::Text),
            "H" | "N" => Some(Meaning::Nothing),
            ".br" | ".ce" => Some(Meaning::Lines(1)),
            // The ways back to ASCII from another set, and the set in which ASCII stands for itself.
            "C2842" | "C284A" => Some(Meaning::Nothing),
            "M2442" | "M2440" => Some(Meaning::Japanese),
            _ => {
                if let Some(count) = sequence.strip_prefix(".sp") {
                    return repeat(count).map(Meaning::Lines);
                }
                if let Some(count) = sequence.strip_prefix(".sk") {
                    return repeat(count).map(Meaning::Spaces);
                }
                sequence.strip_prefix('X').and_then(hexadecimal).map(Meaning::Bytes)
            }
        }
    }
}

fn hexadecimal(digits: &str) -> Option<Vec<u8>> {
    let (pairs, []) = digits.as_bytes().as_chunks::<2>() else { return None };
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let bytes = pairs.iter().map(|[high, low]| Some((digit(*high)? * 16 + digit(*low)?) as u8));
    bytes.collect::<Option<Vec<u8>>>().filter(|bytes| !bytes.is_empty())
}

/// The characters of pairs of seven-bit bytes.
fn japanese(run: &str) -> Option<String> {
    let bytes = [b"\x1B$B", run.as_bytes(), b"\x1B(B"].concat();
    let text = ISO_2022_JP.decode_without_bom_handling_and_without_replacement(&bytes)?;
    Some(text.into_owned())
}

struct Unescaped {
    text: String,
    /// Bytes of sequences that stand side by side: a character may be spread over them.
    bytes: Vec<u8>,
    /// Where in `text` those sequences stand as they are written.
    written: usize,
    charset: Charset,
}

impl Unescaped {
    fn plain(&mut self, text: &str) {
        if text.is_empty() {
            return;
        }
        self.flush();
        self.text.push_str(text);
    }

    /// The sequences are kept as written until their bytes turn out to be text.
    fn bytes(&mut self, bytes: &[u8], as_written: &str) {
        if self.bytes.is_empty() {
            self.written = self.text.len();
        }
        self.bytes.extend_from_slice(bytes);
        self.text.push_str(as_written);
    }

    fn flush(&mut self) {
        let bytes = std::mem::take(&mut self.bytes);
        if bytes.is_empty() || bytes.contains(&0) {
            return;
        }
        if let Some(text) = self.charset.decode(&bytes) {
            self.text.truncate(self.written);
            self.text.push_str(&text);
        }
    }
}

#[cfg(test)]
mod tests {
    use encoding_rs::WINDOWS_1252;

    use super::*;

    fn check(raw: &str, expected: &str) {
        assert_eq!(unescape(raw, &Delimiters::default(), Charset::UTF_8), expected, "{raw}");
    }

    #[test]
    fn sequences_are_read() {
        for (raw, expected) in [
            ("plain", "plain"),
            (r"a\F\b\S\c\T\d\R\e\E\f", r"a|b^c&d~e\f"),
            (r"\E\F\E\", r"\F\"),
            (r"one\.br\two", "one\ntwo"),
            (r"one\.sp2\two\.sp\three", "one\n\ntwo\nthree"),
            (r"one\.sk3\two", "one   two"),
            (r"\H\bold\N\ plain", "bold plain"),
            (r"\X0D0A\", "\r\n"),
            (r"Jos\XC3A9\", "José"),
            (r"Jos\XC3\\XA9\", "José"),
            (r"\M2442\;3ED\C2842\!", "山田!"),
        ] {
            check(raw, expected);
        }
        let latin = Charset::new(WINDOWS_1252);
        assert_eq!(unescape(r"Jos\XE9\", &Delimiters::default(), latin), "José");
    }

    #[test]
    fn what_is_not_known_stays_as_it_is() {
        for raw in [
            r"a\Zvendor\b",
            r"C:\temp\file",
            r"a\",
            r"\",
            r"\\",
            r"\X0\",
            r"\XGG\",
            r"\X\",
            r"\X00\",
            r"\XFF\",
            r"\.sp999999999\",
            r"\M2442\é\C2D41\",
            r"\P\",
        ] {
            check(raw, raw);
        }
        check(r"C:\temp\F\x", r"C:\temp|x");
    }

    #[test]
    fn only_the_messages_own_escape_character_escapes() {
        let none = Delimiters { escape: None, ..Delimiters::default() };
        assert_eq!(unescape(r"a\F\b", &none, Charset::UTF_8), r"a\F\b");
        let other = Delimiters { field: '#', escape: Some('!'), truncation: Some('$'), ..Delimiters::default() };
        assert_eq!(unescape(r"a!F!\!P!", &other, Charset::UTF_8), r"a#\$");
    }
}
