//! `explain`: from a row back to the bytes it came from.

use clap::Args;
use wardlake_trust::{Explanation, explain};

use super::Outcome;
use crate::{
    args::GlobalArgs,
    failure::Failure,
    open,
    printing::{Unwritten, out_json, out_prose, safe_line},
    terminal::counted,
};

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
    let session = workspace.engine.session(wardlake_load::local_viewer(), state).await?;
    let explanation = explain(&workspace, &session, &args.table, &args.key, args.column.as_deref()).await?;
    if args.json {
        let text = serde_json::to_string_pretty(&explanation).map_err(|error| Unwritten::Output(error.to_string()))?;
        out_json(&text)?;
    } else {
        out_prose(told(&explanation))?;
    }
    Ok(Outcome::Done)
}

/// The explanation for people. Names and values are the data's: each stays within its line.
fn told(explanation: &Explanation) -> String {
    let mut lines = vec![safe_line(&explanation.table).into_owned()];
    cells(&explanation.row, &mut lines);
    for step in &explanation.path {
        lines.push(String::new());
        lines.push(safe_line(&format!("← {} {}", step.kind, step.relation)).into_owned());
        if !step.passed.is_empty() {
            let rules = counted(step.passed.len() as u64, "rule");
            let passed = format!("    passed {rules}: {}", step.passed.join(", "));
            lines.push(safe_line(&passed).into_owned());
        }
        lines.extend(step.found.iter().map(|found| safe_line(&format!("    found {found}")).into_owned()));
    }
    lines.push(String::new());
    let Some(origin) = &explanation.origin else {
        let text = "The row does not say which line it came from (it has no source_file and source_position).";
        lines.push(explanation.note.as_ref().map_or_else(|| text.to_owned(), |note| safe_line(note).into_owned()));
        return lines.join("\n");
    };
    let received = format!("← received {}, {} line {}", origin.source, origin.file, origin.position);
    lines.push(safe_line(&received).into_owned());
    lines.push(format!("    at {} in load {}", origin.received_at, origin.batch_id));
    if let Some(sha256) = &origin.sha256 {
        lines.push(format!("    file sha256 {sha256}"));
    }
    match &origin.line {
        Some(line) => lines.push(format!("    {}", safe_line(line))),
        None => cells(&origin.raw, &mut lines),
    }
    lines.join("\n")
}

fn cells(row: &[(String, String)], lines: &mut Vec<String>) {
    let row: Vec<_> = row.iter().map(|(name, value)| (safe_line(name), safe_line(value))).collect();
    let width = row.iter().map(|(name, _)| name.chars().count()).max().unwrap_or_default();
    lines.extend(row.iter().map(|(name, value)| format!("    {name:<width$}  {value}")));
}
