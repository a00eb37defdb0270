//! Simulates a network of about as many ADT events as asked for, and tells how long that took:
//! `cargo run --release -p wardlake-simulate --example events -- 10000000 DIR [ENTITY,…]`.

#![allow(clippy::print_stdout, reason = "a program of its own")]

use std::env;
use std::error::Error;
use std::path::PathBuf;
use std::time::Instant;
use wardlake_simulate::{Entity, SimulationOptions, simulate};

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = env::args().skip(1);
    let events: u64 = args.next().map_or(Ok(1_000_000), |text| text.parse())?;
    let out = args.next().map_or_else(|| env::temp_dir().join("wardlake-events"), PathBuf::from);
    let names = args.next().unwrap_or_default();
    let entities: Vec<Entity> = names.split(',').filter_map(Entity::from_name).collect();
    let options = SimulationOptions { dirt: 0.05, entities, ..SimulationOptions::default() }.for_events(events);
    let started = Instant::now();
    let summary = simulate(&options, &out, &mut |_| {})?;
    let seconds = started.elapsed().as_secs_f64();
    println!(
        "{} rows ({} ADT events) of {} hospitals and {} days, {} MB, {} damaged rows: {seconds:.1} s",
        summary.rows,
        summary.rows_by_entity.get("adt").copied().unwrap_or_default(),
        options.hospitals,
        options.days,
        summary.bytes / 1_000_000,
        summary.dirty_rows
    );
    Ok(())
}
