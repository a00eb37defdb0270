//! The journal of one table: what senders delivered, as received, in the order in which it was accepted.
//!
//! A folder of segments ([`super::segment`]), each named by its first row. A frame counts once it is synced. Segments are the landing of what
//! was delivered and are never rewritten: what a crash or a damaged disk left unreadable stays where it is and is told of, and rows
//! go on in a new segment. `numbers.json` beside them is written before numbers are used: whatever becomes of the segments, no
//! number is given out twice.
//!
//! A table may have several journals, one on each machine that serves its lake by turns. What one of them holds when another takes over is not
//! in bronze and has numbers that the other gives out as well: when its machine serves again, it is written down once more behind all others.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    ops::Range,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};

use super::{
    damage::Damage,
    segment::{Frame, MAGIC, Part, SegmentFile, name_of, parts, segments},
};

/// A segment that has grown to this many bytes is closed.
pub const SEGMENT_BYTES: u64 = 64 << 20;
/// What was given out is noted so often at most.
const NOTE_EVERY: Duration = Duration::from_secs(5);
/// So many numbers are set aside at once: a sync of `numbers.json` for each such block.
const NUMBERS_AT_ONCE: u64 = 1 << 20;
/// Where numbers go on if it is not known which were set aside: beyond what a journal can have given out since its last frame.
const NUMBERS_BEYOND: u64 = 1 << 40;
const NUMBERS: &str = "numbers.json";

/// What the folder says of itself beside its segments.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Numbers {
    /// Every number below this one may have been given out.
    set_aside_to: u64,
    /// Every number below this one was given out: noted now and then, for a file that is cut off between two frames looks whole.
    #[serde(default)]
    given_out_to: u64,
    /// The newest segment; none before the first.
    newest_segment: Option<String>,
    /// Tells the journal from others of the same table; none where there can be no others.
    #[serde(default)]
    id: Option<String>,
    /// Every row up to this one is in bronze, or stands behind it once more.
    #[serde(default)]
    done_to: u64,
    /// From this number on rows are being written down once more; before that is over, none of those counts.
    #[serde(default)]
    moving_to: Option<u64>,
    /// Numbers that other journals gave out.
    #[serde(default)]
    elsewhere: Vec<Range<u64>>,
}

/// One of several journals of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    /// By what bronze's ledger knows it.
    pub(crate) id: String,
    /// Every row of it up to this one is in bronze, or stands behind it once more.
    pub(crate) done_to: u64,
}

/// Which journal the folder holds; a new one if it does not say. `loaded`: the last row that bronze has. None if its record of numbers cannot be
/// read, which is told when it is opened.
pub(crate) fn identity(folder: &Path, loaded: u64) -> io::Result<Option<Identity>> {
    fs::create_dir_all(folder)?;
    let Some(mut numbers) = read_numbers(folder)? else { return Ok(None) };
    let id = match &numbers.id {
        Some(id) => id.clone(),
        None => {
            let id = uuid::Uuid::new_v4().to_string();
            (numbers.id, numbers.done_to) = (Some(id.clone()), loaded);
            write_synced(folder, NUMBERS, &serde_json::to_vec(&numbers)?)?;
            id
        }
    };
    Ok(Some(Identity { id, done_to: numbers.done_to }))
}

/// The journal, open for appending.
#[derive(Debug)]
pub(crate) struct Journal {
    folder: PathBuf,
    segment: Option<Segment>,
    next_row: u64,
    numbers: Numbers,
    noted_at: Option<Instant>,
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
    /// Opens the journal and hands every whole frame of the segments that `wants` names to `seen`, in order, with what cannot be read.
    /// `wants` is told when the newest segment was written, microseconds since 1970.
    /// `least_row` is the first number that may be given out. One owner at a time: the caller holds the folder's lock.
    pub(crate) fn open(
        folder: &Path,
        least_row: u64,
        wants: impl Fn(&SegmentFile, i64) -> bool,
        mut seen: impl FnMut(&str, Frame),
    ) -> io::Result<(Self, Vec<Damage>)> {
        fs::create_dir_all(folder)?;
        let numbers = match read_numbers(folder)? {
            Some(numbers) => match numbers.moving_to {
                Some(row) => Some(undo_move(folder, numbers, row)?),
                None => Some(numbers),
            },
            None => None,
        };
        let elsewhere = numbers.as_ref().map(|numbers| numbers.elsewhere.clone()).unwrap_or_default();
        let segments = segments(folder)?;
        let (mut next_row, mut damages) = (segments.first().map_or(1, |first| first.first_row), Vec::new());
        let mut has_lost_end = false;
        let newest_us = segments.last().map_or(0, |newest| newest.written_us);
        for segment in &segments {
            if segment.first_row > next_row && !elsewhere.contains(&(next_row..segment.first_row)) {
                damages.push(Damage::missing("", next_row..segment.first_row));
            }
            next_row = next_row.max(segment.first_row);
            match segment.end_row {
                Some(end) if !wants(segment, newest_us) => next_row = next_row.max(end),
                _ => has_lost_end = read(segment, &mut next_row, &mut damages, &mut seen)?,
            }
        }
        let mut numbers = match numbers {
            Some(numbers) => numbers,
            None => {
                damages.push(Damage::numbers(next_row));
                let newest_segment = segments.last().map(|segment| segment.name.clone());
                Numbers {
                    set_aside_to: next_row.max(least_row) + NUMBERS_BEYOND,
                    given_out_to: next_row,
                    newest_segment,
                    ..Numbers::default()
                }
            }
        };
        let is_there = |name: &String| segments.iter().any(|segment| segment.name == *name);
        if let Some(name) = numbers.newest_segment.as_ref().filter(|name| !is_there(name)) {
            damages.push(Damage::missing(name, next_row..next_row));
            has_lost_end = true;
        }
        // Numbers that were passed over are noted before the first one behind them is used.
        let passed = elsewhere.iter().filter(|range| range.start == next_row).map(|range| range.end).max();
        if numbers.given_out_to > passed.unwrap_or(next_row) && !has_lost_end {
            damages.push(Damage::missing("", next_row..next_row));
            has_lost_end = true;
        }
        if has_lost_end {
            // How many rows are gone is not known.
            let first_lost = next_row;
            next_row = next_row.max(numbers.set_aside_to).max(least_row);
            let open = damages.iter_mut().filter(|damage| damage.rows == (first_lost..first_lost));
            open.for_each(|damage| damage.rows.end = next_row);
        }
        if next_row < least_row && !segments.is_empty() && numbers.id.is_some() {
            numbers.elsewhere.push(next_row..least_row);
        }
        next_row = next_row.max(least_row);
        let journal = Self { folder: folder.to_owned(), segment: None, next_row, numbers, noted_at: None, torn: None };
        Ok((journal, damages))
    }

    /// The number the next row gets.
    pub(crate) fn next_row(&self) -> u64 {
        self.next_row
    }

    /// Nothing that is there has to be loaded any more.
    pub(crate) fn settle(&mut self) -> io::Result<()> {
        self.note(Numbers { done_to: self.next_row - 1, ..self.numbers.clone() })
    }

    /// Writes all frames that are not in bronze down once more, behind all others: other journals gave out their numbers. The segment, and
    /// the frames as they are numbered now.
    pub(crate) fn move_up(&mut self, mut frames: Vec<Frame>) -> io::Result<(String, Vec<Frame>)> {
        let first = self.next_row;
        let mut next = first;
        for frame in &mut frames {
            frame.first_row = next;
            next = frame.end_row();
        }
        self.note(Numbers { moving_to: Some(first), ..self.numbers.clone() })?;
        let segment = self.append(&frames)?;
        self.note(Numbers { moving_to: None, done_to: first - 1, ..self.numbers.clone() })?;
        Ok((segment, frames))
    }

    /// Appends the frames, which are numbered from [`Self::next_row`] on, and syncs them. Returns the segment's name. After an
    /// error nothing of them counts: the next append begins a segment of its own behind the last good frame.
    pub(crate) fn append(&mut self, frames: &[Frame]) -> io::Result<String> {
        let Some(last) = frames.last() else { return Ok(String::new()) };
        let mut bytes = Vec::with_capacity(frames.iter().map(|frame| frame.payload.len() + 128).sum());
        frames.iter().for_each(|frame| frame.write_to(&mut bytes));
        self.mend()?;
        if last.end_row() > self.numbers.set_aside_to {
            let set_aside_to = last.end_row() + NUMBERS_AT_ONCE;
            self.note(Numbers { set_aside_to, given_out_to: self.next_row, ..self.numbers.clone() })?;
        } else if self.noted_at.is_none_or(|at| at.elapsed() >= NOTE_EVERY) {
            self.note(Numbers { given_out_to: self.next_row, ..self.numbers.clone() })?;
        }
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

    /// Takes back what a failed append left: nobody was told that it is there. Nothing is appended before that has worked.
    fn mend(&mut self) -> io::Result<()> {
        if let Some((path, length)) = &self.torn {
            let file = OpenOptions::new().write(true).open(path)?;
            file.set_len(*length)?;
            file.sync_all()?;
            self.torn = None;
        }
        Ok(())
    }

    fn new_segment(&mut self) -> io::Result<Segment> {
        fs::create_dir_all(&self.folder)?;
        let name = name_of(self.next_row);
        let path = self.folder.join(&name);
        put_aside(&path)?;
        let mut file = OpenOptions::new().create_new(true).write(true).open(&path)?;
        file.write_all(MAGIC)?;
        file.sync_all()?;
        sync_folders(&self.folder)?;
        self.note(Numbers { newest_segment: Some(name.clone()), ..self.numbers.clone() })?;
        Ok(Segment { file, name, length: MAGIC.len() as u64 })
    }

    fn note(&mut self, numbers: Numbers) -> io::Result<()> {
        write_synced(&self.folder, NUMBERS, &serde_json::to_vec(&numbers)?)?;
        (self.numbers, self.noted_at) = (numbers, Some(Instant::now()));
        Ok(())
    }
}

/// Reads one segment. What is lost before a frame has the numbers up to that frame's. True if rows may be lost behind the last frame
/// that nobody knows the number of.
fn read(
    segment: &SegmentFile,
    next_row: &mut u64,
    damages: &mut Vec<Damage>,
    seen: &mut impl FnMut(&str, Frame),
) -> io::Result<bool> {
    let bytes = fs::read(&segment.path)?;
    let mut unreadable = None;
    parts(&bytes, segment.first_row, |part| match part {
        Part::Unreadable(range) => unreadable = Some(range),
        Part::Frame(frame) => {
            let lost = *next_row..frame.first_row.max(*next_row);
            match unreadable.take() {
                Some(bytes) => damages.push(Damage::unreadable(&segment.name, bytes, lost)),
                None if !lost.is_empty() => damages.push(Damage::missing(&segment.name, lost)),
                None => {}
            }
            *next_row = frame.end_row();
            seen(&segment.name, frame);
        }
    });
    match (unreadable, segment.end_row) {
        (Some(bytes), Some(end)) => {
            damages.push(Damage::unreadable(&segment.name, bytes, *next_row..end.max(*next_row)));
            *next_row = end.max(*next_row);
            Ok(false)
        }
        (Some(bytes), None) => {
            damages.push(Damage::end(&segment.name, bytes, *next_row));
            Ok(true)
        }
        // A file that was cut off between two frames is found by the number of the segment behind it.
        (None, _) => Ok(false),
    }
}

/// Takes back what was written from a row on by a move that was cut off. All of it stands before.
fn undo_move(folder: &Path, numbers: Numbers, row: u64) -> io::Result<Numbers> {
    let segments = segments(folder)?;
    let (before, moved): (Vec<_>, Vec<_>) = segments.into_iter().partition(|segment| segment.first_row < row);
    for segment in moved {
        fs::remove_file(segment.path)?;
    }
    let newest_segment = before.last().map(|segment| segment.name.clone());
    let numbers = Numbers { newest_segment, moving_to: None, given_out_to: 0, ..numbers };
    write_synced(folder, NUMBERS, &serde_json::to_vec(&numbers)?)?;
    Ok(numbers)
}

/// None if they cannot be read: then every row that no segment has is told as missing, and numbers go on behind all that are there.
fn read_numbers(folder: &Path) -> io::Result<Option<Numbers>> {
    match fs::read(folder.join(NUMBERS)) {
        Ok(bytes) => Ok(serde_json::from_slice(&bytes).ok()),
        // A new journal.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Some(Numbers::default())),
        Err(error) => Err(error),
    }
}

/// A file in the place of a new segment has no frame that could be read. What is in it is kept beside.
fn put_aside(path: &Path) -> io::Result<()> {
    match fs::metadata(path) {
        Ok(found) if found.len() <= MAGIC.len() as u64 => fs::remove_file(path),
        Ok(_) => {
            let mut number = 1;
            while path.with_extension(format!("damaged-{number}")).exists() {
                number += 1;
            }
            fs::rename(path, path.with_extension(format!("damaged-{number}")))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// Writes a small file whole or not at all; it is on the disk when this returns.
pub(super) fn write_synced(folder: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    let temporary = folder.join(format!(".{name}.new"));
    let mut file = File::create(&temporary)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&temporary, folder.join(name))?;
    File::open(folder)?.sync_all()
}

/// A new file is there after a power cut only when its folder was synced, and a new folder when its parent was.
fn sync_folders(folder: &Path) -> io::Result<()> {
    for folder in folder.ancestors().take(3) {
        File::open(folder)?.sync_all()?;
    }
    Ok(())
}
#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{
        super::{
            damage::DamageKind,
            segment::{Origin, frame_of},
        },
        *,
    };

    fn frame(first_row: u64, rows: u32, payload: &[u8]) -> Frame {
        Frame {
            first_row,
            rows,
            received_us: 7,
            kind: "ndjson".to_owned(),
            origin: Origin { peer: format!("10.0.0.{first_row}:2575"), answer: "AA".to_owned() },
            key: b"k".to_vec(),
            payload: payload.to_vec(),
        }
    }

    fn open(folder: &Path) -> (Journal, Vec<Frame>, Vec<Damage>) {
        let mut frames = Vec::new();
        let (journal, damages) = Journal::open(folder, 1, |_, _| true, |_, frame| frames.push(frame)).unwrap();
        (journal, frames, damages)
    }

    /// A folder in memory where there is one: thousands of journals are opened, each with its syncs.
    fn scratch() -> tempfile::TempDir {
        tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
    }

    /// Three segments of frames with one row each.
    fn three_segments(folder: &Path, frames: u64) {
        for first in [1, frames / 3, 2 * frames / 3] {
            let (mut journal, _, _) = open(folder);
            let end = if first == 1 {
                frames / 3
            } else if first == frames / 3 {
                2 * frames / 3
            } else {
                frames + 1
            };
            for row in first..end {
                journal.append(&[frame(row, 1, format!("payload {row}").as_bytes())]).unwrap();
            }
        }
    }

    /// Copies the journal's files, changes one of them, and opens the copy: every row is read or named, and numbers go on.
    fn check_damage(folder: &Path, frames: u64, change: impl Fn(&Path)) -> Vec<Damage> {
        let copy = scratch();
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            fs::copy(&path, copy.path().join(path.file_name().unwrap())).unwrap();
        }
        change(copy.path());
        let (mut journal, read, damages) = open(copy.path());
        let rows: Vec<u64> = read.iter().map(|frame| frame.first_row).collect();
        for frame in &read {
            assert_eq!(frame.payload, format!("payload {}", frame.first_row).into_bytes());
        }
        for row in 1..=frames {
            let is_named = damages.iter().any(|damage| damage.rows.contains(&row));
            assert!(rows.contains(&row) || is_named, "row {row} is neither read nor named: {damages:?}");
        }
        assert!(journal.next_row() > frames, "number {} is given out twice", journal.next_row());
        let next = journal.next_row();
        journal.append(&[frame(next, 1, format!("payload {next}").as_bytes())]).unwrap();
        let (_, again, _) = open(copy.path());
        assert_eq!(again.len(), read.len() + 1);
        damages
    }

    #[test]
    fn what_was_appended_is_read_again_and_numbers_go_on() {
        let folder = tempfile::tempdir().unwrap();
        let (mut journal, none, _) = open(folder.path());
        assert_eq!((journal.next_row(), none.len()), (1, 0));
        let frames = [frame(1, 2, b"ab"), frame(3, 1, b"")];
        let segment = journal.append(&frames).unwrap();
        assert_eq!(frame_of(folder.path(), &segment, 2).unwrap().as_ref(), Some(&frames[0]));
        drop(journal);
        let (mut journal, read, damages) = open(folder.path());
        assert_eq!((read, damages), (frames.to_vec(), Vec::new()));
        assert_eq!(journal.next_row(), 4);
        // A frame of before origins were kept.
        journal.append(&[Frame { origin: Origin::default(), ..frame(4, 5, b"x") }]).unwrap();
        let (journal, read, _) = open(folder.path());
        assert_eq!(
            (journal.next_row(), read[2].origin.clone(), read[2].kind.as_str()),
            (9, Origin::default(), "ndjson")
        );
    }

    #[test]
    fn a_failed_append_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let (mut journal, _, _) = open(folder.path());
        journal.append(&[frame(1, 1, b"kept")]).unwrap();
        // A segment that cannot be written: its file is open for reading only.
        let path = folder.path().join(name_of(1));
        if let Some(segment) = &mut journal.segment {
            segment.file = File::open(&path).unwrap();
        }
        assert!(journal.append(&[frame(2, 1, b"lost")]).is_err());
        assert_eq!(journal.next_row(), 2);
        journal.append(&[frame(2, 1, b"again")]).unwrap();
        let payloads: Vec<Vec<u8>> = open(folder.path()).1.into_iter().map(|frame| frame.payload).collect();
        assert_eq!(payloads, [b"kept".to_vec(), b"again".to_vec()]);
    }

    #[test]
    fn a05_every_flipped_byte_is_told_and_no_other_frame_is_lost() {
        const FRAMES: u64 = 40;
        let folder = scratch();
        three_segments(folder.path(), FRAMES);
        let segments = segments(folder.path()).unwrap();
        assert_eq!(segments.len(), 3);
        for segment in &segments {
            for at in 0..fs::metadata(&segment.path).unwrap().len() as usize {
                let damages = check_damage(folder.path(), FRAMES, |copy| {
                    let path = copy.join(&segment.name);
                    let mut bytes = fs::read(&path).unwrap();
                    bytes[at] ^= 0x40;
                    fs::write(&path, bytes).unwrap();
                });
                assert_eq!(damages.len(), 1, "byte {at} of {}: {damages:?}", segment.name);
                if damages[0].kind == DamageKind::UnreadableFrames {
                    assert!(damages[0].rows.end - damages[0].rows.start <= 1, "{damages:?}");
                }
            }
        }
    }

    #[test]
    fn a05_lost_files_and_a_lost_record_of_numbers_are_told() {
        const FRAMES: u64 = 40;
        let folder = scratch();
        three_segments(folder.path(), FRAMES);
        // The first segment may have been taken away by people on purpose, once bronze has it.
        for segment in segments(folder.path()).unwrap().iter().skip(1) {
            let damages =
                check_damage(folder.path(), FRAMES, |copy| fs::remove_file(copy.join(&segment.name)).unwrap());
            assert_eq!(damages[0].kind, DamageKind::MissingFrames);
        }
        let damages = check_damage(folder.path(), FRAMES, |copy| fs::write(copy.join(NUMBERS), "{\"set").unwrap());
        assert_eq!(damages[0].kind, DamageKind::Numbers);
    }

    proptest! {
        #[test]
        fn a05_a_journal_cut_zeroed_or_overwritten_anywhere_goes_on(
            place in any::<prop::sample::Index>(),
            which in 0usize..3,
            how in 0u8..3,
            noise in prop::collection::vec(any::<u8>(), 1..200),
        ) {
            const FRAMES: u64 = 30;
            let folder = scratch();
            three_segments(folder.path(), FRAMES);
            // What was given out last has been noted.
            let (mut journal, _, _) = open(folder.path());
            let next = journal.next_row();
            journal.note(Numbers { given_out_to: next, ..journal.numbers.clone() }).unwrap();
            let name = segments(folder.path()).unwrap()[which].name.clone();
            check_damage(folder.path(), FRAMES, |copy| {
                let path = copy.join(&name);
                let mut bytes = fs::read(&path).unwrap();
                let at = place.index(bytes.len());
                let end = (at + noise.len()).min(bytes.len());
                match how {
                    0 => bytes.truncate(at),
                    1 => bytes[at..end].fill(0),
                    _ => bytes[at..end].copy_from_slice(&noise[..end - at]),
                }
                fs::write(&path, bytes).unwrap();
            });
        }
    }
}
