//! What a simulation is asked for and what it reports back.

use crate::extract::Entity;
use chrono::NaiveDate;
use serde::Serialize;
use std::collections::BTreeMap;

/// Size, period and dirtiness of a simulated hospital network.
///
/// Two runs with equal options write byte-identical files.
#[derive(Debug, Clone, PartialEq)]
pub struct SimulationOptions {
    /// Hospitals in the network, at least one.
    pub hospitals: usize,
    /// Daily extracts to write, at least one.
    pub days: u32,
    /// Date of the first extract, a local date in America/New_York.
    pub start_date: NaiveDate,
    /// Registered patients per hospital at the beginning; raised where the beds of `scale` need more.
    pub patients_per_hospital: usize,
    /// Factor on beds, staff and arrivals; 1.0 is a hospital of about a hundred beds.
    pub scale: f64,
    /// Everything random follows from this number.
    pub seed: u64,
    /// Share of rows that are damaged, 0.0 to 1.0; the kinds of damage are drawn evenly among those that fit the row.
    pub dirt: f64,
    /// Entities to write; empty for all. What happens in the hospitals does not depend on it.
    pub entities: Vec<Entity>,
}

impl Default for SimulationOptions {
    fn default() -> Self {
        Self {
            hospitals: 7,
            days: 7,
            // The default week ends with the Sunday on which clocks go forward, so that a 23-hour day is always part of the demo.
            start_date: NaiveDate::from_ymd_opt(2026, 3, 2).unwrap_or_default(),
            patients_per_hospital: 1_000,
            scale: 1.0,
            seed: 42,
            dirt: 0.02,
            entities: Vec::new(),
        }
    }
}

/// ADT messages that one hospital of scale 1 emits on an average day.
const EVENTS_PER_HOSPITAL_DAY: f64 = 226.0;

impl SimulationOptions {
    /// The same network, sized so that its `adt` extracts hold about `events` messages in all, for benches.
    ///
    /// The period grows to at most 30 days where it is shorter; beyond that the hospitals grow.
    #[must_use]
    pub fn for_events(self, events: u64) -> Self {
        let per_day = EVENTS_PER_HOSPITAL_DAY * self.hospitals.max(1) as f64;
        let history = f64::from(crate::HISTORY_DAYS);
        let wanted = (events as f64 / per_day - history).round().clamp(1.0, 30.0) as u32;
        let days = self.days.max(wanted);
        let scale = events as f64 / (per_day * (f64::from(days) + history));
        Self { days, scale: scale.clamp(0.05, 1_000.0), ..self }
    }
}

/// How far a simulation has come; reported once per written day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Days written so far, from 1.
    pub day: u32,
    /// Days to write in all.
    pub days: u32,
    /// Date of the extracts just written.
    pub date: NaiveDate,
    /// Rows written so far, all entities together.
    pub rows: u64,
}

/// What a simulation wrote.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// Files of extracts, without the truth beside them.
    pub files: u64,
    /// Bytes in those files.
    pub bytes: u64,
    /// Rows in those files, damaged and repeated ones included.
    pub rows: u64,
    /// Rows per entity.
    pub rows_by_entity: BTreeMap<String, u64>,
    /// Damaged rows, as listed in `_truth/dirty_rows.csv`.
    pub dirty_rows: u64,
    /// Encounters that began in the simulated time, the history before the first extract included.
    pub encounters: u64,
}
