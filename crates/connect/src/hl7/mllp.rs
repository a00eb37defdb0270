//! The Minimal Lower Layer Protocol: `<VT>` message `<FS><CR>`. The decoder takes bytes as they come and loses none that say anything:
//! what is in no frame, in one that never ended, or in one that is too long is handed out as broken, to be kept. Of a frame there is one
//! answer for each message, or one for all of it: what stands beside a message or between frames is answered by nobody, as an answer that
//! no message belongs to would be taken for that to the next. NULs, blanks and line ends between frames are nothing.
//!
//! A frame ends at the `<FS>` that has a `<CR>` behind it. So that a missing `<CR>` does not matter, it ends too where the next frame or a
//! header follows, or nothing does; any other `<FS>`, and a `<VT>` without a header behind it, is text of the message.

use std::collections::VecDeque;

use super::{
    batch::Batch,
    problem::{Location, Problem},
    split::{END_OF_BLOCK, Kind, START_OF_BLOCK, is_blank, is_frame_character, pieces},
};
use crate::{MAX_REJECTED_BYTES, RejectReason};

/// Puts `message` into a frame.
pub fn framed(message: &[u8]) -> Vec<u8> {
    [&[START_OF_BLOCK], message, &[END_OF_BLOCK, b'\r']].concat()
}

/// What a connection brought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// A message as it was received, without its frame.
    Message(Vec<u8>),
    /// Bytes that are no whole message.
    Broken {
        /// The bytes; of more than may be held only the first [`MAX_REJECTED_BYTES`].
        bytes: Vec<u8>,
        /// How many there were.
        length: u64,
        /// Why they are none.
        problem: Problem,
    },
}

impl Frame {
    fn broken(bytes: Vec<u8>, length: u64, reason: RejectReason) -> Self {
        let problem = match reason {
            RejectReason::Hl7CountMismatch => {
                let segment = String::from_utf8_lossy(bytes.get(..3).unwrap_or_default()).into_owned();
                Problem::new(reason, Location { segment, sequence: 1, field: Some(1) })
            }
            _ => Problem::header(reason, None),
        };
        Self::Broken { bytes, length, problem }
    }

    /// The same, and nobody waits for an answer to it.
    fn unasked(mut self) -> Self {
        if let Self::Broken { problem, .. } = &mut self {
            problem.is_awaited = false;
        }
        self
    }
}

/// Whether a message is in two-byte text, by its mark or its first letters.
fn is_wide(message: &[u8]) -> bool {
    matches!(message, [0xFF, 0xFE, ..] | [0xFE, 0xFF, ..] | [_, 0, _, 0, ..] | [0, _, 0, _, ..])
}

/// Finds the frames in the bytes of one connection.
#[derive(Debug)]
pub struct Decoder {
    limit: usize,
    is_inside: bool,
    held: Vec<u8>,
    /// How many bytes came since the last frame character, held or not.
    length: u64,
    /// The last of them.
    last: Option<u8>,
    /// A frame character, and the few bytes behind it that do not say yet whether it frames anything.
    undecided: Vec<u8>,
    frames: VecDeque<Frame>,
}

impl Decoder {
    /// A frame may have up to `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self {
            limit,
            is_inside: false,
            held: Vec::new(),
            length: 0,
            last: None,
            undecided: Vec::new(),
            frames: VecDeque::new(),
        }
    }

    /// Takes the next bytes of the connection. Take out the frames with [`Decoder::next_frame`] before more are pushed: they
    /// are all held.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.undecided.is_empty() {
            self.take_in(bytes);
        } else {
            let mut all = std::mem::take(&mut self.undecided);
            all.extend_from_slice(bytes);
            self.take_in(&all);
        }
    }

    /// The next frame that is complete. Who asks while there is none has no more bytes at hand: a frame of which all came but the `<CR>`
    /// is complete then, for its sender may wait.
    pub fn next_frame(&mut self) -> Option<Frame> {
        if self.frames.is_empty() && self.is_ending() {
            self.undecided.clear();
            self.close();
        }
        self.frames.pop_front()
    }

    /// The connection has ended: what is left is no whole message, unless it only lacks its `<CR>`.
    pub fn finish(&mut self) {
        let is_ending = self.is_ending();
        let rest = std::mem::take(&mut self.undecided);
        if is_ending {
            self.close();
        } else {
            self.hold(&rest);
        }
        self.leave();
        self.is_inside = false;
    }

    /// Whether bytes of a frame that has not ended are waiting.
    pub fn is_waiting(&self) -> bool {
        self.is_inside && !self.is_ending()
    }

    /// Whether nothing but a `<FS>` came last.
    fn is_ending(&self) -> bool {
        self.undecided == [END_OF_BLOCK]
    }

    fn take_in(&mut self, bytes: &[u8]) {
        let (mut from, mut looked) = (0, 0);
        while let Some(found) = memchr::memchr2(START_OF_BLOCK, END_OF_BLOCK, &bytes[looked..]) {
            let at = looked + found;
            let is_start = bytes[at] == START_OF_BLOCK;
            let before = if at > from { Some(bytes[at - 1]) } else { self.last };
            // Outside of a frame every `<VT>` begins one.
            let is_opening = is_start && !self.is_inside;
            let is_framing = if is_opening { Some(true) } else { is_frame_character(before, &bytes[at..], false) };
            looked = at + 1;
            if is_framing == Some(false) {
                continue;
            }
            self.hold(&bytes[from..at]);
            if is_framing.is_none() {
                self.undecided = bytes[at..].to_vec();
                return;
            }
            if is_start {
                self.leave();
                self.is_inside = true;
            } else {
                self.close();
            }
            from = looked;
        }
        self.hold(&bytes[from..]);
    }

    /// Bytes in memory that belong to no frame that was handed out.
    pub fn held_bytes(&self) -> usize {
        self.held.len()
    }

    fn hold(&mut self, mut bytes: &[u8]) {
        // Between frames stand line ends and NULs, which nobody misses.
        if !self.is_inside && self.length == 0 {
            let start = bytes.iter().position(|byte| !is_blank(*byte)).unwrap_or(bytes.len());
            bytes = &bytes[start..];
        }
        self.length += bytes.len() as u64;
        self.last = bytes.last().copied().or(self.last);
        if self.length <= self.limit as u64 {
            self.held.extend_from_slice(bytes);
        } else {
            let kept = MAX_REJECTED_BYTES.min(self.limit);
            let room = kept.saturating_sub(self.held.len());
            self.held.extend_from_slice(&bytes[..room.min(bytes.len())]);
            self.held.truncate(kept);
        }
    }

    fn take(&mut self) -> (Vec<u8>, u64) {
        self.last = None;
        (std::mem::take(&mut self.held), std::mem::take(&mut self.length))
    }

    /// A frame begins, or nothing more comes: what is held was never ended.
    fn leave(&mut self) {
        let (bytes, length) = self.take();
        if length > self.limit as u64 {
            self.frames.push_back(Frame::broken(bytes, length, RejectReason::TooLong));
        } else if bytes.iter().any(|byte| !is_blank(*byte)) {
            let has_header = pieces(&bytes, true).pieces.iter().any(|piece| piece.kind == Kind::Message);
            let reason = if has_header { RejectReason::Hl7Truncated } else { RejectReason::Hl7NoHeader };
            let frame = Frame::broken(bytes, length, reason);
            self.frames.push_back(if has_header || self.is_inside { frame } else { frame.unasked() });
        }
    }

    /// A frame has ended. One whose start was lost holds a message all the same if it has a header.
    fn close(&mut self) {
        let is_framed = std::mem::replace(&mut self.is_inside, false);
        let (bytes, length) = self.take();
        if length > self.limit as u64 {
            self.frames.push_back(Frame::broken(bytes, length, RejectReason::TooLong));
            return;
        }
        if is_wide(&bytes) {
            // Two-byte text is not cut into lines.
            self.frames.push_back(Frame::Message(bytes));
            return;
        }
        let pieces = pieces(&bytes, true).pieces;
        let mut batch = Batch::default();
        // Who sent a frame waits for an answer, even if there was nothing in it.
        let mut is_awaited = is_framed && pieces.iter().all(|piece| piece.kind != Kind::Message);
        for piece in pieces {
            let part = &bytes[piece.start..piece.end];
            let agrees = batch.agrees(piece.kind, part);
            let reason = match piece.kind {
                Kind::Message => {
                    self.frames.push_back(Frame::Message(part.to_vec()));
                    continue;
                }
                Kind::Stray => RejectReason::Hl7NoHeader,
                Kind::Envelope if agrees => continue,
                Kind::Envelope => RejectReason::Hl7CountMismatch,
            };
            let frame = Frame::broken(part.to_vec(), part.len() as u64, reason);
            self.frames.push_back(if std::mem::take(&mut is_awaited) { frame } else { frame.unasked() });
        }
        if is_awaited {
            self.frames.push_back(Frame::broken(bytes, length, RejectReason::Hl7NoHeader));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(limit: usize, stream: &str) -> Vec<String> {
        let mut decoder = Decoder::new(limit);
        decoder.push(stream.as_bytes());
        decoder.finish();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        std::iter::from_fn(|| decoder.next_frame())
            .map(|frame| match frame {
                Frame::Message(bytes) => text(bytes),
                Frame::Broken { bytes, length, problem } => {
                    let asked = if problem.is_awaited { "" } else { "unasked " };
                    format!("{asked}{}({}): {}", problem.reason.code(), length, text(bytes))
                }
            })
            .collect()
    }

    #[test]
    fn frames_are_found_in_whatever_comes() {
        for (stream, expected) in [
            ("", &[][..]),
            ("\r\n\r\n", &[]),
            ("\u{b}MSH|1\r\u{1c}\r", &["MSH|1"]),
            ("\u{b}MSH|1\u{1c}\r\u{b}MSH|2\u{1c}\r", &["MSH|1", "MSH|2"]),
            ("\u{b}MSH|1\u{1c}\u{b}MSH|2\u{1c}", &["MSH|1", "MSH|2"]),
            ("\u{b}MSH|1\rMSH|2\r\u{1c}\r", &["MSH|1", "MSH|2"]),
            ("\u{b}BHS|\rMSH|1\rBTS|1\r\u{1c}\r", &["MSH|1"]),
            ("hello\r\u{b}MSH|1\u{1c}\r", &["unasked hl7_no_header(6): hello\r", "MSH|1"]),
            ("\u{b}MSH|1\rPI\u{b}MSH|2\u{1c}\r", &["hl7_truncated(8): MSH|1\rPI", "MSH|2"]),
            ("\u{b}MSH|1\rPI", &["hl7_truncated(8): MSH|1\rPI"]),
            ("MSH|1\rPI", &["hl7_truncated(8): MSH|1\rPI"]),
            ("MSH|1\r\u{1c}\r\u{b}MSH|2\u{1c}\r", &["MSH|1", "MSH|2"]),
            ("\u{b}\u{1c}\r", &["hl7_no_header(0): "]),
            ("\u{b}PID|1\u{1c}\r", &["hl7_no_header(5): PID|1"]),
            ("\u{b}junk\rMSH|1\u{1c}\r", &["unasked hl7_no_header(4): junk", "MSH|1"]),
            (
                "\u{b}junk\rBTS|1\rmore\u{1c}\r",
                &["hl7_no_header(4): junk", "unasked hl7_count_mismatch(5): BTS|1", "unasked hl7_no_header(4): more"],
            ),
            ("\u{1c}\r\u{1c}\r", &[]),
        ] {
            assert_eq!(told(1000, stream), expected, "{stream:?}");
        }
    }

    #[test]
    fn d09_what_says_nothing_between_frames_is_nothing() {
        for between in ["\0", "\0\0\r\n", " \t", "\r\n\0", "\u{1c}", "\0\u{1c}\r"] {
            let stream = format!("{between}\u{b}MSH|1\u{1c}\r{between}\u{b}MSH|2\u{1c}\r{between}");
            assert_eq!(told(1000, &stream), ["MSH|1", "MSH|2"], "{between:?}");
        }
        assert_eq!(told(1000, "\u{b}\0MSH|1\r\0\u{1c}\r"), ["MSH|1"]);
    }

    #[test]
    fn d09_frame_characters_within_a_message_are_its_text() {
        for text in ["MSH|1\rOBX|a\u{1c}b", "MSH|1\rOBX|a\u{b}b\u{1c}c", "MSH|1\r\u{1c}PI", "MSH|1\rOBX|\u{b}MS"] {
            let stream = format!("\u{b}{text}\u{1c}\r\u{b}MSH|2\u{1c}\r");
            assert_eq!(told(1000, &stream), [text, "MSH|2"], "{text:?}");
        }
    }

    #[test]
    fn d09_a_trailer_that_counts_otherwise_is_kept_and_not_answered() {
        let stream = "\u{b}BHS|\rMSH|1\rMSH|2\rBTS|3\r\u{1c}\r\u{b}MSH|4\rBTS|1\u{1c}\r";
        assert_eq!(told(1000, stream), ["MSH|1", "MSH|2", "unasked hl7_count_mismatch(5): BTS|3", "MSH|4"]);
    }

    #[test]
    fn d09_a_frame_without_its_return_is_complete_when_nothing_follows() {
        let mut decoder = Decoder::new(1000);
        decoder.push(b"\x0BMSH|1\x1C");
        assert!(!decoder.is_waiting());
        assert_eq!(decoder.next_frame(), Some(Frame::Message(b"MSH|1".to_vec())));
        assert_eq!(decoder.next_frame(), None);
        decoder.push(b"\r\x0BMSH|2\x1C\r");
        assert_eq!(decoder.next_frame(), Some(Frame::Message(b"MSH|2".to_vec())));
        assert_eq!(decoder.next_frame(), None);
    }

    #[test]
    fn a_frame_that_is_too_long_is_passed_over() {
        let stream = "\u{b}MSH|1\rPID|1\u{1c}\r\u{b}MSH|2\u{1c}\r";
        assert_eq!(told(8, stream), ["too_long(11): MSH|1\rPI", "MSH|2"]);
        assert_eq!(told(8, "\u{b}MSH|1\rPID|1"), ["too_long(11): MSH|1\rPI"]);
    }
}
