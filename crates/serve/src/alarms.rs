//! Alerts on their way to people: the log at once, webhooks until they answer. That a thing was told is noted after its notices are where
//! no crash can lose them: one in between tells it again.

use std::{sync::Arc, time::Duration};

use chrono::{TimeDelta, Utc};
use reqwest::StatusCode;
use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
    time::{Instant, timeout},
};
use wardlake_records::{Notice, RunEvent};

use crate::{
    ServeError, Server,
    alerts::Alerts,
    outbox::{self, Letter, Outbox},
};

/// Conditions are asked at most so often, however many epochs there are, and for no more than this share of the time: waves come first.
const ASK_EVERY: Duration = Duration::from_secs(3);
const SHARE: u32 = 10;
/// A webhook that does not take a notice is tried again after these pauses, the last of them until a day has passed. After a stop or a
/// crash the next server goes on with it.
const PAUSES: [Duration; 5] = [
    Duration::from_secs(1),
    Duration::from_secs(5),
    Duration::from_secs(30),
    Duration::from_secs(120),
    Duration::from_secs(600),
];
/// A notice that no webhook takes is given up after so long.
pub const GIVEN_UP: TimeDelta = TimeDelta::hours(24);
/// A webhook has so long to take a notice.
pub const TIMEOUT: Duration = Duration::from_secs(10);
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
    let outbox = Arc::new(Outbox::default());
    let webhooks: Vec<Webhook> = match reqwest::Client::builder().timeout(TIMEOUT).build() {
        Ok(client) => {
            let urls = alerts.webhooks().iter();
            urls.map(|url| Webhook::open(&server, &outbox, &client, url, &mut deliveries)).collect()
        }
        Err(error) => {
            server.workspace.events.warn(format!("no webhook is told of alerts: {error}"));
            Vec::new()
        }
    };
    match Outbox::load(&server.workspace).await {
        Ok(letters) => letters.into_iter().for_each(|letter| {
            // A webhook that the project names no more is told of nothing more.
            if let Some(webhook) = webhooks.iter().find(|webhook| webhook.name == letter.webhook) {
                webhook.send(letter);
            }
        }),
        Err(error) => {
            server.workspace.events.warn(format!("notices that were on their way are in system.alerts alone: {error}"));
        }
    }
    let mut epochs = server.epoch.subscribe();
    let mut told_of = None;
    while !*stopped.borrow() {
        let started = Instant::now();
        match alerts.ask().await {
            Ok((notices, mut failures)) => {
                for notice in notices {
                    server.workspace.events.tell(RunEvent::Alert { notice: notice.clone() });
                    webhooks.iter().for_each(|webhook| webhook.tell(&notice));
                }
                if let Err(error) = note(&server, &outbox, &mut alerts).await {
                    failures.push(format!("what was told of alerts could not be noted and is noted again: {error}"));
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
    // What is not delivered then is left to the next server.
    let _ = timeout(LAST_MOMENT, delivered).await;
    deliveries.abort_all();
    if let Err(error) = note(&server, &outbox, &mut alerts).await {
        server.workspace.events.warn(format!("what was told of alerts could not be noted, and is told again: {error}"));
    }
}

/// In this order: a crash at any moment tells again what was told, and leaves nothing untold.
async fn note(server: &Server, outbox: &Outbox, alerts: &mut Alerts) -> Result<(), ServeError> {
    outbox.keep(&server.workspace).await?;
    alerts.note().await
}

/// Where notices go on to a webhook, one after the other: a thing that cleared is not told of before it was raised.
struct Webhook {
    name: String,
    outbox: Arc<Outbox>,
    sender: mpsc::UnboundedSender<(u64, Letter)>,
}

impl Webhook {
    fn open(
        server: &Arc<Server>,
        outbox: &Arc<Outbox>,
        client: &reqwest::Client,
        url: &str,
        deliveries: &mut JoinSet<()>,
    ) -> Self {
        let (sender, mut letters) = mpsc::unbounded_channel::<(u64, Letter)>();
        let (server, done, client) = (Arc::clone(server), Arc::clone(outbox), client.clone());
        let (name, url) = (outbox::name_of(url), url.to_owned());
        deliveries.spawn(async move {
            while let Some((number, letter)) = letters.recv().await {
                deliver(&server, &client, &url, &letter).await;
                done.remove(number);
            }
        });
        Self { name, outbox: Arc::clone(outbox), sender }
    }

    fn tell(&self, notice: &Notice) {
        self.send(Letter { webhook: self.name.clone(), told_at: Utc::now(), notice: notice.clone() });
    }

    fn send(&self, letter: Letter) {
        let number = self.outbox.put(letter.clone());
        // The other half ends with the server.
        let _ = self.sender.send((number, letter));
    }
}

/// Sends a notice until it is taken, or never will be.
async fn deliver(server: &Server, client: &reqwest::Client, url: &str, letter: &Letter) {
    let notice = &letter.notice;
    let warn = |what: &str, reason: reqwest::Error| {
        let reason = reason.without_url();
        server.workspace.events.warn(format!("alert {}: a webhook {what}: {reason}", notice.alert));
    };
    for tries in 0.. {
        let sent = client.post(url).json(notice).send().await;
        let Err(error) = sent.and_then(reqwest::Response::error_for_status) else { return };
        let is_refused = error.status().is_some_and(|status| REFUSALS.contains(&status));
        if is_refused || Utc::now() - letter.told_at >= GIVEN_UP {
            return warn("did not take it and is not tried again; it is in system.alerts", error);
        }
        if tries == 0 {
            warn("did not take it and is tried again", error);
        }
        tokio::time::sleep(PAUSES[PAUSES.len().min(tries + 1) - 1]).await;
    }
}
