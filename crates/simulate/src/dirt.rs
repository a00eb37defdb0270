//! Which row is damaged, and how.
//!
//! Whether and how a value is damaged follows from the seed and the row's key alone: a source that holds a wrong value sends it
//! every day, so damage never looks like a change. Only damage of the way (cut, repeated and late lines, late files) depends on
//! the day. A row is damaged in one way at most, and only where that shows.

use crate::chance::{hash_text, mix};
use crate::clock::{self, Clock};
use crate::damage::{self, Damage, OddHour};
use crate::extract::{Drift, ENTITIES, Entity};
use crate::kind::DirtKind;
use crate::options::SimulationOptions;

/// Decides about damage.
#[derive(Debug, Clone)]
pub(crate) struct Dirt {
    seed: u64,
    plans: Vec<Plan>,
    last_day: i32,
    /// From this day on extracts have other columns.
    drift_day: i32,
    drifts: Vec<DirtKind>,
    late_files: f64,
    odd_hours: Vec<OddHour>,
    years: damage::Years,
}

/// The rates of one entity.
#[derive(Debug, Clone, Default)]
struct Plan {
    values: Draw,
    lines: Draw,
}

#[derive(Debug, Clone, Default)]
struct Draw {
    /// Kinds with a rate of their own.
    own: Vec<(DirtKind, f64)>,
    /// Kinds that share one rate.
    shared: Vec<DirtKind>,
    shared_rate: f64,
}

impl Draw {
    fn rate(&self) -> f64 {
        self.shared_rate + self.own.iter().map(|(_, rate)| rate).sum::<f64>()
    }
}

impl Dirt {
    pub(crate) fn new(options: &SimulationOptions, clock: &Clock, first_day: i32) -> Self {
        let is_shared = |kind: &DirtKind| {
            let is_listed = options.kinds.is_empty() || options.kinds.contains(kind);
            is_listed && !options.kind_rates.contains_key(kind) && options.dirt > 0.0
        };
        let rate = |kind: DirtKind| match options.kind_rates.get(&kind) {
            Some(rate) => *rate,
            None if is_shared(&kind) => options.dirt,
            None => 0.0,
        };
        let plans = ENTITIES.iter().map(|entity| plan(*entity, options, &is_shared)).collect();
        let drifts = [DirtKind::ColumnAdded, DirtKind::ColumnRenamed, DirtKind::ColumnReordered];
        let last_day = first_day + options.days as i32 - 1;
        Self {
            seed: mix(options.seed, 0xD1_27),
            plans,
            last_day,
            drift_day: first_day + (options.days as i32 / 2).max(1),
            drifts: drifts.into_iter().filter(|kind| rate(*kind) > 0.0).collect(),
            late_files: rate(DirtKind::OutOfOrderFile),
            odd_hours: clock.odd_hours().iter().map(|start| OddHour::new(*start)).collect(),
            years: damage::Years::of(first_day, last_day),
        }
    }

    /// The highest share of rows that any entity loses to damage; over 1 the rates contradict each other.
    pub(crate) fn highest_rate(&self) -> f64 {
        self.plans.iter().map(|plan| plan.values.rate().max(plan.lines.rate())).fold(0.0, f64::max)
    }

    /// Damages the values of a row, or says how its line is to be damaged. `clean` receives the row as it was when there is
    /// damage, and holds anything otherwise.
    pub(crate) fn damage(
        &self,
        entity: Entity,
        day: i32,
        fields: &mut [String],
        clean: &mut Vec<String>,
    ) -> Option<Damage> {
        let plan = self.plans.get(entity as usize)?;
        let key = fields.first().map(|key| hash_text(key))?;
        let of_row = mix(self.seed ^ entity as u64, key);
        if let Some(damage) = self.damage_value(entity, &plan.values, of_row, fields, clean) {
            return Some(damage);
        }
        let of_day = mix(of_row, day as u64);
        let kind = pick(&plan.lines, of_day, |kind| kind != DirtKind::LateRow || day < self.last_day)?;
        clean.clear();
        clean.extend_from_slice(fields);
        Some(Damage::of_line(kind))
    }

    fn damage_value(
        &self,
        entity: Entity,
        draw: &Draw,
        of_row: u64,
        fields: &mut [String],
        clean: &mut Vec<String>,
    ) -> Option<Damage> {
        let (own, shared) = (share(mix(of_row, 7)), share(of_row));
        let mut is_below = shared < draw.shared_rate;
        let mut end = 0.0;
        let own = draw.own.iter().find(|(_, rate)| {
            end += rate;
            own < end
        });
        is_below |= own.is_some();
        if !is_below {
            return None;
        }
        clean.clear();
        clean.extend_from_slice(fields);
        let mut row = damage::Target { entity, fields, years: self.years, odd_hours: &self.odd_hours };
        let value = mix(of_row, 2);
        if let Some(damage) = own.and_then(|(kind, _)| row.apply(*kind, value)) {
            return Some(damage);
        }
        if shared >= draw.shared_rate {
            return None;
        }
        let first = mix(of_row, 1) as usize;
        // One day in the year fits: on that day the kind is preferred, or it would hardly ever be met.
        let is_odd = draw.shared.contains(&DirtKind::AmbiguousLocalTime) && first & 1 == 0;
        if let Some(damage) = is_odd.then(|| row.apply(DirtKind::AmbiguousLocalTime, value)).flatten() {
            return Some(damage);
        }
        // The first kind that fits, so that a kind which fits few rows is still met among them.
        let count = draw.shared.len();
        (0..count).find_map(|offset| row.apply(draw.shared[first.wrapping_add(offset) % count], value))
    }

    /// How the file of a day differs from the entity's usual columns.
    pub(crate) fn drift(&self, entity: Entity, day: i32) -> Drift {
        if day < self.drift_day {
            return Drift::None;
        }
        let (kind, drift) = match entity {
            Entity::Employees => (DirtKind::ColumnAdded, Drift::Added("cost_center", "CC-100")),
            Entity::Rooms => (DirtKind::ColumnRenamed, Drift::Renamed("room_type", "room_kind")),
            Entity::Nurses => (DirtKind::ColumnReordered, Drift::Reordered),
            _ => return Drift::None,
        };
        if self.drifts.contains(&kind) { drift } else { Drift::None }
    }

    /// Whether a day's file is delivered only after the next day's. The last day's never is: it would not come at all.
    pub(crate) fn is_file_late(&self, entity: Entity, day: i32) -> bool {
        let of_file = mix(mix(self.seed ^ 0xF1_1E, entity as u64), day as u64);
        day < self.last_day && share(of_file) < self.late_files
    }
}

fn plan(entity: Entity, options: &SimulationOptions, is_shared: &impl Fn(&DirtKind) -> bool) -> Plan {
    let (values, lines) = kinds(entity);
    let draw = |kinds: &[DirtKind]| Draw {
        own: kinds.iter().filter_map(|kind| Some((*kind, *options.kind_rates.get(kind)?))).collect(),
        shared: kinds.iter().copied().filter(|kind| is_shared(kind)).collect(),
        shared_rate: 0.0,
    };
    let mut plan = Plan { values: draw(values), lines: draw(lines) };
    let count = plan.values.shared.len() + plan.lines.shared.len();
    for draw in [&mut plan.values, &mut plan.lines] {
        draw.shared_rate = options.dirt * draw.shared.len() as f64 / count.max(1) as f64;
    }
    plan
}

/// The kind a draw falls on.
fn pick(draw: &Draw, hash: u64, fits: impl Fn(DirtKind) -> bool) -> Option<DirtKind> {
    let mut left = share(mix(hash, 7));
    for (kind, rate) in &draw.own {
        left -= rate;
        if left < 0.0 {
            return Some(*kind).filter(|kind| fits(*kind));
        }
    }
    if share(hash) >= draw.shared_rate {
        return None;
    }
    let first = mix(hash, 1) as usize;
    let count = draw.shared.len();
    (0..count).map(|offset| draw.shared[first.wrapping_add(offset) % count]).find(|kind| fits(*kind))
}

/// A hash as a share, 0.0 to 1.0.
fn share(hash: u64) -> f64 {
    (hash >> 11) as f64 / (1_u64 << 53) as f64
}

/// Why a row's damage cannot be told from what a loader keeps, if so.
pub(crate) fn undecidable(kind: DirtKind) -> Option<&'static str> {
    (kind == DirtKind::OutOfOrderFile).then_some("the bytes are those of a file in time; only when it arrived tells")
}

/// Damage to an entity's values, and damage to its lines on their way.
#[rustfmt::skip]
fn kinds(entity: Entity) -> (&'static [DirtKind], &'static [DirtKind]) {
    use DirtKind as K;
    match entity {
        Entity::Patients => (
            &[K::DuplicatePatient, K::GenderSpelling, K::AgeOver120, K::NegativeAge, K::FutureTimestamp, K::DamagedEncoding, K::ConflictingDuplicate],
            &[K::TruncatedLine, K::RepeatedLine],
        ),
        Entity::Encounters => (
            &[K::DischargeBeforeAdmission, K::MissingAdmissionTime, K::UnknownDepartment, K::NotANumber, K::FutureTimestamp, K::AmbiguousLocalTime, K::ConflictingDuplicate],
            &[K::TruncatedLine, K::RepeatedLine, K::LateRow],
        ),
        Entity::Transfers => (
            &[K::UnknownDepartment, K::FutureTimestamp, K::Timestamp1900, K::ConflictingDuplicate],
            &[K::TruncatedLine, K::RepeatedLine, K::LateRow],
        ),
        Entity::Appointments => (
            &[K::UnknownDepartment, K::NotANumber, K::Timestamp1900, K::ConflictingDuplicate],
            &[K::RepeatedLine, K::LateRow],
        ),
        Entity::Billing => (&[K::NotANumber, K::ConflictingDuplicate], &[K::TruncatedLine, K::RepeatedLine, K::LateRow]),
        Entity::Claims => (&[K::NotANumber, K::Timestamp1900], &[K::TruncatedLine, K::RepeatedLine, K::LateRow]),
        Entity::Dispensed => (
            &[K::UnknownDepartment, K::NotANumber, K::FutureTimestamp, K::Timestamp1900, K::AmbiguousLocalTime],
            &[K::RepeatedLine, K::LateRow],
        ),
        Entity::Adt => (
            &[K::UnknownDepartment, K::FutureTimestamp, K::Timestamp1900, K::AmbiguousLocalTime],
            &[K::TruncatedLine, K::RepeatedLine, K::LateRow],
        ),
        Entity::Attendance => (&[K::UnknownDepartment, K::Timestamp1900], &[K::RepeatedLine]),
        Entity::Insurance => (&[K::NotANumber], &[K::RepeatedLine]),
        // Master data of the network keeps its values: everything else is judged against it.
        _ => (&[], &[]),
    }
}

impl damage::Years {
    fn of(first_day: i32, last_day: i32) -> Self {
        use chrono::Datelike;
        Self { first: clock::date_of(first_day).year(), last: clock::date_of(last_day).year() }
    }
}
