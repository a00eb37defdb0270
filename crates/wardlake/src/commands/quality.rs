//! `quality`: how good the data is, as text, as JSON or as one page.

use std::{fmt::Write, path::PathBuf};

use clap::Args;
use wardlake_trust::{Level, QualityReport, RuleStatus, percent};

use super::Outcome;
use crate::{
    args::GlobalArgs,
    failure::Failure,
    open,
    printing::{note, out_json, out_prose, safe_line},
    rows,
    terminal::{counted, grouped},
};

/// Lines of each list; the page and --json have all.
const SHOWN: usize = 12;

/// Say how good the data is: rules and their scores, where every row went, what is withheld, what is out of the ordinary
#[derive(Debug, Args)]
pub(crate) struct QualityArgs {
    /// Write the report as one HTML page that needs nothing else
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Print the report as JSON
    #[arg(long)]
    json: bool,
    /// The run after which things stood like this: an id or its beginning
    #[arg(long, default_value = "latest", value_name = "ID")]
    run: String,
}

pub(crate) async fn run(global: &GlobalArgs, args: &QualityArgs) -> Result<Outcome, Failure> {
    let project = open::project(global, "quality", false)?;
    let workspace = open::quiet_workspace(project).await?;
    let run = Some(args.run.as_str()).filter(|run| *run != "latest");
    let report = wardlake_trust::quality(&workspace, wardlake_load::local_viewer(), run).await?;
    if let Some(path) = &args.html {
        let page = wardlake_trust::quality_page(&report)?;
        std::fs::write(path, page).map_err(Failure::file(path))?;
    }
    if args.json {
        out_json(&serde_json::to_string_pretty(&report).map_err(rows::output)?)?;
    } else if let (Some(path), false) = (&args.html, global.quiet) {
        note(format_args!("{}\nThe report is in {}.", report.verdict.headline, path.display()));
    } else if args.html.is_none() {
        out_prose(text(&report))?;
    }
    Ok(Outcome::Done)
}

/// The report for a terminal.
fn text(report: &QualityReport) -> String {
    let mut out = String::new();
    let score = report.figures.score.map_or("no data".to_owned(), percent);
    let _ = writeln!(out, "{}   score {score}", report.verdict.headline);
    if let Some(run) = &report.run {
        let at = run.finished_at.format("%Y-%m-%d %H:%M UTC");
        let _ = writeln!(out, "After the run `{}` of {at} ({})", run.command, run.run_id);
    }
    out.push('\n');
    for reason in &report.verdict.reasons {
        let sign = match reason.level {
            Level::Bad => '✗',
            Level::Attention => '!',
            Level::Good => '✓',
            Level::Unknown => '?',
        };
        let _ = writeln!(out, "  {sign} {}", reason.text);
    }
    accounting(report, &mut out);
    rules(report, &mut out);
    alarms(report, &mut out);
    if !report.missing.is_empty() {
        out.push_str("\nWhat this report cannot say\n");
        for missing in &report.missing {
            let _ = writeln!(out, "  {}: {}", missing.table, missing.text);
        }
    }
    out.trim_end().to_owned()
}

fn accounting(report: &QualityReport, out: &mut String) {
    if report.accounting.is_empty() {
        return;
    }
    out.push_str("\nWhere the rows went\n");
    let header = ["table", "in", "out", "quarantined", "duplicates", "filtered", ""].map(str::to_owned);
    let mut lines = vec![header];
    lines.extend(report.accounting.iter().map(|table| {
        let counts = [table.rows_in, table.rows_out, table.rows_quarantined, table.rows_duplicate, table.rows_filtered];
        let [rows_in, rows_out, held, twins, left] = counts.map(grouped);
        let balance = if table.is_balanced { "balances" } else { "DOES NOT BALANCE" };
        [table.relation.clone(), rows_in, rows_out, held, twins, left, balance.to_owned()]
    }));
    aligned(&lines, out);
}

fn rules(report: &QualityReport, out: &mut String) {
    if !report.tables.is_empty() {
        out.push_str("\nScores, the worst first\n");
        let header = ["table", "score", "rules", "broken", "no data", ""].map(str::to_owned);
        let mut lines = vec![header];
        for table in report.tables.iter().take(SHOWN) {
            let count = |status: RuleStatus| table.rules.iter().filter(|rule| rule.status == status).count() as u64;
            let broken = count(RuleStatus::Warn) + count(RuleStatus::Fail);
            let alarm = if table.status == RuleStatus::Fail { "ALARM" } else { "" };
            lines.push([
                table.relation.clone().unwrap_or_else(|| table.model.clone()),
                table.score.map_or("no data".to_owned(), percent),
                grouped(table.rules.len() as u64),
                grouped(broken),
                grouped(count(RuleStatus::NoData)),
                alarm.to_owned(),
            ]);
        }
        aligned(&lines, out);
        more(report.tables.len(), out);
    }
    if !report.worst.is_empty() {
        out.push_str("\nWhat to look at first\n");
        let lines: Vec<[String; 4]> = report
            .worst
            .iter()
            .map(|rule| {
                let reason = rule.reason.clone().unwrap_or_default();
                [
                    format!("{}.{}", rule.model, rule.rule),
                    counted(rule.rows_broken, "row"),
                    rule.severity.clone(),
                    reason,
                ]
            })
            .collect();
        aligned(&lines, out);
    }
}

fn alarms(report: &QualityReport, out: &mut String) {
    if !report.anomalies.is_empty() {
        out.push_str("\nOut of the ordinary\n");
        for anomaly in report.anomalies.iter().take(SHOWN) {
            let _ = writeln!(out, "  {}", safe_line(&anomaly.message));
        }
        more(report.anomalies.len(), out);
    }
    let changed = || report.drift.iter().filter(|drift| drift.change != "reordered");
    if changed().next().is_some() {
        out.push_str("\nColumns of sources that came, went or changed\n");
        for drift in changed().take(SHOWN) {
            let detail = drift.detail.as_ref().map(|detail| format!(" ({detail})")).unwrap_or_default();
            let text = format!("{}.{} {}{detail}, first in {}", drift.source, drift.column, drift.change, drift.file);
            let _ = writeln!(out, "  {}", safe_line(&text));
        }
        more(changed().count(), out);
    }
    if let Some(tests) = report.tests.as_ref().filter(|tests| !tests.found.is_empty()) {
        out.push_str("\nTests that found something\n");
        for test in tests.found.iter().take(SHOWN) {
            let rows = test.failures.map(|rows| format!(" {}", counted(rows, "row"))).unwrap_or_default();
            let _ = writeln!(out, "  {}{rows}: {}", test.status, test.name);
        }
        more(tests.found.len(), out);
    }
}

fn more(count: usize, out: &mut String) {
    if count > SHOWN {
        let _ = writeln!(out, "  … and {} more; --json and --html have all", count - SHOWN);
    }
}

/// Columns under one another; what begins with a digit stands to the right. Names and reasons are the data's: each stays in its line.
fn aligned<const N: usize>(lines: &[[String; N]], out: &mut String) {
    let lines: Vec<[String; N]> =
        lines.iter().map(|line| line.each_ref().map(|cell| safe_line(cell).into_owned())).collect();
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
    let widths: [usize; N] = std::array::from_fn(width);
    let is_number =
        |column: usize| lines.last().is_some_and(|line| line[column].starts_with(|first: char| first.is_ascii_digit()));
    for line in &lines {
        let mut text = String::new();
        for (column, cell) in line.iter().enumerate() {
            let width = widths[column];
            let _ = match is_number(column) {
                true => write!(text, "  {cell:>width$}"),
                false => write!(text, "  {cell:<width$}"),
            };
        }
        let _ = writeln!(out, "{}", text.trim_end());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stand_to_the_right() {
        let mut out = String::new();
        let line = |name: &str, rows: &str| [name.to_owned(), rows.to_owned()];
        aligned(&[line("table", "in"), line("beds", "1,204")], &mut out);
        assert_eq!(out, "  table     in\n  beds   1,204\n");
    }
}
