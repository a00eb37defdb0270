//! Numbers as people read them.

/// `1234567` as `1,234,567`.
pub(crate) fn grouped(number: f64) -> String {
    let digits = format!("{:.0}", number.abs());
    let mut text = String::new();
    if number < 0.0 && digits != "0" {
        text.push('-');
    }
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A share in per cent, rounded down: only the whole is 100 %.
pub fn percent(share: f64) -> String {
    let percent = 100.0 * share;
    match share {
        share if share >= 1.0 => "100 %".to_owned(),
        share if share >= 0.999 => format!("{:.2} %", (percent * 100.0).floor() / 100.0),
        _ => format!("{:.1} %", (percent * 10.0).floor() / 10.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_whole_is_a_hundred_per_cent() {
        let check = |share: f64, expected: &str| assert_eq!(percent(share), expected, "{share}");
        check(1.0, "100 %");
        check(0.999_999, "99.99 %");
        check(0.9876, "98.7 %");
        check(0.0, "0.0 %");
    }

    #[test]
    fn numbers_are_grouped() {
        let check = |number: f64, expected: &str| assert_eq!(grouped(number), expected);
        check(1_234_567.0, "1,234,567");
        check(-1234.4, "-1,234");
        check(-0.2, "0");
        check(999.0, "999");
    }
}
