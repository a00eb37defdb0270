//! What one hospital sends in a day: rows made into lines, some of them damaged, and the truth about those.
//!
//! Hospitals are simulated side by side, so lines are counted within the hospital's part of each file; the [`Sink`] that joins
//! the parts knows where a part begins.
//!
//! [`Sink`]: crate::sink::Sink

use crate::chance::hash_text;
use crate::damage::Damage;
use crate::dirt::{self, Dirt};
use crate::extract::{Drift, Entity, Format, Mode, Row, encode};
use crate::kind::DirtKind;
use crate::truth::push_csv;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// One hospital's part of a day's files.
#[derive(Default)]
pub(crate) struct Parcel {
    pub parts: BTreeMap<Entity, Part>,
    /// Rows of `patient_versions.csv` and `department_versions.csv`.
    pub versions: BTreeMap<Entity, Vec<u8>>,
    pub messages: Vec<u8>,
    pub message_count: u64,
}

/// One hospital's part of one file.
#[derive(Default)]
pub(crate) struct Part {
    pub bytes: Vec<u8>,
    pub rows: u64,
    pub dirty: Vec<DirtyPart>,
    /// Row in this part, and the fields of its clean form as CSV without a line end.
    pub clean: Vec<(u64, Vec<u8>)>,
    /// Row in this part and key: rows that a rule against duplicates names rightly, though nobody damaged them.
    pub twins: Vec<(u64, String)>,
}

/// A damaged row of a part.
pub(crate) struct DirtyPart {
    /// From 1.
    pub row: u64,
    /// The other row of a pair.
    pub pair: Option<u64>,
    pub key: String,
    pub damage: Damage,
    /// Hash of the line, by which the same damage sent again is known.
    pub content: u64,
}

/// What became of a row.
pub(crate) struct Sent {
    /// The lines with the row's own key, by their place in the part, from 1; none when it was not written.
    pub rows: [Option<u64>; 2],
    pub is_withheld: bool,
}

/// The way out of one hospital.
pub(crate) struct Outbox {
    dirt: Arc<Dirt>,
    entities: Vec<Entity>,
    has_all_clean_rows: bool,
    day: i32,
    pub(crate) row: Row,
    clean: Vec<String>,
    line: Vec<u8>,
    pub(crate) parcel: Parcel,
    /// Rows held back yesterday.
    late: BTreeMap<Entity, Vec<Vec<String>>>,
    /// Per row with a history: the hash of its last state and the number of its version.
    states: HashMap<u64, (u64, u32)>,
}

impl Outbox {
    /// Sends the given entities, none of the others.
    pub(crate) fn new(dirt: Arc<Dirt>, entities: Vec<Entity>, has_all_clean_rows: bool) -> Self {
        Self {
            dirt,
            entities,
            has_all_clean_rows,
            day: 0,
            row: Row::default(),
            clean: Vec::new(),
            line: Vec::new(),
            parcel: Parcel::default(),
            late: BTreeMap::new(),
            states: HashMap::new(),
        }
    }

    /// Begins a day with what missed the day before.
    pub(crate) fn open(&mut self, day: i32) {
        self.day = day;
        for (entity, rows) in std::mem::take(&mut self.late) {
            let drift = self.dirt.drift(entity, day);
            for fields in rows {
                self.line.clear();
                encode(entity, drift, &fields, &mut self.line);
                let key = fields.first().cloned().unwrap_or_default();
                let part = self.parcel.parts.entry(entity).or_default();
                let row = part.push(&self.line);
                part.dirty_row(row, None, key, Damage::of_line(DirtKind::LateRow), hash_bytes(&self.line));
                if self.has_all_clean_rows {
                    part.keep_clean(row, &fields);
                }
            }
        }
    }

    /// The finished day.
    pub(crate) fn take(&mut self) -> Parcel {
        std::mem::take(&mut self.parcel)
    }

    /// Whether an entity is written at all; a caller with many rows asks before filling them.
    pub(crate) fn wants(&self, entity: Entity) -> bool {
        self.entities.contains(&entity)
    }

    /// Writes the row that was just filled.
    pub(crate) fn write(&mut self, entity: Entity) -> Sent {
        if !self.wants(entity) {
            return Sent { rows: [None; 2], is_withheld: false };
        }
        if matches!(entity, Entity::Patients | Entity::Departments) {
            self.note_version(entity);
        }
        let drift = self.dirt.drift(entity, self.day);
        let damage = self.dirt.damage(entity, self.day, self.row.fields_mut(), &mut self.clean);
        let part = self.parcel.parts.entry(entity).or_default();
        self.line.clear();
        let Some(damage) = damage else {
            encode(entity, drift, self.row.fields(), &mut self.line);
            let row = part.push(&self.line);
            if self.has_all_clean_rows {
                part.keep_clean(row, self.row.fields());
            }
            return Sent { rows: [Some(row), None], is_withheld: false };
        };
        if damage.kind == DirtKind::LateRow {
            self.late.entry(entity).or_default().push(std::mem::take(&mut self.clean));
            return Sent { rows: [None; 2], is_withheld: false };
        }
        self.write_damaged(entity, drift, damage)
    }

    /// Writes the damaged row, and where the damage makes a pair of rows, both.
    fn write_damaged(&mut self, entity: Entity, drift: Drift, mut damage: Damage) -> Sent {
        let Some(part) = self.parcel.parts.get_mut(&entity) else {
            return Sent { rows: [None; 2], is_withheld: false };
        };
        let kind = damage.kind;
        let key = self.row.fields().first().cloned().unwrap_or_default();
        let mut pair = None;
        // The person registered twice, and the line sent twice, stand before their doubles.
        if matches!(kind, DirtKind::DuplicatePatient | DirtKind::RepeatedLine) {
            pair = Some(part.encoded(entity, drift, &self.clean, &mut self.line));
            if self.has_all_clean_rows {
                part.keep_clean(part.rows, &self.clean);
            }
        }
        self.line.clear();
        encode(entity, drift, self.row.fields(), &mut self.line);
        if kind == DirtKind::TruncatedLine {
            cut(&mut self.line, entity, &self.clean, &mut damage);
        }
        let content = hash_bytes(&self.line);
        let row = part.push(&self.line);
        // Of a line or a person too many there is no clean form: the source would have sent nothing.
        if pair.is_none() {
            part.keep_clean(row, &self.clean);
        }
        // The state that holds stands behind the one that does not: the last one wins, as in the source.
        if kind == DirtKind::ConflictingDuplicate {
            pair = Some(part.encoded(entity, drift, &self.clean, &mut self.line));
            if self.has_all_clean_rows {
                part.keep_clean(part.rows, &self.clean);
            }
        }
        part.dirty_row(row, pair, key, damage, content);
        let own = (kind != DirtKind::DuplicatePatient).then_some(row);
        Sent { rows: [own, pair], is_withheld: kind.is_withheld() }
    }

    /// A row that was just sent is one of two registrations of a person, by behaviour and not by damage.
    pub(crate) fn note_twin(&mut self, entity: Entity, sent: &Sent, key: &str) {
        if let Some(part) = self.parcel.parts.get_mut(&entity) {
            part.twins.extend(sent.rows.iter().flatten().map(|row| (*row, key.to_owned())));
        }
    }

    /// Writes a version when the row, as it is, differs from its last one. `updated_at`, the last column, is no attribute.
    fn note_version(&mut self, entity: Entity) {
        let fields = self.row.fields();
        let (Some(key), Some(updated_at)) = (fields.first(), fields.last()) else { return };
        let attributes = &fields[1..fields.len() - 1];
        let state = attributes
            .iter()
            .fold(0, |hash, field| crate::chance::mix(hash, hash_text(field).wrapping_add(field.len() as u64)));
        let known = self.states.entry(hash_text(key)).or_insert((!state, 0));
        if known.0 == state {
            return;
        }
        *known = (state, known.1 + 1);
        let out = self.parcel.versions.entry(entity).or_default();
        push_csv(key, out);
        out.push(b',');
        out.extend_from_slice(known.1.to_string().as_bytes());
        for field in std::iter::once(updated_at).chain(attributes) {
            out.push(b',');
            push_csv(field, out);
        }
        out.push(b'\n');
    }
}

impl Part {
    fn push(&mut self, line: &[u8]) -> u64 {
        self.bytes.extend_from_slice(line);
        self.rows += 1;
        self.rows
    }

    fn encoded(&mut self, entity: Entity, drift: Drift, fields: &[String], line: &mut Vec<u8>) -> u64 {
        line.clear();
        encode(entity, drift, fields, line);
        self.push(line)
    }

    fn keep_clean(&mut self, row: u64, fields: &[String]) {
        let mut line = Vec::new();
        for (position, field) in fields.iter().enumerate() {
            if position > 0 {
                line.push(b',');
            }
            push_csv(field, &mut line);
        }
        self.clean.push((row, line));
    }

    fn dirty_row(&mut self, row: u64, pair: Option<u64>, key: String, damage: Damage, content: u64) {
        self.dirty.push(DirtyPart { row, pair, key, damage, content });
    }
}

impl DirtyPart {
    /// Whether the same line of the same key is one damage, however often a full extract holds it.
    pub(crate) fn is_sent_again(&self, entity: Entity) -> bool {
        let is_value = !self.damage.column.is_empty() && self.damage.kind != DirtKind::TruncatedLine;
        is_value && entity.mode() != Mode::Append && dirt::undecidable(self.damage.kind).is_none()
    }
}

fn hash_bytes(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xCBF2_9CE4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01B3))
}

/// Cuts a line as an aborted transfer leaves it: before its last two fields, or in the middle of an object.
fn cut(line: &mut Vec<u8>, entity: Entity, clean: &[String], damage: &mut Damage) {
    match entity.format() {
        Format::Csv { delimiter, .. } => {
            let mut ends =
                line.iter().enumerate().rev().filter(|(_, byte)| **byte == delimiter).map(|(position, _)| position);
            if let (Some(_), Some(end)) = (ends.next(), ends.next()) {
                line.truncate(end);
            }
        }
        Format::Json | Format::NdJson => {
            let middle = line.len() * 3 / 5;
            let end = (middle..line.len()).find(|at| line[*at].is_ascii_alphanumeric()).unwrap_or(middle);
            line.truncate(end);
        }
    }
    line.push(b'\n');
    if let (Some(column), Some(original)) = (entity.columns().last(), clean.last()) {
        damage.column = (*column).to_owned();
        damage.original.clone_from(original);
    }
}
