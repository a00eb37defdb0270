//! The command's side: finds the server, sees that it is the one, hands the errand over and takes what it tells.

use std::{path::Path, time::Duration};

use reqwest::{Client, Response, StatusCode};
use tokio::time::timeout;
use wardlake_core::{ErrorKind, HasErrorKind};
use wardlake_load::Workspace;
use wardlake_records::RunEvent;

use super::{Contact, Errand, Line, PATH, Proof, VERSION};

/// A server that works at an errand says something every two seconds; one that has been silent for so long is as good as gone.
pub const SILENT: Duration = Duration::from_secs(60);

/// Why the server did not do it.
#[derive(Debug, thiserror::Error)]
pub enum HandOverError {
    /// It is not to be reached, and nothing is under way.
    #[error("{reason}")]
    NoAnswer {
        /// In what way: `it was silent for 5 s`.
        reason: String,
    },
    /// It could not do it, or did not come to the end.
    #[error("{message}")]
    Failed {
        /// What that asks of the caller.
        kind: ErrorKind,
        /// What and what to do.
        message: String,
    },
}

impl HasErrorKind for HandOverError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::NoAnswer { .. } => ErrorKind::Unavailable,
            Self::Failed { kind, .. } => *kind,
        }
    }
}

impl HandOverError {
    fn silent(reason: impl Into<String>) -> Self {
        Self::NoAnswer { reason: reason.into() }
    }

    fn failed(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self::Failed { kind, message: message.into() }
    }
}

/// Hands an errand to the server that has the workspace's lake, tells what happens, and says whether all went well. None if no server
/// can be asked for this lake. `patience`: for how long it may be silent before it begins. Dropping this cancels the errand.
pub async fn hand_over(
    workspace: &Workspace,
    errand: &Errand,
    patience: Duration,
    tell: impl FnMut(RunEvent),
) -> Result<Option<bool>, HandOverError> {
    let Some(lake) = workspace.lake.local_path() else { return Ok(None) };
    let Some(contact) = find(lake)? else { return Ok(None) };
    let begun = timeout(patience, begin(&contact, errand)).await;
    let silent = |_| HandOverError::silent(format!("it was silent for {:.1} s", patience.as_secs_f64()));
    let answer = begun.map_err(silent)??;
    follow(answer, tell).await.map(Some)
}

fn find(lake: &Path) -> Result<Option<Contact>, HandOverError> {
    Contact::find(lake).map_err(|error| match error.kind() {
        std::io::ErrorKind::PermissionDenied => {
            HandOverError::silent("another user runs it, and only that user's commands are handed to it")
        }
        _ => HandOverError::silent(format!("the file that says where it is cannot be read: {error}")),
    })
}

/// Asks for proof, then for the errand.
async fn begin(contact: &Contact, errand: &Errand) -> Result<Response, HandOverError> {
    // No proxy is asked, and no certificate: this goes nowhere else.
    let client = Client::builder().no_proxy().tls_built_in_root_certs(false).build();
    let client = client.map_err(|error| unreached(&error))?;
    let url = format!("http://{}{PATH}", contact.address);
    let proof = client.get(&url).bearer_auth(contact.command.reveal()).send().await;
    let proof: Proof = answered(proof).await?.json().await.map_err(|error| unreached(&error))?;
    if !contact.server.is(proof.secret.as_bytes()) {
        return Err(HandOverError::silent(format!("what listens on {} is not it", contact.address)));
    }
    if proof.version != VERSION {
        let text = format!(
            "the server of this lake is wardlake {}, and this is wardlake {VERSION}; start the server anew with this one, or run \
             that one's command",
            proof.version
        );
        return Err(HandOverError::failed(ErrorKind::Conflict, text));
    }
    answered(client.post(&url).bearer_auth(contact.command.reveal()).json(errand).send().await).await
}

/// An answer with success; what else may come is from a server that begins, ends or is another one by now.
async fn answered(answer: reqwest::Result<Response>) -> Result<Response, HandOverError> {
    let answer = answer.map_err(|error| unreached(&error))?;
    match answer.status() {
        StatusCode::OK => Ok(answer),
        StatusCode::BAD_REQUEST => {
            let text = "the server of this lake does not understand this command; start it anew with the same wardlake";
            Err(HandOverError::failed(ErrorKind::Conflict, text))
        }
        status => Err(HandOverError::silent(format!("it answered with status {status}"))),
    }
}

/// Without the address, which people know as the server's.
fn unreached(error: &reqwest::Error) -> HandOverError {
    let reason = if error.is_connect() { "nothing listens where it said" } else { "it ended the connection" };
    HandOverError::silent(reason)
}

/// Takes lines until the one that says how it ended.
async fn follow(mut answer: Response, mut tell: impl FnMut(RunEvent)) -> Result<bool, HandOverError> {
    let lost = |what: &str| {
        let text = format!("{what} before this was over; what was committed stays, run it again for the rest");
        HandOverError::failed(ErrorKind::Unavailable, text)
    };
    let mut bytes: Vec<u8> = Vec::new();
    loop {
        let part = timeout(SILENT, answer.chunk()).await.map_err(|_| lost("the server fell silent"))?;
        let part = part.ok().flatten().ok_or_else(|| lost("the server ended"))?;
        bytes.extend_from_slice(&part);
        let Some(end) = bytes.iter().rposition(|byte| *byte == b'\n') else { continue };
        let whole: Vec<u8> = bytes.drain(..=end).collect();
        for line in whole.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            let line = serde_json::from_slice(line).map_err(|_| lost("the server said what is not understood"))?;
            match line {
                Line::Alive => {}
                Line::Event(event) => tell(event),
                Line::Done(is_success) => return Ok(is_success),
                Line::Failed { kind, message } => return Err(HandOverError::Failed { kind, message }),
            }
        }
    }
}
