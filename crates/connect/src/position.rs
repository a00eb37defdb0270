//! Where bytes stand in a file: offsets and lines are counted once, by whoever cuts a file into blocks.

/// The place at which a block or record begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Position {
    /// Offset in the text, from 0.
    pub(crate) offset: u64,
    /// Line, or record for formats without lines, from 1.
    pub(crate) line: u64,
}

impl Position {
    /// The place behind `bytes`, with lines ended by `newline`.
    pub(crate) fn after(self, bytes: &[u8], newline: u8) -> Self {
        Self { offset: self.offset + bytes.len() as u64, line: self.line + count_lines(bytes, newline) }
    }
}

/// How many line ends `bytes` hold.
pub(crate) fn count_lines(bytes: &[u8], newline: u8) -> u64 {
    memchr::memchr_iter(newline, bytes).count() as u64
}
