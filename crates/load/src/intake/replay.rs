//! Deliveries that were set aside: which there are, and how they go through again.
//!
//! What could not be loaded, or not even be read, lies in `system.rejected_rows` with its bytes. Sent through again it is read by the settings
//! of now and loaded into its own place: the rows have the file, the number and the time that they would have had. That commit's ledger
//! names the delivery, so that it is in bronze once, however often and by whom it is sent through. `system.replays` says what came of it.

use std::collections::{BTreeMap, BTreeSet};

use arrow::{
    array::{Array, ArrayRef, AsArray, RecordBatch},
    compute::cast,
    datatypes::{DataType, Int64Type, TimeUnit, TimestampMicrosecondType},
};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use wardlake_access::{SystemReason, Viewer};
use wardlake_connect::{ConnectError, Reading, source::FileFormat};
use wardlake_core::{LedgerEntry, TableName, columns::ColumnList, lineage};
use wardlake_engine::{ReadState, Session, sql::literal};
use wardlake_records::{
    RunEvent,
    system::{self, Columns},
};
use wardlake_storage::{Commit, Lake};

use super::{
    FOLDER, FeedOptions, Frame, Records, file_of, format_of, frame_of,
    load::{Failure, NOT_LOADABLE, append, judged, table_columns},
    rows::prepare,
    segment_of,
};
use crate::{
    Workspace,
    error::LoadError,
    ingest::{SourceTable, source_tables},
};

/// What came of deliveries that were sent through again.
const REPLAYS: &str = "replays";
/// Deliveries, and their bytes, that are tried in one commit.
const AT_ONCE: usize = 500;
const BYTES_AT_ONCE: u64 = 64 << 20;

/// Which deliveries are sent through again.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct ReplayOptions {
    /// Those of one feed, `<source>.<table>`.
    pub feed: Option<String>,
    /// Their numbers, as [`set_aside_sql`] names them; all without any.
    pub numbers: Vec<String>,
}

/// What came of it.
#[derive(Clone, Debug, Default)]
pub struct Replayed {
    /// Bronze tables that have more rows now, and since which version.
    pub moved: BTreeMap<TableName, u64>,
    /// Nothing was set aside again.
    pub is_success: bool,
}

/// A delivery that is set aside.
#[derive(Clone, Debug)]
pub struct Aside {
    /// `<source>.<table>`.
    pub feed: String,
    /// Its number in the feed; of a record of a topic `<topic>/<partition>:<offset>`.
    pub number: String,
    /// Of bronze: the journal segment, or `<topic>/<partition>`.
    file: String,
    position: i64,
    received_us: i64,
    length: u64,
    reason: String,
    message: String,
}

impl Aside {
    /// What is known of it, for people: names and values.
    pub fn facts(&self) -> [(&'static str, String); 7] {
        let received_at = DateTime::from_timestamp_micros(self.received_us).map(|at| at.to_rfc3339());
        [
            ("feed", self.feed.clone()),
            ("number", self.number.clone()),
            ("received_at", received_at.unwrap_or_else(|| self.received_us.to_string())),
            ("reason", self.reason.clone()),
            ("message", self.message.clone()),
            ("file", self.file.clone()),
            ("bytes", self.length.to_string()),
        ]
    }
}

/// The query for what is set aside, oldest first: `feed`, `number`, `received_at`, `reason`, `message`, `bytes` (how many), `tried_at`.
pub async fn set_aside_sql(lake: &Lake) -> Result<String, LoadError> {
    let shown = "feed, number, received_at, reason, message, bytes, tried_at";
    Ok(format!("select {shown} from ({}) as set_aside order by received_at, feed, position", inner_sql(lake).await?))
}

/// With what names a delivery in bronze: `file` and `position`.
async fn inner_sql(lake: &Lake) -> Result<String, LoadError> {
    let rejected = match has(lake, "rejected_rows").await? {
        // Records of files stand in files, which have a hash.
        true => "select * from system.rejected_rows where sha256 = ''",
        false => {
            "select '' as _source, '' as _file, 0 as _position, '' as reason, '' as message, 0 as length, \
             cast(null as timestamp) as _received_at where false"
        }
    };
    let tried = match has(lake, REPLAYS).await? {
        true => {
            "select *, row_number() over (partition by _source, _file, _position order by tried_at desc) as nth \
             from system.replays"
        }
        false => {
            "select '' as _source, '' as _file, 0 as _position, '' as reason, '' as message, false as is_loaded, \
             cast(null as timestamp) as tried_at, 1 as nth where false"
        }
    };
    Ok(format!(
        "select r._source as feed, r._file as file, r._position as position, r._received_at as received_at, \
         case when starts_with(r._file, '{FOLDER}/') then cast(r._position as varchar) \
              else r._file || ':' || cast(r._position as varchar) end as number, \
         coalesce(t.reason, r.reason) as reason, coalesce(t.message, r.message) as message, r.length as bytes, \
         t.tried_at as tried_at \
         from ({rejected}) as r \
         left join (select * from ({tried}) as tries where nth = 1) as t \
           on t._source = r._source and t._file = r._file and t._position = r._position \
         where t.is_loaded is null or not t.is_loaded"
    ))
}

async fn has(lake: &Lake, name: &str) -> Result<bool, LoadError> {
    Ok(lake.exists(&TableName::new(system::SCHEMA, name)?).await?)
}

/// The deliveries that are set aside and meant by `options`. An error for a number that there is not, or that several feeds have.
pub async fn set_aside(workspace: &Workspace, options: &ReplayOptions) -> Result<Vec<Aside>, LoadError> {
    let session = workspace.engine.session(Viewer::System(SystemReason::Load), ReadState::Working).await?;
    let sql = inner_sql(&workspace.lake).await?;
    let wanted = "feed, number, file, position, received_at, bytes, reason, message";
    let sql = format!("select {wanted} from ({sql}) as set_aside order by received_at, feed, position");
    let mut found = Vec::new();
    for batch in session.collect(&sql).await? {
        let text = |name: &str| column(&batch, name, &DataType::Utf8);
        let count = |name: &str| column(&batch, name, &DataType::Int64);
        let (feeds, numbers, files) = (text("feed")?, text("number")?, text("file")?);
        let (reasons, messages) = (text("reason")?, text("message")?);
        let (positions, lengths) = (count("position")?, count("bytes")?);
        let instants = column(&batch, "received_at", &DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())))?;
        for row in 0..batch.num_rows() {
            found.push(Aside {
                feed: feeds.as_string::<i32>().value(row).to_owned(),
                number: numbers.as_string::<i32>().value(row).to_owned(),
                file: files.as_string::<i32>().value(row).to_owned(),
                position: positions.as_primitive::<Int64Type>().value(row),
                received_us: instants.as_primitive::<TimestampMicrosecondType>().value(row),
                length: lengths.as_primitive::<Int64Type>().value(row).unsigned_abs(),
                reason: reasons.as_string::<i32>().value(row).to_owned(),
                message: messages.as_string::<i32>().value(row).to_owned(),
            });
        }
    }
    chosen(found, options)
}

fn column(batch: &RecordBatch, name: &str, data_type: &DataType) -> Result<ArrayRef, LoadError> {
    let column = batch.column_by_name(name).ok_or_else(|| {
        LoadError::from(arrow::error::ArrowError::SchemaError(format!("system.rejected_rows has no {name}")))
    })?;
    Ok(cast(column, data_type)?)
}

fn chosen(mut found: Vec<Aside>, options: &ReplayOptions) -> Result<Vec<Aside>, LoadError> {
    if let Some(feed) = &options.feed {
        found.retain(|aside| aside.feed == *feed);
    }
    if options.numbers.is_empty() {
        return Ok(found);
    }
    for number in &options.numbers {
        let feeds: BTreeSet<&str> =
            found.iter().filter(|aside| aside.number == *number).map(|aside| aside.feed.as_str()).collect();
        let number = number.clone();
        return Err(match feeds.len() {
            1 => continue,
            0 => LoadError::NotSetAside { number, feed: options.feed.clone() },
            _ => LoadError::SetAsideTwice { number, feeds: feeds.into_iter().map(str::to_owned).collect() },
        });
    }
    found.retain(|aside| options.numbers.contains(&aside.number));
    Ok(found)
}

/// The bytes of deliveries, in their order, as they were received.
pub async fn payloads(workspace: &Workspace, deliveries: &[Aside]) -> Result<Vec<Vec<u8>>, LoadError> {
    let session = workspace.engine.session(Viewer::System(SystemReason::Load), ReadState::Working).await?;
    let mut payloads = Vec::with_capacity(deliveries.len());
    for delivery in deliveries {
        payloads.push(payload(&session, delivery).await?);
    }
    Ok(payloads)
}

async fn payload(session: &Session, delivery: &Aside) -> Result<Vec<u8>, LoadError> {
    let sql = format!(
        "select bytes from system.rejected_rows where _source = {} and _file = {} and _position = {} and sha256 = '' limit 1",
        literal(&delivery.feed),
        literal(&delivery.file),
        delivery.position
    );
    for batch in session.collect(&sql).await? {
        if batch.num_rows() > 0 {
            let bytes = column(&batch, "bytes", &DataType::Binary)?;
            return Ok(if bytes.is_null(0) { Vec::new() } else { bytes.as_binary::<i32>().value(0).to_vec() });
        }
    }
    Ok(Vec::new())
}

/// Sends deliveries through again, and tells what came of them. One at a time: who calls it owns the lake. Their rows are in bronze, and not
/// published yet.
pub async fn replay(workspace: &Workspace, options: &ReplayOptions) -> Result<Replayed, LoadError> {
    let mut by_feed: BTreeMap<String, Vec<Aside>> = BTreeMap::new();
    for aside in set_aside(workspace, options).await? {
        by_feed.entry(aside.feed.clone()).or_default().push(aside);
    }
    let mut replayed = Replayed { is_success: true, ..Replayed::default() };
    if by_feed.is_empty() {
        say(workspace, "info", "nothing is set aside".to_owned());
        return Ok(replayed);
    }
    let mut tables = source_tables(workspace, workspace.project.dir())?;
    for (feed, deliveries) in by_feed {
        let Some(table) = tables.iter_mut().find(|table| table.label == feed) else {
            let text = "the project has no such source table any more; nothing of it was sent through";
            say(workspace, "warn", format!("{feed}: {text}"));
            replayed.is_success = false;
            continue;
        };
        table.create(workspace).await?;
        let mut feed = Replay::new(workspace, table);
        let tried = feed.all(deliveries).await;
        // What went through before something failed is to be shown all the same.
        if let Err(error) = &tried {
            say(workspace, "warn", format!("{}: the others stay set aside: {error}", table.label));
        }
        let noted = feed.finish().await;
        if let Err(error) = &noted {
            let text = "what came of it is not in system.replays, and the next replay finds it out";
            say(workspace, "warn", format!("{}: {text}: {error}", table.label));
        }
        replayed.moved.extend(feed.version.map(|version| (table.name.clone(), version)));
        replayed.is_success &= feed.aside == 0 && tried.is_ok() && noted.is_ok();
    }
    Ok(replayed)
}

fn say(workspace: &Workspace, level: &str, text: String) {
    workspace.events.tell(RunEvent::Message { level: level.to_owned(), text });
}

/// What came of one delivery.
struct Tried {
    delivery: Aside,
    /// Why it is set aside again: a stable code, and a sentence.
    refused: Option<(String, String)>,
}

/// A delivery, read.
struct Ready {
    delivery: Aside,
    records: Records,
}

/// The deliveries of one feed on their way.
struct Replay<'a> {
    workspace: &'a Workspace,
    options: FeedOptions,
    tried: Vec<Tried>,
    loaded: usize,
    aside: usize,
    version: Option<u64>,
}

impl<'a> Replay<'a> {
    fn new(workspace: &'a Workspace, table: &SourceTable) -> Self {
        let options = FeedOptions {
            label: table.label.clone(),
            name: table.name.clone(),
            table: table.table.clone(),
            columns: table.columns.clone(),
            max_waiting_bytes: 0,
            key_window: std::time::Duration::ZERO,
        };
        Self { workspace, options, tried: Vec::new(), loaded: 0, aside: 0, version: None }
    }

    async fn all(&mut self, deliveries: Vec<Aside>) -> Result<(), LoadError> {
        let mut rest = deliveries.into_iter().peekable();
        while rest.peek().is_some() {
            let (mut part, mut bytes) = (Vec::new(), 0);
            while let Some(next) = rest.next_if(|next| part.is_empty() || bytes + next.length <= BYTES_AT_ONCE) {
                bytes += next.length;
                part.push(next);
                if part.len() == AT_ONCE {
                    break;
                }
            }
            self.some(part).await?;
        }
        Ok(())
    }

    /// Reads some deliveries and commits those that can be read, by halves where the commit fails for what they hold.
    async fn some(&mut self, deliveries: Vec<Aside>) -> Result<(), LoadError> {
        let payloads = payloads(self.workspace, &deliveries).await?;
        let columns = table_columns(self.workspace, &self.options).await?;
        let session = self.workspace.engine.session(Viewer::System(SystemReason::Load), ReadState::Working).await?;
        let mut ready = Vec::new();
        for (delivery, payload) in deliveries.into_iter().zip(payloads) {
            if self.is_loaded(&session, &delivery).await? {
                self.note(delivery, None);
                continue;
            }
            let frame = self.frame(&delivery).await?;
            match records(&self.options, &columns, &delivery, &payload, frame.as_ref()) {
                Ok(records) => ready.push(Ready { delivery, records }),
                Err(refused) => self.note(delivery, Some(refused)),
            }
        }
        // The next one last.
        let mut groups = vec![ready];
        while let Some(mut group) = groups.pop() {
            match self.commit(&group).await {
                Ok(()) => group.into_iter().for_each(|ready| self.note(ready.delivery, None)),
                Err(Failure::Content { .. }) if group.len() > 1 => {
                    let behind = group.split_off(group.len() / 2);
                    groups.extend([behind, group]);
                }
                Err(Failure::Content { error, .. }) => {
                    let refused = (NOT_LOADABLE.to_owned(), error.to_string());
                    group.into_iter().for_each(|ready| self.note(ready.delivery, Some(refused.clone())));
                }
                Err(Failure::Elsewhere(error)) => return Err(error),
            }
        }
        Ok(())
    }

    /// Whether bronze has it: from an earlier try that did not come to its end, or because the table was loaded anew from the journal.
    async fn is_loaded(&self, session: &Session, delivery: &Aside) -> Result<bool, LoadError> {
        let Some(snapshot) = self.workspace.lake.snapshot(&self.options.name, None).await? else { return Ok(false) };
        if snapshot.consumed(&ledger_of(delivery).app_id).await?.is_some() {
            return Ok(true);
        }
        let sql = format!(
            "select 1 as one from {} where {} = {} and {} = {} limit 1",
            self.options.name.quoted(),
            lineage::FILE,
            literal(&delivery.file),
            lineage::POSITION,
            delivery.position
        );
        Ok(session.collect(&sql).await?.iter().any(|batch| batch.num_rows() > 0))
    }

    /// How the journal has it, if it came by one that lies within the lake.
    async fn frame(&self, delivery: &Aside) -> Result<Option<Frame>, LoadError> {
        let (Some(lake), Some(segment)) =
            (self.workspace.lake.local_path(), segment_of(&self.options.label, &delivery.file))
        else {
            return Ok(None);
        };
        let (folder, segment) = (lake.join(FOLDER).join(&self.options.label), segment.to_owned());
        let row = delivery.position.unsigned_abs();
        // What cannot be read of the journal is told of by the server; the bytes are in system.rejected_rows.
        Ok(tokio::task::spawn_blocking(move || frame_of(&folder, &segment, row)).await?.ok().flatten())
    }

    async fn commit(&mut self, group: &[Ready]) -> Result<(), Failure> {
        if group.is_empty() {
            return Ok(());
        }
        let columns = table_columns(self.workspace, &self.options).await.map_err(Failure::Elsewhere)?;
        let records: Vec<&Records> = group.iter().map(|ready| &ready.records).collect();
        let prepared = prepare(&self.options, &records, columns).map_err(Failure::certain)?;
        // A ledger that has one of them by now refuses the commit.
        let ledger = group.iter().map(|ready| ledger_of(&ready.delivery)).collect();
        match append(self.workspace, &self.options, prepared, Commit { ledger, ..Commit::default() }).await {
            Ok(version) => {
                self.version = Some(version);
                Ok(())
            }
            Err(error) => Err(judged(self.workspace, &self.options, error).await),
        }
    }

    fn note(&mut self, delivery: Aside, refused: Option<(String, String)>) {
        match &refused {
            None => self.loaded += 1,
            Some(_) => self.aside += 1,
        }
        self.tried.push(Tried { delivery, refused });
    }

    /// Says what came of them, and writes it down.
    async fn finish(&mut self) -> Result<(), LoadError> {
        let label = &self.options.label;
        for Tried { delivery, refused } in &self.tried {
            if let Some((reason, _)) = refused {
                let number = &delivery.number;
                let text = format!("delivery {number} is set aside again ({reason}); `wardlake feed list` says why");
                say(self.workspace, "warn", format!("{label}: {text}"));
            }
        }
        if self.loaded > 0 {
            say(self.workspace, "info", format!("{label}: {} of {} went through", self.loaded, self.tried.len()));
        }
        let tried = std::mem::take(&mut self.tried);
        let now = Utc::now();
        let refused = |of: fn(&(String, String)) -> &String| {
            tried.iter().map(move |tried| tried.refused.as_ref().map(|refused| of(refused).as_str()))
        };
        let batch = Columns::default()
            .text(lineage::SOURCE, tried.iter().map(|_| Some(label.as_str())))
            .text(lineage::FILE, tried.iter().map(|tried| Some(tried.delivery.file.as_str())))
            .count(lineage::POSITION, tried.iter().map(|tried| Some(tried.delivery.position.unsigned_abs())))?
            .flag("is_loaded", tried.iter().map(|tried| tried.refused.is_none()))
            .text("reason", refused(|(reason, _)| reason))
            .text("message", refused(|(_, message)| message))
            .text("run_id", tried.iter().map(|_| Some(self.workspace.run_id.as_str())))
            .instant("tried_at", tried.iter().map(|_| now))
            .batch()?;
        let ledger = LedgerEntry::new(format!("replays:{}", uuid::Uuid::now_v7()), 0);
        Ok(system::append(&self.workspace.lake, REPLAYS, batch, ledger).await?)
    }
}

/// Under which name bronze keeps that a delivery which was set aside is loaded.
fn ledger_of(delivery: &Aside) -> LedgerEntry {
    LedgerEntry::new(format!("replay:{}:{}:{}", delivery.feed, delivery.file, delivery.position), 0)
}

/// The records of a delivery by the settings of now, or why there are none.
fn records(
    options: &FeedOptions,
    columns: &ColumnList,
    delivery: &Aside,
    payload: &[u8],
    frame: Option<&Frame>,
) -> Result<Records, (String, String)> {
    let refused = |code: &str, message: &str| Err((code.to_owned(), message.to_owned()));
    if payload.is_empty() {
        return refused("nothing_kept", "nothing of it is kept; its sender has to send it again");
    }
    let known = frame.map(|frame| frame.kind.as_str()).filter(|kind| !kind.starts_with("rejected:"));
    let format = match (known, options.table.format.file_format) {
        (Some(kind), _) => format_of(kind),
        (None, FileFormat::Auto | FileFormat::Json | FileFormat::Ndjson) => {
            Some(if wardlake_connect::is_lines_of_objects(payload) { FileFormat::Ndjson } else { FileFormat::Json })
        }
        (None, _) => None,
    };
    let reading = match Reading::of(payload, "the delivery", &options.table, Some(columns.names()), format) {
        Ok(reading) => reading,
        Err(ConnectError::RecordTooLarge { .. }) => return refused("record_too_large", "a record of it is too large"),
        Err(error) => return refused("unreadable", &error.to_string()),
    };
    if let Some(first) = reading.rejected.first() {
        return refused(first.reason.code(), first.reason.message());
    }
    let rows = reading.rows();
    if rows == 0 {
        return refused("no_record", "it holds no record");
    }
    let is_of_topic = segment_of(&options.label, &delivery.file).is_none();
    if let Some(numbers) = frame.map(|frame| frame.rows).filter(|numbers| (*numbers as usize) < rows) {
        let text = format!("it holds {rows} records by the settings of now, and {numbers} when it was accepted");
        return refused("more_records", &text);
    }
    let file = match segment_of(&options.label, &delivery.file) {
        Some(segment) => file_of(&options.label, segment),
        None => delivery.file.as_str().into(),
    };
    Ok(Records {
        file,
        received_us: delivery.received_us,
        origin: frame.map(|frame| frame.origin.clone()).unwrap_or_default(),
        chunks: reading.chunks,
        message: None,
        // Of a record of a topic all rows stand at its offset.
        positions: is_of_topic.then(|| vec![delivery.position; rows]),
        first_position: delivery.position,
        rejected: Vec::new(),
    })
}

#[cfg(test)]
mod tests {
    use std::{path::Path, sync::Arc};

    use arrow::array::{Int64Array, StringArray};
    use datafusion::physical_plan::memory::MemoryStream;
    use tokio::sync::Notify;

    use super::*;
    use crate::intake::{
        Content, Delivery, Feed, Origin,
        testing::{lines, open, table_of_numbers},
    };

    const SOURCE: &str = "version: 2\nsources:\n  - name: feed\n    schema: bronze\n    tables:\n      - name: adt\n        \
                          config: {meta: {wardlake: {http: true, format: {type: ndjson}}}}\n";

    async fn deliver(feed: &Feed, body: &str) {
        let payload = body.as_bytes().to_vec();
        let reading = feed.read(&payload, None).unwrap();
        let content = Content::Records { format: reading.format, chunks: reading.chunks };
        feed.deliver(Delivery { key: Vec::new(), payload, content, origin: Origin::default() }).await.unwrap();
    }

    /// A workspace whose project has the feed's source.
    async fn workspace(folder: &Path) -> (Workspace, FeedOptions) {
        std::fs::create_dir_all(folder.join("models")).unwrap();
        std::fs::write(folder.join("models/feed.yml"), SOURCE).unwrap();
        open(folder, &[]).await
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a02_what_a_table_did_not_take_goes_through_once_when_it_does() {
        let folder = tempfile::tempdir().unwrap();
        let (workspace, options) = workspace(folder.path()).await;
        table_of_numbers(&workspace, &options).await;
        let feed = Feed::open(&workspace, options.clone(), None, Arc::new(Notify::new())).await.unwrap();
        for id in ["1", "\"x\"}\n{\"id\":\"y\"", "4"] {
            deliver(&feed, &format!("{{\"id\":{id}}}")).await;
        }
        while feed.status().waiting_bytes > 0 {
            feed.load(&workspace).await.unwrap();
        }
        let all = ReplayOptions::default();
        assert_eq!(set_aside(&workspace, &all).await.unwrap()[0].number, "2");
        let again = replay(&workspace, &all).await.unwrap();
        assert!(!again.is_success && again.moved.is_empty(), "{again:?}");
        let kept = set_aside(&workspace, &all).await.unwrap();
        assert_eq!(payloads(&workspace, &kept).await.unwrap(), [b"{\"id\":\"x\"}\n{\"id\":\"y\"}"]);
        drop(feed);
        // A table of texts in the place of the other, which has what that had.
        workspace.lake.drop_table(&options.name).await.unwrap();
        let ids = Arc::new(StringArray::from(vec!["1", "4"])) as ArrayRef;
        let (files, positions) = (StringArray::new_null(2), Int64Array::new_null(2));
        let lineage =
            [("_file", Arc::new(files) as ArrayRef, true), ("_position", Arc::new(positions) as ArrayRef, true)];
        let columns = std::iter::once(("id", ids, true)).chain(lineage);
        let ids = RecordBatch::try_from_iter_with_nullable(columns).unwrap();
        let stream = MemoryStream::try_new(vec![ids.clone()], ids.schema(), None).unwrap();
        let commit = Commit::consuming(vec![LedgerEntry::new("intake:feed.adt", 4)]);
        workspace.lake.append(&options.name, vec![Box::pin(stream)], commit).await.unwrap();
        let done = replay(&workspace, &all).await.unwrap();
        assert!(done.is_success && done.moved.contains_key(&options.name), "{done:?}");
        let rows = "select id, _position from bronze.adt where _position is not null order by 2";
        assert_eq!(lines(&workspace, rows).await, ["x 2", "y 3"]);
        assert!(set_aside(&workspace, &all).await.unwrap().is_empty());
        // As after a crash before it was written down.
        workspace.lake.drop_table(&TableName::new(system::SCHEMA, REPLAYS).unwrap()).await.unwrap();
        assert_eq!(set_aside(&workspace, &all).await.unwrap().len(), 1);
        assert!(replay(&workspace, &all).await.unwrap().is_success);
        assert_eq!(lines(&workspace, rows).await, ["x 2", "y 3"]);
    }
}
