//! The place of a model's rows in bronze: which source they come from, and the columns that say so. A model need not select them: they are
//! written into its SELECTs on the way of its rows, as the hidden columns that audit_columns() would write. Where that way cannot be followed
//! in the text, the model's SQL stays as it is, and it is up to the model to carry them.

use std::collections::{BTreeMap, BTreeSet};

use arrow::datatypes::{DataType, SchemaRef};
use datafusion::sql::{
    parser::Statement,
    sqlparser::ast::{
        Cte, GroupByExpr, Ident, ObjectName, ObjectNamePart, Query, Select, SelectFlavor, SelectItem,
        SelectItemQualifiedWildcardKind, SetExpr, SetOperator, SetQuantifier, Statement as SqlStatement, TableAlias,
        TableFactor,
    },
};
use wardlake_core::{TableName, lineage};
use wardlake_engine::{Session, dialect};
use wardlake_project::{
    Compiled, Node, Project, Source, UniqueId,
    audit::{Check, HIDDEN_PREFIX},
};

const SELECT: &str = "select";
/// What a row's place is told by.
const CARRIED: [&str; 4] = [lineage::SOURCE, lineage::FILE, lineage::POSITION, lineage::BATCH_ID];

/// The source whose rows a model's rows are: the one that its input leads to, or else all it reads, through views and ephemeral models
/// only. Behind a table rows have no place in bronze: that is the table's own.
pub fn source_of<'a>(project: &'a Project, node: &'a Node) -> Option<&'a Source> {
    let declared = node.audit.as_ref().and_then(|audit| audit.input.as_ref());
    let mut ways: Vec<&UniqueId> = match declared {
        Some(call) => vec![project.find(&node.package, call)?.0],
        None => node.depends_on.nodes.iter().collect(),
    };
    let mut seen: BTreeSet<&UniqueId> = BTreeSet::new();
    let mut found: Vec<&Source> = Vec::new();
    while let Some(id) = ways.pop() {
        if !seen.insert(id) {
            continue;
        }
        if let Some(source) = project.source(id) {
            found.push(source);
        } else if let Some(parent) = project.node(id)
            && ["view", "ephemeral"].contains(&parent.config.materialized.as_str())
        {
            ways.extend(&parent.depends_on.nodes);
        }
    }
    if found.len() > 1 {
        // What rows are only looked up in is not where they come from.
        let looked_up = looked_up_in(project, node);
        found.retain(|source| !looked_up.contains(&&source.unique_id));
    }
    match found.as_slice() {
        [source] => Some(*source),
        _ => None,
    }
}

fn looked_up_in<'a>(project: &'a Project, node: &Node) -> Vec<&'a UniqueId> {
    let rules = node.audit.iter().flat_map(|audit| &audit.rules);
    let relations = rules.filter_map(|rule| match &rule.check {
        Check::ExistsIn { to, .. } => Some(project.find(&node.package, to)?.0),
        _ => None,
    });
    relations.collect()
}

/// A model's SQL with the place of its rows; none where the model carries it, or where it cannot be added.
pub(super) async fn carried(session: &Session, project: &Project, node: &Node, compiled: &Compiled) -> Option<String> {
    // audit_columns(), or the like, was there before.
    if compiled.sql.contains(&format!("{HIDDEN_PREFIX}{}", lineage::FILE)) {
        return None;
    }
    let source = source_of(project, node)?.relation.table_name()?;
    let consumed = compiled.changes.iter().map(|changes| (&changes.of, &changes.read_as));
    let looked_up = compiled.lookups.iter().map(|lookup| (&lookup.of, &lookup.read_as));
    let read_as = consumed.chain(looked_up).filter(|(of, _)| of.table_name().as_ref() == Some(&source));
    let mut bronze: Vec<TableName> = read_as.filter_map(|(_, read_as)| read_as.table_name()).collect();
    bronze.push(source);
    let written = written(&compiled.sql, &bronze)?;
    // Whatever is wrong with the model is told of its own SQL.
    let own = session.query(&compiled.sql).await.ok()?.schema();
    let more = session.query(&written).await.ok()?.schema();
    has_place_beside(&own, &more).then_some(written)
}

/// Whether `more` has the columns of `own` in their order, and each of a place's once.
fn has_place_beside(own: &SchemaRef, more: &SchemaRef) -> bool {
    let hidden = CARRIED.map(|column| format!("{HIDDEN_PREFIX}{column}"));
    let (places, others): (Vec<_>, Vec<_>) = columns(more).into_iter().partition(|(name, _)| is_one_of(&hidden, name));
    let is_once = hidden.iter().all(|hidden| places.iter().filter(|(name, _)| name == hidden).count() == 1);
    is_once && columns(own) == others
}

fn is_one_of(names: &[String], name: &str) -> bool {
    names.iter().any(|known| known == name)
}

fn columns(rows: &SchemaRef) -> Vec<(&str, &DataType)> {
    rows.fields().iter().map(|field| (field.name().as_str(), field.data_type())).collect()
}

/// The text with the columns of a place in every SELECT between the rows of `bronze` and those of the whole.
fn written(sql: &str, bronze: &[TableName]) -> Option<String> {
    let statements = dialect::rewrite(sql).ok()?;
    let [Statement::Statement(statement)] = statements.as_slice() else { return None };
    let SqlStatement::Query(query) = statement.as_ref() else { return None };
    let mut writer = Writer { sql, bronze, seen: BTreeSet::new(), insertions: BTreeMap::new() };
    writer.query(query, None)?;
    let (mut text, mut end) = (String::with_capacity(sql.len()), 0);
    for (at, columns) in &writer.insertions {
        text.push_str(sql.get(end..*at)?);
        text.push_str(columns);
        end = *at;
    }
    text.push_str(sql.get(end..)?);
    Some(text)
}

/// The common tables that a query can name.
#[derive(Clone, Copy)]
struct Scope<'a> {
    ctes: &'a [Cte],
    outer: Option<&'a Scope<'a>>,
}

impl<'a> Scope<'a> {
    /// A common table, and those that it can name itself.
    fn find(&self, name: &str) -> Option<(&'a Cte, Scope<'a>)> {
        let (ctes, outer) = (self.ctes, self.outer);
        match ctes.iter().position(|cte| folded(&cte.alias.name) == name) {
            Some(index) => Some((&ctes[index], Scope { ctes: &ctes[..index], outer })),
            None => outer?.find(name),
        }
    }
}

/// Follows the rows of a query back to bronze. None is returned where that is not possible.
struct Writer<'a> {
    sql: &'a str,
    bronze: &'a [TableName],
    /// SELECTs that were followed, by their place in the text.
    seen: BTreeSet<usize>,
    /// Place in the text → what is to stand there.
    insertions: BTreeMap<usize, String>,
}

impl Writer<'_> {
    fn query(&mut self, query: &Query, outer: Option<&Scope<'_>>) -> Option<()> {
        // ORDER BY 2 counts columns.
        let is_recursive = query.with.as_ref().is_some_and(|with| with.recursive);
        if is_recursive || query.order_by.is_some() || !query.pipe_operators.is_empty() {
            return None;
        }
        let ctes = query.with.as_ref().map(|with| with.cte_tables.as_slice()).unwrap_or_default();
        self.body(&query.body, &Scope { ctes, outer })
    }

    fn body(&mut self, body: &SetExpr, scope: &Scope<'_>) -> Option<()> {
        match body {
            SetExpr::Select(select) => self.select(select, scope),
            SetExpr::Query(query) => self.query(query, Some(scope)),
            SetExpr::SetOperation { left, op: SetOperator::Union, set_quantifier: SetQuantifier::All, right } => {
                self.body(left, scope)?;
                self.body(right, scope)
            }
            _ => None,
        }
    }

    fn select(&mut self, select: &Select, scope: &Scope<'_>) -> Option<()> {
        let is_plain = select.distinct.is_none()
            && select.top.is_none()
            && select.into.is_none()
            && select.select_modifiers.is_none()
            && select.value_table_mode.is_none()
            && matches!(select.flavor, SelectFlavor::Standard)
            && matches!(&select.group_by, GroupByExpr::Expressions(keys, more) if keys.is_empty() && more.is_empty());
        let at = self.offset(select)?;
        let ([from], true) = (select.from.as_slice(), is_plain) else { return None };
        if !self.seen.insert(at) {
            return Some(());
        }
        let (name, is_bronze) = self.relation(&from.relation, scope)?;
        let passes = |item: &SelectItem| match item {
            SelectItem::Wildcard(_) => true,
            SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::ObjectName(of), _) => {
                of.0.last().and_then(ObjectNamePart::as_ident).is_some_and(|of| folded(of) == folded(&name))
            }
            _ => false,
        };
        if !is_bronze && let Some(index) = select.projection.iter().position(passes) {
            // Branches of a UNION have to have the columns of a place in the same order: in front.
            return (index == 0).then_some(());
        }
        let columns = CARRIED.map(|column| {
            let hidden = format!("{HIDDEN_PREFIX}{column}");
            let carried = if is_bronze { column } else { hidden.as_str() };
            format!(" {name}.{carried} as {hidden},")
        });
        self.insertions.insert(at, columns.concat());
        Some(())
    }

    /// The place in the text behind the word SELECT.
    fn offset(&self, select: &Select) -> Option<usize> {
        let start = select.select_token.0.span.start;
        let (line, column) = (usize::try_from(start.line).ok()?, usize::try_from(start.column).ok()?);
        let mut lines = self.sql.split_inclusive('\n');
        let before: usize = lines.by_ref().take(line.checked_sub(1)?).map(str::len).sum();
        let text = lines.next()?;
        let at = before + text.char_indices().nth(column.checked_sub(1)?)?.0;
        // A SELECT that the dialect's rewriting made stands nowhere in the text.
        let end = at + SELECT.len();
        self.sql.get(at..end)?.eq_ignore_ascii_case(SELECT).then_some(end)
    }

    /// What the rows of a relation are called, and whether they are rows of bronze; else its own SELECTs have been followed.
    fn relation(&mut self, relation: &TableFactor, scope: &Scope<'_>) -> Option<(Ident, bool)> {
        match relation {
            TableFactor::Table { name, alias, args: None, .. } => {
                let own = name.0.last()?.as_ident()?;
                let called = called(alias.as_ref(), own)?;
                let cte = match name.0.as_slice() {
                    [_] => scope.find(&folded(own)),
                    _ => None,
                };
                match cte {
                    Some((cte, scope)) if cte.alias.columns.is_empty() => {
                        self.query(&cte.query, Some(&scope))?;
                        Some((called, false))
                    }
                    None if self.is_bronze(name) => Some((called, true)),
                    _ => None,
                }
            }
            TableFactor::Derived { lateral: false, subquery, alias: Some(alias), .. } => {
                let called = called(Some(alias), &alias.name)?;
                self.query(subquery, Some(scope))?;
                Some((called, false))
            }
            _ => None,
        }
    }

    fn is_bronze(&self, name: &ObjectName) -> bool {
        let parts: Option<Vec<String>> = name.0.iter().map(|part| part.as_ident().map(folded)).collect();
        match parts.as_deref() {
            Some([.., schema, table]) => {
                self.bronze.iter().any(|bronze| bronze.schema() == schema && bronze.name() == table)
            }
            _ => false,
        }
    }
}

/// The name by which a relation's columns are called; none where they are given other names.
fn called(alias: Option<&TableAlias>, own: &Ident) -> Option<Ident> {
    match alias {
        Some(alias) if alias.columns.is_empty() => Some(alias.name.clone()),
        Some(_) => None,
        None => Some(own.clone()),
    }
}

/// A name as SQL compares it.
fn folded(name: &Ident) -> String {
    if name.quote_style.is_some() { name.value.clone() } else { name.value.to_lowercase() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLACE: &str = " t._source as _raw__source, t._file as _raw__file, t._position as _raw__position, \
                         t._batch_id as _raw__batch_id,";
    const CARRIED_ON: &str = " t._raw__source as _raw__source, t._raw__file as _raw__file, \
                              t._raw__position as _raw__position, t._raw__batch_id as _raw__batch_id,";

    fn place(name: &str) -> String {
        PLACE.replace(" t.", &format!(" {name}."))
    }

    fn on(name: &str) -> String {
        CARRIED_ON.replace(" t.", &format!(" {name}."))
    }

    fn written_of(sql: &str) -> Option<String> {
        let bronze: [TableName; 2] = ["bronze.stays", "changes.stays"].map(|name| name.parse().unwrap());
        written(sql, &bronze)
    }

    #[test]
    fn a_place_is_written_on_the_way_of_the_rows() {
        let stays = r#""bronze"."stays""#;
        for (sql, wanted) in [
            (format!("select id from {stays}"), format!("select{} id from {stays}", place(r#""stays""#))),
            (
                "-- Größe\nSELECT s.id from bronze.STAYS as s left join x on x.id = s.id".to_owned(),
                format!("-- Größe\nSELECT{} s.id from bronze.STAYS as s left join x on x.id = s.id", place("s")),
            ),
            (
                format!(
                    "with a as (select * from {stays}), b as (select id, 'é' as e from a) select * from b where id > 1"
                ),
                format!(
                    "with a as (select{} * from {stays}), b as (select{} id, 'é' as e from a) select * from b where id > 1",
                    place(r#""stays""#),
                    on("a")
                ),
            ),
            (
                "select id from (select id from changes.stays) as d".to_owned(),
                format!("select{} id from (select{} id from changes.stays) as d", on("d"), place("stays")),
            ),
            (
                "with a as (select id from bronze.stays) select id from a union all select id from a".to_owned(),
                format!(
                    "with a as (select{} id from bronze.stays) select{} id from a union all select{} id from a",
                    place("stays"),
                    on("a"),
                    on("a")
                ),
            ),
        ] {
            assert_eq!(written_of(&sql).as_deref(), Some(wanted.as_str()), "{sql}");
        }
    }

    #[test]
    fn what_has_no_one_row_of_bronze_behind_each_row_stays_as_it_is() {
        for sql in [
            "select distinct id from bronze.stays",
            "select id, count(*) as n from bronze.stays group by id",
            "select id from bronze.stays union select id from bronze.stays",
            "select id from bronze.stays union all select id from bronze.others",
            "select id from bronze.stays order by 1",
            "select id from others",
            "with stays as (select 1 as id) select id from stays",
            "select s.id from bronze.stays as s, bronze.others as o",
            "select",
        ] {
            assert_eq!(written_of(sql), None, "{sql}");
        }
    }
}
