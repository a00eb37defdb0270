//! Names and texts as SQL writes them: the one place where quotes are put around what people, files and settings bring.

/// A name, whatever characters it has: in double quotes, those within it doubled.
pub fn identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A text: in single quotes, those within it doubled. A backslash means itself.
pub fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

#[cfg(test)]
mod tests {
    use crate::{Engine, EngineOptions, ReadState};
    use arrow::util::display::array_value_to_string;
    use wardlake_access::{SystemReason, Viewer};
    use wardlake_storage::Lake;

    use super::*;

    #[test]
    fn quotes_are_doubled() {
        for (text, name, value) in [
            ("plain", r#""plain""#, "'plain'"),
            ("", r#""""#, "''"),
            ("O'Neill", r#""O'Neill""#, "'O''Neill'"),
            (r#"a "b""#, r#""a ""b""""#, r#"'a "b"'"#),
            ("'; drop table x --", r#""'; drop table x --""#, "'''; drop table x --'"),
        ] {
            assert_eq!(identifier(text), name);
            assert_eq!(literal(text), value);
        }
    }

    #[tokio::test]
    async fn the_engine_reads_back_what_was_quoted() {
        let folder = tempfile::tempdir().unwrap();
        let lake = Lake::open(&folder.path().to_string_lossy()).await.unwrap();
        let engine = Engine::new(lake, EngineOptions::default()).unwrap();
        let session = engine.session(Viewer::System(SystemReason::Test), ReadState::Working).await.unwrap();
        for text in [
            "O'Neill",
            "''",
            r#"a "quoted" name"#,
            r"back\slash\'",
            "/* no */ -- comment",
            "{{ x }} $1 ?",
            "zwei\nzeilen",
            "Größe",
        ] {
            let sql = format!("select {} as {}", literal(text), identifier(text));
            let batches = session.collect(&sql).await.unwrap();
            assert_eq!(batches[0].schema().field(0).name(), text);
            assert_eq!(array_value_to_string(batches[0].column(0), 0).unwrap(), text);
        }
    }
}
