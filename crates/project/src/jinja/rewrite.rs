//! Makes a dbt template one that minijinja runs with Python's semantics.
//!
//! minijinja's literals are immutable, its `%` and `+` know neither text formatting nor lists, and its macros have no
//! `varargs`. So literals and those operators become calls (`[a]` → `__list([a])`, `a + b` → `__add(a , b)`), macros get
//! the two hidden parameters where they use them, and `ref` and `source` are told their line. No line break is ever
//! added or removed, and every offset maps back to the text as written, so errors name the user's own line and column.
//! A tag this parser cannot read is left as it is: the engine then reports the syntax error.

use super::lexer::{Tag, TagKind, Token, TokenKind, tags};

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

/// A macro (or test) block: the tags that open and close it, and what its body asks for.
struct MacroExtent {
    open: usize,
    close: usize,
    takes_varargs: bool,
    takes_kwargs: bool,
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

#[derive(Default)]
struct Edits {
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

    fn after(&mut self, at: usize, insert: impl Into<String>) {
        self.push(at, 0, insert.into(), 0);
    }

    fn before(&mut self, at: usize, insert: impl Into<String>) {
        self.push(at, 0, insert.into(), 1);
    }

    fn replace(&mut self, token: Token, insert: impl Into<String>) {
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

/// Reads one tag's tokens by Jinja's grammar. Every method gives nothing if the tokens do not fit.
struct Parser<'t, F> {
    text: &'t str,
    tokens: &'t [Token],
    at: usize,
    edits: Edits,
    line_of: &'t F,
}

impl<F: Fn(usize) -> usize> Parser<'_, F> {
    fn word(&self) -> &str {
        self.tokens.get(self.at).map_or("", |t| &self.text[t.start..t.end])
    }

    fn kind(&self) -> Option<TokenKind> {
        self.tokens.get(self.at).map(|t| t.kind)
    }

    fn next(&mut self) -> Option<Token> {
        let token = self.tokens.get(self.at).copied()?;
        self.at += 1;
        Some(token)
    }

    fn skip(&mut self, word: &str) -> bool {
        let found = self.word() == word;
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, word: &str) -> Option<Token> {
        if self.word() == word { self.next() } else { None }
    }

    fn start(&self) -> usize {
        self.tokens.get(self.at).map_or(self.text.len(), |t| t.start)
    }

    /// End of the last token read.
    fn end(&self) -> usize {
        self.at.checked_sub(1).and_then(|at| self.tokens.get(at)).map_or(0, |t| t.end)
    }

    fn tag(&mut self, kind: TagKind, extent: Option<&MacroExtent>) -> Option<()> {
        if kind == TagKind::Print {
            return self.expression_list();
        }
        let keyword = self.next()?;
        match &self.text[keyword.start..keyword.end] {
            "if" | "elif" | "print" => self.expression_list(),
            "do" => {
                self.edits.replace(keyword, "set __do =");
                self.expression()
            }
            "set" => self.set(),
            "for" => self.for_loop(),
            "macro" => self.macro_header(extent),
            "test" | "data_test" => {
                let name = *self.tokens.get(self.at)?;
                self.edits.replace(keyword, "macro");
                self.edits.before(name.start, "test_");
                self.macro_header(extent)
            }
            "call" => {
                if self.word() == "(" {
                    self.parameters()?;
                }
                self.expression()
            }
            "with" => {
                while self.at < self.tokens.len() {
                    self.targets()?;
                    self.expect("=")?;
                    self.expression()?;
                    self.skip(",");
                }
                Some(())
            }
            "filter" => self.filters(),
            _ => {
                self.at = self.tokens.len();
                Some(())
            }
        }
    }

    fn expression_list(&mut self) -> Option<()> {
        self.expression()?;
        while self.skip(",") {
            if self.at < self.tokens.len() {
                self.expression()?;
            }
        }
        Some(())
    }

    fn targets(&mut self) -> Option<()> {
        loop {
            if self.skip("(") {
                self.targets()?;
                self.expect(")")?;
            } else {
                (self.kind()? == TokenKind::Ident).then_some(())?;
                self.at += 1;
                while self.skip(".") {
                    self.next()?;
                }
            }
            if !self.skip(",") {
                return Some(());
            }
        }
    }

    fn set(&mut self) -> Option<()> {
        self.targets()?;
        if self.at == self.tokens.len() {
            return Some(());
        }
        if self.skip("|") {
            return self.filters();
        }
        self.expect("=")?;
        self.expression_list()
    }

    fn filters(&mut self) -> Option<()> {
        loop {
            self.dotted_name()?;
            if self.word() == "(" {
                self.arguments()?;
            }
            if !self.skip("|") {
                return Some(());
            }
        }
    }

    fn for_loop(&mut self) -> Option<()> {
        self.targets()?;
        self.expect("in")?;
        self.or()?;
        while self.skip(",") {
            self.or()?;
        }
        if self.skip("if") {
            self.expression()?;
        }
        self.skip("recursive");
        Some(())
    }

    fn macro_header(&mut self, extent: Option<&MacroExtent>) -> Option<()> {
        self.next()?;
        let is_empty = self.tokens.get(self.at + 1).is_some_and(|t| &self.text[t.start..t.end] == ")");
        self.parameters()?;
        let Some(extent) = extent else { return Some(()) };
        let close = self.tokens.get(self.at - 1)?.start;
        let mut comma = if is_empty { "" } else { ", " };
        for (on, name) in [(extent.takes_varargs, "varargs"), (extent.takes_kwargs, "kwargs")] {
            if on {
                self.edits.after(close, format!("{comma}{name}=none"));
                comma = ", ";
            }
        }
        Some(())
    }

    fn parameters(&mut self) -> Option<()> {
        self.expect("(")?;
        while !self.skip(")") {
            (self.next()?.kind == TokenKind::Ident).then_some(())?;
            if self.skip("=") {
                self.expression()?;
            }
            if !self.skip(",") {
                self.expect(")")?;
                break;
            }
        }
        Some(())
    }

    fn expression(&mut self) -> Option<()> {
        self.or()?;
        while self.skip("if") {
            self.or()?;
            if self.skip("else") {
                self.expression()?;
            }
        }
        Some(())
    }

    fn or(&mut self) -> Option<()> {
        self.not()?;
        while self.skip("or") || self.skip("and") {
            self.not()?;
        }
        Some(())
    }

    fn not(&mut self) -> Option<()> {
        while self.skip("not") {}
        self.sum()?;
        loop {
            let negated_in = self.word() == "not"
                && self.tokens.get(self.at + 1).is_some_and(|t| &self.text[t.start..t.end] == "in");
            self.at += usize::from(negated_in);
            if !["==", "!=", "<", "<=", ">", ">=", "in"].contains(&self.word()) {
                return Some(());
            }
            self.at += 1;
            while self.skip("not") {}
            self.sum()?;
        }
    }

    fn sum(&mut self) -> Option<()> {
        self.binary(&[("+", "__add("), ("-", "__sub(")], Self::concatenation)
    }

    fn concatenation(&mut self) -> Option<()> {
        self.binary(&[("~", "__cat(")], Self::product)
    }

    fn product(&mut self) -> Option<()> {
        self.binary(&[("*", "__mul("), ("%", "__mod("), ("/", ""), ("//", "")], Self::power)
    }

    fn power(&mut self) -> Option<()> {
        self.binary(&[("**", "")], Self::unary)
    }

    /// Left-associative operators; those with a function become a call of it.
    fn binary(&mut self, operators: &[(&str, &'static str)], operand: fn(&mut Self) -> Option<()>) -> Option<()> {
        let start = self.start();
        operand(self)?;
        while let Some((_, function)) =
            operators.iter().find(|(op, _)| self.kind() == Some(TokenKind::Op) && self.word() == *op)
        {
            let operator = self.next()?;
            operand(self)?;
            if !function.is_empty() {
                self.edits.before(start, *function);
                self.edits.replace(operator, ",");
                let end = self.end();
                self.edits.after(end, ")");
            }
        }
        Some(())
    }

    fn unary(&mut self) -> Option<()> {
        while self.kind() == Some(TokenKind::Op) && matches!(self.word(), "-" | "+") {
            self.at += 1;
        }
        self.postfix()?;
        loop {
            if self.skip("|") {
                self.dotted_name()?;
                if self.word() == "(" {
                    self.arguments()?;
                }
            } else if self.skip("is") {
                self.test()?;
            } else {
                return Some(());
            }
        }
    }

    fn dotted_name(&mut self) -> Option<()> {
        loop {
            (self.next()?.kind == TokenKind::Ident).then_some(())?;
            if !self.skip(".") {
                return Some(());
            }
        }
    }

    fn test(&mut self) -> Option<()> {
        self.skip("not");
        self.dotted_name()?;
        match self.kind() {
            Some(TokenKind::Op) if self.word() == "(" => self.arguments().map(drop),
            Some(TokenKind::Op) if matches!(self.word(), "[" | "{") => self.postfix(),
            Some(TokenKind::Str | TokenKind::Number) => self.postfix(),
            Some(TokenKind::Ident)
                if !["and", "or", "else", "is", "if", "in", "not", "recursive"].contains(&self.word()) =>
            {
                self.postfix()
            }
            _ => Some(()),
        }
    }

    fn postfix(&mut self) -> Option<()> {
        let start = self.start();
        let mut callee = self.primary()?;
        loop {
            match self.word() {
                "." => {
                    self.at += 1;
                    let name = self.next()?;
                    let is_builtin = callee.is_some_and(|t| &self.text[t.start..t.end] == "builtins");
                    callee = is_builtin.then_some(name);
                }
                "(" => {
                    let takes_line = callee.is_some_and(|t| matches!(&self.text[t.start..t.end], "ref" | "source"));
                    let line = callee.map(|t| (self.line_of)(t.start));
                    let is_empty = self.arguments()?;
                    if let (true, Some(line), Some(close)) =
                        (takes_line && !is_empty, line, self.tokens.get(self.at - 1))
                    {
                        let trailing = self.tokens.get(self.at - 2).is_some_and(|t| &self.text[t.start..t.end] == ",");
                        let comma = if trailing { "" } else { ", " };
                        self.edits.after(close.start, format!("{comma}__line={line}"));
                    }
                    callee = None;
                }
                "[" => {
                    self.subscript(start)?;
                    callee = None;
                }
                _ => return Some(()),
            }
        }
    }

    /// `x[i]` stays, `x[a:b:c]` becomes `__slice(x, a, b, c)`.
    fn subscript(&mut self, start: usize) -> Option<()> {
        let open = self.next()?;
        let mut separators = Vec::new();
        let mut part_is_empty = true;
        let mut empty_before = Vec::new();
        loop {
            match self.word() {
                "]" | ":" => {
                    let token = self.next()?;
                    empty_before.push((token, part_is_empty));
                    part_is_empty = true;
                    if &self.text[token.start..token.end] == "]" {
                        break;
                    }
                    separators.push(token);
                }
                _ => {
                    self.expression_list()?;
                    part_is_empty = false;
                }
            }
        }
        if separators.is_empty() {
            return Some(());
        }
        self.edits.before(start, "__slice(");
        self.edits.replace(open, ", ");
        for (token, is_empty) in empty_before {
            let filler = if is_empty { "none" } else { "" };
            let separator = if separators.iter().any(|s| s.start == token.start) { "," } else { ")" };
            self.edits.replace(token, format!("{filler}{separator}"));
        }
        Some(())
    }

    /// Reads `(…)`; gives whether it was empty.
    fn arguments(&mut self) -> Option<bool> {
        self.expect("(")?;
        let is_empty = self.word() == ")";
        while !self.skip(")") {
            if !self.skip("**") {
                self.skip("*");
            }
            self.expression()?;
            if self.skip("=") {
                self.expression()?;
            }
            if !self.skip(",") {
                self.expect(")")?;
                break;
            }
        }
        Some(is_empty)
    }

    /// Reads one operand; gives its name if it is one.
    fn primary(&mut self) -> Option<Option<Token>> {
        let token = self.next()?;
        match token.kind {
            TokenKind::Ident => return Some(Some(token)),
            TokenKind::Number => {}
            TokenKind::Str => self.adjacent_strings(token),
            TokenKind::Op => match &self.text[token.start..token.end] {
                "(" => {
                    if self.word() != ")" {
                        self.expression_list_until(")")?;
                    }
                    self.expect(")")?;
                }
                "[" => {
                    self.expression_list_until("]")?;
                    self.expect("]")?;
                    self.wrap(token.start, "__list(");
                }
                "{" => {
                    while self.word() != "}" {
                        self.expression()?;
                        self.expect(":")?;
                        self.expression()?;
                        if !self.skip(",") {
                            break;
                        }
                    }
                    self.expect("}")?;
                    self.wrap(token.start, "__dict(");
                }
                _ => return None,
            },
        }
        Some(None)
    }

    fn expression_list_until(&mut self, close: &str) -> Option<()> {
        while self.word() != close {
            self.expression()?;
            if !self.skip(",") {
                break;
            }
        }
        Some(())
    }

    fn wrap(&mut self, start: usize, function: &str) {
        let end = self.end();
        self.edits.before(start, function);
        self.edits.after(end, ")");
    }

    /// `'a' 'b'` is one string.
    fn adjacent_strings(&mut self, first: Token) {
        let mut last = first;
        while self.kind() == Some(TokenKind::Str) {
            self.edits.after(last.end, ",");
            last = self.tokens[self.at];
            self.at += 1;
        }
        if last.end != first.end {
            self.wrap(first.start, "__cat(");
        }
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
}
