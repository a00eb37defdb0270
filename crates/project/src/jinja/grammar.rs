//! Jinja's grammar, as far as [`super::rewrite`] has to know where expressions begin and end.

use super::{
    lexer::{TagKind, Token, TokenKind},
    rewrite::{Edits, MacroExtent},
};

/// Reads one tag's tokens by Jinja's grammar. Every method gives nothing if the tokens do not fit.
pub(super) struct Parser<'t, F> {
    pub(super) text: &'t str,
    pub(super) tokens: &'t [Token],
    pub(super) at: usize,
    pub(super) edits: Edits,
    pub(super) line_of: &'t F,
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

    /// Reads a whole tag and notes how it has to change.
    pub(super) fn tag(&mut self, kind: TagKind, extent: Option<&MacroExtent>) -> Option<()> {
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
