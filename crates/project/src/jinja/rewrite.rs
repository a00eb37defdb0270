//! Makes a dbt template one that minijinja runs with Python's semantics.
//!
//! minijinja's literals are immutable, its `%` and `+` know neither text formatting nor lists, and its macros have no
//! `varargs`. So literals and those operators become calls (`[a]` → `__list([a])`, `a + b` → `__add(a , b)`), macros get
//! the two hidden parameters where they use them, and `ref` and `source` are told their line. No line break is ever
//! added or removed, and every offset maps back to the text as written, so errors name the user's own line and column.
//! A tag this parser cannot read is left as it is: the engine then reports the syntax error.

use super::{
    grammar::Parser,
    lexer::{Tag, Token, TokenKind, tags},
};

/// A template ready for the engine.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rewritten {
    /// What the engine compiles.
    pub(crate) text: String,
    pub(crate) map: OffsetMap,
}

/// From offsets of the rewritten text to offsets of the text as written.
#[derive(Clone, Debug, Default)]
pub(crate) struct OffsetMap {
    /// (offset in the rewritten text, offset as written, whether what follows was copied).
    anchors: Vec<(usize, usize, bool)>,
}

impl OffsetMap {
    /// Where that place was written.
    pub(crate) fn original(&self, offset: usize) -> usize {
        let next = self.anchors.partition_point(|anchor| anchor.0 <= offset);
        match next.checked_sub(1).and_then(|index| self.anchors.get(index)) {
            Some((start, original, true)) => original + (offset - start),
            Some((_, original, false)) => *original,
            None => offset,
        }
    }
}

/// Rewrites a template. `prefix` is put in front, `suffix` behind; `line_of` gives the line of an offset.
pub(crate) fn rewrite(text: &str, prefix: &str, suffix: &str, line_of: impl Fn(usize) -> usize) -> Rewritten {
    let tags = tags(text);
    let mut edits = Edits::default();
    let macros = macro_extents(text, &tags);
    for (index, tag) in tags.iter().enumerate() {
        let mut parser = Parser {
            text,
            tokens: &tag.tokens,
            at: 0,
            edits: Edits { list: Vec::new(), counter: edits.counter },
            line_of: &line_of,
        };
        let extent = macros.iter().find(|extent| extent.open == index);
        if is_too_deep(text, tag) {
            continue;
        }
        if parser.tag(tag.kind, extent).is_some() && parser.at == tag.tokens.len() {
            edits.counter = parser.edits.counter;
            edits.list.append(&mut parser.edits.list);
        }
        if let Some(extent) = macros.iter().find(|extent| extent.close == index)
            && let Some(bind) = extent.bind(text, &tags)
        {
            edits.rename_end(text, tag);
            edits.after(tag.end, bind);
        }
    }
    edits.apply(text, prefix, suffix)
}

/// Whether expressions stand deeper one inside the other than the engine reads: it says so, and never gets there if this parser, which
/// goes down by recursion as well, has no room left before.
fn is_too_deep(text: &str, tag: &Tag) -> bool {
    const MAX_DEPTH: usize = 150;
    let (mut open, mut signs, mut choices) = (0usize, 0usize, 0usize);
    tag.tokens.iter().any(|token| {
        match &text[token.start..token.end] {
            "(" | "[" | "{" => open += 1,
            ")" | "]" | "}" => open = open.saturating_sub(1),
            "else" | "**" => choices += 1,
            _ => {}
        }
        signs = if matches!(&text[token.start..token.end], "not" | "-" | "+") { signs + 1 } else { 0 };
        open > MAX_DEPTH || signs > MAX_DEPTH || choices > MAX_DEPTH
    })
}

/// A macro (or test) block: the tags that open and close it, and what its body asks for.
pub(super) struct MacroExtent {
    open: usize,
    close: usize,
    pub(super) takes_varargs: bool,
    pub(super) takes_kwargs: bool,
    takes_caller: bool,
}

fn macro_extents(text: &str, tags: &[Tag]) -> Vec<MacroExtent> {
    let mut extents = Vec::new();
    let mut open = Vec::new();
    for (index, tag) in tags.iter().enumerate() {
        match tag.keyword(text) {
            Some("macro" | "test" | "data_test") => open.push(index),
            Some("endmacro" | "endtest" | "enddata_test") => {
                if let Some(start) = open.pop() {
                    let mentions = |name: &str| {
                        tags[start..index].iter().flat_map(|t| &t.tokens).any(|t| &text[t.start..t.end] == name)
                    };
                    extents.push(MacroExtent {
                        open: start,
                        close: index,
                        takes_varargs: mentions("varargs"),
                        takes_kwargs: mentions("kwargs"),
                        takes_caller: mentions("caller"),
                    });
                }
            }
            _ => {}
        }
    }
    extents
}

impl MacroExtent {
    /// The tag that wraps the finished macro, so that calls bind their arguments as Python does.
    fn bind(&self, text: &str, tags: &[Tag]) -> Option<String> {
        let header = header(text, &tags[self.open])?;
        let flag = |on: bool, name: &'static str| if on { name } else { "" };
        let flags =
            [flag(self.takes_varargs, "v"), flag(self.takes_kwargs, "k"), flag(self.takes_caller, "c")].concat();
        let close = &tags[self.close];
        let trim = if text[..close.end].ends_with("-%}") { "-" } else { "" };
        let name = header.name;
        Some(format!("{{% set {name} = __bind({name}, '{}', '{flags}') {trim}%}}", header.arguments.join(",")))
    }
}

/// Name and arguments of `{% macro name(a, b=1) %}` or `{% test name(…) %}`.
pub(crate) struct Header {
    /// The macro's name; tests get their prefix.
    pub(crate) name: String,
    /// Argument names in order.
    pub(crate) arguments: Vec<String>,
}

/// Reads the header of a macro or test tag.
pub(crate) fn header(text: &str, tag: &Tag) -> Option<Header> {
    let word = |token: &Token| &text[token.start..token.end];
    let keyword = tag.keyword(text)?;
    let name = tag.tokens.get(1).filter(|t| t.kind == TokenKind::Ident).map(word)?;
    let name = if keyword == "macro" { name.to_owned() } else { format!("test_{name}") };
    let mut arguments = Vec::new();
    let mut depth = 0usize;
    for pair in tag.tokens.get(2..)?.windows(2) {
        match word(&pair[0]) {
            "(" | "[" | "{" => depth += 1,
            ")" | "]" | "}" => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth == 1 && matches!(word(&pair[0]), "(" | ",") && pair[1].kind == TokenKind::Ident {
            arguments.push(word(&pair[1]).to_owned());
        }
    }
    Some(Header { name, arguments })
}

/// Changes to a text.
#[derive(Default)]
pub(super) struct Edits {
    list: Vec<Edit>,
    counter: i64,
}

struct Edit {
    at: usize,
    remove: usize,
    insert: String,
    /// Order among edits of one offset: closings inner first, then openings outer first, then replacements.
    rank: (u8, i64),
}

impl Edits {
    fn push(&mut self, at: usize, remove: usize, insert: String, group: u8) {
        self.counter += 1;
        // An outer expression is recognised after its inner ones and has to open before them.
        let order = if group == 1 { -self.counter } else { self.counter };
        self.list.push(Edit { at, remove, insert, rank: (group, order) });
    }

    pub(super) fn after(&mut self, at: usize, insert: impl Into<String>) {
        self.push(at, 0, insert.into(), 0);
    }

    pub(super) fn before(&mut self, at: usize, insert: impl Into<String>) {
        self.push(at, 0, insert.into(), 1);
    }

    pub(super) fn replace(&mut self, token: Token, insert: impl Into<String>) {
        self.push(token.start, token.end - token.start, insert.into(), 2);
    }

    fn rename_end(&mut self, text: &str, tag: &Tag) {
        if let Some(token) = tag.tokens.first()
            && &text[token.start..token.end] != "endmacro"
        {
            self.replace(*token, "endmacro");
        }
    }

    fn apply(mut self, text: &str, prefix: &str, suffix: &str) -> Rewritten {
        self.list.sort_by_key(|edit| (edit.at, edit.rank));
        let mut out = String::with_capacity(text.len() + prefix.len() + suffix.len() + 16 * self.list.len());
        let mut anchors = vec![(0, 0, false)];
        let mut at = 0;
        out.push_str(prefix);
        for edit in self.list {
            if edit.at > at {
                anchors.push((out.len(), at, true));
                out.push_str(&text[at..edit.at]);
                at = edit.at;
            }
            anchors.push((out.len(), edit.at, false));
            out.push_str(&edit.insert);
            at = at.max(edit.at + edit.remove);
        }
        anchors.push((out.len(), at, true));
        out.push_str(&text[at..]);
        anchors.push((out.len(), text.len(), false));
        out.push_str(suffix);
        Rewritten { text: out, map: OffsetMap { anchors } }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(_: usize) -> usize {
        7
    }

    #[test]
    fn literals_and_operators_become_calls() {
        for (text, expected) in [
            ("{{ [1, [2]] }}", "{{ __list([1, __list([2])]) }}"),
            ("{{ a + b ~ c }}", "{{ __add(a , __cat(b , c)) }}"),
            ("{{ a % b * c }}", "{{ __mul(__mod(a , b) , c) }}"),
            ("{{ 'x' 'y' }}", "{{ __cat('x', 'y') }}"),
            ("{{ x[1:] }}", "{{ __slice(x, 1,none) }}"),
            ("{{ x[::2] }}", "{{ __slice(x, none,none,2) }}"),
            ("{{ x[0].y(a=[1]) }}", "{{ x[0].y(a=__list([1])) }}"),
            ("{% do x.append({'a': 1}) %}", "{% set __do = x.append(__dict({'a': 1})) %}"),
            ("{{ ref('a') }}", "{{ ref('a', __line=7) }}"),
            ("{{ builtins.source('a', 'b',) }}", "{{ builtins.source('a', 'b',__line=7) }}"),
            ("{{ x if not y is in [1] else -z|f(2) }}", "{{ x if not y is in __list([1]) else -z|f(2) }}"),
            ("{{ a - 1 }} + [b]", "{{ __sub(a , 1) }} + [b]"),
            ("{{ a + }}", "{{ a + }}"),
            ("{% for k, v in d.items() if v not in [1] %}", "{% for k, v in d.items() if v not in __list([1]) %}"),
            (
                "{% macro m(a, b=[]) %}{{ kwargs }}{% endmacro -%}",
                "{% macro m(a, b=__list([]), kwargs=none) %}{{ kwargs }}{% endmacro -%}{% set m = __bind(m, 'a,b', 'k') -%}",
            ),
            (
                "{% test t(model) %}{% endtest %}",
                "{% macro test_t(model) %}{% endmacro %}{% set test_t = __bind(test_t, 'model', '') %}",
            ),
        ] {
            let rewritten = rewrite(text, "", "", line);
            assert_eq!(rewritten.text, expected, "{text}");
        }
    }

    #[test]
    fn offsets_lead_back_to_the_text_as_written() {
        let text = "a {{ [x] + [y] }}\n{{ zebra }}";
        let rewritten = rewrite(text, "{# p #}", "", line);
        for name in ["x]", "y]", "zebra"] {
            let at = rewritten.text.find(name).expect("kept");
            assert_eq!(rewritten.map.original(at), text.find(name).expect("there"), "{name}");
        }
    }

    proptest::proptest! {
        /// Whatever is written, the rewriter neither fails nor moves a line, and every offset leads back into the text.
        #[test]
        fn any_text_keeps_its_lines(
            parts in proptest::collection::vec(
                proptest::sample::select(vec![
                    "{{ ", " }}", "{% ", " %}", "{#", "#}", "[", "]", "(", ")", "{", "}", ",", ":", "a", "'x'", "\"", "1", "+", "~", "%",
                    "is not", " in ", " if ", " else ", "for ", "set ", "do ", "macro m", "endmacro", "test t", "endtest", "call ", "ref", ".",
                    "|", "=", "**", "*", "\n", " ", "é", "raw", "endraw", "\\",
                ]),
                0..40,
            )
        ) {
            let text = parts.concat();
            let rewritten = rewrite(&text, "", "", line);
            proptest::prop_assert_eq!(rewritten.text.matches('\n').count(), text.matches('\n').count());
            for (offset, _) in rewritten.text.char_indices() {
                let original = rewritten.map.original(offset);
                proptest::prop_assert!(original <= text.len() && text.is_char_boundary(original));
            }
        }
    }
}
