//! How sure key figures are: `system.kpi_bounds`.

use std::sync::Arc;

use arrow::array::{RecordBatch, TimestampMicrosecondArray};
use chrono::{DateTime, Utc};

use super::table::Columns;
use crate::error::RecordsError;

/// A key figure's value and what the quarantine can still move it to.
#[derive(Clone, Debug)]
pub struct KpiBound {
    /// The model.
    pub kpi: String,
    /// The row, by its key.
    pub row_key: String,
    /// The column.
    pub figure: String,
    /// As published, without withheld rows.
    pub value: Option<f64>,
    /// With all open rows let in.
    pub value_with: Option<f64>,
    /// The lower of the two.
    pub low: Option<f64>,
    /// The higher of the two.
    pub high: Option<f64>,
    /// Open rows behind it.
    pub open_rows: u64,
    /// Microseconds of the epoch: when the stalest source behind it was last loaded.
    pub fresh_at: Option<i64>,
    /// When this was worked out.
    pub computed_at: DateTime<Utc>,
}

/// Rows of `system.kpi_bounds`.
pub fn bound_rows(run_id: &str, epoch: u64, bounds: &[KpiBound]) -> Result<RecordBatch, RecordsError> {
    let fresh: TimestampMicrosecondArray = bounds.iter().map(|bound| bound.fresh_at).collect();
    let number = |of: fn(&KpiBound) -> Option<f64>| bounds.iter().map(of);
    let mut columns = Columns::default()
        .text("run_id", bounds.iter().map(|_| Some(run_id)))
        .count("epoch", bounds.iter().map(|_| Some(epoch)))?
        .text("kpi", bounds.iter().map(|bound| Some(bound.kpi.as_str())))
        .text("row_key", bounds.iter().map(|bound| Some(bound.row_key.as_str())))
        .text("figure", bounds.iter().map(|bound| Some(bound.figure.as_str())))
        .number("value", number(|bound| bound.value))
        .number("value_with", number(|bound| bound.value_with))
        .number("low", number(|bound| bound.low))
        .number("high", number(|bound| bound.high))
        .count("open_rows", bounds.iter().map(|bound| Some(bound.open_rows)))?;
    columns.0.push(("fresh_at", Arc::new(fresh.with_timezone("UTC"))));
    columns.instant("computed_at", bounds.iter().map(|bound| bound.computed_at)).batch()
}
