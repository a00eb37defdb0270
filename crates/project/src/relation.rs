//! A table or view as rendered SQL names it.

use wardlake_core::TableName;

/// What stands behind a relation's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RelationKind {
    /// A Delta table.
    Table,
    /// A view of the lake.
    View,
    /// A CTE of the model that uses it (ephemeral models).
    Cte,
}

/// `"database"."schema"."identifier"`. The database is always the lake's catalog; it is written only when `database` is set.
#[derive(Clone, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct Relation {
    /// The catalog, or none to leave it out of the SQL.
    pub database: Option<String>,
    /// The schema, or none for a CTE.
    pub schema: Option<String>,
    /// The table, view or CTE.
    pub identifier: String,
    /// What it is, when it is known.
    pub kind: Option<RelationKind>,
}

impl Relation {
    /// The table of the lake that it names; none for a CTE, and for names that no table can have.
    pub fn table_name(&self) -> Option<TableName> {
        TableName::new(self.schema.clone()?, self.identifier.clone()).ok()
    }
}

impl std::fmt::Display for Relation {
    /// The relation as SQL, every part quoted.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for part in self.database.iter().filter(|_| self.schema.is_some()).chain(&self.schema) {
            write!(f, "\"{}\".", part.replace('"', "\"\""))?;
        }
        write!(f, "\"{}\"", self.identifier.replace('"', "\"\""))
    }
}
