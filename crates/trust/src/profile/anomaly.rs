//! Which figures of a table are compared with their past, how far each may stray, and how people are told.

use std::collections::BTreeMap;

use super::{
    measure::{Kind, TableProfile},
    statistics::{Band, Point, band, median},
};

/// Below this number of rows, bounds, means and distinct counts of columns are chance.
const FEW_ROWS: u64 = 30;

/// Days between runs move the bounds of instants; less than a quarter of a year is never an alarm. In seconds.
const QUARTER_S: f64 = 90.0 * 86_400.0;

/// A figure that is followed over the runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Metric {
    /// Rows of the table.
    RowCount,
    /// Share of rows in which the column is empty.
    NullRate,
    /// Different values, approximately.
    DistinctCount,
    /// The mean; of flags the share of true.
    Mean,
    /// The smallest value.
    Min,
    /// The largest value.
    Max,
}

impl Metric {
    /// The metrics of a column.
    pub(crate) const OF_COLUMNS: [Self; 5] = [Self::NullRate, Self::DistinctCount, Self::Mean, Self::Min, Self::Max];

    /// Its name in `system.anomalies`.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::RowCount => "row_count",
            Self::NullRate => "null_rate",
            Self::DistinctCount => "distinct_count",
            Self::Mean => "mean",
            Self::Min => "min",
            Self::Max => "max",
        }
    }
}

/// One row of `system.profiles`, as far as the comparison needs it.
#[derive(Clone, Debug, PartialEq, serde::Deserialize)]
pub(crate) struct PastProfile {
    pub(crate) relation: String,
    /// None is the table itself.
    pub(crate) column_name: Option<String>,
    pub(crate) weekday: u32,
    pub(crate) row_count: f64,
    pub(crate) null_count: Option<f64>,
    pub(crate) distinct_count: Option<f64>,
    pub(crate) min_number: Option<f64>,
    pub(crate) max_number: Option<f64>,
    pub(crate) mean_number: Option<f64>,
}

impl PastProfile {
    /// One of its figures.
    pub(crate) fn figure(&self, metric: Metric) -> Option<f64> {
        match metric {
            Metric::RowCount => Some(self.row_count),
            Metric::NullRate => self.null_count.filter(|_| self.row_count > 0.0).map(|nulls| nulls / self.row_count),
            Metric::DistinctCount => self.distinct_count,
            Metric::Mean => self.mean_number,
            Metric::Min => self.min_number,
            Metric::Max => self.max_number,
        }
    }
}

/// A figure out of its band.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Anomaly {
    pub(crate) relation: String,
    pub(crate) column: Option<String>,
    pub(crate) metric: Metric,
    pub(crate) value: f64,
    pub(crate) band: Band,
    pub(crate) message: String,
}

/// The past of one table by column, oldest first.
pub(crate) type Past<'a> = BTreeMap<Option<&'a str>, Vec<&'a PastProfile>>;

/// Every figure of `profile` that its past does not explain.
pub(crate) fn find(profile: &TableProfile, past: &Past<'_>, weekday: u32) -> Vec<Anomaly> {
    let mut found = Vec::new();
    let rows = profile.row_count as f64;
    let table = compare(profile, past, None, Kind::Opaque, Metric::RowCount, rows, weekday);
    let row_drift = table.as_ref().map(|anomaly| anomaly.value > anomaly.band.expected);
    found.extend(table);
    for column in &profile.columns {
        let now = PastProfile {
            relation: String::new(),
            column_name: None,
            weekday,
            row_count: rows,
            null_count: Some(column.null_count as f64),
            distinct_count: column.distinct_count.map(|count| count as f64),
            min_number: column.min,
            max_number: column.max,
            mean_number: column.mean,
        };
        for metric in Metric::OF_COLUMNS {
            let is_chance = metric != Metric::NullRate && profile.row_count < FEW_ROWS;
            let Some(value) = now.figure(metric).filter(|_| !is_chance) else { continue };
            let name = Some(column.name.as_str());
            let Some(anomaly) = compare(profile, past, name, column.kind, metric, value, weekday) else { continue };
            // More or fewer rows bring more or fewer distinct values: that is said once.
            let follows = metric == Metric::DistinctCount && row_drift == Some(value > anomaly.band.expected);
            if !follows {
                found.push(anomaly);
            }
        }
    }
    found
}

fn compare(
    profile: &TableProfile,
    past: &Past<'_>,
    column: Option<&str>,
    kind: Kind,
    metric: Metric,
    value: f64,
    weekday: u32,
) -> Option<Anomaly> {
    let earlier = past.get(&column)?;
    let point = |past: &&PastProfile| past.figure(metric).map(|value| Point { weekday: past.weekday, value });
    let history: Vec<Point> = earlier.iter().filter_map(point).collect();
    let range = median(earlier.iter().filter_map(|past| Some((past.max_number? - past.min_number?).abs())).collect());
    let rows = profile.row_count as f64;
    let may_grow = metric != Metric::NullRate;
    let band =
        band(&history, weekday, may_grow, |expected| tolerance(metric, kind, expected, range.unwrap_or(0.0), rows))?;
    if band.holds(value) {
        return None;
    }
    let relation = profile.relation.to_string();
    let message = message(&relation, column, kind, metric, value, &band, weekday);
    Some(Anomaly { relation, column: column.map(str::to_owned), metric, value, band, message })
}

/// How far a figure may be from the expected one before anybody is told, however steady it was.
///
/// Counts and shares of `rows` independent rows vary by the square root of their number even if nothing has changed, so
/// four of those standard deviations are ordinary.
fn tolerance(metric: Metric, kind: Kind, expected: f64, range: f64, rows: f64) -> f64 {
    let relative = |share: f64| share * expected.abs();
    let by_chance = |count: f64| 4.0 * count.max(0.0).sqrt();
    match metric {
        Metric::RowCount => relative(0.10).max(by_chance(expected)).max(5.0),
        Metric::NullRate => {
            let share = expected.clamp(0.0, 1.0);
            let deviation = if rows > 0.0 { (share * (1.0 - share) / rows).sqrt() } else { 0.0 };
            relative(0.15).max(4.0 * deviation).max(0.03)
        }
        // How many different numbers there are, is chance more often than a sign.
        Metric::DistinctCount if kind == Kind::Number => relative(0.5).max(3.5),
        Metric::DistinctCount => relative(0.30).max(3.5),
        Metric::Mean => relative(0.20).max(0.05 * range).max(0.02),
        // Extremes wander as rows come in, those of amounts by half an order; a wrong unit or century is far outside.
        Metric::Min | Metric::Max if kind == Kind::Instant => (0.5 * range).max(QUARTER_S),
        Metric::Min | Metric::Max => (2.0 * range).max(1.0),
    }
}

const WEEKDAYS: [&str; 7] = ["Mondays", "Tuesdays", "Wednesdays", "Thursdays", "Fridays", "Saturdays", "Sundays"];

fn message(
    relation: &str,
    column: Option<&str>,
    kind: Kind,
    metric: Metric,
    value: f64,
    band: &Band,
    weekday: u32,
) -> String {
    let show = |figure: f64| shown(metric, kind, figure);
    let day = WEEKDAYS.get(weekday.wrapping_sub(1) as usize).filter(|_| band.is_seasonal);
    let on = day.map(|day| format!(" on {day}")).unwrap_or_default();
    let ordinary = format!("{} to {}", show(lowest(metric, band)), show(band.high));
    let name = column.map(|column| format!("{relation}.{column}")).unwrap_or_else(|| relation.to_owned());
    match metric {
        Metric::RowCount => format!("{name} has {} rows; {ordinary} are ordinary{on}", show(value)),
        Metric::NullRate => format!("{name} is empty in {} of the rows; {ordinary} is ordinary{on}", show(value)),
        Metric::DistinctCount => {
            format!("{name} has about {} different values; {ordinary} are ordinary{on}", show(value))
        }
        Metric::Mean if kind == Kind::Flag => {
            format!("{name} is true in {} of the rows; {ordinary} is ordinary{on}", show(value))
        }
        Metric::Mean => format!("{name} is {} on average; {ordinary} is ordinary{on}", show(value)),
        Metric::Min => format!("{name} begins at {}; {ordinary} is ordinary{on}", show(value)),
        Metric::Max => format!("{name} reaches {}; {ordinary} is ordinary{on}", show(value)),
    }
}

/// Counts and shares do not go below nothing.
fn lowest(metric: Metric, band: &Band) -> f64 {
    match metric {
        Metric::RowCount | Metric::NullRate | Metric::DistinctCount => band.low.max(0.0),
        _ => band.low,
    }
}

/// A figure for people.
fn shown(metric: Metric, kind: Kind, figure: f64) -> String {
    let is_bound = matches!(metric, Metric::Min | Metric::Max);
    if is_bound && kind == Kind::Instant {
        let day = chrono::DateTime::from_timestamp(figure as i64, 0);
        return day.map(|day| day.format("%Y-%m-%d").to_string()).unwrap_or_default();
    }
    match metric {
        Metric::RowCount | Metric::DistinctCount => crate::numbers::grouped(figure.round()),
        Metric::NullRate => percent(figure),
        Metric::Mean if kind == Kind::Flag => percent(figure),
        _ if figure.abs() >= 1000.0 => crate::numbers::grouped(figure.round()),
        _ => format!("{figure:.2}"),
    }
}

fn percent(share: f64) -> String {
    format!("{:.1} %", 100.0 * share.clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::{
        super::measure::{ColumnProfile, TableProfile},
        *,
    };

    fn profile(rows: u64, nulls: u64, distinct: u64, max: f64) -> TableProfile {
        TableProfile {
            relation: "gold.fct_billing".parse().unwrap(),
            version: 3,
            row_count: rows,
            columns: vec![ColumnProfile {
                name: "amount".to_owned(),
                kind: Kind::Number,
                null_count: nulls,
                distinct_count: Some(distinct),
                min: Some(0.0),
                max: Some(max),
                mean: Some(max / 2.0),
            }],
        }
    }

    fn found(days: usize, now: &TableProfile) -> Vec<(Metric, String)> {
        let past = |day: usize, column: Option<&str>| PastProfile {
            relation: "gold.fct_billing".to_owned(),
            column_name: column.map(str::to_owned),
            weekday: day as u32 % 7 + 1,
            row_count: 1000.0,
            null_count: column.map(|_| 20.0),
            distinct_count: column.map(|_| 300.0),
            min_number: column.map(|_| 0.0),
            max_number: column.map(|_| 500.0),
            mean_number: column.map(|_| 250.0),
        };
        let table: Vec<PastProfile> = (0..days).map(|day| past(day, None)).collect();
        let column: Vec<PastProfile> = (0..days).map(|day| past(day, Some("amount"))).collect();
        let past = Past::from([(None, table.iter().collect()), (Some("amount"), column.iter().collect())]);
        find(now, &past, days as u32 % 7 + 1).into_iter().map(|anomaly| (anomaly.metric, anomaly.message)).collect()
    }

    #[test]
    fn a_steady_table_is_left_alone() {
        assert_eq!(found(6, &profile(1000, 20, 300, 500.0)), []);
        assert_eq!(found(6, &profile(1080, 30, 330, 540.0)), [], "within what never matters");
        assert_eq!(found(4, &profile(0, 0, 0, 0.0)), [], "four runs are no history");
    }

    #[test]
    fn each_figure_has_its_alarm() {
        let metrics = |now: &TableProfile| found(6, now).into_iter().map(|(metric, _)| metric).collect::<Vec<_>>();
        assert_eq!(metrics(&profile(500, 10, 150, 500.0)), [Metric::RowCount], "distinct values follow the rows");
        assert_eq!(metrics(&profile(1000, 400, 300, 500.0)), [Metric::NullRate]);
        assert_eq!(metrics(&profile(1000, 20, 100, 500.0)), [Metric::DistinctCount]);
        assert_eq!(metrics(&profile(1000, 20, 300, 50_000.0)), [Metric::Mean, Metric::Max]);
        assert_eq!(metrics(&profile(0, 0, 0, 0.0)), [Metric::RowCount], "an empty table has no shares");
    }

    #[test]
    fn people_are_told_what_is_ordinary() {
        let told = found(6, &profile(500, 10, 300, 500.0));
        assert_eq!(told[0].1, "gold.fct_billing has 500 rows; 874 to 1,126 are ordinary");
        let told = found(21, &profile(1000, 400, 300, 500.0));
        assert_eq!(
            told[0].1,
            "gold.fct_billing.amount is empty in 40.0 % of the rows; 0.0 % to 5.0 % is ordinary on Mondays"
        );
    }
}
