//! The lake's own tables as rows of a Rust type: for results that are small by nature, where clarity beats speed.

use arrow::json::ArrayWriter;
use serde::de::DeserializeOwned;
use wardlake_core::TableName;
use wardlake_engine::Session;
use wardlake_storage::Lake;

use crate::error::RecordsError;

/// The rows of a query over `table`. A NULL is a missing field, so nullable columns are `Option`s.
pub async fn rows<T: DeserializeOwned>(
    session: &Session,
    table: &TableName,
    sql: &str,
) -> Result<Vec<T>, RecordsError> {
    let batches = session.collect(sql).await?;
    let mut writer = ArrayWriter::new(Vec::new());
    writer.write_batches(&batches.iter().collect::<Vec<_>>())?;
    writer.finish()?;
    let text = writer.into_inner();
    if text.is_empty() {
        return Ok(Vec::new());
    }
    // The parser's message would quote a value.
    serde_json::from_slice(&text).map_err(|_| RecordsError::Columns { table: table.clone() })
}

/// The rows of a query over `table`, or none if there is no such table yet.
pub async fn rows_of<T: DeserializeOwned>(
    lake: &Lake,
    session: &Session,
    table: &str,
    sql: &str,
) -> Result<Option<Vec<T>>, RecordsError> {
    let name: TableName = table.parse()?;
    if !lake.exists(&name).await? {
        return Ok(None);
    }
    rows(session, &name, sql).await.map(Some)
}
