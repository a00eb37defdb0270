//! `quarantine`: the rows that models withhold; seeing, correcting, dismissing and replaying them.

use std::{path::PathBuf, sync::Arc};

use arrow::{
    array::RecordBatch,
    compute::concat_batches,
    datatypes::{DataType, Field, Schema},
    error::ArrowError,
};
use clap::{Args, Subcommand};
use serde_json::{Value, json};
use wardlake_build::source_of;
use wardlake_connect::{ConnectError, Event, FileTable, FoundFile};
use wardlake_core::TableName;
use wardlake_engine::{ReadState, Session, sql::literal};
use wardlake_load::Workspace;
use wardlake_trust::{
    Corrected, Correction, Decided, Decision, audited_models, correct, decide, require_audited, require_rule,
};

use super::{Outcome, build::hand_over_or_build};
use crate::{
    args::{GlobalArgs, RunArgs, SelectArgs},
    failure::Failure,
    open::{self, Opened},
    printing::{err, note, out, safe_line},
    rows::{self, OutputArgs},
    terminal::counted,
};

/// See, correct, dismiss and replay the rows that models withhold
#[derive(Debug, Args)]
pub(crate) struct QuarantineArgs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// What is withheld, per model and rule; with a model, row by row
    List {
        /// The model
        model: Option<String>,
        /// Only rows that broke this rule
        #[arg(long)]
        rule: Option<String>,
        /// What is shown of them
        #[arg(long, default_value = "open", value_parser = ["open", "fixed", "dismissed", "released", "all"])]
        state: String,
        #[command(flatten)]
        output: OutputArgs,
    },
    /// One row: what it broke, where it came from, what it looked like, what was done about it
    Show {
        /// The row's quarantine_id, or its beginning
        id: String,
    },
    /// Correct rows; they flow on with the next build or replay
    Fix(FixArgs),
    /// Leave rows out for good; they are not counted as open any more
    Dismiss(DecideArgs),
    /// Take a dismissal back
    Reopen(DecideArgs),
    /// Build the models that withhold rows, and everything that reads them or the source they read
    Replay {
        /// The models; all that withhold rows if none is named
        models: Vec<String>,
    },
}

#[derive(Debug, Args)]
struct FixArgs {
    /// The model that withholds the rows
    model: String,
    /// New value of a raw column as SQL over the raw row: `triage_level = '3'`
    #[arg(long, value_name = "COLUMN = SQL", required_unless_present = "file")]
    set: Vec<String>,
    /// Which rows, as SQL over the raw row, quarantine_id, row_key and rules
    #[arg(long = "where", value_name = "SQL")]
    filter: Option<String>,
    /// A CSV file with quarantine_id and the corrected columns
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    #[command(flatten)]
    who: WhoArgs,
}

#[derive(Debug, Args)]
struct DecideArgs {
    /// The model that withholds the rows
    model: String,
    /// Which rows, as SQL over the columns of the quarantine table; all without it
    #[arg(long = "where", value_name = "SQL")]
    filter: Option<String>,
    #[command(flatten)]
    who: WhoArgs,
}

#[derive(Debug, Args)]
struct WhoArgs {
    /// Why; kept with the decision
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// Who decides
    #[arg(long, env = "USER", hide_env_values = true, value_name = "NAME", default_value = "unknown")]
    by: String,
}

pub(crate) async fn run(global: &GlobalArgs, args: &QuarantineArgs) -> Result<Outcome, Failure> {
    if let Action::Replay { models } = &args.action {
        return replay(global, models).await;
    }
    let workspace = open::quiet_workspace(open::project(global, "quarantine", false)?).await?;
    match &args.action {
        Action::List { model, rule, state, output } => {
            list(&workspace, model.as_deref(), rule.as_deref(), state, output).await?;
        }
        Action::Show { id } => show(&workspace, id).await?,
        Action::Fix(args) => return fix(&workspace, args).await,
        Action::Dismiss(args) => return settle(&workspace, args, Decision::Dismiss).await,
        Action::Reopen(args) => return settle(&workspace, args, Decision::Reopen).await,
        Action::Replay { .. } => {}
    }
    Ok(Outcome::Done)
}

/// The tables of withheld rows that exist, with the models they belong to.
async fn tables(workspace: &Workspace, session: &Session) -> Result<Vec<(String, TableName)>, Failure> {
    let names = session.names().await?;
    Ok(audited_models(workspace).into_iter().filter(|(_, table)| names.contains(table)).collect())
}

async fn list(
    workspace: &Workspace,
    model: Option<&str>,
    rule: Option<&str>,
    state: &str,
    output: &OutputArgs,
) -> Result<(), Failure> {
    let session = workspace.engine.session(wardlake_load::local_viewer(), ReadState::Working).await?;
    if let Some(model) = model {
        require_audited(workspace, model)?;
    }
    if let Some(rule) = rule {
        require_rule(workspace, &session, model, rule).await?;
    }
    let tables = tables(workspace, &session).await?;
    let mut filter = match state {
        "all" => "true".to_owned(),
        state => format!("state = {}", literal(state)),
    };
    if let Some(rule) = rule {
        filter.push_str(&format!(" and array_has(rules, {})", literal(rule)));
    }
    let sql = match model {
        Some(model) => {
            let Some((_, table)) = tables.iter().find(|(name, _)| name == model) else {
                out(format_args!("{model} withholds nothing."))?;
                return Ok(());
            };
            format!(
                "select quarantine_id, state, array_to_string(rules, ', ') as rules, source_file, source_position, \
                 row_key, first_seen_at from {} where {filter} order by source_file, source_position",
                table.quoted()
            )
        }
        None if tables.is_empty() => {
            out("Nothing is withheld.")?;
            return Ok(());
        }
        None => {
            let each = tables.iter().map(|(model, table)| {
                format!(
                    "select {} as model, rule, state, count(*) as row_count, min(first_seen_at) as first_seen_at \
                     from (select unnest(rules) as rule, state, rules, first_seen_at from {} where {filter}) as broken \
                     group by rule, state",
                    literal(model),
                    table.quoted()
                )
            });
            format!("{} order by model, row_count desc, rule", each.collect::<Vec<_>>().join(" union all "))
        }
    };
    rows::write(&session.query(&sql).await?, output).await
}

async fn show(workspace: &Workspace, id: &str) -> Result<(), Failure> {
    if id.is_empty() || !id.chars().all(|c| c.is_ascii_hexdigit()) {
        return Err(Failure::Usage(
            "a quarantine_id is hexadecimal; `wardlake quarantine list MODEL` shows them".to_owned(),
        ));
    }
    let session = workspace.engine.session(wardlake_load::local_viewer(), ReadState::Working).await?;
    for (model, table) in tables(workspace, &session).await? {
        let sql = format!("select * from {} where quarantine_id like '{id}%' limit 2", table.quoted());
        let batches = session.collect(&sql).await?;
        let found: usize = batches.iter().map(RecordBatch::num_rows).sum();
        let Some(batch) = batches.iter().find(|batch| batch.num_rows() > 0) else { continue };
        if found > 1 {
            return Err(Failure::Usage(format!("several rows begin with `{id}`; write more of it")));
        }
        out(&model)?;
        for (field, column) in batch.schema().fields().iter().zip(batch.columns()) {
            let text = arrow::util::display::array_value_to_string(column, 0).map_err(rows::output)?;
            match field.name().as_str() {
                "raw" => {
                    out("  raw")?;
                    match serde_json::from_str::<serde_json::Map<String, Value>>(&text) {
                        Ok(row) => {
                            for (name, value) in row {
                                out(format_args!("    {:<28} {}", safe_line(&name), safe_line(&value.to_string())))?;
                            }
                        }
                        // Nothing of it is kept, or it was kept by another version: it is shown as it is.
                        Err(_) if text.is_empty() => {}
                        Err(_) => out(format_args!("    {}", safe_line(&text)))?,
                    }
                }
                name => out(format_args!("  {name:<18} {}", safe_line(&text)))?,
            }
        }
        let actions = TableName::new("system", "quarantine_actions").map_err(rows::output)?;
        if session.schema(&actions).await?.is_some() {
            let sql = format!(
                "select at, actor, action, column_name, old_value, new_value, comment from {} \
                 where quarantine_id like '{id}%' order by at",
                actions.quoted()
            );
            let query = session.query(&sql).await?;
            let batches = query.collect().await?;
            if batches.iter().any(|batch| batch.num_rows() > 0) {
                out(format_args!("  actions\n{}", rows::table(&query.schema(), &batches)?))?;
            }
        }
        return Ok(());
    }
    Err(Failure::Usage(format!("no withheld row has an id that begins with `{id}`")))
}

async fn fix(workspace: &Workspace, args: &FixArgs) -> Result<Outcome, Failure> {
    let mut correction = Correction {
        model: args.model.clone(),
        filter: args.filter.clone(),
        actor: args.who.by.clone(),
        comment: args.who.reason.clone(),
        ..Correction::default()
    };
    for assignment in &args.set {
        let (column, expression) = assignment
            .split_once('=')
            .ok_or_else(|| Failure::Usage(format!("`--set {assignment}` lacks its `=`: --set \"column = 'value'\"")))?;
        correction.set.push((column.trim().to_owned(), expression.trim().to_owned()));
    }
    if let Some(file) = &args.file {
        correction.values = Some(corrections(file)?);
    }
    let model = &args.model;
    match correct(workspace, wardlake_load::local_viewer(), &correction).await? {
        Corrected::Nothing { why } => {
            err(format_args!("No open row of {model} was changed: {why}."));
            return Ok(Outcome::Failed);
        }
        Corrected::Finished { rows } => note(format_args!(
            "Finished an earlier correction of {} of {model}. `wardlake quarantine replay {model}` lets them flow on.",
            counted(rows, "row")
        )),
        Corrected::Done { rows, cells, action_id } => note(format_args!(
            "Corrected {} in {} of {model} (correction {action_id}). `wardlake quarantine replay {model}` lets them flow on.",
            counted(cells, "cell"),
            counted(rows, "row")
        )),
    }
    Ok(Outcome::Done)
}

/// A CSV file of corrections as text columns. An empty field is NULL and a quoted one the empty string, as in the files of sources.
fn corrections(file: &std::path::Path) -> Result<RecordBatch, Failure> {
    let wrong = |text: String| Failure::Usage(format!("{}: {text}", file.display()));
    let unreadable = |error: ConnectError| Failure::Usage(error.to_string());
    let block = json!({"path": "*", "format": {"type": "csv", "delimiter": ",", "ragged": "reject"}});
    let table = FileTable::from_json(&Value::Null, &block).map_err(|problems| {
        wrong(problems.into_iter().map(|problem| problem.message).collect::<Vec<_>>().join("; "))
    })?;
    let (mut chunks, mut rejected) = (Vec::new(), None);
    let mut sink = |event: Event| {
        match event {
            Event::Chunk(chunk) => chunks.push(chunk.arrays),
            Event::Rejected(record) => rejected = rejected.take().or(Some(record)),
        }
        Ok(())
    };
    let found = FoundFile::at(file).map_err(unreadable)?;
    let names = wardlake_connect::read(&found, &table, None, None, 1, &mut sink).map_err(unreadable)?.columns;
    if let Some(record) = rejected {
        return Err(wrong(format!("line {}: {}", record.line, record.reason.message())));
    }
    if !names.iter().any(|name| name == "quarantine_id") {
        return Err(wrong("there is no column quarantine_id".to_owned()));
    }
    let schema = Schema::new(names.iter().map(|name| Field::new(name, DataType::Utf8, true)).collect::<Vec<_>>());
    let schema = Arc::new(schema);
    let batches: Result<Vec<RecordBatch>, ArrowError> =
        chunks.into_iter().map(|arrays| RecordBatch::try_new(Arc::clone(&schema), arrays)).collect();
    batches.and_then(|batches| concat_batches(&schema, &batches)).map_err(rows::output)
}

async fn settle(workspace: &Workspace, args: &DecideArgs, decision: Decision) -> Result<Outcome, Failure> {
    let (filter, who, model) = (args.filter.as_deref(), &args.who, &args.model);
    let done = match decision {
        Decision::Dismiss => "dismissed",
        Decision::Reopen => "open again",
    };
    match decide(workspace, wardlake_load::local_viewer(), model, filter, decision, &who.by, &who.reason).await? {
        Decided::Rows(rows) => {
            note(format_args!("{} of {model}: {done}.", counted(rows, "row")));
            Ok(Outcome::Done)
        }
        Decided::Nothing { why } => {
            err(format_args!("No row of {model} is {done}: {why}."));
            Ok(Outcome::Failed)
        }
    }
}

async fn replay(global: &GlobalArgs, models: &[String]) -> Result<Outcome, Failure> {
    let project = open::project(global, "build", false)?;
    let opened = Opened::open(global, Arc::clone(&project)).await?;
    let result = async {
        for model in models {
            require_audited(&opened.workspace, model)?;
        }
        let session = opened.workspace.engine.session(wardlake_load::local_viewer(), ReadState::Working).await?;
        let withheld = tables(&opened.workspace, &session).await?;
        let models = match models {
            [] => withheld.into_iter().map(|(model, _)| model).collect(),
            named => named.to_vec(),
        };
        if models.is_empty() {
            return Ok(None);
        }
        // A corrected row stands in bronze: all that is made of that table takes it, beside the model that withheld it.
        let audited = || project.nodes().values().filter(|node| node.audit.is_some());
        let sources = models.iter().filter_map(|model| {
            let source = source_of(&project, audited().find(|node| node.name == *model)?)?;
            Some(format!("source:{}.{}+", source.source_name, source.name))
        });
        let select = models.iter().map(|model| format!("{model}+")).chain(sources).collect();
        let select = SelectArgs { select, ..Default::default() };
        let args = RunArgs { select, ..Default::default() };
        hand_over_or_build(global, &opened, "build", &args, Vec::new()).await.map(Some)
    };
    let result: Result<_, Failure> = result.await;
    opened.close().await;
    match result? {
        None => {
            note("Nothing is withheld.");
            Ok(Outcome::Done)
        }
        Some(summary) => Ok(if summary.is_success() { Outcome::Done } else { Outcome::Failed }),
    }
}
