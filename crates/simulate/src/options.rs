//! What a simulation is asked for and what it reports back.

use crate::error::SimulateError;
use crate::extract::Entity;
use crate::kind::DirtKind;
use chrono::NaiveDate;
use serde::Serialize;
use std::collections::BTreeMap;
use std::str::FromStr;

/// Size, period and dirtiness of a simulated hospital network.
///
/// Two runs with equal options write byte-identical files, whatever `threads` and `speed` are.
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
    /// Kinds with a rate of their own: the share of the rows they fit that they damage. `dirt` leaves them alone.
    pub kind_rates: BTreeMap<DirtKind, f64>,
    /// Kinds that `dirt` draws from; empty for all.
    pub kinds: Vec<DirtKind>,
    /// Entities to write; empty for all. What happens in the hospitals does not depend on it.
    pub entities: Vec<Entity>,
    /// What to write; empty for extracts alone.
    pub formats: Vec<OutputFormat>,
    /// Whether `_truth/clean/` holds the clean form of every row instead of the damaged ones only.
    pub has_all_clean_rows: bool,
    /// Simulated seconds per second of real time: a day's files appear when its midnight comes. `None` does not wait.
    pub speed: Option<f64>,
    /// Hospitals that are simulated at the same time; 0 for as many as there are processors.
    pub threads: usize,
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
            kind_rates: BTreeMap::new(),
            kinds: Vec::new(),
            entities: Vec::new(),
            formats: Vec::new(),
            has_all_clean_rows: false,
            speed: None,
            threads: 0,
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

    /// Takes rates as they are given on a command line: the last overall rate, and one per kind. Without an overall rate
    /// only the named kinds occur.
    #[must_use]
    pub fn with_dirt(self, rates: &[DirtRate]) -> Self {
        let overall = rates.iter().rev().find(|rate| rate.kind.is_none());
        let kind_rates = rates.iter().filter_map(|rate| Some((rate.kind?, rate.rate))).collect();
        Self { dirt: overall.map_or(0.0, |rate| rate.rate), kind_rates, ..self }
    }

    pub(crate) fn has(&self, format: OutputFormat) -> bool {
        if self.formats.is_empty() { format == OutputFormat::Csv } else { self.formats.contains(&format) }
    }
}

/// A rate of damage as written on a command line: `0.05` for all kinds together, `late_row=0.02` for one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DirtRate {
    /// The kind; `None` for all together.
    pub kind: Option<DirtKind>,
    /// The share, 0.0 to 1.0.
    pub rate: f64,
}

impl FromStr for DirtRate {
    type Err = SimulateError;

    fn from_str(text: &str) -> Result<Self, SimulateError> {
        let (kind, rate) = match text.split_once('=') {
            Some((kind, rate)) => (Some(kind.parse()?), rate),
            None => (None, text),
        };
        let rate = rate.trim().parse::<f64>().ok().filter(|rate| (0.0..=1.0).contains(rate));
        rate.map(|rate| Self { kind, rate }).ok_or_else(|| SimulateError::InvalidOption {
            option: "dirt",
            value: text.to_owned(),
            expected: "a share such as 0.05, or a kind with its share such as late_row=0.02",
        })
    }
}

/// What a simulation writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutputFormat {
    /// The daily extracts: CSV, JSON or NDJSON, as each system sends them.
    Csv,
    /// ADT messages as HL7 v2, one file per hospital and day below `hl7/`.
    Hl7,
}

impl FromStr for OutputFormat {
    type Err = SimulateError;

    fn from_str(text: &str) -> Result<Self, SimulateError> {
        match text.trim() {
            "csv" => Ok(Self::Csv),
            "hl7" => Ok(Self::Hl7),
            _ => Err(SimulateError::UnknownName {
                what: "format",
                name: text.to_owned(),
                known: "csv (the extracts), hl7".to_owned(),
            }),
        }
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
    /// Files of extracts and messages, without the truth beside them.
    pub files: u64,
    /// Bytes in those files.
    pub bytes: u64,
    /// Rows in the extracts, damaged and repeated ones included.
    pub rows: u64,
    /// Rows per entity.
    pub rows_by_entity: BTreeMap<String, u64>,
    /// Damaged rows, as listed in `_truth/dirty_rows.csv`; files that drifted or came late are not rows.
    pub dirty_rows: u64,
    /// HL7 v2 messages.
    pub messages: u64,
    /// Encounters that began in the simulated time, the history before the first extract included.
    pub encounters: u64,
}
