//! Fields of a date as functions of their own: `year(x)`, `dayofweek(x)`, `monthname(x)`, …; and `make_timestamp`.

use arrow::{
    array::ArrayRef,
    datatypes::{DataType, TimeUnit},
};
use chrono::{Datelike, NaiveDate, NaiveDateTime, Timelike};
use datafusion::common::Result;

use super::{
    super::{
        FunctionDoc,
        scalar::{Call, ScalarFunction},
    },
    part,
};

macro_rules! field {
    ($name:literal, $description:literal, $example:literal, $field:expr) => {
        ScalarFunction::new(
            FunctionDoc { name: $name, signature: concat!($name, "(x)"), description: $description, example: $example },
            1..=1,
            |_| Ok(DataType::Int64),
            |call| integer_field(call, $field),
        )
    };
}

pub(super) fn all() -> Vec<ScalarFunction> {
    vec![
        field!("year", "The year.", "year(date '2024-02-29') → 2024", |at| i64::from(at.year())),
        field!("quarter", "The quarter, 1 to 4.", "quarter(date '2024-02-29') → 1", |at| i64::from(
            at.month0() / 3 + 1
        )),
        field!("month", "The month, 1 to 12.", "month(date '2024-02-29') → 2", |at| i64::from(at.month())),
        field!("day", "The day of the month.", "day(date '2024-02-29') → 29", |at| i64::from(at.day()))
            .aliases(&["dayofmonth", "day_of_month"]),
        field!("hour", "The hour, 0 to 23.", "hour(timestamp '2024-02-29 13:45:30') → 13", |at| i64::from(at.hour())),
        field!("minute", "The minute, 0 to 59.", "minute(timestamp '2024-02-29 13:45:30') → 45", |at| i64::from(
            at.minute()
        )),
        field!("second", "The whole second, 0 to 59.", "second(timestamp '2024-02-29 13:45:30') → 30", |at| {
            i64::from(at.second())
        }),
        field!(
            "dayofweek",
            "The day of the week: Sunday is 0, Saturday 6 (as in DuckDB, Snowflake and PostgreSQL's dow).",
            "dayofweek(date '2024-02-29') → 4",
            |at| i64::from(at.weekday().num_days_from_sunday())
        )
        .aliases(&["day_of_week", "weekday"]),
        field!(
            "dayofweekiso",
            "The ISO day of the week: Monday is 1, Sunday 7.",
            "dayofweekiso(date '2024-02-29') → 4",
            |at| i64::from(at.weekday().number_from_monday())
        )
        .aliases(&["isodow", "dayofweek_iso", "day_of_week_iso"]),
        field!("dayofyear", "The day of the year, 1 to 366.", "dayofyear(date '2024-02-29') → 60", |at| {
            i64::from(at.ordinal())
        })
        .aliases(&["day_of_year"]),
        field!("weekofyear", "The ISO week, 1 to 53.", "weekofyear(date '2024-02-29') → 9", |at| {
            i64::from(at.iso_week().week())
        })
        .aliases(&["week", "weekiso", "week_of_year"]),
        field!("yearofweek", "The year of the ISO week.", "yearofweek(date '2024-12-31') → 2025", |at| {
            i64::from(at.iso_week().year())
        })
        .aliases(&["isoyear", "yearofweekiso"]),
        ScalarFunction::new(
            FunctionDoc {
                name: "dayname",
                signature: "dayname(x)",
                description: "The English name of the day (as in DuckDB; Snowflake abbreviates).",
                example: "dayname(date '2024-02-29') → Thursday",
            },
            1..=1,
            |_| Ok(DataType::Utf8),
            |call| text_field(call, "%A"),
        ),
        ScalarFunction::new(
            FunctionDoc {
                name: "monthname",
                signature: "monthname(x)",
                description: "The English name of the month (as in DuckDB; Snowflake abbreviates).",
                example: "monthname(date '2024-02-29') → February",
            },
            1..=1,
            |_| Ok(DataType::Utf8),
            |call| text_field(call, "%B"),
        ),
        ScalarFunction::new(
            FunctionDoc {
                name: "make_timestamp",
                signature: "make_timestamp(year, month, day, hour, minute, second)",
                description: "The timestamp of its parts; seconds may have a fraction. NULL if there is no such time.",
                example: "make_timestamp(2024, 2, 29, 13, 45, 30.5) → 2024-02-29T13:45:30.500",
            },
            6..=6,
            |_| Ok(DataType::Timestamp(TimeUnit::Microsecond, None)),
            make_timestamp,
        )
        .aliases(&["timestamp_from_parts", "timestamp_ntz_from_parts"]),
    ]
}

/// The wall clock of argument `i`: local time for a column with a zone.
pub(super) fn wall_clock(call: &Call<'_>, i: usize) -> Result<impl Fn(usize) -> Option<NaiveDateTime> + use<>> {
    let values = call.instants(i)?;
    let zone = call.zone(i)?;
    Ok(move |row: usize| {
        let us = values.get(row)?;
        part::local(match &zone {
            Some(zone) => part::utc_to_local(us, zone)?,
            None => us,
        })
    })
}

fn integer_field(call: &Call<'_>, field: fn(NaiveDateTime) -> i64) -> Result<ArrayRef> {
    let clock = wall_clock(call, 0)?;
    call.make_integer(|row| clock(row).map(field))
}

fn text_field(call: &Call<'_>, format: &str) -> Result<ArrayRef> {
    let clock = wall_clock(call, 0)?;
    call.make_text(|row| clock(row).map(|at| at.format(format).to_string()))
}

fn make_timestamp(call: &Call<'_>) -> Result<ArrayRef> {
    let parts = (0..5).map(|i| call.integers(i)).collect::<Result<Vec<_>>>()?;
    let seconds = call.floats(5)?;
    call.make_instant(|row| {
        let part = |i: usize| u32::try_from(parts[i].get(row)?).ok();
        let year = i32::try_from(parts[0].get(row)?).ok()?;
        let second = seconds.get(row).filter(|second| (0.0..60.0).contains(second))?;
        let day = NaiveDate::from_ymd_opt(year, part(1)?, part(2)?)?.and_hms_opt(part(3)?, part(4)?, 0)?;
        part::micros(day).checked_add((second * 1e6).round() as i64)
    })
}
