//! Columns as templates see them, `api.Column`, and the names of types.

use std::{cmp::Ordering, fmt, sync::Arc};

use minijinja::{
    Error, ErrorKind, State, Value,
    value::{DynObject, Kwargs, Object, ObjectRepr, Rest, from_args},
};

use super::{native::Namespace, relation};
use crate::{Column, jinja::session::Globals};

pub(super) fn add(globals: &mut Globals) {
    let api = vec![("Relation", relation::api()), ("Column", Value::from_object(ColumnClass))];
    globals.insert("api", Namespace::value("api", api));
}

/// A column of a relation.
#[derive(Clone, Debug)]
pub(crate) struct ColumnValue(Column);

impl ColumnValue {
    pub(crate) fn value(column: Column) -> Value {
        Value::from_object(Self(column))
    }

    /// The type without its parameters, in lower case.
    fn base(&self) -> String {
        self.0.data_type.split('(').next().unwrap_or_default().trim().to_lowercase()
    }

    /// The parameters of `decimal(18,2)` or `varchar(20)`.
    fn parameters(&self) -> Vec<i64> {
        let inner =
            self.0.data_type.split_once('(').and_then(|(_, rest)| rest.split_once(')')).map_or("", |(inner, _)| inner);
        inner.split(',').filter_map(|part| part.trim().parse().ok()).collect()
    }

    fn is_string(&self) -> bool {
        matches!(
            self.base().as_str(),
            "text" | "varchar" | "character varying" | "character" | "char" | "string" | "utf8"
        )
    }

    fn is_float(&self) -> bool {
        matches!(self.base().as_str(), "real" | "float" | "float4" | "float8" | "double" | "double precision")
    }

    fn is_integer(&self) -> bool {
        let base = self.base();
        let base = base.strip_suffix(" unsigned").unwrap_or(&base);
        matches!(base, "smallint" | "integer" | "int" | "bigint" | "tinyint" | "int2" | "int4" | "int8")
    }

    fn is_numeric(&self) -> bool {
        matches!(self.base().as_str(), "numeric" | "decimal")
    }

    fn parameter(&self, applies: bool, index: usize) -> Value {
        self.parameters().get(index).filter(|_| applies).map_or(Value::from(()), |value| Value::from(*value))
    }
}

impl Object for ColumnValue {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        Some(match key.as_str()? {
            "name" | "column" => Value::from(self.0.name.as_str()),
            "quoted" => Value::from(relation::quote(&self.0.name)),
            "data_type" | "expanded_data_type" => Value::from(self.0.data_type.as_str()),
            "dtype" => Value::from(self.0.data_type.split('(').next().unwrap_or_default().trim()),
            "char_size" => self.parameter(self.is_string(), 0),
            "numeric_precision" => self.parameter(self.is_numeric(), 0),
            "numeric_scale" => self.parameter(self.is_numeric(), 1),
            _ => return None,
        })
    }

    fn call_method(self: &Arc<Self>, _state: &mut State<'_, '_>, method: &str, args: &[Value]) -> Result<Value, Error> {
        Ok(match method {
            "is_string" => Value::from(self.is_string()),
            "is_float" => Value::from(self.is_float()),
            "is_integer" => Value::from(self.is_integer()),
            "is_numeric" => Value::from(self.is_numeric()),
            "is_number" => Value::from(self.is_float() || self.is_integer() || self.is_numeric()),
            "string_size" if self.is_string() => Value::from(self.parameters().first().copied().unwrap_or(256)),
            // Text has no length limit in the lake, so no column ever has to grow.
            "can_expand_to" => Value::from(false),
            "literal" => {
                let (value,): (Value,) = from_args(args)?;
                Value::from(format!("cast({value} as {})", self.0.data_type))
            }
            _ => return Err(Error::new(ErrorKind::UnknownMethod, format!("a column has no method `{method}`"))),
        })
    }

    fn custom_cmp(self: &Arc<Self>, other: &DynObject) -> Option<Ordering> {
        let other = other.downcast_ref::<Self>()?;
        Some((&self.0.name, &self.0.data_type).cmp(&(&other.0.name, &other.0.data_type)))
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<Column {} ({})>", self.0.name, self.0.data_type)
    }
}

/// `api.Column`: makes columns and names types.
#[derive(Debug)]
struct ColumnClass;

/// The engine's name of a type as dbt's macros name it; unknown names stay.
fn translate(name: &str) -> &str {
    match name.to_ascii_lowercase().as_str() {
        "string" | "text" | "varchar" => "varchar",
        "timestamp" => "timestamp",
        // The engine's `float` has 32 bits, which dbt's projects do not expect.
        "float" => "double",
        "numeric" => "decimal(28, 6)",
        "integer" => "int",
        "bigint" => "bigint",
        "boolean" => "boolean",
        _ => name,
    }
}

impl Object for ColumnClass {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn call(self: &Arc<Self>, _state: &mut State<'_, '_>, args: &[Value]) -> Result<Value, Error> {
        let (name, data_type, Rest(_), kwargs): (Option<String>, Option<String>, Rest<Value>, Kwargs) =
            from_args(args)?;
        let name = match name {
            Some(name) => name,
            None => kwargs.get::<Option<String>>("column")?.unwrap_or_default(),
        };
        let data_type = match data_type {
            Some(data_type) => data_type,
            None => kwargs.get::<Option<String>>("dtype")?.unwrap_or_default(),
        };
        Ok(ColumnValue::value(Column { name, data_type: translate(&data_type).to_owned() }))
    }

    fn call_method(self: &Arc<Self>, state: &mut State<'_, '_>, method: &str, args: &[Value]) -> Result<Value, Error> {
        match method {
            "translate_type" => {
                let (name,): (String,) = from_args(args)?;
                Ok(Value::from(translate(&name)))
            }
            "numeric_type" => {
                let (name, precision, scale): (String, Option<Value>, Option<Value>) = from_args(args)?;
                Ok(Value::from(match (precision, scale) {
                    (Some(precision), Some(scale)) => format!("{name}({precision},{scale})"),
                    _ => name,
                }))
            }
            // Text has no length in the lake.
            "string_type" => Ok(Value::from("varchar")),
            "create" | "from_description" => Object::call(self, state, args),
            _ => Err(Error::new(ErrorKind::UnknownMethod, format!("`api.Column` has no method `{method}`"))),
        }
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<class Column>")
    }
}
