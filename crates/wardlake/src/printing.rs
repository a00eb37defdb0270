//! The last step of every text on its way to people. It never panics where nobody reads, carries nothing of the data to the
//! terminal that the terminal would obey, and breaks lines between words.
//!
//! [`out`] is for what a command was asked for: it ends where its reader has gone. [`note`] and [`err`] are for what is said about
//! work, which goes on whoever reads.

use std::{
    borrow::Cow,
    fmt::{Display, Write as _},
    io::{self, IsTerminal, Write as _},
};

/// Narrower than this nothing is broken: it would be a word a line.
const NARROWEST: usize = 20;

/// Why a result was not written out.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unwritten {
    /// The system's reason.
    #[error("cannot write the result: {0}")]
    Output(String),
    /// Whoever read it has gone: nothing is wrong, and there is nobody to tell more.
    #[error("the result is not read any more")]
    Unread,
}

/// Where a line goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Stream {
    #[default]
    Out,
    Err,
}

impl Stream {
    /// Writes a text as it is.
    pub(crate) fn write(self, text: &str) -> io::Result<()> {
        match self {
            Self::Out => {
                let mut out = io::stdout().lock();
                out.write_all(text.as_bytes())?;
                out.flush()
            }
            Self::Err => io::stderr().lock().write_all(text.as_bytes()),
        }
    }

    pub(crate) fn is_terminal(self) -> bool {
        match self {
            Self::Out => io::stdout().is_terminal(),
            Self::Err => io::stderr().is_terminal(),
        }
    }

    /// Whether it is a terminal that can do more than show one line after the other.
    pub(crate) fn is_screen(self) -> bool {
        self.is_terminal() && !is_dumb()
    }

    /// Whether colours show.
    pub(crate) fn is_colored(self) -> bool {
        self.is_screen() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
    }

    /// Columns of the terminal, or what COLUMNS says; none for files and pipes, whose lines stay whole.
    pub(crate) fn width(self) -> Option<usize> {
        let size = match self {
            Self::Out => terminal_size::terminal_size_of(io::stdout()),
            Self::Err => terminal_size::terminal_size_of(io::stderr()),
        };
        size.map(|(width, _)| usize::from(width.0))
            .or_else(|| std::env::var("COLUMNS").ok()?.trim().parse().ok())
            .filter(|width| *width >= NARROWEST)
    }

    /// The text with its lines broken for this stream.
    pub(crate) fn fitted(self, text: &str) -> String {
        self.width().map_or_else(|| text.to_owned(), |width| wrapped(text, width))
    }
}

/// A terminal that can do nothing but show one line after the other, or does not say what it can.
fn is_dumb() -> bool {
    match std::env::var_os("TERM") {
        Some(term) => term.is_empty() || term == "dumb",
        None => cfg!(unix),
    }
}

/// Prints a line, or several, of what a command was asked for. Where nobody reads any more the command ends.
pub(crate) fn out(text: impl Display) -> Result<(), Unwritten> {
    raw(&format!("{}\n", safe(&text.to_string())))
}

/// [`out`] for prose, whose lines are broken for the terminal.
pub(crate) fn out_prose(text: impl Display) -> Result<(), Unwritten> {
    raw(&format!("{}\n", Stream::Out.fitted(&safe(&text.to_string()))))
}

/// [`out`] for JSON: what a terminal would obey stands in it as JSON escapes it, which is the same value to every program.
pub(crate) fn out_json(text: &str) -> Result<(), Unwritten> {
    raw(&format!("{}\n", escaped_json(text)))
}

/// [`out`] for a text that other programs read, byte by byte, unless a terminal shows it.
pub(crate) fn out_code(text: &str) -> Result<(), Unwritten> {
    if Stream::Out.is_terminal() { out(text) } else { raw(&format!("{text}\n")) }
}

/// [`out`] for what is made for other programs, as it is.
pub(crate) fn raw(text: &str) -> Result<(), Unwritten> {
    Stream::Out.write(text).map_err(unwritten)
}

/// [`raw`] for bytes, which may be no text.
pub(crate) fn raw_bytes(bytes: &[u8]) -> Result<(), Unwritten> {
    let mut out = io::stdout().lock();
    out.write_all(bytes).and_then(|()| out.flush()).map_err(unwritten)
}

fn unwritten(error: io::Error) -> Unwritten {
    match error.kind() {
        io::ErrorKind::BrokenPipe => Unwritten::Unread,
        _ => Unwritten::Output(error.to_string()),
    }
}

/// Says on standard output what was done.
pub(crate) fn note(text: impl Display) {
    say(Stream::Out, text);
}

/// Says on standard error what is wrong.
pub(crate) fn err(text: impl Display) {
    say(Stream::Err, text);
}

fn say(stream: Stream, text: impl Display) {
    painted(stream, &stream.fitted(&safe(&text.to_string())));
}

/// Prints a text whose parts are safe already and that has colours of ours. Work goes on where it cannot be told.
pub(crate) fn painted(stream: Stream, text: &str) {
    let _ = stream.write(&format!("{text}\n"));
}

/// A text of several lines as a terminal may have it: what it would obey, or what would turn the order of what is read, is
/// spelled out (`\x1b`).
pub(crate) fn safe(text: &str) -> Cow<'_, str> {
    let is_spelled = |c| is_obeyed(c) && !matches!(c, '\n' | '\t');
    match text.contains("\r\n") {
        true => Cow::Owned(spelled(&text.replace("\r\n", "\n"), is_spelled).into_owned()),
        false => spelled(text, is_spelled),
    }
}

/// [`safe`] for a name or a value within a line.
pub(crate) fn safe_line(text: &str) -> Cow<'_, str> {
    spelled(text, is_obeyed)
}

/// JSON with everything that a terminal would obey escaped; such characters stand in its strings only.
pub(crate) fn escaped_json(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c == '\n' || !is_obeyed(c) {
            out.push(c);
            continue;
        }
        for unit in c.encode_utf16(&mut [0; 2]) {
            let _ = write!(out, "\\u{unit:04x}");
        }
    }
    out
}

/// A file's text, character by character: one visible for one that the terminal would obey, so that places in it stay.
pub(crate) fn safe_source(text: &str) -> String {
    let visible = |c: char| match u32::from(c) {
        code @ 0..0x20 => char::from_u32(0x2400 + code).unwrap_or(char::REPLACEMENT_CHARACTER),
        0x7f => '\u{2421}',
        _ => char::REPLACEMENT_CHARACTER,
    };
    text.chars().map(|c| if is_obeyed(c) && !matches!(c, '\n' | '\t') { visible(c) } else { c }).collect()
}

/// Control characters of both sets, separators of lines, and what turns or hides text.
fn is_obeyed(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{206f}')
        || matches!(c, '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

fn spelled(text: &str, is_spelled: impl Fn(char) -> bool) -> Cow<'_, str> {
    if !text.contains(&is_spelled) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        let _ = match c {
            c if !is_spelled(c) => out.write_char(c),
            '\n' => out.write_str("\\n"),
            '\r' => out.write_str("\\r"),
            '\t' => out.write_str("\\t"),
            c if u32::from(c) < 0x100 => write!(out, "\\x{:02x}", u32::from(c)),
            c => write!(out, "\\u{{{:x}}}", u32::from(c)),
        };
    }
    Cow::Owned(out)
}

/// The text with every line that is longer broken between words; its further lines stand as far in as the first. A word that is
/// longer than a line stays whole.
pub(crate) fn wrapped(text: &str, width: usize) -> String {
    let mut out = String::with_capacity(text.len() + 16);
    for (number, line) in text.split('\n').enumerate() {
        if number > 0 {
            out.push('\n');
        }
        if columns(line) <= width {
            out.push_str(line);
        } else {
            wrap_line(line, width, &mut out);
        }
    }
    out
}

fn wrap_line(line: &str, width: usize, out: &mut String) {
    let indent = " ".repeat(line.len() - line.trim_start_matches(' ').len());
    out.push_str(&indent);
    let mut used = indent.len();
    for (number, word) in line.split(' ').filter(|word| !word.is_empty()).enumerate() {
        let needed = columns(word);
        if number > 0 && used + 1 + needed > width {
            out.push('\n');
            out.push_str(&indent);
            used = indent.len();
        } else if number > 0 {
            out.push(' ');
            used += 1;
        }
        out.push_str(word);
        used += needed;
    }
}

/// How wide a text is on the screen: colours take no room.
pub(crate) fn columns(text: &str) -> usize {
    let mut count = 0;
    let mut is_color = false;
    for c in text.chars() {
        match (is_color, c) {
            (false, '\x1b') => is_color = true,
            (true, 'm') => is_color = false,
            (true, _) => {}
            (false, _) => count += 1,
        }
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c09_what_a_terminal_would_obey_is_spelled_out() {
        for (text, line, lines) in [
            ("Meier, Åse – 漢字", "Meier, Åse – 漢字", "Meier, Åse – 漢字"),
            ("\x1b[2J\x07", "\\x1b[2J\\x07", "\\x1b[2J\\x07"),
            ("a\rb\nc\td", "a\\rb\\nc\\td", "a\\rb\nc\td"),
            ("\u{9b}31m\u{7f}", "\\x9b31m\\x7f", "\\x9b31m\\x7f"),
            ("a\u{202e}b\u{2066}c", "a\\u{202e}b\\u{2066}c", "a\\u{202e}b\\u{2066}c"),
        ] {
            assert_eq!((safe_line(text), safe(text)), (line.into(), lines.into()), "{text:?}");
            let json = serde_json::to_string(text).unwrap();
            assert_eq!(serde_json::from_str::<String>(&escaped_json(&json)).unwrap(), text);
            assert!(!escaped_json(&json).contains(['\u{7f}', '\u{9b}', '\u{202e}']), "{json:?}");
            let source = safe_source(text);
            assert_eq!(source.chars().count(), text.chars().count(), "places stay");
            assert!(!source.contains(['\x1b', '\u{9b}', '\u{202e}']), "{source:?}");
        }
    }

    #[test]
    fn e08_lines_break_between_words_only() {
        for (text, width, expected) in [
            ("one two three", 8, "one two\nthree"),
            ("  one two three", 8, "  one\n  two\n  three"),
            ("averylongword two", 5, "averylongword\ntwo"),
            ("\x1b[31mone\x1b[0m two three", 8, "\x1b[31mone\x1b[0m two\nthree"),
            ("a  b\nc d", 10, "a  b\nc d"),
        ] {
            assert_eq!(wrapped(text, width), expected);
        }
    }
}
