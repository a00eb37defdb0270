//! The HTTP listener.

mod answer;
mod ingest;
pub(crate) mod status;
mod stream;

use std::sync::Arc;

use axum::{
    Router,
    routing::{get, post},
};
use tokio::{net::TcpListener, sync::watch};

use crate::{ServeError, Server};

/// Requests whose bodies are in memory at once.
const REQUESTS_AT_ONCE: usize = 64;

/// What handlers are given.
#[derive(Clone)]
pub(crate) struct App {
    pub(crate) server: Arc<Server>,
    /// Places for request bodies in memory.
    pub(crate) room: Arc<tokio::sync::Semaphore>,
    pub(crate) stopped: watch::Receiver<bool>,
}

/// Serves until the server stops; requests that were taken are answered.
pub(crate) async fn serve(
    server: Arc<Server>,
    listener: TcpListener,
    mut stopped: watch::Receiver<bool>,
) -> Result<(), ServeError> {
    let room = Arc::new(tokio::sync::Semaphore::new(REQUESTS_AT_ONCE));
    let app = App { server, room, stopped: stopped.clone() };
    let router = Router::new()
        .route("/ingest/{source}/{table}", post(ingest::ingest))
        .route("/v1/stream/{model}", get(stream::stream))
        .route("/v1/status", get(status::status))
        .route("/healthz", get(status::health))
        .with_state(app);
    let until = async move {
        // A sender that is gone means the same.
        let _ = stopped.wait_for(|stopped| *stopped).await;
    };
    axum::serve(listener, router).with_graceful_shutdown(until).await.map_err(|source| ServeError::Listen { source })
}
