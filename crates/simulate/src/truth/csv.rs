//! CSV as the truth is written in: commas, double quotes where needed, `\n`.

/// Appends one field.
pub(crate) fn push_csv(field: &str, out: &mut Vec<u8>) {
    if field.bytes().any(|byte| matches!(byte, b',' | b'"' | b'\n' | b'\r')) {
        out.push(b'"');
        out.extend_from_slice(field.replace('"', "\"\"").as_bytes());
        out.push(b'"');
    } else {
        out.extend_from_slice(field.as_bytes());
    }
}

/// Cuts text into records, each with the line it begins at, from 1.
pub(crate) fn records(text: &str) -> Records<'_> {
    Records { rest: text, line: 1 }
}

pub(crate) struct Records<'a> {
    rest: &'a str,
    line: usize,
}

impl Iterator for Records<'_> {
    type Item = (usize, Vec<String>);

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let (line, mut fields, mut field, mut is_quoted) = (self.line, Vec::new(), String::new(), false);
        let mut letters = self.rest.char_indices().peekable();
        while let Some((_, letter)) = letters.next() {
            match letter {
                '"' if is_quoted && letters.peek().is_some_and(|(_, next)| *next == '"') => {
                    letters.next();
                    field.push('"');
                }
                '"' => is_quoted = !is_quoted,
                ',' if !is_quoted => fields.push(std::mem::take(&mut field)),
                '\n' if !is_quoted => {
                    self.line += 1;
                    break;
                }
                '\r' if !is_quoted => {}
                _ => {
                    self.line += usize::from(letter == '\n');
                    field.push(letter);
                }
            }
        }
        let end = letters.peek().map_or(self.rest.len(), |(at, _)| *at);
        self.rest = &self.rest[end..];
        fields.push(field);
        Some((line, fields))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_written_is_read_back(rows in prop::collection::vec(prop::collection::vec("[a-z,\"\n;é ]{0,6}", 2..5), 1..6)) {
            let mut text = Vec::new();
            for row in &rows {
                for (position, field) in row.iter().enumerate() {
                    if position > 0 {
                        text.push(b',');
                    }
                    push_csv(field, &mut text);
                }
                text.push(b'\n');
            }
            let text = String::from_utf8(text).expect("text");
            let read: Vec<Vec<String>> = records(&text).map(|(_, fields)| fields).collect();
            prop_assert_eq!(read, rows);
        }
    }
}
