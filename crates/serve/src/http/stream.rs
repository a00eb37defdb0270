//! `GET /v1/stream/<model>`: server-sent events with what is new in a model, from epoch to epoch. An event's id is the epoch
//! that shows it: a client that comes back with `Last-Event-ID` (or `?since=`) misses nothing.

use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::{
    extract::{Path, Query, State},
    http::{HeaderMap, StatusCode},
    response::sse::{Event, KeepAlive, Sse},
};
use futures::{Stream, stream};
use serde::Deserialize;
use tokio::sync::watch;
use wardlake_build::Follower;
use wardlake_core::did_you_mean;

use super::{App, answer::Refusal};

/// How often a quiet stream says that it lives.
const HEARTBEAT: Duration = Duration::from_secs(15);

#[derive(Debug, Deserialize)]
pub(crate) struct Since {
    since: Option<u64>,
}

struct Following {
    follower: Follower,
    epochs: watch::Receiver<u64>,
    stopped: watch::Receiver<bool>,
    is_first: bool,
}

pub(crate) async fn stream(
    State(app): State<App>,
    Path(model): Path<String>,
    Query(Since { since }): Query<Since>,
    headers: HeaderMap,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Refusal> {
    let last = headers.get("last-event-id").and_then(|value| value.to_str().ok()?.parse().ok());
    let workspace = &app.server.workspace;
    let Some(follower) = Follower::new(workspace, &app.server.pictures, &model, last.or(since)) else {
        let names: Vec<&str> = workspace.project.nodes().values().map(|node| node.name.as_str()).collect();
        let refusal = Refusal::new(StatusCode::NOT_FOUND, format!("there is no model `{model}`"));
        return Err(match did_you_mean(&model, names) {
            Some(nearest) => refusal.with("did_you_mean", nearest),
            None => refusal,
        });
    };
    let epochs = app.server.epoch.subscribe();
    let following = Following { follower, epochs, stopped: app.stopped.clone(), is_first: true };
    let server = Arc::clone(&app.server);
    let events = stream::unfold(following, move |following| {
        let server = Arc::clone(&server);
        async move { next(following, &server).await.map(|(event, following)| (Ok(event), following)) }
    });
    Ok(Sse::new(events).keep_alive(KeepAlive::new().interval(HEARTBEAT)))
}

/// The next event; none when the server stops, or when the model cannot be read any more.
async fn next(mut following: Following, server: &crate::Server) -> Option<(Event, Following)> {
    loop {
        if !std::mem::take(&mut following.is_first) {
            tokio::select! {
                changed = following.epochs.changed() => changed.ok()?,
                _ = following.stopped.wait_for(|stopped| *stopped) => return None,
            }
        }
        following.epochs.borrow_and_update();
        let look = async move {
            let news = following.follower.next().await;
            (following, news)
        };
        let news;
        (following, news) = server.background.streams.run(look).await?;
        match news {
            Ok(Some(news)) => {
                let kind = if news.is_whole { "snapshot" } else { "changes" };
                let event = Event::default().id(news.epoch.to_string()).event(kind).data(news.rows);
                return Some((event, following));
            }
            Ok(None) => {}
            Err(error) => {
                server.workspace.events.warn(format!("a change stream ended: {error}"));
                return None;
            }
        }
    }
}
