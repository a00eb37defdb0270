//! Writes the truth while the extracts are written.

use super::{
    DIRTY_COLUMNS, DIRTY_ROWS, DepartmentDay, FOLDER, HospitalDay, KPIS, Kpis, TWIN_COLUMNS, TWINS, Totals, push_csv,
};
use crate::chance::hash_text;
use crate::clock;
use crate::dirt;
use crate::error::SimulateError;
use crate::extract::Entity;
use crate::figures::{Figures, HospitalFigures};
use crate::kind::DirtKind;
use crate::outbox::{DirtyPart, Part};
use crate::partial::Partial;
use crate::site::Site;
use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

const DEFINITION: &str = "Figures of the undamaged rows; `expected`: of the rows that are left when those damaged in a \
withheld kind are absent, each encounter and bed stay by its newest row that is left. Dates are local dates \
(America/New_York); a census is taken at the midnight that ends its date. An encounter counts by its last state.";

/// Where a part of a file begins.
pub(crate) struct FileTruth<'a> {
    pub entity: Entity,
    pub file: &'a str,
    /// Position of the part's first row.
    pub first: u64,
}

/// Writer of `_truth/`.
pub(crate) struct TruthWriter {
    folder: PathBuf,
    dirty: Table,
    twins: Table,
    clean: BTreeMap<Entity, Table>,
    versions: BTreeMap<Entity, Table>,
    defects: u64,
    /// Content and number of the last damage of a key.
    sent: HashMap<(Entity, u64), (u64, u64)>,
}

impl TruthWriter {
    pub(crate) fn create(root: &Path, entities: &[Entity]) -> Result<Self, SimulateError> {
        let folder = root.join(FOLDER);
        let clean_folder = folder.join("clean");
        fs::create_dir_all(&clean_folder).map_err(SimulateError::write(&clean_folder))?;
        let mut clean = BTreeMap::new();
        let mut versions = BTreeMap::new();
        for entity in entities {
            let columns = entity.columns().join(",");
            let name = format!("{}.csv", entity.name());
            clean.insert(*entity, Table::create(&clean_folder, &name, &format!("{columns},file,line"))?);
            if let Some(name) = match entity {
                Entity::Patients => Some("patient_versions.csv"),
                Entity::Departments => Some("department_versions.csv"),
                _ => None,
            } {
                let columns = entity.columns();
                let attributes = columns[1..columns.len() - 1].join(",");
                let header = format!("{},version_number,valid_from,{attributes}", columns[0]);
                versions.insert(*entity, Table::create(&folder, name, &header)?);
            }
        }
        let dirty = Table::create(&folder, DIRTY_ROWS, DIRTY_COLUMNS)?;
        let twins = Table::create(&folder, TWINS, TWIN_COLUMNS)?;
        Ok(Self { folder, dirty, twins, clean, versions, defects: 0, sent: HashMap::new() })
    }

    /// Damage to a file as a whole.
    pub(crate) fn file(
        &mut self,
        entity: Entity,
        kind: DirtKind,
        key: &str,
        file: &str,
        line: u64,
    ) -> Result<(), SimulateError> {
        // A column that has changed stays changed: one damage, however many files show it.
        let defect = self.defect(entity, hash_text(kind.name()) ^ hash_text(key), Some(0));
        let reason = dirt::undecidable(kind).unwrap_or_default();
        let (line, defect, is_decidable) = (line.to_string(), defect.to_string(), reason.is_empty().to_string());
        let empty = "";
        self.dirty.row(&[
            entity.name(),
            key,
            kind.name(),
            file,
            &line,
            empty,
            empty,
            empty,
            &is_decidable,
            &defect,
            empty,
            reason,
        ])
    }

    /// Everything that is known about a part of a file.
    pub(crate) fn part(&mut self, place: FileTruth<'_>, part: &Part) -> Result<(), SimulateError> {
        let FileTruth { entity, file, first } = place;
        let line = |row: u64| (first + row - 1).to_string();
        for dirty in &part.dirty {
            self.dirty_row(entity, file, dirty, line)?;
        }
        if let Some(table) = self.clean.get_mut(&entity) {
            for (row, fields) in &part.clean {
                table.write(fields)?;
                table.write(format!(",{file},{}\n", line(*row)).as_bytes())?;
            }
        }
        for (row, key) in &part.twins {
            self.twins.row(&[entity.name(), key, DirtKind::DuplicatePatient.name(), file, &line(*row)])?;
        }
        Ok(())
    }

    fn dirty_row(
        &mut self,
        entity: Entity,
        file: &str,
        dirty: &DirtyPart,
        line: impl Fn(u64) -> String,
    ) -> Result<(), SimulateError> {
        let content = dirty.is_sent_again(entity).then_some(dirty.content);
        let defect = self.defect(entity, hash_text(&dirty.key), content).to_string();
        let damage = &dirty.damage;
        let reason = dirt::undecidable(damage.kind).unwrap_or_default();
        self.dirty.row(&[
            entity.name(),
            &dirty.key,
            damage.kind.name(),
            file,
            &line(dirty.row),
            &damage.column,
            &damage.original,
            &damage.damaged,
            &reason.is_empty().to_string(),
            &defect,
            &dirty.pair.map_or_else(String::new, line),
            reason,
        ])
    }

    /// The number of a damage; `content` is set where the same content of the same key is the same damage.
    fn defect(&mut self, entity: Entity, key: u64, content: Option<u64>) -> u64 {
        if let Some(content) = content {
            let known = self.sent.entry((entity, key)).or_insert((content, 0));
            if known.0 == content && known.1 > 0 {
                return known.1;
            }
            self.defects += 1;
            *known = (content, self.defects);
        } else {
            self.defects += 1;
        }
        self.defects
    }

    /// Lines of a versions file.
    pub(crate) fn versions(&mut self, entity: Entity, lines: &[u8]) -> Result<(), SimulateError> {
        self.versions.get_mut(&entity).map_or(Ok(()), |table| table.write(lines))
    }

    /// Writes the figures and gives all files their names.
    pub(crate) fn finish<'a>(
        self,
        hospitals: impl Iterator<Item = (&'a Site, &'a Figures)> + Clone,
        first_day: i32,
        days: u32,
    ) -> Result<(), SimulateError> {
        self.dirty.finish()?;
        self.twins.finish()?;
        for table in self.clean.into_values().chain(self.versions.into_values()) {
            table.finish()?;
        }
        let kpis = kpis(hospitals, first_day, days);
        let mut file = Table::begin(&self.folder, KPIS)?;
        serde_json::to_writer_pretty(&mut file.out, &kpis)
            .map_err(|error| SimulateError::write(file.partial.temporary())(error.into()))?;
        file.finish()
    }
}

fn kpis<'a>(hospitals: impl Iterator<Item = (&'a Site, &'a Figures)> + Clone, first_day: i32, days: u32) -> Kpis {
    let (mut hospital_days, mut department_days) = (Vec::new(), Vec::new());
    for index in 0..days as usize {
        let date = clock::date_of(first_day + index as i32).to_string();
        for (site, figures) in hospitals.clone() {
            let day = &figures.days[index];
            hospital_days.push(HospitalDay {
                date: date.clone(),
                hospital_id: site.id.clone(),
                figures: day.clean.hospital,
                expected: day.expected.hospital,
            });
            for (position, department) in site.departments.iter().enumerate() {
                department_days.push(DepartmentDay {
                    date: date.clone(),
                    hospital_id: site.id.clone(),
                    department_id: department.id.clone(),
                    department_type: department.kind.name().to_owned(),
                    staffed_beds: day.staffed_beds.get(position).copied().unwrap_or_default(),
                    figures: day.clean.departments[position],
                    expected: day.expected.departments[position],
                });
            }
        }
    }
    Kpis {
        definition: DEFINITION.to_owned(),
        totals: totals(hospital_days.iter().map(|day| &day.figures)),
        expected: totals(hospital_days.iter().map(|day| &day.expected)),
        hospital_days,
        department_days,
    }
}

fn totals<'a>(days: impl Iterator<Item = &'a HospitalFigures>) -> Totals {
    let (mut totals, mut los_days) = (Totals::default(), 0);
    for day in days {
        totals.inpatient_discharges += day.inpatient_discharges;
        totals.ed_arrivals += day.ed_arrivals;
        totals.left_without_being_seen += day.left_without_being_seen;
        los_days += day.inpatient_los_days;
    }
    totals.average_length_of_stay_days = f64::from(los_days) / f64::from(totals.inpatient_discharges.max(1));
    totals
}

/// A file of rows in the making.
struct Table {
    partial: Partial,
    out: BufWriter<File>,
    line: Vec<u8>,
}

impl Table {
    fn begin(folder: &Path, name: &str) -> Result<Self, SimulateError> {
        let (partial, file) = Partial::create(folder, name)?;
        Ok(Self { partial, out: BufWriter::new(file), line: Vec::new() })
    }

    fn create(folder: &Path, name: &str, header: &str) -> Result<Self, SimulateError> {
        let mut table = Self::begin(folder, name)?;
        table.write(header.as_bytes())?;
        table.write(b"\n")?;
        Ok(table)
    }

    fn row(&mut self, fields: &[&str]) -> Result<(), SimulateError> {
        self.line.clear();
        for (position, field) in fields.iter().enumerate() {
            if position > 0 {
                self.line.push(b',');
            }
            push_csv(field, &mut self.line);
        }
        self.line.push(b'\n');
        self.out.write_all(&self.line).map_err(SimulateError::write(self.partial.temporary()))
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), SimulateError> {
        self.out.write_all(bytes).map_err(SimulateError::write(self.partial.temporary()))
    }

    fn finish(mut self) -> Result<(), SimulateError> {
        self.out.flush().map_err(SimulateError::write(self.partial.temporary()))?;
        self.partial.deliver()
    }
}
