//! HL7 messages, line by line over the whole text: no blocks, no bounds. What a message's fields hold is not looked at; that
//! each message becomes a row or a rejected record, with which bytes and on which line, is.

use wardlake_connect::RejectReason;

use super::expected::{Expected, Outcome, Record};

const ENDS: [u8; 4] = [b'\r', b'\n', 0x0B, 0x1C];
const HEADERS: [&[u8]; 5] = [b"MSH", b"FHS", b"BHS", b"BTS", b"FTS"];

/// What stands in `text`.
pub(crate) fn expected(text: &[u8]) -> Expected {
    let mut expected = Expected::default();
    let (mut messages, mut batches) = (0, 0);
    let lines = lines(text);
    let mut i = 0;
    while i < lines.len() {
        let (start, end, number) = lines[i];
        let first = i;
        i += 1;
        let Some(name) = name(text, start) else { continue };
        if name != "stray" && name != "MSH" {
            let field = &text[end.min(start + 3)..end];
            let told: Option<u64> = field
                .split_first()
                .and_then(|(delimiter, rest)| rest.split(|byte| byte == delimiter).next())
                .and_then(|count| std::str::from_utf8(count).ok()?.trim().parse().ok());
            let is_right = match (name, told) {
                ("BTS", Some(told)) => told == messages,
                ("FTS", Some(told)) if batches > 0 => told == batches,
                ("FTS", Some(told)) => told == 1 || told == messages,
                _ => true,
            };
            match name {
                "FHS" => (messages, batches) = (0, 0),
                "BHS" => (messages, batches) = (0, batches + 1),
                _ => {}
            }
            if is_right {
                expected.blank += 1;
            } else {
                let end = trimmed(text, start, end);
                let outcome = Outcome::Rejected(RejectReason::Hl7CountMismatch);
                expected.records.push(Record { line: number, start, end, outcome });
            }
            continue;
        }
        if name == "stray" && is_blank(&text[start..end]) {
            continue;
        }
        messages += u64::from(name == "MSH");
        while i < lines.len() && !matches!(self::name(text, lines[i].0), Some(name) if name != "stray") {
            i += 1;
        }
        let end = trimmed(text, start, lines[i - 1].1);
        let start = if name == "stray" { start + blanks(&text[start..]) } else { start };
        let outcome = if name == "MSH" { Outcome::Lenient } else { Outcome::RejectedForSomeReason };
        expected.records.push(Record { line: lines[first].2, start, end, outcome });
    }
    expected
}

/// Begin (behind blanks and marks, where a segment begins there), end and number of each line.
fn lines(text: &[u8]) -> Vec<(usize, usize, u64)> {
    let (mut lines, mut start, mut number, mut first) = (Vec::new(), 0, 1, 1);
    for at in 0..=text.len() {
        if at < text.len() && !ENDS.contains(&text[at]) {
            continue;
        }
        if at == text.len() || is_end(text, at) {
            let begin = segment_at(text, start).unwrap_or(start);
            lines.push((begin, at, first));
            start = at + 1;
        }
        let before = at.checked_sub(1).map(|before| text[before]);
        number += match text.get(at) {
            Some(b'\n') => u64::from(before != Some(b'\r')),
            Some(b'\r') => u64::from(before != Some(0x1C)),
            Some(0x1C) => 1,
            Some(_) => u64::from(before.is_some_and(|before| !ENDS.contains(&before))),
            None => 0,
        };
        if start == at + 1 {
            first = number;
        }
    }
    lines
}

/// Whether a line ends at one of its ends: the characters of frames are text of a field unless they frame something.
fn is_end(text: &[u8], at: usize) -> bool {
    let is_header = HEADERS.iter().any(|name| text[at + 1..].starts_with(name));
    match text[at] {
        0x0B => is_header || at == 0 || ENDS.contains(&text[at - 1]),
        0x1C => is_header || text.get(at + 1).is_none_or(|next| *next == 0 || ENDS.contains(next)),
        _ => true,
    }
}

/// Where the header or envelope of a line begins, if one does.
fn segment_at(text: &[u8], line: usize) -> Option<usize> {
    let mut at = line;
    while let Some(length) = match &text[at..] {
        [b' ' | b'\t' | 0, ..] => Some(1),
        [0xEF, 0xBB, 0xBF, ..] => Some(3),
        _ => None,
    } {
        at += length;
    }
    let is_named = HEADERS.iter().any(|name| text[at..].starts_with(name));
    let is_ended = match text.get(at + 3) {
        None => true,
        Some(byte) => byte.is_ascii_punctuation() || ENDS.contains(byte) || matches!(byte, b'\t' | 0x1D..=0x1F),
    };
    (is_named && is_ended).then_some(at)
}

/// The name of the header or envelope at `start`, `stray` for other text, or none for an empty line.
fn name(text: &[u8], start: usize) -> Option<&str> {
    match segment_at(text, start) {
        Some(at) => std::str::from_utf8(&text[at..at + 3]).ok(),
        None => text.get(start).filter(|byte| !ENDS.contains(byte) || !is_end(text, start)).map(|_| "stray"),
    }
}

/// How many blanks are at the beginning of a line.
fn blanks(line: &[u8]) -> usize {
    line.iter().take_while(|byte| matches!(byte, b' ' | b'\t' | 0)).count()
}

/// Whether a line says nothing; a frame character alone does not.
fn is_blank(line: &[u8]) -> bool {
    line.iter().all(|byte| ENDS.contains(byte) || matches!(byte, b' ' | b'\t' | 0))
}

/// The end of what begins at `start`, without the line ends and NULs behind it.
fn trimmed(text: &[u8], start: usize, end: usize) -> usize {
    let ends = text[start..end].iter().rev().take_while(|byte| ENDS.contains(byte) || **byte == 0).count();
    end - ends
}
