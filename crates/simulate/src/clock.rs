//! Local time of the network: the simulation counts UTC seconds, the extracts show America/New_York.
//!
//! Keeping instants in UTC makes durations right on days with a clock change; such a day has 23 or 25 hours here too.

use chrono::{Datelike, NaiveDate, Offset, TimeZone};
use chrono_tz::America::New_York;

pub(crate) const HOUR: i64 = 3_600;
pub(crate) const DAY: i64 = 86_400;

/// The zone every hospital of the network is in.
pub(crate) const TIME_ZONE: &str = "America/New_York";

/// Days between 0001-01-01 and 1970-01-01 in chrono's count from the common era.
const EPOCH_FROM_CE: i32 = 719_163;

/// Offsets of the zone over the simulated time, looked up once instead of per written instant.
#[derive(Debug, Clone)]
pub(crate) struct Clock {
    /// (first UTC second, offset in seconds), ascending.
    offsets: Vec<(i64, i64)>,
}

impl Clock {
    /// A clock for the time from a year before `first` to two years after `last`.
    pub(crate) fn new(first: NaiveDate, last: NaiveDate) -> Self {
        let from = (day_number(first) as i64 - 370) * DAY;
        let to = (day_number(last) as i64 + 740) * DAY;
        let mut offsets: Vec<(i64, i64)> = Vec::new();
        let mut at = from;
        while at <= to {
            let offset = offset_at(at);
            if offsets.last().is_none_or(|(_, last)| *last != offset) {
                offsets.push((at, offset));
            }
            at += HOUR;
        }
        Self { offsets }
    }

    /// First local second of each hour that a clock change shows twice or never.
    pub(crate) fn odd_hours(&self) -> Vec<i64> {
        self.offsets.windows(2).map(|pair| pair[1].0 + pair[0].1.min(pair[1].1)).collect()
    }

    /// The times at which nothing is recorded: while the clock shows an hour twice, the hospitals' systems are down, as is
    /// common. No clean row has an ambiguous time for that reason.
    pub(crate) fn downtimes(&self) -> Downtimes {
        let changes = self.offsets.windows(2).map(|pair| (pair[1].0, pair[0].1 - pair[1].1));
        Downtimes(changes.filter(|(_, back)| *back > 0).map(|(at, back)| (at - back, at + back)).collect())
    }

    /// Seconds of local wall-clock time since 1970-01-01.
    pub(crate) fn local(&self, at: i64) -> i64 {
        let offset = self.offsets.iter().rev().find(|(from, _)| *from <= at).or(self.offsets.first());
        at + offset.map_or(0, |(_, offset)| *offset)
    }

    /// Local date as a number of days since 1970-01-01.
    pub(crate) fn local_day(&self, at: i64) -> i32 {
        self.local(at).div_euclid(DAY) as i32
    }

    /// The instant of a local wall-clock time; a time that a clock change skips becomes the same reading one hour on.
    pub(crate) fn instant(&self, day: i32, second_of_day: i64) -> i64 {
        let wall = i64::from(day) * DAY + second_of_day;
        let guess = wall - (self.local(wall) - wall);
        let corrected = wall - (self.local(guess) - guess);
        if self.local(corrected) == wall { corrected } else { guess }
    }

    /// Local midnight at which `day` begins.
    pub(crate) fn midnight(&self, day: i32) -> i64 {
        self.instant(day, 0)
    }

    /// Appends `YYYY-MM-DD HH:MM:SS`, local.
    pub(crate) fn write_time(&self, out: &mut String, at: i64) {
        let local = self.local(at);
        write_date(out, local.div_euclid(DAY) as i32);
        let second = local.rem_euclid(DAY) as u32;
        for (separator, number) in [(' ', second / 3_600), (':', second / 60 % 60), (':', second % 60)] {
            out.push(separator);
            push_two_digits(out, number);
        }
    }
}

/// Planned downtimes, as (first second, second after the last).
#[derive(Debug, Clone, Default)]
pub(crate) struct Downtimes(Vec<(i64, i64)>);

impl Downtimes {
    /// The time itself, or one soon after the downtime it falls in; the order of times is kept.
    pub(crate) fn after(&self, at: i64) -> i64 {
        let down = self.0.iter().find(|(from, until)| (*from..*until).contains(&at));
        down.map_or(at, |(from, until)| until + (at - from) / 4)
    }

    /// Whether any of the seconds from `from` to `until` is down.
    pub(crate) fn meet(&self, from: i64, until: i64) -> bool {
        self.0.iter().any(|(start, end)| from < *end && until >= *start)
    }
}

fn offset_at(at: i64) -> i64 {
    match New_York.timestamp_opt(at, 0).single() {
        Some(time) => i64::from(time.offset().fix().local_minus_utc()),
        None => 0,
    }
}

/// Days since 1970-01-01.
pub(crate) fn day_number(date: NaiveDate) -> i32 {
    date.num_days_from_ce() - EPOCH_FROM_CE
}

/// The date of a number of days since 1970-01-01.
pub(crate) fn date_of(day: i32) -> NaiveDate {
    NaiveDate::from_num_days_from_ce_opt(day + EPOCH_FROM_CE).unwrap_or_default()
}

/// True from Monday to Friday.
pub(crate) fn is_weekday(day: i32) -> bool {
    date_of(day).weekday().num_days_from_monday() < 5
}

/// Appends `YYYY-MM-DD`. Most fields of the extracts are dates and times, so digits are pushed without the formatter.
pub(crate) fn write_date(out: &mut String, day: i32) {
    let date = date_of(day);
    let year = date.year().unsigned_abs();
    push_two_digits(out, year / 100);
    push_two_digits(out, year % 100);
    for number in [date.month(), date.day()] {
        out.push('-');
        push_two_digits(out, number);
    }
}

fn push_two_digits(out: &mut String, number: u32) {
    for digit in [number / 10 % 10, number % 10] {
        out.push(char::from(b'0' + digit as u8));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clock() -> Clock {
        let day = |month| NaiveDate::from_ymd_opt(2026, month, 1).expect("a date");
        Clock::new(day(2), day(12))
    }

    fn day(month: u32, day: u32) -> i32 {
        day_number(NaiveDate::from_ymd_opt(2026, month, day).expect("a date"))
    }

    #[test]
    fn days_with_a_clock_change_have_23_and_25_hours() {
        let clock = clock();
        let hours = |of: i32| (clock.midnight(of + 1) - clock.midnight(of)) / HOUR;
        assert_eq!([hours(day(3, 7)), hours(day(3, 8)), hours(day(11, 1)), hours(day(11, 2))], [24, 23, 25, 24]);
    }

    #[test]
    fn nothing_is_recorded_while_an_hour_repeats() {
        let (clock, downtimes) = (clock(), clock().downtimes());
        let midnight = clock.midnight(day(11, 1));
        for minute in 0..300 {
            let mut text = String::new();
            clock.write_time(&mut text, downtimes.after(midnight + minute * 60));
            assert!(!text.starts_with("2026-11-01 01:"), "{text}");
        }
        assert_eq!(downtimes.after(midnight + 30 * 60), midnight + 30 * 60);
        assert!(downtimes.meet(midnight, midnight + 2 * HOUR) && !downtimes.meet(midnight, midnight + HOUR / 2));
        let odd: Vec<i64> = clock.odd_hours().iter().map(|start| start.rem_euclid(DAY) / HOUR).collect();
        assert!(odd.contains(&1) && odd.contains(&2) && odd.iter().all(|hour| [1, 2].contains(hour)), "{odd:?}");
    }

    #[test]
    fn a_wall_clock_time_is_read_back() {
        let clock = clock();
        let check = |of: i32, second: i64, expected: &str| {
            let mut text = String::new();
            clock.write_time(&mut text, clock.instant(of, second));
            assert_eq!(text, expected);
        };
        check(day(3, 2), 0, "2026-03-02 00:00:00");
        check(day(7, 4), 13 * HOUR + 61, "2026-07-04 13:01:01");
        // Skipped on that day: the clock goes from 02:00 to 03:00.
        check(day(3, 8), 2 * HOUR + HOUR / 2, "2026-03-08 03:30:00");
        check(day(11, 1), HOUR, "2026-11-01 01:00:00");
        check(day(11, 1), 3 * HOUR, "2026-11-01 03:00:00");
    }
}
