//! One day's extract files: takes clean rows, damages some, and remembers what was damaged.

use crate::clock;
use crate::dirt::{self, Dirt, DirtKind};
use crate::error::SimulateError;
use crate::extract::{Drift, ENTITIES, Entity, ExtractFile, Row, encode};
use crate::options::Summary;
use crate::truth::Truth;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Writer of all extracts.
pub(crate) struct Sink {
    root: PathBuf,
    dirt: Dirt,
    entities: Vec<Entity>,
    day: i32,
    files: BTreeMap<Entity, ExtractFile>,
    /// Encoded lines that were held back yesterday and the keys they belong to.
    late: BTreeMap<Entity, Vec<(String, Vec<u8>)>>,
    line: Vec<u8>,
    pub(crate) row: Row,
    pub(crate) summary: Summary,
}

impl Sink {
    /// A writer below `root` of the given entities, all when there are none.
    pub(crate) fn new(root: &Path, dirt: Dirt, entities: &[Entity]) -> Self {
        let entities = if entities.is_empty() { ENTITIES.to_vec() } else { entities.to_vec() };
        Self {
            root: root.to_owned(),
            dirt,
            entities,
            day: 0,
            files: BTreeMap::new(),
            late: BTreeMap::new(),
            line: Vec::new(),
            row: Row::default(),
            summary: Summary::default(),
        }
    }

    /// Opens the files of a day; `has_drifted` after the network's systems were upgraded.
    pub(crate) fn open(&mut self, day: i32, has_drifted: bool, truth: &mut Truth) -> Result<(), SimulateError> {
        self.day = day;
        let date = clock::date_of(day).to_string();
        for entity in self.entities.clone() {
            let drift = if has_drifted && self.dirt.is_on() { drift(entity) } else { Drift::None };
            let mut file = ExtractFile::create(&self.root, entity, &date, drift)?;
            match drift {
                Drift::None => {}
                Drift::Added(column, _) => truth.dirty(entity, column, "column_added", &file.name, 1)?,
                Drift::Reordered => truth.dirty(entity, entity.columns()[1], "columns_reordered", &file.name, 1)?,
            }
            for (key, line) in self.late.remove(&entity).unwrap_or_default() {
                let number = file.line(&line)?;
                self.summary.dirty_rows += 1;
                count(&mut self.summary, entity);
                truth.dirty(entity, &key, DirtKind::LateRow.name(), &file.name, number)?;
            }
            self.files.insert(entity, file);
        }
        Ok(())
    }

    /// Whether an entity is written at all; a caller with many rows asks before filling them.
    pub(crate) fn wants(&self, entity: Entity) -> bool {
        self.files.contains_key(&entity)
    }

    /// Writes the row that was just filled.
    pub(crate) fn write(&mut self, entity: Entity, truth: &mut Truth) -> Result<(), SimulateError> {
        let Some(file) = self.files.get_mut(&entity) else { return Ok(()) };
        let kind = if self.dirt.is_on() { self.dirt.damage(entity, self.day, self.row.fields_mut()) } else { None };
        self.line.clear();
        encode(entity, file.drift, self.row.fields(), &mut self.line);
        let key = self.row.fields().first().map_or("", String::as_str);
        match kind {
            Some(DirtKind::LateRow) => {
                self.late.entry(entity).or_default().push((key.to_owned(), self.line.clone()));
                return Ok(());
            }
            Some(DirtKind::TruncatedLine) => cut(&mut self.line, entity),
            _ => {}
        }
        let mut number = file.line(&self.line)?;
        count(&mut self.summary, entity);
        match kind {
            Some(DirtKind::RepeatedLine) => number = file.line(&self.line)?,
            Some(DirtKind::DuplicatePatient) => {
                dirt::duplicate_patient(self.row.fields_mut());
                self.line.clear();
                encode(entity, file.drift, self.row.fields(), &mut self.line);
                number = file.line(&self.line)?;
            }
            _ => {}
        }
        let Some(kind) = kind else { return Ok(()) };
        if matches!(kind, DirtKind::RepeatedLine | DirtKind::DuplicatePatient) {
            count(&mut self.summary, entity);
        }
        self.summary.dirty_rows += 1;
        let key = self.row.fields().first().map_or("", String::as_str);
        truth.dirty(entity, key, kind.name(), &file.name, number)
    }

    /// Completes the day's files.
    pub(crate) fn close(&mut self) -> Result<(), SimulateError> {
        for (_, file) in std::mem::take(&mut self.files) {
            self.summary.files += 1;
            self.summary.bytes += file.finish()?;
        }
        Ok(())
    }
}

fn count(summary: &mut Summary, entity: Entity) {
    summary.rows += 1;
    match summary.rows_by_entity.get_mut(entity.name()) {
        Some(rows) => *rows += 1,
        None => {
            summary.rows_by_entity.insert(entity.name().to_owned(), 1);
        }
    }
}

/// How an entity's file looks after the upgrade.
fn drift(entity: Entity) -> Drift {
    match entity {
        Entity::Employees => Drift::Added("cost_center", "CC-100"),
        Entity::Nurses => Drift::Reordered,
        _ => Drift::None,
    }
}

/// Cuts a line before its last two fields, as an aborted transfer leaves it.
fn cut(line: &mut Vec<u8>, entity: Entity) {
    if let crate::extract::Format::Csv { delimiter, .. } = entity.format() {
        let mut ends =
            line.iter().enumerate().rev().filter(|(_, byte)| **byte == delimiter).map(|(position, _)| position);
        if let (Some(_), Some(end)) = (ends.next(), ends.next()) {
            line.truncate(end);
            line.push(b'\n');
        }
    }
}
