//! Dates to text and back by a pattern: `to_char`, `strftime`, `to_date`, `to_timestamp`, `strptime`, `try_to_…`.

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, StringBuilder},
    datatypes::{DataType, TimeUnit},
};
use chrono::TimeZone;
use datafusion::common::Result;

use super::{
    super::{
        FunctionDoc,
        column::{Texts, cast},
        number::template as number_template,
        scalar::{Call, ScalarFunction, Types, is_text},
    },
    iso, part,
    pattern::{Clock, Pattern},
};
use crate::words::say;

const TIMESTAMP: DataType = DataType::Timestamp(TimeUnit::Microsecond, None);

pub(super) fn all() -> Vec<ScalarFunction> {
    vec![
        ScalarFunction::new(
            FunctionDoc {
                name: "to_char",
                signature: "to_char(x)\nto_char(x, pattern)",
                description: "A date, timestamp or number as text. For dates a pattern with % is strftime's; any other \
                              is PostgreSQL's: YYYY YY Q MM Mon Month DD DDD D ID DY Day IYYY IW WW HH24 HH12 MI SS MS \
                              US SSSS AM TZ TZH TZM OF, the prefix FM (no padding), the suffix th, \"text\" as it is. \
                              Names take the case of the pattern. For numbers: 9 0 . , D G S MI PR FM.",
                example: "to_char(timestamp '2024-02-29 13:45:30', 'DD Mon YYYY HH12:MI AM') → 29 Feb 2024 01:45 PM",
            },
            1..=2,
            |_| Ok(DataType::Utf8),
            to_char,
        )
        .aliases(&["date_format", "to_varchar", "strftime", "format_date", "format_timestamp"]),
        reader("to_date"),
        reader("try_to_date"),
        reader("to_timestamp"),
        reader("try_to_timestamp"),
        reader("to_timestamp_tz"),
        reader("try_to_timestamp_tz"),
    ]
}

/// The function that reads dates or timestamps under this name; casts from text call the same ones.
pub(in crate::functions) fn reader(name: &'static str) -> ScalarFunction {
    let doc = |signature, description, example| FunctionDoc { name, signature, description, example };
    match name {
        "to_date" => ScalarFunction::new(
            doc(
                "to_date(x)\nto_date(x, pattern, …)",
                "A date from text by the first pattern that fits (PostgreSQL's or strftime's), or by ISO 8601 without \
                 one. Timestamps lose their time; integers are days since 1970. Text that does not fit is an error. \
                 Casts from text to DATE are the same.",
                "to_date('29.02.2024', 'DD.MM.YYYY') → 2024-02-29",
            ),
            1..=8,
            |_| Ok(DataType::Date32),
            |call| read(call, false),
        ),
        "try_to_date" => ScalarFunction::new(
            doc(
                "try_to_date(x)\ntry_to_date(x, pattern, …)",
                "Like to_date, but NULL for text that does not fit.",
                "try_to_date('2025-13-01') → NULL",
            ),
            1..=8,
            |_| Ok(DataType::Date32),
            |call| read(call, true),
        ),
        "to_timestamp" => ScalarFunction::new(
            doc(
                "to_timestamp(x)\nto_timestamp(x, pattern, …)",
                "A timestamp from text by the first pattern that fits (PostgreSQL's or strftime's), or by ISO 8601 \
                 without one. An offset in the text brings it to UTC. Numbers are seconds since 1970. Text that does \
                 not fit is an error. Casts from text to TIMESTAMP are the same.",
                "to_timestamp('02/29/2024 1:45 PM', 'MM/DD/YYYY HH12:MI AM') → 2024-02-29T13:45:00",
            ),
            1..=8,
            timestamp_type,
            |call| read(call, false),
        )
        .aliases(&["strptime", "to_timestamp_ntz", "parse_timestamp"]),
        "to_timestamp_tz" => ScalarFunction::new(
            doc(
                "to_timestamp_tz(x)\nto_timestamp_tz(x, pattern, …)",
                "Like to_timestamp, as a timestamp with time zone in UTC. Casts to TIMESTAMPTZ are the same.",
                "to_timestamp_tz('2024-07-01T08:00-04:00') → 2024-07-01T12:00:00Z",
            ),
            1..=8,
            |_| Ok(DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))),
            |call| read(call, false),
        ),
        "try_to_timestamp_tz" => ScalarFunction::new(
            doc(
                "try_to_timestamp_tz(x)\ntry_to_timestamp_tz(x, pattern, …)",
                "Like to_timestamp_tz, but NULL for text that does not fit.",
                "try_to_timestamp_tz('n/a') → NULL",
            ),
            1..=8,
            |_| Ok(DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))),
            |call| read(call, true),
        ),
        _ => ScalarFunction::new(
            doc(
                "try_to_timestamp(x)\ntry_to_timestamp(x, pattern, …)",
                "Like to_timestamp, but NULL for text that does not fit.",
                "try_to_timestamp('yesterday') → NULL",
            ),
            1..=8,
            timestamp_type,
            |call| read(call, true),
        )
        .aliases(&["try_strptime", "try_to_timestamp_ntz"]),
    }
}

fn timestamp_type(types: &Types<'_>) -> Result<DataType> {
    Ok(match types.get(0) {
        DataType::Timestamp(_, zone) => DataType::Timestamp(TimeUnit::Microsecond, zone.clone()),
        _ => TIMESTAMP,
    })
}

/// Compiled patterns of an argument: a constant is compiled once, a column once per run of equal patterns.
struct Patterns {
    texts: Texts,
    constant: Option<Pattern>,
}

impl Patterns {
    fn new(call: &Call<'_>, i: usize) -> Result<Self> {
        let texts = call.texts(i)?;
        let constant = match texts.constant() {
            Some(text) => match Pattern::compile(text) {
                Some(pattern) => Some(pattern),
                None => return say!("{}: {} is no strftime pattern", call.name, call.subject(i)),
            },
            None => None,
        };
        Ok(Self { texts, constant })
    }

    fn with<T>(&self, row: usize, f: impl FnOnce(&Pattern) -> Option<T>) -> Option<T> {
        match &self.constant {
            Some(pattern) => f(pattern),
            None => f(&Pattern::compile(self.texts.get(row)?)?),
        }
    }
}

fn to_char(call: &Call<'_>) -> Result<ArrayRef> {
    // SQLite and Spark write strftime('%Y', x).
    let swapped = call.has(1) && is_text(&call.data_type(0)) && !is_text(&call.data_type(1));
    let (value, pattern) = if swapped { (1, 0) } else { (0, 1) };
    if !call.has(1) {
        let texts = call.texts(0)?;
        return call.make_text(|row| texts.get(row));
    }
    if call.data_type(value).is_numeric() {
        return number_to_char(call);
    }
    let instants = call.instants(value)?;
    let zone = call.zone(value)?;
    let patterns = Patterns::new(call, pattern)?;
    let mut out = StringBuilder::with_capacity(call.rows, call.rows * 16);
    let mut text = String::new();
    for row in 0..call.rows {
        text.clear();
        let clock = instants.get(row).and_then(|us| clock_at(us, zone.as_ref()));
        match clock.and_then(|clock| patterns.with(row, |pattern| pattern.write(clock, &mut text))) {
            Some(()) => out.append_value(&text),
            None => out.append_null(),
        }
    }
    Ok(Arc::new(out.finish()))
}

fn number_to_char(call: &Call<'_>) -> Result<ArrayRef> {
    // Text keeps every digit of a decimal; a float is written in its shortest form.
    let (numbers, patterns) = (call.texts(0)?, call.texts(1)?);
    let constant = patterns.constant().map(number_template::compile);
    call.make_text(|row| {
        let number = numbers.get(row)?;
        match &constant {
            Some(template) => number_template::write(template, number),
            None => number_template::write(&number_template::compile(patterns.get(row)?), number),
        }
    })
}

fn clock_at(us: i64, zone: Option<&arrow::array::timezone::Tz>) -> Option<Clock> {
    let utc = part::local(us)?;
    Some(match zone {
        Some(zone) => {
            let at = zone.from_utc_datetime(&utc);
            let offset = chrono::Offset::fix(at.offset()).local_minus_utc();
            Clock { local: at.naive_local(), offset_s: Some(offset) }
        }
        None => Clock { local: utc, offset_s: None },
    })
}

/// Reads argument 0 by the patterns that follow it, as the return type says.
fn read(call: &Call<'_>, lenient: bool) -> Result<ArrayRef> {
    let data_type = call.data_type(0);
    if data_type.is_numeric() {
        return read_number(call);
    }
    if !is_text(&data_type) {
        let zone = if *call.return_type == DataType::Date32 { call.zone(0)? } else { None };
        let values = call.instants(0)?;
        return call.make_instant(|row| match &zone {
            Some(zone) => part::utc_to_local(values.get(row)?, zone),
            None => values.get(row),
        });
    }
    let texts = call.texts(0)?;
    let patterns = (1..call.args.len()).map(|i| Patterns::new(call, i)).collect::<Result<Vec<_>>>()?;
    let is_date = *call.return_type == DataType::Date32;
    let mut misfit = false;
    let array = call.make_instant(|row| {
        let text = texts.get(row)?;
        let clock = if patterns.is_empty() {
            iso::parse(text).map(|written| Clock { local: written.local, offset_s: written.offset_s })
        } else {
            patterns.iter().find_map(|pattern| pattern.with(row, |pattern| pattern.read(text)))
        };
        misfit |= clock.is_none();
        let clock = clock?;
        // A date is the date as written, whatever the offset.
        let offset_s = if is_date { 0 } else { clock.offset_s.unwrap_or(0) };
        part::micros(clock.local).checked_sub(i64::from(offset_s) * part::SECOND_US)
    })?;
    if misfit && !lenient {
        return say!(
            "{0}: a text does not fit ({1}); try_{0} (or try_cast) gives NULL instead",
            call.name,
            call.subject(0)
        );
    }
    Ok(array)
}

/// Seconds since 1970 for a timestamp, days for a date.
fn read_number(call: &Call<'_>) -> Result<ArrayRef> {
    if *call.return_type == DataType::Date32 {
        let (array, _) = call.array(0)?;
        let days = cast(&cast(&array, &DataType::Int32)?, &DataType::Date32)?;
        return Ok(days);
    }
    if call.data_type(0).is_integer() {
        let values = call.integers(0)?;
        return call.make_instant(|row| values.get(row)?.checked_mul(part::SECOND_US));
    }
    let values = call.floats(0)?;
    call.make_instant(|row| {
        let us = (values.get(row)? * 1e6).round();
        (us.abs() < 9e18).then_some(us as i64)
    })
}
