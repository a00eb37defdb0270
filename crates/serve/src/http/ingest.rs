//! `POST /ingest/<source>/<table>`: answered with success only when the bytes are on disk.

use std::{io::Read, sync::Arc};

use axum::{
    Extension, Json,
    body::Body,
    extract::{Path, Request, State},
    http::{
        HeaderMap, StatusCode,
        header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE},
    },
};
use flate2::read::MultiGzDecoder;
use futures::StreamExt;
use serde::Serialize;
use tokio::{
    sync::OwnedSemaphorePermit,
    time::{timeout, timeout_at},
};
use wardlake_connect::{
    ConnectError,
    source::{FileFormat, Secret},
};
use wardlake_load::{Content, Delivery, Feed, IntakeError, Origin, Reading};

use super::{App, answer::Refusal, connection::Via};
use crate::{
    limits::{Coming, Limits},
    room::{Claim, Full},
};

/// Below this size a body is read where it is; above, on a thread that may take its time.
const SMALL_BYTES: usize = 64 << 10;
/// Header by which a repeated request is known.
const IDEMPOTENCY_KEY: &str = "idempotency-key";
const MAX_KEY_BYTES: usize = 255;
/// What is set aside for a body before any of it came, however long it is said to be.
const ANNOUNCED_BYTES: u64 = 256 << 10;
const UNPACK_BYTES: usize = 64 << 10;

/// What was accepted.
#[derive(Debug, Serialize)]
pub(crate) struct Accepted {
    /// Rows stored.
    rows: u32,
    /// The number of the first one in the feed, as in bronze's `_position`.
    first_row: u64,
    /// The request was accepted before; nothing was stored now.
    repeated: bool,
}

pub(crate) async fn ingest(
    State(app): State<App>,
    Extension(via): Extension<Via>,
    Path((source, table)): Path<(String, String)>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Accepted>, Refusal> {
    let label = format!("{source}.{table}");
    let sources = &app.server.sources;
    let Some((feed, settings)) = sources.for_requests(&label) else {
        let refusal = Refusal::new(StatusCode::NOT_FOUND, format!("no table `{label}` takes requests"));
        return Err(match sources.nearest(&label) {
            Some(nearest) => refusal.with("did_you_mean", nearest.replace('.', "/")),
            None => refusal.with("help", "give the source table an `http` block in its source file"),
        });
    };
    authorise(settings.token, &headers)?;
    let key = idempotency_key(&headers)?;
    let format = content_format(&headers)?;
    let mut claim = app.server.doors.claim(via.peer);
    let limits = app.server.doors.limits();
    let received = receive(&headers, body, settings.max_bytes, limits, &mut claim).await?;
    // Only who has said everything has a turn: one that trickles in takes none from others.
    let _turn = turn(&app, limits).await?;
    let payload = unpacked(&headers, received, settings.max_bytes, &mut claim)?;
    let feed = Arc::clone(feed);
    let (payload, reading) = if payload.len() <= SMALL_BYTES {
        let reading = read(&feed, &payload, format)?;
        (payload, reading)
    } else {
        let feed = Arc::clone(&feed);
        let reading =
            tokio::task::spawn_blocking(move || read(&feed, &payload, format).map(|reading| (payload, reading)));
        reading.await.map_err(|_| Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "the body could not be read"))??
    };
    let content = Content::Records { format: reading.format, chunks: reading.chunks };
    let origin = Origin { peer: via.peer.to_string(), answer: StatusCode::OK.as_str().to_owned() };
    let receipt = feed.deliver(Delivery { key, payload, content, origin }).await.map_err(|error| {
        app.server.readiness.note_refusal(feed.label(), &error);
        refused(error)
    })?;
    Ok(Json(Accepted { rows: receipt.rows, first_row: receipt.first_row, repeated: receipt.is_repeated }))
}

fn refused(error: IntakeError) -> Refusal {
    match &error {
        IntakeError::Busy { .. } => Refusal::new(StatusCode::TOO_MANY_REQUESTS, error.to_string()).retry_after(1),
        IntakeError::NotStored { .. } | IntakeError::NoRoom { .. } => Refusal::of(&error).retry_after(5),
        IntakeError::Stopping => Refusal::of(&error).retry_after(2),
        IntakeError::KeyReused => Refusal::of(&error),
    }
}

/// Whether a request for a table with a token shows it.
pub(crate) fn shows_token(app: &App, request: &Request) -> bool {
    let path = request.uri().path().strip_prefix("/ingest/");
    let Some((source, table)) = path.and_then(|path| path.split_once('/')) else { return false };
    let table = app.server.sources.for_requests(&format!("{source}.{table}"));
    let token: Option<&Secret> = table.and_then(|(_, requests)| requests.token);
    token.zip(bearer(request.headers())).is_some_and(|(token, shown)| token.is(shown))
}

/// The secret that a request shows.
pub(super) fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    headers.get(AUTHORIZATION)?.as_bytes().strip_prefix(b"Bearer ")
}

fn authorise(token: Option<&Secret>, headers: &HeaderMap) -> Result<(), Refusal> {
    let Some(token) = token else { return Ok(()) };
    match bearer(headers) {
        Some(shown) if token.is(shown) => Ok(()),
        Some(_) => Err(Refusal::new(StatusCode::FORBIDDEN, "the token is not this table's")),
        None => Err(Refusal::new(StatusCode::UNAUTHORIZED, "show the table's token as `Authorization: Bearer …`")),
    }
}

fn idempotency_key(headers: &HeaderMap) -> Result<Vec<u8>, Refusal> {
    let key = headers.get(IDEMPOTENCY_KEY).map(|value| value.as_bytes().to_vec()).unwrap_or_default();
    match key.len() {
        0..=MAX_KEY_BYTES => Ok(key),
        length => {
            let text = format!("the Idempotency-Key has {length} bytes; at most {MAX_KEY_BYTES} are taken");
            Err(Refusal::new(StatusCode::BAD_REQUEST, text))
        }
    }
}

/// The format a request names; none leaves it to the table's settings.
fn content_format(headers: &HeaderMap) -> Result<Option<FileFormat>, Refusal> {
    let Some(value) = headers.get(CONTENT_TYPE) else { return Ok(None) };
    let text = value.to_str().unwrap_or_default();
    let media = text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    Ok(match media.as_str() {
        "" | "application/octet-stream" | "text/plain" | "application/x-www-form-urlencoded" => None,
        "application/json" | "text/json" => Some(FileFormat::Json),
        "application/x-ndjson" | "application/ndjson" | "application/jsonl" | "application/x-jsonlines" => {
            Some(FileFormat::Ndjson)
        }
        "text/csv" | "application/csv" => Some(FileFormat::Csv),
        "text/tab-separated-values" => Some(FileFormat::Tsv),
        "application/hl7-v2" | "x-application/hl7-v2+er7" | "application/hl7-v2+er7" => Some(FileFormat::Hl7),
        _ => {
            let text = "the content type is none of application/json, application/x-ndjson, text/csv, text/tab-separated-values";
            return Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, text));
        }
    })
}

fn too_large(limit: u64) -> Refusal {
    let text =
        format!("the body is larger than {limit} bytes; send it in parts, or raise the table's `http.max_bytes`");
    Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, text)
}

fn too_slow(limits: &Limits) -> Refusal {
    let (pause_s, whole_s) = (limits.body_pause.as_secs(), limits.body_timeout.as_secs());
    let text = format!(
        "the body came too slowly: nothing for {pause_s} s, or longer than {whole_s} s at less than {} bytes a second; \
         nothing of it was stored, send it again",
        limits.body_bytes_per_s
    );
    Refusal::new(StatusCode::REQUEST_TIMEOUT, text)
}

fn no_room(full: Full) -> Refusal {
    let status = match full {
        Full::OfPeer { .. } => StatusCode::TOO_MANY_REQUESTS,
        Full::InAll { .. } => StatusCode::SERVICE_UNAVAILABLE,
    };
    Refusal::new(status, format!("{full}; send the body again in a moment")).retry_after(1)
}

async fn receive(
    headers: &HeaderMap,
    body: Body,
    limit: u64,
    limits: &Limits,
    claim: &mut Claim,
) -> Result<Vec<u8>, Refusal> {
    let announced = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|length| length > limit) {
        return Err(too_large(limit));
    }
    let mut bytes = Vec::with_capacity(announced.unwrap_or_default().min(ANNOUNCED_BYTES) as usize);
    let mut parts = body.into_data_stream();
    let mut coming = Coming::begin(0);
    while let Some(part) = timeout_at(coming.due(limits), parts.next()).await.map_err(|_| too_slow(limits))? {
        let part = part.map_err(|_| Refusal::new(StatusCode::BAD_REQUEST, "the body ended before it was complete"))?;
        if (bytes.len() + part.len()) as u64 > limit {
            return Err(too_large(limit));
        }
        claim.grow(part.len()).map_err(no_room)?;
        coming.came(part.len());
        bytes.extend_from_slice(&part);
    }
    Ok(bytes)
}

/// A place among the bodies that are read and stored at once.
async fn turn(app: &App, limits: &Limits) -> Result<OwnedSemaphorePermit, Refusal> {
    let turn = timeout(limits.turn_timeout, Arc::clone(&app.turns).acquire_owned()).await;
    // It is never closed.
    turn.ok().and_then(Result::ok).ok_or_else(|| {
        Refusal::new(StatusCode::TOO_MANY_REQUESTS, "too many requests at once; send again in a moment").retry_after(1)
    })
}

fn unpacked(headers: &HeaderMap, bytes: Vec<u8>, limit: u64, claim: &mut Claim) -> Result<Vec<u8>, Refusal> {
    let encoding = headers.get(CONTENT_ENCODING).map(|value| value.to_str().unwrap_or_default().to_ascii_lowercase());
    match encoding.as_deref() {
        None | Some("" | "identity") => Ok(bytes),
        Some("gzip" | "x-gzip") => {
            let mut unpacked = Vec::new();
            let mut reader = MultiGzDecoder::new(bytes.as_slice());
            let mut buffer = vec![0; UNPACK_BYTES];
            loop {
                let length = reader.read(&mut buffer).map_err(|_| {
                    let text = "the body is no complete gzip stream; send it again, whole";
                    Refusal::new(StatusCode::BAD_REQUEST, text)
                })?;
                if length == 0 {
                    return Ok(unpacked);
                }
                if (unpacked.len() + length) as u64 > limit {
                    return Err(too_large(limit));
                }
                claim.grow(length).map_err(no_room)?;
                unpacked.extend_from_slice(&buffer[..length]);
            }
        }
        Some(_) => {
            Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "the content encoding is neither gzip nor identity"))
        }
    }
}

/// Why a body cannot be read. It is all here, so what is wrong with it is the sender's: the same bytes will not be right another time.
fn unreadable(error: &ConnectError) -> Refusal {
    let what = match error {
        ConnectError::Unfinished { reason, .. } | ConnectError::CutShort { reason, .. } => {
            format!("the body is cut short ({reason}); send it again, whole")
        }
        ConnectError::Corrupt { format, message, .. } => format!("the body is no readable {format}: {message}"),
        ConnectError::Unreadable { source, .. } => format!("the body cannot be read: {source}"),
        ConnectError::RecordTooLarge { record, limit, .. } => format!(
            "record {record} of the body is larger than {limit} bytes; if the records stand deeper in the document, name \
             their array in `format.records` of the source table"
        ),
        ConnectError::RecordsMissing { pointer, .. } => {
            format!("the body has no array or object at `{pointer}`, where `format.records` of the source table looks")
        }
        _ => return Refusal::of(error),
    };
    Refusal::new(StatusCode::BAD_REQUEST, format!("{what}; nothing of the body was stored"))
}

/// All records, or the first one that is none: nothing of such a body is stored.
fn read(feed: &Feed, payload: &[u8], format: Option<FileFormat>) -> Result<Reading, Refusal> {
    let reading = feed.read(payload, format).map_err(|error| unreadable(&error))?;
    if let Some(first) = reading.rejected.first() {
        let text = format!("line {}: {}; nothing of the body was stored", first.line, first.reason.message());
        return Err(Refusal::new(StatusCode::BAD_REQUEST, text)
            .with("line", first.line)
            .with("reason", first.reason.code())
            .with("rejected", reading.rejected.len()));
    }
    if reading.rows() == 0 {
        return Err(Refusal::new(StatusCode::BAD_REQUEST, "the body holds no record"));
    }
    Ok(reading)
}
