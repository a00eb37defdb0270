//! Records of a file that could not be read, on their way to `system.rejected_rows`: all of them, in bounded memory.
//!
//! What is kept of a record bears the hash of its file, and nothing of a file that turns out to be half-written is kept. Both are known
//! at the file's end only. Of a file with more such records than are held until then, they are read a second time.

use wardlake_connect::{ConnectError, Event, FoundFile, Rejected};

use super::loader::{Loader, Piece};
use crate::error::LoadError;

/// So many bytes of records are held at once.
const PART_BYTES: usize = 4 << 20;
/// What a record takes beside its bytes.
const RECORD_BYTES: usize = 128;

/// Records held together.
#[derive(Default)]
struct Part {
    records: Vec<Rejected>,
    bytes: usize,
}

impl Part {
    /// Adds a record; true if no more should be held.
    fn add(&mut self, record: Rejected) -> bool {
        self.bytes += record.bytes.len() + RECORD_BYTES;
        self.records.push(record);
        self.bytes >= PART_BYTES
    }

    fn take(&mut self) -> Vec<Rejected> {
        std::mem::take(self).records
    }
}

/// The rejected records of a file while it is read.
#[derive(Default)]
pub(crate) struct RejectedSoFar {
    held: Part,
    count: u64,
    /// Whether there are more than are held; then none is.
    is_beyond: bool,
}

impl RejectedSoFar {
    pub(crate) fn add(&mut self, record: Rejected) {
        self.count += 1;
        if !self.is_beyond && self.held.add(record) {
            self.is_beyond = true;
            self.held = Part::default();
        }
    }

    /// How many there were.
    pub(crate) fn count(&self) -> u64 {
        self.count
    }
}

impl Loader<'_> {
    /// Hands on the rejected records of a file that was read to its end. `known`: the table's columns before it, as its first reading knew
    /// them.
    pub(crate) fn send_rejected(
        &mut self,
        file: &FoundFile,
        sha256: &str,
        sequence: u64,
        mut rejected: RejectedSoFar,
        known: &[String],
    ) -> Result<(), LoadError> {
        let piece = |records: Vec<Rejected>, is_last: bool| {
            let (file, sha256) = (file.relative.clone(), sha256.to_owned());
            Piece::Rejected { file, sha256, sequence, records, is_last }
        };
        if rejected.count == 0 {
            return Ok(());
        }
        if !rejected.is_beyond {
            return (self.send)(piece(rejected.held.take(), true));
        }
        // What is handed on cannot be taken back: if the second reading fails, everything is read again without this file.
        self.has_taken_rows = true;
        let plan = self.plan;
        let known = (!known.is_empty()).then_some(known);
        let mut part = Part::default();
        let mut failure = None;
        let mut sink = |event: Event| -> Result<(), ConnectError> {
            let Event::Rejected(record) = event else { return Ok(()) };
            if !part.add(record) {
                return Ok(());
            }
            (self.send)(piece(part.take(), false)).map_err(|error| {
                failure = Some(error);
                ConnectError::Stopped
            })
        };
        let report = wardlake_connect::read(file, &plan.table, known, None, plan.threads, &mut sink);
        let source_error = |error| LoadError::Source { table: plan.label.clone(), error };
        match (report, failure) {
            (_, Some(error)) => return Err(error),
            (Err(error), None) => return Err(source_error(error)),
            (Ok(report), None) if report.sha256 != sha256 => {
                let reason = "it changed while it was read";
                return Err(source_error(ConnectError::Unfinished { path: file.path.clone(), reason }));
            }
            (Ok(_), None) => {}
        }
        (self.send)(piece(part.take(), true))
    }
}

#[cfg(test)]
mod tests {
    use wardlake_connect::RejectReason;

    use super::*;

    #[test]
    fn c03_however_many_records_are_rejected_few_are_held() {
        let record = |line: u64, length: usize| Rejected {
            line,
            byte_offset: 0,
            reason: RejectReason::InvalidJson,
            bytes: vec![b'x'; length],
            length: length as u64,
        };
        for (length, lines) in [(0, 40_000), (10, 40_000), (60_000, 200)] {
            let mut rejected = RejectedSoFar::default();
            for line in 1..=lines {
                rejected.add(record(line, length));
                assert!(rejected.held.bytes < PART_BYTES, "{length}");
            }
            assert_eq!(
                (rejected.count(), rejected.is_beyond, rejected.held.records.len()),
                (lines, true, 0),
                "{length}"
            );
        }
        let mut rejected = RejectedSoFar::default();
        rejected.add(record(1, 10));
        assert_eq!((rejected.is_beyond, rejected.held.take().len()), (false, 1));
    }
}
