//! Runs every file of `tests/slt`.

use wardlake_testkit::slt;

#[tokio::test]
async fn sql_behaves_as_the_manual_says() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/slt");
    if let Err(failures) = slt::run_folder(folder).await {
        let texts: Vec<_> = failures
            .iter()
            .map(|failure| {
                format!("{failure}{}", std::error::Error::source(failure).map(|e| format!("\n{e}")).unwrap_or_default())
            })
            .collect();
        panic!("{} files failed\n\n{}", failures.len(), texts.join("\n\n"));
    }
}

#[test]
fn every_function_is_documented_once() {
    let docs = wardlake_engine::functions::catalogue();
    for pair in docs.windows(2) {
        assert_ne!(pair[0].name, pair[1].name);
    }
    for doc in &docs {
        assert!(!doc.signature.is_empty() && doc.description.len() > 10 && !doc.example.is_empty(), "{}", doc.name);
    }
}
