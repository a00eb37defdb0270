//! Time zones: `AT TIME ZONE`, `local_to_utc`, `utc_to_local`, `is_ambiguous_local`, `convert_timezone`.
//!
//! A local time that the clock shows twice (autumn) or never (spring) is never guessed, but by `AT TIME ZONE`, which follows PostgreSQL.

use std::{collections::HashMap, str::FromStr};

use arrow::{
    array::{ArrayRef, AsArray, timezone::Tz},
    datatypes::{DataType, TimeUnit},
};
use chrono::{LocalResult, TimeZone};
use datafusion::common::Result;

use super::{
    super::{
        FunctionDoc,
        column::{Texts, cast},
        scalar::{Call, ScalarFunction, Types, is_text},
    },
    iso, part,
};
use crate::words::say;

const TIMESTAMP: DataType = DataType::Timestamp(TimeUnit::Microsecond, None);

pub(super) fn all() -> Vec<ScalarFunction> {
    vec![
        ScalarFunction::new(
            FunctionDoc {
                name: "at_time_zone",
                signature: "x at time zone zone\ntimezone(zone, x)\nat_time_zone(x, zone)",
                description: "As in PostgreSQL. For a timestamp with time zone what the clock in the zone shows then, a \
                              timestamp without one; dates and text are read as timestamps with time zone, in UTC where \
                              they have no offset. For a timestamp without time zone the instant at which the clock in \
                              the zone shows it, a timestamp with time zone: of two instants the later one, and what \
                              spring skips is as much later as the clock was put forward. local_to_utc gives NULL then.",
                example: "at_time_zone(to_timestamp_tz('2026-03-01T02:30Z'), 'America/New_York') → 2026-02-28T21:30:00",
            },
            2..=2,
            |types| Ok(if is_wall_clock(types) { instant() } else { TIMESTAMP }),
            at_time_zone,
        ),
        ScalarFunction::new(
            FunctionDoc {
                name: "local_to_utc",
                signature: "local_to_utc(x, zone)",
                description: "The instant (a timestamp in UTC) at which the clock in the zone shows x. x is a timestamp \
                              or ISO 8601 text; an offset in the text wins over the zone. NULL if the clock shows x \
                              twice or never, and for text that is no timestamp.",
                example: "local_to_utc('2024-07-01T08:00', 'America/New_York') → 2024-07-01T12:00:00",
            },
            2..=2,
            |_| Ok(TIMESTAMP),
            local_to_utc,
        ),
        ScalarFunction::new(
            FunctionDoc {
                name: "utc_to_local",
                signature: "utc_to_local(x, zone)",
                description: "What the clock in the zone shows at the instant x (a timestamp in UTC).",
                example: "utc_to_local(timestamp '2024-07-01 12:00:00', 'America/New_York') → 2024-07-01T08:00:00",
            },
            2..=2,
            |_| Ok(TIMESTAMP),
            utc_to_local,
        ),
        ScalarFunction::new(
            FunctionDoc {
                name: "is_ambiguous_local",
                signature: "is_ambiguous_local(x, zone)",
                description: "Whether the clock in the zone shows x twice or never, so that local_to_utc gives NULL. \
                              False for text with its own offset, NULL for text that is no timestamp.",
                example: "is_ambiguous_local('2024-11-03 01:30', 'America/New_York') → true",
            },
            2..=2,
            |_| Ok(DataType::Boolean),
            is_ambiguous_local,
        ),
        ScalarFunction::new(
            FunctionDoc {
                name: "convert_timezone",
                signature: "convert_timezone(from_zone, to_zone, x)\nconvert_timezone(to_zone, x)",
                description: "What the clock in one zone shows when the clock in another shows x. With two arguments x \
                              is in UTC. NULL if the first clock shows x twice or never.",
                example: "convert_timezone('UTC', 'Europe/Berlin', timestamp '2024-01-01 12:00:00') → 2024-01-01T13:00:00",
            },
            2..=3,
            |_| Ok(TIMESTAMP),
            convert_timezone,
        ),
    ]
}

/// The type of instants.
fn instant() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}

/// Timestamps without time zone show a clock; everything else is an instant.
fn is_wall_clock(types: &Types<'_>) -> bool {
    matches!(types.get(0), DataType::Timestamp(_, None))
}

/// The zones of a text column, each name read once.
struct Zones {
    names: Texts,
    known: HashMap<String, Tz>,
}

impl Zones {
    fn new(call: &Call<'_>, i: usize) -> Result<Self> {
        if !is_text(&call.data_type(i)) && !call.data_type(i).is_null() {
            return say!("{}: {} is {}, not the name of a time zone", call.name, call.subject(i), call.data_type(i));
        }
        let names = call.texts(i)?;
        let mut known = HashMap::new();
        // A constant is one row; a column usually repeats a handful of names.
        let (array, _) = call.array(i)?;
        let array = cast(&array, &DataType::Utf8View)?;
        for name in array.as_string_view().iter().flatten() {
            if !known.contains_key(name) {
                let Ok(zone) = Tz::from_str(name.trim()) else {
                    return say!(
                        "{}: {} holds a text that is no time zone; use names such as 'America/New_York'",
                        call.name,
                        call.subject(i)
                    );
                };
                known.insert(name.to_owned(), zone);
            }
        }
        Ok(Self { names, known })
    }

    fn get(&self, row: usize) -> Option<&Tz> {
        self.known.get(self.names.get(row)?)
    }
}

/// A time to be placed: already an instant, or a wall clock.
enum Clock {
    Utc(i64),
    Local(i64),
}

/// Argument 0 as clocks: text by its own offset, timestamps with a zone as instants, others as wall clocks.
fn clocks(call: &Call<'_>) -> Result<Box<dyn Fn(usize) -> Option<Clock>>> {
    if is_text(&call.data_type(0)) {
        let texts = call.texts(0)?;
        return Ok(Box::new(move |row| {
            let written = iso::parse(texts.get(row)?)?;
            Some(match written.offset_s {
                Some(_) => Clock::Utc(written.utc()?),
                None => Clock::Local(part::micros(written.local)),
            })
        }));
    }
    let has_zone = call.zone(0)?.is_some();
    let values = call.instants(0)?;
    Ok(Box::new(move |row| values.get(row).map(|us| if has_zone { Clock::Utc(us) } else { Clock::Local(us) })))
}

fn local_to_utc(call: &Call<'_>) -> Result<ArrayRef> {
    let (clocks, zones) = (clocks(call)?, Zones::new(call, 1)?);
    call.make_instant(|row| {
        let zone = zones.get(row)?;
        match clocks(row)? {
            Clock::Utc(us) => Some(us),
            Clock::Local(us) => part::local_to_utc(us, zone),
        }
    })
}

fn is_ambiguous_local(call: &Call<'_>) -> Result<ArrayRef> {
    let (clocks, zones) = (clocks(call)?, Zones::new(call, 1)?);
    call.make_boolean(|row| {
        let zone = zones.get(row)?;
        match clocks(row)? {
            Clock::Utc(_) => Some(false),
            Clock::Local(us) => Some(!matches!(zone.from_local_datetime(&part::local(us)?), LocalResult::Single(_))),
        }
    })
}

fn at_time_zone(call: &Call<'_>) -> Result<ArrayRef> {
    let (x, zones) = (call.instants(0)?, Zones::new(call, 1)?);
    if matches!(call.return_type, DataType::Timestamp(_, None)) {
        return call.make_instant(|row| part::utc_to_local(x.get(row)?, zones.get(row)?));
    }
    call.make_instant(|row| part::local_to_utc_or_standard(x.get(row)?, zones.get(row)?))
}

fn utc_to_local(call: &Call<'_>) -> Result<ArrayRef> {
    let (x, zones) = (call.instants(0)?, Zones::new(call, 1)?);
    call.make_instant(|row| part::utc_to_local(x.get(row)?, zones.get(row)?))
}

fn convert_timezone(call: &Call<'_>) -> Result<ArrayRef> {
    if call.has(2) {
        let (from, to, x) = (Zones::new(call, 0)?, Zones::new(call, 1)?, call.instants(2)?);
        let is_instant = call.zone(2)?.is_some();
        return call.make_instant(|row| {
            let (from, x) = (from.get(row)?, x.get(row)?);
            let utc = if is_instant { x } else { part::local_to_utc(x, from)? };
            part::utc_to_local(utc, to.get(row)?)
        });
    }
    let (to, x) = (Zones::new(call, 0)?, call.instants(1)?);
    call.make_instant(|row| part::utc_to_local(x.get(row)?, to.get(row)?))
}
