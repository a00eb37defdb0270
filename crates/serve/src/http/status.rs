//! `GET /v1/status` and `GET /healthz`.

use std::collections::BTreeMap;

use axum::{Json, extract::State, http::StatusCode};
use serde::Serialize;
use wardlake_connect::kafka::KafkaStatus;
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
    /// Every table that follows topics.
    topics: BTreeMap<String, TopicStatus>,
    /// The models.
    #[serde(flatten)]
    waves: WaveStatus,
}

pub(crate) async fn status(State(app): State<App>) -> Json<Status> {
    let server = &app.server;
    let feeds = server.sources.feeds().map(|feed| feed.status()).collect();
    let topics = server.brokers.iter().map(|(label, monitor)| {
        let status = monitor.status();
        (label.clone(), TopicStatus { lag: status.lag(), status })
    });
    Json(Status { epoch: *server.epoch.borrow(), feeds, topics: topics.collect(), waves: server.progress.read() })
}

/// How a table that follows topics stands.
#[derive(Debug, Serialize)]
pub(crate) struct TopicStatus {
    /// Records behind the newest, if that is known of every partition.
    lag: Option<u64>,
    #[serde(flatten)]
    status: KafkaStatus,
}

/// Whether deliveries are taken.
pub(crate) async fn health(State(app): State<App>) -> StatusCode {
    if *app.stopped.borrow() { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::NO_CONTENT }
}
