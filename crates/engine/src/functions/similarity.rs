//! How alike two texts are, and the forms of names and phone numbers in which equal ones compare equal.
//!
//! Distances count characters, not bytes. They take time and memory in the product of both lengths, so a text of more than
//! [`MAX_CHARACTERS`] characters, which no name has, gives NULL.

use arrow::{array::ArrayRef, datatypes::DataType};
use datafusion::common::Result;

use super::{
    FunctionDoc,
    scalar::{Call, ScalarFunction},
};
use crate::words::say;

/// The longest text that is compared.
const MAX_CHARACTERS: usize = 1_000;

/// The digits of a phone number with country code: at most 15 (ITU-T E.164), and no subscriber is reached by fewer than 7.
const PHONE_DIGITS: std::ops::RangeInclusive<usize> = 7..=15;

pub(super) fn all() -> Vec<ScalarFunction> {
    vec![
        ScalarFunction::new(
            FunctionDoc {
                name: "jaro_winkler",
                signature: "jaro_winkler(a, b)",
                description: "How alike two texts are, 0 to 1, by the letters they share and their common beginning \
                              (Winkler 1990, String Comparator Metrics and Enhanced Decision Rules in the Fellegi–Sunter \
                              Model of Record Linkage). Case and accents count: see normalise_name. NULL for texts of \
                              more than 1,000 characters.",
                example: "round(jaro_winkler('martha', 'marhta'), 4) → 0.9611",
            },
            2..=2,
            |_| Ok(DataType::Float64),
            |call| {
                let (a, b) = (call.texts(0)?, call.texts(1)?);
                call.make_float(|row| compare(a.get(row)?, b.get(row)?, strsim::jaro_winkler))
            },
        )
        .aliases(&["jaro_winkler_similarity"]),
        ScalarFunction::new(
            FunctionDoc {
                name: "damerau_levenshtein",
                signature: "damerau_levenshtein(a, b)",
                description: "How many single characters have to be inserted, deleted, replaced or swapped with their \
                              neighbour to turn a into b (Damerau 1964). levenshtein counts a swap as two. NULL for texts \
                              of more than 1,000 characters.",
                example: "damerau_levenshtein('1957-04-12', '1975-04-12') → 1",
            },
            2..=2,
            |_| Ok(DataType::Int64),
            |call| {
                let (a, b) = (call.texts(0)?, call.texts(1)?);
                let distance = |a: &str, b: &str| strsim::damerau_levenshtein(a, b) as i64;
                call.make_integer(|row| compare(a.get(row)?, b.get(row)?, distance))
            },
        ),
        ScalarFunction::new(
            FunctionDoc {
                name: "normalise_name",
                signature: "normalise_name(x)",
                description: "A name as it compares: lower case, Latin letters without accents (ü is u, ß is ss, æ is ae), \
                              no apostrophes and dots, other punctuation as one space, no spaces around it. NULL if nothing \
                              is left.",
                example: "normalise_name(' O''Hara-MÜLLER, Jr. ') → ohara muller jr",
            },
            1..=1,
            |_| Ok(DataType::Utf8),
            |call| {
                let texts = call.texts(0)?;
                call.make_text(|row| texts.get(row).and_then(normalise_name))
            },
        )
        .aliases(&["normalize_name"]),
        ScalarFunction::new(
            FunctionDoc {
                name: "normalise_phone",
                signature: "normalise_phone(x)\nnormalise_phone(x, country_code)",
                description: "A phone number as ITU-T E.164 writes it: a plus, the country code, the digits. A number \
                              without + or 00 belongs to the country of the code, which is '1' (North America) unless \
                              given; its leading zero, or the leading 1 of eleven digits in North America, goes. \
                              Extensions are dropped. NULL if the digits are too few or too many for a number.",
                example: "normalise_phone('(212) 555-0147 ext. 12') → +12125550147",
            },
            1..=2,
            |_| Ok(DataType::Utf8),
            phones,
        )
        .aliases(&["normalize_phone"]),
    ]
}

/// The comparison's result; none if either text is too long for it.
fn compare<T>(a: &str, b: &str, comparison: impl Fn(&str, &str) -> T) -> Option<T> {
    let is_short = |text: &str| text.len() <= MAX_CHARACTERS || text.chars().nth(MAX_CHARACTERS).is_none();
    (is_short(a) && is_short(b)).then(|| comparison(a, b))
}

/// Letters with marks, lower case, by the letters without them. Letters that Unicode does not decompose (ø, đ, ł) are here too.
const UNMARKED: [(&str, &str); 33] = [
    ("a", "àáâãäåāăąǎǟǡǻȁȃȧḁạảấầẩẫậắằẳẵặ"),
    ("ae", "æǣǽ"),
    ("b", "ɓḃḅḇ"),
    ("c", "çćĉċčḉ"),
    ("d", "ðďđɗḋḍḏḑḓ"),
    ("dz", "ǆǳ"),
    ("e", "èéêëēĕėęěȅȇȩəḕḗḙḛḝẹẻẽếềểễệ"),
    ("f", "ƒḟ"),
    ("g", "ĝğġģǧǵḡ"),
    ("h", "ĥħȟḣḥḧḩḫẖ"),
    ("i", "ìíîïĩīĭįıǐȉȋɨḭḯỉị"),
    ("ij", "ĳ"),
    ("j", "ĵǰ"),
    ("k", "ķĸƙǩḱḳḵ"),
    ("l", "ĺļľŀłḷḹḻḽ"),
    ("lj", "ǉ"),
    ("m", "ḿṁṃ"),
    ("n", "ñńņňŉŋǹṅṇṉṋ"),
    ("nj", "ǌ"),
    ("o", "òóôõöøōŏőơǒǫǭǿȍȏȫȭȯȱṍṏṑṓọỏốồổỗộớờởỡợ"),
    ("oe", "œ"),
    ("p", "ṕṗ"),
    ("r", "ŕŗřȑȓṙṛṝṟ"),
    ("s", "śŝşšſșṡṣṥṧṩẛ"),
    ("ss", "ß"),
    ("t", "ţťŧțṫṭṯṱẗ"),
    ("th", "þ"),
    ("u", "ùúûüũūŭůűųưǔǖǘǚǜȕȗṳṵṷṹṻụủứừửữự"),
    ("v", "ṽṿ"),
    ("w", "ŵẁẃẅẇẉẘ"),
    ("x", "ẋẍ"),
    ("y", "ýÿŷƴȳẏẙỳỵỷỹ"),
    ("z", "źżžƶẑẓẕ"),
];

fn normalise_name(name: &str) -> Option<String> {
    let mut out = String::with_capacity(name.len());
    let mut is_after_gap = false;
    for letter in name.chars().flat_map(char::to_lowercase) {
        match letter {
            // Apostrophes and dots stand within names that are also written without them; marks stand alone in
            // decomposed Unicode and were folded away in the composed form.
            '\'' | '’' | '‘' | 'ʼ' | 'ʻ' | '`' | '´' | '.' | '\u{300}'..='\u{36f}' => {}
            _ if letter.is_alphanumeric() => {
                if is_after_gap && !out.is_empty() {
                    out.push(' ');
                }
                is_after_gap = false;
                match UNMARKED.iter().find(|(_, marked)| !letter.is_ascii() && marked.contains(letter)) {
                    Some((plain, _)) => out.push_str(plain),
                    None => out.push(letter),
                }
            }
            _ => is_after_gap = true,
        }
    }
    (!out.is_empty()).then_some(out)
}

fn phones(call: &Call<'_>) -> Result<ArrayRef> {
    let (texts, codes) = (call.texts(0)?, call.texts(1)?);
    if let Some(code) = codes.constant()
        && !is_country_code(code)
    {
        return say!("{}: argument 2 is no country code: one to three digits, the first not 0", call.name);
    }
    let has_code = call.has(1);
    call.make_text(|row| {
        let code = if has_code { codes.get(row)? } else { "1" };
        normalise_phone(texts.get(row)?, code)
    })
}

fn is_country_code(code: &str) -> bool {
    (1..=3).contains(&code.len()) && code.bytes().all(|byte| byte.is_ascii_digit()) && !code.starts_with('0')
}

fn normalise_phone(text: &str, country_code: &str) -> Option<String> {
    let (before, number) = text.split_at(text.find(|sign: char| sign.is_ascii_digit())?);
    // An extension begins at its sign: "x12", "ext. 12", "#12", ";ext=12".
    let number = number.split(['x', 'X', 'e', 'E', '#', ';']).next().unwrap_or_default();
    let digits: String = number.chars().filter(char::is_ascii_digit).collect();
    let is_international = before.contains('+');
    let digits = match digits.strip_prefix("00") {
        _ if is_international => digits,
        Some(rest) => rest.to_owned(),
        None if country_code == "1" && digits.len() == 11 && digits.starts_with('1') => digits,
        None => match digits.trim_start_matches('0') {
            "" => String::new(),
            national => format!("{country_code}{national}"),
        },
    };
    let is_number = PHONE_DIGITS.contains(&digits.len()) && !digits.starts_with('0') && is_country_code(country_code);
    is_number.then(|| format!("+{digits}"))
}

#[cfg(test)]
mod tests {
    use super::{UNMARKED, compare, normalise_name, normalise_phone};

    #[test]
    fn names_written_differently_become_one() {
        for (name, expected) in [
            ("Müller", Some("muller")),
            ("MU\u{308}LLER", Some("muller")),
            ("Ørsted  Ægir", Some("orsted aegir")),
            ("Straße", Some("strasse")),
            ("O’Hara", Some("ohara")),
            ("O'HARA", Some("ohara")),
            ("Smith-Jones", Some("smith jones")),
            (" Smith , Jones ", Some("smith jones")),
            ("St. John", Some("st john")),
            ("Nguyễn", Some("nguyen")),
            ("İnan", Some("inan")),
            ("王 小明", Some("王 小明")),
            ("Иванов", Some("иванов")),
            ("--", None),
            ("", None),
        ] {
            assert_eq!(normalise_name(name).as_deref(), expected, "{name}");
        }
    }

    #[test]
    fn a_normalised_name_stays_as_it_is() {
        for marked in UNMARKED.iter().flat_map(|(_, marked)| marked.chars()) {
            let once = normalise_name(&marked.to_string());
            assert_eq!(once.as_deref().and_then(normalise_name), once, "{marked}");
            assert!(once.is_some_and(|plain| plain.is_ascii()), "{marked}");
        }
    }

    #[test]
    fn phone_numbers_written_differently_become_one() {
        for (text, code, expected) in [
            ("212-555-0147", "1", Some("+12125550147")),
            ("(212) 555 0147", "1", Some("+12125550147")),
            ("1 212 555 0147", "1", Some("+12125550147")),
            ("+1 (212) 555-0147", "1", Some("+12125550147")),
            ("(+1) 212 5550147", "1", Some("+12125550147")),
            ("001 212 555 0147", "1", Some("+12125550147")),
            ("2125550147 x3", "1", Some("+12125550147")),
            ("Telephone: 212 555 0147", "1", Some("+12125550147")),
            ("030 1234567", "49", Some("+49301234567")),
            ("+49 30 1234567", "1", Some("+49301234567")),
            ("0000000000", "1", None),
            ("12", "1", None),
            ("unknown", "1", None),
            ("1234567890123456", "1", None),
            ("212-555-0147", "x", None),
            ("", "1", None),
        ] {
            assert_eq!(normalise_phone(text, code).as_deref(), expected, "{text} in {code}");
        }
    }

    #[test]
    fn texts_too_long_to_be_names_are_not_compared() {
        let long = "ü".repeat(1_001);
        assert_eq!(compare(&long, "a", strsim::damerau_levenshtein), None);
        assert_eq!(compare(&long[..2_000], "a", strsim::damerau_levenshtein), Some(1_000));
    }
}
