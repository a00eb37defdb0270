//! `schema.name`: where a table stands in the lake (`<lake>/<schema>/<name>`) and in SQL.

use std::{fmt, str::FromStr};

/// A table or view of the lake. Both parts are non-empty and hold no path separators, so the name is also a safe folder.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TableName {
    schema: String,
    name: String,
}

/// Why a text is no table name.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("`{text}` is not a table name; write it as schema.name, without '/', '\\' or a leading '_' in the schema")]
pub struct TableNameError {
    text: String,
}

impl TableName {
    /// Checks both parts.
    pub fn new(schema: impl Into<String>, name: impl Into<String>) -> Result<Self, TableNameError> {
        let (schema, name) = (schema.into(), name.into());
        let safe = |part: &str| {
            !part.is_empty() && !part.starts_with('.') && !part.contains(['/', '\\', '\0']) && part.len() <= 200
        };
        // Folders that start with an underscore are the lake's own (`_epochs`, `_landing`, `_views`).
        if safe(&schema) && safe(&name) && !schema.starts_with('_') && !schema.contains('.') {
            Ok(Self { schema, name })
        } else {
            Err(TableNameError { text: format!("{schema}.{name}") })
        }
    }

    /// The schema (a folder of the lake).
    pub fn schema(&self) -> &str {
        &self.schema
    }

    /// The table within its schema.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// `"schema"."name"` with quotes doubled, for use in SQL.
    pub fn quoted(&self) -> String {
        format!("\"{}\".\"{}\"", self.schema.replace('"', "\"\""), self.name.replace('"', "\"\""))
    }
}

impl fmt::Display for TableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.schema, self.name)
    }
}

impl FromStr for TableName {
    type Err = TableNameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once('.') {
            Some((schema, name)) => Self::new(schema, name),
            None => Err(TableNameError { text: text.to_owned() }),
        }
    }
}

impl TryFrom<String> for TableName {
    type Error = TableNameError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<TableName> for String {
    fn from(name: TableName) -> Self {
        name.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_safe_folders_are_names() {
        for (text, ok) in [
            ("gold.dim_patient", true),
            ("gold.a.b", true),
            ("x", false),
            ("_epochs.x", false),
            ("a.../b", false),
            (".a.b", false),
            ("a.", false),
        ] {
            assert_eq!(text.parse::<TableName>().is_ok(), ok, "{text}");
        }
    }
}
