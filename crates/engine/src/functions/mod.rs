//! SQL functions that dbt projects and hospital SQL expect and DataFusion lacks, one folder per family.
//!
//! A function is one value (its names, documentation, return type and kernel) in its family's list: registering, the
//! documentation and `wardlake functions` all read the same lists. Shared rules:
//!
//! - A NULL argument gives NULL unless a function's text says otherwise.
//! - Instants are microseconds. Results that leave the representable range are NULL.
//! - Text of any Arrow layout is accepted; results are `Utf8`.
//! - A constant argument is evaluated once, never expanded to a column.
//! - Errors name the function and the argument, never the value: values may be a patient's.

mod aggregate;
mod casts;
mod column;
mod comparisons;
mod datetime;
mod json;
mod number;
mod operators;
mod others;
mod scalar;
mod similarity;
mod text;
mod typed;

pub(crate) use datetime::part::DatePart;
pub(crate) use number::{NUMERIC_LITERAL, beyond_floats};
pub use others::{OtherFunction, of_datafusion};

use std::sync::Arc;

use datafusion::{error::DataFusionError, logical_expr::registry::FunctionRegistry, prelude::SessionContext};

/// The documentation of one function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FunctionDoc {
    /// The name it is called by.
    pub name: &'static str,
    /// How it is called, one form per line.
    pub signature: &'static str,
    /// What it returns, with the choices where databases differ.
    pub description: &'static str,
    /// An expression and its result: `dateadd('month', 1, date '2024-01-31') → 2024-02-29`.
    pub example: &'static str,
}

/// Registers every function of Wardlake, and the JSON functions and operators (`->`, `->>`), in `ctx`.
///
/// Functions of DataFusion that have the same name are replaced (`to_char`, `to_date`, `to_timestamp`,
/// `percentile_cont`, `sum`). Comparisons, casts and integer arithmetic are rewritten as well.
pub fn register_all(ctx: &SessionContext) -> Result<(), DataFusionError> {
    let state = ctx.state_ref();
    let mut state = state.write();
    datafusion_functions_json::register_all(&mut *state)?;
    for function in scalars() {
        state.register_udf(Arc::new(function.into_udf()))?;
    }
    for function in aggregate::all() {
        state.register_udaf(Arc::new(function))?;
    }
    state.register_function_rewrite(Arc::new(casts::TextCasts::new()))?;
    state.register_function_rewrite(Arc::new(comparisons::Comparisons::new()))?;
    state.add_analyzer_rule(Arc::new(typed::TypedExpressions::new()));
    state.register_expr_planner(Arc::new(operators::IntervalOperators))?;
    Ok(())
}

/// The documentation of every function, by name, including the forms that the dialect rewrites.
pub fn catalogue() -> Vec<FunctionDoc> {
    let mut docs: Vec<_> = scalars().map(|f| f.doc.clone()).collect();
    docs.extend(aggregate::docs());
    docs.extend(crate::dialect::docs());
    docs.sort_by_key(|doc| doc.name);
    docs
}

fn scalars() -> impl Iterator<Item = scalar::ScalarFunction> {
    datetime::all()
        .into_iter()
        .chain(text::all())
        .chain(number::all())
        .chain(json::all())
        .chain(operators::all())
        .chain(similarity::all())
}
