//! The HTTP listener.

mod answer;
mod connection;
mod handover;
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
pub use self::{handover::ERRAND_BYTES, stream::HEARTBEAT};
use crate::{
    Server,
    doors::{self, Guest},
    handover::{Contact, PATH},
};

/// What handlers are given.
#[derive(Clone)]
pub(crate) struct App {
    pub(crate) server: Arc<Server>,
    pub(crate) hosts: Arc<Hosts>,
    /// What commands that hand their work over show and are shown.
    pub(crate) contact: Arc<Contact>,
    /// Turns for complete bodies.
    pub(crate) turns: Arc<Semaphore>,
    pub(crate) stopped: watch::Receiver<bool>,
}

/// Serves until the doors are closed; requests that were taken are answered. `names` are hosts that the server is known by.
pub(crate) async fn serve(
    server: Arc<Server>,
    listener: TcpListener,
    names: Vec<String>,
    contact: Contact,
    closing: watch::Receiver<bool>,
) {
    let listens_on = listener.local_addr().ok().map(|address| address.ip());
    let app = App {
        server: Arc::clone(&server),
        hosts: Arc::new(Hosts::new(listens_on, &names)),
        contact: Arc::new(contact),
        turns: Arc::new(Semaphore::new(server.doors.limits().bodies_at_once)),
        stopped: closing.clone(),
    };
    let router = Router::new()
        .route("/ingest/{source}/{table}", post(ingest::ingest))
        .route("/v1/stream/{model}", get(stream::stream))
        .route("/v1/status", get(status::status))
        .route("/healthz", get(status::health))
        .route("/ready", get(status::ready))
        .route(PATH, get(handover::prove).post(handover::take))
        .layer(middleware::from_fn_with_state(app.clone(), hosts::guard))
        .with_state(app);
    let told = closing.clone();
    let converse =
        move |socket: TcpStream, guest: Arc<Guest>| connection::converse(socket, guest, router.clone(), told.clone());
    doors::accept(&server, "http", listener, closing, converse).await;
}
