//! The whole in words: what somebody who reads one sentence has to know, then why.

use super::report::{Figures, Level, QualityReport, Reason, Verdict};
use crate::numbers::{grouped, percent};

/// The verdict of a report whose numbers are settled.
pub(crate) fn verdict(report: &QualityReport) -> Verdict {
    let mut reasons = Vec::new();
    let figures = &report.figures;
    alarms(report, figures, &mut reasons);
    warnings(report, figures, &mut reasons);
    reassurances(report, figures, &mut reasons);
    let count = |level: Level| reasons.iter().filter(|reason| reason.level == level).count() as u64;
    let (bad, attention, good) = (count(Level::Bad), count(Level::Attention), count(Level::Good));
    let (level, headline) = match (bad, attention, good) {
        (0, 0, 0) => (Level::Unknown, "Nothing was measured yet, so nothing can be said.".to_owned()),
        (0, 0, _) => (Level::Good, "The data can be trusted: nothing is missing and no rule is broken.".to_owned()),
        (0, things, _) => {
            let things = counted(things, "thing", "things");
            (Level::Attention, format!("The data can be used, with {things} to look at."))
        }
        _ => (Level::Bad, "Do not rely on this data before the alarms below are settled.".to_owned()),
    };
    Verdict { level, headline, reasons }
}

fn alarms(report: &QualityReport, figures: &Figures, reasons: &mut Vec<Reason>) {
    let mut alarm = |text: String| reasons.push(Reason { level: Level::Bad, text });
    if figures.unbalanced > 0 {
        let tables = counted(figures.unbalanced, "table does", "tables do");
        alarm(format!("{tables} not balance: rows came in that are nowhere accounted for."));
    }
    if figures.rules_failed > 0 {
        let rules = counted(figures.rules_failed, "rule is", "rules are");
        alarm(format!("{rules} broken beyond the threshold; the published tables were left as they were."));
    }
    if let Some(tests) = report.tests.as_ref().filter(|tests| tests.failed > 0) {
        alarm(format!("{} failed.", counted(tests.failed, "test", "tests")));
    }
    if let Some(run) = report.run.as_ref().filter(|run| run.status != "success") {
        alarm(format!("The newest run ({}) ended with errors; readers see what was published before it.", run.command));
    }
}

fn warnings(report: &QualityReport, figures: &Figures, reasons: &mut Vec<Reason>) {
    let mut warn = |text: String| reasons.push(Reason { level: Level::Attention, text });
    if figures.open_rows > 0 {
        let oldest = report.quarantine.iter().filter_map(|table| table.oldest_open_at).min();
        let since = oldest.map(|at| format!(", the oldest since {}", at.format("%-d %B %Y"))).unwrap_or_default();
        warn(format!("{} in quarantine{since}.", counted(figures.open_rows, "row waits", "rows wait")));
    }
    if figures.rules_warned > 0 {
        let rules = counted(figures.rules_warned, "rule is", "rules are");
        let broken = counted(figures.broken, "row", "rows");
        warn(format!("{rules} broken by some rows: {broken} in {} checks.", grouped(figures.checks as f64)));
    }
    if figures.anomalies > 0 {
        let (figure, rest) = match figures.anomalies {
            1 => ("figure is", "its past"),
            _ => ("figures are", "their past"),
        };
        warn(format!("{} {figure} out of the ordinary compared with {rest}.", grouped(figures.anomalies as f64)));
    }
    if figures.drifted > 0 {
        warn(format!(
            "The newest load changed {}.",
            counted(figures.drifted, "column of a source", "columns of sources")
        ));
    }
    if figures.rows_rejected > 0 {
        let records = counted(figures.rows_rejected, "record", "records");
        warn(format!("{records} of {} could not be read; their bytes are kept.", grouped(figures.rows_read as f64)));
    }
    if let Some(tests) = report.tests.as_ref().filter(|tests| tests.warned > 0) {
        warn(format!("{} found something.", counted(tests.warned, "test", "tests")));
    }
    if figures.rules_without_data > 0 {
        let rules = counted(figures.rules_without_data, "rule", "rules");
        warn(format!("{rules} had no row to check, which says nothing about the data."));
    }
}

fn reassurances(report: &QualityReport, figures: &Figures, reasons: &mut Vec<Reason>) {
    let mut assure = |text: String| reasons.push(Reason { level: Level::Good, text });
    if figures.unbalanced == 0 && !report.accounting.is_empty() {
        let rows = grouped(figures.rows_in as f64);
        let tables = counted(report.accounting.len() as u64, "table balances", "tables balance");
        assure(format!("Nothing got lost: {tables}, and each of the {rows} rows that came in is accounted for."));
    }
    if let Some(score) = figures.score {
        let rules = counted(figures.rules, "rule", "rules");
        assure(format!("{} of {} checks by {rules} hold.", percent(score), grouped(figures.checks as f64)));
    }
    if let Some(tests) = report.tests.as_ref().filter(|tests| tests.passed > 0) {
        assure(format!("{} found nothing.", counted(tests.passed, "test", "tests")));
    }
}

/// `1 row waits`, `2 rows wait`.
fn counted(count: u64, one: &str, many: &str) -> String {
    format!("{} {}", grouped(count as f64), if count == 1 { one } else { many })
}
