//! The settings of one source table: what feeds it, and what is made of its records, whatever kind of source brings them.

use std::{any::Any, sync::Arc};

use serde::{Deserialize, Serialize};

use super::{
    extracts::Extracts,
    format::Format,
    kind::{Source, Way},
    log::Log,
    push::Push,
    reading::TableReading,
};

/// How new rows of a table relate to the old ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Change {
    /// Every file holds all rows; they are compared with the last state of each key.
    Full,
    /// Every file holds new and changed rows.
    Changes,
    /// Rows are only ever added.
    Append,
}

/// What a key that a full extract no longer has means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Deletes {
    /// The row was deleted.
    Detect,
    /// Nothing.
    #[default]
    Ignore,
}

/// The order in which files are loaded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OrderBy {
    /// By the date in the path, then by the path.
    #[default]
    Date,
    /// By the path.
    Name,
    /// By the time of the last change, then by the path.
    Modified,
}

/// What a column the table does not have yet means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnSchemaChange {
    /// The table gets it.
    #[default]
    AppendNewColumns,
    /// The file is not loaded.
    Fail,
    /// It is left out.
    Ignore,
}

/// One source table, with every default filled in.
#[derive(Clone, Debug)]
pub struct FileTable {
    /// What feeds it, each source of another kind, in the registry's order.
    pub sources: Vec<Arc<dyn Source>>,
    /// `format`: how to read its records.
    pub format: Format,
    /// `keys`: the columns that identify a row, in any spelling. A file that lacks one of them is not loaded; of records that name their
    /// columns anew (JSON), one that lacks a key has NULL there, and a file without any key is not loaded.
    pub keys: Vec<String>,
    /// `change`: default full with keys, append without.
    pub change: Change,
    /// `deletes`: default ignore.
    pub deletes: Deletes,
    /// `order_by`: default date.
    pub order_by: OrderBy,
    /// `time_zone`: of local times in what it receives, an IANA name. Bronze keeps them as they came; models have it as
    /// `source('…', '…').time_zone`.
    pub time_zone: Option<String>,
    /// `on_schema_change`: default append_new_columns.
    pub on_schema_change: OnSchemaChange,
    /// `keep_raw`: whether the column [`RAW`] keeps the text of each record beside its fields, and [`RECORD`] its number (default false).
    pub keep_raw: bool,
    /// What the rows depend on of all this.
    pub reading: TableReading,
}

/// With `keep_raw`: the text of the record that a row was read from.
pub const RAW: &str = "_raw";
/// With `keep_raw`: the number of the record within its file or delivery, from 1; rejected records are counted.
pub const RECORD: &str = "_record";

impl FileTable {
    /// Where its extracts come from, if it has any.
    pub fn extracts(&self) -> Option<&dyn Extracts> {
        self.sources.iter().find_map(|source| match source.way() {
            Way::Extracts(extracts) => Some(extracts),
            Way::Log(_) | Way::Push(_) => None,
        })
    }

    /// The log that it follows, if it follows one.
    pub fn log(&self) -> Option<&dyn Log> {
        self.sources.iter().find_map(|source| match source.way() {
            Way::Log(log) => Some(log),
            Way::Extracts(_) | Way::Push(_) => None,
        })
    }

    /// The doors by which deliveries to it come.
    pub fn pushes(&self) -> impl Iterator<Item = Push<'_>> {
        self.sources.iter().filter_map(|source| match source.way() {
            Way::Push(push) => Some(push),
            Way::Extracts(_) | Way::Log(_) => None,
        })
    }

    /// The kinds of source by which it is fed while a server runs, beside its extracts.
    pub fn live_kinds(&self) -> impl Iterator<Item = &'static str> {
        let live = self.sources.iter().filter(|source| !matches!(source.way(), Way::Extracts(_)));
        live.map(|source| source.kind())
    }

    /// Its settings of one kind, if it has a source of that.
    pub fn settings_of<S: Source>(&self) -> Option<&S> {
        self.sources.iter().find_map(|source| {
            let source: &dyn Any = &**source;
            source.downcast_ref()
        })
    }
}
