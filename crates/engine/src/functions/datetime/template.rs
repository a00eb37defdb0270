//! PostgreSQL date patterns. Letters that mean nothing stand for themselves, as there.

use std::fmt::Write;

use chrono::{Datelike, NaiveDate, NaiveTime, Timelike};

use super::{part::second_of_day, pattern::Clock};

/// What a stretch of a pattern stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::functions) enum Kind {
    /// Year with this many last digits.
    Year(u8),
    /// `Y,YYY`.
    YearComma,
    /// Year of the ISO week with this many last digits.
    IsoYear(u8),
    Century,
    Quarter,
    Month,
    MonthShort,
    MonthName,
    /// Day of the month.
    Day,
    DayOfYear,
    /// Sunday is 1.
    DayOfWeek,
    /// Monday is 1.
    IsoDayOfWeek,
    DayShort,
    DayName,
    IsoWeek,
    /// Week of the year, the first starting on January 1st.
    WeekOfYear,
    WeekOfMonth,
    /// Days since November 24, 4714 BC.
    Julian,
    Hour24,
    Hour12,
    Minute,
    Second,
    /// Digits of the fraction of a second.
    Fraction(u8),
    SecondOfDay,
    /// AM or PM, with dots or without.
    Meridiem {
        dots: bool,
    },
    /// `+HH` or `+HH:MM`.
    Offset,
    OffsetHour,
    OffsetMinute,
    /// `UTC` or the offset.
    Zone,
    /// One character that stands for itself.
    Literal(char),
}

/// The case of a name, taken from the pattern's own case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::functions) enum Case {
    Upper,
    Title,
    Lower,
}

/// One field of a compiled pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::functions) struct Field {
    kind: Kind,
    case: Case,
    /// `FM`: no leading zeros, no padding of names.
    fill: bool,
    /// `TH` or `th` behind a number.
    ordinal: Option<Case>,
}

/// Keywords, longer before shorter where one starts with the other.
const KEYWORDS: [(&str, Kind); 45] = [
    ("SSSSS", Kind::SecondOfDay),
    ("SSSS", Kind::SecondOfDay),
    ("Y,YYY", Kind::YearComma),
    ("YYYY", Kind::Year(4)),
    ("YYY", Kind::Year(3)),
    ("YY", Kind::Year(2)),
    ("Y", Kind::Year(1)),
    ("IYYY", Kind::IsoYear(4)),
    ("IYY", Kind::IsoYear(3)),
    ("IY", Kind::IsoYear(2)),
    ("IDDD", Kind::DayOfYear),
    ("ID", Kind::IsoDayOfWeek),
    ("IW", Kind::IsoWeek),
    ("I", Kind::IsoYear(1)),
    ("MONTH", Kind::MonthName),
    ("MON", Kind::MonthShort),
    ("MMMM", Kind::MonthName),
    ("MM", Kind::Month),
    ("MI", Kind::Minute),
    ("MS", Kind::Fraction(3)),
    ("DAY", Kind::DayName),
    ("DDD", Kind::DayOfYear),
    ("DD", Kind::Day),
    ("DY", Kind::DayShort),
    ("D", Kind::DayOfWeek),
    ("HH24", Kind::Hour24),
    ("HH12", Kind::Hour12),
    ("HH", Kind::Hour12),
    ("SS", Kind::Second),
    ("US", Kind::Fraction(6)),
    ("FF1", Kind::Fraction(1)),
    ("FF2", Kind::Fraction(2)),
    ("FF3", Kind::Fraction(3)),
    ("FF4", Kind::Fraction(4)),
    ("FF5", Kind::Fraction(5)),
    ("FF", Kind::Fraction(6)),
    ("WW", Kind::WeekOfYear),
    ("W", Kind::WeekOfMonth),
    ("CC", Kind::Century),
    ("Q", Kind::Quarter),
    ("J", Kind::Julian),
    ("TZH", Kind::OffsetHour),
    ("TZM", Kind::OffsetMinute),
    ("TZ", Kind::Zone),
    ("OF", Kind::Offset),
];

const MERIDIEMS: [&str; 4] = ["A.M.", "P.M.", "AM", "PM"];

fn starts_with(text: &str, keyword: &str) -> bool {
    text.as_bytes().get(..keyword.len()).is_some_and(|start| start.eq_ignore_ascii_case(keyword.as_bytes()))
}

fn case_of(keyword: &str) -> Case {
    let mut letters = keyword.chars().filter(char::is_ascii_alphabetic);
    match (letters.next(), letters.next()) {
        (Some(first), _) if first.is_ascii_lowercase() => Case::Lower,
        (_, Some(second)) if second.is_ascii_lowercase() => Case::Title,
        _ => Case::Upper,
    }
}

/// Splits a pattern into fields.
pub(super) fn compile(pattern: &str) -> Vec<Field> {
    let mut fields = Vec::new();
    let mut rest = pattern;
    while let Some(first) = rest.chars().next() {
        let fill = starts_with(rest, "FM");
        if fill || starts_with(rest, "TM") {
            rest = &rest[2..];
        }
        if first == '"' {
            let (text, after) = rest[1..].split_once('"').unwrap_or((&rest[1..], ""));
            fields.extend(text.chars().map(literal));
            rest = after;
            continue;
        }
        let meridiem = MERIDIEMS.iter().find(|keyword| starts_with(rest, keyword));
        let keyword = KEYWORDS.iter().find(|(keyword, _)| starts_with(rest, keyword));
        let (length, kind) = match (meridiem, keyword) {
            (Some(keyword), _) => (keyword.len(), Kind::Meridiem { dots: keyword.contains('.') }),
            (None, Some((keyword, kind))) => (keyword.len(), *kind),
            (None, None) => {
                if let Some(character) = rest.chars().next() {
                    fields.push(literal(character));
                    rest = &rest[character.len_utf8()..];
                }
                continue;
            }
        };
        let (written, after) = rest.split_at(length);
        // `TH` follows a number; `THH24` is a literal T and an hour.
        let ordinal = (starts_with(after, "TH") && !starts_with(after, "THH")).then(|| case_of(after));
        fields.push(Field { kind, case: case_of(written), fill, ordinal });
        rest = if ordinal.is_some() { &after[2..] } else { after };
    }
    fields
}

fn literal(character: char) -> Field {
    Field { kind: Kind::Literal(character), case: Case::Upper, fill: false, ordinal: None }
}

/// Writes a time.
pub(super) fn write(fields: &[Field], clock: Clock, out: &mut String) -> Option<()> {
    for field in fields {
        write_field(field, clock, out)?;
    }
    Some(())
}

fn write_field(field: &Field, clock: Clock, out: &mut String) -> Option<()> {
    let at = clock.local;
    let week = at.iso_week();
    let offset = clock.offset_s.unwrap_or(0);
    let (value, width) = match field.kind {
        Kind::Year(digits) => (last_digits(at.year(), digits), digits),
        Kind::IsoYear(digits) => (last_digits(week.year(), digits), digits),
        Kind::YearComma => {
            return write!(out, "{},{:03}", at.year().div_euclid(1_000), at.year().rem_euclid(1_000)).ok();
        }
        Kind::Century => (i64::from((at.year() - 1).div_euclid(100) + 1), 2),
        Kind::Quarter => (i64::from(at.month0() / 3 + 1), 1),
        Kind::Month => (i64::from(at.month()), 2),
        Kind::Day => (i64::from(at.day()), 2),
        Kind::DayOfYear => (i64::from(at.ordinal()), 3),
        Kind::DayOfWeek => (i64::from(at.weekday().number_from_sunday()), 1),
        Kind::IsoDayOfWeek => (i64::from(at.weekday().number_from_monday()), 1),
        Kind::IsoWeek => (i64::from(week.week()), 2),
        Kind::WeekOfYear => (i64::from(at.ordinal0() / 7 + 1), 2),
        Kind::WeekOfMonth => (i64::from(at.day0() / 7 + 1), 1),
        Kind::Julian => (i64::from(at.num_days_from_ce()) + 1_721_425, 1),
        Kind::Hour24 => (i64::from(at.hour()), 2),
        Kind::Hour12 => (i64::from(at.hour12().1), 2),
        Kind::Minute => (i64::from(at.minute()), 2),
        Kind::Second => (i64::from(at.second()), 2),
        Kind::SecondOfDay => (i64::from(second_of_day(at)), 1),
        Kind::Fraction(digits) => {
            let micros = at.nanosecond() / 1_000 % 1_000_000;
            (i64::from(micros) / 10_i64.pow(u32::from(6 - digits)), digits)
        }
        Kind::OffsetHour => return write!(out, "{}{:02}", sign(offset), offset.abs() / 3_600).ok(),
        Kind::OffsetMinute => (i64::from(offset.abs() / 60 % 60), 2),
        Kind::Zone if offset == 0 => return write!(out, "UTC").ok(),
        Kind::Zone | Kind::Offset => return write_offset(offset, out),
        Kind::Meridiem { dots } => {
            let text = match (at.hour12().0, dots) {
                (true, true) => "P.M.",
                (false, true) => "A.M.",
                (true, false) => "PM",
                (false, false) => "AM",
            };
            out.push_str(&if field.case == Case::Lower { text.to_lowercase() } else { text.to_owned() });
            return Some(());
        }
        Kind::MonthName => return write_name(field, MONTHS.get(at.month0() as usize)?, 9, out),
        Kind::MonthShort => return write_name(field, MONTHS.get(at.month0() as usize)?.get(..3)?, 3, out),
        Kind::DayName => return write_name(field, DAYS.get(at.weekday().num_days_from_monday() as usize)?, 9, out),
        Kind::DayShort => {
            return write_name(field, DAYS.get(at.weekday().num_days_from_monday() as usize)?.get(..3)?, 3, out);
        }
        Kind::Literal(character) => {
            out.push(character);
            return Some(());
        }
    };
    let width = if field.fill && !matches!(field.kind, Kind::Fraction(_)) { 1 } else { usize::from(width) };
    write!(out, "{value:0width$}").ok()?;
    if let Some(case) = field.ordinal {
        let suffix = ordinal_suffix(value);
        out.push_str(&if case == Case::Lower { suffix.to_owned() } else { suffix.to_uppercase() });
    }
    Some(())
}

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const DAYS: [&str; 7] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];

fn last_digits(year: i32, digits: u8) -> i64 {
    if digits == 4 { i64::from(year) } else { i64::from(year.rem_euclid(10_i32.pow(u32::from(digits)))) }
}

fn sign(offset: i32) -> char {
    if offset < 0 { '-' } else { '+' }
}

fn write_offset(offset: i32, out: &mut String) -> Option<()> {
    write!(out, "{}{:02}", sign(offset), offset.abs() / 3_600).ok()?;
    let minutes = offset.abs() / 60 % 60;
    if minutes != 0 {
        write!(out, ":{minutes:02}").ok()?;
    }
    Some(())
}

fn write_name(field: &Field, name: &str, width: usize, out: &mut String) -> Option<()> {
    let name = match field.case {
        Case::Upper => name.to_uppercase(),
        Case::Title => name.to_owned(),
        Case::Lower => name.to_lowercase(),
    };
    let width = if field.fill { 0 } else { width };
    write!(out, "{name:width$}").ok()
}

fn ordinal_suffix(value: i64) -> &'static str {
    match (value % 100, value % 10) {
        (11..=13, _) => "th",
        (_, 1) => "st",
        (_, 2) => "nd",
        (_, 3) => "rd",
        _ => "th",
    }
}

/// What has been read of a time so far.
#[derive(Default)]
struct Reading {
    year: Option<i32>,
    month: Option<u32>,
    day: Option<u32>,
    day_of_year: Option<u32>,
    iso_year: Option<i32>,
    iso_week: Option<u32>,
    iso_day: Option<u32>,
    hour24: Option<u32>,
    hour12: Option<u32>,
    is_pm: Option<bool>,
    minute: u32,
    second: u32,
    micro: u32,
    second_of_day: Option<u32>,
    offset_s: Option<i32>,
}

/// Reads a time. White space in the pattern matches any amount of it, other literals themselves; all text must be used.
pub(super) fn read(fields: &[Field], text: &str) -> Option<Clock> {
    let mut reading = Reading::default();
    let mut rest = text;
    for (i, field) in fields.iter().enumerate() {
        // Digits of the next number belong to it only if the two touch: YYYYMMDD, but not YYYY-MM-DD.
        let touches = fields.get(i + 1).is_some_and(|next| !matches!(next.kind, Kind::Literal(_)));
        rest = read_field(field, rest, touches, &mut reading)?;
    }
    if !rest.trim().is_empty() {
        return None;
    }
    let local = reading.date()?.and_time(reading.time()?);
    Some(Clock { local, offset_s: reading.offset_s })
}

fn read_field<'a>(field: &Field, text: &'a str, touches: bool, reading: &mut Reading) -> Option<&'a str> {
    let number = |width: usize| take_number(text, width);
    match field.kind {
        Kind::Literal(character) if character.is_whitespace() => Some(text.trim_start()),
        Kind::Literal(character) => text.strip_prefix(character),
        Kind::Year(digits) => {
            let (value, rest) = number(if touches { usize::from(digits) } else { 4.max(usize::from(digits)) })?;
            let written = text.trim_start().len() - rest.len();
            reading.year = Some(full_year(i32::try_from(value).ok()?, written));
            Some(rest)
        }
        Kind::IsoYear(_) => store(number(4)?, |value| reading.iso_year = i32::try_from(value).ok()),
        Kind::Month => store(number(2)?, |value| reading.month = Some(value)),
        Kind::Day => store(ordinal(number(2)?, field), |value| reading.day = Some(value)),
        Kind::DayOfYear => store(number(3)?, |value| reading.day_of_year = Some(value)),
        Kind::IsoWeek => store(number(2)?, |value| reading.iso_week = Some(value)),
        Kind::IsoDayOfWeek => store(number(1)?, |value| reading.iso_day = Some(value)),
        Kind::Hour24 => store(number(2)?, |value| reading.hour24 = Some(value)),
        Kind::Hour12 => store(number(2)?, |value| reading.hour12 = Some(value)),
        Kind::Minute => store(number(2)?, |value| reading.minute = value),
        Kind::Second => store(number(2)?, |value| reading.second = value),
        Kind::SecondOfDay => store(number(5)?, |value| reading.second_of_day = Some(value)),
        Kind::Fraction(_) => {
            let digits = text.bytes().take_while(u8::is_ascii_digit).count();
            let (written, rest) = text.split_at(digits);
            let micros = format!("{:0<6.6}", written);
            reading.micro = if digits == 0 { return None } else { micros.parse().ok()? };
            Some(rest)
        }
        Kind::Quarter | Kind::DayOfWeek | Kind::WeekOfMonth => store(number(1)?, |_| ()),
        Kind::WeekOfYear | Kind::Century => store(number(2)?, |_| ()),
        Kind::MonthName | Kind::MonthShort => {
            let (index, rest) = take_name(text, &MONTHS)?;
            reading.month = Some(index + 1);
            Some(rest)
        }
        Kind::DayName | Kind::DayShort => take_name(text, &DAYS).map(|(_, rest)| rest),
        Kind::Meridiem { .. } => {
            let keyword = MERIDIEMS.iter().find(|keyword| starts_with(text, keyword))?;
            reading.is_pm = Some(keyword.starts_with('P'));
            text.get(keyword.len()..)
        }
        Kind::OffsetHour => {
            let sign = if text.starts_with('-') { -1 } else { 1 };
            let (value, rest) = take_number(text.trim_start_matches(['+', '-']), 2)?;
            reading.offset_s = Some(sign * i32::try_from(value).ok()? * 3_600);
            Some(rest)
        }
        Kind::OffsetMinute => {
            let (value, rest) = number(2)?;
            let hours = reading.offset_s.unwrap_or(0);
            let minutes = i32::try_from(value).ok()? * 60;
            reading.offset_s = Some(if hours < 0 { hours - minutes } else { hours + minutes });
            Some(rest)
        }
        Kind::Zone | Kind::Offset => read_offset(text, reading),
        Kind::YearComma | Kind::Julian => None,
    }
}

fn store(read: (u32, &str), set: impl FnOnce(u32)) -> Option<&str> {
    set(read.0);
    Some(read.1)
}

fn ordinal<'a>((value, rest): (u32, &'a str), field: &Field) -> (u32, &'a str) {
    if field.ordinal.is_some() { (value, rest.get(2..).unwrap_or("")) } else { (value, rest) }
}

/// Two-digit years lie between 1970 and 2069, as in PostgreSQL.
fn full_year(value: i32, digits: usize) -> i32 {
    match (digits, value) {
        (1 | 2, 0..70) => 2_000 + value,
        (1 | 2, _) => 1_900 + value,
        (3, 0..520) => 2_000 + value,
        (3, _) => 1_000 + value,
        _ => value,
    }
}

fn take_number(text: &str, width: usize) -> Option<(u32, &str)> {
    let text = text.trim_start();
    let digits = text.bytes().take(width).take_while(u8::is_ascii_digit).count();
    let (written, rest) = text.split_at(digits);
    Some((written.parse().ok()?, rest))
}

/// A full name or its first three letters, in any case.
fn take_name<'a>(text: &'a str, names: &[&str]) -> Option<(u32, &'a str)> {
    for (i, name) in names.iter().enumerate() {
        let Some(short) = name.get(..3) else { continue };
        if starts_with(text, short) {
            let length = if starts_with(text, name) { name.len() } else { 3 };
            return Some((u32::try_from(i).ok()?, text.get(length..)?.trim_start_matches('.')));
        }
    }
    None
}

fn read_offset<'a>(text: &'a str, reading: &mut Reading) -> Option<&'a str> {
    for name in ["UTC", "GMT", "Z"] {
        if starts_with(text, name) {
            reading.offset_s = Some(0);
            return text.get(name.len()..);
        }
    }
    let sign = match text.bytes().next()? {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let (hours, rest) = take_number(&text[1..], 2)?;
    let rest = rest.strip_prefix(':').unwrap_or(rest);
    let (minutes, rest) = take_number(rest, 2).unwrap_or((0, rest));
    reading.offset_s = Some(sign * i32::try_from(hours * 3_600 + minutes * 60).ok()?);
    Some(rest)
}

impl Reading {
    fn date(&self) -> Option<NaiveDate> {
        if let (Some(year), Some(week)) = (self.iso_year, self.iso_week) {
            let day = chrono::Weekday::try_from(u8::try_from(self.iso_day.unwrap_or(1).checked_sub(1)?).ok()?).ok()?;
            return NaiveDate::from_isoywd_opt(year, week, day);
        }
        let year = self.year?;
        match self.day_of_year {
            Some(day) => NaiveDate::from_yo_opt(year, day),
            None => NaiveDate::from_ymd_opt(year, self.month.unwrap_or(1), self.day.unwrap_or(1)),
        }
    }

    fn time(&self) -> Option<NaiveTime> {
        if let Some(seconds) = self.second_of_day {
            return NaiveTime::from_num_seconds_from_midnight_opt(seconds, 0);
        }
        let hour = match (self.hour24, self.hour12, self.is_pm) {
            (Some(hour), _, _) => hour,
            (None, Some(hour), Some(is_pm)) => {
                if !(1..=12).contains(&hour) {
                    return None;
                }
                hour % 12 + if is_pm { 12 } else { 0 }
            }
            (None, hour, _) => hour.unwrap_or(0),
        };
        NaiveTime::from_hms_micro_opt(hour, self.minute, self.second, self.micro)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(pattern: &str) -> String {
        let local = NaiveDate::from_ymd_opt(2024, 2, 9).unwrap().and_hms_micro_opt(13, 5, 7, 123_456).unwrap();
        let mut out = String::new();
        write(&compile(pattern), Clock { local, offset_s: Some(-18_000) }, &mut out).unwrap();
        out
    }

    #[test]
    fn writes_like_postgres() {
        for (pattern, expected) in [
            ("YYYY-MM-DD HH24:MI:SS", "2024-02-09 13:05:07"),
            ("YYYY-MM-DDTHH24:MI:SS.MS", "2024-02-09T13:05:07.123"),
            ("Mon DD, YYYY", "Feb 09, 2024"),
            ("FMMonth FMDDth", "February 9th"),
            ("Month|", "February |"),
            ("DAY|Dy|day", "FRIDAY   |Fri|friday   "),
            ("HH12:MI AM", "01:05 PM"),
            ("hh:mi a.m.", "01:05 p.m."),
            ("IYYY-\"W\"IW-ID", "2024-W06-5"),
            ("YY Q DDD J US", "24 1 040 2460350 123456"),
            ("\"Day\": Dy", "Day: Fri"),
            ("SSSS OF TZH:TZM", "47107 -05 -05:00"),
        ] {
            assert_eq!(written(pattern), expected, "{pattern}");
        }
    }

    #[test]
    fn reads_like_postgres() {
        for (pattern, text, expected) in [
            ("YYYYMMDD", "20240229", Some("2024-02-29 00:00:00")),
            ("MM/DD/YYYY", "2/9/2024", Some("2024-02-09 00:00:00")),
            ("DD-Mon-YY", "09-feb-24", Some("2024-02-09 00:00:00")),
            ("DD Month YYYY HH12:MI PM", "9 February 2024 1:05 pm", Some("2024-02-09 13:05:00")),
            ("YYYY-MM-DD HH24:MI:SS.US", "2024-02-09 13:05:07.5", Some("2024-02-09 13:05:07.500")),
            ("YYYY-DDD", "2024-060", Some("2024-02-29 00:00:00")),
            ("YYYY-MM-DD", "2024-13-01", None),
            ("YYYY-MM-DD", "2024-01-01 x", None),
            ("YYYY-MM-DD", "n/a", None),
            ("HH12 AM YYYY", "13 AM 2024", None),
        ] {
            let read = read(&compile(pattern), text).map(|clock| clock.local.to_string());
            assert_eq!(read.as_deref(), expected, "{pattern} {text}");
        }
    }
}
