//! Cuts delimited text at record borders without parsing it. Only quotes matter: a newline within quotes is no border.
//! A quote opens a field when it stands behind a delimiter or a line end, which `memchr` over the quotes can tell, so
//! files without quotes are cut by looking for one newline from behind.

use memchr::{memchr, memchr2, memrchr};

use super::scan::Dialect;

impl Dialect {
    /// The last record border in `bytes`, which begin at one: everything before it is whole records. 0 if there is none.
    pub(crate) fn last_border(&self, bytes: &[u8]) -> usize {
        let border = match (self.quote, self.escape) {
            (None, None) => self.newline_in(bytes, 0, bytes.len()),
            (Some(quote), None) => self.border_by_quotes(bytes, quote),
            _ => self.border_by_bytes(bytes),
        };
        // A `\r` at the end may be half of a line end.
        if self.newline == b'\r' && border == bytes.len() && border > 0 {
            let before = self.last_border(&bytes[..border - 1]);
            return before;
        }
        border
    }

    /// The border behind the last newline in `bytes[from..to]`, or 0.
    fn newline_in(&self, bytes: &[u8], from: usize, to: usize) -> usize {
        match memrchr(self.newline, &bytes[from..to]) {
            Some(at) if self.newline == b'\r' && bytes.get(from + at + 1) == Some(&b'\n') => from + at + 2,
            Some(at) => from + at + 1,
            None => 0,
        }
    }

    fn border_by_quotes(&self, bytes: &[u8], quote: u8) -> usize {
        let mut border = 0;
        let mut outside = 0;
        let mut at = 0;
        while let Some(ahead) = memchr(quote, &bytes[at..]) {
            let open = at + ahead;
            if !self.opens(bytes, open) {
                at = open + 1;
                continue;
            }
            border = border.max(self.newline_in(bytes, outside, open));
            let Some(close) = closing(bytes, open + 1, quote) else { return border };
            at = close + 1;
            outside = at;
        }
        border.max(self.newline_in(bytes, outside, bytes.len()))
    }

    /// Whether a quote at `at`, outside of quotes, begins a field.
    fn opens(&self, bytes: &[u8], at: usize) -> bool {
        let before = &bytes[..at];
        let Some(last) = before.last() else { return true };
        let at_line_start = *last == self.newline || (self.newline == b'\r' && *last == b'\n');
        if !at_line_start && !before.ends_with(&self.delimiter) {
            return false;
        }
        match self.comment {
            Some(comment) => {
                let line = memrchr(self.newline, before).map_or(0, |newline| newline + 1);
                bytes[line] != comment
            }
            None => true,
        }
    }

    /// With an escape character every special byte counts.
    fn border_by_bytes(&self, bytes: &[u8]) -> usize {
        let (mut border, mut at) = (0, 0);
        let mut line_start = 0;
        let mut in_quotes = false;
        while at < bytes.len() {
            let byte = Some(bytes[at]);
            if byte == self.escape && self.comment.is_none_or(|comment| bytes[line_start] != comment) {
                at += 2;
                continue;
            }
            if byte == self.quote {
                if !in_quotes {
                    in_quotes = self.opens(bytes, at);
                } else if bytes.get(at + 1).copied() == self.quote {
                    at += 1;
                } else {
                    in_quotes = false;
                }
            } else if byte == Some(self.newline) && !in_quotes {
                at += usize::from(self.newline == b'\r' && bytes.get(at + 1) == Some(&b'\n'));
                border = at + 1;
                line_start = border;
            }
            at += 1;
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
