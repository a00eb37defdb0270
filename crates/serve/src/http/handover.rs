//! `GET` and `POST /v1/handover`: commands of this machine hand their work over. Who may do so has read the file that only the server's
//! user can read ([`Contact`]); from another machine nobody may.

use std::{collections::VecDeque, convert::Infallible, sync::Arc};

use axum::{
    Extension, Json,
    body::{Body, Bytes, to_bytes},
    extract::State,
    http::{HeaderMap, StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
};
use futures::stream;
use tokio::{
    sync::{mpsc::UnboundedReceiver, watch},
    task::JoinHandle,
    time::{sleep, timeout},
};
use wardlake_core::ErrorKind;
use wardlake_records::{EventSink, RunEvent};

use super::{App, answer::Refusal, connection::Via, ingest::bearer};
use crate::{
    errands,
    handover::{ALIVE_EVERY, Contact, Errand, Line, Proof, VERSION},
};

/// More than the arguments of any command.
pub const ERRAND_BYTES: usize = 16 << 20;

/// Shows that this is the server whose file the command has read.
pub(crate) async fn prove(
    State(app): State<App>,
    Extension(via): Extension<Via>,
    headers: HeaderMap,
) -> Result<Json<Proof>, Refusal> {
    admit(&app.contact, via, &headers)?;
    Ok(Json(Proof { secret: app.contact.server.reveal().to_owned(), version: VERSION.to_owned() }))
}

/// Does what is asked for, and tells of it line by line. It ends with the answer: a client that goes away cancels it.
pub(crate) async fn take(
    State(app): State<App>,
    Extension(via): Extension<Via>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refusal> {
    admit(&app.contact, via, &headers)?;
    let body = timeout(app.server.doors.limits().body_timeout, to_bytes(body, ERRAND_BYTES)).await;
    let body = body.ok().and_then(Result::ok);
    let errand: Option<Errand> = body.and_then(|body| serde_json::from_slice(&body).ok());
    let errand =
        errand.ok_or_else(|| Refusal::new(StatusCode::BAD_REQUEST, "the body is no errand of this version"))?;
    let (events, told) = EventSink::channel();
    let server = Arc::clone(&app.server);
    let work = app.server.background.refreshes.spawn(errands::run(server, errand, events));
    let next = VecDeque::from([Line::Alive]);
    let under_way = UnderWay { told, work: Cancelled(work), stopped: app.stopped.clone(), next };
    let lines = stream::unfold(Some(under_way), |under_way: Option<UnderWay>| async move {
        let mut under_way = under_way?;
        let line = under_way.next().await;
        let is_last = matches!(line, Line::Done(_) | Line::Failed { .. });
        Some((Ok::<_, Infallible>(written(&line)), (!is_last).then_some(under_way)))
    });
    Ok(([(CONTENT_TYPE, "application/x-ndjson")], Body::from_stream(lines)).into_response())
}

/// From this machine alone, and only who knows the secret.
fn admit(contact: &Contact, via: Via, headers: &HeaderMap) -> Result<(), Refusal> {
    let is_here = via.peer.is_loopback() || via.reached == Some(via.peer);
    match bearer(headers) {
        Some(shown) if is_here && contact.command.is(shown) => Ok(()),
        _ => {
            let text = "only commands of the server's own user on its machine may ask this";
            Err(Refusal::new(StatusCode::FORBIDDEN, text))
        }
    }
}

fn written(line: &Line) -> Bytes {
    let mut text = serde_json::to_vec(line).unwrap_or_else(|_| {
        let failed = "{\"failed\":{\"kind\":\"internal\",\"message\":\"what happened cannot be told\"}}";
        failed.as_bytes().to_vec()
    });
    text.push(b'\n');
    text.into()
}

/// Work that nobody waits for any more ends.
struct Cancelled(JoinHandle<Line>);

impl Drop for Cancelled {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// An errand on its way.
struct UnderWay {
    told: UnboundedReceiver<RunEvent>,
    work: Cancelled,
    stopped: watch::Receiver<bool>,
    /// What is told next.
    next: VecDeque<Line>,
}

impl UnderWay {
    /// The next line.
    async fn next(&mut self) -> Line {
        if let Some(line) = self.next.pop_front() {
            return line;
        }
        let last = tokio::select! {
            biased;
            Some(event) = self.told.recv() => return Line::Event(event),
            ended = &mut self.work.0 => ended.unwrap_or_else(|error| {
                let text = format!("a task of the server ended unexpectedly: {error}. Please report it");
                Line::failed(ErrorKind::Internal, text)
            }),
            _ = self.stopped.wait_for(|stopped| *stopped) => {
                let text = "the server stops; what was committed stays, run it again for the rest";
                Line::failed(ErrorKind::Unavailable, text)
            }
            () = sleep(ALIVE_EVERY) => return Line::Alive,
        };
        // What was told before the end comes before it.
        while let Ok(event) = self.told.try_recv() {
            self.next.push_back(Line::Event(event));
        }
        self.next.push_back(last);
        self.next.pop_front().unwrap_or(Line::Alive)
    }
}
