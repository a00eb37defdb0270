//! Relations as templates see them: `this`, `ref(...)`, `api.Relation.create(...)`.

use std::{cmp::Ordering, fmt, sync::Arc};

use minijinja::{
    Error, ErrorKind, State, Value,
    value::{DynObject, Enumerator, Kwargs, Object, ObjectRepr, from_args},
};

use super::native::{Namespace, entry};
use crate::{
    Relation, RelationKind,
    jinja::values::{PyDict, pairs, python_str},
};

/// A relation and which of its parts it prints, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RelationValue {
    pub(crate) relation: Relation,
    included: Parts,
    quoted: Parts,
    /// Of a source: the zone of local times in what it receives.
    time_zone: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Parts {
    database: bool,
    schema: bool,
    identifier: bool,
}

const ALL: Parts = Parts { database: true, schema: true, identifier: true };

impl Parts {
    fn changed(mut self, kwargs: &Kwargs) -> Result<Self, Error> {
        for (name, part) in
            [("database", &mut self.database), ("schema", &mut self.schema), ("identifier", &mut self.identifier)]
        {
            if let Some(value) = kwargs.get::<Option<bool>>(name)? {
                *part = value;
            }
        }
        kwargs.assert_all_used()?;
        Ok(self)
    }

    fn value(self) -> Value {
        PyDict::value([
            (Value::from("database"), Value::from(self.database)),
            (Value::from("schema"), Value::from(self.schema)),
            (Value::from("identifier"), Value::from(self.identifier)),
        ])
    }
}

fn kind_name(kind: RelationKind) -> &'static str {
    match kind {
        RelationKind::Table => "table",
        RelationKind::View => "view",
        RelationKind::Cte => "cte",
    }
}

fn kind_of(name: &str) -> Option<RelationKind> {
    match name {
        "table" | "external" | "incremental" => Some(RelationKind::Table),
        "view" | "materialized_view" => Some(RelationKind::View),
        "cte" => Some(RelationKind::Cte),
        _ => None,
    }
}

fn text(value: Option<Value>) -> Option<String> {
    value.filter(|value| !value.is_none() && !value.is_undefined()).map(|value| python_str(&value))
}

/// `"name"` with inner quotes doubled.
pub(crate) fn quote(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

impl RelationValue {
    pub(crate) fn value(relation: Relation) -> Value {
        Self::of_source(relation, None)
    }

    /// The relation of a source, which tells its models by which zone they read its local times.
    pub(crate) fn of_source(relation: Relation, time_zone: Option<String>) -> Value {
        Value::from_object(Self { relation, included: ALL, quoted: ALL, time_zone })
    }

    /// A relation with rows of another: what that one tells, so does this one.
    pub(crate) fn in_place_of(other: &Value, relation: Relation) -> Value {
        let time_zone = other.downcast_object_ref::<Self>().and_then(|other| other.time_zone.clone());
        Self::of_source(relation, time_zone)
    }

    /// The relation behind a value.
    pub(crate) fn of(value: &Value) -> Option<Relation> {
        value.downcast_object_ref::<Self>().map(|this| this.relation.clone())
    }

    fn render_sql(&self) -> String {
        let Relation { database, schema, identifier, kind } = &self.relation;
        let is_cte = *kind == Some(RelationKind::Cte);
        let parts = [
            (database.as_deref(), self.included.database && !is_cte, self.quoted.database),
            (schema.as_deref(), self.included.schema && !is_cte, self.quoted.schema),
            (
                Some(identifier.as_str()).filter(|name| !name.is_empty()),
                self.included.identifier,
                self.quoted.identifier,
            ),
        ];
        let shown = parts.iter().filter_map(|(name, is_included, is_quoted)| {
            let name = name.filter(|_| *is_included)?;
            Some(if *is_quoted && !is_cte { quote(name) } else { name.to_owned() })
        });
        shown.collect::<Vec<_>>().join(".")
    }

    fn with(&self, change: impl FnOnce(&mut Self)) -> Value {
        let mut changed = self.clone();
        change(&mut changed);
        Value::from_object(changed)
    }

    fn incorporate(&self, kwargs: &Kwargs) -> Result<Value, Error> {
        let path: Option<Value> = kwargs.get("path")?;
        let kind: Option<Value> = kwargs.get("type")?;
        let mut changed = self.clone();
        for (key, value) in path.iter().flat_map(pairs) {
            let value = text(Some(value));
            match key.as_str() {
                Some("database") => changed.relation.database = value,
                Some("schema") => changed.relation.schema = value,
                Some("identifier") => changed.relation.identifier = value.unwrap_or_default(),
                _ => {}
            }
        }
        if let Some(kind) = text(kind) {
            changed.relation.kind = kind_of(&kind);
        }
        Ok(Value::from_object(changed))
    }
}

fn optional(name: Option<&str>) -> Value {
    name.map_or(Value::from(()), Value::from)
}

impl Object for RelationValue {
    /// A mapping, as dbt's relations are: packages ask `relation is mapping` and `relation.get('metadata')` to tell
    /// relations from text.
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Map
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        // Neither the kind nor the policies: relations of one name are one key of a dict.
        Enumerator::Str(&["database", "schema", "identifier"])
    }

    fn is_true(self: &Arc<Self>) -> bool {
        true
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let relation = &self.relation;
        Some(match key.as_str()? {
            "database" => optional(relation.database.as_deref()),
            "schema" => optional(relation.schema.as_deref()),
            "identifier" | "name" | "table" => {
                optional(Some(relation.identifier.as_str()).filter(|name| !name.is_empty()))
            }
            "type" => optional(relation.kind.map(kind_name)),
            "time_zone" => optional(self.time_zone.as_deref()),
            "is_table" => Value::from(relation.kind == Some(RelationKind::Table)),
            "is_view" => Value::from(relation.kind == Some(RelationKind::View)),
            "is_cte" => Value::from(relation.kind == Some(RelationKind::Cte)),
            "is_materialized_view" | "is_pointer" => Value::from(false),
            "can_be_renamed" | "can_be_replaced" => Value::from(true),
            "include_policy" => self.included.value(),
            "quote_policy" => self.quoted.value(),
            "metadata" => PyDict::value([(Value::from("type"), Value::from("WardlakeRelation"))]),
            "path" => PyDict::value([
                (Value::from("database"), optional(relation.database.as_deref())),
                (Value::from("schema"), optional(relation.schema.as_deref())),
                (Value::from("identifier"), Value::from(relation.identifier.as_str())),
            ]),
            _ => return None,
        })
    }

    fn call_method(self: &Arc<Self>, _state: &mut State<'_, '_>, method: &str, args: &[Value]) -> Result<Value, Error> {
        Ok(match method {
            "include" => {
                let (kwargs,): (Kwargs,) = from_args(args)?;
                let included = self.included.changed(&kwargs)?;
                self.with(|new| new.included = included)
            }
            "quote" => {
                let (kwargs,): (Kwargs,) = from_args(args)?;
                let quoted = self.quoted.changed(&kwargs)?;
                self.with(|new| new.quoted = quoted)
            }
            "incorporate" => self.incorporate(&from_args::<(Kwargs,)>(args)?.0)?,
            "replace_path" => {
                let (kwargs,): (Kwargs,) = from_args(args)?;
                let mut path = Vec::new();
                for name in ["database", "schema", "identifier"].into_iter().filter(|name| kwargs.has(name)) {
                    path.push((Value::from(name), kwargs.get::<Option<Value>>(name)?.unwrap_or(Value::from(()))));
                }
                self.incorporate(&Kwargs::from_iter([("path", PyDict::value(path))]))?
            }
            "without_identifier" => self.with(|new| new.included.identifier = false),
            "information_schema" => {
                let (view,): (Option<String>,) = from_args(args)?;
                self.with(|new| {
                    new.relation.schema = Some("information_schema".to_owned());
                    new.relation.identifier = view.unwrap_or_default();
                    new.quoted = Parts { database: true, schema: false, identifier: false };
                })
            }
            "get" => {
                let (key, default): (Value, Option<Value>) = from_args(args)?;
                self.get_value(&key).or(default).unwrap_or(Value::from(()))
            }
            "render" | "render_limited" => Value::from(self.render_sql()),
            "matches" => {
                let (database, schema, identifier): (Option<String>, Option<String>, Option<String>) = from_args(args)?;
                let same = |wanted: Option<String>, is: Option<&str>| {
                    wanted.is_none_or(|wanted| is.is_some_and(|is| is.eq_ignore_ascii_case(&wanted)))
                };
                Value::from(
                    same(database, self.relation.database.as_deref())
                        && same(schema, self.relation.schema.as_deref())
                        && same(identifier, Some(&self.relation.identifier)),
                )
            }
            _ => return Err(Error::new(ErrorKind::UnknownMethod, format!("a relation has no method `{method}`"))),
        })
    }

    fn custom_cmp(self: &Arc<Self>, other: &DynObject) -> Option<Ordering> {
        Some(self.render_sql().cmp(&other.downcast_ref::<Self>()?.render_sql()))
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render_sql())
    }
}

/// `api.Relation`.
pub(super) fn api() -> Value {
    let kinds = ["table", "view", "cte"].into_iter().map(|kind| (kind, Value::from(kind)));
    let kinds = [("Table", "table"), ("View", "view"), ("CTE", "cte")]
        .into_iter()
        .map(|(name, kind)| (name, Value::from(kind)))
        .chain(kinds);
    Namespace::value(
        "api.Relation",
        vec![
            entry("create", |_, args| {
                let (kwargs,): (Kwargs,) = from_args(args)?;
                let identifier = match text(kwargs.get("identifier")?) {
                    Some(identifier) => identifier,
                    None => text(kwargs.get("name")?).unwrap_or_default(),
                };
                let kind = text(kwargs.get("type")?).and_then(|kind| kind_of(&kind));
                let relation = Relation {
                    database: text(kwargs.get("database")?),
                    schema: text(kwargs.get("schema")?),
                    identifier,
                    kind,
                };
                Ok(RelationValue::value(relation))
            }),
            ("Table", Value::from("table")),
            ("View", Value::from("view")),
            ("CTE", Value::from("cte")),
            ("RelationType", Namespace::value("RelationType", kinds.collect())),
        ],
    )
}
