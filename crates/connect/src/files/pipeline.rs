//! From a stream of text to parsed blocks, in file order: one thread reads, hashes and cuts the text at record borders,
//! others parse the blocks, and the caller's thread receives them. Channels are bounded, so a slow receiver slows the
//! reader down instead of filling the memory. Where blocks are cut does not depend on the number of threads; so neither
//! does the result.

use std::sync::{
    Mutex, PoisonError,
    mpsc::{Receiver, SyncSender, sync_channel},
};

use memchr::memchr;

use super::{chunk::Chunk, stream::Stream};
use crate::{ConnectError, MAX_REJECTED_BYTES, RejectReason, Rejected, position::Position};

/// How much of a file is held at once.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// How many bytes of a file are looked at to find its format and its columns.
    pub head: usize,
    /// The usual size of a block in bytes.
    pub block: usize,
    /// The largest size of a record in bytes.
    pub record: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { head: 2 * 1024 * 1024, block: 2 * 1024 * 1024, record: 64 * 1024 * 1024 }
    }
}

/// Whole records of a file.
pub(crate) struct Block {
    pub(crate) bytes: Vec<u8>,
    pub(crate) start: Position,
    /// Begin and end of each record, for formats that are cut record by record.
    pub(crate) spans: Vec<(u32, u32)>,
}

/// What became of a block.
#[derive(Default)]
pub(crate) struct Parsed {
    pub(crate) chunk: Option<Chunk>,
    pub(crate) rejected: Vec<Rejected>,
    /// Records, rejected ones included, where they are numbered.
    pub(crate) records: u64,
    /// Blank lines and comments.
    pub(crate) blank: u64,
    /// Rows with fewer fields than columns.
    pub(crate) padded: u64,
    /// The line of a row that was filled up and has no line end.
    pub(crate) cut_line: Option<u64>,
    /// Records that were not UTF-8 and decoded.
    pub(crate) decoded: u64,
    /// The block itself, where it has to be seen whether its columns go with those of the blocks before it.
    pub(crate) block: Option<Block>,
}

/// The next part of a file.
pub(crate) enum Work {
    Block(Block),
    /// A record that is too long to be held.
    Rejected(Rejected),
}

pub(crate) trait BlockSource: Send {
    fn next(&mut self) -> Result<Option<Work>, ConnectError>;
}

pub(crate) trait BlockParser: Clone + Send {
    fn parse(&mut self, block: Block) -> Result<Parsed, ConnectError>;
}

/// Where text may be cut.
pub(crate) trait Split: Send {
    /// The last record border in `bytes`, which begin at one; 0 if there is none.
    fn last_border(&self, bytes: &[u8]) -> usize;
    fn newline(&self) -> u8;
}

/// Cuts text whose records are lines.
pub(crate) struct LineBlocks<'t, S> {
    pub(crate) stream: Stream<'t>,
    pub(crate) split: S,
    /// Text that was read and not given out yet; it begins at `position`.
    pub(crate) buffer: Vec<u8>,
    pub(crate) position: Position,
    pub(crate) limits: Limits,
}

impl<S: Split> BlockSource for LineBlocks<'_, S> {
    fn next(&mut self) -> Result<Option<Work>, ConnectError> {
        let mut target = self.limits.block;
        loop {
            let ended = self.stream.fill(&mut self.buffer, target)?;
            if ended && self.buffer.is_empty() {
                return Ok(None);
            }
            let window = &self.buffer[..self.buffer.len().min(target)];
            let is_rest = ended && window.len() == self.buffer.len();
            let cut = if is_rest { window.len() } else { self.split.last_border(window) };
            if cut > 0 {
                return Ok(Some(Work::Block(self.cut(cut))));
            }
            if window.len() >= self.limits.record {
                return self.too_long().map(Some);
            }
            target = window.len() * 2;
        }
    }
}

impl<S: Split> LineBlocks<'_, S> {
    fn cut(&mut self, cut: usize) -> Block {
        let rest = keep_rest(&self.buffer, cut, self.limits.block);
        let mut bytes = std::mem::replace(&mut self.buffer, rest);
        bytes.truncate(cut);
        let start = self.position;
        self.position = start.after(&bytes, self.split.newline());
        Block { bytes, start, spans: Vec::new() }
    }

    /// The buffer begins with a record that does not end. Its first line goes to the parser, which finds the open quote;
    /// a line that does not end is passed over.
    fn too_long(&mut self) -> Result<Work, ConnectError> {
        let newline = self.split.newline();
        if let Some(end) = memchr(newline, &self.buffer) {
            return Ok(Work::Block(self.cut(end + 1)));
        }
        let start = self.position;
        let mut rejected = Rejected::new(start.line, start.offset, RejectReason::TooLong, &[]);
        rejected.bytes = self.buffer[..self.buffer.len().min(MAX_REJECTED_BYTES)].to_vec();
        loop {
            let line_end = memchr(newline, &self.buffer);
            let passed = line_end.map_or(self.buffer.len(), |end| end + 1);
            rejected.length += line_end.unwrap_or(passed) as u64;
            self.position = self.position.after(&self.buffer[..passed], newline);
            self.buffer.drain(..passed);
            if line_end.is_some() || self.stream.fill(&mut self.buffer, self.limits.block)? && self.buffer.is_empty() {
                return Ok(Work::Rejected(rejected));
            }
        }
    }
}

/// What stands behind `cut`, with room for the next block.
pub(crate) fn keep_rest(buffer: &[u8], cut: usize, block: usize) -> Vec<u8> {
    let mut rest = Vec::with_capacity(block + 64 * 1024);
    rest.extend_from_slice(&buffer[cut..]);
    rest
}

/// Parses every block of `source` on `threads` threads and delivers the results in file order. Returns the source.
pub(crate) fn run<S: BlockSource, P: BlockParser>(
    mut source: S,
    mut parser: P,
    threads: usize,
    deliver: &mut dyn FnMut(Parsed) -> Result<(), ConnectError>,
) -> Result<S, ConnectError> {
    if threads <= 1 {
        while let Some(work) = source.next()? {
            deliver(match work {
                Work::Block(block) => parser.parse(block)?,
                Work::Rejected(rejected) => alone(rejected),
            })?;
        }
        return Ok(source);
    }
    let (job_sender, job_receiver) = sync_channel::<Job>(threads);
    let (order_sender, order_receiver) = sync_channel::<Receiver<Answer>>(threads * 2);
    let jobs = Mutex::new(job_receiver);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            let mut parser = parser.clone();
            let jobs = &jobs;
            scope.spawn(move || {
                while let Some(job) = next_job(jobs) {
                    // Nobody waits for the answer once the receiver has stopped.
                    let _ = job.answer.send(parser.parse(job.block));
                }
            });
        }
        let reader = scope.spawn(move || read_all(source, &job_sender, &order_sender));
        let delivered = deliver_all(order_receiver, deliver);
        let source = reader
            .join()
            .unwrap_or_else(|_| Err(ConnectError::Internal { message: "the reading thread panicked".to_owned() }));
        // What the receiver says comes first: its refusal is why the reader stopped.
        delivered.and(source)
    })
}

type Answer = Result<Parsed, ConnectError>;

struct Job {
    block: Block,
    answer: SyncSender<Answer>,
}

fn next_job(jobs: &Mutex<Receiver<Job>>) -> Option<Job> {
    jobs.lock().unwrap_or_else(PoisonError::into_inner).recv().ok()
}

fn read_all<S: BlockSource>(
    mut source: S,
    jobs: &SyncSender<Job>,
    order: &SyncSender<Receiver<Answer>>,
) -> Result<S, ConnectError> {
    while let Some(work) = source.next()? {
        let (answer, place) = sync_channel(1);
        if order.send(place).is_err() {
            return Ok(source);
        }
        let sent = match work {
            Work::Block(block) => jobs.send(Job { block, answer }).is_ok(),
            Work::Rejected(rejected) => answer.send(Ok(alone(rejected))).is_ok(),
        };
        if !sent {
            return Ok(source);
        }
    }
    Ok(source)
}

fn deliver_all(
    order: Receiver<Receiver<Answer>>,
    deliver: &mut dyn FnMut(Parsed) -> Result<(), ConnectError>,
) -> Result<(), ConnectError> {
    for place in order {
        let parsed =
            place.recv().map_err(|_| ConnectError::Internal { message: "a parsing thread panicked".to_owned() })??;
        deliver(parsed)?;
    }
    Ok(())
}

fn alone(rejected: Rejected) -> Parsed {
    Parsed { rejected: vec![rejected], ..Parsed::default() }
}
