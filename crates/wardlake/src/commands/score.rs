//! `score`: what the warehouse found and counts, against the truth of the simulation that fed it.

use std::{collections::BTreeMap, fmt::Write, path::PathBuf};

use clap::{Args, ValueEnum};
use serde::Serialize;
use serde_json::Value as Json;
use wardlake_simulate::{
    Truth,
    score::{Finding, KindScore, score},
    truth,
};
use wardlake_trust::{Accusation, ExpectedRow, FigureScore, accusations, compare_figures};

use super::Outcome;
use crate::{
    args::GlobalArgs,
    failure::Failure,
    open,
    printing::{out, out_json},
    rows,
    terminal::{counted, grouped},
};

/// Lines of each list in the table; --format json has more.
const SHOWN: usize = 5;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum ScoreFormat {
    /// Tables for people
    #[default]
    Table,
    /// One JSON object
    Json,
}

/// Compare what the lake found and counts with the truth of the simulation that fed it
#[derive(Debug, Args)]
pub(crate) struct ScoreArgs {
    /// The folder that `simulate` wrote to, or the `_truth` folder in it
    #[arg(long, value_name = "DIR")]
    truth: PathBuf,
    /// How the score is written
    #[arg(long, value_enum, default_value_t)]
    format: ScoreFormat,
}

/// Per kind of dirt what was found, and per table of figures what was counted.
#[derive(Debug, Serialize)]
struct Score {
    /// Whether nothing that shows was missed, nothing clean accused, and every figure is as it should be.
    is_perfect: bool,
    kinds: Vec<KindScore>,
    tables: Vec<TableScore>,
}

#[derive(Debug, Serialize)]
struct TableScore {
    table: &'static str,
    figures: Vec<FigureScore>,
}

pub(crate) async fn run(global: &GlobalArgs, args: &ScoreArgs) -> Result<Outcome, Failure> {
    let truth = truth::read(&args.truth)?;
    let workspace = open::quiet_workspace(open::project(global, "score", false)?).await?;
    let state = open::read_state(&workspace, None, false).await?;
    let session = workspace.engine.session(wardlake_load::local_viewer(), state).await?;
    let found: Vec<Finding> = accusations(&workspace, &session).await?.into_iter().map(finding).collect();
    let kinds = score(&truth, &found);
    let mut tables = Vec::new();
    for (table, expected) in expected(&truth)? {
        let figures = compare_figures(&workspace.lake, &session, table, &expected).await?;
        tables.push(TableScore { table, figures });
    }
    let is_perfect = kinds.iter().all(|kind| kind.missed + kind.wrongly_accused == 0)
        && tables.iter().flat_map(|table| &table.figures).all(|figure| figure.rows_different == 0);
    let score = Score { is_perfect, kinds, tables };
    match args.format {
        ScoreFormat::Json => out_json(&serde_json::to_string_pretty(&score).map_err(rows::output)?)?,
        ScoreFormat::Table => out(text(&score))?,
    }
    Ok(Outcome::Done)
}

/// The truth names entities without the name of their source.
fn finding(found: Accusation) -> Finding {
    let entity = found.source.rsplit_once('.').map_or(found.source.as_str(), |(_, table)| table).to_owned();
    Finding { kind: found.kind, entity, file: found.file, line: found.position }
}

/// The tables of figures and the rows the truth wants in them.
fn expected(truth: &Truth) -> Result<[(&'static str, Vec<ExpectedRow>); 2], Failure> {
    let hospitals = truth.kpis.hospital_days.iter().map(|day| {
        let figures = figures(&day.expected)?;
        Ok(ExpectedRow { key: key([("date_day", &day.date), ("hospital_id", &day.hospital_id)]), figures })
    });
    let departments = truth.kpis.department_days.iter().map(|day| {
        let mut figures = figures(&day.expected)?;
        figures.insert("staffed_beds".to_owned(), day.staffed_beds as f64);
        Ok(ExpectedRow { key: key([("date_day", &day.date), ("department_id", &day.department_id)]), figures })
    });
    Ok([
        ("gold.mart_operational__hospital_day", hospitals.collect::<Result<_, Failure>>()?),
        ("gold.mart_operational__department_day", departments.collect::<Result<_, Failure>>()?),
    ])
}

fn key<const N: usize>(parts: [(&str, &String); N]) -> BTreeMap<String, String> {
    parts.into_iter().map(|(name, value)| (name.to_owned(), value.clone())).collect()
}

/// A record of figures by their names.
fn figures(record: &impl Serialize) -> Result<BTreeMap<String, f64>, Failure> {
    let Json::Object(fields) = serde_json::to_value(record).map_err(rows::output)? else { return Ok(BTreeMap::new()) };
    Ok(fields.into_iter().filter_map(|(name, value)| Some((name, value.as_f64()?))).collect())
}

/// The score for a terminal.
fn text(score: &Score) -> String {
    let mut out = String::new();
    let verdict = match score.is_perfect {
        true => "All that shows was found, nothing clean was accused, and every figure is as it should be.",
        false => "The warehouse differs from the truth.",
    };
    let _ = writeln!(out, "{verdict}\n");
    let header = "kind of dirt";
    let _ = writeln!(
        out,
        "{header:<28} {:>8} {:>8} {:>8} {:>11} {:>14} {:>15}",
        "injected", "caught", "missed", "undecidable", "of other kinds", "wrongly accused"
    );
    for kind in &score.kinds {
        let counts = [kind.injected, kind.caught, kind.missed, kind.undecidable, kind.other_kind, kind.wrongly_accused];
        let [injected, caught, missed, undecidable, other, accused] = counts.map(grouped);
        let _ = writeln!(
            out,
            "{:<28} {injected:>8} {caught:>8} {missed:>8} {undecidable:>11} {other:>14} {accused:>15}",
            kind.kind
        );
        for (what, places) in [("missed", &kind.missed_places), ("wrongly accused", &kind.accused_places)] {
            for place in places.iter().take(SHOWN) {
                let _ = writeln!(out, "    {what}: {} {}:{}", place.entity, place.file, place.line);
            }
        }
    }
    for table in &score.tables {
        let rows = table.figures.first().map_or(0, |figure| figure.rows);
        let _ = writeln!(out, "\n{} ({})", table.table, counted(rows, "row"));
        let _ = writeln!(out, "{:<28} {:>12} {:>12} {:>14}", "figure, summed", "expected", "got", "rows different");
        for figure in &table.figures {
            let _ = writeln!(
                out,
                "{:<28} {:>12} {:>12} {:>14}",
                figure.figure,
                figure.expected,
                figure.got,
                grouped(figure.rows_different)
            );
            for difference in figure.differences.iter().take(SHOWN) {
                let key: Vec<&str> = difference.key.values().map(String::as_str).collect();
                let got = difference.got.map_or("nothing".to_owned(), |got| got.to_string());
                let _ = writeln!(out, "    {}: expected {}, got {got}", key.join(" "), difference.expected);
            }
        }
    }
    out.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_is_named() {
        let kind = KindScore { kind: "late_row".to_owned(), injected: 2, caught: 1, missed: 1, ..KindScore::default() };
        let difference = wardlake_trust::FigureDifference {
            key: key([("date_day", &"2026-03-02".to_owned()), ("hospital_id", &"H01".to_owned())]),
            expected: 3.0,
            got: None,
        };
        let figure = FigureScore {
            figure: "admissions".to_owned(),
            rows: 1,
            expected: 3.0,
            got: 0.0,
            rows_different: 1,
            differences: vec![difference],
        };
        let table = TableScore { table: "gold.t", figures: vec![figure] };
        let text = text(&Score { is_perfect: false, kinds: vec![kind], tables: vec![table] });
        assert!(text.starts_with("The warehouse differs from the truth."), "{text}");
        assert!(text.contains("2026-03-02 H01: expected 3, got nothing"), "{text}");
    }

    #[test]
    fn an_entity_is_the_table_of_a_source() {
        let found = Accusation {
            kind: "late_row".to_owned(),
            source: "hospital.adt".to_owned(),
            file: "adt/adt_2026-03-02.json".to_owned(),
            position: 7,
        };
        assert_eq!(finding(found).entity, "adt");
    }
}
