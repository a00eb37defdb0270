//! HL7's way to write a time: `YYYY[MM[DD[HH[MM[SS[.S[S[S[S]]]]]]]]][±ZZZZ]`. It is kept as written; all that is added is the
//! zone, which a field without one has from the header (HL7 2.5.1, chapter 2.A.22).

use std::borrow::Cow;

/// The time without its zone, and the zone; `None` if `text` is no time.
fn parts(text: &str) -> Option<(&str, &str)> {
    let (time, zone) = text.split_at(text.find(['+', '-']).unwrap_or(text.len()));
    let (digits, fraction) = time.split_at(time.find('.').unwrap_or(time.len()));
    let is_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let is_whole = matches!(digits.len(), 4 | 6 | 8 | 10 | 12 | 14) && is_digits(digits);
    let is_fraction = fraction.is_empty() || digits.len() == 14 && fraction.len() > 1 && is_digits(&fraction[1..]);
    let is_zone = zone.is_empty() || zone.len() == 5 && is_digits(&zone[1..]);
    (is_whole && is_fraction && is_zone).then_some((time, zone))
}

/// The zone of a time such as MSH-7, if it has one: `+0530`.
pub(crate) fn zone(text: &str) -> Option<&str> {
    parts(text.trim()).map(|(_, zone)| zone).filter(|zone| !zone.is_empty())
}

/// `text` with `inherited` behind it, if it is a time without a zone.
pub(crate) fn with_zone<'t>(text: Cow<'t, str>, inherited: Option<&str>) -> Cow<'t, str> {
    match (parts(text.trim()), inherited) {
        (Some((time, "")), Some(zone)) => Cow::Owned(format!("{time}{zone}")),
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_time_without_a_zone_inherits_one() {
        for (text, expected) in [
            ("2026", "2026-0330"),
            ("202611", "202611-0330"),
            ("20261128", "20261128-0330"),
            ("202611281530", "202611281530-0330"),
            ("20261128153059.1234", "20261128153059.1234-0330"),
            (" 20261128 ", "20261128-0330"),
            ("20261128153059+0000", "20261128153059+0000"),
            ("202611281530-0215", "202611281530-0215"),
            ("2026112", "2026112"),
            ("2026112815.5", "2026112815.5"),
            ("2026-11-28", "2026-11-28"),
            ("soon", "soon"),
            ("", ""),
        ] {
            assert_eq!(with_zone(text.into(), Some("-0330")), expected, "{text}");
            assert_eq!(with_zone(text.into(), None), text);
        }
    }

    #[test]
    fn a_header_lends_its_zone_exactly() {
        for (text, expected) in [
            ("20261128-0330", Some("-0330")),
            ("198908181126+0215", Some("+0215")),
            ("20261128", None),
            ("20261128-03", None),
            ("now+0100", None),
        ] {
            assert_eq!(zone(text), expected, "{text}");
        }
    }
}
