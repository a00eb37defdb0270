//! Parts of dates: their names, adding them, and counting the borders between two instants.

use chrono::{DateTime, Datelike, Months, NaiveDateTime, TimeZone, Timelike};

use super::super::column::DAY_US;

/// Microseconds of a second.
pub(super) const SECOND_US: i64 = 1_000_000;

/// A part of a date or time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DatePart {
    Century,
    Decade,
    Year,
    Quarter,
    Month,
    Week,
    Day,
    Hour,
    Minute,
    Second,
    Millisecond,
    Microsecond,
}

impl DatePart {
    /// The part by its name, plural or a short form of Snowflake, Redshift or SQL Server. `m` and `mi` are minutes.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        Some(match name.trim().to_ascii_lowercase().as_str() {
            "century" | "centuries" => Self::Century,
            "decade" | "decades" => Self::Decade,
            "year" | "years" | "y" | "yy" | "yyy" | "yyyy" | "yr" | "yrs" | "sql_tsi_year" => Self::Year,
            "quarter" | "quarters" | "q" | "qq" | "qtr" | "qtrs" | "sql_tsi_quarter" => Self::Quarter,
            "month" | "months" | "mm" | "mon" | "mons" | "sql_tsi_month" => Self::Month,
            "week" | "weeks" | "w" | "wk" | "ww" | "isoweek" | "iso_week" | "sql_tsi_week" => Self::Week,
            "day" | "days" | "d" | "dd" | "dayofyear" | "dayofmonth" | "dy" | "doy" | "sql_tsi_day" => Self::Day,
            "hour" | "hours" | "h" | "hh" | "hr" | "hrs" | "sql_tsi_hour" => Self::Hour,
            "minute" | "minutes" | "m" | "mi" | "min" | "mins" | "n" | "sql_tsi_minute" => Self::Minute,
            "second" | "seconds" | "s" | "ss" | "sec" | "secs" | "sql_tsi_second" => Self::Second,
            "millisecond" | "milliseconds" | "ms" | "msec" | "msecs" => Self::Millisecond,
            "microsecond" | "microseconds" | "us" | "usec" | "usecs" | "mcs" => Self::Microsecond,
            _ => return None,
        })
    }

    /// Whether a date stays a date when this part is added.
    pub(super) fn is_calendar(self) -> bool {
        self.months().is_some() || matches!(self, Self::Week | Self::Day)
    }

    fn months(self) -> Option<i64> {
        match self {
            Self::Century => Some(1_200),
            Self::Decade => Some(120),
            Self::Year => Some(12),
            Self::Quarter => Some(3),
            Self::Month => Some(1),
            _ => None,
        }
    }

    fn micros(self) -> i64 {
        match self {
            Self::Week => 7 * DAY_US,
            Self::Hour => 3_600 * SECOND_US,
            Self::Minute => 60 * SECOND_US,
            Self::Second => SECOND_US,
            Self::Millisecond => 1_000,
            Self::Microsecond => 1,
            _ => DAY_US,
        }
    }

    /// `us` plus `n` of this part. Months end on the last day of a shorter month.
    pub(super) fn add(self, us: i64, n: i64) -> Option<i64> {
        let Some(months) = self.months() else {
            return us.checked_add(n.checked_mul(self.micros())?);
        };
        let at = local(us)?;
        let months = n.checked_mul(months)?;
        let distance = Months::new(u32::try_from(months.unsigned_abs()).ok()?);
        let moved = if months < 0 { at.checked_sub_months(distance) } else { at.checked_add_months(distance) };
        Some(moved?.and_utc().timestamp_micros())
    }

    /// How many borders of this part lie between `a` and `b`; negative if `b` is earlier. Weeks start on Monday.
    pub(super) fn between(self, a: i64, b: i64) -> Option<i64> {
        self.index(b)?.checked_sub(self.index(a)?)
    }

    /// The number of the part that holds `us`, counted from any fixed origin.
    fn index(self, us: i64) -> Option<i64> {
        let Some(months) = self.months() else {
            // 1970-01-01 was a Thursday, three days after a Monday.
            let us = if self == Self::Week { us.checked_add(3 * DAY_US)? } else { us };
            return Some(us.div_euclid(self.micros()));
        };
        let at = local(us)?;
        Some((i64::from(at.year()) * 12 + i64::from(at.month0())).div_euclid(months))
    }
}

/// The wall-clock time of `us` microseconds since 1970.
pub(in crate::functions) fn local(us: i64) -> Option<NaiveDateTime> {
    DateTime::from_timestamp_micros(us).map(|at| at.naive_utc())
}

/// Microseconds since 1970 of a wall-clock time.
pub(in crate::functions) fn micros(at: NaiveDateTime) -> i64 {
    at.and_utc().timestamp_micros()
}

/// The wall clock in `zone` at the instant `us`.
pub(in crate::functions) fn utc_to_local<Z: TimeZone>(us: i64, zone: &Z) -> Option<i64> {
    Some(micros(zone.from_utc_datetime(&local(us)?).naive_local()))
}

/// The instant at which the clock in `zone` shows `us`: None if it never does or does twice.
pub(in crate::functions) fn local_to_utc<Z: TimeZone>(us: i64, zone: &Z) -> Option<i64> {
    zone.from_local_datetime(&local(us)?).single().map(|at| at.timestamp_micros())
}

/// Like [`local_to_utc`], for results that need an instant: the first of two, and one hour later in a gap.
pub(super) fn local_to_utc_or_near<Z: TimeZone>(us: i64, zone: &Z) -> Option<i64> {
    let earliest = |us| Some(zone.from_local_datetime(&local(us)?).earliest()?.timestamp_micros());
    earliest(us).or_else(|| earliest(us.checked_add(3_600 * SECOND_US)?))
}

/// Like [`local_to_utc`], as PostgreSQL has it: by the clock after autumn's change, which is standard time, and in a gap by the clock
/// before it.
pub(super) fn local_to_utc_or_standard<Z: TimeZone>(us: i64, zone: &Z) -> Option<i64> {
    if let Some(at) = zone.from_local_datetime(&local(us)?).latest() {
        return Some(at.timestamp_micros());
    }
    // No clock was ever put forward by more than a day.
    (1..=24).find_map(|hours| {
        let before = us.checked_sub(hours * 3_600 * SECOND_US)?;
        let at = zone.from_local_datetime(&local(before)?).earliest()?;
        at.timestamp_micros().checked_add(hours * 3_600 * SECOND_US)
    })
}

/// Seconds since midnight.
pub(super) fn second_of_day(at: NaiveDateTime) -> u32 {
    at.num_seconds_from_midnight()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> i64 {
        super::super::iso::parse(text).and_then(super::super::iso::Written::utc).unwrap()
    }

    #[test]
    fn months_end_where_the_month_ends() {
        assert_eq!(DatePart::Month.add(at("2024-01-31"), 1), Some(at("2024-02-29")));
        assert_eq!(DatePart::Year.add(at("2024-02-29"), -1), Some(at("2023-02-28")));
        assert_eq!(DatePart::Day.add(i64::MAX, 1), None);
        assert_eq!(DatePart::Year.add(0, i64::MAX), None);
    }

    #[test]
    fn b02_a_clock_that_shows_a_time_twice_or_never_is_read_as_postgresql_reads_it() {
        let zone: arrow::array::timezone::Tz = "America/New_York".parse().unwrap();
        for (local, utc) in [
            ("2026-02-28T21:30", "2026-03-01T02:30"),
            ("2026-03-08T02:30", "2026-03-08T07:30"),
            ("2026-11-01T01:30", "2026-11-01T06:30"),
            ("2026-11-01T02:30", "2026-11-01T07:30"),
        ] {
            assert_eq!(local_to_utc_or_standard(at(local), &zone), Some(at(utc)), "{local}");
        }
    }

    #[test]
    fn borders_count_not_durations() {
        assert_eq!(DatePart::Year.between(at("2023-12-31"), at("2024-01-01")), Some(1));
        assert_eq!(DatePart::Day.between(at("2024-01-01T23:59"), at("2024-01-02T00:01")), Some(1));
        assert_eq!(DatePart::Week.between(at("2024-01-07"), at("2024-01-08")), Some(1));
        assert_eq!(DatePart::Hour.between(at("1969-12-31T23:30"), at("1970-01-01T00:10")), Some(1));
        assert_eq!(DatePart::Month.between(at("2024-03-31"), at("2024-01-01")), Some(-2));
    }
}
