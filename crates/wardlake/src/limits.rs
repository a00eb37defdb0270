//! Every time-out, bound and retention: what holds here, what holds if nothing is said, and where it is said. The values are those that the
//! rooms go by; docs/OPERATIONS.md has the same rows.

use std::time::Duration;

use chrono::TimeDelta;
use serde::Serialize;
use wardlake_connect::{
    MAX_REJECTED_BYTES,
    source::{MAX_BYTES, Push},
};
use wardlake_core::columns::{MOST_COLUMNS, MOST_NEW_COLUMNS};
use wardlake_engine::EngineOptions;
use wardlake_load::SourceTable;
use wardlake_project::{DEFAULT_THREADS, FOR_EVER, Keeping, RETAINED, Target};
use wardlake_serve::{InForce, Limits};
use wardlake_storage::EpochRetention;

use crate::{
    args::WaitArgs,
    commands::serve::{DRAIN_S, MAX_WAITING_MB, REFRESH_S},
    handed::FIRST_WORD,
    terminal::counted,
};

/// What nobody can change.
const FIXED: &str = "fixed";

/// One time-out, bound or retention.
#[derive(Debug, Serialize)]
pub(crate) struct Row {
    /// Of what.
    pub(crate) what: String,
    /// What holds here.
    pub(crate) value: String,
    /// What holds where nothing is said.
    pub(crate) default: String,
    /// The flag, key or setting that says it.
    pub(crate) set_by: String,
}

/// What the rows are read from.
pub(crate) struct Facts<'a> {
    pub(crate) target: &'a Target,
    pub(crate) engine: &'a EngineOptions,
    pub(crate) sources: &'a [SourceTable],
    /// What the lake's server was started with, if it has one.
    pub(crate) server: Option<InForce>,
}

/// All of them, in the order of the documentation.
pub(crate) fn rows(facts: &Facts<'_>) -> Vec<Row> {
    let defaults = server_defaults();
    let server = facts.server.as_ref().unwrap_or(&defaults);
    let mut rows = of_sockets(&server.sockets, &defaults.sockets);
    rows.extend(of_deliveries(server, &defaults, facts.sources));
    rows.extend(of_stops(server, &defaults));
    rows.extend(of_loads(server, &defaults));
    rows.extend(of_the_machine(facts));
    rows.extend(of_files());
    rows.extend(of_keeping(&facts.target.keeping));
    rows
}

/// A server whose arguments say nothing.
fn server_defaults() -> InForce {
    InForce {
        sockets: Limits::default(),
        refresh: Duration::from_secs(REFRESH_S),
        drain: Duration::from_secs(DRAIN_S),
        max_waiting_bytes: MAX_WAITING_MB << 20,
    }
}

fn of_sockets(here: &Limits, default: &Limits) -> Vec<Row> {
    let times = [
        ("head of a request, and a TLS handshake", here.head_timeout, default.head_timeout, "--head-timeout"),
        ("HTTP connection between two requests", here.idle_timeout, default.idle_timeout, "--idle-timeout"),
        ("body of a request, or MLLP message, as a whole", here.body_timeout, default.body_timeout, "--body-timeout"),
        ("next part of a body or message", here.body_pause, default.body_pause, FIXED),
        ("client that takes nothing of its answer", here.write_timeout, default.write_timeout, "--write-timeout"),
        ("complete body that waits for its turn, before 429", here.turn_timeout, default.turn_timeout, FIXED),
    ];
    let sizes = [
        ("bytes of a body that are worth a second more", here.body_bytes_per_s, default.body_bytes_per_s, FIXED),
        ("bytes of a request's head", here.head_bytes as u64, default.head_bytes as u64, FIXED),
        ("unfinished bodies and messages", here.unfinished_bytes, default.unfinished_bytes, "--max-unfinished"),
    ];
    let counts = [
        (
            "connections of one address",
            here.connections_per_peer,
            default.connections_per_peer,
            "--connections-per-peer",
        ),
        ("connections in all", here.connections, default.connections, FIXED),
        ("complete bodies at work", here.bodies_at_once, default.bodies_at_once, FIXED),
    ];
    let times = times.map(|(what, here, default, by)| row(what, time(here), time(default), by));
    let sizes = sizes.map(|(what, here, default, by)| row(what, bytes(here), bytes(default), by));
    let counts = counts.map(|(what, here, default, by)| row(what, here.to_string(), default.to_string(), by));
    times.into_iter().chain(sizes).chain(counts).collect()
}

fn of_deliveries(here: &InForce, default: &InForce, sources: &[SourceTable]) -> Vec<Row> {
    let mut rows = vec![
        row(
            "bytes of one table that wait to be loaded",
            bytes(here.max_waiting_bytes),
            bytes(default.max_waiting_bytes),
            "--max-waiting",
        ),
        row("body of a request", bytes(MAX_BYTES), bytes(MAX_BYTES), "http.max_bytes of a source"),
        row("MLLP message", bytes(MAX_BYTES), bytes(MAX_BYTES), "mllp.max_bytes of a source"),
    ];
    for source in sources {
        for push in source.table.pushes().filter(|push| push.max_bytes() != MAX_BYTES) {
            let (what, by) = match push {
                Push::Requests(_) => ("body of a request", "http.max_bytes of a source"),
                Push::Messages(_) => ("MLLP message", "mllp.max_bytes of a source"),
            };
            rows.push(row(&format!("{what} to {}", source.label), bytes(push.max_bytes()), bytes(MAX_BYTES), by));
        }
    }
    rows.extend([
        fixed("MLLP messages of one connection without an answer", wardlake_serve::MLLP_UNANSWERED.to_string()),
        fixed("MLLP message held back while too much waits, before AE", time(wardlake_serve::MLLP_BUSY_LONGEST)),
        fixed("keys of deliveries are remembered", time(wardlake_serve::KEY_WINDOW)),
        fixed("quiet stream says that it lives", time(wardlake_serve::STREAM_HEARTBEAT)),
        fixed("rows of a view in a stream", wardlake_build::MAX_VIEW_ROWS.to_string()),
        fixed("webhook that takes a notice", time(wardlake_serve::WEBHOOK_TIMEOUT)),
        fixed("notice that no webhook takes is tried again", time(span(wardlake_serve::WEBHOOK_GIVEN_UP))),
    ]);
    rows
}

fn of_stops(here: &InForce, default: &InForce) -> Vec<Row> {
    let wait = time(WaitArgs::default().wait);
    vec![
        row("ports stay open after a stop", time(here.drain), time(default.drain), "--drain"),
        fixed("requests under way after the ports are closed", time(wardlake_serve::CLOSE_WITHIN)),
        fixed("last load of a stop", time(wardlake_serve::LAST_WAVE_WITHIN)),
        fixed("all of a stop after --drain", time(wardlake_serve::STOP_WITHIN)),
        fixed("lease of a lake in a bucket", time(wardlake_load::LEASE_LASTS)),
        fixed("first word of a server to a command", time(FIRST_WORD)),
        row("server that does not answer a command", wait.clone(), wait, "--wait"),
        fixed("silence of a server that works for a command", time(wardlake_serve::HANDOVER_SILENT)),
        fixed("what a command hands over", bytes(wardlake_serve::ERRAND_BYTES as u64)),
    ]
}

fn of_loads(here: &InForce, default: &InForce) -> Vec<Row> {
    vec![
        row(
            "between two rebuilds of models that take no increments",
            time(here.refresh),
            time(default.refresh),
            "--refresh",
        ),
        fixed("first pause of a model that stands still", time(wardlake_build::FIRST_PAUSE)),
        fixed("longest pause of a model that stands still", time(wardlake_build::LONGEST_PAUSE)),
        fixed("file that nobody was heard to finish, beside a server", time(wardlake_serve::FILE_SETTLED)),
        fixed("columns of a table", MOST_COLUMNS.to_string()),
        fixed("new columns of one file or delivery", MOST_NEW_COLUMNS.to_string()),
        fixed("kept bytes of a record that could not be read", bytes(MAX_REJECTED_BYTES as u64)),
        fixed("segment of a journal", bytes(wardlake_load::JOURNAL_SEGMENT_BYTES)),
    ]
}

fn of_the_machine(facts: &Facts<'_>) -> Vec<Row> {
    let (target, engine) = (facts.target, facts.engine);
    let memory = format!("{} MiB", engine.memory_limit_bytes >> 20);
    let spill = EngineOptions::default().max_spill_bytes;
    vec![
        row(
            "nodes at once",
            target.threads.to_string(),
            DEFAULT_THREADS.to_string(),
            "--threads, threads of wardlake.yml",
        ),
        row(
            "memory of queries before they spill",
            memory,
            "half of the machine's".to_owned(),
            "memory_limit of wardlake.yml",
        ),
        row("spilled files", bytes(engine.max_spill_bytes), bytes(spill), FIXED),
        fixed("rows of small files in memory", bytes(wardlake_storage::HELD_ROW_BYTES as u64)),
        fixed("keys of files in memory", bytes(wardlake_storage::HELD_KEY_BYTES as u64)),
    ]
}

fn of_files() -> Vec<Row> {
    let epochs = EpochRetention::default();
    let grace = wardlake_load::FILE_GRACE;
    let pass = span(wardlake_load::SERVER_MAINTAIN_EVERY);
    vec![
        fixed("all epochs", time(epochs.all)),
        fixed("versions within an hour of a table that is rebuilt whole", wardlake_load::REBUILT_VERSIONS.to_string()),
        fixed("last epoch of each hour", time(epochs.hourly)),
        fixed("last epoch of each day", time(epochs.daily)),
        fixed("files and log entries that no kept epoch needs", time(grace.removed)),
        fixed("files that no version ever named", time(grace.unnamed)),
        fixed("between two looks of a server after all tables", time(pass)),
        fixed("between two looks of build and ingest without a server", time(span(wardlake_load::MAINTAIN_EVERY))),
    ]
}

fn of_keeping(here: &Keeping) -> Vec<Row> {
    let default = Keeping::default();
    let bound = |bytes_kept: Option<u64>| bytes_kept.map_or_else(|| "no bound".to_owned(), bytes);
    let days = |days: Option<u32>| days.map_or_else(|| "for ever".to_owned(), |days| counted(u64::from(days), "day"));
    let (free, least) = (bytes(here.min_free_bytes), bytes(default.min_free_bytes));
    let mut rows = vec![
        row(
            "bytes that only old epochs need",
            bound(here.epoch_bytes),
            bound(default.epoch_bytes),
            "epochs.keep_bytes of wardlake.yml",
        ),
        row("free space without which no delivery is taken", free, least, "min_free of wardlake.yml"),
    ];
    rows.extend(RETAINED.iter().map(|(table, _)| {
        let by = format!("retention.{table} of wardlake.yml");
        row(&format!("rows of system.{table}"), days(here.days(table)), days(default.days(table)), &by)
    }));
    rows.extend(FOR_EVER.iter().map(|(table, _)| fixed(&format!("rows of system.{table}"), days(None))));
    rows
}

fn row(what: &str, value: String, default: String, set_by: &str) -> Row {
    Row { what: what.to_owned(), value, default, set_by: set_by.to_owned() }
}

fn fixed(what: &str, value: String) -> Row {
    row(what, value.clone(), value, FIXED)
}

fn span(time: TimeDelta) -> Duration {
    Duration::from_secs(time.num_seconds().unsigned_abs())
}

/// In the largest unit that leaves no rest: `2 days`, `24 h`, `10 min`, `60 s`, `250 ms`.
fn time(time: Duration) -> String {
    const MINUTE: u64 = 60;
    const HOUR: u64 = 60 * MINUTE;
    const DAY: u64 = 24 * HOUR;
    match time.as_secs() {
        _ if time.subsec_nanos() > 0 => format!("{} ms", time.as_millis()),
        days if days >= 2 * DAY && days.is_multiple_of(DAY) => format!("{} days", days / DAY),
        hours if hours >= HOUR && hours.is_multiple_of(HOUR) => format!("{} h", hours / HOUR),
        minutes if minutes >= 2 * MINUTE && minutes.is_multiple_of(MINUTE) => format!("{} min", minutes / MINUTE),
        seconds => format!("{seconds} s"),
    }
}

/// In the largest unit that leaves no rest.
fn bytes(bytes: u64) -> String {
    match bytes {
        0 => "0 bytes".to_owned(),
        _ if bytes.is_multiple_of(1 << 30) => format!("{} GiB", bytes >> 30),
        _ if bytes.is_multiple_of(1 << 20) => format!("{} MiB", bytes >> 20),
        _ if bytes.is_multiple_of(1 << 10) => format!("{} KiB", bytes >> 10),
        _ => format!("{bytes} bytes"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_sizes_are_told_in_the_largest_unit_without_a_rest() {
        let times = [250, 1_500, 5_000, 60_000, 90_000, 600_000, 3_600_000, 86_400_000, 172_800_000];
        assert_eq!(
            times.map(|ms| time(Duration::from_millis(ms))),
            ["250 ms", "1500 ms", "5 s", "60 s", "90 s", "10 min", "1 h", "24 h", "2 days"]
        );
        assert_eq!(
            [0, 1000, 64 << 10, 3 << 20, 2 << 30].map(bytes),
            ["0 bytes", "1000 bytes", "64 KiB", "3 MiB", "2 GiB"]
        );
    }
}
