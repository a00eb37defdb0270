//! A model's declarations → one query around its own SQL. Every row of the model comes out once, with a flag per rule,
//! repair and filter and its place among the rows of its key; what the flags mean is decided where the rows are split.

use std::{collections::BTreeSet, fmt::Write};

use arrow::datatypes::SchemaRef;
use wardlake_core::lineage;
use wardlake_engine::sql::{identifier, literal};
use wardlake_project::{
    Node, Project,
    audit::{Action, Audit, Check, Deduplicate, HIDDEN_PREFIX, RelationCall, Repair, RepairKind},
};

use crate::error::BuildError;

/// Prefix of the flags the query adds; nobody's own columns begin with it.
const FLAG: &str = "_wardlake_";
/// The row's place among those of its key, from 1.
const PLACE: &str = "_wardlake_place";
/// Whether the row has the version of the row before it.
const SAME_VERSION: &str = "_wardlake_same_version";
/// Whether the row has the content of the row before it.
const SAME_CONTENT: &str = "_wardlake_same_content";

/// Lineage columns: hidden ones from `audit_columns()`, or else those a model carries along.
const FILE: [&str; 2] = ["_raw__file", "source_file"];
const POSITION: [&str; 2] = ["_raw__position", "source_position"];
const BATCH: [&str; 2] = ["_raw__batch_id", lineage::BATCH_ID];
/// What two rows of equal content have in common.
const HASH: [&str; 2] = ["_raw__row_hash", lineage::ROW_HASH];
const SOURCE: [&str; 2] = ["_raw__source", lineage::SOURCE];

/// Where in the wrapped query's columns everything is.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    /// The columns that are stored.
    pub(super) visible: Vec<usize>,
    pub(super) rules: Vec<usize>,
    pub(super) repairs: Vec<RepairColumns>,
    pub(super) filters: Vec<usize>,
    pub(super) duplicates: Option<DuplicateColumns>,
    pub(super) lineage: LineageColumns,
}

#[derive(Clone, Debug)]
pub(super) struct RepairColumns {
    pub(super) flag: usize,
    pub(super) raw: Option<usize>,
    pub(super) value: usize,
}

#[derive(Clone, Debug)]
pub(super) struct DuplicateColumns {
    pub(super) place: usize,
    pub(super) same_version: usize,
    pub(super) same_content: usize,
}

/// Columns that say where a row came from and how people call it.
#[derive(Clone, Debug, Default)]
pub(super) struct LineageColumns {
    pub(super) source: Option<usize>,
    pub(super) file: Option<usize>,
    pub(super) position: Option<usize>,
    pub(super) batch: Option<usize>,
    pub(super) key: Vec<usize>,
}

/// The wrapped query's text.
pub(super) fn wrap(
    project: &Project,
    node: &Node,
    audit: &Audit,
    sql: &str,
    rows: &SchemaRef,
) -> Result<String, BuildError> {
    check_columns(node, audit, rows)?;
    let mut flags = String::new();
    let mut joins = String::new();
    for (index, rule) in audit.rules.iter().enumerate() {
        if let Check::ExistsIn { column, to, field } = &rule.check {
            let relation = relation_sql(project, node, to)?;
            // Writing to a String cannot fail.
            let _ = write!(
                joins,
                "\n    left join (select distinct {field} as {FLAG}found_{index} from {relation}) as {FLAG}other_{index} \
                 on wardlake_rows.{column} = {FLAG}other_{index}.{FLAG}found_{index}",
                field = identifier(field),
                column = identifier(column),
            );
        }
        let _ = write!(flags, ",\n        ({}) is true as {FLAG}rule_{index}", broken(&rule.check, index));
    }
    for (index, repair) in audit.repairs.iter().enumerate() {
        let _ = write!(flags, ",\n        ({}) is true as {FLAG}repair_{index}", repaired(repair, rows));
    }
    for (index, filter) in audit.filters.iter().enumerate() {
        let _ = write!(flags, ",\n        ({}) is true as {FLAG}filter_{index}", filter.predicate);
    }
    let judged = format!(
        "with wardlake_rows as (\n{}\n),\nwardlake_judged as (\n    select\n        {}{flags}\n    \
         from wardlake_rows{joins}\n)\n",
        sql.trim().trim_end_matches(';'),
        kept_columns(audit, rows),
    );
    let Some(deduplicate) = &audit.deduplicate else { return Ok(format!("{judged}select * from wardlake_judged")) };
    Ok(format!("{judged}{}", placed(audit, deduplicate, rows)))
}

/// The columns that are needed once the flags are known: rows are sorted by their keys, and wide rows are slow to sort.
fn kept_columns(audit: &Audit, rows: &SchemaRef) -> String {
    let order = audit
        .deduplicate
        .iter()
        .flat_map(|deduplicate| deduplicate.key.iter().chain(&deduplicate.order_by).chain(&deduplicate.version));
    let order: Vec<&String> = order.chain(&audit.row_key).collect();
    let is_kept = |name: &str| {
        !name.starts_with(HIDDEN_PREFIX)
            || [FILE, POSITION].concat().contains(&name)
            || [BATCH, HASH, SOURCE].concat().contains(&name)
            || order.iter().any(|text| text.contains(name))
            || audit.repairs.iter().any(|repair| name.strip_prefix(HIDDEN_PREFIX) == Some(repair.column.as_str()))
    };
    let kept = rows.fields().iter().filter(|field| is_kept(field.name()));
    let kept: Vec<String> = kept.map(|field| format!("wardlake_rows.{}", identifier(field.name()))).collect();
    kept.join(", ")
}

/// The query that numbers the good rows of each key; withheld rows are numbered among themselves.
fn placed(audit: &Audit, deduplicate: &Deduplicate, rows: &SchemaRef) -> String {
    let withheld = audit
        .rules
        .iter()
        .enumerate()
        .filter(|(_, rule)| rule.action == Action::Quarantine)
        .map(|(index, _)| format!("{FLAG}rule_{index}"));
    let bad: Vec<String> = withheld.chain(["false".to_owned()]).collect();
    let key: Vec<String> = deduplicate.key.iter().map(|column| identifier(column)).collect();
    let window = format!(
        "(partition by {}, ({}) order by {})",
        key.join(", "),
        bad.join(" or "),
        deduplicate.order_by.join(", ")
    );
    let same_version = match &deduplicate.version {
        Some(version) => format!("lag({0}) over {window} is not distinct from {0}", identifier(version)),
        None => "true".to_owned(),
    };
    let same_content = match present(rows, &HASH) {
        Some(hash) => format!("lag({0}) over {window} is not distinct from {0}", identifier(hash)),
        None => "true".to_owned(),
    };
    format!(
        "select *,\n    cast(row_number() over {window} as bigint unsigned) as {PLACE},\n    {same_version} as {SAME_VERSION},\n    \
         {same_content} as {SAME_CONTENT}\nfrom wardlake_judged"
    )
}

/// True where a rule is broken.
fn broken(check: &Check, index: usize) -> String {
    match check {
        Check::That(predicate) => format!("not ({predicate})"),
        Check::NotNull(column) => format!("{} is null", identifier(column)),
        Check::In { column, values } => format!("{} not in ({})", identifier(column), values.join(", ")),
        Check::Between { column, min, max } => {
            let column = identifier(column);
            let below = min.as_ref().map(|min| format!("{column} < {min}"));
            let above = max.as_ref().map(|max| format!("{column} > {max}"));
            below.into_iter().chain(above).collect::<Vec<_>>().join(" or ")
        }
        Check::Matches { column, pattern } => {
            format!("cast({} as varchar) !~ {}", identifier(column), literal(pattern))
        }
        Check::Before { column, other } => format!("{} > {}", identifier(column), identifier(other)),
        Check::UniqueIn(columns) => {
            let columns: Vec<String> = columns.iter().map(|column| identifier(column)).collect();
            let filled: Vec<String> = columns.iter().map(|column| format!("{column} is not null")).collect();
            format!("count(*) over (partition by {}) > 1 and {}", columns.join(", "), filled.join(" and "))
        }
        Check::ExistsIn { column, .. } => {
            format!("wardlake_rows.{} is not null and {FLAG}found_{index} is null", identifier(column))
        }
        Check::Typed(column) => {
            let raw = identifier(&format!("{HIDDEN_PREFIX}{column}"));
            format!("{} is null and nullif(trim({raw}), '') is not null", identifier(column))
        }
    }
}

/// Letters and digits of a text.
fn without_signs(text: &str) -> String {
    format!("regexp_replace(lower({text}), '[^\\p{{L}}\\p{{N}}]+', '', 'g')")
}

/// True where a cell was put right.
fn repaired(repair: &Repair, rows: &SchemaRef) -> String {
    let raw_name = format!("{HIDDEN_PREFIX}{}", repair.column);
    let raw = identifier(&raw_name);
    match &repair.how {
        RepairKind::Standardise { spellings, codes } => {
            let value = format!("cast({} as varchar)", identifier(&repair.column));
            let listed = |texts: &mut dyn Iterator<Item = &String>| {
                let texts: Vec<String> = texts.map(|text| literal(&text.trim().to_lowercase())).collect();
                // A list may not be empty.
                if texts.is_empty() { "null".to_owned() } else { texts.join(", ") }
            };
            let others = listed(&mut spellings.iter().flat_map(|(_, others)| others));
            let standards = listed(&mut spellings.iter().map(|(standard, _)| standard));
            let agreed = listed(&mut codes.iter().chain(spellings.iter().map(|(standard, _)| standard)));
            // `F.` for F is put right whether or not somebody thought of listing it.
            format!(
                "lower(trim({raw})) in ({others}) or (lower({value}) in ({standards}) and lower(trim({raw})) not in ({agreed}) \
                 and {} = {})",
                without_signs(&raw),
                without_signs(&value)
            )
        }
        RepairKind::Default(_) if rows.field_with_name(&raw_name).is_ok() => {
            format!("nullif(trim({raw}), '') is null and {} is not null", identifier(&repair.column))
        }
        RepairKind::Default(value) => {
            format!("cast({} as varchar) = {}", identifier(&repair.column), literal(value))
        }
        RepairKind::Reread(predicate) => format!("({predicate})"),
    }
}

/// Every column the declarations name must be there: an unknown one would otherwise surface as an error about SQL nobody
/// wrote.
fn check_columns(node: &Node, audit: &Audit, rows: &SchemaRef) -> Result<(), BuildError> {
    let names: Vec<&str> = rows.fields().iter().map(|field| field.name().as_str()).collect();
    let require = |what: &str, column: &str| {
        if names.contains(&column) {
            return Ok(());
        }
        let (node, what, column) = (node.unique_id.to_string(), what.to_owned(), column.to_owned());
        if let Some(raw) = column.strip_prefix(HIDDEN_PREFIX) {
            return Err(BuildError::NoRawColumn { node, what, raw: raw.to_owned(), column });
        }
        let nearest = wardlake_core::did_you_mean(&column, names.iter().copied()).map(str::to_owned);
        Err(BuildError::NoColumn { node, what, column, nearest })
    };
    for rule in &audit.rules {
        let what = format!("expectation `{}`", rule.name);
        for column in rule.check.columns() {
            require(&what, column)?;
        }
        if let Check::Typed(column) = &rule.check {
            require(&what, &format!("{HIDDEN_PREFIX}{column}"))?;
        }
    }
    for repair in &audit.repairs {
        let what = format!("repair `{}`", repair.name);
        require(&what, &repair.column)?;
        if matches!(repair.how, RepairKind::Standardise { .. }) {
            require(&what, &format!("{HIDDEN_PREFIX}{}", repair.column))?;
        }
    }
    for column in audit.deduplicate.iter().flat_map(|deduplicate| deduplicate.key.iter().chain(&deduplicate.version)) {
        require("`deduplicate`", column)?;
    }
    audit.row_key.iter().try_for_each(|column| require("`row_key`", column))
}

/// The place of everything in the columns of the wrapped query.
pub(super) fn layout(audit: &Audit, wrapped: &SchemaRef) -> Result<Layout, BuildError> {
    let place = |name: &str| wrapped.index_of(name).map_err(BuildError::from);
    let is_own = |name: &str| !name.starts_with(HIDDEN_PREFIX) && !name.starts_with(FLAG);
    let visible =
        wrapped.fields().iter().enumerate().filter(|(_, field)| is_own(field.name())).map(|(index, _)| index).collect();
    let numbered = |what: &str, count: usize| -> Result<Vec<usize>, BuildError> {
        (0..count).map(|index| place(&format!("{FLAG}{what}_{index}"))).collect()
    };
    let repairs = audit.repairs.iter().zip(numbered("repair", audit.repairs.len())?).map(|(repair, flag)| {
        let raw = wrapped.index_of(&format!("{HIDDEN_PREFIX}{}", repair.column)).ok();
        Ok(RepairColumns { flag, raw, value: place(&repair.column)? })
    });
    let duplicates = match audit.deduplicate {
        Some(_) => Some(DuplicateColumns {
            place: place(PLACE)?,
            same_version: place(SAME_VERSION)?,
            same_content: place(SAME_CONTENT)?,
        }),
        None => None,
    };
    let first = |names: &[&'static str]| present(wrapped, names).and_then(|name| wrapped.index_of(name).ok());
    let batch = first(&BATCH);
    // A file may be loaded again: bronze's own columns are a place together with the load.
    let of_bronze = |name: &'static str| batch.and_then(|_| first(&[name]));
    Ok(Layout {
        visible,
        rules: numbered("rule", audit.rules.len())?,
        repairs: repairs.collect::<Result<_, BuildError>>()?,
        filters: numbered("filter", audit.filters.len())?,
        duplicates,
        lineage: LineageColumns {
            source: first(&SOURCE),
            file: first(&FILE).or_else(|| of_bronze(lineage::FILE)),
            position: first(&POSITION).or_else(|| of_bronze(lineage::POSITION)),
            batch,
            key: audit.row_key.iter().map(|column| place(column)).collect::<Result<_, _>>()?,
        },
    })
}

/// The columns of rows that are written down, withheld or listed: where they came from, what was decided about them and the cells that
/// findings show. Rows without lineage are known by their values and need all of them.
pub(super) fn written_columns(audit: &Audit, layout: &Layout, wrapped: &SchemaRef) -> Vec<usize> {
    let names = wrapped.fields().iter().map(|field| field.name().as_str()).enumerate();
    let mut kept: BTreeSet<usize> = names.filter(|(_, name)| name.starts_with(FLAG)).map(|(index, _)| index).collect();
    let lineage = &layout.lineage;
    kept.extend([lineage.source, lineage.file, lineage.position, lineage.batch].into_iter().flatten());
    kept.extend(&lineage.key);
    kept.extend(layout.repairs.iter().flat_map(|columns| columns.raw.into_iter().chain([columns.value])));
    for rule in audit.rules.iter().filter(|rule| rule.action != Action::Quarantine) {
        let about = rule.check.columns().into_iter().take(1);
        let cells = about.flat_map(|name| [name.to_owned(), format!("{HIDDEN_PREFIX}{name}")]);
        kept.extend(cells.filter_map(|name| wrapped.index_of(&name).ok()));
    }
    if lineage.file.is_none() {
        kept.extend(&layout.visible);
    }
    kept.into_iter().collect()
}

/// The first of these columns that is there.
fn present(rows: &SchemaRef, names: &[&'static str]) -> Option<&'static str> {
    names.iter().copied().find(|name| rows.field_with_name(name).is_ok())
}

/// A relation named in YAML, as SQL names it.
pub(super) fn relation_sql(project: &Project, node: &Node, call: &RelationCall) -> Result<String, BuildError> {
    let missing = || BuildError::NoRelation { node: node.unique_id.to_string(), relation: call.to_string() };
    let (_, relation) = project.find(&node.package, call).ok_or_else(missing)?;
    Ok(relation.table_name().ok_or_else(missing)?.quoted())
}
