//! Where messages begin in a text of many: at a line that begins with MSH. The segments that hold a batch or a file together
//! (FHS, BHS, BTS, FTS) stand on lines of their own, and whatever else stands outside of a message is a piece too, so that
//! nothing of a text is lost. MLLP's frame characters end a line as line ends do, where they frame something.

/// The segments that begin a message, and those that hold a batch or a file together.
const HEADERS: [&[u8]; 5] = [b"MSH", b"FHS", b"BHS", b"BTS", b"FTS"];

/// Begins a frame of MLLP.
pub(crate) const START_OF_BLOCK: u8 = 0x0B;
/// Ends a frame of MLLP, with a carriage return behind it.
pub(crate) const END_OF_BLOCK: u8 = 0x1C;

/// Whether a line may end at this byte.
pub(crate) fn is_line_end(byte: u8) -> bool {
    matches!(byte, b'\r' | b'\n' | START_OF_BLOCK | END_OF_BLOCK)
}

/// Whether the frame character that `bytes` begin with frames something, with `before` in front of it: `<FS>` where a line end or nothing
/// is behind it, `<VT>` at the beginning of a line, either where a header is behind it. Anywhere else it is text of a field, as receivers
/// take it that go by the pair `<FS><CR>`. `None` if what comes behind decides, and `bytes` are not all.
pub(crate) fn is_frame_character(before: Option<u8>, bytes: &[u8], is_all: bool) -> Option<bool> {
    let (character, behind) = bytes.split_first()?;
    match behind.first() {
        _ if *character == START_OF_BLOCK && before.is_none_or(is_line_end) => return Some(true),
        None if *character == END_OF_BLOCK => return is_all.then_some(true),
        Some(next) if *character == END_OF_BLOCK && (is_line_end(*next) || *next == 0) => return Some(true),
        _ => {}
    }
    let is_header = HEADERS.iter().any(|name| behind.starts_with(name));
    let may_be_header = !is_all && HEADERS.iter().any(|name| name.starts_with(behind));
    if may_be_header && !is_header { None } else { Some(is_header) }
}

/// Whether a line ends at this place. Unless the bytes are all there is, a frame character at their end does not: more will tell.
pub(crate) fn ends_line(bytes: &[u8], at: usize, is_all: bool) -> bool {
    match bytes[at] {
        START_OF_BLOCK | END_OF_BLOCK => {
            let before = at.checked_sub(1).map(|before| bytes[before]);
            is_frame_character(before, &bytes[at..], is_all) == Some(true)
        }
        byte => is_line_end(byte),
    }
}

/// What a piece of a text is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Message,
    /// FHS, BHS, BTS or FTS.
    Envelope,
    /// Text that belongs to no message.
    Stray,
}

/// A piece of a text, from its first byte to before the line ends behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Piece {
    pub(crate) start: usize,
    pub(crate) end: usize,
    pub(crate) kind: Kind,
}

/// The pieces of a text whose end is known, and where the rest begins.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Pieces {
    pub(crate) pieces: Vec<Piece>,
    pub(crate) rest: usize,
}

/// Cuts `bytes`, which begin at a line. Unless they are all there is, the last piece may go on behind them.
pub(crate) fn pieces(bytes: &[u8], is_all: bool) -> Pieces {
    let mut found = Pieces::default();
    // The piece that is open, and the line on which it begins.
    let mut open: Option<(Piece, usize)> = None;
    let mut line = 0;
    while line < bytes.len() {
        let end = line_end(bytes, line, is_all);
        if let Some((start, kind)) = begins(bytes, line, is_all) {
            found.close(bytes, open.take(), line);
            open = Some((Piece { start, end, kind }, line));
        } else {
            let is_inside = open.is_some_and(|(piece, _)| piece.kind != Kind::Envelope);
            let text = &bytes[line..end];
            if !is_inside && text.iter().any(|byte| !is_blank(*byte)) {
                found.close(bytes, open.take(), line);
                // A frame character that ends no line is part of the text.
                let ahead = text.iter().take_while(|byte| is_blank(**byte) && !is_line_end(**byte)).count();
                open = Some((Piece { start: line + ahead, end, kind: Kind::Stray }, line));
            }
        }
        line = end + 1;
    }
    if is_all {
        found.close(bytes, open, bytes.len());
    } else {
        // Without an open piece there were only blank lines, and the last of their ends may be half of one.
        found.rest = open.map_or(0, |(_, line)| line);
    }
    found
}

impl Pieces {
    fn close(&mut self, bytes: &[u8], open: Option<(Piece, usize)>, end: usize) {
        if let Some((piece, _)) = open {
            // What stands behind an envelope on lines of its own is none of it.
            let end = if piece.kind == Kind::Envelope { piece.end } else { end };
            let length = trimmed(&bytes[piece.start..end]).len();
            self.pieces.push(Piece { end: piece.start + length, ..piece });
        }
        self.rest = end.min(bytes.len());
    }
}

/// Where the line that begins at `line` ends.
pub(crate) fn line_end(bytes: &[u8], line: usize, is_all: bool) -> usize {
    (line..bytes.len()).find(|at| ends_line(bytes, *at, is_all)).unwrap_or(bytes.len())
}

/// Whether a byte outside of messages says nothing. Senders in C end a text with a NUL.
pub(crate) fn is_blank(byte: u8) -> bool {
    is_line_end(byte) || matches!(byte, b' ' | b'\t' | 0)
}

/// A text without the line ends and NULs behind it.
pub(crate) fn trimmed(bytes: &[u8]) -> &[u8] {
    let length = bytes.iter().rposition(|byte| !is_line_end(*byte) && *byte != 0).map_or(0, |last| last + 1);
    &bytes[..length]
}

/// The first line behind the beginning of `bytes` on which a message or an envelope begins.
pub(crate) fn next_start(bytes: &[u8], is_all: bool) -> Option<usize> {
    let mut lines = (0..bytes.len()).filter(|at| ends_line(bytes, *at, is_all)).map(|at| at + 1);
    lines.find(|line| begins(bytes, *line, is_all).is_some())
}

/// The place and kind of the header or envelope that begins on a line, behind blanks and byte-order marks.
fn begins(bytes: &[u8], line: usize, is_all: bool) -> Option<(usize, Kind)> {
    let mut start = line;
    loop {
        match &bytes[start..] {
            [0xEF, 0xBB, 0xBF, ..] => start += 3,
            [b' ' | b'\t' | 0, ..] => start += 1,
            _ => break,
        }
    }
    let kind = match bytes.get(start..start + 3)? {
        b"MSH" => Kind::Message,
        name if HEADERS.contains(&name) => Kind::Envelope,
        _ => return None,
    };
    let is_segment = match bytes.get(start + 3) {
        Some(byte) => byte.is_ascii_punctuation() || is_line_end(*byte) || matches!(byte, b'\t' | 0x1D..=0x1F),
        None => is_all,
    };
    is_segment.then_some((start, kind))
}

/// Counts lines as an editor does, however they end: a pair of ends is one, and so is a frame's end with the carriage return
/// behind it; a frame's start on a line of its own is none.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LineCounter {
    pub(crate) line: u64,
    /// The byte before, a line end at the beginning of a text.
    previous: u8,
}

impl LineCounter {
    pub(crate) fn new(line: u64) -> Self {
        Self { line, previous: b'\n' }
    }

    pub(crate) fn pass(&mut self, bytes: &[u8]) {
        for byte in bytes {
            let counts = match *byte {
                b'\n' => self.previous != b'\r',
                b'\r' => self.previous != END_OF_BLOCK,
                END_OF_BLOCK => true,
                START_OF_BLOCK => !is_line_end(self.previous),
                _ => false,
            };
            self.line += u64::from(counts);
            self.previous = *byte;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(text: &str) -> Vec<String> {
        let bytes = text.as_bytes();
        let mut lines = LineCounter::new(1);
        let mut at = 0;
        let tell = |piece: &Piece| {
            lines.pass(&bytes[at..piece.start]);
            at = piece.start;
            format!("{} {:?} {}", lines.line, piece.kind, text[piece.start..piece.end].replace('\r', "/"))
        };
        pieces(bytes, true).pieces.iter().map(tell).collect()
    }

    #[test]
    fn a_text_falls_into_pieces() {
        for (text, expected) in [
            ("", &[][..]),
            ("\r\n \n", &[]),
            ("MSH|1\rPID|\r", &["1 Message MSH|1/PID|"]),
            ("MSH|1\r\nMSH|2\r\n", &["1 Message MSH|1", "2 Message MSH|2"]),
            ("\u{b}MSH|1\rPID|\r\u{1c}\r\u{b}MSH|2\r\u{1c}\r", &["1 Message MSH|1/PID|", "4 Message MSH|2"]),
            ("\u{b}MSH|1\u{1c}\u{b}MSH|2\u{1c}", &["1 Message MSH|1", "2 Message MSH|2"]),
            ("MSH|1\u{b}MSH|2", &["1 Message MSH|1", "2 Message MSH|2"]),
            ("\u{feff}MSH|1\n\u{feff} MSH|2", &["1 Message MSH|1", "2 Message MSH|2"]),
            (
                "FHS|\rBHS|\rMSH|1\rBTS|1\rFTS|1\r",
                &["1 Envelope FHS|", "2 Envelope BHS|", "3 Message MSH|1", "4 Envelope BTS|1", "5 Envelope FTS|1"],
            ),
            (
                "junk\nmore\n\nMSH|1\nMSHX|\nBTS|1\n\n lost\nMSH|2",
                &[
                    "1 Stray junk\nmore",
                    "4 Message MSH|1\nMSHX|",
                    "6 Envelope BTS|1",
                    "8 Stray lost",
                    "9 Message MSH|2",
                ],
            ),
            ("MSH|1\rMSH", &["1 Message MSH|1", "2 Message MSH"]),
            // A NUL says nothing between messages or behind one.
            (
                "\u{b}MSH|1\r\0\u{1c}\r\0\u{b}MSH|2\u{1c}\0\u{b}MSH|3",
                &["1 Message MSH|1", "4 Message MSH|2", "6 Message MSH|3"],
            ),
            // Within a field the characters of frames are text.
            (
                "\u{b}MSH|1\rOBX|a\u{1c}b\u{b}c\rNTE|\u{1c}d\u{1c}\r\u{b}MSH|2\u{1c}",
                &["1 Message MSH|1/OBX|a\u{1c}b\u{b}c/NTE|\u{1c}d", "7 Message MSH|2"],
            ),
            ("MSH|1\u{1c}MSH|2\u{1c}BTS|1", &["1 Message MSH|1", "2 Message MSH|2", "3 Envelope BTS|1"]),
        ] {
            assert_eq!(told(text), expected, "{text:?}");
        }
    }

    #[test]
    fn a_piece_that_may_go_on_is_left() {
        let text = b"MSH|1\rPID|\rMSH|2\rPID";
        assert_eq!(
            pieces(text, false),
            Pieces { pieces: vec![Piece { start: 0, end: 10, kind: Kind::Message }], rest: 11 }
        );
        assert_eq!(pieces(b"MSH|1\rMSH", false), Pieces { pieces: Vec::new(), rest: 0 });
        assert_eq!(pieces(b"\r\n\r\n", false).rest, 0);
        // Whether a frame ends here, the next byte says.
        assert_eq!(pieces(b"MSH|1\x1C", false), Pieces { pieces: Vec::new(), rest: 0 });
        assert_eq!(pieces(b"MSH|1\x0BMS", false), Pieces { pieces: Vec::new(), rest: 0 });
    }
}
