//! Common tables (`with`) that a query reads several times. DataFusion writes each of them into the plan wherever it is named, and
//! those within it again, so that a query of some steps becomes a plan of a thousand. Where little data is read it is worked out
//! first, once, and kept in memory for the rest of the session.

use std::{collections::VecDeque, ops::ControlFlow};

use datafusion::sql::{
    parser::Statement,
    sqlparser::ast::{
        self, Cte, Ident, ObjectName, ObjectNamePart, Query, Statement as SqlStatement, TableAlias, TableFactor, Visit,
        VisitMut, VisitorMut, With, visit_relations,
    },
};
use wardlake_core::{RowHasher, TableName};

use crate::{EngineError, Session, recurring::Step};

/// The schema under which the session finds what was worked out.
const SCHEMA: &str = "shared";

impl Session {
    /// Works out the common tables of a query that it reads several times, and names what came out in their place. `steps` are how,
    /// while all of them can be taken again.
    pub(crate) async fn share(
        &self,
        statement: &mut Statement,
        steps: &mut Option<Vec<Step>>,
    ) -> Result<(), EngineError> {
        if let Statement::Statement(statement) = statement
            && let SqlStatement::Query(query) = statement.as_mut()
        {
            self.share_within(query, &[], steps).await?;
        }
        Ok(())
    }

    /// `around` are the common tables that the query may name beside its own.
    async fn share_within(
        &self,
        query: &mut Query,
        around: &[Cte],
        steps: &mut Option<Vec<Step>>,
    ) -> Result<(), EngineError> {
        let Some(with) = query.with.as_mut().filter(|with| !with.recursive) else { return Ok(()) };
        let mut rest: VecDeque<Cte> = std::mem::take(&mut with.cte_tables).into();
        let mut kept: Vec<Cte> = Vec::new();
        while let Some(mut table) = rest.pop_front() {
            let visible: Vec<Cte> = around.iter().chain(&kept).cloned().collect();
            Box::pin(self.share_within(&mut table.query, &visible, steps)).await?;
            let name = table.alias.name.clone();
            let times = rest.iter().map(|later| mentions(&*later.query, &name)).sum::<usize>() + mentions(query, &name);
            let is_redefined = visible.iter().chain(&rest).any(|other| is_same(&other.alias.name, &name))
                || rest.iter().any(|later| defines(&later.query, &name))
                || defines(query, &name);
            if times < 2 || is_redefined || !table.alias.columns.is_empty() {
                kept.push(table);
                continue;
            }
            let (found, step) = self.work_out(table, visible).await?;
            match (step, steps.as_mut()) {
                (Some(step), Some(steps)) => steps.push(step),
                _ => *steps = None,
            }
            let mut put = Put { name, found };
            for later in &mut rest {
                let _ = VisitMut::visit(&mut later.query, &mut put);
            }
            let _ = VisitMut::visit(query, &mut put);
        }
        match query.with.as_mut() {
            Some(with) if !kept.is_empty() => with.cte_tables = kept,
            _ => query.with = None,
        }
        Ok(())
    }

    /// The rows of a common table as a table of the session.
    async fn work_out(&self, table: Cte, visible: Vec<Cte>) -> Result<(TableName, Option<Step>), EngineError> {
        let select = format!("select * from {}", table.alias.name);
        let mut tables: VecDeque<Cte> = VecDeque::from([table]);
        // Those it does not need would be planned all the same.
        for other in visible.into_iter().rev() {
            if tables.iter().any(|table| mentions(&*table.query, &other.alias.name) > 0) {
                tables.push_front(other);
            }
        }
        let mut statement = crate::session::one_statement(&select)?;
        if let Statement::Statement(statement) = &mut statement
            && let SqlStatement::Query(query) = statement.as_mut()
        {
            let with_token = ast::helpers::attached_token::AttachedToken::empty();
            query.with = Some(With { with_token, recursive: false, cte_tables: tables.into() });
        }
        let mut hasher = RowHasher::default();
        hasher.field(Some(statement.to_string().as_bytes()));
        let name = TableName::new(SCHEMA, hasher.finish().to_string())
            .map_err(|error| EngineError::Plan { message: error.to_string() })?;
        let step = self.prepare_into(&name, statement).await?;
        Ok((name, step))
    }
}

fn is_same(one: &Ident, other: &Ident) -> bool {
    match one.quote_style.is_some() || other.quote_style.is_some() {
        true => one.value == other.value,
        false => one.value.eq_ignore_ascii_case(&other.value),
    }
}

fn names(object: &ObjectName, name: &Ident) -> bool {
    matches!(object.0.as_slice(), [ObjectNamePart::Identifier(only)] if is_same(only, name))
}

/// How often `within` reads the table.
fn mentions(within: &impl Visit, name: &Ident) -> usize {
    let mut times = 0;
    let _ = visit_relations(within, |object| {
        times += usize::from(names(object, name));
        ControlFlow::<()>::Continue(())
    });
    times
}

/// Whether a query within `within` has a common table of that name of its own.
fn defines(within: &Query, name: &Ident) -> bool {
    struct Find<'a>(&'a Ident, bool);
    impl ast::Visitor for Find<'_> {
        type Break = ();
        fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
            let tables = query.with.iter().flat_map(|with| &with.cte_tables);
            self.1 |= tables.into_iter().any(|table| is_same(&table.alias.name, self.0));
            ControlFlow::Continue(())
        }
    }
    let mut find = Find(name, false);
    let _ = within.visit(&mut find);
    find.1
}

/// Reads `found` wherever the table was read.
struct Put {
    name: Ident,
    found: TableName,
}

impl VisitorMut for Put {
    type Break = ();

    fn post_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<()> {
        if let TableFactor::Table { name, alias, .. } = factor
            && names(name, &self.name)
        {
            let part = |text: &str| ObjectNamePart::Identifier(Ident::with_quote('"', text));
            *name = ObjectName(vec![part(self.found.schema()), part(self.found.name())]);
            alias.get_or_insert_with(|| TableAlias {
                explicit: true,
                name: self.name.clone(),
                columns: Vec::new(),
                at: None,
            });
        }
        ControlFlow::Continue(())
    }
}
