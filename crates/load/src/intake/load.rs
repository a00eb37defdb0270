//! From what was delivered to bronze: one commit for all that waits. A delivery that cannot be loaded is set aside, with its bytes and
//! the reason, and holds up nothing behind it.

use std::{
    path::Path,
    sync::{Arc, atomic::Ordering},
};

use chrono::DateTime;
use datafusion::physical_plan::memory::MemoryStream;
use serde_json::Value;
use wardlake_core::{ErrorKind, HasErrorKind, LedgerEntry, TableName, columns::ColumnList};
use wardlake_records::system::{self, RejectedRow};
use wardlake_storage::{Commit, HistoryEntry, SchemaChange};

use super::{
    Accepted, FeedOptions, Records, RejectedRecord, Waiting, frame_of,
    keys::Noted,
    rows::{Prepared, prepare},
    segment_of,
};
use crate::{Workspace, bronze, error::LoadError, reading};

/// The name under which bronze keeps how far it has loaded a feed's journal.
fn ledger_id(label: &str) -> String {
    format!("intake:{label}")
}

/// The number of the last row of the journal that bronze has.
pub(crate) async fn loaded_rows(workspace: &Workspace, options: &FeedOptions) -> Result<u64, LoadError> {
    Ok(match workspace.lake.snapshot(&options.name, None).await? {
        Some(snapshot) => snapshot.consumed(&ledger_id(&options.label)).await?.unwrap_or_default().unsigned_abs(),
        None => 0,
    })
}

/// The name under which bronze keeps how far it has loaded one of several journals.
fn journal_id(label: &str, journal: &str) -> String {
    format!("journal:{label}:{journal}")
}

/// The number of the last row of one of several journals that bronze has.
pub(crate) async fn loaded_of_journal(
    workspace: &Workspace,
    options: &FeedOptions,
    journal: &str,
) -> Result<u64, LoadError> {
    Ok(match workspace.lake.snapshot(&options.name, None).await? {
        Some(snapshot) => {
            snapshot.consumed(&journal_id(&options.label, journal)).await?.unwrap_or_default().unsigned_abs()
        }
        None => 0,
    })
}

/// In which journal a commit's deliveries were, and which they were: in the commit's metadata.
const JOURNAL: &str = "wardlake.journal";
const DELIVERIES: &str = "wardlake.deliveries";
/// Commits that are looked through for deliveries of other journals: in steps, each eight times the one before.
const FIRST_COMMITS: usize = 64;
/// For a journal that has nothing in bronze: senders that were not answered by another server send again in a while.
const COMMITS_OF_ALL: usize = FIRST_COMMITS * 8;
/// For one that has, as long as its own last commit is not found: each is a request.
const COMMITS_SINCE_OWN: usize = COMMITS_OF_ALL * 8;

/// Deliveries of other journals that bronze has taken since it took something of `journal`, as far as its newest commits say. `is_new`: it
/// has taken nothing of that one.
pub(crate) async fn delivered_elsewhere(
    workspace: &Workspace,
    options: &FeedOptions,
    journal: &str,
    is_new: bool,
) -> Result<Vec<Noted>, LoadError> {
    let Some(snapshot) = workspace.lake.snapshot(&options.name, None).await? else { return Ok(Vec::new()) };
    let most = if is_new { COMMITS_OF_ALL } else { COMMITS_SINCE_OWN };
    let mut count = FIRST_COMMITS;
    loop {
        // Newest first.
        let commits = snapshot.history(Some(count)).await?;
        let is_own = |commit: &HistoryEntry| commit.metadata.get(JOURNAL).and_then(Value::as_str) == Some(journal);
        let own = commits.iter().position(is_own);
        if own.is_none() && commits.len() >= count && count < most {
            count *= 8;
            continue;
        }
        let others = commits.iter().take(own.unwrap_or(commits.len()));
        let deliveries = others.filter_map(|commit| commit.metadata.get(DELIVERIES)?.as_array()).flatten();
        return Ok(deliveries.filter_map(|text| Noted::read(text.as_str()?)).collect());
    }
}

/// The columns of a feed's table that are its source's own; those that are described, as long as there is no table.
pub(crate) async fn table_columns(workspace: &Workspace, options: &FeedOptions) -> Result<ColumnList, LoadError> {
    Ok(match workspace.lake.snapshot(&options.name, None).await? {
        Some(snapshot) => bronze::own_columns(&snapshot.schema()).iter().collect(),
        None => bronze::declared_columns(&options.columns, &options.table),
    })
}

/// Rows of one load, unless a single delivery has more: what models have to take through in one wave stays within memory, however
/// much arrived at once.
const ROWS_AT_ONCE: u64 = 20_000;

/// Takes deliveries from the front of the line, up to [`ROWS_AT_ONCE`].
fn take(waiting: &Waiting) -> Vec<Accepted> {
    let mut line = waiting.lock();
    let mut rows = 0;
    let fits = line.iter().take_while(|delivery| {
        rows += u64::from(delivery.rows);
        rows <= ROWS_AT_ONCE
    });
    let count = fits.count().max(1).min(line.len());
    let taken = line.drain(..count).collect();
    if !line.is_empty() {
        waiting.news.notify_one();
    }
    taken
}

/// Why a commit of deliveries or records failed.
pub(crate) enum Failure {
    /// It is what they hold: without one of them the others can be loaded.
    Content {
        error: LoadError,
        /// It was seen before anything was written.
        is_certain: bool,
    },
    /// It is the disk, the table or another writer: the same ones are tried again.
    Elsewhere(LoadError),
}

impl Failure {
    /// The failure itself.
    pub(crate) fn error(self) -> LoadError {
        match self {
            Self::Content { error, .. } | Self::Elsewhere(error) => error,
        }
    }

    /// Of deliveries of which no rows could be made: no disk was asked.
    pub(crate) fn certain(error: LoadError) -> Self {
        Self::Content { error, is_certain: true }
    }
}

/// Deliveries that are tried together.
struct Group {
    deliveries: Vec<Accepted>,
    is_second_try: bool,
}

impl Group {
    fn new(deliveries: Vec<Accepted>) -> Self {
        Self { deliveries, is_second_try: false }
    }
}

/// Commits what waits, up to [`ROWS_AT_ONCE`]; the rest waits for the next call. `folder`: where the feed's journal lies.
///
/// Where a commit fails for what the deliveries hold, they are tried by halves: those that can be loaded are, in order, and those that
/// cannot be are set aside.
pub(crate) async fn load(
    workspace: &Workspace,
    options: &FeedOptions,
    folder: &Path,
    waiting: &Waiting,
) -> Result<Option<u64>, LoadError> {
    let version = match waiting.is_unsure.load(Ordering::Relaxed) {
        true => catch_up(workspace, options, waiting).await?,
        false => None,
    };
    let mut load = Load { workspace, options, folder, waiting, aside: Vec::new(), kept: 0, version };
    // The next one last.
    let mut groups = vec![Group::new(take(waiting))];
    while let Some(mut group) = groups.pop() {
        let failure = match load.commit(&group.deliveries).await {
            Ok(()) => {
                load.done(group.deliveries);
                continue;
            }
            Err(failure) => failure,
        };
        let count = group.deliveries.len();
        match failure {
            Failure::Content { .. } if count > 1 => {
                let behind = group.deliveries.split_off(count / 2);
                groups.extend([Group::new(behind), Group::new(group.deliveries)]);
            }
            Failure::Content { is_certain: false, .. } if count == 1 && !group.is_second_try => {
                groups.push(Group { is_second_try: true, ..group });
            }
            Failure::Content { error, .. } if count == 1 => {
                let message = error.to_string();
                load.aside.extend(group.deliveries.into_iter().map(|delivery| (delivery, message.clone())));
                if groups.is_empty() {
                    // Nothing comes behind it whose commit would tell that it is done with.
                    groups.push(Group::new(Vec::new()));
                }
            }
            failure => {
                groups.push(group);
                load.put_back(groups);
                // What went before is told of first; the next call meets the failure again.
                return load.version.map_or_else(|| Err(failure.error()), |version| Ok(Some(version)));
            }
        }
    }
    Ok(load.version)
}

/// A commit that failed may have landed all the same, where the log could not be asked: what bronze has is read anew, and taken from the
/// front of the line, before anything follows on it. The table's version if it has more than was known. Where another journal was loaded
/// since, the next commit is refused by its place.
async fn catch_up(workspace: &Workspace, options: &FeedOptions, waiting: &Waiting) -> Result<Option<u64>, LoadError> {
    let loaded = loaded_rows(workspace, options).await?;
    let is_own = match &waiting.journal {
        Some(journal) => loaded_of_journal(workspace, options, journal).await? == loaded,
        None => workspace.lake.local_path().is_some(),
    };
    let mut version = None;
    if is_own && loaded > waiting.loaded.load(Ordering::Relaxed) {
        version = workspace.lake.snapshot(&options.name, None).await?.map(|snapshot| snapshot.version());
        let mut line = waiting.lock();
        let done = line.iter().take_while(|delivery| last_row(delivery) <= loaded).count();
        let bytes: u64 = line.drain(..done).map(|delivery| delivery.bytes).sum();
        waiting.bytes.fetch_sub(bytes, Ordering::Relaxed);
        waiting.loaded.store(loaded, Ordering::Relaxed);
    }
    waiting.is_unsure.store(false, Ordering::Relaxed);
    Ok(version)
}

/// One call of [`load`].
struct Load<'a> {
    workspace: &'a Workspace,
    options: &'a FeedOptions,
    folder: &'a Path,
    waiting: &'a Waiting,
    /// Deliveries that cannot be loaded, and why, behind which nothing was committed yet.
    aside: Vec<(Accepted, String)>,
    /// So many of them are written down.
    kept: usize,
    version: Option<u64>,
}

impl Load<'_> {
    /// Commits deliveries, and with them that those set aside before them are done with.
    async fn commit(&mut self, deliveries: &[Accepted]) -> Result<(), Failure> {
        let Self { workspace, options, .. } = *self;
        let Some(last) = deliveries.last().or(self.aside.last().map(|(delivery, _)| delivery)) else { return Ok(()) };
        let ledger = LedgerEntry::new(ledger_id(&options.label), number(last_row(last)));
        let records: Vec<&Records> = deliveries.iter().map(|delivery| &delivery.records).collect();
        let columns = table_columns(workspace, options).await.map_err(Failure::Elsewhere)?;
        let prepared = prepare(options, &records, columns).map_err(Failure::certain)?;
        self.keep_aside().await.map_err(Failure::Elsewhere)?;
        keep_rejected(workspace, options, &records, &ledger).await.map_err(Failure::Elsewhere)?;
        let columns = prepared.columns.clone();
        // A lake on this machine has one server by its lock. Elsewhere, whoever lost the lake to another server finds that here, before it
        // doubles or skips what that one loaded.
        let loaded = self.waiting.loaded.load(Ordering::Relaxed);
        let place = || (ledger.app_id.clone(), (loaded > 0).then(|| number(loaded)));
        let requires = if workspace.lake.local_path().is_none() { vec![place()] } else { Vec::new() };
        let mut commit = Commit { requires, ..Commit::default() };
        if let Some(journal) = &self.waiting.journal {
            let all = self.aside.iter().map(|(delivery, _)| delivery).chain(deliveries);
            let noted: Vec<String> = all.filter_map(|delivery| Some(delivery.noted?.text())).collect();
            commit.notes = vec![LedgerEntry::new(journal_id(&options.label, journal), ledger.version)];
            commit.metadata.insert(JOURNAL.to_owned(), journal.as_str().into());
            commit.metadata.insert(DELIVERIES.to_owned(), noted.into());
        }
        commit.ledger = vec![ledger];
        match append(workspace, options, prepared, commit).await {
            Ok(version) => {
                self.version = Some(version);
                self.waiting.note_columns(columns);
                Ok(())
            }
            Err(error) => Err(judged(workspace, options, error).await),
        }
    }

    /// Bronze says that these, and all that were set aside before them, are done with.
    fn done(&mut self, deliveries: Vec<Accepted>) {
        let aside = self.aside.len();
        if let (Some((first, _)), Some((last, _))) = (self.aside.first(), self.aside.last()) {
            let (first, last) = (first.first_row, last_row(last));
            let label = &self.options.label;
            self.workspace.events.warn(format!(
                "{label}: {aside} deliveries (rows {first} to {last}) cannot be loaded; they are in system.rejected_rows"
            ));
        }
        let done: Vec<Accepted> = self.aside.drain(..).map(|(delivery, _)| delivery).chain(deliveries).collect();
        self.kept = 0;
        self.waiting.bytes.fetch_sub(done.iter().map(|delivery| delivery.bytes).sum(), Ordering::Relaxed);
        if let Some(last) = done.last() {
            self.waiting.loaded.store(last_row(last), Ordering::Relaxed);
        }
    }

    /// They are in the journal and stay in line: the next load asks which of them bronze has after all, and takes the others first.
    fn put_back(&mut self, mut groups: Vec<Group>) {
        let mut line: Vec<Accepted> = self.aside.drain(..).map(|(delivery, _)| delivery).collect();
        while let Some(group) = groups.pop() {
            line.extend(group.deliveries);
        }
        self.waiting.is_unsure.store(true, Ordering::Relaxed);
        self.waiting.lock().splice(0..0, line);
    }

    /// Writes down what was set aside: each delivery as one rejected record, with its bytes as the journal has them.
    async fn keep_aside(&mut self) -> Result<(), LoadError> {
        let (label, new) = (&self.options.label, &self.aside[self.kept..]);
        let Some((last, _)) = new.last() else { return Ok(()) };
        let ledger = LedgerEntry::new(aside_id(&ledger_id(label)), last.records.first_position);
        let places = new.iter().map(|(delivery, _)| {
            let file = &delivery.records.file;
            let segment = segment_of(label, file).ok_or_else(|| LoadError::Journal {
                table: label.clone(),
                folder: self.folder.display().to_string(),
                reason: format!("{file} is none of its segments"),
            })?;
            Ok::<_, LoadError>((segment.to_owned(), delivery.first_row))
        });
        let places = places.collect::<Result<Vec<(String, u64)>, LoadError>>()?;
        let folder = self.folder.to_owned();
        let read = move || {
            let frames = places.iter().map(|(segment, row)| frame_of(&folder, segment, *row));
            frames.collect::<Result<Vec<_>, _>>()
        };
        let frames = tokio::task::spawn_blocking(read).await?.map_err(|error| LoadError::Journal {
            table: label.clone(),
            folder: self.folder.display().to_string(),
            reason: error.to_string(),
        })?;
        // Of a frame that cannot be read any more the place is known.
        let payloads = frames.into_iter().map(|frame| frame.map(|frame| frame.payload).unwrap_or_default());
        let records: Vec<Records> = new
            .iter()
            .zip(payloads)
            .map(|((delivery, message), bytes)| delivery.records.set_aside(message.clone(), bytes))
            .collect();
        keep_rejected(self.workspace, self.options, &records.iter().collect::<Vec<_>>(), &ledger).await?;
        self.kept = self.aside.len();
        Ok(())
    }
}

impl Records {
    /// One rejected record in the place of these.
    fn set_aside(&self, message: String, bytes: Vec<u8>) -> Self {
        let position = self.first_position;
        Self {
            file: Arc::clone(&self.file),
            received_us: self.received_us,
            origin: self.origin.clone(),
            chunks: Vec::new(),
            message: None,
            positions: None,
            first_position: position,
            rejected: vec![RejectedRecord { position, reason: NOT_LOADABLE.to_owned(), message, bytes }],
        }
    }
}

/// The reason of a record that was read and cannot be loaded into its table.
pub(crate) const NOT_LOADABLE: &str = "not_loadable";

/// Under which name it is kept how far deliveries or records were set aside. Those that were rejected when they were read are kept
/// before they are tried and have a name of their own: neither can pass for the other.
pub(crate) fn aside_id(ledger_id: &str) -> String {
    format!("aside:{ledger_id}")
}

fn last_row(delivery: &Accepted) -> u64 {
    delivery.first_row + u64::from(delivery.rows) - 1
}

fn number(row: u64) -> i64 {
    i64::try_from(row).unwrap_or(i64::MAX)
}

/// Appends rows to a bronze table; the new version. `commit` says what they are made from.
pub(crate) async fn append(
    workspace: &Workspace,
    options: &FeedOptions,
    prepared: Prepared,
    mut commit: Commit,
) -> Result<u64, LoadError> {
    commit.metadata.insert("wardlake.run".to_owned(), workspace.run_id.clone().into());
    commit.properties = reading::created(&options.table, &uuid::Uuid::now_v7().to_string());
    let commit = Commit { schema_change: SchemaChange::AppendNewColumns, is_frequent: true, ..commit };
    let schema = prepared.rows.schema();
    let stream = MemoryStream::try_new(vec![prepared.rows], schema, None)?;
    Ok(workspace.lake.append(&options.name, vec![Box::pin(stream)], commit).await?.version())
}

/// Whose fault a failed [`append`] is. The disk and other writers say so themselves; where it may be the rows, the table is asked: no rows at
/// all have to go in.
pub(crate) async fn judged(workspace: &Workspace, options: &FeedOptions, error: LoadError) -> Failure {
    if !matches!(error.kind(), ErrorKind::Invalid | ErrorKind::Internal) {
        return Failure::Elsewhere(error);
    }
    let nothing = async {
        let columns = table_columns(workspace, options).await?;
        append(workspace, options, prepare(options, &[], columns)?, Commit::default()).await
    };
    match nothing.await {
        Ok(_) => Failure::Content { error, is_certain: false },
        Err(error) => Failure::Elsewhere(error),
    }
}

/// Writes down records that no row could be made of, with reason and bytes, before the commit that counts them as loaded.
/// `ledger` names the last position that is written down with it.
pub(crate) async fn keep_rejected(
    workspace: &Workspace,
    options: &FeedOptions,
    records: &[&Records],
    ledger: &LedgerEntry,
) -> Result<(), LoadError> {
    if records.iter().all(|records| records.rejected.is_empty()) {
        return Ok(());
    }
    let ledger = LedgerEntry::new(format!("rejected:{}", ledger.app_id), ledger.version);
    // A crash may have come between this commit and that of bronze: what was kept then is not kept twice.
    let kept = match workspace.lake.snapshot(&TableName::new(system::SCHEMA, "rejected_rows")?, None).await? {
        Some(snapshot) => snapshot.consumed(&ledger.app_id).await?.unwrap_or(-1),
        None => -1,
    };
    let rejected: Vec<(&Records, &RejectedRecord)> = records
        .iter()
        .flat_map(|records| records.rejected.iter().map(move |record| (*records, record)))
        .filter(|(_, record)| record.position > kept)
        .collect();
    let rows = rejected.iter().map(|(records, record)| {
        let received_at = DateTime::from_timestamp_micros(records.received_us).ok_or_else(|| LoadError::Broken {
            table: options.label.clone(),
            what: format!("row {} was received at no time", record.position),
        })?;
        Ok::<_, LoadError>(RejectedRow {
            file: &records.file,
            position: record.position.unsigned_abs(),
            byte_offset: 0,
            reason: &record.reason,
            message: &record.message,
            bytes: &record.bytes,
            length: record.bytes.len() as u64,
            sha256: "",
            received_at,
        })
    });
    let rows = rows.collect::<Result<Vec<RejectedRow<'_>>, LoadError>>()?;
    let batch = system::rejected_rows(&options.label, &rows)?;
    Ok(system::append(&workspace.lake, "rejected_rows", batch, ledger).await?)
}

#[cfg(test)]
mod tests {
    use tokio::sync::Notify;

    use super::*;
    use crate::intake::{
        Content, Delivery, Feed, Origin,
        testing::{lines, open, table_of_numbers},
    };

    async fn deliver(feed: &Feed, body: &str) {
        let payload = body.as_bytes().to_vec();
        let reading = feed.read(&payload, None).unwrap();
        assert!(reading.rejected.is_empty(), "{body}");
        let content = Content::Records { format: reading.format, chunks: reading.chunks };
        feed.deliver(Delivery { key: Vec::new(), payload, content, origin: Origin::default() }).await.unwrap();
    }

    async fn load_all(feed: &Feed, workspace: &Workspace) {
        while feed.status().waiting_bytes > 0 {
            feed.load(workspace).await.unwrap();
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a02_deliveries_that_cannot_be_loaded_are_set_aside_and_the_others_are_loaded_once() {
        let folder = tempfile::tempdir().unwrap();
        let (workspace, options) = open(folder.path(), &[]).await;
        table_of_numbers(&workspace, &options).await;
        let feed = Feed::open(&workspace, options.clone(), None, Arc::new(Notify::new())).await.unwrap();
        // Two in the middle, two at the end, one of several rows.
        for id in ["1", "\"x\"", "3", "\"y\"", "5", "6}\n{\"id\":7", "\"z\"}\n{\"id\":9", "\"w\""] {
            deliver(&feed, &format!("{{\"id\":{id}}}")).await;
        }
        load_all(&feed, &workspace).await;
        assert_eq!(feed.status().rows_loaded, 10);
        deliver(&feed, "{\"id\":11}").await;
        load_all(&feed, &workspace).await;
        let loaded = async |workspace: &Workspace| {
            let rows = lines(workspace, "select id, _position from bronze.adt order by id").await;
            assert_eq!(rows, ["0", "1 1", "3 3", "5 5", "6 6", "7 7", "11 11"]);
            let kept = "select _position, reason, replace(cast(bytes as varchar), chr(10), '~') as bytes \
                        from system.rejected_rows order by 1";
            let wanted = [
                "2 not_loadable {\"id\":\"x\"}",
                "4 not_loadable {\"id\":\"y\"}",
                "8 not_loadable {\"id\":\"z\"}~{\"id\":9}",
                "10 not_loadable {\"id\":\"w\"}",
            ];
            assert_eq!(lines(workspace, kept).await, wanted);
        };
        loaded(&workspace).await;
        drop(feed);
        let feed = Feed::open(&workspace, options, None, Arc::new(Notify::new())).await.unwrap();
        assert_eq!((feed.status().waiting_bytes, feed.status().rows_accepted), (0, 11));
        assert_eq!(feed.load(&workspace).await.unwrap(), None);
        loaded(&workspace).await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a02_a_commit_that_landed_although_it_failed_is_not_loaded_again() {
        let folder = tempfile::tempdir().unwrap();
        let (workspace, options) = open(folder.path(), &["id"]).await;
        let feed = Feed::open(&workspace, options.clone(), None, Arc::new(Notify::new())).await.unwrap();
        deliver(&feed, "{\"id\":1}").await;
        load_all(&feed, &workspace).await;
        deliver(&feed, "{\"id\":2}").await;
        // A file stands where the log belongs: nothing can be written there, and nothing be read.
        let log = folder.path().join("lake/bronze/adt/_delta_log");
        let aside = folder.path().join("lake/bronze/adt/aside");
        std::fs::rename(&log, &aside).unwrap();
        std::fs::write(&log, "").unwrap();
        feed.load(&workspace).await.unwrap_err();
        std::fs::remove_file(&log).unwrap();
        std::fs::rename(&aside, &log).unwrap();
        // Its entry turns out to be there.
        let records: Vec<Records> = {
            let line = feed.waiting.lock();
            line.iter().map(|delivery| copy_of(&delivery.records)).collect()
        };
        let columns = table_columns(&workspace, &options).await.unwrap();
        let prepared = prepare(&options, &records.iter().collect::<Vec<_>>(), columns).unwrap();
        let commit = Commit::consuming(vec![LedgerEntry::new(ledger_id(&options.label), 2)]);
        append(&workspace, &options, prepared, commit).await.unwrap();
        // What came meanwhile would have been committed with it.
        deliver(&feed, "{\"id\":3}").await;
        load_all(&feed, &workspace).await;
        let rows = lines(&workspace, "select id, _position from bronze.adt order by _position").await;
        assert_eq!(rows, ["1 1", "2 2", "3 3"]);
        assert_eq!((feed.status().rows_loaded, feed.status().waiting_bytes), (3, 0));
    }

    /// Records without what was set aside of them.
    fn copy_of(records: &Records) -> Records {
        Records {
            file: Arc::clone(&records.file),
            received_us: records.received_us,
            origin: records.origin.clone(),
            chunks: records.chunks.clone(),
            message: None,
            positions: records.positions.clone(),
            first_position: records.first_position,
            rejected: Vec::new(),
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a02_what_differs_in_case_is_one_column_of_a_feed() {
        let folder = tempfile::tempdir().unwrap();
        let (workspace, options) = open(folder.path(), &["id", "ward"]).await;
        let feed = Feed::open(&workspace, options.clone(), None, Arc::new(Notify::new())).await.unwrap();
        for body in ["{\"ID\":1}", "{\"_FILE\":2}", "{\"_file_2\":3}", "{\"New\":4}", "{\"id\":5,\"NEW\":6,\"new\":7}"]
        {
            deliver(&feed, body).await;
        }
        load_all(&feed, &workspace).await;
        let sql = "select _position, \"id\", \"_FILE_2\", \"New\", \"new_2\" from bronze.adt order by _position";
        assert_eq!(lines(&workspace, sql).await, ["1 1", "2 2", "3 3", "4 4", "5 5 6 7"]);
        // A row's hash is that of the names that its table has.
        deliver(&feed, "{\"id\":5,\"New\":6,\"new_2\":7}").await;
        load_all(&feed, &workspace).await;
        let hashes = lines(&workspace, "select count(distinct _row_hash) from bronze.adt where _position >= 5").await;
        assert_eq!(hashes, ["1"]);
        let keys: Vec<String> = (0..600).map(|i| format!("\"key{i}\":1")).collect();
        let reading = feed.read(format!("{{{}}}", keys.join(",")).as_bytes(), None).unwrap();
        assert_eq!((reading.rows(), reading.rejected.len()), (0, 1));
    }
}
