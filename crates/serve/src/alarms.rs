//! Alerts on their way to people: the log at once, webhooks until they answer.

use std::{sync::Arc, time::Duration};

use tokio::{sync::watch, time::Instant};
use wardlake_runner::{Alerts, Notice, RunEvent};

use crate::Server;

/// Conditions are asked at most so often, however many epochs there are, and for no more than this share of the time: waves come first.
const ASK_EVERY: Duration = Duration::from_secs(3);
const SHARE: u32 = 10;
/// A webhook that does not answer is tried again after these pauses, then given up with a warning: `system.alerts` has it.
const PAUSES: [Duration; 5] = [
    Duration::from_secs(1),
    Duration::from_secs(5),
    Duration::from_secs(30),
    Duration::from_secs(120),
    Duration::from_secs(600),
];
const TIMEOUT: Duration = Duration::from_secs(10);

/// Asks after each epoch until the server stops. Time passes without epochs too: a condition that holds for a quarter of an hour is
/// asked again meanwhile.
pub(crate) async fn run(server: Arc<Server>, mut stopped: watch::Receiver<bool>) {
    let mut alerts = match Alerts::load(&server.workspace, &server.project_dir).await {
        Ok(alerts) if alerts.is_empty() => return,
        Ok(alerts) => alerts,
        Err(error) => return server.workspace.events.warn(format!("no alert is watched: {error}")),
    };
    let client = reqwest::Client::builder().timeout(TIMEOUT).build().ok();
    let mut epochs = server.epoch.subscribe();
    let mut told_of = None;
    while !*stopped.borrow() {
        let started = Instant::now();
        match alerts.ask().await {
            Ok((notices, failures)) => {
                for notice in notices {
                    server.workspace.events.tell(RunEvent::Alert { notice: notice.clone() });
                    for webhook in alerts.webhooks() {
                        if let Some(client) = client.clone() {
                            tokio::spawn(deliver(Arc::clone(&server), client, webhook.to_owned(), notice.clone()));
                        }
                    }
                }
                // The same failure is told once: a view may be missing until the first build.
                if !failures.is_empty() && told_of.as_ref() != Some(&failures) {
                    failures.iter().for_each(|failure| server.workspace.events.warn(failure.clone()));
                    told_of = Some(failures);
                }
            }
            Err(error) => server.workspace.events.warn(format!("alerts could not be asked: {error}")),
        }
        let due = started + ASK_EVERY.max(started.elapsed() * SHARE);
        tokio::select! {
            () = tokio::time::sleep_until(due) => {}
            _ = stopped.changed() => break,
        }
        tokio::select! {
            changed = epochs.changed() => if changed.is_err() { break },
            () = tokio::time::sleep(ASK_EVERY * 5) => {}
            _ = stopped.changed() => {}
        }
    }
}

async fn deliver(server: Arc<Server>, client: reqwest::Client, webhook: String, notice: Notice) {
    let mut pauses = PAUSES.iter();
    loop {
        let sent = client.post(&webhook).json(&notice).send().await.and_then(reqwest::Response::error_for_status);
        match (sent, pauses.next()) {
            (Ok(_), _) => return,
            (Err(_), Some(pause)) => tokio::time::sleep(*pause).await,
            (Err(error), None) => {
                let reason = error.without_url();
                return server
                    .workspace
                    .events
                    .warn(format!("alert {}: a webhook did not take it: {reason}", notice.alert));
            }
        }
    }
}
