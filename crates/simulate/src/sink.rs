//! The files of a day: joins the parts the hospitals send, and delivers the files when their time has come.

use crate::clock;
use crate::dirt::Dirt;
use crate::error::SimulateError;
use crate::extract::{Entity, ExtractFile, Finished, write_file};
use crate::kind::DirtKind;
use crate::options::Summary;
use crate::outbox::Parcel;
use crate::truth::{FileTruth, TruthWriter};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Writer of all files.
pub(crate) struct Sink {
    root: PathBuf,
    dirt: Arc<Dirt>,
    entities: Vec<Entity>,
    day: i32,
    date: String,
    files: BTreeMap<Entity, ExtractFile>,
    messages: Vec<Finished>,
    /// Yesterday's files that are delivered after today's.
    late: Vec<Finished>,
    pub(crate) summary: Summary,
}

impl Sink {
    /// A writer below `root` of the given entities.
    pub(crate) fn new(root: &Path, dirt: Arc<Dirt>, entities: Vec<Entity>) -> Self {
        Self {
            root: root.to_owned(),
            dirt,
            entities,
            day: 0,
            date: String::new(),
            files: BTreeMap::new(),
            messages: Vec::new(),
            late: Vec::new(),
            summary: Summary::default(),
        }
    }

    /// Opens the files of a day.
    pub(crate) fn open(&mut self, day: i32, truth: &mut TruthWriter) -> Result<(), SimulateError> {
        self.day = day;
        self.date = clock::date_of(day).to_string();
        for entity in &self.entities {
            let drift = self.dirt.drift(*entity, day);
            let file = ExtractFile::create(&self.root, *entity, &self.date, drift)?;
            if let Some((kind, column)) = drift.told(*entity) {
                truth.file(*entity, kind, column, &file.name, 1)?;
            }
            if self.dirt.is_file_late(*entity, day) {
                truth.file(*entity, DirtKind::OutOfOrderFile, &self.date, &file.name, 0)?;
            }
            self.files.insert(*entity, file);
        }
        Ok(())
    }

    /// Writes one hospital's part of the day.
    pub(crate) fn take(
        &mut self,
        hospital_id: &str,
        parcel: Parcel,
        truth: &mut TruthWriter,
    ) -> Result<(), SimulateError> {
        for (entity, part) in parcel.parts {
            let Some(file) = self.files.get_mut(&entity) else { continue };
            let first = file.next_position();
            file.append(&part.bytes, part.rows)?;
            self.summary.rows += part.rows;
            *self.summary.rows_by_entity.entry(entity.name().to_owned()).or_default() += part.rows;
            self.summary.dirty_rows += part.dirty.len() as u64;
            truth.part(FileTruth { entity, file: &file.name, first }, &part)?;
        }
        for (entity, lines) in parcel.versions {
            truth.versions(entity, &lines)?;
        }
        if parcel.message_count > 0 {
            let name = format!("adt_{hospital_id}_{}.hl7", self.date);
            self.messages.push(write_file(&self.root.join("hl7"), &name, &parcel.messages)?);
            self.summary.messages += parcel.message_count;
        }
        Ok(())
    }

    /// Completes the day's files and delivers them once `wait` returns: first those in time, then those of the day before.
    pub(crate) fn close(&mut self, wait: impl FnOnce() -> Result<(), SimulateError>) -> Result<(), SimulateError> {
        let (mut ready, mut late) = (std::mem::take(&mut self.messages), Vec::new());
        for (entity, file) in std::mem::take(&mut self.files) {
            let file = file.finish()?;
            if self.dirt.is_file_late(entity, self.day) { late.push(file) } else { ready.push(file) }
        }
        wait()?;
        for file in ready.iter_mut().chain(&mut self.late) {
            file.deliver()?;
        }
        let delivered = ready.iter().chain(&self.late);
        self.summary.files += delivered.clone().count() as u64;
        self.summary.bytes += delivered.map(|file| file.bytes).sum::<u64>();
        self.late = late;
        Ok(())
    }
}
