//! The named blocks dbt adds to Jinja at the top level of a file: macros, tests, materializations, snapshots, docs.

use super::lexer::{Tag, TokenKind, tags};

/// What a block defines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlockKind {
    /// `{% macro name(…) %}`.
    Macro,
    /// `{% test name(…) %}` or `{% data_test name(…) %}`.
    Test,
    /// `{% materialization name, default %}`.
    Materialization,
    /// `{% snapshot name %}`.
    Snapshot,
    /// `{% docs name %}`.
    Docs,
}

impl BlockKind {
    fn of(keyword: &str) -> Option<Self> {
        Some(match keyword {
            "macro" => Self::Macro,
            "test" | "data_test" => Self::Test,
            "materialization" => Self::Materialization,
            "snapshot" => Self::Snapshot,
            "docs" => Self::Docs,
            _ => return None,
        })
    }
}

/// A block at byte offsets of its file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// What it defines.
    pub kind: BlockKind,
    /// Its name as written.
    pub name: String,
    /// Where its opening tag starts.
    pub start: usize,
    /// Just behind its closing tag.
    pub end: usize,
    /// Where its contents start.
    pub body_start: usize,
    /// Where its closing tag starts.
    pub body_end: usize,
    /// 1-based line of its opening tag.
    pub line: usize,
    /// Argument names of a macro or test.
    pub(crate) arguments: Vec<String>,
}

/// A block that has no name or no end: what is wrong, and at which byte offset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockError {
    /// What is wrong.
    pub message: String,
    /// Where the block starts.
    pub offset: usize,
}

/// All blocks of a file, in order; blocks inside blocks are not listed.
pub fn blocks(text: &str) -> (Vec<Block>, Vec<BlockError>) {
    let tags = tags(text);
    let (mut blocks, mut errors) = (Vec::new(), Vec::new());
    let mut index = 0;
    while let Some(tag) = tags.get(index) {
        index += 1;
        let Some((keyword, kind)) = tag.keyword(text).and_then(|k| Some((k, BlockKind::of(k)?))) else { continue };
        let Some(close) = closing(text, &tags[index..], keyword) else {
            errors.push(BlockError {
                message: format!("`{{% {keyword} %}}` has no `{{% end{keyword} %}}`"),
                offset: tag.start,
            });
            continue;
        };
        let close_tag = &tags[index + close];
        index += close + 1;
        let Some(name) = tag.tokens.get(1).filter(|t| t.kind == TokenKind::Ident) else {
            errors.push(BlockError { message: format!("`{{% {keyword} %}}` needs a name"), offset: tag.start });
            continue;
        };
        blocks.push(Block {
            kind,
            name: text[name.start..name.end].to_owned(),
            start: tag.start,
            end: close_tag.end,
            body_start: tag.end,
            body_end: close_tag.start,
            line: 1 + text[..tag.start].matches('\n').count(),
            arguments: super::rewrite::header(text, tag).map(|header| header.arguments).unwrap_or_default(),
        });
    }
    (blocks, errors)
}

fn closing(text: &str, tags: &[Tag], keyword: &str) -> Option<usize> {
    let end = format!("end{keyword}");
    let mut depth = 0usize;
    tags.iter().position(|tag| match tag.keyword(text) {
        Some(word) if word == end && depth == 0 => true,
        Some(word) if word == end => {
            depth -= 1;
            false
        }
        Some(word) if word == keyword => {
            depth += 1;
            false
        }
        _ => false,
    })
}
