//! Work that the lake's server does in a command's place, if one has the lake: it knows what its waves do just now, and its readers hear
//! of what is built. If it does not answer, the command waits for it, or for its end.

use std::time::Duration;

use tokio::time::{Instant, sleep};
use wardlake_core::ErrorKind;
use wardlake_load::{Ownership, Workspace};
use wardlake_records::RunEvent;
use wardlake_serve::{Errand, HandOverError, hand_over};

use crate::failure::Failure;

/// So long a server has for its first word.
pub(crate) const FIRST_WORD: Duration = Duration::from_secs(5);
/// Between two tries while it does not answer.
const TRY_EVERY: Duration = Duration::from_millis(500);

/// Hands an errand over and tells what the server tells of it; whether all went well. None if nobody has the lake: the command does it
/// itself. `wait`: for how long a server that has the lake may not answer.
pub(crate) async fn to_server(
    workspace: &Workspace,
    errand: &Errand,
    wait: Duration,
    mut tell: impl FnMut(RunEvent),
) -> Result<Option<bool>, Failure> {
    let mut until = None;
    loop {
        let left = until.map_or(FIRST_WORD, |until: Instant| until.saturating_duration_since(Instant::now()));
        let patience = left.clamp(TRY_EVERY, FIRST_WORD);
        let reason = match hand_over(workspace, errand, patience, &mut tell).await {
            Ok(done) => return Ok(done),
            Err(HandOverError::NoAnswer { reason }) => reason,
            Err(error) => return Err(error.into()),
        };
        let Some(holder) = Ownership::holder(&workspace.lake)? else { return Ok(None) };
        let lake = workspace.lake.url();
        let is_first = until.is_none();
        let until = *until.get_or_insert_with(|| Instant::now() + wait);
        if Instant::now() >= until {
            let message = format!(
                "{lake} is served by {holder}, which took nothing over ({reason}); nothing was run. Stop that server, or wait longer \
                 with --wait"
            );
            return Err(HandOverError::Failed { kind: ErrorKind::Unavailable, message }.into());
        }
        if is_first {
            let wait_s = wait.as_secs();
            let text = format!("{lake} is served by {holder}, which does not answer ({reason})");
            let text = format!("{text}; waiting for {wait_s} s at most");
            tell(RunEvent::Message { level: "warn".to_owned(), text });
        }
        sleep(TRY_EVERY.min(until.saturating_duration_since(Instant::now()))).await;
    }
}
