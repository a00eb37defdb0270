//! Casts from text to dates and timestamps read what hospitals write (ISO 8601 with or without seconds, HL7). The errors of casts
//! from text name the column and do not show the text, which may be a patient's.

use std::sync::Arc;

use arrow::{
    array::Array,
    datatypes::{DataType, Field, FieldRef, TimeUnit},
};
use datafusion::{
    common::{DFSchema, Result, ScalarValue, tree_node::Transformed},
    config::ConfigOptions,
    logical_expr::{
        ColumnarValue, Expr, ExprSchemable, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
        Volatility, expr_rewriter::FunctionRewrite,
    },
};

use super::{
    column::cast,
    datetime,
    scalar::{column_name, is_text},
};
use crate::words::{say, sql_name};

/// Replaces such casts by `to_date`, `to_timestamp` and their `try_` forms, and strict ones to numbers and booleans by [`ReadAs`].
#[derive(Debug)]
pub(super) struct TextCasts {
    strict: [Arc<ScalarUDF>; 2],
    lenient: [Arc<ScalarUDF>; 2],
}

impl TextCasts {
    pub(super) fn new() -> Self {
        let udf = |name| Arc::new(datetime::reader(name).into_udf());
        Self { strict: [udf("to_date"), udf("to_timestamp")], lenient: [udf("try_to_date"), udf("try_to_timestamp")] }
    }
}

impl FunctionRewrite for TextCasts {
    fn name(&self) -> &str {
        "wardlake_text_casts"
    }

    fn rewrite(&self, expr: Expr, schema: &DFSchema, _config: &ConfigOptions) -> Result<Transformed<Expr>> {
        let (value, target, is_strict) = match &expr {
            Expr::Cast(cast) => (&cast.expr, cast.field.data_type(), true),
            Expr::TryCast(cast) => (&cast.expr, cast.field.data_type(), false),
            _ => return Ok(Transformed::no(expr)),
        };
        if !value.get_type(schema).is_ok_and(|data_type| is_text(&data_type)) {
            return Ok(Transformed::no(expr));
        }
        let [to_date, to_timestamp] = if is_strict { &self.strict } else { &self.lenient };
        let function = match target {
            DataType::Date32 => Arc::clone(to_date),
            DataType::Timestamp(TimeUnit::Microsecond, None) => Arc::clone(to_timestamp),
            target if is_strict && (target.is_numeric() || *target == DataType::Boolean) => {
                Arc::new(ScalarUDF::new_from_impl(ReadAs::new(target.clone())))
            }
            _ => return Ok(Transformed::no(expr)),
        };
        Ok(Transformed::yes(function.call(vec![value.as_ref().clone()])))
    }
}

/// A strict cast of text to a number or a boolean.
#[derive(Debug, PartialEq, Eq, Hash)]
struct ReadAs {
    target: DataType,
    signature: Signature,
}

impl ReadAs {
    fn new(target: DataType) -> Self {
        Self { target, signature: Signature::any(1, Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for ReadAs {
    fn name(&self) -> &str {
        "read_as"
    }

    /// That of what is cast, as of any cast.
    fn schema_name(&self, args: &[Expr]) -> Result<String> {
        Ok(args.first().map(|value| value.schema_name().to_string()).unwrap_or_default())
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _types: &[DataType]) -> Result<DataType> {
        Ok(self.target.clone())
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        Ok(Field::new(self.name(), self.target.clone(), args.arg_fields[0].is_nullable()).into())
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let is_constant = matches!(args.args[0], ColumnarValue::Scalar(_));
        let texts = args.args[0].to_array(if is_constant { 1 } else { args.number_rows })?;
        let values = cast(&texts, &self.target)?;
        if values.null_count() > texts.null_count() {
            let column = args.arg_fields.first().and_then(|field| column_name(field));
            let subject = column.map_or_else(|| "the value".to_owned(), |column| format!("`{column}`"));
            return say!(
                "cast: {subject} is a text that cannot be read as {}; try_cast gives NULL instead",
                sql_name(&self.target)
            );
        }
        if is_constant {
            return Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&values, 0)?));
        }
        Ok(ColumnarValue::Array(values))
    }
}
