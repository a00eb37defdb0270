//! Casts from text to dates and timestamps read what hospitals write (ISO 8601 with or without seconds, HL7), and their
//! errors do not show the text, which may be a patient's.

use std::sync::Arc;

use arrow::datatypes::{DataType, TimeUnit};
use datafusion::{
    common::{DFSchema, Result, tree_node::Transformed},
    config::ConfigOptions,
    logical_expr::{Expr, ExprSchemable, ScalarUDF, expr_rewriter::FunctionRewrite},
};

use super::datetime;

/// Replaces such casts by `to_date`, `to_timestamp` and their `try_` forms, once types are known.
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
        let (value, target, [to_date, to_timestamp]) = match &expr {
            Expr::Cast(cast) => (&cast.expr, cast.field.data_type(), &self.strict),
            Expr::TryCast(cast) => (&cast.expr, cast.field.data_type(), &self.lenient),
            _ => return Ok(Transformed::no(expr)),
        };
        let function = match target {
            DataType::Date32 => to_date,
            DataType::Timestamp(TimeUnit::Microsecond, None) => to_timestamp,
            _ => return Ok(Transformed::no(expr)),
        };
        let is_text = matches!(value.get_type(schema), Ok(DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View));
        if !is_text {
            return Ok(Transformed::no(expr));
        }
        Ok(Transformed::yes(function.call(vec![value.as_ref().clone()])))
    }
}
