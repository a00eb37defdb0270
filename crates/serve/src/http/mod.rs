//! The HTTP listener.

mod answer;
mod connection;
mod hosts;
mod ingest;
pub(crate) mod status;
mod stream;
mod viewer;

use std::sync::Arc;

use axum::{
    Router, middleware,
    routing::{get, post},
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Semaphore, watch},
};

use self::hosts::Hosts;
use crate::{
    Server,
    doors::{self, Guest},
};

/// What handlers are given.
#[derive(Clone)]
pub(crate) struct App {
    pub(crate) server: Arc<Server>,
    pub(crate) hosts: Arc<Hosts>,
    /// Turns for complete bodies.
    pub(crate) turns: Arc<Semaphore>,
    pub(crate) stopped: watch::Receiver<bool>,
}

/// Serves until the doors are closed; requests that were taken are answered. `names` are hosts that the server is known by.
pub(crate) async fn serve(
    server: Arc<Server>,
    listener: TcpListener,
    names: Vec<String>,
    closing: watch::Receiver<bool>,
) {
    let listens_on = listener.local_addr().ok().map(|address| address.ip());
    let app = App {
        server: Arc::clone(&server),
        hosts: Arc::new(Hosts::new(listens_on, &names)),
        turns: Arc::new(Semaphore::new(server.doors.limits().bodies_at_once)),
        stopped: closing.clone(),
    };
    let router = Router::new()
        .route("/ingest/{source}/{table}", post(ingest::ingest))
        .route("/v1/stream/{model}", get(stream::stream))
        .route("/v1/status", get(status::status))
        .route("/healthz", get(status::health))
        .route("/ready", get(status::ready))
        .layer(middleware::from_fn_with_state(app.clone(), hosts::guard))
        .with_state(app);
    let told = closing.clone();
    let converse =
        move |socket: TcpStream, guest: Arc<Guest>| connection::converse(socket, guest, router.clone(), told.clone());
    doors::accept(&server, "http", listener, closing, converse).await;
}
