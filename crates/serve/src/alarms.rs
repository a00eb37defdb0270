//! Alerts on their way to people: the log at once, webhooks until they answer.

use std::{sync::Arc, time::Duration};

use reqwest::StatusCode;
use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
    time::{Instant, timeout},
};
use wardlake_records::{Notice, RunEvent};

use crate::{Server, alerts::Alerts};

/// Conditions are asked at most so often, however many epochs there are, and for no more than this share of the time: waves come first.
const ASK_EVERY: Duration = Duration::from_secs(3);
const SHARE: u32 = 10;
/// A webhook that does not take a notice is tried again after these pauses, the last of them until a day has passed. A stop ends that,
/// too: `system.alerts` has every notice.
const PAUSES: [Duration; 5] = [
    Duration::from_secs(1),
    Duration::from_secs(5),
    Duration::from_secs(30),
    Duration::from_secs(120),
    Duration::from_secs(600),
];
const GIVEN_UP: Duration = Duration::from_secs(24 * 60 * 60);
const TIMEOUT: Duration = Duration::from_secs(10);
/// A stop waits so long for notices under way.
const LAST_MOMENT: Duration = Duration::from_secs(3);
/// Answers of a webhook that will not like the same notice better another time.
const REFUSALS: [StatusCode; 3] =
    [StatusCode::BAD_REQUEST, StatusCode::PAYLOAD_TOO_LARGE, StatusCode::UNPROCESSABLE_ENTITY];

/// Asks after each epoch until the server stops. Time passes without epochs too: a condition that holds for a quarter of an hour is
/// asked again meanwhile.
pub(crate) async fn run(server: Arc<Server>, mut stopped: watch::Receiver<bool>) {
    let mut alerts = match Alerts::load(&server.workspace).await {
        Ok(alerts) if alerts.is_empty() => return,
        Ok(alerts) => alerts,
        Err(error) => return server.workspace.events.warn(format!("no alert is watched: {error}")),
    };
    let mut deliveries = JoinSet::new();
    let webhooks: Vec<_> = match reqwest::Client::builder().timeout(TIMEOUT).build() {
        Ok(client) => alerts.webhooks().iter().map(|url| deliver_to(&server, &client, url, &mut deliveries)).collect(),
        Err(error) => {
            server.workspace.events.warn(format!("no webhook is told of alerts: {error}"));
            Vec::new()
        }
    };
    let mut epochs = server.epoch.subscribe();
    let mut told_of = None;
    while !*stopped.borrow() {
        let started = Instant::now();
        match alerts.ask().await {
            Ok((notices, failures)) => {
                for notice in notices {
                    server.workspace.events.tell(RunEvent::Alert { notice: notice.clone() });
                    for webhook in &webhooks {
                        let _ = webhook.send((Instant::now(), notice.clone()));
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
    drop(webhooks);
    let delivered = async { while deliveries.join_next().await.is_some() {} };
    // What is not delivered then ends with `deliveries`.
    let _ = timeout(LAST_MOMENT, delivered).await;
}

/// Where notices go on to a webhook, one after the other, each with when it was told: a thing that cleared is not told of before it was
/// raised.
fn deliver_to(
    server: &Arc<Server>,
    client: &reqwest::Client,
    webhook: &str,
    deliveries: &mut JoinSet<()>,
) -> mpsc::UnboundedSender<(Instant, Notice)> {
    let (sender, mut notices) = mpsc::unbounded_channel::<(Instant, Notice)>();
    let (server, client, webhook) = (Arc::clone(server), client.clone(), webhook.to_owned());
    deliveries.spawn(async move {
        while let Some((told, notice)) = notices.recv().await {
            let warn = |what: &str, reason: reqwest::Error| {
                let reason = reason.without_url();
                server.workspace.events.warn(format!("alert {}: a webhook {what}: {reason}", notice.alert));
            };
            for tries in 0.. {
                let sent = client.post(&webhook).json(&notice).send().await;
                let Err(error) = sent.and_then(reqwest::Response::error_for_status) else { break };
                let is_refused = error.status().is_some_and(|status| REFUSALS.contains(&status));
                if is_refused || told.elapsed() >= GIVEN_UP {
                    warn("did not take it and is not tried again; it is in system.alerts", error);
                    break;
                }
                if tries == 0 {
                    warn("did not take it and is tried again", error);
                }
                tokio::time::sleep(PAUSES[PAUSES.len().min(tries + 1) - 1]).await;
            }
        }
    });
    sender
}
