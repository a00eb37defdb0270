//! Runs every file of `tests/slt`.

use wardlake_testkit::slt;

#[tokio::test]
async fn sql_behaves_as_the_manual_says() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/slt");
    if let Err(failures) = slt::run_folder(folder).await {
        let texts: Vec<_> = failures.iter().map(ToString::to_string).collect();
        panic!("{} files failed\n\n{}", failures.len(), texts.join("\n\n"));
    }
}
