//! Scores of rules, tables and runs: 1 − broken / checked. Without a row to check there is no score: nothing was shown.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, Utc};

use super::{
    records::RuleResult,
    report::{Figures, RuleQuality, RuleStatus, TableQuality, TrendPoint, WorstRule},
};

/// Runs that a trend goes back.
const TREND_RUNS: usize = 30;
/// How many rules are called the worst.
const WORST: usize = 10;

/// 1 − broken / checked.
pub(crate) fn score(checked: u64, broken: u64) -> Option<f64> {
    (checked > 0).then(|| 1.0 - broken.min(checked) as f64 / checked as f64)
}

/// The results of one model in one run.
struct Checked<'a> {
    at: DateTime<Utc>,
    results: Vec<&'a RuleResult>,
}

/// The tables as they stand after the newest results, and the score after each run. `results` are in order of time.
pub(crate) fn tables(
    results: &[RuleResult],
    relation_of: impl Fn(&str) -> Option<String>,
) -> (Vec<TableQuality>, Vec<TrendPoint>) {
    let mut by_model: BTreeMap<&str, Vec<(&str, Checked<'_>)>> = BTreeMap::new();
    let mut runs: Vec<(&str, DateTime<Utc>)> = Vec::new();
    // A repaired cell breaks no rule; repairs are counted apart.
    for result in results.iter().filter(|result| !is_repair(result)) {
        match runs.iter_mut().find(|(run_id, _)| *run_id == result.run_id) {
            Some((_, at)) => *at = (*at).max(result.finished_at),
            None => runs.push((&result.run_id, result.finished_at)),
        }
        let checks = by_model.entry(&result.model).or_default();
        match checks.last_mut().filter(|(run_id, _)| *run_id == result.run_id) {
            Some((_, checked)) => checked.results.push(result),
            None => checks.push((&result.run_id, Checked { at: result.finished_at, results: vec![result] })),
        }
    }
    let mut tables: Vec<TableQuality> =
        by_model.iter().filter_map(|(model, checks)| table(model, checks, relation_of(model))).collect();
    tables.sort_by(|a, b| {
        let score = |table: &TableQuality| table.score.unwrap_or(2.0);
        (a.status.min(RuleStatus::NoData), score(a))
            .partial_cmp(&(b.status.min(RuleStatus::NoData), score(b)))
            .unwrap_or(std::cmp::Ordering::Equal)
    });
    (tables, trend(&runs, &by_model))
}

fn is_repair(result: &RuleResult) -> bool {
    result.action.as_deref() == Some("repair")
}

/// Cells put right, by each model's newest run. `results` are in order of time.
pub(crate) fn repaired(results: &[RuleResult]) -> u64 {
    let mut newest: BTreeMap<&str, (&str, u64)> = BTreeMap::new();
    for result in results.iter().filter(|result| is_repair(result)) {
        let (run_id, cells) = newest.entry(&result.model).or_insert((&result.run_id, 0));
        if *run_id != result.run_id {
            (*run_id, *cells) = (&result.run_id, 0);
        }
        *cells += result.rows_broken.unwrap_or(0);
    }
    newest.values().map(|(_, cells)| cells).sum()
}

/// The score after each run: what a run did not check stands as it was.
fn trend(runs: &[(&str, DateTime<Utc>)], by_model: &BTreeMap<&str, Vec<(&str, Checked<'_>)>>) -> Vec<TrendPoint> {
    let mut standing: HashMap<&str, (u64, u64)> = HashMap::new();
    let mut points = Vec::with_capacity(runs.len());
    for (run_id, at) in runs {
        for (model, checks) in by_model {
            if let Some((_, checked)) = checks.iter().find(|(run, _)| run == run_id) {
                standing.insert(model, sums(&checked.results));
            }
        }
        let (checks, broken) = standing.values().fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
        points.push(TrendPoint { run_id: (*run_id).to_owned(), at: *at, score: score(checks, broken) });
    }
    newest(points)
}

fn newest(points: Vec<TrendPoint>) -> Vec<TrendPoint> {
    let surplus = points.len().saturating_sub(TREND_RUNS);
    points.into_iter().skip(surplus).collect()
}

fn sums(results: &[&RuleResult]) -> (u64, u64) {
    let sum = |of: fn(&RuleResult) -> Option<u64>| results.iter().filter_map(|result| of(result)).sum();
    (sum(|result| result.rows_checked), sum(|result| result.rows_broken))
}

fn table(model: &str, checks: &[(&str, Checked<'_>)], relation: Option<String>) -> Option<TableQuality> {
    let (_, last) = checks.last()?;
    let (sum, broken) = sums(&last.results);
    let trend = checks.iter().map(|(run_id, checked)| {
        let (sum, broken) = sums(&checked.results);
        TrendPoint { run_id: (*run_id).to_owned(), at: checked.at, score: score(sum, broken) }
    });
    let mut rules: Vec<RuleQuality> = last.results.iter().map(|result| rule(result, checks)).collect();
    rules.sort_by(|a, b| a.status.cmp(&b.status).then(b.rows_broken.cmp(&a.rows_broken)).then(a.rule.cmp(&b.rule)));
    Some(TableQuality {
        model: model.to_owned(),
        relation,
        score: score(sum, broken),
        checks: sum,
        broken,
        status: rules.first().map_or(RuleStatus::NoData, |rule| rule.status),
        checked_at: last.at,
        rules,
        trend: newest(trend.collect()),
    })
}

fn rule(result: &RuleResult, checks: &[(&str, Checked<'_>)]) -> RuleQuality {
    let trend = checks.iter().filter_map(|(run_id, checked)| {
        let earlier = checked.results.iter().find(|earlier| earlier.rule == result.rule)?;
        let score = score(earlier.rows_checked.unwrap_or(0), earlier.rows_broken.unwrap_or(0));
        Some(TrendPoint { run_id: (*run_id).to_owned(), at: checked.at, score })
    });
    let (checked, broken) = (result.rows_checked.unwrap_or(0), result.rows_broken.unwrap_or(0));
    RuleQuality {
        rule: result.rule.clone(),
        kind: result.kind.clone().unwrap_or_else(|| result.rule.clone()),
        action: result.action.clone().unwrap_or_default(),
        severity: result.severity.clone().unwrap_or_default(),
        reason: result.reason.clone().filter(|reason| !reason.is_empty()),
        threshold: result.threshold.clone().filter(|threshold| !threshold.is_empty()),
        status: status(result.status.as_deref(), checked, broken),
        rows_checked: checked,
        rows_broken: broken,
        score: score(checked, broken),
        trend: newest(trend.collect()),
    }
}

/// What the run said, unless nothing was checked: an empty denominator never passes.
fn status(said: Option<&str>, checked: u64, broken: u64) -> RuleStatus {
    match (checked, said, broken) {
        (_, Some("fail"), _) => RuleStatus::Fail,
        (0, _, _) => RuleStatus::NoData,
        (_, _, 0) => RuleStatus::Pass,
        _ => RuleStatus::Warn,
    }
}

/// The sums over all tables.
pub(crate) fn figures(tables: &[TableQuality]) -> Figures {
    let mut figures = Figures::default();
    for table in tables {
        figures.checks += table.checks;
        figures.broken += table.broken;
        for rule in &table.rules {
            figures.rules += 1;
            *match rule.status {
                RuleStatus::Fail => &mut figures.rules_failed,
                RuleStatus::Warn => &mut figures.rules_warned,
                RuleStatus::NoData => &mut figures.rules_without_data,
                RuleStatus::Pass => &mut figures.rules_passed,
            } += 1;
        }
    }
    figures.score = score(figures.checks, figures.broken);
    figures
}

/// The rules that are broken most, failed and severe ones first.
pub(crate) fn worst(tables: &[TableQuality]) -> Vec<WorstRule> {
    let weight = |severity: &str| match severity {
        "high" => 0,
        "low" => 2,
        _ => 1,
    };
    let mut broken: Vec<(&TableQuality, &RuleQuality)> = tables
        .iter()
        .flat_map(|table| table.rules.iter().map(move |rule| (table, rule)))
        .filter(|(_, rule)| rule.rows_broken > 0)
        .collect();
    broken.sort_by_key(|(_, rule)| {
        (rule.status != RuleStatus::Fail, weight(&rule.severity), std::cmp::Reverse(rule.rows_broken))
    });
    let worst = |(table, rule): (&TableQuality, &RuleQuality)| WorstRule {
        model: table.model.clone(),
        rule: rule.rule.clone(),
        severity: rule.severity.clone(),
        action: rule.action.clone(),
        reason: rule.reason.clone(),
        rows_broken: rule.rows_broken,
        share: rule.rows_broken as f64 / rule.rows_checked.max(rule.rows_broken) as f64,
    };
    broken.into_iter().take(WORST).map(worst).collect()
}

#[cfg(test)]
mod tests {
    use chrono::TimeZone;

    use super::*;

    fn result(run: u32, model: &str, rule: &str, checked: u64, broken: u64) -> RuleResult {
        RuleResult {
            run_id: format!("run-{run}"),
            model: model.to_owned(),
            rule: rule.to_owned(),
            kind: None,
            action: Some("quarantine".to_owned()),
            severity: Some(if rule == "grave" { "high" } else { "low" }.to_owned()),
            reason: None,
            rows_checked: Some(checked),
            rows_broken: Some(broken),
            threshold: None,
            status: Some("pass".to_owned()),
            finished_at: Utc.with_ymd_and_hms(2026, 3, run, 6, 0, 0).unwrap(),
        }
    }

    #[test]
    fn an_empty_denominator_never_passes() {
        assert_eq!(score(0, 0), None);
        assert_eq!(status(Some("pass"), 0, 0), RuleStatus::NoData);
        assert_eq!(status(Some("pass"), 10, 1), RuleStatus::Warn);
        assert_eq!(status(Some("fail"), 0, 0), RuleStatus::Fail);
        let (tables, _) = tables(&[result(1, "empty", "grave", 0, 0)], |_| None);
        assert_eq!((tables[0].score, tables[0].status), (None, RuleStatus::NoData));
        assert_eq!(figures(&tables).rules_without_data, 1);
    }

    #[test]
    fn tables_stand_as_the_newest_run_left_them() {
        let results = [
            result(1, "beds", "dropped_since", 10, 10),
            result(1, "stays", "grave", 100, 10),
            result(2, "beds", "small", 10, 5),
            result(3, "stays", "grave", 100, 0),
            result(3, "stays", "small", 100, 40),
        ];
        let (tables, trend) = tables(&results, |model| Some(format!("silver.{model}")));
        let names: Vec<&str> = tables.iter().map(|table| table.model.as_str()).collect();
        assert_eq!(names, ["beds", "stays"], "the worse score first");
        assert_eq!(tables[0].rules.len(), 1, "a rule that is gone is gone");
        assert_eq!(tables[1].score, Some(0.8));
        assert_eq!(tables[1].rules[0].rule, "small");
        assert_eq!(
            tables[1].rules[1].trend.iter().map(|point| point.score).collect::<Vec<_>>(),
            [Some(0.9), Some(1.0)]
        );
        let scores: Vec<f64> = trend.iter().filter_map(|point| point.score).collect();
        // 20 of 110 broken, then 15 of 110, then 45 of 210.
        assert_eq!(scores, [1.0 - 20.0 / 110.0, 1.0 - 15.0 / 110.0, 1.0 - 45.0 / 210.0]);
    }

    #[test]
    fn repairs_are_no_rules() {
        let repair = |run: u32, cells: u64| RuleResult {
            action: Some("repair".to_owned()),
            ..result(run, "patients", "gender_spelling", 100, cells)
        };
        let results = [repair(1, 30), result(1, "patients", "small", 100, 1), repair(2, 7), repair(2, 2)];
        let (tables, trend) = tables(&results, |_| None);
        assert_eq!((tables[0].rules.len(), tables[0].score, trend.len()), (1, Some(0.99), 1));
        assert_eq!(repaired(&results), 9, "those of the newest run");
    }

    #[test]
    fn grave_rules_come_first_among_the_worst() {
        let results = [result(1, "stays", "small", 100, 50), result(1, "stays", "grave", 100, 2)];
        let (tables, _) = tables(&results, |_| None);
        let rules: Vec<String> = worst(&tables).into_iter().map(|worst| worst.rule).collect();
        assert_eq!(rules, ["grave", "small"]);
    }
}
