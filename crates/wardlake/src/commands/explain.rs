//! `explain`: from a row back to the bytes it came from.

use clap::Args;
use wardlake_runner::{Explanation, explain};

use super::Outcome;
use crate::{args::GlobalArgs, failure::Failure, open};

/// Follow a row back to the line it came from: the models on the way, the rules it passed, the line as received
#[derive(Debug, Args)]
pub(crate) struct ExplainArgs {
    /// The table: `fct_bed_day` or `gold.fct_bed_day`
    table: String,
    /// The row's key
    key: String,
    /// The column the key stands in; by default the table's declared key, else its first column
    #[arg(long)]
    column: Option<String>,
    /// Read an older epoch
    #[arg(long, value_name = "N")]
    epoch: Option<u64>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(global: &GlobalArgs, args: &ExplainArgs) -> Result<Outcome, Failure> {
    let workspace = open::quiet_workspace(open::project(global, "explain", false)?).await?;
    let state = open::read_state(&workspace, args.epoch, false).await?;
    let session = workspace.engine.session(state).await?;
    let explanation = explain(&workspace, &session, &args.table, &args.key, args.column.as_deref()).await?;
    if args.json {
        let text = serde_json::to_string_pretty(&explanation).map_err(|error| Failure::Output(error.to_string()))?;
        println!("{text}");
    } else {
        print(&explanation);
    }
    Ok(Outcome::Done)
}

fn print(explanation: &Explanation) {
    println!("{}", explanation.table);
    cells(&explanation.row);
    for step in &explanation.path {
        println!("\n← {} {}", step.kind, step.relation);
        if !step.passed.is_empty() {
            println!("    passed {} rules: {}", step.passed.len(), step.passed.join(", "));
        }
        step.found.iter().for_each(|found| println!("    found {found}"));
    }
    let Some(origin) = &explanation.origin else {
        println!("\nThe row does not say which line it came from (it has no source_file and source_position).");
        return;
    };
    println!("\n← received {}, {} line {}", origin.source, origin.file, origin.position);
    println!("    at {} in load {}", origin.received_at, origin.batch_id);
    if let Some(sha256) = &origin.sha256 {
        println!("    file sha256 {sha256}");
    }
    match &origin.line {
        Some(line) => println!("    {line}"),
        None => cells(&origin.raw),
    }
}

fn cells(row: &[(String, String)]) {
    let width = row.iter().map(|(name, _)| name.chars().count()).max().unwrap_or_default();
    row.iter().for_each(|(name, value)| println!("    {name:<width$}  {value}"));
}
