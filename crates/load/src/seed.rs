//! The CSV file of a seed as rows.

use std::sync::Arc;

use arrow::{
    array::{Array, ArrayRef, AsArray, RecordBatch, StringArray},
    compute::{cast, concat},
    datatypes::{DataType, Field, Schema, TimeUnit},
};
use serde_json::json;
use wardlake_connect::{Event, FileTable, FoundFile};

use crate::error::LoadError;

/// The rows of a seed. A type is inferred only where no value would lose anything by it; `types` are those that the project declares.
pub fn read_seed(
    path: &std::path::Path,
    delimiter: char,
    types: &[(String, String)],
    label: &str,
) -> Result<RecordBatch, LoadError> {
    let source = |error| LoadError::Source { table: format!("seed {label}"), error };
    let block = json!({
        "path": path.to_string_lossy(),
        "format": {"type": "csv", "delimiter": delimiter.to_string(), "header": true, "null": [""]},
    });
    let table = FileTable::from_json(&serde_json::Value::Null, &block).map_err(|problems| LoadError::SeedSettings {
        seed: label.to_owned(),
        problems: problems.into_iter().map(|problem| problem.message).collect(),
    })?;
    let file = FoundFile::at(path).map_err(source)?;
    let mut chunks: Vec<Vec<ArrayRef>> = Vec::new();
    let mut rejected = Vec::new();
    let report = wardlake_connect::read(&file, &table, None, None, 1, &mut |event| {
        match event {
            Event::Chunk(chunk) => chunks.push(chunk.arrays),
            Event::Rejected(record) => rejected.push((record.line, record.reason.message())),
        }
        Ok(())
    })
    .map_err(source)?;
    if let Some((line, reason)) = rejected.first() {
        return Err(LoadError::SeedLine {
            path: path.display().to_string(),
            line: *line,
            reason: reason.to_string(),
            count: rejected.len(),
        });
    }
    let mut fields = Vec::new();
    let mut arrays = Vec::new();
    for (at, column) in report.columns.iter().enumerate() {
        let parts: Vec<&dyn Array> = chunks.iter().map(|chunk| chunk[at].as_ref()).collect();
        let text: ArrayRef = if parts.is_empty() { Arc::new(StringArray::new_null(0)) } else { concat(&parts)? };
        let wanted = types.iter().find(|(name, _)| name == column).map(|(_, sql)| sql.as_str());
        let data_type = match wanted {
            Some(sql) => type_of_sql(sql).ok_or_else(|| LoadError::SeedType {
                seed: label.to_owned(),
                column: column.clone(),
                sql: sql.to_owned(),
            })?,
            None => infer(text.as_string::<i32>()),
        };
        let typed = cast(&text, &data_type)?;
        if let Some(row) = (0..text.len()).find(|&row| text.is_valid(row) && typed.is_null(row)) {
            return Err(LoadError::SeedValue {
                path: path.display().to_string(),
                column: column.clone(),
                record: row + 1,
                data_type: data_type.to_string(),
            });
        }
        fields.push(Field::new(column, data_type, true));
        arrays.push(typed);
    }
    Ok(RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays)?)
}

fn type_of_sql(sql: &str) -> Option<DataType> {
    let sql = sql.trim().to_ascii_lowercase();
    let base = sql.split('(').next().unwrap_or_default().trim();
    Some(match base {
        "varchar" | "text" | "string" | "char" | "character varying" | "nvarchar" => DataType::Utf8,
        "int" | "integer" | "int4" | "int32" => DataType::Int32,
        "bigint" | "int8" | "int64" | "long" => DataType::Int64,
        "smallint" | "int2" => DataType::Int16,
        "double" | "double precision" | "float" | "float8" | "float64" => DataType::Float64,
        "real" | "float4" => DataType::Float32,
        "boolean" | "bool" => DataType::Boolean,
        "date" => DataType::Date32,
        "timestamp" | "datetime" | "timestamp_ntz" => DataType::Timestamp(TimeUnit::Microsecond, None),
        "timestamptz" | "timestamp_tz" => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        "decimal" | "numeric" | "number" => {
            let digits: Vec<i64> = sql
                .split_once('(')
                .map(|(_, rest)| rest.trim_end_matches(')').split(',').filter_map(|n| n.trim().parse().ok()).collect())
                .unwrap_or_default();
            let precision = u8::try_from(*digits.first().unwrap_or(&38)).ok()?;
            DataType::Decimal128(precision, i8::try_from(*digits.get(1).unwrap_or(&0)).ok()?)
        }
        _ => return None,
    })
}

/// The narrowest type that gives every value back as it was written.
fn infer(values: &StringArray) -> DataType {
    let all = |fits: fn(&str) -> bool| values.iter().flatten().all(fits);
    if values.null_count() == values.len() {
        return DataType::Utf8;
    }
    if all(is_integer) {
        DataType::Int64
    } else if all(is_decimal) {
        DataType::Float64
    } else if all(|text| matches!(text, "true" | "false" | "True" | "False" | "TRUE" | "FALSE")) {
        DataType::Boolean
    } else if all(|text| text.len() == 10 && chrono::NaiveDate::parse_from_str(text, "%Y-%m-%d").is_ok()) {
        DataType::Date32
    } else if all(is_timestamp) {
        DataType::Timestamp(TimeUnit::Microsecond, None)
    } else {
        DataType::Utf8
    }
}

/// Leading zeros and plus signs are lost in a number.
fn is_integer(text: &str) -> bool {
    text.parse::<i64>().is_ok_and(|number| number.to_string() == text)
}

fn is_decimal(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let is_number = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    // Fifteen digits survive a double.
    !whole.is_empty()
        && is_number(whole)
        && is_number(fraction)
        && (whole == "0" || !whole.starts_with('0'))
        && whole.len() + fraction.len() <= 15
}

fn is_timestamp(text: &str) -> bool {
    ["%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M:%S%.f"]
        .iter()
        .any(|format| chrono::NaiveDateTime::parse_from_str(text, format).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(values: &[&str], expected: DataType) {
        assert_eq!(infer(&StringArray::from_iter_values(values)), expected, "{values:?}");
    }

    #[test]
    fn types_are_inferred_only_where_nothing_is_lost() {
        check(&["1", "20"], DataType::Int64);
        check(&["007", "1"], DataType::Utf8);
        check(&["1.50", "2"], DataType::Float64);
        check(&["SAT", "SUN"], DataType::Utf8);
        check(&["2025-01-02"], DataType::Date32);
        check(&["true", "false"], DataType::Boolean);
        check(&["+1"], DataType::Utf8);
    }

    #[test]
    fn sql_types_are_read() {
        assert_eq!(type_of_sql("numeric(10,2)"), Some(DataType::Decimal128(10, 2)));
        assert_eq!(type_of_sql("VARCHAR(20)"), Some(DataType::Utf8));
        assert_eq!(type_of_sql("geography"), None);
    }
}
