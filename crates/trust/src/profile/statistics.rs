//! What a figure should be, by its own past. Robust: medians instead of means, so that one bad day neither alarms for ever
//! nor hides the next one.

/// Earlier figures below this number say nothing yet.
pub(crate) const ENOUGH: usize = 5;
/// As many figures of one weekday make a season.
const ENOUGH_OF_A_WEEKDAY: usize = 3;
/// Robust standard deviations that are still ordinary.
const ORDINARY: f64 = 4.0;
/// Scales the median absolute deviation to the standard deviation of a normal distribution.
const MAD_TO_SIGMA: f64 = 1.4826;
/// Share of pairs that must rise (or fall) together before a series counts as growing.
const TREND_AGREEMENT: f64 = 0.8;

/// A figure of an earlier run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Point {
    /// 1 = Monday.
    pub(crate) weekday: u32,
    /// The figure.
    pub(crate) value: f64,
}

/// What would be ordinary.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Band {
    /// The most likely figure.
    pub(crate) expected: f64,
    /// The lowest ordinary one.
    pub(crate) low: f64,
    /// The highest ordinary one.
    pub(crate) high: f64,
    /// Whether only figures of the same weekday were compared.
    pub(crate) is_seasonal: bool,
}

impl Band {
    /// How many robust standard deviations `value` is from what was expected.
    pub(crate) fn score(&self, value: f64) -> f64 {
        let sigma = (self.high - self.low) / (2.0 * ORDINARY);
        (value - self.expected).abs() / sigma
    }

    /// Whether `value` is ordinary.
    pub(crate) fn holds(&self, value: f64) -> bool {
        (self.low..=self.high).contains(&value)
    }
}

/// The band of the next figure after `history` (oldest first), or none while the history is too short.
///
/// `tolerance` says, for an expected figure, which deviation never matters: a constant history has no spread of its own.
/// `may_grow` says whether a trend goes on: counts do, shares come to an end at nothing and at the whole.
pub(crate) fn band(history: &[Point], weekday: u32, may_grow: bool, tolerance: impl Fn(f64) -> f64) -> Option<Band> {
    if history.len() < ENOUGH {
        return None;
    }
    let of_day = |day: u32| history.iter().filter(|point| point.weekday == day).map(|point| point.value).collect();
    let same_day: Vec<f64> = of_day(weekday);
    let is_seasonal = same_day.len() >= ENOUGH_OF_A_WEEKDAY;
    let (expected, residuals) = if is_seasonal {
        // Few figures of one weekday say little about the spread; those of the other weekdays help.
        let seasons = (1..=7).map(of_day).filter(|values: &Vec<f64>| values.len() >= ENOUGH_OF_A_WEEKDAY);
        let residuals = seasons.flat_map(|values| Line::through(&values, may_grow).residuals(&values)).collect();
        (Line::through(&same_day, may_grow).at(same_day.len()), residuals)
    } else {
        let values: Vec<f64> = history.iter().map(|point| point.value).collect();
        let line = Line::through(&values, may_grow);
        (line.at(values.len()), line.residuals(&values))
    };
    let allowed = (ORDINARY * spread(residuals)).max(tolerance(expected)).max(f64::EPSILON);
    Some(Band { expected, low: expected - allowed, high: expected + allowed, is_seasonal })
}

/// The robust standard deviation of residuals, with the correction for few values of Croux and Rousseeuw (1992),
/// "Time-efficient algorithms for two highly robust estimators of scale".
fn spread(residuals: Vec<f64>) -> f64 {
    let correction = match residuals.len() {
        0..=3 => 1.495,
        4 => 1.363,
        5 => 1.206,
        6 => 1.200,
        7 => 1.140,
        8 => 1.129,
        9 => 1.107,
        n => n as f64 / (n as f64 - 0.8),
    };
    let deviations = residuals.into_iter().map(f64::abs).collect();
    MAD_TO_SIGMA * correction * median(deviations).unwrap_or(0.0)
}

/// A robust line through equally spaced figures; level if they do not clearly grow or shrink.
struct Line {
    slope: f64,
    intercept: f64,
}

impl Line {
    /// The median of the slopes between all pairs (Theil 1950, Sen 1968).
    fn through(values: &[f64], may_grow: bool) -> Self {
        let mut slopes = Vec::with_capacity(values.len() * values.len() / 2);
        for (i, first) in values.iter().enumerate() {
            for (j, second) in values.iter().enumerate().skip(i + 1) {
                slopes.push((second - first) / (j - i) as f64);
            }
        }
        let count = |holds: fn(&f64) -> bool| slopes.iter().filter(|slope| holds(slope)).count() as f64;
        let agreeing = count(|slope| *slope > 0.0).max(count(|slope| *slope < 0.0));
        let is_trend = may_grow && !slopes.is_empty() && agreeing >= TREND_AGREEMENT * slopes.len() as f64;
        let slope = if is_trend { median(slopes).unwrap_or(0.0) } else { 0.0 };
        let levels = values.iter().enumerate().map(|(i, value)| value - slope * i as f64).collect();
        Self { slope, intercept: median(levels).unwrap_or(0.0) }
    }

    fn at(&self, place: usize) -> f64 {
        self.intercept + self.slope * place as f64
    }

    fn residuals(&self, values: &[f64]) -> Vec<f64> {
        values.iter().enumerate().map(|(i, value)| value - self.at(i)).collect()
    }
}

/// The middle value; none of no values.
pub(crate) fn median(mut values: Vec<f64>) -> Option<f64> {
    values.retain(|value| value.is_finite());
    values.sort_unstable_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => None,
        n if n % 2 == 1 => Some(values[middle]),
        _ => Some(f64::midpoint(values[middle - 1], values[middle])),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn daily(values: &[f64]) -> Vec<Point> {
        values.iter().enumerate().map(|(i, value)| Point { weekday: i as u32 % 7 + 1, value: *value }).collect()
    }

    fn check(history: &[f64], value: f64, is_ordinary: bool) {
        let weekday = history.len() as u32 % 7 + 1;
        let found = band(&daily(history), weekday, true, |expected| 0.1 * expected.abs()).unwrap();
        assert_eq!(found.holds(value), is_ordinary, "{history:?} then {value}: {found:?}");
    }

    #[test]
    fn a_short_history_says_nothing() {
        assert_eq!(band(&daily(&[1.0, 1.0, 1.0, 1.0]), 5, true, |_| 0.1), None);
    }

    #[test]
    fn what_is_ordinary() {
        let constant = [100.0; 6];
        check(&constant, 100.0, true);
        check(&constant, 109.0, true);
        check(&constant, 120.0, false);
        let noisy = [100.0, 130.0, 90.0, 115.0, 80.0, 105.0];
        check(&noisy, 150.0, true);
        check(&noisy, 400.0, false);
        // One bad day neither widens the band nor moves it.
        check(&[100.0, 101.0, 99.0, 0.0, 100.0, 102.0], 50.0, false);
        // A table that grows every day is expected to grow; standing empty is an alarm, though it was small once.
        let growing = [100.0, 200.0, 300.0, 400.0, 500.0, 600.0];
        check(&growing, 700.0, true);
        check(&growing, 0.0, false);
        check(&growing, 350.0, false);
    }

    #[test]
    fn a_share_that_shrank_is_not_expected_below_nothing() {
        let shares = daily(&[0.10, 0.08, 0.06, 0.04, 0.02]);
        assert!(band(&shares, 6, true, |_| 0.03).unwrap().expected < 0.01);
        let level = band(&shares, 6, false, |_| 0.03).unwrap();
        assert!(level.expected == 0.06 && level.holds(0.0) && !level.holds(0.5), "{level:?}");
    }

    #[test]
    fn weekdays_are_compared_with_their_like() {
        // Three weeks: 500 rows on a working day, 50 at the weekend.
        let weeks: Vec<f64> = (0..21).map(|day| if day % 7 < 5 { 500.0 } else { 50.0 }).collect();
        let history = daily(&weeks);
        let tolerance = |expected: f64| 0.1 * expected;
        let saturday = band(&history, 6, true, tolerance).unwrap();
        assert!(saturday.is_seasonal && saturday.holds(50.0) && !saturday.holds(500.0), "{saturday:?}");
        let monday = band(&history, 1, true, tolerance).unwrap();
        assert!(monday.holds(500.0) && !monday.holds(50.0), "{monday:?}");
    }

    #[test]
    fn the_score_counts_standard_deviations() {
        let found = band(&daily(&[10.0; 5]), 6, true, |_| 4.0).unwrap();
        assert_eq!((found.low, found.expected, found.high), (6.0, 10.0, 14.0));
        assert!((found.score(12.0) - 2.0).abs() < 1e-9);
    }

    proptest::proptest! {
        #[test]
        fn a_band_holds_what_it_expects_and_moves_with_its_unit(
            values in proptest::collection::vec(0.0f64..1e6, ENOUGH..40),
            factor in 0.5f64..100.0,
        ) {
            let tolerance = |expected: f64| 0.1 * expected.abs();
            let weekday = values.len() as u32 % 7 + 1;
            let plain = band(&daily(&values), weekday, true, tolerance).unwrap();
            proptest::prop_assert!(plain.holds(plain.expected));
            let scaled: Vec<f64> = values.iter().map(|value| value * factor).collect();
            let scaled = band(&daily(&scaled), weekday, true, tolerance).unwrap();
            let close = |a: f64, b: f64| (a - b).abs() <= 1e-6 * a.abs().max(b.abs()).max(1.0);
            proptest::prop_assert!(close(scaled.low, plain.low * factor) && close(scaled.high, plain.high * factor));
        }
    }
}
