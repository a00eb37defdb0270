//! Documentation of the functions that DataFusion brings along, as it gives it.

use std::collections::BTreeMap;

use datafusion::{logical_expr::Documentation, prelude::SessionContext};

/// The documentation of a function of DataFusion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OtherFunction {
    /// The name it is called by, or one of its other names.
    pub name: String,
    /// How it is called, one form per line.
    pub signature: String,
    /// What it returns; empty where DataFusion does not say.
    pub description: String,
    /// Its arguments, and what each is.
    pub arguments: Vec<(String, String)>,
}

/// The documentation of every function of DataFusion, by name. Those that Wardlake has under the same name ([`super::catalogue`]) are
/// replaced by its own.
pub fn of_datafusion() -> Vec<OtherFunction> {
    let context = SessionContext::new();
    let state = context.state_ref();
    let state = state.read();
    let scalars = state.scalar_functions().iter().map(|(name, function)| (name, function.documentation()));
    let aggregates = state.aggregate_functions().iter().map(|(name, function)| (name, function.documentation()));
    let windows = state.window_functions().iter().map(|(name, function)| (name, function.documentation()));
    // A window function may have the name of an aggregate: the first is the one that is called without OVER.
    let mut found = BTreeMap::new();
    for (name, documentation) in scalars.chain(aggregates).chain(windows) {
        found.entry(name.clone()).or_insert_with(|| described(name, documentation));
    }
    found.into_values().collect()
}

fn described(name: &str, documentation: Option<&Documentation>) -> OtherFunction {
    let name = name.to_owned();
    let Some(documentation) = documentation else {
        return OtherFunction {
            signature: format!("{name}(…)"),
            name,
            description: String::new(),
            arguments: Vec::new(),
        };
    };
    let others = documentation.alternative_syntax.iter().flatten();
    let signature: Vec<&str> =
        std::iter::once(&documentation.syntax_example).chain(others).map(|form| form.trim()).collect();
    OtherFunction {
        name,
        signature: signature.join("\n"),
        description: documentation.description.trim().to_owned(),
        arguments: documentation.arguments.clone().unwrap_or_default(),
    }
}
