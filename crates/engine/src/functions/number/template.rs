//! PostgreSQL number patterns: `9` and `0` digits, `.` `D` point, `,` `G` thousands, `S` `MI` `PR` sign, `$` `L`, `FM`.

/// A compiled number pattern.
pub(in crate::functions) struct Template {
    /// Places before the point, as written: digits, separators, literals.
    whole: Vec<Place>,
    /// Places after it.
    fraction: Vec<Place>,
    has_point: bool,
    sign: Sign,
    fill: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// `9`
    Digit,
    /// `0`
    Zero,
    Comma,
    Literal(char),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Sign {
    /// In front, a space for positive numbers.
    Default,
    /// `S` in front.
    Leading,
    /// `S` behind.
    Trailing,
    /// `MI` behind: a minus or a space.
    Minus,
    /// `PR`: angle brackets.
    Brackets,
}

impl Place {
    fn is_digit(self) -> bool {
        matches!(self, Self::Digit | Self::Zero)
    }
}

/// Compiles a pattern; unknown letters stand for themselves.
pub(in crate::functions) fn compile(pattern: &str) -> Template {
    let mut template =
        Template { whole: Vec::new(), fraction: Vec::new(), has_point: false, sign: Sign::Default, fill: false };
    let upper = pattern.to_ascii_uppercase();
    let mut rest = upper.as_str();
    while let Some(first) = rest.chars().next() {
        let two = rest.get(..2).unwrap_or("");
        let length = match two {
            "FM" => {
                template.fill = true;
                2
            }
            "MI" => {
                template.sign = Sign::Minus;
                2
            }
            "PR" => {
                template.sign = Sign::Brackets;
                2
            }
            _ => first.len_utf8(),
        };
        if length == first.len_utf8() || two.chars().count() < 2 {
            let leading = !template.whole.iter().any(|place| place.is_digit());
            let places = if template.has_point { &mut template.fraction } else { &mut template.whole };
            match first {
                '9' => places.push(Place::Digit),
                '0' => places.push(Place::Zero),
                ',' | 'G' => places.push(Place::Comma),
                '.' | 'D' if !template.has_point => template.has_point = true,
                'S' => template.sign = if leading { Sign::Leading } else { Sign::Trailing },
                'L' => places.push(Place::Literal('$')),
                '"' => {}
                other => places.push(Place::Literal(other)),
            }
        }
        rest = &rest[length..];
    }
    template
}

/// Writes a number given as decimal text; `#` in every place if it has more digits than the pattern, as PostgreSQL does.
pub(in crate::functions) fn write(template: &Template, number: &str) -> Option<String> {
    let plain = if number.contains(['e', 'E']) { number.parse::<f64>().ok()?.to_string() } else { number.to_owned() };
    let (negative, digits) = match plain.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, plain.as_str()),
    };
    if !digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
        return None;
    }
    let decimals = template.fraction.iter().filter(|place| place.is_digit()).count();
    let (whole, fraction) = rounded(digits, decimals);
    let negative = negative && (whole.bytes().any(|b| b != b'0') || fraction.bytes().any(|b| b != b'0'));
    let mut out = write_whole(template, &whole);
    if template.has_point {
        out.push('.');
        let mut digits = fraction.chars();
        let mut tail = String::new();
        for place in &template.fraction {
            match place {
                Place::Digit | Place::Zero => tail.extend(digits.next()),
                Place::Comma => tail.push(','),
                Place::Literal(character) => tail.push(*character),
            }
        }
        // FM drops the zeros that only a 9 asked for.
        let required = template.fraction.iter().rposition(|place| *place == Place::Zero).map_or(0, |at| at + 1);
        while template.fill && tail.len() > required && tail.ends_with('0') {
            tail.pop();
        }
        out.push_str(&tail);
    }
    Some(signed(template, out, negative))
}

/// The number with this many decimals, rounded half away from zero.
fn rounded(digits: &str, decimals: usize) -> (String, String) {
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let mut all: Vec<u8> =
        whole.bytes().chain(fraction.bytes().chain(std::iter::repeat(b'0')).take(decimals)).collect();
    if fraction.as_bytes().get(decimals).is_some_and(|digit| *digit >= b'5') {
        let mut carry = true;
        for digit in all.iter_mut().rev() {
            if !carry {
                break;
            }
            carry = *digit == b'9';
            *digit = if carry { b'0' } else { *digit + 1 };
        }
        if carry {
            all.insert(0, b'1');
        }
    }
    let point = all.len() - decimals;
    let text = |digits: &[u8]| digits.iter().map(|&digit| char::from(digit)).collect::<String>();
    (text(&all[..point]).trim_start_matches('0').to_owned(), text(&all[point..]))
}

fn write_whole(template: &Template, whole: &str) -> String {
    let places = template.whole.iter().filter(|place| place.is_digit()).count();
    let overflow = whole.len() > places;
    let padded = format!("{whole:0>places$}");
    let mut digits = padded.chars();
    let significant = places.saturating_sub(whole.len());
    let mut seen = 0;
    let mut forced = false;
    let mut out = String::new();
    for place in &template.whole {
        match place {
            Place::Digit | Place::Zero => {
                forced |= *place == Place::Zero;
                let digit = digits.next().unwrap_or('#');
                let is_last_before_point = seen + 1 == places && !template.has_point;
                if overflow {
                    out.push('#');
                } else if seen >= significant || forced || (is_last_before_point && whole.is_empty()) {
                    out.push(digit);
                } else {
                    out.push(' ');
                }
                seen += 1;
            }
            Place::Comma if seen > significant || forced || overflow => out.push(','),
            Place::Comma => out.push(' '),
            Place::Literal(character) => out.push(*character),
        }
    }
    out
}

fn signed(template: &Template, text: String, negative: bool) -> String {
    let spaces = text.len() - text.trim_start().len();
    let (padding, body) = text.split_at(spaces);
    let out = match (template.sign, negative) {
        (Sign::Default, true) => format!("{padding}-{body}"),
        (Sign::Default, false) => format!("{padding} {body}"),
        (Sign::Leading, true) => format!("{padding}-{body}"),
        (Sign::Leading, false) => format!("{padding}+{body}"),
        (Sign::Trailing, _) => format!("{text}{}", if negative { '-' } else { '+' }),
        (Sign::Minus, _) => format!("{text}{}", if negative { '-' } else { ' ' }),
        (Sign::Brackets, true) => format!("{padding}<{body}>"),
        (Sign::Brackets, false) => format!("{padding} {body} "),
    };
    if template.fill { out.trim().replace(' ', "") } else { out }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_like_postgres() {
        for (pattern, number, expected) in [
            ("999,999.00", "1234.5", "   1,234.50"),
            ("FM999,999.00", "1234.5", "1,234.50"),
            ("FM999.99", "12.5", "12.5"),
            ("0000", "42", " 0042"),
            ("FM0000", "-42", "-0042"),
            ("99", "123", " ##"),
            ("FM990.0", "0.04", "0.0"),
            ("S99", "7", " +7"),
            ("99MI", "-7", " 7-"),
            ("999PR", "-7", "  <7>"),
            ("FM$9,999", "1234", "$1,234"),
            ("FM9990", "9.5", "10"),
        ] {
            assert_eq!(write(&compile(pattern), number).as_deref(), Some(expected), "{pattern} {number}");
        }
    }
}
