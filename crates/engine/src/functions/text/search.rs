//! Where a text stands in another: `charindex`; how a name sounds: `soundex`.

use arrow::{array::ArrayRef, datatypes::DataType};
use datafusion::common::Result;

use super::super::{
    FunctionDoc,
    scalar::{Call, ScalarFunction},
};

pub(super) fn all() -> Vec<ScalarFunction> {
    vec![
        ScalarFunction::new(
            FunctionDoc {
                name: "charindex",
                signature: "charindex(part, x)\ncharindex(part, x, start)",
                description: "Where part first stands in x, counted in characters from 1, from start on; 0 if nowhere.",
                example: "charindex('-', '12-34') → 3",
            },
            2..=3,
            |_| Ok(DataType::Int64),
            charindex,
        ),
        ScalarFunction::new(
            FunctionDoc {
                name: "soundex",
                signature: "soundex(x)",
                description: "The American Soundex code of a name: a letter and three digits; '' if x holds no letter (rules \
                              of the US National Archives, The Soundex Indexing System). Letters with accents are \
                              skipped: see normalise_name.",
                example: "soundex('Robert') → R163",
            },
            1..=1,
            |_| Ok(DataType::Utf8),
            |call| {
                let texts = call.texts(0)?;
                call.make_text(|row| texts.get(row).map(soundex))
            },
        ),
    ]
}

fn charindex(call: &Call<'_>) -> Result<ArrayRef> {
    let (parts, texts, starts) = (call.texts(0)?, call.texts(1)?, call.integers(2)?);
    call.make_integer(|row| {
        let (part, text) = (parts.get(row)?, texts.get(row)?);
        let start = starts.get(row).unwrap_or(1).max(1) as usize - 1;
        let Some(from) = text.char_indices().map(|(at, _)| at).chain([text.len()]).nth(start) else { return Some(0) };
        Some(text[from..].find(part).map_or(0, |at| (text[..from + at].chars().count() + 1) as i64))
    })
}

/// The code of a letter; 0 for vowels, which separate equal codes, and 7 for H and W, which do not.
fn code(letter: char) -> u8 {
    match letter {
        'B' | 'F' | 'P' | 'V' => 1,
        'C' | 'G' | 'J' | 'K' | 'Q' | 'S' | 'X' | 'Z' => 2,
        'D' | 'T' => 3,
        'L' => 4,
        'M' | 'N' => 5,
        'R' => 6,
        'H' | 'W' => 7,
        _ => 0,
    }
}

fn soundex(text: &str) -> String {
    let mut letters = text.chars().filter(char::is_ascii_alphabetic).map(|letter| letter.to_ascii_uppercase());
    let Some(first) = letters.next() else { return String::new() };
    let mut out = String::from(first);
    let mut last = code(first);
    for letter in letters {
        let code = code(letter);
        if (1..7).contains(&code) && code != last {
            out.push(char::from(b'0' + code));
        }
        if code != 7 {
            last = code;
        }
        if out.len() == 4 {
            return out;
        }
    }
    format!("{out:0<4}")
}

#[cfg(test)]
mod tests {
    use super::soundex;

    #[test]
    fn soundex_as_the_national_archives_define_it() {
        for (name, code) in [
            ("Robert", "R163"),
            ("Rupert", "R163"),
            ("Ashcraft", "A261"),
            ("Tymczak", "T522"),
            ("Pfister", "P236"),
            ("Honeyman", "H555"),
            ("O'Hara", "O600"),
            ("Lee", "L000"),
            ("", ""),
        ] {
            assert_eq!(soundex(name), code, "{name}");
        }
    }
}
