//! `simulate`: a hospital network's extracts, whose truth is known.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
    thread::{self, JoinHandle},
};

use chrono::NaiveDate;
use clap::Args;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::sync::oneshot;
use wardlake_simulate::{DirtKind, DirtRate, OutputFormat, SimulationOptions, Stop, Summary};

use super::Outcome;
use crate::{
    failure::Failure,
    printing::{Stream, note},
    terminal::{counted, grouped},
};

/// Write the daily extracts of a simulated hospital network
#[derive(Debug, Args)]
pub(crate) struct SimulateArgs {
    /// The folder to write to
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Daily extracts
    #[arg(long, default_value_t = 7)]
    days: u32,
    /// Hospitals in the network
    #[arg(long, default_value_t = 7)]
    hospitals: usize,
    /// The date of the first extract
    #[arg(long, value_name = "DATE")]
    start_date: Option<NaiveDate>,
    /// Make the network so large that about this many events come about
    #[arg(long, value_name = "N")]
    events: Option<u64>,
    /// Everything random follows from this number
    #[arg(long, default_value_t = 42)]
    seed: u64,
    /// Share of rows that are damaged, or with a kind (`late_row=0.02`) the share of the rows it fits; may be repeated. With
    /// kinds alone no other damage occurs
    #[arg(long, value_name = "[KIND=]SHARE", default_value = "0.02")]
    dirt: Vec<DirtRate>,
    /// Kinds of damage that the overall share is made of [default: all]
    #[arg(long, value_name = "KIND", value_delimiter = ',')]
    kinds: Vec<DirtKind>,
    /// What to write: `csv` (the daily extracts, each in its system's own format), `hl7` (ADT messages as HL7 v2)
    #[arg(long, value_name = "FORMAT", value_delimiter = ',', default_value = "csv")]
    formats: Vec<OutputFormat>,
    /// Keep the undamaged form of every row in `_truth/clean/`, not only of the damaged ones
    #[arg(long)]
    all_clean_rows: bool,
    /// Let each day's files appear when the simulated midnight that ends the day has come
    #[arg(long)]
    follow: bool,
    /// Simulated seconds per second while following: 1 is real time, 3600 an hour a second
    #[arg(long, value_name = "FACTOR", default_value_t = 3600.0, requires = "follow")]
    speed: f64,
}

pub(crate) async fn run(args: &SimulateArgs) -> Result<Outcome, Failure> {
    let defaults = SimulationOptions::default();
    let mut options = SimulationOptions {
        hospitals: args.hospitals,
        days: args.days,
        start_date: args.start_date.unwrap_or(defaults.start_date),
        seed: args.seed,
        kinds: args.kinds.clone(),
        formats: args.formats.clone(),
        has_all_clean_rows: args.all_clean_rows,
        speed: args.follow.then_some(args.speed),
        ..defaults
    }
    .with_dirt(&args.dirt);
    if let Some(events) = args.events {
        options = options.for_events(events);
    }
    let summary = simulate(&options, &args.out).await?;
    let messages = match summary.messages {
        0 => String::new(),
        count => format!(" and {}", counted(count, "HL7 message")),
    };
    note(format_args!(
        "Wrote {}{messages} in {} ({} MB) to {}; {} of them damaged, as _truth/ tells.",
        counted(summary.rows, "row"),
        counted(summary.files, "file"),
        summary.bytes / 1_000_000,
        args.out.display(),
        grouped(summary.dirty_rows)
    ));
    Ok(Outcome::Done)
}

/// A simulation in a thread of its own. Whoever does not wait for its end (Ctrl-C) ends it, and goes on when the files that it has not
/// completed are gone.
struct Running {
    stop: Arc<Stop>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.ask();
        if let Some(thread) = self.thread.take() {
            // One that ended by a fault of its own has told nothing, which is told below.
            let _ = thread.join();
        }
    }
}

/// Runs the simulator with a progress bar.
pub(crate) async fn simulate(options: &SimulationOptions, out: &Path) -> Result<Summary, Failure> {
    let bar = ProgressBar::new(u64::from(options.days));
    if !Stream::Err.is_screen() {
        bar.set_draw_target(ProgressDrawTarget::hidden());
    }
    if let Ok(style) = ProgressStyle::with_template("{prefix} {wide_bar} {pos}/{len} days, {msg}") {
        bar.set_style(style);
    }
    bar.set_prefix("Simulating");
    let stop = Arc::new(Stop::default());
    let (tell, told) = oneshot::channel();
    let work = {
        let (options, out, bar, stop) = (options.clone(), out.to_owned(), bar.clone(), Arc::clone(&stop));
        move || {
            let done = wardlake_simulate::simulate_until(&options, &out, &stop, &mut |progress| {
                bar.set_position(u64::from(progress.day));
                bar.set_message(counted(progress.rows, "row"));
            });
            // Nobody waits for it any more after Ctrl-C.
            let _ = tell.send(done);
        }
    };
    let thread = thread::Builder::new().name("simulate".to_owned()).spawn(work).map_err(Failure::file(out))?;
    let running = Running { stop, thread: Some(thread) };
    let done = told.await;
    drop(running);
    bar.finish_and_clear();
    match done {
        Ok(summary) => Ok(summary?),
        Err(_) => Err(Failure::file(out)(io::Error::other("the simulation ended before it was done"))),
    }
}
