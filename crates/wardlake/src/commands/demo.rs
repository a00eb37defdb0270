//! `demo`: everything, once, on a hospital network that does not exist.

use std::{path::PathBuf, sync::Arc, time::Instant};

use arrow::{
    array::AsArray,
    datatypes::Int64Type,
    util::display::{ArrayFormatter, FormatOptions},
};
use clap::Args;
use wardlake_engine::Session;
use wardlake_load::{IngestOptions, Workspace};
use wardlake_records::{RunSummary, Status};
use wardlake_simulate::SimulationOptions;

use super::{Outcome, build::build_and_record, simulate::simulate};
use crate::{
    args::{GlobalArgs, RunArgs},
    failure::Failure,
    open::{self, Opened},
    printing::{Unwritten, err, note, out},
    project_files, rows,
    teller::LogFormat,
    terminal::{counted, grouped},
};

/// Simulate a hospital network, load its extracts, build and test the hospital project on them, and show what came out
#[derive(Debug, Args)]
pub(crate) struct DemoArgs {
    /// The folder to work in
    #[arg(default_value = "wardlake-demo")]
    dir: PathBuf,
    /// Daily extracts to simulate
    #[arg(long, default_value_t = 7)]
    days: u32,
    /// Everything random follows from this number
    #[arg(long, default_value_t = 42)]
    seed: u64,
    /// Share of rows that are damaged
    #[arg(long, default_value_t = 0.02)]
    dirt: f64,
}

pub(crate) async fn run(global: &GlobalArgs, args: &DemoArgs) -> Result<Outcome, Failure> {
    let started = Instant::now();
    project_files::claim_for_demo(&args.dir)?;
    let landing = args.dir.join("landing");
    let options =
        SimulationOptions { days: args.days, seed: args.seed, dirt: args.dirt, ..SimulationOptions::default() };
    let simulated = simulate(&options, &landing).await?;
    project_files::write(&args.dir)?;
    let global = GlobalArgs { project_dir: args.dir.clone(), ..global.clone() };
    say(
        &global,
        &format!(
            "Simulated {} of {}: {}, {} of them damaged.",
            counted(simulated.files, "extract"),
            counted(options.hospitals as u64, "hospital"),
            counted(simulated.rows, "row"),
            grouped(simulated.dirty_rows)
        ),
    );

    let project = open::project(&global, "build", false)?;
    let opened = Opened::open(&global, Arc::clone(&project)).await?;
    let result = load_and_build(&opened.workspace, &project, opened.threads).await;
    let workspace = Arc::clone(&opened.workspace);
    let (loaded, built) = match result {
        Ok(both) => both,
        Err(failure) => {
            drop(workspace);
            opened.close().await;
            return Err(failure);
        }
    };
    if global.log_format == LogFormat::Text {
        let state = open::read_state(&workspace, None, false).await?;
        let session = workspace.engine.session(wardlake_load::local_viewer(), state).await?;
        let report = report(&session, &loaded, &built).await?;
        drop((workspace, session));
        opened.close().await;
        let dir = args.dir.display();
        let end = format!(
            "{report}\nTook {:.1} s. Go on in {dir}:\n  \
             wardlake sql \"select * from gold.dim_department\" --project-dir {dir}",
            started.elapsed().as_secs_f64()
        );
        // What was built stands, whether or not anybody reads of it.
        if !matches!(out(end), Ok(()) | Err(Unwritten::Unread)) {
            err("The report could not be written; `wardlake quality` and `wardlake sql` show what was built.");
        }
    } else {
        drop(workspace);
        opened.close().await;
    }
    Ok(if loaded.is_success() && built.is_success() { Outcome::Done } else { Outcome::Failed })
}

fn say(global: &GlobalArgs, text: &str) {
    if global.log_format == LogFormat::Text && !global.quiet {
        note(format_args!("{text}\n"));
    }
}

async fn load_and_build(
    workspace: &Arc<Workspace>,
    project: &Arc<wardlake_project::Project>,
    threads: usize,
) -> Result<(RunSummary, RunSummary), Failure> {
    let options = IngestOptions { threads, project_dir: project.dir().to_owned(), ..IngestOptions::default() };
    let loaded = wardlake_load::ingest(Arc::clone(workspace), options).await?;
    let built = build_and_record(workspace, project, "build", &RunArgs::default(), Vec::new(), threads).await?;
    Ok((loaded, built))
}

/// What was built, what was wrong in the data, and the day's key figures.
async fn report(session: &Session, loaded: &RunSummary, built: &RunSummary) -> Result<String, Failure> {
    let rows_of = |summary: &RunSummary| summary.results.iter().filter_map(|result| result.rows).sum::<u64>();
    let kind = |kind: &str| built.results.iter().filter(|result| result.resource_type == kind).count() as u64;
    let mut text = format!(
        "\nWhat was built\n  {} loaded into {}; {} in {}, checked by {}.\n",
        counted(rows_of(loaded), "row"),
        counted(loaded.results.len() as u64, "bronze table"),
        counted(rows_of(built), "row"),
        counted(kind("model") + kind("seed") + kind("snapshot"), "table and view")
            .replace("table and views", "tables and views"),
        counted(kind("test"), "test"),
    );
    text.push_str("\nWhat was wrong in the data\n");
    let rejected: u64 = loaded.results.iter().filter_map(|result| result.failures).sum();
    text.push_str(&format!(
        "  {:>8}  records could not be read; they are in system.rejected_rows\n",
        grouped(rejected)
    ));
    let counted_rows = session
        .collect(
            "select cast((select sum(rows_open) from system.accounting) as bigint) as withheld, \
               cast((select sum(rows_broken) from system.rule_results where action = 'repair') as bigint) as repaired",
        )
        .await?;
    if let Some(batch) = counted_rows.first() {
        let count = |at: usize| batch.column(at).as_primitive::<Int64Type>().value(0).unsigned_abs();
        for (rows, what) in [
            (count(0), "rows break a rule and are withheld: `wardlake quarantine list`"),
            (count(1), "cells were put right by declared repairs; they are in audit.*"),
        ] {
            text.push_str(&format!("  {:>8}  {what}\n", grouped(rows)));
        }
    }
    let found = session
        .collect(
            "select broken, entity || ': ' || description as rule from ( \
               select rows_broken as broken, entity, description from silver.int_data_quality where rows_broken > 0 \
             ) as found order by broken desc limit 15",
        )
        .await?;
    for batch in &found {
        let column = |at: usize| ArrayFormatter::try_new(batch.column(at).as_ref(), &FormatOptions::default());
        let (counts, rules) = (column(0).map_err(rows::output)?, column(1).map_err(rows::output)?);
        for row in 0..batch.num_rows() {
            text.push_str(&format!("  {:>8}  {}\n", counts.value(row).to_string(), rules.value(row)));
        }
    }
    for result in built.results.iter().filter(|result| matches!(result.status, Status::Warn | Status::Fail)) {
        let test = result.label.trim_start_matches("test ");
        text.push_str(&format!("  {:>8}  found by the test {test}\n", grouped(result.failures.unwrap_or(0))));
    }
    text.push_str("\nKey figures\n");
    let query = session
        .query(
            "select figure, round(figure_value, 3) as value, \
               case when low < high then round(low, 3) || ' – ' || round(high, 3) end as with_withheld_rows, unit, definition \
             from gold.kpi_key_figures left join ( \
               select row_key, low, high from system.kpi_bounds where kpi = 'kpi_key_figures' \
               qualify row_number() over (partition by row_key order by computed_at desc) = 1 \
             ) as bounds on figure = row_key order by figure_number",
        )
        .await?;
    let batches = query.collect().await?;
    text.push_str(&rows::table(&query.schema(), &batches)?);
    text.push('\n');
    Ok(text)
}
