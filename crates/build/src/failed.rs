//! What a node that failed says: why, and where that is put right.

use wardlake_core::{ErrorKind, HasErrorKind, Location};
use wardlake_engine::{EngineError, Session};
use wardlake_project::Node;

use crate::error::BuildError;

/// The error, and the file of the node once, if that is where it can be put right. `compiled` is its SQL, as far as it came.
pub(crate) fn message(session: &Session, node: &Node, compiled: Option<&str>, error: &BuildError) -> String {
    // The templates' own problems have their place; what the disk or another writer refuses has none in a file.
    let has_place =
        matches!(error, BuildError::Project(problems) if problems.0.iter().any(|problem| problem.location.is_some()));
    let is_of_project = matches!(error.kind(), ErrorKind::Invalid | ErrorKind::NotFound);
    if has_place || !is_of_project {
        return error.to_string();
    }
    let syntax = match error {
        BuildError::Engine(EngineError::Syntax(syntax)) => Some(syntax),
        _ => None,
    };
    let place = syntax.and(compiled).and_then(|sql| syntax_place(session, node, sql));
    let place = place.unwrap_or_else(|| match &node.test {
        // It is one of many things in a file of properties.
        Some(_) => node.location.to_string(),
        None => node.location.file.display().to_string(),
    });
    let help = syntax.and_then(|syntax| syntax.help.as_deref()).map(|help| format!("\n  help: {help}"));
    format!("{error}\n  --> {place}{}", help.unwrap_or_default())
}

/// Where the SQL of a node is none.
fn syntax_place(session: &Session, node: &Node, sql: &str) -> Option<String> {
    // Read by itself: the error may as well be a hook's or that of a view which the node reads.
    let Err(EngineError::Syntax(found)) = session.is_volatile(sql) else { return None };
    if found.line == 0 {
        return None;
    }
    let shown = node.location.file.display();
    Some(match line_as_written(&node.raw_code, sql, found.line) {
        // Blanks before the first line's code are not in the node's text.
        Some(1) | None => format!("{shown} (line {}, column {} of its compiled SQL)", found.line, found.column),
        Some(line) => {
            let file = node.location.file.clone();
            Location { file, line: node.first_line + line - 1, column: found.column }.to_string()
        }
    })
}

/// The same line of the code as it was written, if templates before it took as many lines as what came of them.
fn line_as_written(written: &str, compiled: &str, line: usize) -> Option<usize> {
    let (written, compiled): (Vec<&str>, Vec<&str>) = (written.lines().collect(), compiled.lines().collect());
    let is_same = |(written, compiled): (&&str, &&str)| written == compiled || written.contains('{');
    let is_untouched = written.get(line - 1)? == compiled.get(line - 1)?;
    let fits = written.len() == compiled.len() && written.iter().zip(&compiled).all(is_same);
    (fits && is_untouched).then_some(line)
}

#[cfg(test)]
mod tests {
    use super::line_as_written;

    #[test]
    fn e01_a_line_is_named_only_if_it_is_certain() {
        let written = "{{ config(materialized='table') }}\nselect a\nfrom {{ ref('x') }}\nwhere a = ";
        let check = |compiled: &str, line: usize, expected: Option<usize>| {
            assert_eq!(line_as_written(written, compiled, line), expected, "{compiled:?}");
        };
        check("\nselect a\nfrom silver.x\nwhere a = ", 4, Some(4));
        // On a line that a template is part of columns differ.
        check("\nselect a\nfrom silver.x\nwhere a = ", 3, None);
        // A template became several lines, or the first one was left out.
        check("\nselect a\nfrom (\nselect 1) x\nwhere a = ", 5, None);
        check("select a\nfrom silver.x\nwhere a = ", 3, None);
        check("", 1, None);
    }
}
