//! The report as one HTML page: no script, no font, no request; light and dark, on a screen and on paper.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use minijinja::{Environment, Error, ErrorKind, Value, context, syntax::SyntaxConfig, value::Serde};

use super::{picture, report::QualityReport};
use crate::{
    error::TrustError,
    numbers::{grouped, percent},
};

/// What becomes of a row that breaks a rule.
const FATES: [(&str, &str); 3] = [("quarantine", "withheld"), ("warn", "kept and listed"), ("fail", "stops the table")];
/// What an audit did to a row or cell.
const DEEDS: [(&str, &str); 5] = [
    ("repair", "repaired"),
    ("duplicate", "duplicate"),
    ("conflict", "conflicting duplicate"),
    ("warn", "reported"),
    ("filtered", "left out"),
];

/// Renders the page.
pub fn quality_page(report: &QualityReport) -> Result<String, TrustError> {
    render(report).map_err(|error| TrustError::Page { reason: format!("{error:#}") })
}

fn render(report: &QualityReport) -> Result<String, Error> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(minijinja::UndefinedBehavior::Strict);
    environment.set_syntax(SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build()?);
    environment.add_filter("number", |number: f64| grouped(number));
    environment.add_filter("percent", |share: f64| percent(share));
    environment.add_filter("day", |at: String| instant(&at, "%-d %b %Y"));
    environment.add_filter("minute", |at: String| instant(&at, "%-d %b %Y, %H:%M UTC"));
    environment.add_filter("words", |name: String| name.replace('_', " "));
    environment.add_filter("tied", |text: String| text.replace(" %", "\u{a0}%"));
    environment.add_filter("plural", plural);
    environment.add_filter("fate", |action: String| said(&FATES, action));
    environment.add_filter("deed", |action: String| said(&DEEDS, action));
    environment.add_template("quality.html", include_str!("quality.html"))?;
    environment.add_template("quality.css", include_str!("quality.css"))?;
    let scores =
        |points: &[super::TrendPoint]| -> Vec<Option<f64>> { points.iter().map(|point| point.score).collect() };
    // A table's by its name, a rule's by both.
    let mut sparks: BTreeMap<String, Value> = BTreeMap::new();
    for table in &report.tables {
        let rules = table.rules.iter().map(|rule| (format!("{}.{}", table.model, rule.rule), &rule.trend));
        for (name, points) in rules.chain([(table.model.clone(), &table.trend)]).filter(|(_, points)| points.len() > 1)
        {
            sparks.insert(name, safe(picture::sparkline(&scores(points), Some(0.95))));
        }
    }
    let rows: BTreeMap<&str, Value> = report
        .volumes
        .iter()
        .filter(|volume| volume.history.len() > 1)
        .map(|volume| {
            let history: Vec<Option<f64>> = volume.history.iter().copied().map(Some).collect();
            (volume.relation.as_str(), safe(picture::sparkline(&history, None)))
        })
        .collect();
    let anomalies: Vec<Value> = report.anomalies.iter().map(|anomaly| safe(picture::anomaly(anomaly))).collect();
    let trend = match report.trend.len() > 1 {
        true => picture::sparkline(&scores(&report.trend), Some(0.95)),
        false => String::new(),
    };
    environment.get_template("quality.html")?.render(context! {
        report => Value::from(Serde(report)),
        flow => safe(picture::flow(&report.flow)),
        ring => safe(picture::ring(report.figures.score)),
        trend => safe(trend),
        sparks => sparks,
        rows => rows,
        anomalies => anomalies,
    })
}

/// SVG of our own making; it escapes what it shows.
fn safe(svg: String) -> Value {
    Value::from_safe_string(svg)
}

fn instant(at: &str, format: &str) -> Result<String, Error> {
    let at: DateTime<Utc> =
        at.parse().map_err(|_| Error::new(ErrorKind::InvalidOperation, "a time of the report is no RFC 3339 text"))?;
    Ok(at.format(format).to_string())
}

/// `1 row`, `2 rows`: the noun that goes with a count.
fn plural(count: u64, one: String, many: Option<String>) -> String {
    let noun = if count == 1 { one } else { many.unwrap_or_else(|| format!("{one}s")) };
    format!("{} {noun}", grouped(count as f64))
}

fn said(words: &[(&str, &str)], action: String) -> String {
    words.iter().find(|(known, _)| *known == action).map(|(_, word)| (*word).to_owned()).unwrap_or(action)
}
