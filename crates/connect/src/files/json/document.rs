//! Cuts a JSON document into blocks of records, in bounded memory however long its array is.

use super::{
    seek::Seeker,
    text::{is_space, skip_space, value_end},
};
use crate::{
    ConnectError, MAX_REJECTED_BYTES, RejectReason, Rejected,
    files::{
        pipeline::{Block, BlockSource, Limits, Work, keep_rest},
        stream::Stream,
    },
    position::Position,
};

/// The records of a document: the elements of an array, one object, or objects one after the other.
pub(crate) struct DocumentBlocks<'t> {
    stream: Stream<'t>,
    buffer: Vec<u8>,
    /// Offset of the buffer, and the number of the next record.
    position: Position,
    pointer: Option<String>,
    seeker: Seeker,
    state: State,
    limits: Limits,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Seeking,
    Array,
    One,
    Sequence,
    Behind,
    Done,
}

impl<'t> DocumentBlocks<'t> {
    /// `buffer` holds the beginning of the text.
    pub(crate) fn new(stream: Stream<'t>, buffer: Vec<u8>, pointer: Option<&str>, limits: Limits) -> Self {
        let position = Position { offset: stream.mark(), line: 1 };
        Self {
            stream,
            buffer,
            position,
            pointer: pointer.map(str::to_owned),
            seeker: Seeker::new(pointer),
            state: State::Seeking,
            limits,
        }
    }

    pub(crate) fn into_stream(self) -> Stream<'t> {
        self.stream
    }

    fn drop_front(&mut self, length: usize) {
        self.buffer.drain(..length);
        self.position.offset += length as u64;
    }

    fn unfinished(&self) -> ConnectError {
        ConnectError::Unfinished { path: self.stream.path().to_owned(), reason: "its JSON ends in the middle" }
    }

    fn seek(&mut self) -> Result<(), ConnectError> {
        loop {
            let ended = self.stream.fill(&mut self.buffer, self.limits.block)?;
            if let Some(at) = self.seeker.find(&self.buffer) {
                let first = self.buffer[at];
                let has_pointer = self.pointer.as_deref().is_some_and(|pointer| !pointer.is_empty());
                self.state = match first {
                    b'[' => State::Array,
                    b'{' if has_pointer => State::One,
                    b'{' => State::Sequence,
                    _ => return Err(self.records_missing()),
                };
                // The bracket of the array is left behind, the brace of an object is part of it.
                self.drop_front(if first == b'[' { at + 1 } else { at });
                return Ok(());
            }
            self.drop_front(self.buffer.len());
            if ended {
                let is_empty = self.position.offset == 0 || self.seeker.depth() > 0;
                return Err(if is_empty { self.unfinished() } else { self.records_missing() });
            }
        }
    }

    fn records_missing(&self) -> ConnectError {
        let pointer = self.pointer.clone().unwrap_or_default();
        ConnectError::RecordsMissing { path: self.stream.path().to_owned(), pointer }
    }

    /// The next block of records, or `None` when there are no more.
    fn records(&mut self) -> Result<Option<Block>, ConnectError> {
        let mut target = self.limits.block;
        loop {
            let ended = self.stream.fill(&mut self.buffer, target)?;
            let window = self.buffer.len().min(target);
            let is_rest = ended && window == self.buffer.len();
            let scan = scan(&self.buffer[..window], self.state, is_rest);
            if !scan.spans.is_empty() || scan.is_closed {
                return Ok(self.take(scan));
            }
            if is_rest {
                if self.state == State::Sequence && scan.cut == window {
                    self.state = State::Done;
                    return Ok(None);
                }
                return Err(self.unfinished());
            }
            if window - scan.cut >= self.limits.record {
                let path = self.stream.path().to_owned();
                let (record, limit) = (self.position.line, self.limits.record);
                return Err(ConnectError::RecordTooLarge { path, record, limit });
            }
            self.drop_front(scan.cut);
            target = self.limits.block.max((window - scan.cut) * 2);
        }
    }

    fn take(&mut self, scan: Scan) -> Option<Block> {
        let rest = keep_rest(&self.buffer, scan.cut, self.limits.block);
        let mut bytes = std::mem::replace(&mut self.buffer, rest);
        bytes.truncate(scan.cut);
        let start = self.position;
        self.position = Position { offset: start.offset + scan.cut as u64, line: start.line + scan.spans.len() as u64 };
        if scan.is_closed {
            self.state = State::Behind;
        }
        (!scan.spans.is_empty()).then_some(Block { bytes, start, spans: scan.spans })
    }

    /// Reads on to the end of the document. What follows it is no part of it.
    fn behind(&mut self) -> Result<Option<Rejected>, ConnectError> {
        loop {
            let ended = self.stream.fill(&mut self.buffer, self.limits.block)?;
            if let Some(end) = self.seeker.close(&self.buffer) {
                self.drop_front(end);
                break;
            }
            self.drop_front(self.buffer.len());
            if ended {
                return Err(self.unfinished());
            }
        }
        self.state = State::Done;
        let mut trailing: Option<Rejected> = None;
        loop {
            let ended = self.stream.fill(&mut self.buffer, self.limits.block)?;
            match &mut trailing {
                Some(rejected) => {
                    let room = MAX_REJECTED_BYTES - rejected.bytes.len();
                    rejected.bytes.extend_from_slice(&self.buffer[..room.min(self.buffer.len())]);
                    rejected.length += self.buffer.len() as u64;
                }
                None => {
                    let start = skip_space(&self.buffer, 0);
                    if start < self.buffer.len() {
                        let offset = self.position.offset + start as u64;
                        let reason = RejectReason::InvalidJson;
                        trailing = Some(Rejected::new(self.position.line, offset, reason, &self.buffer[start..]));
                    }
                }
            }
            self.drop_front(self.buffer.len());
            if ended {
                return Ok(trailing);
            }
        }
    }
}

impl BlockSource for DocumentBlocks<'_> {
    fn next(&mut self) -> Result<Option<Work>, ConnectError> {
        loop {
            match self.state {
                State::Seeking => self.seek()?,
                State::Array | State::One | State::Sequence => {
                    if let Some(block) = self.records()? {
                        return Ok(Some(Work::Block(block)));
                    }
                }
                State::Behind => {
                    if let Some(rejected) = self.behind()? {
                        return Ok(Some(Work::Rejected(rejected)));
                    }
                }
                State::Done => return Ok(None),
            }
        }
    }
}

struct Scan {
    spans: Vec<(u32, u32)>,
    /// Everything before it is done with.
    cut: usize,
    /// Whether the last record is among them.
    is_closed: bool,
}

fn scan(bytes: &[u8], state: State, ended: bool) -> Scan {
    let mut scan = Scan { spans: Vec::new(), cut: 0, is_closed: false };
    loop {
        let separators = bytes[scan.cut..].iter().take_while(|byte| is_space(**byte) || **byte == b',').count();
        let at = scan.cut + separators;
        scan.cut = at;
        if state == State::Array && bytes.get(at) == Some(&b']') {
            scan.cut = at + 1;
            scan.is_closed = true;
            return scan;
        }
        let Some(end) = value_end(bytes, at, ended) else { return scan };
        scan.spans.push((at as u32, end as u32));
        scan.cut = end;
        if state == State::One {
            scan.is_closed = true;
            return scan;
        }
    }
}
