//! `GET /v1/stream/<model>`: server-sent events with what is new in a model, from epoch to epoch. An event's id is the epoch
//! that shows it: a client that comes back with `Last-Event-ID` (or `?since=`) misses nothing.
//!
//! A `snapshot` takes the place of all that the client has, `changes` add to it. Of a table both come in parts: `changes` go on after a
//! `snapshot`, and the last part alone has an id, so that who lost the connection in between begins again. `reset` comes before the
//! `snapshot` of a client that names an epoch this lake does not have.

use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::{
    extract::{Path, Query, State},
    http::{HeaderMap, StatusCode},
    response::sse::{Event, KeepAlive, Sse},
};
use futures::{Stream, stream};
use serde::Deserialize;
use tokio::sync::watch;
use wardlake_build::{BuildError, Follower};
use wardlake_core::did_you_mean;

use super::{App, answer::Refusal, viewer};

/// How often a quiet stream says that it lives.
pub const HEARTBEAT: Duration = Duration::from_secs(15);
/// In place of a `Last-Event-ID` that is none of ours: no epoch has this number.
const UNKNOWN_EPOCH: u64 = u64::MAX;

#[derive(Debug, Deserialize)]
pub(crate) struct Since {
    since: Option<u64>,
}

struct Following {
    follower: Follower,
    epochs: watch::Receiver<u64>,
    stopped: watch::Receiver<bool>,
    /// Whether the lake knows the epoch it goes on from was not looked up yet.
    is_new: bool,
    /// There is more to look at before the next epoch.
    has_more: bool,
}

pub(crate) async fn stream(
    State(app): State<App>,
    Path(model): Path<String>,
    Query(Since { since }): Query<Since>,
    headers: HeaderMap,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Refusal> {
    let last = headers.get("last-event-id").filter(|value| !value.is_empty());
    let last = last.map(|value| value.to_str().ok().and_then(|id| id.trim().parse().ok()).unwrap_or(UNKNOWN_EPOCH));
    let workspace = &app.server.workspace;
    let (viewer, pictures) = (viewer::of_request(), &app.server.pictures);
    let Some(follower) = Follower::new(workspace, viewer, pictures, &model, last.or(since)) else {
        let names: Vec<&str> = workspace.project.nodes().values().map(|node| node.name.as_str()).collect();
        let refusal = Refusal::new(StatusCode::NOT_FOUND, format!("there is no model `{model}`"));
        return Err(match did_you_mean(&model, names) {
            Some(nearest) => refusal.with("did_you_mean", nearest),
            None => refusal,
        });
    };
    let epochs = app.server.epoch.subscribe();
    let following = Following { follower, epochs, stopped: app.stopped.clone(), is_new: true, has_more: true };
    let server = Arc::clone(&app.server);
    let events = stream::unfold(following, move |following| {
        let server = Arc::clone(&server);
        async move { next(following, &server).await.map(|(event, following)| (Ok(event), following)) }
    });
    Ok(Sse::new(events).keep_alive(KeepAlive::new().interval(HEARTBEAT)))
}

/// The next event; none when the server stops, or when the model cannot be read any more.
async fn next(mut following: Following, server: &crate::Server) -> Option<(Event, Following)> {
    if std::mem::take(&mut following.is_new) {
        // What is published from here on is looked at after what there is now.
        following.epochs.borrow_and_update();
        let look = async move {
            let is_unknown = following.follower.forget_unknown().await;
            (following, is_unknown)
        };
        let is_unknown;
        (following, is_unknown) = server.background.streams.run(look).await?;
        match is_unknown {
            Ok(true) => {
                let reason = "the lake has no epoch of that number (any more); forget what you have, the whole follows";
                let data = serde_json::json!({"reason": reason, "newest_epoch": *server.epoch.borrow()});
                // Without an id: who loses the connection now has heard of nothing.
                return Some((Event::default().event("reset").data(data.to_string()), following));
            }
            Ok(false) => {}
            Err(error) => return ended(server, &error),
        }
    }
    loop {
        if *following.stopped.borrow() {
            return None;
        }
        if !std::mem::take(&mut following.has_more) {
            tokio::select! {
                changed = following.epochs.changed() => changed.ok()?,
                _ = following.stopped.wait_for(|stopped| *stopped) => return None,
            }
            following.epochs.borrow_and_update();
        }
        let look = async move {
            let news = following.follower.next().await;
            (following, news)
        };
        let news;
        (following, news) = server.background.streams.run(look).await?;
        match news {
            Ok(Some(news)) => {
                let kind = if news.is_whole { "snapshot" } else { "changes" };
                let event = Event::default().event(kind).data(news.rows);
                let event = if news.is_last { event.id(news.epoch.to_string()) } else { event };
                following.has_more = !news.is_last;
                return Some((event, following));
            }
            Ok(None) => {}
            Err(error) => return ended(server, &error),
        }
    }
}

fn ended<T>(server: &crate::Server, error: &BuildError) -> Option<T> {
    server.workspace.events.warn(format!("a change stream ended: {error}"));
    None
}
