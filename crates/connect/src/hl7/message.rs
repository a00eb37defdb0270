//! A message as its segments and fields. Lines are found here, since senders end them in every way and put segments without
//! fields and blank lines between them; `hl7-parser` takes each field apart, when somebody asks for it.

use std::cell::OnceCell;

use hl7_parser::{
    message::{Field, Separators},
    parser::parse_field_with_separators,
};

use super::{
    charset::Charset,
    problem::{Location, Problem},
    split::{ends_line, is_line_end},
};
use crate::RejectReason;

/// The characters that structure a message, as its header declares them: each an ASCII sign, no two the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Delimiters {
    pub(crate) field: char,
    pub(crate) component: Option<char>,
    pub(crate) repetition: Option<char>,
    pub(crate) escape: Option<char>,
    pub(crate) subcomponent: Option<char>,
    /// Marks text that was cut short (since 2.7).
    pub(crate) truncation: Option<char>,
}

impl Default for Delimiters {
    fn default() -> Self {
        Self {
            field: '|',
            component: Some('^'),
            repetition: Some('~'),
            escape: Some('\\'),
            subcomponent: Some('&'),
            truncation: None,
        }
    }
}

impl Delimiters {
    /// Reads MSH-1 and MSH-2 (likewise of FHS and BHS). Senders leave away from the right what they do not use.
    pub(crate) fn read(header: &str) -> Option<Self> {
        let mut chars = header.chars().skip(3);
        let field = chars.next().filter(|c| is_delimiter(*c))?;
        let encoding: Vec<char> = chars.take_while(|c| *c != field && !is_line_end_char(*c)).collect();
        let is_usable = encoding.len() <= 5
            && encoding.iter().all(|c| is_delimiter(*c))
            && (1..encoding.len().min(4)).all(|i| !encoding[..i].contains(&encoding[i]));
        let nth = |i: usize| encoding.get(i).copied();
        is_usable.then(|| Self {
            field,
            component: nth(0),
            repetition: nth(1),
            escape: nth(2),
            subcomponent: nth(3),
            // A fifth that is one of the four says nothing: other receivers do not look at it.
            truncation: nth(4).filter(|c| !encoding[..4].contains(c)),
        })
    }

    /// What a message does not declare is a line end to the parser: no field holds one.
    fn separators(&self) -> Separators {
        let or_none = |delimiter: Option<char>| delimiter.unwrap_or('\r');
        Separators {
            field: self.field,
            component: or_none(self.component),
            subcomponent: or_none(self.subcomponent),
            repetition: or_none(self.repetition),
            escape: or_none(self.escape),
            lenient_newlines: false,
        }
    }
}

fn is_delimiter(c: char) -> bool {
    c.is_ascii_punctuation() || matches!(c, '\t' | '\u{1D}'..='\u{1F}')
}

fn is_line_end_char(c: char) -> bool {
    u8::try_from(c).is_ok_and(is_line_end)
}

/// A message that can be read: it begins with MSH, and each of its lines with the name of a segment.
#[derive(Debug)]
pub(crate) struct Message<'m> {
    pub(crate) delimiters: Delimiters,
    pub(crate) charset: Charset,
    pub(crate) segments: Vec<Segment<'m>>,
}

/// One segment.
#[derive(Debug)]
pub(crate) struct Segment<'m> {
    pub(crate) name: &'m str,
    /// As it is written.
    pub(crate) text: &'m str,
    fields: Vec<LazyField<'m>>,
}

#[derive(Debug)]
struct LazyField<'m> {
    text: &'m str,
    parts: OnceCell<Option<Field<'m>>>,
}

impl<'m> Message<'m> {
    /// Reads `text`, which begins with its header.
    pub(crate) fn read(text: &'m str, charset: Charset) -> Result<Self, Problem> {
        if !text.starts_with("MSH") {
            return Err(Problem::header(RejectReason::Hl7NoHeader, None));
        }
        if text.contains('\0') {
            return Err(Problem::header(RejectReason::NulByte, None));
        }
        let delimiters = Delimiters::read(text).ok_or_else(|| Problem::header(RejectReason::Hl7Delimiters, Some(1)))?;
        let mut segments = Vec::new();
        for line in lines(text, delimiters.field) {
            let Some(segment) = Segment::read(line, &delimiters) else {
                let location = Location { segment: String::new(), sequence: segments.len() + 1, field: None };
                return Err(Problem::new(RejectReason::Hl7Segment, location));
            };
            segments.push(segment);
        }
        Ok(Self { delimiters, charset, segments })
    }

    /// The segments of this name, in order; a name that ends in `*` is a beginning.
    pub(crate) fn named<'s>(&'s self, name: &'s str) -> impl Iterator<Item = (usize, &'s Segment<'m>)> {
        self.segments.iter().enumerate().filter(move |(_, segment)| is_match(name, segment.name))
    }

    /// The field of a segment in its parts.
    pub(crate) fn field<'s>(&self, segment: &'s Segment<'m>, number: usize) -> Option<&'s Field<'m>> {
        let field = segment.fields.get(number.checked_sub(1)?)?;
        let parse = || parse_field_with_separators(field.text, self.delimiters.separators()).ok();
        field.parts.get_or_init(parse).as_ref()
    }

    /// The message as it is kept: its segments as written, with a carriage return between them.
    pub(crate) fn text(&self) -> String {
        self.segments.iter().map(|segment| segment.text).collect::<Vec<_>>().join("\r")
    }
}

/// Whether `name` is what `pattern` names: the same, or what stands before its `*`.
pub(crate) fn is_match(pattern: &str, name: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(beginning) => name.starts_with(beginning),
        None => name == pattern,
    }
}

impl<'m> Segment<'m> {
    fn read(line: &'m str, delimiters: &Delimiters) -> Option<Self> {
        if !begins_segment(line, delimiters.field) {
            return None;
        }
        let (name, rest) = line.split_at(3);
        let lazy = |text: &'m str| LazyField { text, parts: OnceCell::new() };
        // The first field of a header is the delimiter that stands before its second.
        let delimiter = rest.chars().next().map_or("", |delimiter| &rest[..delimiter.len_utf8()]);
        let mut fields: Vec<LazyField<'m>> = if name == "MSH" { vec![lazy(delimiter)] } else { Vec::new() };
        fields.extend(rest.split(delimiters.field).skip(1).map(lazy));
        Some(Self { name, text: line, fields })
    }

    /// A field as it is written; empty where there is none.
    pub(crate) fn raw(&self, number: usize) -> &'m str {
        number.checked_sub(1).and_then(|at| self.fields.get(at)).map_or("", |field| field.text)
    }
}

/// Whether a line begins with the name of a segment and ends there or goes on with a field.
fn begins_segment(line: &str, field: char) -> bool {
    let Some((name, rest)) = line.split_at_checked(3) else { return false };
    name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric())
        && (rest.is_empty() || rest.starts_with(field))
}

/// The lines of a message that are not blank. A line feed within the text of a field is no line end where the segments end
/// with carriage returns.
fn lines(text: &str, field: char) -> Vec<&str> {
    let has_returns = text.contains('\r');
    let mut lines = Vec::new();
    let mut start = 0;
    for (at, byte) in text.bytes().enumerate().filter(|(at, _)| ends_line(text.as_bytes(), *at, true)) {
        let behind = text[at + 1..].trim_start_matches(is_line_end_char);
        let is_text = byte == b'\n'
            && has_returns
            && at > start
            && !text[..at].ends_with('\r')
            && !behind.is_empty()
            // A word of three letters may well stand on a line of its own.
            && !(begins_segment(behind, field) && behind[3..].starts_with(field));
        if is_text {
            continue;
        }
        lines.push(&text[start..at]);
        start = at + 1;
    }
    lines.push(&text[start..]);
    lines.retain(|line| !line.trim().is_empty());
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &str) -> Vec<String> {
        let message = Message::read(text, Charset::UTF_8).unwrap();
        message.segments.iter().map(|segment| format!("{}:{}", segment.name, segment.raw(1))).collect()
    }

    #[test]
    fn lines_end_in_every_way() {
        for text in [
            "MSH|^~\\&|A\rPID|1\rZZZ|2",
            "MSH|^~\\&|A\nPID|1\nZZZ|2\n",
            "MSH|^~\\&|A\r\nPID|1\r\nZZZ|2\r\n\r\n",
            "MSH|^~\\&|A\rPID|1\nZZZ|2\r\n",
            "MSH|^~\\&|A\r\r\rPID|1\r \rZZZ|2\u{1C}\r",
        ] {
            assert_eq!(names(text), ["MSH:|", "PID:1", "ZZZ:2"], "{text:?}");
        }
    }

    #[test]
    fn a_line_feed_in_a_text_is_part_of_it() {
        assert_eq!(names("MSH|^~\\&|A\rNTE|one\ntwo\rPID|1\n"), ["MSH:|", "NTE:one\ntwo", "PID:1"]);
    }

    #[test]
    fn d09_frame_characters_in_a_text_are_part_of_it() {
        let text = "\u{b}MSH|^~\\&|A\rOBX|one\u{1c}two\u{b}three\rPID|1\u{1c}\r";
        assert_eq!(names(&text[1..]), ["MSH:|", "OBX:one\u{1c}two\u{b}three", "PID:1"]);
    }

    #[test]
    fn segments_may_have_no_fields() {
        assert_eq!(names("MSH|^~\\&|A\rPID\rPV1|1"), ["MSH:|", "PID:", "PV1:1"]);
    }

    #[test]
    fn delimiters_are_what_the_header_says() {
        for (header, expected) in [
            ("MSH|^~\\&|", Some(Delimiters::default())),
            ("MSH|^~\\&#|", Some(Delimiters { truncation: Some('#'), ..Delimiters::default() })),
            ("MSH|^~\\|", Some(Delimiters { subcomponent: None, ..Delimiters::default() })),
            (
                "MSH|^\r",
                Some(Delimiters { repetition: None, escape: None, subcomponent: None, ..Delimiters::default() }),
            ),
            (
                "MSH$%?!*$",
                Some(Delimiters {
                    field: '$',
                    component: Some('%'),
                    repetition: Some('?'),
                    escape: Some('!'),
                    subcomponent: Some('*'),
                    truncation: None,
                }),
            ),
            ("MSH", None),
            ("MSHA^~\\&A", None),
            ("MSH|^^\\&|", None),
            ("MSH|^~\\&&|", Some(Delimiters::default())),
            ("MSH|^~\\&^|", Some(Delimiters::default())),
            ("MSH|^~\\&#$|", None),
            ("MSH|ADT|", None),
            ("MSH\u{e9}^~\\&\u{e9}", None),
        ] {
            assert_eq!(Delimiters::read(header), expected, "{header:?}");
        }
    }

    #[test]
    fn what_is_broken_is_located() {
        for (text, expected) in [
            ("PID|1", "the text does not begin with an MSH segment (MSH^1, HL7 error 100)"),
            ("MSH|^~\\&|A\rPV", "a line of the message does not begin with a segment name (^2, HL7 error 100)"),
            ("MSH\rPID|1", "MSH-1 and MSH-2 name no usable delimiters (MSH^1^1, HL7 error 102)"),
            ("MSH|^~\\&|\0", "the record holds a NUL byte (MSH^1, HL7 error 102)"),
        ] {
            let problem = Message::read(text, Charset::UTF_8).unwrap_err();
            assert_eq!(problem.to_string(), expected);
        }
    }
}
