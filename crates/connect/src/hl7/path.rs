//! Where in a message a column's text stands, as people write it:
//!
//! ```text
//! PID-5          first component of the first repetition of PID-5
//! PID-5.2        its second component; PV1-3.1.2 a subcomponent
//! PID-3[2].1     of the second repetition
//! PID-3[?5=MR].1 of the first repetition whose component 5 is MR; several values between commas, NN* is a beginning
//! OBX-5[*]       the whole field, with ~, ^ and & between its parts whatever the message has
//! PID[2]-3.1     of the second PID of the message
//! +RXR-1.1       in a list: the first RXR behind the item, before the next one
//! ```
//!
//! In a list, the list's own segment is the item; another one is the nearest before it.

use std::borrow::Cow;

use hl7_parser::message::{Component, Field, Repeat};

use super::{
    escape::unescape,
    message::{Message, Segment},
};

/// A place in a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Path {
    pub(crate) segment: String,
    pub(crate) which: Which,
    pub(crate) field: usize,
    repetition: Repetition,
    component: usize,
    subcomponent: usize,
}

/// Which of the segments of a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Which {
    /// The first; in a list the item, or the nearest before it.
    Usual,
    /// By its number in the message.
    Nth(usize),
    /// In a list, the first behind the item.
    Following,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Repetition {
    Nth(usize),
    All,
    Where { component: usize, subcomponent: usize, values: Vec<String> },
}

/// What a list goes through: an item, and the index of the segment that begins the next one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Item {
    pub(crate) at: usize,
    pub(crate) next: usize,
}

impl Path {
    /// Reads a path; an error says what is wrong with it.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is no place in a message");
        let (is_following, rest) = match text.trim().strip_prefix('+') {
            Some(rest) => (true, rest),
            None => (false, text.trim()),
        };
        let (segment, place) = rest.split_once('-').ok_or_else(wrong)?;
        let (segment, index) = bracketed(segment).ok_or_else(wrong)?;
        let which = match (is_following, index) {
            (true, None) => Which::Following,
            (false, None) => Which::Usual,
            (false, Some(index)) => Which::Nth(number(index).ok_or_else(wrong)?),
            (true, Some(_)) => return Err(wrong()),
        };
        if !is_segment_name(segment) {
            return Err(wrong());
        }
        let (field, repetition, components) = match place.split_once('[') {
            Some((field, behind)) => {
                let (inside, components) = behind.split_once(']').ok_or_else(wrong)?;
                (field, repetition(inside).ok_or_else(wrong)?, components)
            }
            None => {
                let (field, components) = place.split_at(place.find('.').unwrap_or(place.len()));
                (field, Repetition::Nth(1), components)
            }
        };
        let (component, subcomponent) = match components.strip_prefix('.') {
            Some(components) => pair(components).ok_or_else(wrong)?,
            None if components.is_empty() => (1, 1),
            None => return Err(wrong()),
        };
        if repetition == Repetition::All && !components.is_empty() {
            return Err(wrong());
        }
        let field = number(field).ok_or_else(wrong)?;
        Ok(Self { segment: segment.to_owned(), which, field, repetition, component, subcomponent })
    }

    /// Which of the segments of its name it names.
    pub(crate) fn sequence(&self) -> usize {
        match self.which {
            Which::Nth(n) => n,
            Which::Usual | Which::Following => 1,
        }
    }

    /// The text at this place, without escape sequences. `None` where nothing stands, or the `""` by which HL7 says that
    /// there is no value.
    pub(crate) fn find<'s>(&self, message: &'s Message<'_>, item: Option<Item>) -> Option<Cow<'s, str>> {
        let segment = self.segment(message, item)?;
        let text = if segment.name == "MSH" && self.field <= 2 {
            Cow::Borrowed(segment.raw(self.field))
        } else {
            self.text(message, message.field(segment, self.field)?)?
        };
        (!text.trim().is_empty() && text != "\"\"").then_some(text)
    }

    fn segment<'s, 'm>(&self, message: &'s Message<'m>, item: Option<Item>) -> Option<&'s Segment<'m>> {
        let is_it = |segment: &&Segment<'_>| segment.name == self.segment;
        match (self.which, item) {
            (Which::Nth(n), _) => message.segments.iter().filter(is_it).nth(n - 1),
            (Which::Usual, None) => message.segments.iter().find(is_it),
            (Which::Usual, Some(item)) => message.segments[..=item.at].iter().rev().find(is_it),
            (Which::Following, Some(item)) => message.segments[item.at + 1..item.next].iter().find(is_it),
            (Which::Following, None) => None,
        }
    }

    fn text<'s>(&self, message: &Message<'_>, field: &'s Field<'_>) -> Option<Cow<'s, str>> {
        match &self.repetition {
            Repetition::All => Some(whole(message, field).into()),
            Repetition::Nth(n) => part(message, field.repeats.get(n - 1)?, self.component, self.subcomponent),
            Repetition::Where { component, subcomponent, values } => {
                let is_it = |repeat: &&Repeat<'_>| {
                    part(message, repeat, *component, *subcomponent).is_some_and(|text| is_among(values, &text))
                };
                part(message, field.repeats.iter().find(is_it)?, self.component, self.subcomponent)
            }
        }
    }
}

fn part<'s>(message: &Message<'_>, repeat: &'s Repeat<'_>, component: usize, sub: usize) -> Option<Cow<'s, str>> {
    let text = repeat.components.get(component - 1)?.subcomponents.get(sub - 1)?.value;
    Some(unescape(text, &message.delimiters, message.charset))
}

fn whole(message: &Message<'_>, field: &Field<'_>) -> String {
    let component = |component: &Component<'_>| {
        let parts = component.subcomponents.iter();
        parts.map(|sub| unescape(sub.value, &message.delimiters, message.charset)).collect::<Vec<_>>().join("&")
    };
    let repeat = |repeat: &Repeat<'_>| repeat.components.iter().map(component).collect::<Vec<_>>().join("^");
    field.repeats.iter().map(repeat).collect::<Vec<_>>().join("~")
}

fn is_among(values: &[String], text: &str) -> bool {
    values.iter().any(|value| match value.strip_suffix('*') {
        Some(beginning) => text.starts_with(beginning),
        None => text == value,
    })
}

/// Whether `text` may name a segment in a message.
pub(crate) fn is_segment_name(text: &str) -> bool {
    text.len() == 3
        && text.starts_with(|c: char| c.is_ascii_uppercase())
        && text.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit())
}

fn number(text: &str) -> Option<usize> {
    text.parse().ok().filter(|number| (1..=999).contains(number))
}

/// `5` or `5.2`; what is left away is 1.
fn pair(text: &str) -> Option<(usize, usize)> {
    match text.split_once('.') {
        Some((one, two)) => Some((number(one)?, number(two)?)),
        None => Some((number(text)?, 1)),
    }
}

/// `PID` or `PID[2]`.
fn bracketed(text: &str) -> Option<(&str, Option<&str>)> {
    match text.split_once('[') {
        Some((name, rest)) => Some((name, Some(rest.strip_suffix(']')?))),
        None => Some((text, None)),
    }
}

fn repetition(inside: &str) -> Option<Repetition> {
    if inside == "*" {
        return Some(Repetition::All);
    }
    let Some(condition) = inside.strip_prefix('?') else { return number(inside).map(Repetition::Nth) };
    let (place, values) = condition.split_once('=')?;
    let (component, subcomponent) = pair(place)?;
    let values: Vec<String> = values.split(',').map(|value| value.trim().to_owned()).collect();
    let is_named = values.iter().all(|value| !value.is_empty());
    is_named.then_some(Repetition::Where { component, subcomponent, values })
}

#[cfg(test)]
mod tests {
    use super::{super::charset::Charset, *};

    const TEXT: &str = "MSH|^~\\&|APP\rPID|1||A^^^H&1.2^PI~B^^^H^MR~C^^^N^NNUSA||O'\\T\\B&van^X~Y||\"\"|\rPID|2||Z\r\
                        ORC|1\rRXE|a\rRXR|po\rORC|2\rRXE|b\rRXE|c\rRXR|iv";

    fn find(path: &str, item: Option<Item>) -> Option<String> {
        let message = Message::read(TEXT, Charset::UTF_8).unwrap();
        Path::parse(path).unwrap().find(&message, item).map(Cow::into_owned)
    }

    #[test]
    fn paths_find_their_text() {
        for (path, expected) in [
            ("MSH-1", Some("|")),
            ("MSH-2", Some("^~\\&")),
            ("MSH-3", Some("APP")),
            ("PID-3", Some("A")),
            ("PID-3.1", Some("A")),
            ("PID-3.4.2", Some("1.2")),
            ("PID-3[2].1", Some("B")),
            ("PID-3[?5=MR].1", Some("B")),
            ("PID-3[?5=SS,NN*]", Some("C")),
            ("PID-3[?4.2=1.2].5", Some("PI")),
            ("PID-3[?5=XX].1", None),
            ("PID-3[9].1", None),
            ("PID-3.9", None),
            ("PID-5", Some("O'&B")),
            ("PID-5.1.2", Some("van")),
            ("PID-5[*]", Some("O'&B&van^X~Y")),
            ("PID-7", None),
            ("PID-8", None),
            ("PID[2]-3", Some("Z")),
            ("PID[3]-3", None),
            ("ZZZ-1", None),
        ] {
            assert_eq!(find(path, None).as_deref(), expected, "{path}");
        }
    }

    #[test]
    fn in_a_list_the_nearest_segment_counts() {
        let item = |at, next| Some(Item { at, next });
        for (path, item, expected) in [
            ("RXE-1", item(4, 7), Some("a")),
            ("ORC-1", item(4, 7), Some("1")),
            ("+RXR-1", item(4, 7), Some("po")),
            ("RXE-1", item(7, 8), Some("b")),
            ("ORC-1", item(7, 8), Some("2")),
            ("RXR-1", item(7, 8), Some("po")),
            ("+RXR-1", item(7, 8), None),
            ("+RXR-1", item(8, 10), Some("iv")),
            ("+RXR-1", None, None),
        ] {
            assert_eq!(find(path, item).as_deref(), expected, "{path} {item:?}");
        }
    }

    #[test]
    fn what_is_no_path_is_told() {
        for path in [
            "",
            "PID",
            "PID-",
            "PID-0",
            "pid-3",
            "PID-3.",
            "PID-3.1.2.3",
            "PID-3[",
            "PID-3[0]",
            "PID-3[?5].1",
            "PID-3[?5=].1",
            "PID-3[*].1",
            "PID-3]1",
            "PID[x]-3",
            "+PID[2]-3",
            "PID-3[1]1",
            "PIDX-3",
        ] {
            assert!(Path::parse(path).is_err(), "{path}");
        }
    }
}
