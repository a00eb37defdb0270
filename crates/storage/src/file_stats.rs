//! Removes bounds from a file's statistics that are not what they seem.
//!
//! A scan takes equal bounds for the value of every row, and prunes files by them. The writer's bounds are not good for that in
//! two cases: those of decimals are 64-bit floats, which round beyond 15 digits, and those of floats leave out NaN.

use arrow::datatypes::{DataType, Fields, Schema};
use deltalake::kernel::Add;
use serde_json::{Map, Value};

/// Decimal digits that survive the way through a 64-bit float.
const EXACT_DIGITS: i32 = 15;

/// Removes the bounds of `add` that a reader must not rely on.
pub(crate) fn trim(add: &mut Add, schema: &Schema) {
    if !is_affected(schema.fields()) {
        return;
    }
    let Some(mut stats) = add.stats.as_deref().and_then(|text| serde_json::from_str::<Value>(text).ok()) else {
        return;
    };
    let mut bounds = |name: &str| match stats.get_mut(name).map(Value::take) {
        Some(Value::Object(bounds)) => bounds,
        _ => Map::new(),
    };
    let (mut min, mut max) = (bounds("minValues"), bounds("maxValues"));
    trim_fields(schema.fields(), &mut min, &mut max);
    stats["minValues"] = Value::Object(min);
    stats["maxValues"] = Value::Object(max);
    add.stats = Some(stats.to_string());
}

fn is_affected(fields: &Fields) -> bool {
    fields.iter().any(|field| match field.data_type() {
        DataType::Decimal128(..) | DataType::Float32 | DataType::Float64 => true,
        DataType::Struct(fields) => is_affected(fields),
        _ => false,
    })
}

fn trim_fields(fields: &Fields, min: &mut Map<String, Value>, max: &mut Map<String, Value>) {
    for field in fields {
        let name = field.name();
        let (low, high) = (min.get(name).and_then(Value::as_f64), max.get(name).and_then(Value::as_f64));
        let is_doubtful = match field.data_type() {
            DataType::Decimal128(_, scale) => {
                let limit = 10f64.powi(EXACT_DIGITS - i32::from(*scale));
                let is_exact = |bound: Option<f64>| bound.is_none_or(|bound| bound.abs() < limit);
                !is_exact(low) || !is_exact(high)
            }
            DataType::Float32 | DataType::Float64 => low == high,
            DataType::Struct(fields) => {
                if let (Some(Value::Object(min)), Some(Value::Object(max))) = (min.get_mut(name), max.get_mut(name)) {
                    trim_fields(fields, min, max);
                }
                false
            }
            _ => false,
        };
        if is_doubtful {
            min.remove(name);
            max.remove(name);
        }
    }
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::Field;

    use super::*;

    #[test]
    fn only_doubtful_bounds_go() {
        let fields = vec![
            Field::new("money", DataType::Decimal128(38, 2), true),
            Field::new("huge", DataType::Decimal128(38, 2), true),
            Field::new("constant", DataType::Float64, true),
            Field::new("float", DataType::Float64, true),
            Field::new("n", DataType::Int64, true),
        ];
        let bounds = |high: f64| serde_json::json!({"money": 1.25, "huge": 12345678901234567.0, "constant": 1.0, "float": high, "n": 7});
        let stats = serde_json::json!({"numRecords": 2, "minValues": bounds(0.5), "maxValues": bounds(2.5)});
        let mut add = Add { stats: Some(stats.to_string()), ..Add::default() };
        trim(&mut add, &Schema::new(fields));
        let kept: Value = serde_json::from_str(add.stats.as_deref().unwrap()).unwrap();
        assert_eq!(kept["minValues"], serde_json::json!({"money": 1.25, "float": 0.5, "n": 7}));
        assert_eq!(kept["maxValues"], serde_json::json!({"money": 1.25, "float": 2.5, "n": 7}));
        assert_eq!(kept["numRecords"], 2);
    }
}
