//! Alerts: conditions over live models, asked again with every epoch. A thing in alarm is told once, when its condition has held
//! long enough, and once more when it clears.

use std::{collections::BTreeMap, sync::Arc};

use arrow::{
    array::{Array, RecordBatch},
    datatypes::TimeUnit,
    util::display::array_value_to_string,
};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use wardlake_access::{SystemReason, Viewer};
use wardlake_build::compile_inline;
use wardlake_engine::{ReadState, Session, sql::identifier};
use wardlake_load::Workspace;
use wardlake_project::AlertRule;
use wardlake_records::{Notice, RecordsError, system};

use crate::error::ServeError;

/// Which things are in alarm. Losing it costs a repeated notice, never a missed one.
const STATE: &str = "_state/alerts.json";

/// One thing for which a condition holds.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Alarm {
    since: DateTime<Utc>,
    is_told: bool,
    value: Option<String>,
    message: String,
}

/// The alerts of a project and what is in alarm.
pub(crate) struct Alerts {
    workspace: Arc<Workspace>,
    webhooks: Vec<String>,
    /// Each with the query of its rows in alarm, once it is compiled.
    watched: Vec<(AlertRule, Option<String>)>,
    /// By alert, then by key as JSON.
    alarms: BTreeMap<String, BTreeMap<String, Alarm>>,
    /// What is to be told, or was, and stands in no table yet.
    unnoted: Vec<Notice>,
    /// [`STATE`] says the same as `alarms`, as far as they were told.
    is_kept: bool,
}

impl Alerts {
    /// The alerts that the project declares.
    pub(crate) async fn load(workspace: &Arc<Workspace>) -> Result<Self, ServeError> {
        let rules = workspace.project.alerts();
        let session = workspace.engine.session(Viewer::System(SystemReason::Alert), ReadState::Working).await?;
        // Addresses come from the environment as secrets do.
        let mut webhooks = Vec::new();
        for (place, webhook) in rules.webhooks.iter().enumerate() {
            match compile_inline(workspace, &session, webhook).await {
                Ok(url) => webhooks.push(url.trim().to_owned()),
                Err(error) => workspace.events.warn(format!("webhook {} of alerts.yml: {error}", place + 1)),
            }
        }
        webhooks.retain(|url| !url.is_empty());
        let alarms = match workspace.lake.get(&STATE.into()).await? {
            // What cannot be read costs that what is in alarm is told once more.
            Some(bytes) => serde_json::from_slice(&bytes).unwrap_or_default(),
            None => BTreeMap::new(),
        };
        let watched = rules.alerts.iter().map(|alert| (alert.clone(), None)).collect();
        let workspace = Arc::new(workspace.for_waiting_work());
        Ok(Self { workspace, webhooks, watched, alarms, unnoted: Vec::new(), is_kept: true })
    }

    /// Whether there is anything to ask.
    pub(crate) fn is_empty(&self) -> bool {
        self.watched.is_empty()
    }

    /// Where notices are sent beside the log.
    pub(crate) fn webhooks(&self) -> &[String] {
        &self.webhooks
    }

    /// Asks every alert of the newest epoch; what is to be told, and then to be noted ([`Self::note`]). An alert whose query fails keeps
    /// its alarms and is named in the second list.
    pub(crate) async fn ask(&mut self) -> Result<(Vec<Notice>, Vec<String>), ServeError> {
        let Some(epoch) = self.workspace.lake.newest_epoch().await? else { return Ok(Default::default()) };
        let (viewer, state) = (Viewer::System(SystemReason::Alert), ReadState::Epoch(Arc::new(epoch)));
        let session = self.workspace.engine.recurring_session(viewer, state)?;
        let now = self.now(&session).await;
        let (mut notices, mut failures) = (Vec::new(), Vec::new());
        for (alert, query) in &mut self.watched {
            match rows_in_alarm(&self.workspace, &session, alert, query).await {
                Ok(rows) => {
                    let alarms = self.alarms.entry(alert.name.clone()).or_default();
                    // All of it or nothing: an alarm that is lost half-way would be raised again, or never cleared.
                    let (mut judged, before) = (alarms.clone(), notices.len());
                    match judge(alert, &rows, now, &mut judged, &mut notices) {
                        Ok(()) => *alarms = judged,
                        Err(error) => {
                            notices.truncate(before);
                            failures.push(format!("alert {}: {error}", alert.name));
                        }
                    }
                }
                Err(error) => failures.push(format!("alert {}: {error}", alert.name)),
            }
        }
        self.is_kept &= notices.is_empty();
        self.unnoted.extend_from_slice(&notices);
        Ok((notices, failures))
    }

    /// The data's time, or the machine's where no clock is declared or it cannot be read.
    async fn now(&self, session: &Session) -> DateTime<Utc> {
        let project = &self.workspace.project;
        let Some(clock) = &project.alerts().clock else { return Utc::now() };
        let node = project.node(&clock.model);
        let Some(name) = node.and_then(|node| node.relation.table_name()) else { return Utc::now() };
        let sql = format!(
            "select arrow_cast(max({}), 'Timestamp({:?}, None)') from {}",
            identifier(&clock.column),
            TimeUnit::Microsecond,
            name.quoted()
        );
        let read = session.collect(&sql).await.ok().and_then(|batches| {
            let column = Arc::clone(batches.first()?.column(0));
            let micros = arrow::compute::cast(&column, &arrow::datatypes::DataType::Int64).ok()?;
            let micros = arrow::array::AsArray::as_primitive_opt::<arrow::datatypes::Int64Type>(&micros)?;
            (!micros.is_empty() && micros.is_valid(0)).then(|| micros.value(0))
        });
        read.and_then(DateTime::from_timestamp_micros).unwrap_or_else(Utc::now)
    }

    /// Notes what was told, as rows of `system.alerts` and for the next start, once it is where no crash can lose it: what is not
    /// noted is told again. After an error the next call notes it.
    pub(crate) async fn note(&mut self) -> Result<(), ServeError> {
        if !self.unnoted.is_empty() {
            let id = uuid::Uuid::now_v7().to_string();
            system::record_notices(&self.workspace.lake, &id, &self.unnoted).await?;
            self.unnoted.clear();
        }
        if !self.is_kept {
            let bytes = serde_json::to_vec(&self.alarms).map_err(ServeError::notes)?;
            self.workspace.lake.put(&STATE.into(), bytes).await?;
            self.is_kept = true;
        }
        Ok(())
    }
}

/// The rows for which the condition of an alert holds. Its `query` is compiled when it can be, and kept.
async fn rows_in_alarm(
    workspace: &Arc<Workspace>,
    session: &Session,
    alert: &AlertRule,
    query: &mut Option<String>,
) -> Result<Vec<RecordBatch>, ServeError> {
    let query = match query {
        Some(query) => query,
        None => {
            let rows = compile_inline(workspace, session, &alert.sql).await?;
            let rows = rows.trim().trim_end_matches(';');
            query.insert(format!("select * from (\n{rows}\n) as watched where {}", alert.when))
        }
    };
    let _turn = workspace.engine.turn().await;
    Ok(session.collect(query).await?)
}

/// Compares the rows in alarm with what was in alarm before.
fn judge(
    alert: &AlertRule,
    rows: &[RecordBatch],
    now: DateTime<Utc>,
    alarms: &mut BTreeMap<String, Alarm>,
    notices: &mut Vec<Notice>,
) -> Result<(), ServeError> {
    // Without a column of the key all rows would be one alarm.
    let schema = rows.first().map(RecordBatch::schema);
    let is_missing = |column: &&String| schema.as_ref().is_some_and(|schema| schema.index_of(column).is_err());
    if let Some(column) = alert.key.iter().find(is_missing) {
        return Err(ServeError::AlertKey { column: column.clone() });
    }
    let mut before = std::mem::take(alarms);
    for batch in rows {
        for row in 0..batch.num_rows() {
            let cells = cells(batch, row)?;
            let key: BTreeMap<String, String> = alert
                .key
                .iter()
                .map(|column| (column.clone(), cells.get(column).cloned().flatten().unwrap_or_default()))
                .collect();
            let id = serde_json::to_string(&key).map_err(ServeError::notes)?;
            let value = alert.value.as_ref().and_then(|column| cells.get(column).cloned().flatten());
            let message = filled(&alert.message, &cells);
            let mut alarm =
                before.remove(&id).unwrap_or(Alarm { since: now, is_told: false, value: None, message: String::new() });
            let lasts = (now - alarm.since).to_std().unwrap_or_default();
            if !alarm.is_told && lasts >= alert.lasting {
                alarm = Alarm { is_told: true, value: value.clone(), message: message.clone(), ..alarm };
                notices.push(notice(alert, key, &alarm, true, now));
            }
            alarms.insert(id, alarm);
        }
    }
    for (id, alarm) in before.into_iter().filter(|(_, alarm)| alarm.is_told) {
        // An alarm that another version kept may not say its key; that it is over is told all the same.
        let key = serde_json::from_str(&id).unwrap_or_default();
        notices.push(notice(alert, key, &alarm, false, now));
    }
    Ok(())
}

fn notice(
    alert: &AlertRule,
    key: BTreeMap<String, String>,
    alarm: &Alarm,
    is_raised: bool,
    at: DateTime<Utc>,
) -> Notice {
    Notice {
        alert: alert.name.clone(),
        severity: alert.severity,
        is_raised,
        key,
        value: alarm.value.clone(),
        message: alarm.message.clone(),
        since: alarm.since,
        at,
    }
}

fn cells(batch: &RecordBatch, row: usize) -> Result<BTreeMap<String, Option<String>>, ServeError> {
    let schema = batch.schema();
    let columns = schema.fields().iter().zip(batch.columns());
    columns
        .map(|(field, column)| {
            let text = if column.is_null(row) {
                None
            } else {
                Some(array_value_to_string(column, row).map_err(RecordsError::from)?)
            };
            Ok((field.name().clone(), text))
        })
        .collect()
}

/// The message with `{column}` filled in; a name that is no column stays as it is.
fn filled(message: &str, cells: &BTreeMap<String, Option<String>>) -> String {
    cells.iter().fold(message.to_owned(), |text, (column, value)| {
        text.replace(&format!("{{{column}}}"), value.as_deref().unwrap_or("?"))
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use arrow::array::StringArray;

    use wardlake_project::AlertSeverity;

    use super::*;

    fn alert() -> AlertRule {
        AlertRule {
            name: "full".to_owned(),
            sql: "select * from beds".to_owned(),
            key: vec!["ward".to_owned()],
            value: Some("rate".to_owned()),
            when: "rate > 0.9".to_owned(),
            lasting: Duration::from_secs(15 * 60),
            severity: AlertSeverity::Warning,
            message: "{ward} is at {rate}; {nothing}".to_owned(),
        }
    }

    fn rows(wards: &[(&str, &str)]) -> Vec<RecordBatch> {
        let ward: StringArray = wards.iter().map(|(ward, _)| Some(*ward)).collect();
        let rate: StringArray = wards.iter().map(|(_, rate)| Some(*rate)).collect();
        let columns: [(&str, arrow::array::ArrayRef); 2] = [("ward", Arc::new(ward)), ("rate", Arc::new(rate))];
        vec![RecordBatch::try_from_iter(columns).unwrap()]
    }

    #[test]
    fn a_thing_is_told_once_when_it_has_lasted_and_once_when_it_clears() {
        let alert = alert();
        let mut alarms = BTreeMap::new();
        let mut told = |minute: i64, wards: &[(&str, &str)]| {
            let mut notices = Vec::new();
            let now = DateTime::from_timestamp(minute * 60, 0).unwrap();
            judge(&alert, &rows(wards), now, &mut alarms, &mut notices).unwrap();
            notices.into_iter().map(|notice| (notice.is_raised, notice.message)).collect::<Vec<_>>()
        };
        assert_eq!(told(0, &[("a", "0.95")]), []);
        assert_eq!(told(14, &[("a", "0.96"), ("b", "0.91")]), []);
        let raised = (true, "a is at 0.97; {nothing}".to_owned());
        assert_eq!(told(15, &[("a", "0.97"), ("b", "0.91")]), [raised]);
        assert_eq!(told(16, &[("a", "0.99"), ("b", "0.91")]), []);
        // b clears before it was ever told; a clears with what was said of it.
        assert_eq!(told(17, &[]), [(false, "a is at 0.97; {nothing}".to_owned())]);
        assert_eq!(told(18, &[("b", "0.95")]), []);
        assert_eq!(told(33, &[("b", "0.95")]).len(), 1);
    }
}
