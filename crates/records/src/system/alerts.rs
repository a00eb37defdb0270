//! What people were told: `system.alerts`.

use wardlake_core::LedgerEntry;
use wardlake_project::AlertSeverity;
use wardlake_storage::Lake;

use super::table::{Columns, append, as_json};
use crate::{error::RecordsError, results::Notice};

/// Keeps what was told. `id` names this telling: the same one twice is kept once.
pub async fn record_notices(lake: &Lake, id: &str, notices: &[Notice]) -> Result<(), RecordsError> {
    let keys = as_json("alerts", "key", notices.iter().map(|notice| &notice.key))?;
    let state = |notice: &Notice| if notice.is_raised { "raised" } else { "cleared" };
    let batch = Columns::default()
        .text("alert", notices.iter().map(|notice| Some(notice.alert.as_str())))
        .text("severity", notices.iter().map(|notice| Some(name_of(notice.severity))))
        .text("state", notices.iter().map(|notice| Some(state(notice))))
        .text("key", keys.iter().map(|key| Some(key.as_str())))
        .text("value", notices.iter().map(|notice| notice.value.as_deref()))
        .text("message", notices.iter().map(|notice| Some(notice.message.as_str())))
        .instant("since_at", notices.iter().map(|notice| notice.since))
        .instant("told_at", notices.iter().map(|notice| notice.at))
        .batch()?;
    append(lake, "alerts", batch, LedgerEntry::new(format!("alerts:{id}"), 1)).await
}

fn name_of(severity: AlertSeverity) -> &'static str {
    match severity {
        AlertSeverity::Info => "info",
        AlertSeverity::Warning => "warning",
        AlertSeverity::Critical => "critical",
    }
}
