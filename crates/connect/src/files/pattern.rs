//! Globs with dates in them: `patients/patients_{date:%Y%m%d}.csv`. Beside `{date}` a pattern may hold `*`, `?`, `**`,
//! `[..]` and `{a,b}`; `*` and `?` stay within one folder.

use chrono::{
    NaiveDate,
    format::{Parsed, StrftimeItems, parse},
};
use globset::GlobBuilder;
use regex::bytes::Regex;

/// Stands for a date in the glob until the glob is a regular expression; letters only, so that neither escapes it.
const PLACEHOLDER: &str = "WARDLAKEDATEPLACEHOLDER";
/// What `{date}` without a format accepts.
const ANY_DATE: [(&str, &str); 3] =
    [(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", "%Y-%m-%d"), (r"[0-9]{4}_[0-9]{2}_[0-9]{2}", "%Y_%m_%d"), (r"[0-9]{8}", "%Y%m%d")];

/// One compiled `path` pattern.
#[derive(Clone, Debug)]
pub struct PathPattern {
    text: String,
    folder: String,
    regex: Regex,
    date_formats: Vec<String>,
}

impl PathPattern {
    /// Compiles a pattern. The error is a sentence without a subject.
    pub fn new(text: &str) -> Result<Self, String> {
        if text.trim().is_empty() {
            return Err("it is empty".to_owned());
        }
        let (glob, dates) = take_dates(text)?;
        let compiled =
            GlobBuilder::new(&glob).literal_separator(true).build().map_err(|error| error.kind().to_string())?;
        let mut regex = compiled.regex().to_owned();
        let mut date_formats = Vec::new();
        for (i, format) in dates.iter().enumerate() {
            let (date_regex, formats) = date_regex(format.as_deref())?;
            // Only the first date of a path orders it; the same pattern in two alternatives would repeat the group.
            let group = if i == 0 { format!("(?P<date>{date_regex})") } else { format!("(?:{date_regex})") };
            regex = regex.replacen(PLACEHOLDER, &group, 1);
            if i == 0 {
                date_formats = formats;
            }
        }
        let regex = Regex::new(&regex).map_err(|_| "its alternatives are not understood".to_owned())?;
        Ok(Self { text: text.to_owned(), folder: literal_folder(&glob).to_owned(), regex, date_formats })
    }

    /// The pattern as written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The folder every match lies in: the part before the first wildcard.
    pub(crate) fn folder(&self) -> &str {
        &self.folder
    }

    /// Whether `path` (with `/` between its parts) matches, and the date in it. A path whose digits are no date of the
    /// calendar matches without one.
    pub(crate) fn matches(&self, path: &str) -> Option<Option<NaiveDate>> {
        let captures = self.regex.captures(path.as_bytes())?;
        let text = captures.name("date").and_then(|found| std::str::from_utf8(found.as_bytes()).ok());
        Some(text.and_then(|text| self.date_formats.iter().find_map(|format| date_of(text, format))))
    }
}

/// The glob with placeholders, and the format of each date.
fn take_dates(text: &str) -> Result<(String, Vec<Option<String>>), String> {
    let mut glob = String::new();
    let mut dates = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find("{date") {
        let (before, tail) = rest.split_at(at);
        let end = tail.find('}').ok_or("`{date` is not closed by `}`")?;
        let inside = &tail["{date".len()..end];
        glob.push_str(before);
        match inside.strip_prefix(':') {
            Some(format) => dates.push(Some(format.to_owned())),
            None if inside.is_empty() => dates.push(None),
            None => return Err("a date is written as `{date}` or `{date:%Y%m%d}`".to_owned()),
        }
        glob.push_str(PLACEHOLDER);
        rest = &tail[end + 1..];
    }
    glob.push_str(rest);
    Ok((glob, dates))
}

fn literal_folder(glob: &str) -> &str {
    let wild = glob.find(['*', '?', '[', '{', '\\']).unwrap_or(glob.len());
    let wild = glob.find(PLACEHOLDER).map_or(wild, |at| at.min(wild));
    glob[..wild].rfind('/').map_or("", |slash| &glob[..slash.max(1)])
}

/// The regular expression of a date format and the formats to parse it by.
fn date_regex(format: Option<&str>) -> Result<(String, Vec<String>), String> {
    let Some(format) = format else {
        let alternatives: Vec<&str> = ANY_DATE.iter().map(|(regex, _)| *regex).collect();
        return Ok((alternatives.join("|"), ANY_DATE.iter().map(|(_, format)| (*format).to_owned()).collect()));
    };
    let mut out = String::new();
    let mut chars = format.chars();
    while let Some(c) = chars.next() {
        if c != '%' {
            out.push_str(&regex::escape(c.encode_utf8(&mut [0; 4])));
            continue;
        }
        out.push_str(match chars.next() {
            Some('Y') => "[0-9]{4}",
            Some('y' | 'm' | 'd' | 'H' | 'M' | 'S') => "[0-9]{2}",
            Some('j') => "[0-9]{3}",
            Some('b' | 'B') => "[A-Za-z]+",
            Some('%') => "%",
            Some(other) => return Err(format!("`%{other}` is none of %Y %y %m %d %j %b %B %H %M %S")),
            None => return Err("its date format ends in `%`".to_owned()),
        });
    }
    Ok((out, vec![format.to_owned()]))
}

fn date_of(text: &str, format: &str) -> Option<NaiveDate> {
    let mut parsed = Parsed::new();
    parse(&mut parsed, text, StrftimeItems::new(format)).ok()?;
    if let Ok(date) = parsed.to_naive_date() {
        return Some(date);
    }
    // A month or a year stands for its first day.
    let mut from_start = parsed.clone();
    from_start.set_day(1).ok()?;
    if let Ok(date) = from_start.to_naive_date() {
        return Some(date);
    }
    from_start.set_month(1).ok()?;
    from_start.to_naive_date().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_and_find_their_date() {
        let day = |y, m, d| Some(Some(NaiveDate::from_ymd_opt(y, m, d).unwrap()));
        for (pattern, path, expected) in [
            ("a/p_{date:%Y%m%d}.csv", "a/p_20250102.csv", day(2025, 1, 2)),
            ("a/p_{date:%Y%m%d}.csv", "a/p_20251399.csv", Some(None)),
            ("a/p_{date:%Y%m%d}.csv", "a/p_2025-01-02.csv", None),
            ("a/p_{date}.csv", "a/p_2025-01-02.csv", day(2025, 1, 2)),
            ("a/p_{date}.csv", "a/p_2025_01_02.csv", day(2025, 1, 2)),
            ("{date:%Y}/{date:%m}/x.csv", "2025/03/x.csv", day(2025, 1, 1)),
            ("{date:%Y/%m/%d}/x.csv", "2025/03/04/x.csv", day(2025, 3, 4)),
            ("{date:%Y-%m}.csv", "2025-03.csv", day(2025, 3, 1)),
            ("{date:%d%b%Y}.csv", "04Mar2025.csv", day(2025, 3, 4)),
            ("{date:%Y%m%d%H%M%S}.csv", "20250304050607.csv", day(2025, 3, 4)),
            ("*.csv", "a/b.csv", None),
            ("**/*.csv", "a/c/b.csv", Some(None)),
            ("**/*.csv", "b.csv", Some(None)),
            ("x/{a,b}_?.[ct]sv", "x/b_1.tsv", Some(None)),
            ("x/{a,b}_?.[ct]sv", "x/c_1.tsv", None),
        ] {
            assert_eq!(PathPattern::new(pattern).unwrap().matches(path), expected, "{pattern} {path}");
        }
        for bad in ["", "{date:%Q}", "{date", "{dates}", "[", "{a"] {
            assert!(PathPattern::new(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_folder_ends_before_the_first_wildcard() {
        for (pattern, folder) in
            [("a/b/*.csv", "a/b"), ("a/b_{date}/c.csv", "a"), ("x.csv", ""), ("/in/{a,b}.csv", "/in"), ("/*.csv", "/")]
        {
            assert_eq!(PathPattern::new(pattern).unwrap().folder(), folder);
        }
    }
}
