//! Byte offsets as lines and columns.

/// A line and a column in characters, both from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) line: usize,
    pub(crate) column: usize,
}

/// The lines of a text.
#[derive(Debug)]
pub(crate) struct LineIndex {
    text: String,
    starts: Vec<usize>,
}

impl LineIndex {
    pub(crate) fn new(text: &str) -> Self {
        let starts = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        Self { text: text.to_owned(), starts }
    }

    /// The place of an offset; beyond the end it is the end.
    pub(crate) fn place(&self, offset: usize) -> Place {
        let line = self.starts.partition_point(|start| *start <= offset);
        let start = line.checked_sub(1).and_then(|index| self.starts.get(index)).copied().unwrap_or_default();
        let column = self.text[start..].char_indices().take_while(|(at, _)| start + at < offset).count() + 1;
        Place { line: line.max(1), column }
    }

    /// The place of an expression: of `a.b(…)` the engine names the dot, a reader looks for the `a`.
    pub(crate) fn place_of_expression(&self, offset: usize) -> Place {
        self.place(expression_start(&self.text, offset))
    }
}

/// Where the dotted name begins that is called or looked into at `offset`.
pub(crate) fn expression_start(text: &str, offset: usize) -> usize {
    let is_postfix = text.get(offset..).is_some_and(|rest| rest.starts_with(['.', '(', '[']));
    let Some(before) = text.get(..offset).filter(|_| is_postfix) else { return offset };
    before.trim_end_matches(|c: char| c == '_' || c == '.' || c.is_alphanumeric()).len()
}
