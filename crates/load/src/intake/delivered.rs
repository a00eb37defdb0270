//! A record as it was delivered, looked up by its row.

use super::{FOLDER, frame_of};
use crate::{error::LoadError, workspace::Workspace};

/// The record that is row `position` of a feed's journal, where the journal lies within the lake: the line of its delivery, or
/// all of a delivery of one record.
pub async fn delivered(
    workspace: &Workspace,
    source: &str,
    segment: &str,
    position: i64,
) -> Result<Option<String>, LoadError> {
    let Some(lake) = workspace.lake.local_path() else { return Ok(None) };
    let (folder, segment) = (lake.join(FOLDER).join(source), segment.to_owned());
    let read = move || frame_of(&folder, &segment, position.unsigned_abs());
    // A segment goes when bronze has all of it. What is damaged in one that stays is told by the server, and the row is in bronze.
    let Ok(Some(frame)) = tokio::task::spawn_blocking(read).await? else { return Ok(None) };
    let text = String::from_utf8_lossy(&frame.payload).into_owned();
    let place = position.unsigned_abs().saturating_sub(frame.first_row) as usize;
    Ok(match frame.rows {
        1 => Some(text),
        _ => text.lines().filter(|line| !line.trim().is_empty()).nth(place).map(str::to_owned),
    })
}
