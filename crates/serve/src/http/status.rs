//! `GET /v1/status`, `GET /healthz` and `GET /ready`.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use axum::{Json, extract::State, http::StatusCode};
use serde::Serialize;
use tokio::sync::watch;
use wardlake_connect::source::LogState;
use wardlake_load::FeedStatus;

use super::{App, answer::Refusal};
use crate::{Server, doors::Sockets, waves::WaveStatus};

/// How the server stands.
#[derive(Debug, Serialize)]
pub(crate) struct Status {
    /// The newest epoch.
    epoch: u64,
    /// Every table that takes deliveries.
    feeds: Vec<FeedStatus>,
    /// Every table that follows a log.
    topics: BTreeMap<String, LogState>,
    /// What clients hold.
    sockets: Sockets,
    /// The models.
    #[serde(flatten)]
    waves: WaveStatus,
}

pub(crate) async fn status(State(app): State<App>) -> Json<Status> {
    Json(read(&app.server))
}

/// Where in the lake the last state of a server is kept for `wardlake debug`. Losing it costs nothing.
pub const KEPT_STATUS: &str = "_state/serve.json";
/// How often it is written.
const KEEP_EVERY: Duration = Duration::from_secs(5);

/// Keeps the state where others find it, until the server stops.
pub(crate) async fn keep(server: Arc<Server>, mut stopped: watch::Receiver<bool>) {
    while !*stopped.borrow() {
        let state = serde_json::json!({"at": chrono::Utc::now(), "status": read(&server), "limits": server.in_force});
        // A disk that refuses is told of by the loads.
        let _ = server.workspace.lake.put(&KEPT_STATUS.into(), state.to_string()).await;
        tokio::select! {
            () = tokio::time::sleep(KEEP_EVERY) => {}
            _ = stopped.changed() => {}
        }
    }
}

fn read(server: &Server) -> Status {
    let feeds = server.sources.feeds().map(|feed| {
        let status = feed.status();
        // A load after it does not mean that the disk takes deliveries again.
        let last_error = status.last_error.or_else(|| server.readiness.refusal(feed.label()));
        FeedStatus { last_error, ..status }
    });
    let feeds = feeds.collect();
    let topics = server.logs.iter().map(|(label, monitor)| (label.clone(), monitor.state()));
    let (topics, sockets) = (topics.collect(), server.doors.sockets());
    Status { epoch: *server.epoch.borrow(), feeds, topics, sockets, waves: server.progress.read() }
}

/// Whether the server runs. A full disk is no reason to start it anew: [`ready`] tells of that.
pub(crate) async fn health(State(app): State<App>) -> StatusCode {
    if *app.stopped.borrow() { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::NO_CONTENT }
}

/// For load balancers: 503 and the reason while no more is to be sent here: before a stop, when what comes is still taken, and as long as
/// deliveries cannot be stored or loaded.
pub(crate) async fn ready(State(app): State<App>) -> Result<Json<serde_json::Value>, Refusal> {
    match app.server.readiness.reason() {
        None => Ok(Json(serde_json::json!({"ready": true}))),
        Some(reason) => Err(Refusal::new(StatusCode::SERVICE_UNAVAILABLE, reason).with("ready", false)),
    }
}
