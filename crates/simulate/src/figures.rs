//! The figures a warehouse has to come to, counted from the encounters themselves: once from all of them as they are, and once
//! from the rows that are left when the withheld ones are absent.
//!
//! An encounter is counted when it is over (or at the end of the simulation), by its last state and for all its days: an
//! observation patient who becomes an inpatient was one all along, as in the newest row of the encounter.

use crate::clock::{Clock, DAY, HOUR};
use crate::encounter::{Class, Encounter, Movement};
use crate::site::Site;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;

/// Figures of one hospital on one local day.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HospitalFigures {
    /// Everybody in a bed at the midnight that ends the day.
    pub midnight_census: u32,
    /// First bed stays, all classes, by the admission time of the encounter.
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

/// Figures of one department on one local day.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DepartmentFigures {
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
    /// Patients who left the hospital from a bed of the department: by the encounter's discharge and its last bed stay.
    pub discharges: u32,
}

/// What the figures need of an encounter's row.
#[derive(Debug, Clone, Copy)]
struct Visit {
    class: Class,
    is_newborn: bool,
    is_emergency: bool,
    is_unseen: bool,
    arrived_at: i64,
    departed_ed_at: Option<i64>,
    admit_decision_at: Option<i64>,
    admitted_at: Option<i64>,
    discharged_at: Option<i64>,
}

/// What the figures need of a bed stay's row.
#[derive(Debug, Clone, Copy)]
struct Stay {
    number: u64,
    department: usize,
    is_first: bool,
    started_at: i64,
    ended_at: Option<i64>,
}

/// The rows of an encounter that are in a warehouse, each by its newest state.
#[derive(Debug, Clone, Default)]
struct Record {
    visit: Option<Visit>,
    stays: Vec<Stay>,
}

impl Record {
    fn of(encounter: &Encounter, site: &Site) -> Self {
        let stays = encounter.movements.iter().map(|movement| Stay::of(movement, site)).collect();
        Self { visit: Some(Visit::of(encounter)), stays }
    }
}

impl Visit {
    fn of(encounter: &Encounter) -> Self {
        Self {
            class: encounter.class,
            is_newborn: encounter.admission_type == "newborn",
            // Clinic visits begin with a check-in; only the emergency department counts its arrivals here.
            is_emergency: encounter.came_by_emergency() || encounter.class == Class::Emergency,
            is_unseen: encounter.disposition == "lwbs",
            arrived_at: encounter.arrived_at,
            departed_ed_at: encounter.departed_ed_at,
            admit_decision_at: encounter.admit_decision_at,
            admitted_at: encounter.admitted_at,
            discharged_at: encounter.discharged_at,
        }
    }
}

impl Stay {
    fn of(movement: &Movement, site: &Site) -> Self {
        Self {
            number: movement.number,
            department: site.beds[movement.bed].department,
            is_first: movement.is_first,
            started_at: movement.started_at,
            ended_at: movement.ended_at,
        }
    }
}

/// The figures of one hospital over the days of the extracts, and what is needed to count them.
pub(crate) struct Figures {
    first_day: i32,
    pub(crate) days: Vec<DayFigures>,
    /// The rows delivered and not withheld of encounters that are not counted yet.
    delivered: HashMap<u64, Record>,
}

/// Clean and expected figures of one day, per department in the order of the site's.
#[derive(Debug, Clone, Default)]
pub(crate) struct DayFigures {
    pub(crate) staffed_beds: Vec<usize>,
    pub(crate) clean: Figure,
    pub(crate) expected: Figure,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Figure {
    pub(crate) hospital: HospitalFigures,
    pub(crate) departments: Vec<DepartmentFigures>,
}

impl Figures {
    pub(crate) fn new(first_day: i32, days: u32, departments: usize) -> Self {
        let figure = Figure { departments: vec![DepartmentFigures::default(); departments], ..Figure::default() };
        let day = DayFigures { staffed_beds: Vec::new(), clean: figure.clone(), expected: figure };
        Self { first_day, days: vec![day; days as usize], delivered: HashMap::new() }
    }

    /// An encounter's row was delivered and stands.
    pub(crate) fn deliver(&mut self, encounter: &Encounter) {
        self.delivered.entry(encounter.number).or_default().visit = Some(Visit::of(encounter));
    }

    /// A bed stay's row was delivered and stands.
    pub(crate) fn deliver_stay(&mut self, encounter: u64, movement: &Movement, site: &Site) {
        let stay = Stay::of(movement, site);
        let stays = &mut self.delivered.entry(encounter).or_default().stays;
        match stays.iter_mut().find(|known| known.number == stay.number) {
            Some(known) => *known = stay,
            None => stays.push(stay),
        }
    }

    pub(crate) fn staffed(&mut self, site: &Site, day: i32) {
        if let Some(figures) = usize::try_from(day - self.first_day).ok().and_then(|index| self.days.get_mut(index)) {
            figures.staffed_beds = site.departments.iter().map(|department| department.staffed_beds).collect();
        }
    }

    /// Counts an encounter that will not change any more, after its rows were delivered.
    pub(crate) fn count(&mut self, encounter: &Encounter, site: &Site, clock: &Clock) {
        self.add(&Record::of(encounter, site), clock, |day| &mut day.clean);
        if let Some(record) = self.delivered.remove(&encounter.number) {
            self.add(&record, clock, |day| &mut day.expected);
        }
    }

    fn add(&mut self, record: &Record, clock: &Clock, figure: fn(&mut DayFigures) -> &mut Figure) {
        let first_day = self.first_day;
        let days = &mut self.days;
        let mut on = |at: i64, count: &mut dyn FnMut(&mut Figure)| {
            let index = usize::try_from(clock.local_day(at) - first_day);
            if let Some(day) = index.ok().and_then(|index| days.get_mut(index)) {
                count(figure(day));
            }
        };
        if let Some(visit) = &record.visit {
            count_visit(visit, clock, &mut on);
        }
        for stay in &record.stays {
            on(stay.started_at, &mut |figure| {
                let department = &mut figure.departments[stay.department];
                *(if stay.is_first { &mut department.admissions } else { &mut department.transfers_in }) += 1;
            });
        }
        let last = record.stays.iter().max_by_key(|stay| (stay.started_at, stay.number));
        if let (Some(at), Some(last)) = (record.visit.and_then(|visit| visit.discharged_at), last) {
            on(at, &mut |figure| figure.departments[last.department].discharges += 1);
        }
        for stay in &record.stays {
            self.add_census(stay, record.visit.as_ref(), clock, figure);
        }
    }

    /// Everybody in a bed at the midnight that ends a day counts for that day.
    fn add_census(
        &mut self,
        stay: &Stay,
        visit: Option<&Visit>,
        clock: &Clock,
        figure: fn(&mut DayFigures) -> &mut Figure,
    ) {
        let from = clock.local_day(stay.started_at).max(self.first_day);
        let until = stay.ended_at.map_or(i32::MAX, |at| clock.local_day(at));
        for day in self.days.iter_mut().skip((from - self.first_day) as usize).take((until - from).max(0) as usize) {
            let figure = figure(day);
            figure.hospital.midnight_census += 1;
            let department = &mut figure.departments[stay.department];
            department.midnight_census += 1;
            match visit {
                Some(visit) if visit.class == Class::Observation => department.census_observation += 1,
                Some(visit) if visit.is_newborn => department.census_newborn += 1,
                Some(_) => department.census_inpatient += 1,
                // Of a bed stay without its encounter nobody knows the class.
                None => {}
            }
        }
    }
}

fn count_visit(visit: &Visit, clock: &Clock, on: &mut impl FnMut(i64, &mut dyn FnMut(&mut Figure))) {
    if visit.is_emergency {
        on(visit.arrived_at, &mut |figure| figure.hospital.ed_arrivals += 1);
    }
    if let Some(departed) = visit.departed_ed_at {
        let has_boarded = visit.admit_decision_at.is_some_and(|decided| departed - decided > 4 * HOUR);
        on(departed, &mut |figure| {
            figure.hospital.left_without_being_seen += u32::from(visit.is_unseen);
            figure.hospital.boarded_over_4_hours += u32::from(has_boarded);
        });
    }
    let Some(admitted) = visit.admitted_at else { return };
    on(admitted, &mut |figure| figure.hospital.admissions += 1);
    if let Some(discharged) = visit.discharged_at {
        debug_assert!(discharged - admitted < 400 * DAY);
        let days = (clock.local_day(discharged) - clock.local_day(admitted)).max(1) as u32;
        on(discharged, &mut |figure| {
            figure.hospital.discharges += 1;
            if visit.class == Class::Inpatient {
                figure.hospital.inpatient_discharges += 1;
                figure.hospital.inpatient_los_days += days;
            }
        });
    }
}
