//! The warehouse as a project's templates see it: the engine's session, asked from a blocking thread.

use arrow::{
    array::{Array, AsArray, RecordBatch},
    datatypes::{DataType, Float64Type, Int64Type},
    util::display::{ArrayFormatter, FormatOptions},
};
use tokio::runtime::Handle;
use wardlake_core::TableName;
use wardlake_engine::{EngineError, Session};
use wardlake_project::{Adapter, AdapterError, Cell, Column, QueryResult, Relation, RelationKind};

/// Answers templates from one session. Its methods wait for the engine: call them on blocking threads only.
pub(crate) struct EngineAdapter {
    session: Session,
    handle: Handle,
}

impl EngineAdapter {
    pub(crate) fn new(session: Session) -> Self {
        Self { session, handle: Handle::current() }
    }
}

fn failed(error: impl std::fmt::Display) -> AdapterError {
    AdapterError { message: error.to_string() }
}

fn relation_of(name: &TableName, kind: RelationKind) -> Relation {
    Relation {
        database: Some("lake".to_owned()),
        schema: Some(name.schema().to_owned()),
        identifier: name.name().to_owned(),
        kind: Some(kind),
    }
}

impl EngineAdapter {
    async fn kind_of(&self, name: &TableName) -> Result<Option<RelationKind>, EngineError> {
        if self.session.view_sql(name).await?.is_some() {
            return Ok(Some(RelationKind::View));
        }
        Ok(self.session.schema(name).await?.map(|_| RelationKind::Table))
    }
}

impl Adapter for EngineAdapter {
    fn query(&self, sql: &str) -> Result<QueryResult, AdapterError> {
        self.handle.block_on(async {
            let query = self.session.query(sql).await.map_err(failed)?;
            let columns = query
                .schema()
                .fields()
                .iter()
                .map(|field| Column { name: field.name().clone(), data_type: sql_type(field.data_type()) })
                .collect();
            let batches = query.collect().await.map_err(failed)?;
            let mut rows = Vec::new();
            for batch in &batches {
                append_rows(batch, &mut rows).map_err(failed)?;
            }
            Ok(QueryResult { columns, rows, rows_affected: None })
        })
    }

    fn relation(&self, schema: &str, identifier: &str) -> Result<Option<Relation>, AdapterError> {
        let Ok(name) = TableName::new(schema, identifier) else { return Ok(None) };
        let kind = self.handle.block_on(self.kind_of(&name)).map_err(failed)?;
        Ok(kind.map(|kind| relation_of(&name, kind)))
    }

    fn columns(&self, relation: &Relation) -> Result<Vec<Column>, AdapterError> {
        let Some(name) = relation.table_name() else { return Ok(Vec::new()) };
        let schema = self.handle.block_on(self.session.schema(&name)).map_err(failed)?;
        Ok(schema.map_or_else(Vec::new, |schema| {
            let column = |field: &arrow::datatypes::FieldRef| Column {
                name: field.name().clone(),
                data_type: sql_type(field.data_type()),
            };
            schema.fields().iter().map(column).collect()
        }))
    }

    fn relations(&self, schema: &str) -> Result<Vec<Relation>, AdapterError> {
        self.handle.block_on(async {
            let mut relations = Vec::new();
            for name in self.session.names().await.map_err(failed)? {
                if name.schema() == schema
                    && let Some(kind) = self.kind_of(&name).await.map_err(failed)?
                {
                    relations.push(relation_of(&name, kind));
                }
            }
            Ok(relations)
        })
    }

    fn drop_relation(&self, relation: &Relation) -> Result<(), AdapterError> {
        Err(failed(format!(
            "a template may not drop {}.{}; remove the model and run `wardlake clean`",
            relation.schema.as_deref().unwrap_or_default(),
            relation.identifier
        )))
    }
}

/// The SQL spelling of an Arrow type, as `cast` accepts it.
pub(crate) fn sql_type(data_type: &DataType) -> String {
    match data_type {
        DataType::Boolean => "boolean".to_owned(),
        DataType::Int8 => "tinyint".to_owned(),
        DataType::Int16 => "smallint".to_owned(),
        DataType::Int32 => "integer".to_owned(),
        DataType::Int64 => "bigint".to_owned(),
        DataType::Float32 => "real".to_owned(),
        DataType::Float64 => "double".to_owned(),
        DataType::Decimal128(precision, scale) | DataType::Decimal256(precision, scale) => {
            format!("decimal({precision},{scale})")
        }
        DataType::Date32 | DataType::Date64 => "date".to_owned(),
        DataType::Timestamp(_, None) => "timestamp".to_owned(),
        DataType::Timestamp(_, Some(_)) => "timestamptz".to_owned(),
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => "varchar".to_owned(),
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView => "bytea".to_owned(),
        other => other.to_string().to_lowercase(),
    }
}

fn append_rows(batch: &RecordBatch, rows: &mut Vec<Vec<Cell>>) -> Result<(), arrow::error::ArrowError> {
    let options = FormatOptions::default();
    let first = rows.len();
    rows.resize_with(first + batch.num_rows(), Vec::new);
    for column in batch.columns() {
        let formatter = ArrayFormatter::try_new(column.as_ref(), &options)?;
        let as_integers =
            arrow::compute::cast(column, &DataType::Int64).ok().filter(|_| column.data_type().is_integer());
        let is_fraction = column.data_type().is_floating() || matches!(column.data_type(), DataType::Decimal128(..));
        let as_floats = if is_fraction { arrow::compute::cast(column, &DataType::Float64).ok() } else { None };
        for row in 0..batch.num_rows() {
            let cell = if column.is_null(row) {
                Cell::Null
            } else if let Some(integers) = &as_integers {
                Cell::Int(integers.as_primitive::<Int64Type>().value(row))
            } else if let Some(floats) = &as_floats {
                Cell::Float(floats.as_primitive::<Float64Type>().value(row))
            } else if let Some(booleans) = column.as_boolean_opt() {
                Cell::Bool(booleans.value(row))
            } else {
                Cell::Text(formatter.value(row).to_string())
            };
            rows[first + row].push(cell);
        }
    }
    Ok(())
}
