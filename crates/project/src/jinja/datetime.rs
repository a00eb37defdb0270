//! Python's `datetime`, `date`, `timedelta` and `pytz` as far as templates use them.

use std::{cmp::Ordering, fmt, sync::Arc};

use chrono::{DateTime, Datelike, Duration, NaiveDate, NaiveDateTime, NaiveTime, TimeZone, Timelike, Utc};
use chrono_tz::Tz;
use minijinja::{
    Error, ErrorKind, State, Value,
    value::{DynObject, Kwargs, Object, ObjectRepr, from_args},
};

use super::values::{invalid, tuple};

/// A `datetime`, with or without a time zone; the local time is what it shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Moment {
    local: NaiveDateTime,
    zone: Option<Tz>,
}

/// A `date`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Day(NaiveDate);

/// A `timedelta`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span(Duration);

/// A `pytz` time zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Zone(Tz);

impl Moment {
    /// An instant as UTC.
    pub(crate) fn utc(instant: DateTime<Utc>) -> Self {
        Self { local: instant.naive_utc(), zone: Some(Tz::UTC) }
    }

    /// The instant; without a zone the local time counts as UTC.
    fn instant(&self) -> DateTime<Utc> {
        match self.zone.and_then(|zone| zone.from_local_datetime(&self.local).earliest()) {
            Some(zoned) => zoned.with_timezone(&Utc),
            None => self.local.and_utc(),
        }
    }

    fn in_zone(instant: DateTime<Utc>, zone: Tz) -> Self {
        Self { local: instant.with_timezone(&zone).naive_local(), zone: Some(zone) }
    }

    fn format(&self, pattern: &str) -> Result<String, Error> {
        // Python's %f is microseconds, chrono's is nanoseconds.
        let pattern = pattern.replace("%f", "%6f");
        let mut out = String::new();
        let written = match self.zone {
            Some(zone) => fmt::Write::write_fmt(
                &mut out,
                format_args!("{}", self.instant().with_timezone(&zone).format(&pattern)),
            ),
            None => {
                let pattern = pattern.replace("%z", "").replace("%Z", "");
                fmt::Write::write_fmt(&mut out, format_args!("{}", self.local.format(&pattern)))
            }
        };
        written.map_err(|_| invalid("strftime does not know this format"))?;
        Ok(out)
    }

    fn isoformat(&self, separator: &str) -> String {
        let fraction = if self.local.nanosecond() >= 1000 { "%.6f" } else { "" };
        let offset =
            self.zone.map_or(String::new(), |zone| self.instant().with_timezone(&zone).format("%:z").to_string());
        format!("{}{offset}", self.local.format(&format!("%Y-%m-%d{separator}%H:%M:%S{fraction}")))
    }

    fn replace(&self, kwargs: &Kwargs) -> Result<Self, Error> {
        let part = |name: &str, now: u32| Ok::<u32, Error>(kwargs.get::<Option<u32>>(name)?.unwrap_or(now));
        let date = replace_date(self.local.date(), kwargs)?;
        let micros = part("microsecond", self.local.nanosecond() / 1000)?;
        let local = date
            .and_hms_micro_opt(
                part("hour", self.local.hour())?,
                part("minute", self.local.minute())?,
                part("second", self.local.second())?,
                micros,
            )
            .ok_or_else(|| invalid("no such time"))?;
        let zone = match kwargs.get::<Option<Value>>("tzinfo") {
            Ok(Some(zone)) if kwargs.has("tzinfo") => zone.downcast_object_ref::<Zone>().map(|zone| zone.0),
            _ if kwargs.has("tzinfo") => None,
            _ => self.zone,
        };
        kwargs.assert_all_used()?;
        Ok(Self { local, zone })
    }
}

fn replace_date(date: NaiveDate, kwargs: &Kwargs) -> Result<NaiveDate, Error> {
    let year = kwargs.get::<Option<i32>>("year")?.unwrap_or(date.year());
    let month = kwargs.get::<Option<u32>>("month")?.unwrap_or(date.month());
    let day = kwargs.get::<Option<u32>>("day")?.unwrap_or(date.day());
    NaiveDate::from_ymd_opt(year, month, day).ok_or_else(|| invalid("no such date"))
}

fn date_field(date: NaiveDate, name: &str) -> Option<Value> {
    Some(match name {
        "year" => Value::from(date.year()),
        "month" => Value::from(date.month()),
        "day" => Value::from(date.day()),
        _ => return None,
    })
}

fn date_method(date: NaiveDate, method: &str) -> Option<Value> {
    Some(match method {
        "weekday" => Value::from(date.weekday().num_days_from_monday()),
        "isoweekday" => Value::from(date.weekday().number_from_monday()),
        "isocalendar" => {
            let week = date.iso_week();
            tuple(vec![
                Value::from(week.year()),
                Value::from(week.week()),
                Value::from(date.weekday().number_from_monday()),
            ])
        }
        "toordinal" => Value::from(date.num_days_from_ce()),
        _ => return None,
    })
}

impl Object for Moment {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        Some(match key.as_str()? {
            "hour" => Value::from(self.local.hour()),
            "minute" => Value::from(self.local.minute()),
            "second" => Value::from(self.local.second()),
            "microsecond" => Value::from(self.local.nanosecond() / 1000),
            "tzinfo" => self.zone.map_or(Value::from(()), |zone| Value::from_object(Zone(zone))),
            name => date_field(self.local.date(), name)?,
        })
    }

    fn call_method(self: &Arc<Self>, _state: &mut State<'_, '_>, method: &str, args: &[Value]) -> Result<Value, Error> {
        Ok(match method {
            "strftime" => Value::from(self.format(&from_args::<(String,)>(args)?.0)?),
            "isoformat" => {
                let (separator, kwargs): (Option<String>, Kwargs) = from_args(args)?;
                let separator = match separator {
                    Some(separator) => Some(separator),
                    None => kwargs.get::<Option<String>>("sep")?,
                };
                Value::from(self.isoformat(separator.as_deref().unwrap_or("T")))
            }
            "date" => Value::from_object(Day(self.local.date())),
            "time" => Value::from(self.local.time().to_string()),
            "timestamp" => Value::from(self.instant().timestamp_micros() as f64 / 1e6),
            "replace" => Value::from_object(self.replace(&from_args::<(Kwargs,)>(args)?.0)?),
            "astimezone" => {
                let (zone,): (Value,) = from_args(args)?;
                Value::from_object(Self::in_zone(self.instant(), zone_of(&zone)?))
            }
            "utcoffset" => {
                let offset = self.instant().signed_duration_since(self.local.and_utc());
                Value::from_object(Span(-offset))
            }
            _ => return date_method(self.local.date(), method).ok_or_else(|| Error::from(ErrorKind::UnknownMethod)),
        })
    }

    fn custom_cmp(self: &Arc<Self>, other: &DynObject) -> Option<Ordering> {
        Some(self.instant().cmp(&other.downcast_ref::<Self>()?.instant()))
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.isoformat(" "))
    }
}

impl Object for Day {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        date_field(self.0, key.as_str()?)
    }

    fn call_method(self: &Arc<Self>, _state: &mut State<'_, '_>, method: &str, args: &[Value]) -> Result<Value, Error> {
        Ok(match method {
            "strftime" => {
                let (pattern,): (String,) = from_args(args)?;
                Value::from(Moment { local: self.0.and_time(NaiveTime::MIN), zone: None }.format(&pattern)?)
            }
            "isoformat" => Value::from(self.0.to_string()),
            "replace" => {
                let (kwargs,): (Kwargs,) = from_args(args)?;
                Value::from_object(Self(replace_date(self.0, &kwargs)?))
            }
            _ => return date_method(self.0, method).ok_or_else(|| Error::from(ErrorKind::UnknownMethod)),
        })
    }

    fn custom_cmp(self: &Arc<Self>, other: &DynObject) -> Option<Ordering> {
        Some(self.0.cmp(&other.downcast_ref::<Self>()?.0))
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl Object for Span {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let days = self.0.num_milliseconds().div_euclid(86_400_000);
        let rest = self.0 - Duration::days(days);
        Some(match key.as_str()? {
            "days" => Value::from(days),
            "seconds" => Value::from(rest.num_seconds()),
            "microseconds" => Value::from(rest.num_microseconds().unwrap_or_default() % 1_000_000),
            _ => return None,
        })
    }

    fn call_method(
        self: &Arc<Self>,
        _state: &mut State<'_, '_>,
        method: &str,
        _args: &[Value],
    ) -> Result<Value, Error> {
        match method {
            "total_seconds" => Ok(Value::from(self.0.num_microseconds().unwrap_or_default() as f64 / 1e6)),
            _ => Err(Error::from(ErrorKind::UnknownMethod)),
        }
    }

    fn custom_cmp(self: &Arc<Self>, other: &DynObject) -> Option<Ordering> {
        Some(self.0.cmp(&other.downcast_ref::<Self>()?.0))
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let days = self.0.num_milliseconds().div_euclid(86_400_000);
        let rest = (self.0 - Duration::days(days)).num_seconds();
        if days != 0 {
            write!(f, "{days} day{}, ", if days.abs() == 1 { "" } else { "s" })?;
        }
        write!(f, "{}:{:02}:{:02}", rest / 3600, rest / 60 % 60, rest % 60)
    }
}

impl Object for Zone {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn call_method(self: &Arc<Self>, _state: &mut State<'_, '_>, method: &str, args: &[Value]) -> Result<Value, Error> {
        match method {
            "localize" => {
                let (moment,): (Value,) = from_args(args)?;
                let moment =
                    moment.downcast_object_ref::<Moment>().ok_or_else(|| invalid("`localize` takes a datetime"))?;
                Ok(Value::from_object(Moment { local: moment.local, zone: Some(self.0) }))
            }
            _ => Err(Error::from(ErrorKind::UnknownMethod)),
        }
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.name())
    }
}

fn zone_of(value: &Value) -> Result<Tz, Error> {
    if let Some(zone) = value.downcast_object_ref::<Zone>() {
        return Ok(zone.0);
    }
    let name = value.as_str().unwrap_or_default();
    name.parse().map_err(|_| invalid(format!("there is no time zone {name:?}")))
}

/// `modules.pytz.timezone(name)`.
pub(crate) fn timezone(name: &Value) -> Result<Value, Error> {
    zone_of(name).map(|zone| Value::from_object(Zone(zone)))
}

/// `datetime.timedelta(...)`.
pub(crate) fn timedelta(args: &[Value]) -> Result<Value, Error> {
    let (days, seconds, micros, kwargs): (Option<f64>, Option<f64>, Option<f64>, Kwargs) = from_args(args)?;
    let mut total = days.unwrap_or(0.0) * 86_400e6 + seconds.unwrap_or(0.0) * 1e6 + micros.unwrap_or(0.0);
    for (unit, length) in [
        ("weeks", 604_800e6),
        ("days", 86_400e6),
        ("hours", 3_600e6),
        ("minutes", 60e6),
        ("seconds", 1e6),
        ("milliseconds", 1e3),
        ("microseconds", 1.0),
    ] {
        total += kwargs.get::<Option<f64>>(unit)?.unwrap_or(0.0) * length;
    }
    kwargs.assert_all_used()?;
    Ok(Value::from_object(Span(Duration::microseconds(total as i64))))
}

/// `datetime.date(year, month, day)`.
pub(crate) fn date(args: &[Value]) -> Result<Value, Error> {
    let (year, month, day, kwargs): (Option<i32>, Option<u32>, Option<u32>, Kwargs) = from_args(args)?;
    let start = NaiveDate::from_ymd_opt(year.unwrap_or(1), month.unwrap_or(1), day.unwrap_or(1))
        .ok_or_else(|| invalid("no such date"))?;
    Ok(Value::from_object(Day(replace_date(start, &kwargs)?)))
}

/// `datetime.datetime(year, month, day, hour, …)`.
pub(crate) fn datetime(args: &[Value]) -> Result<Value, Error> {
    let mut parts = [1u32, 1, 1, 0, 0, 0, 0];
    let positional = args.iter().take_while(|arg| !arg.is_kwargs()).count();
    for (part, arg) in parts.iter_mut().zip(&args[..positional]) {
        *part = u32::try_from(arg.clone())?;
    }
    let (kwargs,): (Kwargs,) = from_args(&args[positional..])?;
    let [year, month, day, hour, minute, second, micros] = parts;
    let local = NaiveDate::from_ymd_opt(i32::try_from(year).unwrap_or(1), month, day)
        .and_then(|date| date.and_hms_micro_opt(hour, minute, second, micros))
        .ok_or_else(|| invalid("no such date or time"))?;
    Ok(Value::from_object(Moment { local, zone: None }.replace(&kwargs)?))
}

/// `datetime.datetime.now(tz)`; without a zone in UTC, so that a build does not depend on the machine's zone.
pub(crate) fn now(args: &[Value]) -> Result<Value, Error> {
    let (zone, kwargs): (Option<Value>, Kwargs) = from_args(args)?;
    let zone = match zone {
        Some(zone) => Some(zone),
        None => kwargs.get::<Option<Value>>("tz")?,
    };
    let now = Utc::now();
    Ok(Value::from_object(match zone {
        Some(zone) => Moment::in_zone(now, zone_of(&zone)?),
        None => Moment { local: now.naive_utc(), zone: None },
    }))
}

/// `datetime.date.today()`.
pub(crate) fn today() -> Value {
    Value::from_object(Day(Utc::now().date_naive()))
}

/// `datetime.datetime.strptime(text, format)`.
pub(crate) fn strptime(args: &[Value]) -> Result<Value, Error> {
    let (text, pattern): (String, String) = from_args(args)?;
    let pattern = pattern.replace(".%f", "%.f");
    if let Ok(zoned) = DateTime::parse_from_str(&text, &pattern) {
        return Ok(Value::from_object(Moment::utc(zoned.with_timezone(&Utc))));
    }
    let local = NaiveDateTime::parse_from_str(&text, &pattern)
        .or_else(|_| NaiveDate::parse_from_str(&text, &pattern).map(|date| date.and_time(NaiveTime::MIN)))
        // Python fills a missing day with the first, chrono refuses.
        .or_else(|_| {
            NaiveDate::parse_from_str(&format!("{text} 01"), &format!("{pattern} %d"))
                .map(|date| date.and_time(NaiveTime::MIN))
        })
        .map_err(|_| invalid(format!("the text does not match the format {pattern:?}")))?;
    Ok(Value::from_object(Moment { local, zone: None }))
}

/// `fromisoformat` of `datetime` and `date`.
pub(crate) fn from_iso(args: &[Value], is_date: bool) -> Result<Value, Error> {
    let (text,): (String,) = from_args(args)?;
    if let Ok(date) = text.parse::<NaiveDate>() {
        return Ok(if is_date {
            Value::from_object(Day(date))
        } else {
            Value::from_object(Moment { local: date.and_time(NaiveTime::MIN), zone: None })
        });
    }
    if let Ok(zoned) = DateTime::parse_from_rfc3339(&text) {
        return Ok(Value::from_object(Moment::utc(zoned.with_timezone(&Utc))));
    }
    let local = text.replacen(' ', "T", 1).parse().map_err(|_| invalid("the text is no ISO date or time"))?;
    Ok(Value::from_object(Moment { local, zone: None }))
}

/// `a + b`, if one of them is a date or a duration.
pub(crate) fn add(a: &Value, b: &Value) -> Option<Result<Value, Error>> {
    let (moment, span) = match (a.downcast_object_ref::<Span>(), b.downcast_object_ref::<Span>()) {
        (Some(x), Some(y)) => return Some(Ok(Value::from_object(Span(x.0 + y.0)))),
        (Some(span), None) => (b, span.0),
        (None, Some(span)) => (a, span.0),
        (None, None) => return None,
    };
    shift(moment, span)
}

/// `a - b`, if one of them is a date or a duration.
pub(crate) fn subtract(a: &Value, b: &Value) -> Option<Result<Value, Error>> {
    if let Some(span) = b.downcast_object_ref::<Span>() {
        return match a.downcast_object_ref::<Span>() {
            Some(other) => Some(Ok(Value::from_object(Span(other.0 - span.0)))),
            None => shift(a, -span.0),
        };
    }
    if let (Some(x), Some(y)) = (a.downcast_object_ref::<Moment>(), b.downcast_object_ref::<Moment>()) {
        return Some(Ok(Value::from_object(Span(x.instant() - y.instant()))));
    }
    let (x, y) = (a.downcast_object_ref::<Day>()?, b.downcast_object_ref::<Day>()?);
    Some(Ok(Value::from_object(Span(x.0 - y.0))))
}

/// A duration taken `count` times.
pub(crate) fn multiply(span: &Value, count: i64) -> Option<Value> {
    let span = span.downcast_object_ref::<Span>()?;
    let micros = span.0.num_microseconds()?.checked_mul(count)?;
    Some(Value::from_object(Span(Duration::microseconds(micros))))
}

fn shift(moment: &Value, span: Duration) -> Option<Result<Value, Error>> {
    let beyond = || invalid("the date is out of range");
    if let Some(moment) = moment.downcast_object_ref::<Moment>() {
        let local = moment.local.checked_add_signed(span).ok_or_else(beyond);
        return Some(local.map(|local| Value::from_object(Moment { local, zone: moment.zone })));
    }
    let day = moment.downcast_object_ref::<Day>()?;
    let days = Duration::days(span.num_milliseconds().div_euclid(86_400_000));
    Some(day.0.checked_add_signed(days).map(|day| Value::from_object(Day(day))).ok_or_else(beyond))
}
