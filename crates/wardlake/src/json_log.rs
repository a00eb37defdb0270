//! `--log-format json`: every event as one line.

use tokio::sync::mpsc::UnboundedReceiver;
use wardlake_runner::RunEvent;

/// Prints events until the run is over.
pub(crate) async fn read(mut events: UnboundedReceiver<RunEvent>) {
    while let Some(event) = events.recv().await {
        if let Ok(line) = serde_json::to_string(&event) {
            println!("{line}");
        }
    }
}

/// A template's message before a run has begun.
pub(crate) fn print_message(text: &str) {
    let event = RunEvent::Message { level: "info".to_owned(), text: text.to_owned() };
    if let Ok(line) = serde_json::to_string(&event) {
        println!("{line}");
    }
}
