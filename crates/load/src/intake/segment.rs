//! One file of a journal: how deliveries are framed, and how they are read back from a file that was damaged.
//!
//! A segment begins with [`MAGIC`]. A frame is `length (u32) · checksum (u64) · body`, little-endian; the body holds the place, the
//! time, what the bytes are and by which way they came, the sender's key and the bytes. Behind a frame that cannot be read the next one
//! is looked for byte by byte: a place is a frame's start if its length stays within the file, its checksum holds and its number is not
//! one that was given out before.

use std::{
    fs, io,
    ops::Range,
    path::{Path, PathBuf},
};

use wardlake_connect::instant_of;
use wardlake_core::RowHasher;

/// No frame is longer: a length beyond it is damage.
const MAX_FRAME_BYTES: usize = 1 << 30;
/// The body of a frame without kind, key and payload.
const LEAST_BODY_BYTES: usize = 8 + 4 + 8 + 2 + 2;
pub(super) const MAGIC: &[u8; 8] = b"WLJRNL01";
const HEAD: usize = 12;

/// By which way a delivery came.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// Who delivered it, as in [`wardlake_core::lineage::PEER`]; empty if that is not known.
    pub peer: String,
    /// What the sender is answered once it is stored, as in [`wardlake_core::lineage::ANSWER`]; empty for no answer.
    pub answer: String,
}

impl Origin {
    /// Whether nothing is known of it.
    pub(crate) fn is_unknown(&self) -> bool {
        self.peer.is_empty() && self.answer.is_empty()
    }
}

/// One delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    /// The number of its first row in the feed, from 1.
    pub(crate) first_row: u64,
    /// Its rows and rejected records; each has a number.
    pub(crate) rows: u32,
    /// When it was received, microseconds since 1970.
    pub(crate) received_us: i64,
    /// What the bytes are: the name of a format, or `rejected:<reason code>`.
    pub(crate) kind: String,
    /// By which way it came: two more lines of the kind's text, which frames of before they were kept do not have.
    pub(crate) origin: Origin,
    /// By what a repeated delivery is known; empty if the sender gave nothing.
    pub(crate) key: Vec<u8>,
    /// As received.
    pub(crate) payload: Vec<u8>,
}

impl Frame {
    /// The number of the row behind its last.
    pub(crate) fn end_row(&self) -> u64 {
        self.first_row.saturating_add(u64::from(self.rows))
    }

    pub(super) fn write_to(&self, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(&[0; HEAD]);
        out.extend_from_slice(&self.first_row.to_le_bytes());
        out.extend_from_slice(&self.rows.to_le_bytes());
        out.extend_from_slice(&self.received_us.to_le_bytes());
        let kind = match self.origin.is_unknown() {
            true => self.kind.clone(),
            false => format!("{}\n{}\n{}", self.kind, self.origin.peer, self.origin.answer),
        };
        for text in [kind.as_bytes(), &self.key] {
            // Both are bounded by their makers; a longer one would be cut, never run into what follows.
            let text = &text[..text.len().min(usize::from(u16::MAX))];
            out.extend_from_slice(&(text.len() as u16).to_le_bytes());
            out.extend_from_slice(text);
        }
        out.extend_from_slice(&self.payload);
        let body = start + HEAD;
        let length = (out.len() - body) as u32;
        let sum = checksum(&out[body..]);
        out[start..start + 4].copy_from_slice(&length.to_le_bytes());
        out[start + 4..body].copy_from_slice(&sum.to_le_bytes());
    }

    fn read(body: &[u8]) -> Option<Self> {
        let mut rest = body;
        let first_row = u64::from_le_bytes(take(&mut rest)?);
        let rows = u32::from_le_bytes(take(&mut rest)?);
        let received_us = i64::from_le_bytes(take(&mut rest)?);
        let mut text = || {
            let length = usize::from(u16::from_le_bytes(take(&mut rest)?));
            let (text, behind) = rest.split_at_checked(length)?;
            rest = behind;
            Some(text.to_vec())
        };
        let kind = String::from_utf8(text()?).ok()?;
        let key = text()?;
        let mut lines = kind.split('\n').map(str::to_owned);
        let kind = lines.next()?;
        // A frame of a version that did not keep them has no such lines.
        let mut line = || lines.next().unwrap_or_default();
        let origin = Origin { peer: line(), answer: line() };
        Some(Self { first_row, rows, received_us, kind, origin, key, payload: rest.to_vec() })
    }

    /// The frame that starts at a byte, and the first byte behind it.
    fn at(bytes: &[u8], start: usize) -> Option<(Self, usize)> {
        let mut rest = bytes.get(start..)?;
        let length = u32::from_le_bytes(take(&mut rest)?) as usize;
        let sum = u64::from_le_bytes(take(&mut rest)?);
        if !(LEAST_BODY_BYTES..=MAX_FRAME_BYTES).contains(&length) {
            return None;
        }
        let body = rest.get(..length)?;
        let frame = (checksum(body) == sum).then(|| Self::read(body)).flatten()?;
        Some((frame, start + HEAD + length))
    }
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (head, behind) = rest.split_first_chunk::<N>()?;
    *rest = behind;
    Some(*head)
}

fn checksum(body: &[u8]) -> u64 {
    let mut hasher = RowHasher::default();
    hasher.field(Some(body));
    hasher.finish().0 as u64
}

/// A part of a segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// A delivery.
    Frame(Frame),
    /// Bytes that are no frame.
    Unreadable(Range<u64>),
}

/// The parts of a segment's bytes, in order. `next_row` is the least number that its first frame can have.
pub(super) fn parts(bytes: &[u8], mut next_row: u64, mut seen: impl FnMut(Part)) {
    let mut at = MAGIC.len().min(bytes.len());
    if bytes.get(..MAGIC.len()) != Some(MAGIC) && !bytes.is_empty() {
        seen(Part::Unreadable(0..at as u64));
    }
    while at < bytes.len() {
        // A frame in a sender's own bytes, or of before, is not one of this place.
        let frame_at = |start| Frame::at(bytes, start).filter(|(frame, _)| frame.first_row >= next_row);
        let found = (at..bytes.len()).find_map(|start| frame_at(start).map(|found| (start, found)));
        let start = found.as_ref().map_or(bytes.len(), |(start, _)| *start);
        if start > at {
            seen(Part::Unreadable(at as u64..start as u64));
        }
        let Some((_, (frame, end))) = found else { return };
        next_row = frame.end_row();
        at = end;
        seen(Part::Frame(frame));
    }
}

/// The frame that holds a row, looked up in its segment.
pub(crate) fn frame_of(folder: &Path, segment: &str, row: u64) -> io::Result<Option<Frame>> {
    let mut found = None;
    parts(&fs::read(folder.join(segment))?, 1, |part| {
        if let Part::Frame(frame) = part
            && frame.first_row <= row
            && row < frame.end_row()
        {
            found = Some(frame);
        }
    });
    Ok(found)
}

/// One segment on disk.
#[derive(Clone, Debug)]
pub(crate) struct SegmentFile {
    pub(crate) path: PathBuf,
    pub(crate) name: String,
    /// The number of its first row.
    pub(crate) first_row: u64,
    /// The first number behind its rows; none for the newest segment.
    pub(crate) end_row: Option<u64>,
    /// When it was last written, microseconds since 1970.
    pub(crate) written_us: i64,
}

/// The name of the segment that begins with a row.
pub(super) fn name_of(first_row: u64) -> String {
    format!("{first_row:020}.journal")
}

/// The segments of a folder, in order.
pub(super) fn segments(folder: &Path) -> io::Result<Vec<SegmentFile>> {
    let mut found: Vec<SegmentFile> = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let Some(first_row) = name.strip_suffix(".journal").and_then(|number| number.parse().ok()) else { continue };
        let written_us = instant_of(entry.metadata()?.modified()?).timestamp_micros();
        found.push(SegmentFile { path: entry.path(), name, first_row, end_row: None, written_us });
    }
    found.sort_by_key(|segment| segment.first_row);
    for place in 1..found.len() {
        found[place - 1].end_row = Some(found[place].first_row);
    }
    Ok(found)
}
