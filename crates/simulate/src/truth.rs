//! The truth beside the extracts: which rows were damaged, and the figures a clean warehouse has to come to.

use crate::clock::{Clock, DAY, HOUR};
use crate::encounter::{Class, Encounter};
use crate::error::SimulateError;
use crate::extract::Entity;
use crate::flow::Flow;
use crate::site::Site;
use serde::Serialize;
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

/// Figures of one department on one local day.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct DepartmentDay {
    /// Local date that ends with the census's midnight.
    pub date: String,
    /// Hospital.
    pub hospital_id: String,
    /// Department.
    pub department_id: String,
    /// Its kind, as in the extract.
    pub department_type: String,
    /// Beds that were staffed at that midnight; boarding cots in an emergency department.
    pub staffed_beds: usize,
    /// Everybody in a bed of the department at the midnight that ends the day.
    pub midnight_census: u32,
    /// Of those, inpatients other than newborns.
    pub census_inpatient: u32,
    /// Of those, observation patients.
    pub census_observation: u32,
    /// Of those, newborns.
    pub census_newborn: u32,
    /// First bed stays that began in the department.
    pub admissions: u32,
    /// Later bed stays that began in the department.
    pub transfers_in: u32,
    /// Patients who left the hospital from a bed of the department.
    pub discharges: u32,
}

/// Figures of one hospital on one local day.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct HospitalDay {
    /// Local date.
    pub date: String,
    /// Hospital.
    pub hospital_id: String,
    /// Everybody in a bed at the midnight that ends the day.
    pub midnight_census: u32,
    /// First bed stays, all classes.
    pub admissions: u32,
    /// Departures of patients who had a bed.
    pub discharges: u32,
    /// Inpatients (newborns included) among them.
    pub inpatient_discharges: u32,
    /// Σ length of stay of those: local discharge date − local admission date, the same day counting 1.
    pub inpatient_los_days: u32,
    /// Arrivals in the emergency department.
    pub ed_arrivals: u32,
    /// Of the patients who left it that day, those not seen.
    pub left_without_being_seen: u32,
    /// Patients who left the emergency department for a bed more than four hours after the decision to admit.
    pub boarded_over_4_hours: u32,
}

#[derive(Serialize)]
struct Network<'a> {
    definition: &'a str,
    inpatient_discharges: u32,
    average_length_of_stay_days: f64,
    ed_arrivals: u32,
    left_without_being_seen: u32,
    hospital_days: &'a [HospitalDay],
    department_days: &'a [DepartmentDay],
}

/// Collector and writer of the truth.
pub(crate) struct Truth {
    folder: PathBuf,
    partial: PathBuf,
    dirty: BufWriter<File>,
    hospital_days: Vec<HospitalDay>,
    department_days: Vec<DepartmentDay>,
}

const DIRTY_ROWS: &str = "dirty_rows.csv";

impl Truth {
    pub(crate) fn create(root: &Path) -> Result<Self, SimulateError> {
        let folder = root.join("_truth");
        fs::create_dir_all(&folder).map_err(SimulateError::write(&folder))?;
        let partial = folder.join(format!(".{DIRTY_ROWS}.tmp"));
        let file = File::create(&partial).map_err(SimulateError::write(&partial))?;
        let mut dirty = BufWriter::new(file);
        dirty.write_all(b"entity,key,kind,file,line\n").map_err(SimulateError::write(&partial))?;
        Ok(Self { folder, partial, dirty, hospital_days: Vec::new(), department_days: Vec::new() })
    }

    pub(crate) fn dirty(
        &mut self,
        entity: Entity,
        key: &str,
        kind: &str,
        file: &str,
        line: u64,
    ) -> Result<(), SimulateError> {
        writeln!(self.dirty, "{},{key},{kind},{file},{line}", entity.name())
            .map_err(SimulateError::write(&self.partial))
    }

    /// Counts one local day of one hospital; `closed` are the encounters that ended in it.
    pub(crate) fn day(&mut self, site: &Site, flow: &Flow, closed: &[Encounter], clock: &Clock, day: i32) {
        let date = crate::clock::date_of(day).to_string();
        let (from, until) = (clock.midnight(day), clock.midnight(day + 1));
        let is_today = |at: i64| (from..until).contains(&at);
        let mut departments: Vec<DepartmentDay> = site
            .departments
            .iter()
            .map(|department| DepartmentDay {
                date: date.clone(),
                hospital_id: site.id.clone(),
                department_id: department.id.clone(),
                department_type: department.kind.name().to_owned(),
                staffed_beds: department.staffed_beds,
                ..DepartmentDay::default()
            })
            .collect();
        let mut hospital = HospitalDay { date, hospital_id: site.id.clone(), ..HospitalDay::default() };
        for encounter in flow.open().chain(closed) {
            count_hospital(&mut hospital, encounter, clock, is_today);
            for movement in &encounter.movements {
                let department = &mut departments[site.beds[movement.bed].department];
                if is_today(movement.started_at) {
                    let counter =
                        if movement.is_first { &mut department.admissions } else { &mut department.transfers_in };
                    *counter += 1;
                }
                if movement.ended_at.is_none_or(|ended| ended >= until) {
                    department.midnight_census += 1;
                    match encounter.class {
                        Class::Observation => department.census_observation += 1,
                        _ if encounter.admission_type == "newborn" => department.census_newborn += 1,
                        _ => department.census_inpatient += 1,
                    }
                }
            }
            if let (Some(at), Some(last)) = (encounter.discharged_at, encounter.movements.last())
                && is_today(at)
            {
                departments[site.beds[last.bed].department].discharges += 1;
            }
        }
        hospital.midnight_census = departments.iter().map(|department| department.midnight_census).sum();
        self.hospital_days.push(hospital);
        self.department_days.extend(departments);
    }

    /// Writes both files under their final names.
    pub(crate) fn finish(mut self) -> Result<(), SimulateError> {
        self.dirty.flush().map_err(SimulateError::write(&self.partial))?;
        let dirty = self.folder.join(DIRTY_ROWS);
        fs::rename(&self.partial, &dirty).map_err(SimulateError::write(&dirty))?;
        let sum = |field: fn(&HospitalDay) -> u32| self.hospital_days.iter().map(field).sum::<u32>();
        let discharges = sum(|day| day.inpatient_discharges);
        let network = Network {
            definition: "Figures of the undamaged rows. Dates are local dates (America/New_York); a census is taken at the midnight that ends its date.",
            inpatient_discharges: discharges,
            average_length_of_stay_days: f64::from(sum(|day| day.inpatient_los_days)) / f64::from(discharges.max(1)),
            ed_arrivals: sum(|day| day.ed_arrivals),
            left_without_being_seen: sum(|day| day.left_without_being_seen),
            hospital_days: &self.hospital_days,
            department_days: &self.department_days,
        };
        let path = self.folder.join("kpis.json");
        let partial = self.folder.join(".kpis.json.tmp");
        let file = File::create(&partial).map_err(SimulateError::write(&partial))?;
        let mut out = BufWriter::new(file);
        serde_json::to_writer_pretty(&mut out, &network)
            .map_err(|error| SimulateError::write(&partial)(error.into()))?;
        out.flush().map_err(SimulateError::write(&partial))?;
        fs::rename(&partial, &path).map_err(SimulateError::write(&path))
    }
}

fn count_hospital(hospital: &mut HospitalDay, encounter: &Encounter, clock: &Clock, is_today: impl Fn(i64) -> bool) {
    // Clinic visits begin with a check-in; only the emergency department counts its arrivals here.
    let is_emergency = encounter.came_by_emergency() || encounter.class == Class::Emergency;
    if is_emergency && is_today(encounter.arrived_at) {
        hospital.ed_arrivals += 1;
    }
    if let Some(departed) = encounter.departed_ed_at.filter(|at| is_today(*at)) {
        if encounter.disposition == "lwbs" {
            hospital.left_without_being_seen += 1;
        }
        if encounter.admit_decision_at.is_some_and(|decided| departed - decided > 4 * HOUR) {
            hospital.boarded_over_4_hours += 1;
        }
    }
    let Some(admitted) = encounter.admitted_at else { return };
    if is_today(admitted) {
        hospital.admissions += 1;
    }
    if let Some(discharged) = encounter.discharged_at.filter(|at| is_today(*at)) {
        hospital.discharges += 1;
        if encounter.class == Class::Inpatient {
            let days = clock.local_day(discharged) - clock.local_day(admitted);
            debug_assert!(discharged - admitted < 400 * DAY);
            hospital.inpatient_discharges += 1;
            hospital.inpatient_los_days += days.max(1) as u32;
        }
    }
}
