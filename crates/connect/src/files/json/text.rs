//! The little of JSON's grammar that is needed to find values and to read strings, on bytes.

use memchr::memchr2;

use crate::RejectReason;

pub(crate) fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

pub(crate) fn skip_space(bytes: &[u8], mut at: usize) -> usize {
    while bytes.get(at).copied().is_some_and(is_space) {
        at += 1;
    }
    at
}

/// The closing quote of a string whose first character is at `at`, and whether the string has escapes.
#[inline]
pub(crate) fn string_end(bytes: &[u8], mut at: usize) -> Option<(usize, bool)> {
    let mut escaped = false;
    loop {
        at += memchr2(b'"', b'\\', bytes.get(at..)?)?;
        if bytes[at] == b'"' {
            return Some((at, escaped));
        }
        escaped = true;
        at += 2;
    }
}

/// The end of the value that begins at `at`: brackets are counted, not matched. `None` if it is not there yet; a bare
/// word counts as whole at the end of the bytes only if `ended`.
pub(crate) fn value_end(bytes: &[u8], at: usize, ended: bool) -> Option<usize> {
    match bytes.get(at)? {
        b'"' => string_end(bytes, at + 1).map(|(close, _)| close + 1),
        b'{' | b'[' => nested_end(bytes, at),
        _ => {
            let is_end = |byte: &u8| is_space(*byte) || matches!(byte, b',' | b'{' | b'}' | b'[' | b']' | b'"' | b':');
            match bytes[at + 1..].iter().position(is_end) {
                Some(length) => Some(at + 1 + length),
                None => ended.then_some(bytes.len()),
            }
        }
    }
}

/// Whether a text begins with an object, or with an array of them: with its first key.
pub(crate) fn begins_with_object(text: &[u8]) -> bool {
    let mut at = skip_space(text, 0);
    if text.get(at) == Some(&b'[') {
        at = skip_space(text, at + 1);
    }
    let key = skip_space(text, at + 1);
    if text.get(at) != Some(&b'{') || text.get(key) != Some(&b'"') {
        return false;
    }
    string_end(text, key + 1).is_some_and(|(close, _)| text.get(skip_space(text, close + 1)) == Some(&b':'))
}

fn nested_end(bytes: &[u8], mut at: usize) -> Option<usize> {
    let mut depth = 0_usize;
    loop {
        match bytes.get(at)? {
            b'"' => at = string_end(bytes, at + 1)?.0,
            b'{' | b'[' => depth += 1,
            b'}' | b']' => {
                depth -= 1;
                if depth == 0 {
                    return Some(at + 1);
                }
            }
            _ => {}
        }
        at += 1;
    }
}

/// Whether `text` is a number as JSON writes it. NaN and the infinities are none, though some programs write them.
pub(crate) fn is_number(text: &[u8]) -> bool {
    let unsigned = text.strip_prefix(b"-").unwrap_or(text);
    let digits = |bytes: &[u8]| bytes.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let whole = digits(unsigned);
    if whole == 0 || (whole > 1 && unsigned[0] == b'0') {
        return false;
    }
    let mut rest = &unsigned[whole..];
    if let Some(fraction) = rest.strip_prefix(b".") {
        let length = digits(fraction);
        if length == 0 {
            return false;
        }
        rest = &fraction[length..];
    }
    if let [b'e' | b'E', exponent @ ..] = rest {
        let exponent = exponent.strip_prefix(b"+").or_else(|| exponent.strip_prefix(b"-")).unwrap_or(exponent);
        let length = digits(exponent);
        return length > 0 && length == exponent.len();
    }
    rest.is_empty()
}

/// Appends the text of a string without its quotes. `raw` is UTF-8.
pub(crate) fn unescape(raw: &[u8], out: &mut Vec<u8>) -> Result<(), RejectReason> {
    let mut rest = raw;
    while let Some(at) = memchr::memchr(b'\\', rest) {
        out.extend_from_slice(&rest[..at]);
        let escape = rest.get(at + 1).ok_or(RejectReason::InvalidJson)?;
        rest = &rest[at + 2..];
        out.push(match escape {
            b'"' | b'\\' | b'/' => *escape,
            b'b' => 8,
            b'f' => 12,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'u' => {
                let (c, used) = unicode(rest)?;
                out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
                rest = &rest[used..];
                continue;
            }
            _ => return Err(RejectReason::InvalidJson),
        });
    }
    out.extend_from_slice(rest);
    Ok(())
}

/// The character written behind `\u`, and how many bytes it takes.
fn unicode(rest: &[u8]) -> Result<(char, usize), RejectReason> {
    let unit = |bytes: Option<&[u8]>| {
        let text =
            bytes.filter(|text| text.iter().all(u8::is_ascii_hexdigit)).and_then(|b| std::str::from_utf8(b).ok());
        text.and_then(|text| u32::from_str_radix(text, 16).ok()).ok_or(RejectReason::InvalidJson)
    };
    let first = unit(rest.get(..4))?;
    if first == 0 {
        return Err(RejectReason::NulByte);
    }
    if !(0xD800..0xDC00).contains(&first) {
        return char::from_u32(first).map(|c| (c, 4)).ok_or(RejectReason::InvalidJson);
    }
    if rest.get(4..6) != Some(br"\u") {
        return Err(RejectReason::InvalidJson);
    }
    let second = unit(rest.get(6..10))?;
    if !(0xDC00..0xE000).contains(&second) {
        return Err(RejectReason::InvalidJson);
    }
    let code = 0x1_0000 + ((first - 0xD800) << 10) + (second - 0xDC00);
    char::from_u32(code).map(|c| (c, 10)).ok_or(RejectReason::InvalidJson)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_follow_the_grammar() {
        for (text, expected) in [
            ("0", true),
            ("-0", true),
            ("1.50", true),
            ("1e5", true),
            ("1E-05", true),
            ("123456789012345678901234567890", true),
            ("NaN", false),
            ("Infinity", false),
            ("-Infinity", false),
            ("01", false),
            ("1.", false),
            (".5", false),
            ("+1", false),
            ("1e", false),
            ("-", false),
            ("1x", false),
            ("", false),
        ] {
            assert_eq!(is_number(text.as_bytes()), expected, "{text}");
        }
    }

    #[test]
    fn objects_are_known_by_their_first_key() {
        for (text, expected) in [
            (r#"{"a":1}"#, true),
            (" [ {\n\"a b\" : ", true),
            (r#"{"a"}"#, false),
            ("{a:1}", false),
            (r#"["a":1]"#, false),
            ("{}", false),
            ("id,name", false),
            ("", false),
        ] {
            assert_eq!(begins_with_object(text.as_bytes()), expected, "{text}");
        }
    }

    #[test]
    fn strings_are_unescaped() {
        for (raw, expected) in [
            (r"a\nb", Ok("a\nb")),
            (r#"\"\\\/"#, Ok("\"\\/")),
            (r"\u00e9\ud83d\ude00", Ok("é😀")),
            (r"\ud83d", Err(RejectReason::InvalidJson)),
            (r"\ud83dabcdef", Err(RejectReason::InvalidJson)),
            (r"\u+123", Err(RejectReason::InvalidJson)),
            (r"\x", Err(RejectReason::InvalidJson)),
            (r"\u0000", Err(RejectReason::NulByte)),
        ] {
            let mut out = Vec::new();
            let result = unescape(raw.as_bytes(), &mut out).map(|()| String::from_utf8(out).unwrap());
            assert_eq!(result, expected.map(str::to_owned), "{raw}");
        }
    }
}
