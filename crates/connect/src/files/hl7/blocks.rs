//! Cuts a file of messages into blocks of whole ones, in bounded memory, and keeps the accounts of its batches.

use std::collections::VecDeque;

use crate::{
    ConnectError, MAX_REJECTED_BYTES, RejectReason, Rejected,
    files::{
        pipeline::{Block, BlockSource, Limits, Work, keep_rest},
        stream::Stream,
    },
    hl7::{
        batch::Batch,
        split::{LineCounter, Piece, is_blank, is_line_end, next_start, pieces, trimmed},
    },
    position::Position,
};

/// The messages of a file.
pub(crate) struct MessageBlocks<'t> {
    stream: Stream<'t>,
    /// Text that was read and not given out yet; it begins at a line.
    buffer: Vec<u8>,
    /// Where the buffer stands.
    offset: u64,
    lines: LineCounter,
    batch: Batch,
    ready: VecDeque<Work>,
    limits: Limits,
}

impl<'t> MessageBlocks<'t> {
    /// `buffer` holds the beginning of the text.
    pub(crate) fn new(stream: Stream<'t>, buffer: Vec<u8>, limits: Limits) -> Self {
        let offset = stream.mark();
        let (lines, batch, ready) = (LineCounter::new(1), Batch::default(), VecDeque::new());
        Self { stream, buffer, offset, lines, batch, ready, limits }
    }

    pub(crate) fn into_stream(self) -> Stream<'t> {
        self.stream
    }

    /// Makes work of the next pieces that are whole; false at the end of the file.
    fn advance(&mut self) -> Result<bool, ConnectError> {
        let mut target = self.limits.block;
        loop {
            let ended = self.stream.fill(&mut self.buffer, target)?;
            if ended && self.buffer.is_empty() {
                return Ok(false);
            }
            let window = self.buffer.len().min(target);
            let is_rest = ended && window == self.buffer.len();
            let found = pieces(&self.buffer[..window], is_rest);
            if found.rest > 0 {
                self.hand_out(&found.pieces, found.rest);
                return Ok(true);
            }
            if window >= self.limits.record {
                self.too_long()?;
                return Ok(true);
            }
            target = window * 2;
        }
    }

    /// Hands out the first `cut` bytes, whose pieces these are, as one block; but a trailer that counts otherwise is a
    /// rejected record between two blocks.
    fn hand_out(&mut self, found: &[Piece], cut: usize) {
        let rest = keep_rest(&self.buffer, cut, self.limits.block);
        let mut bytes = std::mem::replace(&mut self.buffer, rest);
        bytes.truncate(cut);
        let mut from = 0;
        for piece in found {
            let text = &bytes[piece.start..piece.end];
            if self.batch.agrees(piece.kind, text) {
                continue;
            }
            self.block(bytes[from..piece.start].to_vec());
            let rejected = Rejected::new(self.lines.line, self.offset, RejectReason::Hl7CountMismatch, text);
            self.ready.push_back(Work::Rejected(rejected));
            // The next block begins at a line.
            let ends = bytes[piece.end..].iter().take_while(|byte| is_line_end(**byte)).count();
            from = piece.end + ends;
            self.pass(&bytes[piece.start..from]);
        }
        self.block(if from == 0 { bytes } else { bytes[from..].to_vec() });
    }

    fn block(&mut self, bytes: Vec<u8>) {
        let start = Position { offset: self.offset, line: self.lines.line };
        self.pass(&bytes);
        if !bytes.is_empty() {
            self.ready.push_back(Work::Block(Block { bytes, start, spans: Vec::new() }));
        }
    }

    fn pass(&mut self, bytes: &[u8]) {
        self.lines.pass(bytes);
        self.offset += bytes.len() as u64;
    }

    fn drop_front(&mut self, length: usize) {
        let passed: Vec<u8> = self.buffer.drain(..length).collect();
        self.pass(&passed);
    }

    /// The buffer begins with a piece that does not end: it is passed over to where the next one begins.
    fn too_long(&mut self) -> Result<(), ConnectError> {
        let blank = self.buffer.iter().take_while(|byte| is_blank(**byte)).count();
        if blank > 0 {
            self.drop_front(blank);
            return Ok(());
        }
        let mut rejected = Rejected::new(self.lines.line, self.offset, RejectReason::TooLong, &[]);
        rejected.bytes = self.buffer[..self.buffer.len().min(MAX_REJECTED_BYTES)].to_vec();
        if self.buffer.starts_with(b"MSH") {
            self.batch.count_message();
        }
        loop {
            let ended = self.stream.fill(&mut self.buffer, self.limits.block.max(2 * MARGIN_BYTES))?;
            if let Some(next) = next_start(&self.buffer, ended) {
                self.drop_front(next);
                break;
            }
            if ended {
                self.drop_front(self.buffer.len());
                break;
            }
            self.drop_front(self.buffer.len() - MARGIN_BYTES);
        }
        rejected.length = self.offset - rejected.byte_offset;
        if rejected.length <= rejected.bytes.len() as u64 {
            // All of it is at hand, and maybe what stands behind it.
            rejected.bytes.truncate(rejected.length as usize);
            let length = trimmed(&rejected.bytes).len();
            rejected.bytes.truncate(length);
            rejected.length = length as u64;
        }
        self.ready.push_back(Work::Rejected(rejected));
        Ok(())
    }
}

/// So many bytes are kept while a long piece is passed over: the beginning of the next header may be among them.
const MARGIN_BYTES: usize = 64;

impl BlockSource for MessageBlocks<'_> {
    fn next(&mut self) -> Result<Option<Work>, ConnectError> {
        loop {
            if let Some(work) = self.ready.pop_front() {
                return Ok(Some(work));
            }
            if !self.advance()? {
                return Ok(None);
            }
        }
    }
}
