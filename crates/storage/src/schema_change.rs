//! What happens to a table when the rows to be written have other columns than it has.

use arrow::datatypes::{Field, Schema, SchemaRef};
use deltalake::kernel::{
    Action, Metadata, MetadataExt, Protocol, StructType, engine::arrow_conversion::TryIntoKernel, new_metadata,
};
use std::{collections::BTreeMap, sync::Arc};
use wardlake_core::TableName;

use crate::{
    StorageError,
    types::{needs_timestamp_ntz, same_type},
};

/// What to do when the columns of the rows differ from the table's (dbt's `on_schema_change`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SchemaChange {
    /// New columns are left out, missing ones are NULL, other types are cast to the table's.
    #[default]
    Ignore,
    /// Any difference is an error.
    Fail,
    /// New columns are added to the table, missing ones are NULL, other types are cast to the table's.
    AppendNewColumns,
    /// The table gets exactly the columns and types of the rows; its old rows are rewritten where columns go or change type.
    SyncAllColumns,
}

/// The difference between the rows' columns and the table's.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct SchemaDiff {
    pub(crate) added: Vec<String>,
    pub(crate) missing: Vec<String>,
    pub(crate) retyped: Vec<String>,
}

impl SchemaDiff {
    pub(crate) fn of(table: &Schema, rows: &Schema) -> Self {
        let mut diff = Self::default();
        for field in rows.fields() {
            match table.field_with_name(field.name()) {
                Err(_) => diff.added.push(field.name().clone()),
                Ok(own) if !same_type(own.data_type(), field.data_type()) => {
                    diff.retyped.push(format!("{}: {} → {}", field.name(), own.data_type(), field.data_type()));
                }
                Ok(_) => {}
            }
        }
        let missing = table.fields().iter().filter(|field| rows.field_with_name(field.name()).is_err());
        diff.missing = missing.map(|field| field.name().clone()).collect();
        diff
    }

    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether rows that are already stored have to be rewritten to lose a column or change a type.
    pub(crate) fn needs_rewrite(&self) -> bool {
        !self.missing.is_empty() || !self.retyped.is_empty()
    }
}

/// The schema of `table` after rows of `rows` (both as stored) were written to it.
pub(crate) fn reconcile(
    name: &TableName,
    table: &SchemaRef,
    rows: &SchemaRef,
    change: SchemaChange,
) -> Result<SchemaRef, StorageError> {
    let diff = SchemaDiff::of(table, rows);
    if diff.is_empty() {
        return Ok(Arc::clone(table));
    }
    match change {
        SchemaChange::Ignore => Ok(Arc::clone(table)),
        SchemaChange::Fail => {
            let SchemaDiff { added, missing, retyped } = diff;
            Err(StorageError::SchemaChanged { table: name.clone(), added, missing, retyped })
        }
        SchemaChange::AppendNewColumns => Ok(with_new_columns(table, rows)),
        SchemaChange::SyncAllColumns if diff.needs_rewrite() => Ok(Arc::clone(rows)),
        SchemaChange::SyncAllColumns => Ok(with_new_columns(table, rows)),
    }
}

fn with_new_columns(table: &SchemaRef, rows: &SchemaRef) -> SchemaRef {
    let new = rows.fields().iter().filter(|field| table.field_with_name(field.name()).is_err());
    Arc::new(Schema::new(table.fields().iter().chain(new).cloned().collect::<Vec<_>>()))
}

/// `protocol` and `metaData` of a new table.
pub(crate) fn create_actions(
    name: &TableName,
    schema: &SchemaRef,
    partition_by: &[String],
    properties: &BTreeMap<String, String>,
) -> Result<Vec<Action>, StorageError> {
    let mut properties = properties.clone();
    // How long checkpoints name removed files: by that a vacuum knows them from files that are being written.
    properties.entry("delta.deletedFileRetentionDuration".into()).or_insert_with(|| "interval 3 hours".into());
    // Epochs name versions of any age; other engines must not clean their log entries away.
    properties.entry("delta.enableExpiredLogCleanup".into()).or_insert_with(|| "false".into());
    let metadata = new_metadata(&kernel_schema(name, schema)?, partition_by, properties)
        .map_err(|error| StorageError::delta(name)(error.into()))?;
    Ok(vec![Action::Protocol(protocol(name, None, schema)?), Action::Metadata(metadata)])
}

/// `metaData`, and `protocol` where a feature becomes necessary, of a table whose schema or partitioning changes.
pub(crate) fn change_actions(
    name: &TableName,
    protocol_now: &Protocol,
    metadata: &Metadata,
    schema: &SchemaRef,
    partition_by: &[String],
) -> Result<Vec<Action>, StorageError> {
    describe_actions(name, protocol_now, metadata, (schema, partition_by), &BTreeMap::new())
}

/// The same for a table that gets `properties` as well; it keeps its others.
pub(crate) fn describe_actions(
    name: &TableName,
    protocol_now: &Protocol,
    metadata: &Metadata,
    (schema, partition_by): (&SchemaRef, &[String]),
    properties: &BTreeMap<String, String>,
) -> Result<Vec<Action>, StorageError> {
    let delta = |error| StorageError::delta(name)(error);
    let mut configuration: BTreeMap<String, String> =
        metadata.configuration().iter().map(|(key, value)| (key.clone(), value.clone())).collect();
    configuration.extend(properties.iter().map(|(key, value)| (key.clone(), value.clone())));
    let next = new_metadata(&kernel_schema(name, schema)?, partition_by, configuration)
        .and_then(|next| next.with_table_id(metadata.id().to_owned()))
        .map_err(|error| delta(error.into()))?;
    let mut actions = vec![Action::Metadata(next)];
    let next = protocol(name, Some(protocol_now), schema)?;
    if next != *protocol_now {
        actions.insert(0, Action::Protocol(next));
    }
    Ok(actions)
}

fn kernel_schema(name: &TableName, schema: &Schema) -> Result<StructType, StorageError> {
    schema.try_into_kernel().map_err(|error| StorageError::delta(name)(error.into()))
}

/// The protocol a schema needs: readable by everyone (1, 2) unless it has naive timestamps.
fn protocol(name: &TableName, now: Option<&Protocol>, schema: &Schema) -> Result<Protocol, StorageError> {
    const NTZ: &str = "timestampNtz";
    let json = |error| StorageError::delta(name)(deltalake::DeltaTableError::SerializeLogJson { json_err: error });
    let mut value = match now {
        Some(now) => serde_json::to_value(now).map_err(json)?,
        None => serde_json::json!({"minReaderVersion": 1, "minWriterVersion": 2}),
    };
    if needs_timestamp_ntz(schema) {
        let features = |key: &str, implied: &[&str]| {
            let own =
                value[key].as_array().map(|list| list.iter().filter_map(|v| v.as_str()).map(str::to_owned).collect());
            let mut list: Vec<String> = own.unwrap_or_else(|| implied.iter().map(|&f| f.to_owned()).collect());
            if !list.iter().any(|feature| feature == NTZ) {
                list.push(NTZ.to_owned());
            }
            list
        };
        // A table of writer version 2 supports these two by definition; as a table of features it must name them.
        let (reader, writer) =
            (features("readerFeatures", &[]), features("writerFeatures", &["appendOnly", "invariants"]));
        value = serde_json::json!({
            "minReaderVersion": 3, "minWriterVersion": 7, "readerFeatures": reader, "writerFeatures": writer,
        });
    }
    serde_json::from_value(value).map_err(json)
}

/// Checks that the named columns exist.
pub(crate) fn require_columns(
    table: &TableName,
    schema: &Schema,
    columns: &[String],
    role: &'static str,
) -> Result<(), StorageError> {
    match columns.iter().find(|column| schema.field_with_name(column).is_err()) {
        None => Ok(()),
        Some(column) => Err(StorageError::ColumnNotFound {
            table: table.clone(),
            column: column.clone(),
            role,
            columns: schema.fields().iter().map(|field: &std::sync::Arc<Field>| field.name().clone()).collect(),
        }),
    }
}
