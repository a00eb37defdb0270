//! Cuts delimited text at record borders. Where a block may begin is what the parser would find there if it read on: a
//! place outside of quotes, and behind all that a broken quote makes doubtful. So a file is read the same wherever it is
//! cut.
//!
//! In the usual dialects only quotes matter, and whether one opens a field is told by the byte before it, so `memchr` over
//! the quotes is enough; files without quotes are cut by looking for one newline from behind. Other dialects, and blocks
//! in which a quote is broken, are walked record by record.

use memchr::{memchr, memchr2, memrchr};

use super::scan::{Dialect, Ending, Scanner};

impl Dialect {
    /// The last record border in `bytes`, which begin at one: everything before it is whole records. 0 if there is none.
    pub(crate) fn last_border(&self, bytes: &[u8]) -> usize {
        match (self.quote, self.escape) {
            (None, None) => self.last_newline(bytes),
            (Some(quote), None) if self.is_usual() => {
                self.border_by_quotes(bytes, quote).unwrap_or_else(|| self.border_by_records(bytes))
            }
            _ => self.border_by_records(bytes),
        }
    }

    /// Whether a quote opens a field exactly where a delimiter or a line end stands before it.
    fn is_usual(&self) -> bool {
        self.delimiter.len() == 1 && self.comment.is_none() && self.newline == b'\n'
    }

    fn last_newline(&self, bytes: &[u8]) -> usize {
        // A `\r` at the end may be half of a line end.
        let whole = if self.newline == b'\r' { bytes.len().saturating_sub(1) } else { bytes.len() };
        memrchr(self.newline, &bytes[..whole]).map_or(0, |at| self.behind_newline(bytes, at))
    }

    /// `None` if text follows a closing quote.
    fn border_by_quotes(&self, bytes: &[u8], quote: u8) -> Option<usize> {
        let mut border = 0;
        let mut outside = 0;
        let mut at = 0;
        let newline = |from: usize, to: usize| memrchr(b'\n', &bytes[from..to]).map_or(0, |ahead| from + ahead + 1);
        while let Some(ahead) = memchr(quote, &bytes[at..]) {
            let open = at + ahead;
            let opens = open == 0 || bytes[open - 1] == b'\n' || self.delimiter == [bytes[open - 1]];
            if !opens {
                at = open + 1;
                continue;
            }
            border = border.max(newline(outside, open));
            let Some(close) = closing(bytes, open + 1, quote) else { return Some(border) };
            at = close + 1;
            if !self.ends_field(&bytes[at..]) {
                return None;
            }
            outside = at;
        }
        Some(border.max(newline(outside, bytes.len())))
    }

    fn border_by_records(&self, bytes: &[u8]) -> usize {
        let mut places = Vec::new();
        self.note(bytes, &mut places);
        let mut scanner = Scanner::new(self, bytes, &places);
        let mut fields = Vec::new();
        let (mut at, mut border, mut suspect_until) = (0, 0, 0);
        while at < bytes.len() {
            let record =
                if self.comment == Some(bytes[at]) { scanner.line(at) } else { scanner.record(at, &mut fields) };
            // What reaches the end may go on behind it, and a `\r` there may be half of a line end.
            let has_line_end = record.end < record.next && (record.next < bytes.len() || bytes.ends_with(b"\n"));
            if !has_line_end {
                return border;
            }
            at = record.next;
            if record.ending != Ending::Whole {
                suspect_until = suspect_until.max(record.next);
                scanner.seek(record.start);
                at = scanner.line(record.start).next;
            }
            if at >= suspect_until {
                border = at;
            }
        }
        border
    }
}

fn closing(bytes: &[u8], mut at: usize, quote: u8) -> Option<usize> {
    loop {
        let close = at + memchr(quote, bytes.get(at..)?)?;
        if bytes.get(close + 1) != Some(&quote) {
            return Some(close);
        }
        at = close + 2;
    }
}

/// The line end of a text: `\r` only where the first one outside of quotes is not followed by `\n`.
pub(crate) fn newline_of(head: &[u8], quote: Option<u8>) -> u8 {
    let mut at = 0;
    let mut in_quotes = false;
    while let Some(found) = head.get(at..).and_then(|rest| match quote {
        Some(quote) => memchr::memchr3(b'\n', b'\r', quote, rest),
        None => memchr2(b'\n', b'\r', rest),
    }) {
        let place = at + found;
        at = place + 1;
        if Some(head[place]) == quote {
            in_quotes = !in_quotes;
        } else if !in_quotes {
            return if head[place] == b'\r' && head.get(at).is_some_and(|next| *next != b'\n') { b'\r' } else { b'\n' };
        }
    }
    b'\n'
}
