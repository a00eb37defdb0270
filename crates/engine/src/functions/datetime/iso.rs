//! Reading ISO 8601 and HL7 text: dates, timestamps with `T` or a space, fractions, and an own offset.

use chrono::{NaiveDate, NaiveDateTime, NaiveTime};

/// A wall-clock time as written, with its offset if it had one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::functions) struct Written {
    /// The wall-clock time.
    pub(in crate::functions) local: NaiveDateTime,
    /// Seconds east of UTC.
    pub(in crate::functions) offset_s: Option<i32>,
}

impl Written {
    /// Microseconds since 1970; text without an offset counts as UTC.
    pub(in crate::functions) fn utc(self) -> Option<i64> {
        let us = self.local.and_utc().timestamp_micros();
        us.checked_sub(i64::from(self.offset_s.unwrap_or(0)) * 1_000_000)
    }
}

/// Reads `2024-02-29`, `2024-02-29 13:45`, `2024-02-29T13:45:30.123456-05:00`, `20240229`, `20240229134530`,
/// `20240229134530.12-0500`; spaces around it do not matter. None for anything else, impossible dates included.
pub(in crate::functions) fn parse(text: &str) -> Option<Written> {
    let text = text.trim();
    if !text.is_ascii() {
        return None;
    }
    let mut reader = Reader { rest: text.as_bytes() };
    let year = reader.digits(4)?;
    let separator = reader.rest.first().copied().filter(|byte| matches!(byte, b'-' | b'/'));
    let (month, day) = match separator {
        Some(separator) => {
            reader.eat(separator);
            let month = reader.one_or_two_digits()?;
            if !reader.eat(separator) {
                return None;
            }
            (month, reader.one_or_two_digits()?)
        }
        None => (reader.digits(2)?, reader.digits(2)?),
    };
    let date = NaiveDate::from_ymd_opt(i32::try_from(year).ok()?, month, day)?;
    if reader.rest.is_empty() {
        return Some(Written { local: date.and_time(NaiveTime::MIN), offset_s: None });
    }
    if reader.eat(b'T') || reader.eat(b't') || reader.eat(b' ') {
        while reader.eat(b' ') {}
    } else if separator.is_some() {
        return None;
    }
    let time = reader.time()?;
    let offset_s = reader.offset()?;
    reader.rest.is_empty().then_some(Written { local: date.and_time(time), offset_s })
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl Reader<'_> {
    fn eat(&mut self, byte: u8) -> bool {
        match self.rest.split_first() {
            Some((&first, rest)) if first == byte => {
                self.rest = rest;
                true
            }
            _ => false,
        }
    }

    fn digits(&mut self, count: usize) -> Option<u32> {
        let (digits, rest) = self.rest.split_at_checked(count)?;
        let mut value = 0;
        for digit in digits {
            if !digit.is_ascii_digit() {
                return None;
            }
            value = value * 10 + u32::from(digit - b'0');
        }
        self.rest = rest;
        Some(value)
    }

    fn one_or_two_digits(&mut self) -> Option<u32> {
        self.digits(2).or_else(|| self.digits(1))
    }

    /// `HH:MM[:SS[.f…]]` or `HHMM[SS[.f…]]`. Digits after the sixth of the fraction are cut.
    fn time(&mut self) -> Option<NaiveTime> {
        let hour = if self.rest.get(1) == Some(&b':') { self.digits(1)? } else { self.digits(2)? };
        let colon = self.eat(b':');
        let minute = self.digits(2)?;
        let (mut second, mut micro) = (0, 0);
        let has_second = if colon { self.eat(b':') } else { self.rest.first().is_some_and(u8::is_ascii_digit) };
        if has_second {
            second = self.digits(2)?;
            if self.eat(b'.') || self.eat(b',') {
                let mut scale = 100_000;
                let mut read = 0;
                while let Some(digit) = self.digits(1) {
                    micro += digit * scale;
                    scale /= 10;
                    read += 1;
                }
                if read == 0 {
                    return None;
                }
            }
        }
        NaiveTime::from_hms_micro_opt(hour, minute, second, micro)
    }

    /// Nothing, `Z`, `UTC`, `±HH`, `±HHMM` or `±HH:MM`. The outer None is text that is none of them.
    fn offset(&mut self) -> Option<Option<i32>> {
        while self.eat(b' ') {}
        if self.rest.is_empty() {
            return Some(None);
        }
        if self.rest.eq_ignore_ascii_case(b"z") || self.rest.eq_ignore_ascii_case(b"utc") {
            self.rest = &[];
            return Some(Some(0));
        }
        let sign = if self.eat(b'+') {
            1
        } else if self.eat(b'-') {
            -1
        } else {
            return None;
        };
        let hours = i32::try_from(self.digits(2)?).ok()?;
        let colon = self.eat(b':');
        let minutes = if colon || !self.rest.is_empty() { i32::try_from(self.digits(2)?).ok()? } else { 0 };
        // The widest offset in use is +14:00.
        (hours <= 15 && minutes < 60).then_some(Some(sign * (hours * 3_600 + minutes * 60)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_hospitals_write() {
        for (text, expected) in [
            ("2024-02-29", Some("2024-02-29 00:00:00")),
            (" 2024-02-29 13:45 ", Some("2024-02-29 13:45:00")),
            ("2024-02-29T13:45:30.123456", Some("2024-02-29 13:45:30.123456")),
            ("2024-02-29T13:45:30.1234567", Some("2024-02-29 13:45:30.123456")),
            ("2024-02-29T13:45:30-05:00", Some("2024-02-29 18:45:30")),
            ("20240229134530.12-0500", Some("2024-02-29 18:45:30.120")),
            ("20240229", Some("2024-02-29 00:00:00")),
            ("202402291345", Some("2024-02-29 13:45:00")),
            ("2024-02-29T13:45:30Z", Some("2024-02-29 13:45:30")),
            ("9999-12-31", Some("9999-12-31 00:00:00")),
            ("2024-2-9 7:05", Some("2024-02-09 07:05:00")),
            ("2024/02/29", Some("2024-02-29 00:00:00")),
            ("2023-02-29", None),
            ("2024-13-01", None),
            ("2024-02-29T25:00", None),
            ("2024-02-29 13:45 o'clock", None),
            ("", None),
            ("2024", None),
        ] {
            let read = parse(text).and_then(Written::utc).and_then(chrono::DateTime::from_timestamp_micros);
            assert_eq!(read.map(|at| at.naive_utc().to_string()).as_deref(), expected, "{text}");
        }
    }
}
