//! Numbers from text as people write them: `to_number`, `try_to_number`.

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, Decimal128Array},
    datatypes::DataType,
};
use datafusion::common::Result;

use super::super::{
    FunctionDoc,
    scalar::{Call, ScalarFunction, Types},
};
use crate::words::say;

/// Decimals kept when neither a pattern nor a scale says how many.
const DEFAULT_SCALE: i8 = 9;

pub(super) fn all() -> Vec<ScalarFunction> {
    vec![
        ScalarFunction::new(
            FunctionDoc {
                name: "to_number",
                signature: "to_number(x)\nto_number(x, pattern)\nto_number(x, precision, scale)",
                description: "A decimal from text. White space, thousands commas, a currency sign and parentheses for \
                              negative numbers are understood. As many decimals as the pattern has or the scale says, \
                              otherwise 9 (Snowflake rounds to whole numbers instead); more are rounded. Text that is no \
                              number is an error.",
                example: "to_number('$1,234.50', '$9,999.99') → 1234.50",
            },
            1..=3,
            decimal_type,
            |call| read(call, false),
        )
        .aliases(&["to_decimal", "to_numeric"]),
        ScalarFunction::new(
            FunctionDoc {
                name: "try_to_number",
                signature: "try_to_number(x)\ntry_to_number(x, pattern)\ntry_to_number(x, precision, scale)",
                description: "Like to_number, but NULL for text that is no number.",
                example: "try_to_number('n/a') → NULL",
            },
            1..=3,
            decimal_type,
            |call| read(call, true),
        )
        .aliases(&["try_to_decimal", "try_to_numeric"]),
    ]
}

fn decimal_type(types: &Types<'_>) -> Result<DataType> {
    if types.len() == 3 || (types.len() == 2 && types.get(1).is_integer()) {
        let Some(scale) = (if types.len() == 3 { types.integer(2) } else { Some(0) }) else {
            return say!("to_number: precision and scale must be constants");
        };
        return Ok(DataType::Decimal128(38, i8::try_from(scale.clamp(0, 37)).unwrap_or(0)));
    }
    let scale = match types.text(1) {
        Some(pattern) => pattern
            .rsplit_once(['.', 'D', 'd'])
            .map_or(0, |(_, decimals)| decimals.chars().filter(|c| matches!(c, '9' | '0')).count()),
        None => return Ok(DataType::Decimal128(38, DEFAULT_SCALE)),
    };
    Ok(DataType::Decimal128(38, i8::try_from(scale.min(37)).unwrap_or(0)))
}

fn read(call: &Call<'_>, lenient: bool) -> Result<ArrayRef> {
    let DataType::Decimal128(precision, scale) = *call.return_type else {
        return say!("{}: {} is no decimal", call.name, call.return_type);
    };
    let texts = call.texts(0)?;
    let mut misfit = false;
    let values = (0..call.rows).map(|row| {
        let text = texts.get(row)?;
        let value = number(text, scale.unsigned_abs());
        misfit |= value.is_none();
        value
    });
    let array = values.collect::<Decimal128Array>().with_precision_and_scale(precision, scale)?;
    if misfit && !lenient {
        return say!("{0}: a text is no number ({1}); try_{0} gives NULL instead", call.name, call.subject(0));
    }
    Ok(Arc::new(array))
}

/// The number in units of `10^-scale`, rounded half away from zero.
fn number(text: &str, scale: u8) -> Option<i128> {
    let mut text = text.trim();
    let mut negative = false;
    if let Some(inner) = text.strip_prefix('(').and_then(|text| text.strip_suffix(')')) {
        (text, negative) = (inner.trim(), true);
    }
    text = text.trim_start_matches(['$', '€', '£']).trim_start();
    if let Some(rest) = text.strip_prefix('-').or_else(|| text.strip_suffix('-')) {
        (text, negative) = (rest, !negative);
    } else {
        text = text.strip_prefix('+').unwrap_or(text);
    }
    text = text.trim().trim_start_matches(['$', '€', '£']);
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
        None => (text, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    // Commas separate thousands; anywhere else they make the text ambiguous.
    let groups: Vec<_> = whole.split(',').collect();
    if groups.len() > 1 && (groups[0].is_empty() || groups[1..].iter().any(|group| group.len() != 3)) {
        return None;
    }
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let digits: Vec<u8> = groups.concat().bytes().chain(fraction.bytes()).collect();
    if !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    // Digits that count: those before position `whole + exponent + scale`.
    let kept = i64::try_from(groups.concat().len()).ok()? + i64::from(exponent) + i64::from(scale);
    let mut value: i128 = 0;
    for position in 0..kept.max(0) {
        let digit = usize::try_from(position).ok().and_then(|i| digits.get(i)).map_or(0, |digit| digit - b'0');
        value = value.checked_mul(10)?.checked_add(i128::from(digit))?;
        if value == 0 && position > 400 {
            return Some(0);
        }
    }
    let next = usize::try_from(kept).ok().and_then(|i| digits.get(i));
    if next.is_some_and(|digit| *digit >= b'5') {
        value = value.checked_add(1)?;
    }
    // 38 digits are what a decimal holds.
    (value < 10_i128.pow(38)).then_some(if negative { -value } else { value })
}

#[cfg(test)]
mod tests {
    use super::number;

    #[test]
    fn reads_what_people_write() {
        for (text, expected) in [
            ("1234.5", Some(123_450)),
            (" $1,234.50 ", Some(123_450)),
            ("(12.345)", Some(-1_235)),
            ("-$7", Some(-700)),
            ("7-", Some(-700)),
            ("1.5e3", Some(150_000)),
            ("0.004", Some(0)),
            ("0.005", Some(1)),
            (".5", Some(50)),
            ("1e-400", Some(0)),
            ("1e400", None),
            ("12,34", None),
            ("1 2", None),
            ("", None),
            ("abc", None),
            ("NaN", None),
        ] {
            assert_eq!(number(text, 2), expected, "{text}");
        }
    }
}
