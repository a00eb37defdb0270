//! `GET /v1/status` and `GET /healthz`.

use axum::{Json, extract::State, http::StatusCode};
use serde::Serialize;
use wardlake_runner::FeedStatus;

use super::App;
use crate::waves::WaveStatus;

/// How the server stands.
#[derive(Debug, Serialize)]
pub(crate) struct Status {
    /// The newest epoch.
    epoch: u64,
    /// Every table that takes deliveries.
    feeds: Vec<FeedStatus>,
    /// The models.
    #[serde(flatten)]
    waves: WaveStatus,
}

pub(crate) async fn status(State(app): State<App>) -> Json<Status> {
    let server = &app.server;
    let feeds = server.sources.feeds().map(|feed| feed.status()).collect();
    Json(Status { epoch: *server.epoch.borrow(), feeds, waves: server.progress.read() })
}

/// Whether deliveries are taken.
pub(crate) async fn health(State(app): State<App>) -> StatusCode {
    if *app.stopped.borrow() { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::NO_CONTENT }
}
