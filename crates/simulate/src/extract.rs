//! The extract files: which columns, in which format, and how a row becomes bytes.

use crate::error::SimulateError;
use crate::kind::DirtKind;
use crate::partial::Partial;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

/// A kind of extract.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Entity {
    /// Hospitals of the network.
    Hospitals,
    /// Departments with their staffed beds.
    Departments,
    /// Rooms.
    Rooms,
    /// Beds and their state at midnight.
    Beds,
    /// Registered patients.
    Patients,
    /// Physicians.
    Physicians,
    /// Nurses.
    Nurses,
    /// Other employees.
    Employees,
    /// Shifts, planned and worked.
    Attendance,
    /// Visits.
    Encounters,
    /// Bed stays.
    Transfers,
    /// Clinic appointments.
    Appointments,
    /// Bills.
    Billing,
    /// Payers.
    Payers,
    /// Patients' covers.
    Insurance,
    /// Claims to payers.
    Claims,
    /// The medication catalogue.
    Medications,
    /// Medications given out.
    Dispensed,
    /// ADT messages.
    Adt,
}

/// How an extract is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    Csv {
        delimiter: u8,
        is_latin: bool,
        has_bom: bool,
        has_crlf: bool,
    },
    /// An array with one object per line.
    Json,
    NdJson,
}

/// How the extracts of successive days relate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Every row each day.
    Full,
    /// Rows that are new or changed that day.
    Changes,
    /// New rows only; rows never change.
    Append,
}

const fn csv(delimiter: u8) -> Format {
    Format::Csv { delimiter, is_latin: false, has_bom: false, has_crlf: false }
}

/// Every entity, in the order in which they are written.
pub const ENTITIES: [Entity; 19] = [
    Entity::Hospitals,
    Entity::Departments,
    Entity::Rooms,
    Entity::Beds,
    Entity::Patients,
    Entity::Physicians,
    Entity::Nurses,
    Entity::Employees,
    Entity::Attendance,
    Entity::Encounters,
    Entity::Transfers,
    Entity::Appointments,
    Entity::Billing,
    Entity::Payers,
    Entity::Insurance,
    Entity::Claims,
    Entity::Medications,
    Entity::Dispensed,
    Entity::Adt,
];

impl Entity {
    /// Name of the folder and of the files in it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Hospitals => "hospitals",
            Self::Departments => "departments",
            Self::Rooms => "rooms",
            Self::Beds => "beds",
            Self::Patients => "patients",
            Self::Physicians => "physicians",
            Self::Nurses => "nurses",
            Self::Employees => "employees",
            Self::Attendance => "attendance",
            Self::Encounters => "encounters",
            Self::Transfers => "transfers",
            Self::Appointments => "appointments",
            Self::Billing => "billing",
            Self::Payers => "payers",
            Self::Insurance => "insurance",
            Self::Claims => "claims",
            Self::Medications => "medications",
            Self::Dispensed => "dispensed",
            Self::Adt => "adt",
        }
    }

    /// The entity with a name.
    pub fn from_name(name: &str) -> Option<Self> {
        ENTITIES.into_iter().find(|entity| entity.name() == name)
    }

    /// How its daily extracts relate to each other.
    pub fn mode(self) -> Mode {
        match self {
            Self::Attendance
            | Self::Encounters
            | Self::Transfers
            | Self::Appointments
            | Self::Billing
            | Self::Claims => Mode::Changes,
            Self::Dispensed | Self::Adt => Mode::Append,
            _ => Mode::Full,
        }
    }

    pub(crate) fn format(self) -> Format {
        match self {
            Self::Departments => Format::Json,
            Self::Claims | Self::Adt => Format::NdJson,
            Self::Rooms | Self::Beds => csv(b';'),
            Self::Patients => Format::Csv { delimiter: b'|', is_latin: true, has_bom: false, has_crlf: false },
            Self::Appointments => Format::Csv { delimiter: b';', is_latin: false, has_bom: true, has_crlf: true },
            Self::Employees | Self::Dispensed => csv(b'\t'),
            Self::Encounters | Self::Transfers => csv(b'|'),
            Self::Billing => csv(b'^'),
            Self::Insurance => csv(b'~'),
            _ => csv(b','),
        }
    }

    /// Ending of its files' names.
    pub fn extension(self) -> &'static str {
        match self.format() {
            Format::Csv { .. } => "csv",
            Format::Json => "json",
            Format::NdJson => "ndjson",
        }
    }

    /// Its columns in order; the first is the key.
    #[rustfmt::skip]
    pub fn columns(self) -> &'static [&'static str] {
        match self {
            Self::Hospitals => &["hospital_id", "hospital_name", "city", "state", "time_zone", "hospital_type", "bed_count", "opened_date"],
            Self::Departments => &["department_id", "hospital_id", "department_name", "department_type", "floor", "staffed_beds", "head_physician_id", "updated_at"],
            Self::Rooms => &["room_id", "hospital_id", "department_id", "room_number", "room_type"],
            Self::Beds => &["bed_id", "hospital_id", "department_id", "room_id", "bed_label", "bed_type", "is_staffed", "status"],
            Self::Patients => &["patient_id", "hospital_id", "mrn", "national_id", "first_name", "last_name", "gender", "date_of_birth", "phone", "email", "address_line", "city", "postal_code", "insurance_id", "registered_at", "deceased_date", "updated_at"],
            Self::Physicians => &["physician_id", "hospital_id", "department_id", "first_name", "last_name", "specialty", "hired_date"],
            Self::Nurses => &["nurse_id", "hospital_id", "department_id", "first_name", "last_name", "grade", "hired_date"],
            Self::Employees => &["employee_id", "hospital_id", "department_id", "first_name", "last_name", "role", "hired_date", "left_date"],
            Self::Attendance => &["attendance_id", "employee_id", "hospital_id", "department_id", "shift_date", "shift_type", "scheduled_start_at", "scheduled_end_at", "clock_in_at", "clock_out_at", "status"],
            Self::Encounters => &["encounter_id", "patient_id", "hospital_id", "department_id", "encounter_class", "admission_type", "arrived_at", "triaged_at", "triage_level", "provider_seen_at", "admit_decision_at", "departed_ed_at", "admitted_at", "expected_discharge_date", "discharged_at", "discharge_disposition", "attending_physician_id", "diagnosis_code", "diagnosis_text", "updated_at"],
            Self::Transfers => &["movement_id", "encounter_id", "patient_id", "hospital_id", "department_id", "room_id", "bed_id", "movement_type", "started_at", "ended_at", "reason", "updated_at"],
            Self::Appointments => &["appointment_id", "patient_id", "physician_id", "hospital_id", "department_id", "appointment_type", "booked_at", "scheduled_at", "duration_minutes", "checked_in_at", "status", "follow_up_date", "updated_at"],
            Self::Billing => &["bill_id", "encounter_id", "patient_id", "hospital_id", "insurance_id", "bill_date", "amount", "discount", "tax", "final_amount", "amount_paid", "payment_date", "payment_status", "payment_method", "updated_at"],
            Self::Payers => &["payer_id", "payer_name", "payer_type"],
            Self::Insurance => &["insurance_id", "patient_id", "payer_id", "plan_name", "coverage_type", "premium", "coverage_start_date", "coverage_end_date"],
            Self::Claims => &["claim_id", "bill_id", "encounter_id", "patient_id", "payer_id", "submitted_at", "billed_amount", "allowed_amount", "paid_amount", "status", "denial_code", "denial_reason", "adjudicated_at", "updated_at"],
            Self::Medications => &["medication_id", "medication_name", "atc_code", "route", "strength", "strength_unit", "ddd", "ddd_unit", "unit_cost"],
            Self::Dispensed => &["dispense_id", "encounter_id", "patient_id", "hospital_id", "department_id", "medication_id", "prescriber_id", "quantity", "returned_quantity", "dispensed_at"],
            Self::Adt => &["event_id", "event_type", "occurred_at", "recorded_at", "hospital_id", "patient_id", "encounter_id", "department_id", "room_id", "bed_id", "prior_department_id", "prior_bed_id", "merged_into_patient_id"],
        }
    }

    /// Columns that hold numbers; JSON writes them unquoted.
    pub(crate) fn numbers(self) -> &'static [&'static str] {
        match self {
            Self::Hospitals => &["bed_count"],
            Self::Departments => &["floor", "staffed_beds"],
            Self::Encounters => &["triage_level"],
            Self::Appointments => &["duration_minutes"],
            Self::Billing => &["amount", "discount", "tax", "final_amount", "amount_paid"],
            Self::Insurance => &["premium"],
            Self::Claims => &["billed_amount", "allowed_amount", "paid_amount"],
            Self::Dispensed => &["quantity", "returned_quantity"],
            _ => &[],
        }
    }
}

/// The fields of one row, reused from row to row.
#[derive(Default)]
pub(crate) struct Row {
    fields: Vec<String>,
    used: usize,
}

impl Row {
    pub(crate) fn clear(&mut self) {
        self.used = 0;
    }

    /// The next field, empty.
    pub(crate) fn next(&mut self) -> &mut String {
        if self.used == self.fields.len() {
            self.fields.push(String::new());
        }
        let field = &mut self.fields[self.used];
        self.used += 1;
        field.clear();
        field
    }

    pub(crate) fn fields(&self) -> &[String] {
        &self.fields[..self.used]
    }

    pub(crate) fn fields_mut(&mut self) -> &mut [String] {
        &mut self.fields[..self.used]
    }
}

/// How the columns of a file differ from the usual ones; systems are upgraded without notice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Drift {
    #[default]
    None,
    /// One more column at the end, the same text in every row.
    Added(&'static str, &'static str),
    /// A column under another name.
    Renamed(&'static str, &'static str),
    /// The second and third column change places.
    Reordered,
}

impl Drift {
    /// The column it is about, and what kind of dirt it is.
    pub(crate) fn told(self, entity: Entity) -> Option<(DirtKind, &'static str)> {
        match self {
            Self::None => None,
            Self::Added(name, _) => Some((DirtKind::ColumnAdded, name)),
            Self::Renamed(_, name) => Some((DirtKind::ColumnRenamed, name)),
            Self::Reordered => Some((DirtKind::ColumnReordered, entity.columns()[1])),
        }
    }
}

/// Appends one row as a line, line ending included. Behind the first row of a JSON array each begins with the comma between
/// them; the first one's is taken off by the file.
pub(crate) fn encode(entity: Entity, drift: Drift, fields: &[String], out: &mut Vec<u8>) {
    match entity.format() {
        Format::Csv { delimiter, is_latin, has_crlf, .. } => {
            let added = if let Drift::Added(_, value) = drift { Some(value) } else { None };
            let ordered = (0..fields.len()).map(|position| fields[swapped(drift, position)].as_str());
            for (position, field) in ordered.chain(added).enumerate() {
                if position > 0 {
                    out.push(delimiter);
                }
                push_csv_field(field, delimiter, is_latin, out);
            }
            out.extend_from_slice(if has_crlf { b"\r\n" } else { b"\n" });
        }
        format @ (Format::Json | Format::NdJson) => {
            out.extend_from_slice(if format == Format::Json { b",{" } else { b"{" });
            for (position, (name, field)) in entity.columns().iter().zip(fields).enumerate() {
                if position > 0 {
                    out.push(b',');
                }
                push_json_member(entity, name, field, out);
            }
            out.extend_from_slice(b"}\n");
        }
    }
}

fn swapped(drift: Drift, position: usize) -> usize {
    match (drift, position) {
        (Drift::Reordered, 1) => 2,
        (Drift::Reordered, 2) => 1,
        _ => position,
    }
}

fn push_csv_field(field: &str, delimiter: u8, is_latin: bool, out: &mut Vec<u8>) {
    let needs_quotes = field.bytes().any(|byte| byte == delimiter || matches!(byte, b'"' | b'\n' | b'\r'));
    if needs_quotes {
        out.push(b'"');
        push_text(&field.replace('"', "\"\""), is_latin, out);
        out.push(b'"');
    } else {
        push_text(field, is_latin, out);
    }
}

fn push_text(text: &str, is_latin: bool, out: &mut Vec<u8>) {
    if is_latin && !text.is_ascii() {
        // Windows-1252 equals Latin-1 for every letter the simulation uses.
        out.extend(text.chars().map(|letter| u8::try_from(u32::from(letter)).unwrap_or(b'?')));
    } else {
        out.extend_from_slice(text.as_bytes());
    }
}

fn push_json_member(entity: Entity, name: &str, field: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":");
    if field.is_empty() {
        out.extend_from_slice(b"null");
    } else if entity.numbers().contains(&name) && field.parse::<f64>().is_ok() {
        out.extend_from_slice(field.as_bytes());
    } else {
        // Serializing text into memory cannot fail.
        let _ = serde_json::to_writer(&mut *out, field);
    }
}

/// A file of one entity in the making.
pub(crate) struct ExtractFile {
    entity: Entity,
    pub(crate) name: String,
    partial: Partial,
    out: BufWriter<File>,
    drift: Drift,
    rows: u64,
    bytes: u64,
}

/// A file that is complete, but not yet under its own name.
pub(crate) struct Finished {
    partial: Partial,
    pub(crate) bytes: u64,
}

impl Finished {
    /// Gives the file its name; from then on readers see it.
    pub(crate) fn deliver(&mut self) -> Result<(), SimulateError> {
        self.partial.deliver()
    }
}

impl ExtractFile {
    pub(crate) fn create(root: &Path, entity: Entity, date: &str, drift: Drift) -> Result<Self, SimulateError> {
        let folder = root.join(entity.name());
        let name = format!("{}_{date}.{}", entity.name(), entity.extension());
        let (partial, out) = begin_file(&folder, &name)?;
        let name = format!("{}/{name}", entity.name());
        let mut extract = Self { entity, name, partial, out, drift, rows: 0, bytes: 0 };
        extract.begin()?;
        Ok(extract)
    }

    fn begin(&mut self) -> Result<(), SimulateError> {
        match self.entity.format() {
            Format::Csv { has_bom, .. } => {
                if has_bom {
                    self.write(b"\xEF\xBB\xBF")?;
                }
                let mut names: Vec<String> = self.entity.columns().iter().map(ToString::to_string).collect();
                let mut line = Vec::new();
                match self.drift {
                    Drift::Added(name, _) => names.push(name.to_owned()),
                    Drift::Renamed(before, name) => {
                        names.iter_mut().filter(|known| *known == before).for_each(|known| name.clone_into(known));
                    }
                    Drift::Reordered => names.swap(1, 2),
                    Drift::None => {}
                }
                encode(self.entity, Drift::None, &names, &mut line);
                self.write(&line)
            }
            Format::Json => self.write(b"[\n"),
            Format::NdJson => Ok(()),
        }
    }

    /// The place of the next row, as a loader counts: the line, from 1, or in a JSON array the number of the record.
    pub(crate) fn next_position(&self) -> u64 {
        match self.entity.format() {
            Format::Csv { .. } => self.rows + 2,
            Format::Json | Format::NdJson => self.rows + 1,
        }
    }

    /// Writes encoded rows.
    pub(crate) fn append(&mut self, lines: &[u8], rows: u64) -> Result<(), SimulateError> {
        let is_first_of_array = self.rows == 0 && self.entity.format() == Format::Json;
        self.rows += rows;
        self.write(if is_first_of_array { lines.strip_prefix(b",").unwrap_or(lines) } else { lines })
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), SimulateError> {
        self.bytes += bytes.len() as u64;
        self.out.write_all(bytes).map_err(SimulateError::write(self.partial.temporary()))
    }

    pub(crate) fn finish(mut self) -> Result<Finished, SimulateError> {
        if self.entity.format() == Format::Json {
            self.write(b"]\n")?;
        }
        self.out.flush().map_err(SimulateError::write(self.partial.temporary()))?;
        Ok(Finished { partial: self.partial, bytes: self.bytes })
    }
}

/// Writes a whole file under its temporary name.
pub(crate) fn write_file(folder: &Path, name: &str, bytes: &[u8]) -> Result<Finished, SimulateError> {
    let (partial, mut out) = begin_file(folder, name)?;
    out.write_all(bytes).and_then(|()| out.flush()).map_err(SimulateError::write(partial.temporary()))?;
    Ok(Finished { partial, bytes: bytes.len() as u64 })
}

fn begin_file(folder: &Path, name: &str) -> Result<(Partial, BufWriter<File>), SimulateError> {
    let (partial, file) = Partial::create(folder, name)?;
    Ok((partial, BufWriter::with_capacity(1 << 16, file)))
}
