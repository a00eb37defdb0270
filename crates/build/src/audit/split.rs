//! The rows of a wrapped query on their way to the table: what breaks a rule is withheld, of the rows of a key one
//! survives, and of those what a filter names is left out; everything is counted. The end of the last stream is the gate: if it fails, the writer
//! gets an error instead of an end and commits nothing. If it holds, and the rows would not come again, they are put aside (`aside.rs`) before
//! the writer gets the end: whatever it commits, what was withheld is on disk by then.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    task::{Context, Poll, ready},
};

use arrow::{
    array::{Array, AsArray, BooleanArray, RecordBatch},
    compute::{BatchCoalescer, and, and_not, cast, filter_record_batch, not, or},
    datatypes::{Schema, SchemaRef, UInt64Type},
    error::ArrowError,
};
use datafusion::{
    error::DataFusionError,
    execution::{RecordBatchStream, SendableRecordBatchStream},
};
use futures::{Stream, StreamExt, future::BoxFuture};
use wardlake_project::audit::{Action, Audit, Check};

use super::{
    ModelRun,
    aside::Attempt,
    plan::{self, Layout},
    withheld,
};
use crate::error::BuildError;

/// What became of the rows, shared by the streams of one model.
pub(super) struct Ledger {
    audit: Audit,
    layout: Layout,
    stored: SchemaRef,
    /// Rows of the input, where it is declared.
    expected: Option<u64>,
    open_streams: AtomicUsize,
    counts: Counts,
    /// Columns of the wrapped query that withheld and listed rows keep, and the place of everything among them.
    kept_columns: Vec<usize>,
    kept: Layout,
    /// Rows that break a rule for which they are quarantined.
    withheld: Kept,
    /// The same as rows of the quarantine, once they were asked for.
    quarantined: Mutex<Option<Vec<RecordBatch>>>,
    /// Rows that stay and are listed: warned of, repaired, or one of several of a key.
    listed: Kept,
    gate: Mutex<Option<String>>,
    /// Where rows are put aside before they are committed, if they are.
    aside: Option<Arc<Attempt>>,
}

/// Rows by what became of them.
#[derive(Default)]
struct Counts {
    seen: AtomicU64,
    stored: AtomicU64,
    withheld: AtomicU64,
    duplicates: AtomicU64,
    filtered: AtomicU64,
    rules: Vec<(AtomicU64, AtomicU64)>,
    repairs: Vec<AtomicU64>,
}

/// The counts of a finished model.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Totals {
    pub(super) rows_in: u64,
    pub(super) rows_out: u64,
    pub(super) withheld: u64,
    pub(super) duplicates: u64,
    pub(super) filtered: u64,
    /// Per rule: rows checked, rows broken.
    pub(super) rules: Vec<(u64, u64)>,
    pub(super) repairs: Vec<u64>,
}

impl Totals {
    /// Nothing was read.
    pub(super) fn none(audit: &Audit) -> Self {
        Self { rules: vec![(0, 0); audit.rules.len()], repairs: vec![0; audit.repairs.len()], ..Self::default() }
    }

    /// in = out + quarantined + duplicates + filtered.
    pub(super) fn is_balanced(&self) -> bool {
        self.rows_in == self.rows_out + self.withheld + self.duplicates + self.filtered
    }
}

impl Ledger {
    pub(super) fn new(
        audit: &Audit,
        layout: Layout,
        wrapped: &SchemaRef,
        expected: Option<u64>,
        streams: usize,
        aside: Option<Arc<Attempt>>,
    ) -> Result<Arc<Self>, BuildError> {
        let fields: Vec<_> = layout.visible.iter().map(|index| Arc::clone(&wrapped.fields()[*index])).collect();
        let counts = Counts {
            rules: audit.rules.iter().map(|_| Default::default()).collect(),
            repairs: audit.repairs.iter().map(|_| AtomicU64::default()).collect(),
            ..Counts::default()
        };
        let kept_columns = plan::written_columns(audit, &layout, wrapped);
        let kept_schema: SchemaRef = Arc::new(wrapped.project(&kept_columns)?);
        Ok(Arc::new(Self {
            audit: audit.clone(),
            layout,
            stored: Arc::new(Schema::new(fields)),
            expected,
            open_streams: AtomicUsize::new(streams),
            counts,
            kept_columns,
            kept: plan::layout(audit, &kept_schema)?,
            withheld: Kept::new(&kept_schema),
            quarantined: Mutex::default(),
            listed: Kept::new(&kept_schema),
            gate: Mutex::default(),
            aside,
        }))
    }

    /// A stream of the rows that are stored.
    pub(super) fn split(self: &Arc<Self>, rows: SendableRecordBatchStream) -> SendableRecordBatchStream {
        Box::pin(Split { rows, ledger: Arc::clone(self), stage: Stage::Reading })
    }

    pub(super) fn audit(&self) -> &Audit {
        &self.audit
    }

    /// The place of everything in withheld and listed rows.
    pub(super) fn kept(&self) -> &Layout {
        &self.kept
    }

    /// What was withheld, as rows of the quarantine. Asked when all streams have ended.
    pub(super) fn quarantined(&self, run: &ModelRun) -> Result<Vec<RecordBatch>, BuildError> {
        let mut quarantined = self.quarantined.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(rows) = quarantined.as_ref() {
            return Ok(rows.clone());
        }
        let rows = withheld::rows(self, &self.withheld.rows()?, run)?;
        *quarantined = Some(rows.clone());
        Ok(rows)
    }

    /// What stays and is listed. Asked when all streams have ended.
    pub(super) fn listed(&self) -> Result<Vec<RecordBatch>, BuildError> {
        self.listed.rows()
    }

    /// Why the gate failed, if it did.
    pub(super) fn gate_failure(&self) -> Option<String> {
        self.gate.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn totals(&self) -> Totals {
        let read = |count: &AtomicU64| count.load(Ordering::Acquire);
        let counts = &self.counts;
        Totals {
            rows_in: self.expected.unwrap_or_else(|| read(&counts.seen)),
            rows_out: read(&counts.stored),
            withheld: read(&counts.withheld),
            duplicates: read(&counts.duplicates),
            filtered: read(&counts.filtered),
            rules: counts.rules.iter().map(|(checked, broken)| (read(checked), read(broken))).collect(),
            repairs: counts.repairs.iter().map(read).collect(),
        }
    }

    /// Decides about one batch and returns the rows that are stored.
    fn decide(&self, batch: &RecordBatch) -> Result<RecordBatch, DataFusionError> {
        let layout = &self.layout;
        let add = |count: &AtomicU64, rows: usize| {
            count.fetch_add(rows as u64, Ordering::AcqRel);
        };
        let flag = |index: usize| batch.column(index).as_boolean();
        add(&self.counts.seen, batch.num_rows());
        let mut withheld: Option<BooleanArray> = None;
        let mut listed: Option<BooleanArray> = None;
        for ((rule, column), (checked, broken)) in self.audit.rules.iter().zip(&layout.rules).zip(&self.counts.rules) {
            let flags = flag(*column);
            add(checked, rows_checked(&rule.check, batch, flags.true_count()));
            if flags.true_count() == 0 {
                continue;
            }
            add(broken, flags.true_count());
            match rule.action {
                Action::Quarantine => join(&mut withheld, flags)?,
                Action::Warn | Action::Fail => join(&mut listed, flags)?,
            }
        }
        let mut remaining = match &withheld {
            Some(withheld) => {
                add(&self.counts.withheld, withheld.true_count());
                self.withheld.add(batch.project(&self.kept_columns)?, withheld)?;
                // Withheld rows name their warnings themselves.
                listed = listed.map(|listed| and_not(&listed, withheld)).transpose()?;
                Some(not(withheld)?)
            }
            None => None,
        };
        if let Some(columns) = &layout.duplicates {
            let places = batch.column(columns.place).as_primitive::<UInt64Type>();
            let further: BooleanArray = places.values().iter().map(|place| Some(*place > 1)).collect();
            if further.true_count() > 0 {
                let further = narrowed(&remaining, &further)?;
                let duplicates = and(&further, flag(columns.same_version))?;
                add(&self.counts.duplicates, duplicates.true_count());
                // Another state of the row took its place: left out on purpose.
                add(&self.counts.filtered, further.true_count() - duplicates.true_count());
                join(&mut listed, &duplicates)?;
                remaining = Some(without(&remaining, &further)?);
            }
        }
        for column in &layout.filters {
            let flags = flag(*column);
            if flags.true_count() > 0 {
                let left_out = narrowed(&remaining, flags)?;
                add(&self.counts.filtered, left_out.true_count());
                remaining = Some(without(&remaining, flags)?);
            }
        }
        for (columns, count) in layout.repairs.iter().zip(&self.counts.repairs) {
            let flags = narrowed(&remaining, flag(columns.flag))?;
            if flags.true_count() > 0 {
                add(count, flags.true_count());
                join(&mut listed, &flags)?;
            }
        }
        if let Some(listed) = listed {
            self.listed.add(batch.project(&self.kept_columns)?, &listed)?;
        }
        let stored = batch.project(&layout.visible)?;
        let stored = match remaining {
            Some(remaining) => filter_record_batch(&stored, &remaining)?,
            None => stored,
        };
        add(&self.counts.stored, stored.num_rows());
        Ok(stored)
    }

    /// The gate, once all streams have ended: too many broken rows, or rows that are unaccounted for.
    fn close(&self) -> Result<(), DataFusionError> {
        let totals = self.totals();
        let mut reasons = Vec::new();
        for (rule, (checked, broken)) in self.audit.rules.iter().zip(&totals.rules) {
            let is_failed = match (rule.threshold, rule.action) {
                (Some(threshold), _) => threshold.is_exceeded(*broken, *checked),
                (None, Action::Fail) => *broken > 0,
                (None, _) => false,
            };
            if is_failed {
                let limit = rule.threshold.map(|limit| format!(" (allowed: {limit})")).unwrap_or_default();
                reasons
                    .push(format!("`{}` is broken by {broken} of {checked} rows{limit}: {}", rule.name, rule.reason));
            }
        }
        if !totals.is_balanced() {
            reasons.push(format!(
                "rows are unaccounted for: {} in, but {} out + {} quarantined + {} duplicates + {} filtered = {}; the \
                 model's SQL must yield one row per row of its `input`",
                totals.rows_in,
                totals.rows_out,
                totals.withheld,
                totals.duplicates,
                totals.filtered,
                totals.rows_out + totals.withheld + totals.duplicates + totals.filtered,
            ));
        }
        if reasons.is_empty() {
            return Ok(());
        }
        let reason = reasons.join("\n");
        *self.gate.lock().unwrap_or_else(PoisonError::into_inner) = Some(reason.clone());
        Err(DataFusionError::Execution(reason))
    }

    /// What is left to do between the gate and the end.
    fn put_aside(self: &Arc<Self>) -> Option<BoxFuture<'static, Result<(), DataFusionError>>> {
        let aside = Arc::clone(self.aside.as_ref()?);
        let ledger = Arc::clone(self);
        Some(Box::pin(async move {
            aside.write(&ledger).await.map_err(|error| match error {
                BuildError::Storage(error) => DataFusionError::External(Box::new(error)),
                other => DataFusionError::Execution(other.to_string()),
            })
        }))
    }
}

/// Rows per batch of those that are kept.
const KEPT_ROWS: usize = 8192;

/// Rows that are kept until they are written down. They are copied out of the batches they came in, which would otherwise
/// stay in memory for the sake of a row or two.
struct Kept(Mutex<(BatchCoalescer, Vec<RecordBatch>)>);

impl Kept {
    fn new(schema: &SchemaRef) -> Self {
        Self(Mutex::new((BatchCoalescer::new(Arc::clone(schema), KEPT_ROWS), Vec::new())))
    }

    fn add(&self, batch: RecordBatch, rows: &BooleanArray) -> Result<(), ArrowError> {
        let rows = filter_record_batch(&batch, rows)?;
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let schema = kept.0.schema();
        // A plan says text, a scan may bring views of it.
        let columns = rows.columns().iter().zip(schema.fields());
        let columns = columns.map(|(column, field)| cast(column, field.data_type())).collect::<Result<_, _>>()?;
        kept.0.push_batch(RecordBatch::try_new(schema, columns)?)
    }

    /// All of them so far.
    fn rows(&self) -> Result<Vec<RecordBatch>, BuildError> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (open, full) = &mut *kept;
        open.finish_buffered_batch()?;
        full.extend(std::iter::from_fn(|| open.next_completed_batch()));
        Ok(full.clone())
    }
}

/// Rows a rule was asked of: where its column is empty there was nothing to check.
fn rows_checked(check: &Check, batch: &RecordBatch, broken: usize) -> usize {
    let filled = |name: &str| {
        batch.column_by_name(name).map_or(batch.num_rows(), |column| column.len() - column.logical_null_count())
    };
    match check {
        Check::That(_) | Check::NotNull(_) => batch.num_rows(),
        // What could be read and what could not.
        Check::Typed(column) => filled(column) + broken,
        other => other.columns().into_iter().map(filled).min().unwrap_or(batch.num_rows()),
    }
}

fn join(mask: &mut Option<BooleanArray>, flags: &BooleanArray) -> Result<(), DataFusionError> {
    *mask = Some(match mask.take() {
        Some(mask) => or(&mask, flags)?,
        None => flags.clone(),
    });
    Ok(())
}

fn narrowed(remaining: &Option<BooleanArray>, flags: &BooleanArray) -> Result<BooleanArray, DataFusionError> {
    Ok(match remaining {
        Some(remaining) => and(remaining, flags)?,
        None => flags.clone(),
    })
}

fn without(remaining: &Option<BooleanArray>, flags: &BooleanArray) -> Result<BooleanArray, DataFusionError> {
    Ok(match remaining {
        Some(remaining) => and_not(remaining, flags)?,
        None => not(flags)?,
    })
}

/// One of the model's streams.
struct Split {
    rows: SendableRecordBatchStream,
    ledger: Arc<Ledger>,
    stage: Stage,
}

/// How far a stream is.
enum Stage {
    Reading,
    /// It was the last one, and the gate holds: what was withheld is put aside.
    Closing(BoxFuture<'static, Result<(), DataFusionError>>),
    Ended,
}

impl Stream for Split {
    type Item = Result<RecordBatch, DataFusionError>;

    fn poll_next(self: std::pin::Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Self { rows, ledger, stage } = self.get_mut();
        loop {
            match stage {
                Stage::Ended => return Poll::Ready(None),
                Stage::Closing(closing) => {
                    let closed = ready!(closing.as_mut().poll(cx));
                    *stage = Stage::Ended;
                    return Poll::Ready(closed.err().map(Err));
                }
                Stage::Reading => match ready!(rows.poll_next_unpin(cx)) {
                    Some(Ok(batch)) => return Poll::Ready(Some(ledger.decide(&batch))),
                    Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                    None => {
                        let is_last = ledger.open_streams.fetch_sub(1, Ordering::AcqRel) == 1;
                        *stage = Stage::Ended;
                        if is_last {
                            if let Err(error) = ledger.close() {
                                return Poll::Ready(Some(Err(error)));
                            }
                            *stage = ledger.put_aside().map_or(Stage::Ended, Stage::Closing);
                        }
                    }
                },
            }
        }
    }
}

impl RecordBatchStream for Split {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.ledger.stored)
    }
}
