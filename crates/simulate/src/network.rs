//! The run: hospitals side by side, day after day, and the files of each day.

use crate::catalog::{MEDICATIONS, PAYERS};
use crate::clock::{self, Clock};
use crate::dirt::Dirt;
use crate::error::SimulateError;
use crate::extract::{ENTITIES, Entity};
use crate::hospital::Hospital;
use crate::options::{OutputFormat, Progress, SimulationOptions, Summary};
use crate::outbox::{Outbox, Parcel};
use crate::pace::Pace;
use crate::rows::Fill;
use crate::side_by_side::side_by_side;
use crate::sink::Sink;
use crate::stop::Stop;
use crate::truth::TruthWriter;
use std::path::Path;
use std::sync::Arc;

/// Days simulated before the first extract, so that hospitals are full and bills are in flight when it is cut.
///
/// The first extract holds this history too: it is the initial load.
pub const HISTORY_DAYS: u32 = 10;

/// Simulates a hospital network and writes its daily extracts below `out`, calling `progress` after each day.
///
/// Existing files of the same names are replaced, each at once when it is complete; other files are left alone.
///
/// # Errors
/// [`SimulateError::InvalidOption`] for options outside of their range, [`SimulateError::Write`] when `out` cannot be written.
pub fn simulate(
    options: &SimulationOptions,
    out: &Path,
    progress: &mut dyn FnMut(Progress),
) -> Result<Summary, SimulateError> {
    simulate_until(options, out, &Stop::default(), progress)
}

/// [`simulate`], until its end or until `stop` is asked for: what is not complete by then is taken away.
///
/// # Errors
/// Those of [`simulate`], and [`SimulateError::Stopped`].
pub fn simulate_until(
    options: &SimulationOptions,
    out: &Path,
    stop: &Stop,
    progress: &mut dyn FnMut(Progress),
) -> Result<Summary, SimulateError> {
    check(options)?;
    let first = clock::day_number(options.start_date);
    let history_start = first - HISTORY_DAYS as i32;
    let clock = Clock::new(clock::date_of(history_start), clock::date_of(first + options.days as i32));
    let dirt = Arc::new(Dirt::new(options, &clock, first));
    if dirt.highest_rate() > 1.0 {
        let value = dirt.highest_rate().to_string();
        let expected = "rates whose sum over the kinds of one extract is at most 1";
        return Err(SimulateError::InvalidOption { option: "dirt", value, expected });
    }
    let entities = entities(options);
    let outbox = || Outbox::new(Arc::clone(&dirt), entities.clone(), options.has_all_clean_rows);
    let threads = threads(options);
    let mut hospitals = Vec::new();
    let mut numbers: Vec<usize> = (1..=options.hospitals).collect();
    let open = |number: &mut usize| Hospital::open(*number, options, &clock, history_start, outbox());
    side_by_side(&mut numbers, threads, open, |hospital| {
        hospitals.push(hospital);
        stop.check()
    })?;
    let mut shared = outbox();
    let mut truth = TruthWriter::create(out, &entities)?;
    let mut sink = Sink::new(out, Arc::clone(&dirt), entities.clone());
    let pace = Pace::new(options.speed, clock.midnight(first));
    for index in 0..options.days {
        let day = first + index as i32;
        sink.open(day, &mut truth)?;
        sink.take("", shared_rows(&mut shared, &hospitals, &clock, day), &mut truth)?;
        let live = |hospital: &mut Hospital| (hospital.site.id.clone(), hospital.day(&clock, day));
        side_by_side(&mut hospitals, threads, live, |(id, parcel)| {
            stop.check()?;
            sink.take(&id, parcel, &mut truth)
        })?;
        sink.close(|| pace.wait_until(clock.midnight(day + 1), stop))?;
        progress(Progress { day: index + 1, days: options.days, date: clock::date_of(day), rows: sink.summary.rows });
    }
    hospitals.iter_mut().for_each(|hospital| hospital.close(&clock));
    truth.finish(hospitals.iter().map(|hospital| (&hospital.site, &hospital.figures)), first, options.days)?;
    let mut summary = sink.summary;
    summary.encounters = hospitals.iter().map(|hospital| hospital.flow.encounter_count()).sum();
    Ok(summary)
}

fn entities(options: &SimulationOptions) -> Vec<Entity> {
    match (options.has(OutputFormat::Csv), options.entities.is_empty()) {
        (false, _) => Vec::new(),
        (true, true) => ENTITIES.to_vec(),
        (true, false) => options.entities.clone(),
    }
}

fn threads(options: &SimulationOptions) -> usize {
    match options.threads {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        threads => threads,
    }
}

fn check(options: &SimulationOptions) -> Result<(), SimulateError> {
    let invalid = |option, value: String, expected| Err(SimulateError::InvalidOption { option, value, expected });
    if options.hospitals == 0 || options.hospitals > 99 {
        return invalid("hospitals", options.hospitals.to_string(), "1 to 99");
    }
    if options.days == 0 || options.days > 3_660 {
        return invalid("days", options.days.to_string(), "1 to 3660");
    }
    if !(0.05..=1_000.0).contains(&options.scale) {
        return invalid("scale", options.scale.to_string(), "0.05 to 1000");
    }
    for rate in options.kind_rates.values().chain([&options.dirt]) {
        if !(0.0..=1.0).contains(rate) {
            return invalid("dirt", rate.to_string(), "a share, 0.0 to 1.0");
        }
    }
    if options.speed.is_some_and(|speed| !speed.is_finite() || speed <= 0.0) {
        let speed = options.speed.unwrap_or_default().to_string();
        return invalid("speed", speed, "simulated seconds per second, above 0");
    }
    let year = chrono::Datelike::year(&options.start_date);
    if !(1971..=2090).contains(&year) {
        return invalid("start date", options.start_date.to_string(), "a date from 1971 to 2090");
    }
    Ok(())
}

/// Entities of the network as a whole.
fn shared_rows(outbox: &mut Outbox, hospitals: &[Hospital], clock: &Clock, day: i32) -> Parcel {
    outbox.open(day);
    for hospital in hospitals {
        Fill::new(&mut outbox.row, &hospital.site, clock).hospital();
        outbox.write(Entity::Hospitals);
    }
    if let Some(any) = hospitals.first() {
        for payer in 0..PAYERS.len() {
            Fill::new(&mut outbox.row, &any.site, clock).payer(payer);
            outbox.write(Entity::Payers);
        }
        for medication in 0..MEDICATIONS.len() {
            Fill::new(&mut outbox.row, &any.site, clock).medication(medication);
            outbox.write(Entity::Medications);
        }
    }
    outbox.take()
}
