//! What a node that failed says: why, and where that is put right.

use wardlake_core::{ErrorKind, HasErrorKind, Location};
use wardlake_engine::{EngineError, Place, Session};
use wardlake_project::Node;

use crate::error::BuildError;

/// The error, and the file of the node once, if that is where it can be put right. `compiled` is its SQL, as far as it came.
pub(crate) async fn message(session: &Session, node: &Node, compiled: Option<&str>, error: &BuildError) -> String {
    // The templates' own problems have their place; what the disk or another writer refuses has none in a file.
    let has_place =
        matches!(error, BuildError::Project(problems) if problems.0.iter().any(|problem| problem.location.is_some()));
    let is_of_project = matches!(error.kind(), ErrorKind::Invalid | ErrorKind::NotFound);
    if has_place || !is_of_project {
        return error.to_string();
    }
    let place = match (error, compiled) {
        (BuildError::Engine(error), Some(sql)) => place_in_code(session, node, sql, error).await,
        _ => None,
    };
    let place = place.unwrap_or_else(|| match &node.test {
        // It is one of many things in a file of properties.
        Some(_) => node.location.to_string(),
        None => node.location.file.display().to_string(),
    });
    let help = match error {
        BuildError::Engine(EngineError::Syntax(syntax)) => syntax.help.as_deref(),
        _ => None,
    };
    let help = help.map(|help| format!("\n  help: {help}"));
    format!("{error}\n  --> {place}{}", help.unwrap_or_default())
}

/// Where the SQL of a node cannot be planned.
async fn place_in_code(session: &Session, node: &Node, sql: &str, error: &EngineError) -> Option<String> {
    let place = error.place_in(sql)?;
    // Planned by itself: the error may as well be that of a hook, of a rule of the model or of a view which it reads.
    if !matches!(error, EngineError::Syntax(_)) {
        let own = session.query(sql).await.err()?;
        if own.to_string() != error.to_string() {
            return None;
        }
    }
    let shown = node.location.file.display();
    // The code of a generic test is nobody's text.
    let written = node.test.is_none().then(|| place_as_written(&node.raw_code, sql, place)).flatten();
    Some(match written {
        None => format!("{shown} (line {}, column {} of its compiled SQL)", place.line, place.column),
        // Blanks before the first line's code are not in the node's text.
        Some((line, None)) | Some((line @ 1, _)) => format!("{shown}:{}", node.first_line + line - 1),
        Some((line, Some(column))) => {
            let file = node.location.file.clone();
            Location { file, line: node.first_line + line - 1, column }.to_string()
        }
    })
}

/// The same place in the code as it was written: its line, if templates before it took as many lines as what came of them, and the
/// column, if no template stands before it in the line.
pub fn place_as_written(written: &str, compiled: &str, place: Place) -> Option<(usize, Option<usize>)> {
    let (written, compiled): (Vec<&str>, Vec<&str>) = (written.lines().collect(), compiled.lines().collect());
    let is_same = |(written, compiled): (&&str, &&str)| written == compiled || written.contains('{');
    if written.len() != compiled.len() || !written.iter().zip(&compiled).all(is_same) {
        return None;
    }
    let at = place.line.checked_sub(1)?;
    let before = |line: &str| line.chars().take(place.column.saturating_sub(1)).collect::<String>();
    let (begun, became) = (before(written.get(at).copied()?), before(compiled.get(at).copied()?));
    let is_column_same = begun == became;
    let is_untouched = |at: usize| written.get(at) == compiled.get(at);
    let is_between_untouched = at.checked_sub(1).is_none_or(is_untouched) && is_untouched(at + 1);
    let is_begun_alike = is_column_same && !begun.trim().is_empty();
    // Of several lines with templates it is not certain which became which.
    let is_certain = is_untouched(at) || is_between_untouched || is_begun_alike;
    is_certain.then_some((place.line, is_column_same.then_some(place.column)))
}

#[cfg(test)]
mod tests {
    use wardlake_engine::Place;

    use super::place_as_written;

    #[test]
    fn e01_a_line_is_named_only_if_it_is_certain() {
        let written = "{{ config(materialized='table') }}\nselect a\nfrom {{ ref('x') }}\nwhere a = ";
        let check = |compiled: &str, (line, column): (usize, usize), expected: Option<(usize, Option<usize>)>| {
            assert_eq!(place_as_written(written, compiled, Place { line, column }), expected, "{compiled:?}");
        };
        check("\nselect a\nfrom silver.x\nwhere a = ", (4, 7), Some((4, Some(7))));
        // Behind a template columns differ.
        check("\nselect a\nfrom silver.x\nwhere a = ", (3, 8), Some((3, None)));
        check("\nselect a\nfrom silver.x\nwhere a = ", (3, 6), Some((3, Some(6))));
        // A template became several lines, or the first one was left out.
        check("\nselect a\nfrom (\nselect 1) x\nwhere a = ", (5, 1), None);
        check("select a\nfrom silver.x\nwhere a = ", (3, 1), None);
        check("", (1, 1), None);
    }

    #[test]
    fn e01_of_neighbouring_templates_none_is_named() {
        let written = "{% if true %}\n{{ first() }}\n{% endif %}\nfrom x";
        let compiled = "\nselect a\n\nfrom x";
        let begun = ("{{ config() }}\nselect b from {{ ref('x') }}", "\nselect b from silver.x");
        assert_eq!(place_as_written(begun.0, begun.1, Place { line: 2, column: 8 }), Some((2, Some(8))));
        assert_eq!(place_as_written(written, compiled, Place { line: 2, column: 8 }), None);
        assert_eq!(place_as_written(written, compiled, Place { line: 4, column: 6 }), Some((4, Some(6))));
    }
}
