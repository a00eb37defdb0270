//! Adding to and subtracting dates: `dateadd`, `datediff`, `last_day`, `age`, `age_years`, `interval_multiply`.

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, IntervalMonthDayNanoArray, timezone::Tz},
    datatypes::{DataType, IntervalMonthDayNano, IntervalUnit, TimeUnit},
};
use chrono::{Datelike, NaiveDateTime};
use datafusion::common::{Result, plan_err};

use super::{
    super::{
        FunctionDoc,
        column::{Instants, Texts},
        scalar::{Call, ScalarFunction, Types},
    },
    part::{self, DatePart},
};
use crate::words::say;

pub(super) fn all() -> Vec<ScalarFunction> {
    vec![
        dateadd_function(),
        ScalarFunction::new(
            FunctionDoc {
                name: "datediff",
                signature: "datediff(part, a, b)",
                description: "How many borders of the part lie between a and b (as in Snowflake, Redshift and DuckDB): \
                              one minute before midnight and one after are one day apart. Weeks start on Monday. \
                              Negative if b is earlier.",
                example: "datediff(day, timestamp '2024-01-01 23:59', timestamp '2024-01-02 00:01') → 1",
            },
            3..=3,
            |types| check_part(types, "datediff").map(|_| DataType::Int64),
            datediff,
        )
        .aliases(&["date_diff", "timestampdiff"]),
        ScalarFunction::new(
            FunctionDoc {
                name: "last_day",
                signature: "last_day(x)\nlast_day(x, part)",
                description: "The last date of x's month, or of its year, quarter or week (Sunday).",
                example: "last_day(date '2024-02-10') → 2024-02-29",
            },
            1..=2,
            |_| Ok(DataType::Date32),
            |call| period_border(call, false),
        ),
        ScalarFunction::new(
            FunctionDoc {
                name: "first_day",
                signature: "first_day(x)\nfirst_day(x, part)",
                description: "The first date of x's month, or of its year, quarter or week (Monday).",
                example: "first_day(date '2024-02-10', 'quarter') → 2024-01-01",
            },
            1..=2,
            |_| Ok(DataType::Date32),
            |call| period_border(call, true),
        ),
        ScalarFunction::new(
            FunctionDoc {
                name: "age",
                signature: "age(later, earlier)\nage(earlier)",
                description: "The difference in whole months, days and time, as PostgreSQL counts it; with one \
                              argument, up to today's midnight (UTC).",
                example: "age(date '2024-03-01', date '1957-06-13') → 800 mons 17 days",
            },
            2..=2,
            |_| Ok(DataType::Interval(IntervalUnit::MonthDayNano)),
            age,
        ),
        ScalarFunction::new(
            FunctionDoc {
                name: "age_years",
                signature: "age_years(birth, at)",
                description: "Completed years from birth to at: a person's age. Someone born on February 29th is a year \
                              older on March 1st of a common year. NULL before birth.",
                example: "age_years(date '2000-02-29', date '2001-02-28') → 0",
            },
            2..=2,
            |_| Ok(DataType::Int64),
            age_years,
        ),
    ]
}

/// `dateadd`, which the operators on dates also call.
pub(in crate::functions) fn dateadd_function() -> ScalarFunction {
    ScalarFunction::new(
        FunctionDoc {
            name: "dateadd",
            signature: "dateadd(part, n, x)",
            description: "x moved by n parts. The part is a name or a text: century, decade, year, quarter, month, \
                          week, day, hour, minute, second, millisecond, microsecond. A month that is too short gives \
                          its last day. A date stays a date for day and longer parts and becomes a timestamp for \
                          shorter ones; text becomes a timestamp. In a column with a time zone, days and longer \
                          parts move the local clock.",
            example: "dateadd(month, 1, date '2024-01-31') → 2024-02-29",
        },
        3..=3,
        dateadd_type,
        dateadd,
    )
    .aliases(&["date_add", "timestampadd"])
}

fn check_part(types: &Types<'_>, name: &str) -> Result<Option<DatePart>> {
    match types.text(0) {
        None => Ok(None),
        Some(text) => match DatePart::parse(text) {
            Some(part) => Ok(Some(part)),
            None => plan_err!(
                "{name}: `{text}` is no part of a date; use year, quarter, month, week, day, hour, minute, second, millisecond or microsecond"
            ),
        },
    }
}

fn dateadd_type(types: &Types<'_>) -> Result<DataType> {
    let part = check_part(types, "dateadd")?;
    Ok(match types.get(2) {
        DataType::Date32 | DataType::Date64 if part.is_some_and(DatePart::is_calendar) => DataType::Date32,
        DataType::Timestamp(_, zone) => DataType::Timestamp(TimeUnit::Microsecond, zone.clone()),
        _ => DataType::Timestamp(TimeUnit::Microsecond, None),
    })
}

/// Argument `i` as a function from row to part; a name that is no part is an error.
fn parts(call: &Call<'_>, i: usize) -> Result<impl Fn(usize) -> Option<DatePart> + use<>> {
    let texts: Texts = call.texts(i)?;
    let constant = texts.constant().map(DatePart::parse);
    if constant == Some(None) {
        return say!("{}: {} is no part of a date", call.name, call.subject(i));
    }
    Ok(move |row: usize| match constant {
        Some(part) => part,
        None => texts.get(row).and_then(DatePart::parse),
    })
}

fn dateadd(call: &Call<'_>) -> Result<ArrayRef> {
    let (part, n, x, zone) = (parts(call, 0)?, call.integers(1)?, call.instants(2)?, call.zone(2)?);
    call.make_instant(|row| {
        let (part, n, x) = (part(row)?, n.get(row)?, x.get(row)?);
        match &zone {
            Some(zone) if part.is_calendar() => {
                part::local_to_utc_or_near(part.add(part::utc_to_local(x, zone)?, n)?, zone)
            }
            _ => part.add(x, n),
        }
    })
}

/// Both arguments on one clock: local time if either column has a time zone.
fn on_one_clock(call: &Call<'_>, i: usize) -> Result<impl Fn(usize) -> Option<i64> + use<>> {
    let values: Instants = call.instants(i)?;
    let zone: Option<Tz> = call.zone(i)?;
    Ok(move |row: usize| match &zone {
        Some(zone) => part::utc_to_local(values.get(row)?, zone),
        None => values.get(row),
    })
}

fn datediff(call: &Call<'_>) -> Result<ArrayRef> {
    let part = parts(call, 0)?;
    let (a, b) = (call.instants(1)?, call.instants(2)?);
    let (local_a, local_b) = (on_one_clock(call, 1)?, on_one_clock(call, 2)?);
    call.make_integer(|row| {
        let part = part(row)?;
        if part.is_calendar() {
            part.between(local_a(row)?, local_b(row)?)
        } else {
            part.between(a.get(row)?, b.get(row)?)
        }
    })
}

fn period_border(call: &Call<'_>, first: bool) -> Result<ArrayRef> {
    let x = on_one_clock(call, 0)?;
    let part = if call.has(1) { Some(parts(call, 1)?) } else { None };
    call.make_instant(|row| {
        let part = match &part {
            Some(part) => part(row)?,
            None => DatePart::Month,
        };
        let date = part::local(x(row)?)?.date();
        let start = match part {
            DatePart::Year => date.with_day(1)?.with_month(1)?,
            DatePart::Quarter => date.with_day(1)?.with_month(date.month0() / 3 * 3 + 1)?,
            DatePart::Month => date.with_day(1)?,
            DatePart::Week => date.week(chrono::Weekday::Mon).checked_first_day()?,
            _ => date,
        };
        let start = part::micros(start.and_time(chrono::NaiveTime::MIN));
        if first { Some(start) } else { DatePart::Day.add(part.add(start, 1)?, -1) }
    })
}

/// Whole months from `earlier` to `later`, and `earlier` moved by them.
fn whole_months(later: NaiveDateTime, earlier: NaiveDateTime) -> Option<(i64, NaiveDateTime)> {
    let months = |at: NaiveDateTime| i64::from(at.year()) * 12 + i64::from(at.month0());
    let mut count = months(later) - months(earlier);
    if (later.day(), later.time()) < (earlier.day(), earlier.time()) {
        count -= 1;
    }
    let moved = DatePart::Month.add(part::micros(earlier), count)?;
    Some((count, part::local(moved)?))
}

fn age(call: &Call<'_>) -> Result<ArrayRef> {
    let (later, earlier) = (on_one_clock(call, 0)?, on_one_clock(call, 1)?);
    let values = (0..call.rows).map(|row| interval_between(later(row)?, earlier(row)?));
    Ok(Arc::new(values.collect::<IntervalMonthDayNanoArray>()))
}

fn interval_between(later: i64, earlier: i64) -> Option<IntervalMonthDayNano> {
    if later < earlier {
        let swapped = interval_between(earlier, later)?;
        return Some(IntervalMonthDayNano::new(-swapped.months, -swapped.days, -swapped.nanoseconds));
    }
    let (months, moved) = whole_months(part::local(later)?, part::local(earlier)?)?;
    let rest = later - part::micros(moved);
    let days = rest.div_euclid(super::super::column::DAY_US);
    let us = rest.rem_euclid(super::super::column::DAY_US);
    Some(IntervalMonthDayNano::new(i32::try_from(months).ok()?, i32::try_from(days).ok()?, us * 1_000))
}

fn age_years(call: &Call<'_>) -> Result<ArrayRef> {
    let (birth, at) = (on_one_clock(call, 0)?, on_one_clock(call, 1)?);
    call.make_integer(|row| {
        let (birth, at) = (part::local(birth(row)?)?, part::local(at(row)?)?);
        let years = i64::from(at.year()) - i64::from(birth.year());
        let had_birthday = (at.month(), at.day()) >= (birth.month(), birth.day());
        let years = if had_birthday { years } else { years - 1 };
        (years >= 0).then_some(years)
    })
}
