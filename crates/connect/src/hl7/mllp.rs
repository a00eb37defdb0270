//! The Minimal Lower Layer Protocol: `<VT>` message `<FS><CR>`. The decoder takes bytes as they come and loses none of them:
//! what is in no frame, in one that never ended, or in one that is too long is handed out as broken, to be answered and kept.
//!
//! A frame ends at its `<FS>`: neither byte can occur in a message in a character set that MLLP can carry. (UTF-16 is none,
//! though a message in it gets through where it happens to hold neither byte.) So a missing `<CR>` does not matter.

use std::collections::VecDeque;

use super::{
    problem::Problem,
    split::{END_OF_BLOCK, Kind, START_OF_BLOCK, is_line_end, pieces},
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
        Self::Broken { bytes, length, problem: Problem::header(reason, None) }
    }
}

/// Finds the frames in the bytes of one connection.
#[derive(Debug)]
pub struct Decoder {
    limit: usize,
    is_inside: bool,
    held: Vec<u8>,
    /// How many bytes came since the last frame character, held or not.
    length: u64,
    frames: VecDeque<Frame>,
}

impl Decoder {
    /// A frame may have up to `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self { limit, is_inside: false, held: Vec::new(), length: 0, frames: VecDeque::new() }
    }

    /// Takes the next bytes of the connection. Take out the frames with [`Decoder::next_frame`] before more are pushed: they
    /// are all held.
    pub fn push(&mut self, mut bytes: &[u8]) {
        while let Some(at) = memchr::memchr2(START_OF_BLOCK, END_OF_BLOCK, bytes) {
            self.hold(&bytes[..at]);
            if bytes[at] == START_OF_BLOCK {
                self.leave();
                self.is_inside = true;
            } else {
                self.close();
            }
            bytes = &bytes[at + 1..];
        }
        self.hold(bytes);
    }

    /// The next frame that is complete.
    pub fn next_frame(&mut self) -> Option<Frame> {
        self.frames.pop_front()
    }

    /// The connection has ended: what is left is no whole message.
    pub fn finish(&mut self) {
        self.leave();
        self.is_inside = false;
    }

    /// Whether bytes of a frame that has not ended are waiting.
    pub fn is_waiting(&self) -> bool {
        self.is_inside
    }

    fn hold(&mut self, mut bytes: &[u8]) {
        // Between frames stand line ends, which nobody misses.
        if !self.is_inside && self.length == 0 {
            let start = bytes.iter().position(|byte| !is_line_end(*byte)).unwrap_or(bytes.len());
            bytes = &bytes[start..];
        }
        self.length += bytes.len() as u64;
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
        (std::mem::take(&mut self.held), std::mem::take(&mut self.length))
    }

    /// A frame begins, or nothing more comes: what is held was never ended.
    fn leave(&mut self) {
        let (bytes, length) = self.take();
        if length > self.limit as u64 {
            self.frames.push_back(Frame::broken(bytes, length, RejectReason::TooLong));
        } else if bytes.iter().any(|byte| !byte.is_ascii_whitespace()) {
            let has_header = pieces(&bytes, true).pieces.iter().any(|piece| piece.kind == Kind::Message);
            let reason = if has_header { RejectReason::Hl7Truncated } else { RejectReason::Hl7NoHeader };
            self.frames.push_back(Frame::broken(bytes, length, reason));
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
        if bytes.contains(&0) {
            // Two-byte text is not cut into lines.
            self.frames.push_back(Frame::Message(bytes));
            return;
        }
        let before = self.frames.len();
        for piece in pieces(&bytes, true).pieces {
            let part = &bytes[piece.start..piece.end];
            match piece.kind {
                Kind::Message => self.frames.push_back(Frame::Message(part.to_vec())),
                Kind::Stray => {
                    let frame = Frame::broken(part.to_vec(), part.len() as u64, RejectReason::Hl7NoHeader);
                    self.frames.push_back(frame);
                }
                Kind::Envelope => {}
            }
        }
        // Who sent a frame waits for an answer, even if there was nothing in it.
        if is_framed && self.frames.len() == before {
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
                    format!("{}({}): {}", problem.reason.code(), length, text(bytes))
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
            ("hello\r\u{b}MSH|1\u{1c}\r", &["hl7_no_header(6): hello\r", "MSH|1"]),
            ("\u{b}MSH|1\rPI\u{b}MSH|2\u{1c}\r", &["hl7_truncated(8): MSH|1\rPI", "MSH|2"]),
            ("\u{b}MSH|1\rPI", &["hl7_truncated(8): MSH|1\rPI"]),
            ("MSH|1\rPI", &["hl7_truncated(8): MSH|1\rPI"]),
            ("MSH|1\r\u{1c}\r\u{b}MSH|2\u{1c}\r", &["MSH|1", "MSH|2"]),
            ("\u{b}\u{1c}\r", &["hl7_no_header(0): "]),
            ("\u{b}PID|1\u{1c}\r", &["hl7_no_header(5): PID|1"]),
            ("\u{b}junk\rMSH|1\u{1c}\r", &["hl7_no_header(4): junk", "MSH|1"]),
            ("\u{1c}\r\u{1c}\r", &[]),
        ] {
            assert_eq!(told(1000, stream), expected, "{stream:?}");
        }
    }

    #[test]
    fn a_frame_that_is_too_long_is_passed_over() {
        let stream = "\u{b}MSH|1\rPID|1\u{1c}\r\u{b}MSH|2\u{1c}\r";
        assert_eq!(told(8, stream), ["too_long(11): MSH|1\rPI", "MSH|2"]);
        assert_eq!(told(8, "\u{b}MSH|1\rPID|1"), ["too_long(11): MSH|1\rPI"]);
    }
}
