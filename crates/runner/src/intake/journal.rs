//! The journal of one table: what senders delivered, as received, in the order in which it was accepted.
//!
//! A folder of segments, each named by its first row. A frame is `length (u32) · checksum (u64) · body`, little-endian; the
//! body holds the place, the time, the sender's key and the bytes. A frame counts once it is synced. After a crash the last
//! segment may end in a torn frame, which nobody was told about: it is cut off. Segments are never rewritten: they are the
//! landing of what was delivered.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, BufReader, Read, Write},
    path::{Path, PathBuf},
};

use wardlake_core::RowHasher;

/// A segment that has grown to this many bytes is closed.
const SEGMENT_BYTES: u64 = 64 << 20;
/// No frame is longer: a length beyond it is damage.
const MAX_FRAME_BYTES: u32 = 1 << 30;
const MAGIC: &[u8; 8] = b"WLJRNL01";
const HEAD: usize = 12;

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
    /// By what a repeated delivery is known; empty if the sender gave nothing.
    pub(crate) key: Vec<u8>,
    /// As received.
    pub(crate) payload: Vec<u8>,
}

impl Frame {
    /// The number of the row behind its last.
    pub(crate) fn end_row(&self) -> u64 {
        self.first_row + u64::from(self.rows)
    }

    fn write_to(&self, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(&[0; HEAD]);
        out.extend_from_slice(&self.first_row.to_le_bytes());
        out.extend_from_slice(&self.rows.to_le_bytes());
        out.extend_from_slice(&self.received_us.to_le_bytes());
        for text in [self.kind.as_bytes(), &self.key] {
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
        Some(Self { first_row, rows, received_us, kind, key, payload: rest.to_vec() })
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

/// The journal, open for appending.
#[derive(Debug)]
pub(crate) struct Journal {
    folder: PathBuf,
    segment: Option<Segment>,
    next_row: u64,
    /// A segment and its length before an append that failed and could not be taken back.
    torn: Option<(PathBuf, u64)>,
}

#[derive(Debug)]
struct Segment {
    file: File,
    name: String,
    length: u64,
}

impl Journal {
    /// Opens the journal and hands every whole frame of the segments that `wants` names to `seen`, in
    /// order. `least_row` is the first number that may be given out.
    pub(crate) fn open(
        folder: &Path,
        least_row: u64,
        wants: impl Fn(&SegmentFile) -> bool,
        mut seen: impl FnMut(&str, Frame),
    ) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        let segments = segments(folder)?;
        let mut next_row = least_row.max(1);
        for (place, segment) in segments.iter().enumerate() {
            let is_last = place + 1 == segments.len();
            if !is_last && !wants(segment) {
                continue;
            }
            read_segment(&segment.path, |frame| {
                next_row = next_row.max(frame.end_row());
                seen(&segment.name, frame);
            })?;
        }
        Ok(Self { folder: folder.to_owned(), segment: None, next_row, torn: None })
    }

    /// The number the next row gets.
    pub(crate) fn next_row(&self) -> u64 {
        self.next_row
    }

    /// Appends the frames, which are numbered from [`Self::next_row`] on, and syncs them. Returns the segment's name. After an
    /// error nothing of them counts: the next append begins a segment of its own behind the last good frame.
    pub(crate) fn append(&mut self, frames: &[Frame]) -> io::Result<String> {
        let Some(last) = frames.last() else { return Ok(String::new()) };
        let mut bytes = Vec::with_capacity(frames.iter().map(|frame| frame.payload.len() + 128).sum());
        frames.iter().for_each(|frame| frame.write_to(&mut bytes));
        self.mend()?;
        let mut segment = match self.segment.take() {
            Some(segment) if segment.length < SEGMENT_BYTES => segment,
            _ => self.new_segment()?,
        };
        let written = segment.file.write_all(&bytes).and_then(|()| segment.file.sync_data());
        if let Err(error) = written {
            // Whole frames among what was written must not be taken for accepted ones later.
            self.torn = Some((self.folder.join(&segment.name), segment.length));
            let _ = self.mend();
            return Err(error);
        }
        segment.length += bytes.len() as u64;
        self.next_row = last.end_row();
        let name = segment.name.clone();
        self.segment = Some(segment);
        Ok(name)
    }

    /// Takes back what a failed append left. Nothing is appended before that has worked.
    fn mend(&mut self) -> io::Result<()> {
        if let Some((path, length)) = &self.torn {
            let file = OpenOptions::new().write(true).open(path)?;
            file.set_len(*length)?;
            file.sync_all()?;
            self.torn = None;
        }
        Ok(())
    }

    fn new_segment(&self) -> io::Result<Segment> {
        fs::create_dir_all(&self.folder)?;
        let name = format!("{:020}.journal", self.next_row);
        let path = self.folder.join(&name);
        // A segment of that name holds no whole frame, or its rows would have been counted.
        let mut file = OpenOptions::new().create(true).write(true).truncate(true).open(&path)?;
        file.write_all(MAGIC)?;
        file.sync_all()?;
        sync_folders(&self.folder)?;
        Ok(Segment { file, name, length: MAGIC.len() as u64 })
    }
}

/// A new file is there after a power cut only when its folder was synced, and a new folder when its parent was.
fn sync_folders(folder: &Path) -> io::Result<()> {
    for folder in folder.ancestors().take(3) {
        File::open(folder)?.sync_all()?;
    }
    Ok(())
}

/// One segment on disk.
#[derive(Clone, Debug)]
pub(crate) struct SegmentFile {
    pub(crate) path: PathBuf,
    pub(crate) name: String,
    /// The first number behind its rows; none for the newest segment.
    pub(crate) end_row: Option<u64>,
    /// When it was last written, microseconds since 1970.
    pub(crate) written_us: i64,
}

fn segments(folder: &Path) -> io::Result<Vec<SegmentFile>> {
    let mut found: Vec<(u64, SegmentFile)> = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let Some(first) = name.strip_suffix(".journal").and_then(|number| number.parse().ok()) else { continue };
        let written = entry.metadata()?.modified().map(chrono::DateTime::<chrono::Utc>::from);
        let written_us = written.map_or(0, |at| at.timestamp_micros());
        found.push((first, SegmentFile { path: entry.path(), name, end_row: None, written_us }));
    }
    found.sort_by_key(|(first, _)| *first);
    let ends: Vec<Option<u64>> = found.iter().skip(1).map(|(first, _)| Some(*first)).chain([None]).collect();
    Ok(found.into_iter().zip(ends).map(|((_, segment), end_row)| SegmentFile { end_row, ..segment }).collect())
}

/// Reads the whole frames from the start to the first that is torn.
fn read_segment(path: &Path, mut seen: impl FnMut(Frame)) -> io::Result<()> {
    let mut reader = BufReader::with_capacity(1 << 20, File::open(path)?);
    let mut magic = [0; MAGIC.len()];
    if !fill(&mut reader, &mut magic)? || &magic != MAGIC {
        return Ok(());
    }
    let mut body = Vec::new();
    loop {
        let mut head = [0; HEAD];
        if !fill(&mut reader, &mut head)? {
            return Ok(());
        }
        let (length, sum) = head.split_at(4);
        let length = u32::from_le_bytes(length.try_into().unwrap_or_default());
        let sum = u64::from_le_bytes(sum.try_into().unwrap_or_default());
        if length > MAX_FRAME_BYTES {
            return Ok(());
        }
        body.resize(length as usize, 0);
        if !fill(&mut reader, &mut body)? || checksum(&body) != sum {
            return Ok(());
        }
        let Some(frame) = Frame::read(&body) else { return Ok(()) };
        seen(frame);
    }
}

/// Whether the whole buffer could be read.
fn fill(reader: &mut impl Read, buffer: &mut [u8]) -> io::Result<bool> {
    match reader.read_exact(buffer) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

/// The frame that holds a row, looked up in its segment.
pub(crate) fn frame_of(folder: &Path, segment: &str, row: u64) -> io::Result<Option<Frame>> {
    let mut found = None;
    read_segment(&folder.join(segment), |frame| {
        if frame.first_row <= row && row < frame.end_row() {
            found = Some(frame);
        }
    })?;
    Ok(found)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn frame(first_row: u64, rows: u32, payload: &[u8]) -> Frame {
        Frame {
            first_row,
            rows,
            received_us: 7,
            kind: "ndjson".to_owned(),
            key: b"k".to_vec(),
            payload: payload.to_vec(),
        }
    }

    fn open(folder: &Path) -> (Journal, Vec<Frame>) {
        let mut frames = Vec::new();
        let journal = Journal::open(folder, 1, |_| true, |_, frame| frames.push(frame)).unwrap();
        (journal, frames)
    }

    #[test]
    fn what_was_appended_is_read_again_and_numbers_go_on() {
        let folder = tempfile::tempdir().unwrap();
        let (mut journal, none) = open(folder.path());
        assert_eq!((journal.next_row(), none.len()), (1, 0));
        let frames = [frame(1, 2, b"ab"), frame(3, 1, b"")];
        let segment = journal.append(&frames).unwrap();
        assert_eq!(frame_of(folder.path(), &segment, 2).unwrap().as_ref(), Some(&frames[0]));
        drop(journal);
        let (mut journal, read) = open(folder.path());
        assert_eq!(read, frames);
        assert_eq!(journal.next_row(), 4);
        journal.append(&[frame(4, 5, b"x")]).unwrap();
        assert_eq!(open(folder.path()).0.next_row(), 9);
    }

    #[test]
    fn a_failed_append_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let (mut journal, _) = open(folder.path());
        journal.append(&[frame(1, 1, b"kept")]).unwrap();
        // A segment that cannot be written: its file is open for reading only.
        let path = folder.path().join(format!("{:020}.journal", 1));
        if let Some(segment) = &mut journal.segment {
            segment.file = File::open(&path).unwrap();
        }
        assert!(journal.append(&[frame(2, 1, b"lost")]).is_err());
        assert_eq!(journal.next_row(), 2);
        journal.append(&[frame(2, 1, b"again")]).unwrap();
        let payloads: Vec<Vec<u8>> = open(folder.path()).1.into_iter().map(|frame| frame.payload).collect();
        assert_eq!(payloads, [b"kept".to_vec(), b"again".to_vec()]);
    }

    proptest! {
        #[test]
        fn a_journal_cut_or_damaged_anywhere_keeps_the_frames_before(
            payloads in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 1..8),
            place in any::<prop::sample::Index>(),
            flip in any::<bool>(),
        ) {
            let folder = tempfile::tempdir().unwrap();
            let (mut journal, _) = open(folder.path());
            let mut ends = Vec::new();
            let path = folder.path().join(format!("{:020}.journal", 1));
            for (i, payload) in payloads.iter().enumerate() {
                journal.append(&[frame(i as u64 + 1, 1, payload)]).unwrap();
                ends.push(fs::metadata(&path).unwrap().len() as usize);
            }
            drop(journal);
            let mut bytes = fs::read(&path).unwrap();
            let at = place.index(bytes.len());
            if flip { bytes[at] ^= 0x40 } else { bytes.truncate(at) }
            fs::write(&path, &bytes).unwrap();
            let whole = ends.iter().filter(|end| **end <= at).count();
            let (mut journal, read) = open(folder.path());
            prop_assert_eq!(read.len(), whole);
            prop_assert_eq!(journal.next_row(), whole as u64 + 1);
            journal.append(&[frame(whole as u64 + 1, 1, b"new")]).unwrap();
            let (_, again) = open(folder.path());
            prop_assert_eq!(again.len(), whole + 1);
        }
    }
}
