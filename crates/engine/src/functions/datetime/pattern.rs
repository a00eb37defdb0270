//! Date patterns: PostgreSQL's (`YYYY-MM-DD HH24:MI:SS`) and strftime's (any text with a `%`).

use chrono::{
    NaiveDate, NaiveDateTime, NaiveTime,
    format::{Item, Parsed, StrftimeItems},
};

use super::{template, template::Field};

/// A compiled pattern, for writing and reading.
pub(in crate::functions) enum Pattern {
    /// strftime.
    Strftime(Vec<Item<'static>>),
    /// PostgreSQL.
    Template(Vec<Field>),
}

/// A time with its offset from UTC in seconds, if there is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::functions) struct Clock {
    /// The wall-clock time.
    pub(in crate::functions) local: NaiveDateTime,
    /// Seconds east of UTC.
    pub(in crate::functions) offset_s: Option<i32>,
}

impl Pattern {
    /// Compiles a pattern; None if strftime does not know one of its letters.
    pub(in crate::functions) fn compile(text: &str) -> Option<Self> {
        if !text.contains('%') {
            return Some(Self::Template(template::compile(text)));
        }
        StrftimeItems::new(text).parse_to_owned().ok().map(Self::Strftime)
    }

    /// Writes a time into `out`; None if the pattern asks for what the time does not have.
    pub(in crate::functions) fn write(&self, clock: Clock, out: &mut String) -> Option<()> {
        use std::fmt::Write;
        match self {
            Self::Strftime(items) => {
                let offset = chrono::FixedOffset::east_opt(clock.offset_s.unwrap_or(0))?;
                let at = clock.local.and_utc().with_timezone(&offset);
                // The local time is wanted as it is: shift the instant back by the offset it is shown with.
                let at = at.checked_sub_signed(chrono::TimeDelta::seconds(i64::from(clock.offset_s.unwrap_or(0))))?;
                write!(out, "{}", at.format_with_items(items.iter())).ok()
            }
            Self::Template(fields) => template::write(fields, clock, out),
        }
    }

    /// Reads a time; None if the text does not follow the pattern or is no time.
    pub(in crate::functions) fn read(&self, text: &str) -> Option<Clock> {
        match self {
            Self::Strftime(items) => {
                let mut parsed = Parsed::new();
                chrono::format::parse(&mut parsed, text.trim(), items.iter()).ok()?;
                if let Some(seconds) = parsed.timestamp() {
                    let local = chrono::DateTime::from_timestamp(seconds, 0)?.naive_utc();
                    return Some(Clock { local, offset_s: None });
                }
                let date = parsed.to_naive_date().ok().or_else(|| month_only(&parsed))?;
                let time = match (parsed.hour_div_12(), parsed.hour_mod_12(), parsed.minute()) {
                    (None, None, None) => NaiveTime::MIN,
                    // Without minutes the hour is full.
                    (_, _, None) => {
                        parsed.set_minute(0).ok()?;
                        parsed.to_naive_time().ok()?
                    }
                    _ => parsed.to_naive_time().ok()?,
                };
                Some(Clock { local: date.and_time(time), offset_s: parsed.offset() })
            }
            Self::Template(fields) => template::read(fields, text.trim()),
        }
    }
}

/// `%Y-%m` and `%Y` are the first day.
fn month_only(parsed: &Parsed) -> Option<NaiveDate> {
    if parsed.day().is_some() || parsed.ordinal().is_some() {
        return None;
    }
    NaiveDate::from_ymd_opt(parsed.year()?, parsed.month().unwrap_or(1), 1)
}
