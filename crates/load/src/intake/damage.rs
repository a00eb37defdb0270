//! What a journal lost: told once, in `system.damage` and as a warning, and kept in the server's status for as long as the journal is there.
//!
//! `damage.json` beside the segments holds what was told before. Evidence is never removed: the bytes stay in their segment.

use std::{fs, io, ops::Range, path::Path};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use wardlake_core::{LedgerEntry, lineage};
use wardlake_records::system::{self, Columns};

use super::{FeedOptions, file_of, journal::write_synced};
use crate::{Workspace, error::LoadError};

const KNOWN: &str = "damage.json";

/// How a journal is damaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DamageKind {
    /// Bytes between two frames, or before the first.
    UnreadableFrames,
    /// Bytes behind the last frame of the newest segment. A server that was cut off while it wrote leaves such an end, and had not
    /// acknowledged it.
    UnreadableEnd,
    /// A segment that is not there, or lacks its end.
    MissingFrames,
    /// The record of the numbers that were set aside.
    Numbers,
}

impl DamageKind {
    fn code(self) -> &'static str {
        match self {
            Self::UnreadableFrames => "unreadable_frames",
            Self::UnreadableEnd => "unreadable_end",
            Self::MissingFrames => "missing_frames",
            Self::Numbers => "numbers",
        }
    }
}

/// A part of a journal that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Damage {
    /// How.
    pub kind: DamageKind,
    /// The segment's file name; empty if it is not known which.
    pub segment: String,
    /// The bytes of the segment.
    pub bytes: Range<u64>,
    /// The numbers that its rows can have had: the first, and the first behind them. Nothing was lost if they are equal.
    pub rows: Range<u64>,
    /// Whether bronze had all of these rows when the damage was found.
    pub is_in_bronze: bool,
    /// When it was found (UTC).
    pub found_at: DateTime<Utc>,
}

impl Damage {
    fn new(kind: DamageKind, segment: &str, bytes: Range<u64>, rows: Range<u64>) -> Self {
        Self { kind, segment: segment.to_owned(), bytes, rows, is_in_bronze: false, found_at: Utc::now() }
    }

    pub(super) fn unreadable(segment: &str, bytes: Range<u64>, rows: Range<u64>) -> Self {
        Self::new(DamageKind::UnreadableFrames, segment, bytes, rows)
    }

    /// Up to which number is settled when it is known where rows go on.
    pub(super) fn end(segment: &str, bytes: Range<u64>, first_row: u64) -> Self {
        Self::new(DamageKind::UnreadableEnd, segment, bytes, first_row..first_row)
    }

    pub(super) fn missing(segment: &str, rows: Range<u64>) -> Self {
        Self::new(DamageKind::MissingFrames, segment, 0..0, rows)
    }

    pub(super) fn numbers(next_row: u64) -> Self {
        Self::new(DamageKind::Numbers, "", 0..0, next_row..next_row)
    }

    fn is_within(&self, known: &Self) -> bool {
        match self.bytes.is_empty() {
            true => known.rows.start <= self.rows.start && self.rows.end <= known.rows.end,
            false => self.segment == known.segment && self.bytes == known.bytes,
        }
    }

    /// What people are told.
    fn sentence(&self, label: &str) -> String {
        let Range { start, end } = self.rows;
        let rows = match (end.saturating_sub(start), self.is_in_bronze) {
            (0, _) => "no row is missing".to_owned(),
            (_, true) => format!("rows {start} to {} are in bronze", end - 1),
            (_, false) => format!(
                "deliveries with numbers from {start} up to {} at most are not in bronze; their senders have to send them again",
                end - 1
            ),
        };
        let place = match self.segment.as_str() {
            "" => "its journal".to_owned(),
            segment => format!("bytes {} to {} of its journal's {segment}", self.bytes.start, self.bytes.end),
        };
        format!(
            "{label}: {place} cannot be read ({}): {rows}. It is kept as it is; see system.damage",
            self.kind.code()
        )
    }
}

/// All damage of a journal: what was known, and `found`, of which what is new is told and kept. `loaded`: rows that bronze has.
pub(super) async fn keep(
    workspace: &Workspace,
    options: &FeedOptions,
    folder: &Path,
    found: Vec<Damage>,
    loaded: u64,
) -> Result<Vec<Damage>, LoadError> {
    let failed = |error: io::Error| LoadError::Journal {
        table: options.label.clone(),
        folder: folder.display().to_string(),
        reason: error.to_string(),
    };
    let mut known = read(folder).map_err(failed)?;
    let first_new = known.len();
    for damage in found {
        if !known.iter().any(|known| damage.is_within(known)) {
            let is_in_bronze = damage.rows.end <= loaded + 1;
            known.push(Damage { is_in_bronze, ..damage });
        }
    }
    let new = &known[first_new..];
    if new.is_empty() {
        return Ok(known);
    }
    new.iter().for_each(|damage| workspace.events.warn(damage.sentence(&options.label)));
    let count = i64::try_from(known.len()).unwrap_or(i64::MAX);
    let ledger = LedgerEntry::new(format!("damage:{}", options.label), count);
    system::append(&workspace.lake, "damage", batch(&options.label, new)?, ledger).await?;
    write_synced(folder, KNOWN, serde_json::json!(known).to_string().as_bytes()).map_err(failed)?;
    Ok(known)
}

fn batch(label: &str, damages: &[Damage]) -> Result<arrow::array::RecordBatch, LoadError> {
    let files: Vec<_> = damages.iter().map(|damage| file_of(label, &damage.segment)).collect();
    let columns = Columns::default()
        .text(lineage::SOURCE, damages.iter().map(|_| Some(label)))
        .text(lineage::FILE, files.iter().map(|file| Some(&**file)))
        .text("kind", damages.iter().map(|damage| Some(damage.kind.code())))
        .count("byte_offset", damages.iter().map(|damage| Some(damage.bytes.start)))?
        .count("length", damages.iter().map(|damage| Some(damage.bytes.end - damage.bytes.start)))?
        .count("first_row", damages.iter().map(|damage| Some(damage.rows.start)))?
        .count("end_row", damages.iter().map(|damage| Some(damage.rows.end)))?
        .flag("is_in_bronze", damages.iter().map(|damage| damage.is_in_bronze))
        .instant("found_at", damages.iter().map(|damage| damage.found_at))
        .batch()?;
    Ok(columns)
}

/// A record of what was told that cannot be read itself costs that it is told again.
fn read(folder: &Path) -> io::Result<Vec<Damage>> {
    match fs::read(folder.join(KNOWN)) {
        Ok(bytes) => Ok(serde_json::from_slice(&bytes).unwrap_or_default()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}
