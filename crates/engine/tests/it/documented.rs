//! The documentation is true: every example with a result is run.

use arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::prelude::SessionContext;
use wardlake_engine::{dialect, functions};

async fn evaluate(ctx: &SessionContext, expression: &str) -> Result<String, String> {
    let mut statements = dialect::rewrite(&format!("select {expression}")).map_err(|error| error.to_string())?;
    let plan = ctx.state().statement_to_plan(statements.remove(0)).await.map_err(|error| error.to_string())?;
    let frame = ctx.execute_logical_plan(plan).await.map_err(|error| error.to_string())?;
    let batches = frame.collect().await.map_err(|error| error.to_string())?;
    let options = FormatOptions::default().with_null("NULL");
    let formatter = ArrayFormatter::try_new(batches[0].column(0), &options).map_err(|error| error.to_string())?;
    Ok(formatter.value(0).to_string())
}

#[tokio::test]
async fn examples_give_what_they_say() {
    let ctx = SessionContext::new();
    functions::register_all(&ctx).unwrap();
    let mut wrong = Vec::new();
    for doc in functions::catalogue() {
        let Some((expression, expected)) = doc.example.split_once(" → ") else { continue };
        // Aggregates show their values in words.
        if expression.contains(" over ") {
            continue;
        }
        let found = evaluate(&ctx, expression).await;
        if found.as_deref() != Ok(expected) {
            wrong.push(format!("{}: {expression} → {expected}, but {found:?}", doc.name));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_function_is_documented_once() {
    let docs = functions::catalogue();
    for pair in docs.windows(2) {
        assert_ne!(pair[0].name, pair[1].name);
    }
    for doc in &docs {
        assert!(!doc.signature.is_empty() && !doc.description.is_empty() && !doc.example.is_empty(), "{}", doc.name);
    }
}
