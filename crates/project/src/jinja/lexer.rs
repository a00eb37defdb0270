//! Finds the tags of a template and the tokens in them. Strings, comments, raw and docs blocks are understood, so that
//! nothing inside them is taken for code. Never fails: what it cannot read it leaves to the engine to report.

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TokenKind {
    /// A name or keyword.
    Ident,
    /// A string with its quotes.
    Str,
    /// A number.
    Number,
    /// An operator or bracket.
    Op,
}

/// A token at byte offsets of the text.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Token {
    pub(crate) kind: TokenKind,
    pub(crate) start: usize,
    pub(crate) end: usize,
}

/// `{{ … }}` or `{% … %}`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TagKind {
    Print,
    Block,
}

/// A tag with its delimiters.
#[derive(Clone, Debug)]
pub(crate) struct Tag {
    pub(crate) kind: TagKind,
    pub(crate) start: usize,
    pub(crate) end: usize,
    pub(crate) tokens: Vec<Token>,
}

impl Tag {
    /// The statement's name (`for`, `endmacro`, …) of a block tag.
    pub(crate) fn keyword<'t>(&self, text: &'t str) -> Option<&'t str> {
        match (self.kind, self.tokens.first()) {
            (TagKind::Block, Some(token)) if token.kind == TokenKind::Ident => Some(&text[token.start..token.end]),
            _ => None,
        }
    }
}

/// All tags outside comments, raw blocks and docs blocks, in order.
pub(crate) fn tags(text: &str) -> Vec<Tag> {
    let mut tags = Vec::new();
    let mut at = 0;
    while let Some(found) = text[at..].find('{') {
        let start = at + found;
        let kind = match text.as_bytes().get(start + 1) {
            Some(b'#') => match text[start..].find("#}") {
                Some(length) => {
                    at = start + length + 2;
                    continue;
                }
                None => break,
            },
            Some(b'{') => TagKind::Print,
            Some(b'%') => TagKind::Block,
            _ => {
                at = start + 1;
                continue;
            }
        };
        let Some(tag) = read_tag(text, start, kind) else { break };
        at = tag.end;
        let opaque = match tag.keyword(text) {
            Some("raw") => Some("endraw"),
            Some("docs") => Some("enddocs"),
            _ => None,
        };
        let is_raw = opaque == Some("endraw");
        if !is_raw {
            tags.push(tag);
        }
        if let Some(end_keyword) = opaque {
            match find_end_tag(text, at, end_keyword) {
                Some(end) => {
                    at = end.end;
                    if !is_raw {
                        tags.push(end);
                    }
                }
                None => break,
            }
        }
    }
    tags
}

fn find_end_tag(text: &str, mut at: usize, keyword: &str) -> Option<Tag> {
    while let Some(found) = text[at..].find("{%") {
        let start = at + found;
        if let Some(tag) = read_tag(text, start, TagKind::Block)
            && tag.keyword(text) == Some(keyword)
        {
            return Some(tag);
        }
        at = start + 2;
    }
    None
}

fn read_tag(text: &str, start: usize, kind: TagKind) -> Option<Tag> {
    let bytes = text.as_bytes();
    let closing: &[u8] = if kind == TagKind::Print { b"}}" } else { b"%}" };
    let mut at = start + 2;
    if matches!(bytes.get(at), Some(b'-' | b'+')) {
        at += 1;
    }
    let mut tokens = Vec::new();
    let mut depth = 0usize;
    loop {
        let byte = *bytes.get(at)?;
        if byte.is_ascii_whitespace() {
            at += 1;
            continue;
        }
        if depth == 0 {
            if bytes[at..].starts_with(closing) {
                return Some(Tag { kind, start, end: at + 2, tokens });
            }
            if matches!(byte, b'-' | b'+') && bytes[at + 1..].starts_with(closing) {
                return Some(Tag { kind, start, end: at + 3, tokens });
            }
        }
        let token = read_token(text, at)?;
        match bytes[token.start] {
            b'(' | b'[' | b'{' if token.kind == TokenKind::Op => depth += 1,
            b')' | b']' | b'}' if token.kind == TokenKind::Op => depth = depth.saturating_sub(1),
            _ => {}
        }
        at = token.end;
        tokens.push(token);
    }
}

fn read_token(text: &str, start: usize) -> Option<Token> {
    let rest = &text[start..];
    let first = rest.chars().next()?;
    let (kind, length) = match first {
        '"' | '\'' => (TokenKind::Str, string_length(rest, first)?),
        '0'..='9' => (TokenKind::Number, number_length(rest)),
        c if c == '_' || c.is_alphabetic() => {
            (TokenKind::Ident, rest.find(|c: char| c != '_' && !c.is_alphanumeric()).unwrap_or(rest.len()))
        }
        _ => {
            let double = ["**", "//", "==", "!=", "<=", ">="].iter().any(|op| rest.starts_with(op));
            (TokenKind::Op, if double { 2 } else { first.len_utf8() })
        }
    };
    Some(Token { kind, start, end: start + length })
}

fn string_length(rest: &str, quote: char) -> Option<usize> {
    let mut is_escaped = false;
    for (offset, c) in rest.char_indices().skip(1) {
        match c {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            c if c == quote => return Some(offset + 1),
            _ => {}
        }
    }
    None
}

fn number_length(rest: &str) -> usize {
    let bytes = rest.as_bytes();
    let is_radix =
        bytes.first() == Some(&b'0') && matches!(bytes.get(1), Some(b'x' | b'X' | b'o' | b'O' | b'b' | b'B'));
    let digits = |mut at: usize| {
        while bytes.get(at).is_some_and(|b| b.is_ascii_digit() || *b == b'_' || (is_radix && b.is_ascii_hexdigit())) {
            at += 1;
        }
        at
    };
    if is_radix {
        return digits(2);
    }
    let mut at = digits(0);
    if bytes.get(at) == Some(&b'.') && bytes.get(at + 1).is_some_and(u8::is_ascii_digit) {
        at = digits(at + 1);
    }
    if matches!(bytes.get(at), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(bytes.get(at + 1), Some(b'+' | b'-')));
        if bytes.get(at + 1 + sign).is_some_and(u8::is_ascii_digit) {
            at = digits(at + 1 + sign);
        }
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_found_where_the_engine_finds_them() {
        for (text, expected) in [
            ("a {{ x }} b", vec!["{{ x }}"]),
            ("{{ {'a': {'b': 1}} }}", vec!["{{ {'a': {'b': 1}} }}"]),
            ("{# {{ x }} #}{%- if x -%}", vec!["{%- if x -%}"]),
            ("{% raw %}{{ x }}{% endraw %}{{ y }}", vec!["{{ y }}"]),
            ("{% docs a %}it's {{ x }}{% enddocs %}", vec!["{% docs a %}", "{% enddocs %}"]),
            ("{{ '}}' ~ \"%}\" }}", vec!["{{ '}}' ~ \"%}\" }}"]),
            ("{{ 'it\\'s' }}", vec!["{{ 'it\\'s' }}"]),
            ("{ {{ a", vec![]),
        ] {
            let found: Vec<&str> = tags(text).iter().map(|t| &text[t.start..t.end]).collect();
            assert_eq!(found, expected, "{text}");
        }
    }
}
