//! Which columns a message becomes, as data: the columns Wardlake ships (`default.json`), and those that a source's
//! `format.mapping` adds or puts in their place.
//!
//! ```yaml
//! format:
//!   type: hl7
//!   mapping:
//!     columns:
//!       ward_phone: ZPV-3                                    # a place, see `path.rs`
//!       patient_id: ["PID-3[?5=MR]", PID-3]                  # the first that is filled
//!       gender: {from: PID-8, codes: gender}                 # translated
//!       transport_at: {from: ZPV-4, time: true}              # with the zone of MSH-7 where it has none
//!       visit_key: {join: [MSH-4, PV1-19], with: "-"}
//!       pets: {list: ZPE, fields: {name: ZPE-2}}             # a JSON array, one object per segment
//!     codes:
//!       gender: {W: female, D: other}
//!     accept: {types: [ADT, ORU^R01], processing: [P], versions: ["2.3", "2.5.1"]}
//! ```

mod column;
mod settings;

use std::{
    collections::HashSet,
    sync::{Arc, LazyLock},
};

use serde_json::{Map, Value};

pub(crate) use self::column::Source;
use self::{
    column::{Column, From},
    settings::Block,
};
use super::{message::Message, path::Path, problem::Problem};
use crate::{ConfigProblem, RejectReason};

/// What every row has, whatever the mapping, and where in the header its text stands.
const OF_THE_HEADER: [(&str, &str); 11] = [
    ("message_type", "MSH-9"),
    ("trigger_event", "MSH-9.2"),
    ("message_structure", "MSH-9.3"),
    ("message_control_id", "MSH-10"),
    ("version", "MSH-12"),
    ("processing_id", "MSH-11"),
    ("sending_application", "MSH-3"),
    ("sending_facility", "MSH-4"),
    ("receiving_application", "MSH-5"),
    ("receiving_facility", "MSH-6"),
    ("message_at", "MSH-7"),
];
/// Without these a message is not known for what it is, and cannot be answered.
const REQUIRED: [&str; 2] = ["message_type", "message_control_id"];
const MESSAGE: &str = "message";
const CHARSET_NOTE: &str = "charset_note";

/// The columns of a source of messages, and which messages it takes. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Mapping {
    plan: Arc<Plan>,
}

#[derive(Debug, Default, PartialEq)]
struct Plan {
    names: Vec<String>,
    columns: Vec<Column>,
    accept: Accept,
}

/// Which messages are taken; an empty list takes all.
#[derive(Debug, Default, PartialEq)]
struct Accept {
    /// Types, each with its event or with any.
    types: Vec<(String, Option<String>)>,
    processing: Vec<String>,
    versions: Vec<String>,
}

impl PartialEq for Mapping {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.plan, &other.plan) || self.plan == other.plan
    }
}

impl Eq for Mapping {}

impl Default for Mapping {
    /// The columns Wardlake ships.
    fn default() -> Self {
        static SHIPPED: LazyLock<Mapping> = LazyLock::new(|| Mapping::read(Map::new(), &mut Vec::new()));
        SHIPPED.clone()
    }
}

impl Mapping {
    /// Reads a `format.mapping` block and lays it over what is shipped. Returns every problem at once, each with its path
    /// from `format` on.
    pub fn from_json(block: &Value) -> Result<Self, Vec<ConfigProblem>> {
        let mut problems = Vec::new();
        let mapping = match block {
            Value::Null => Self::default(),
            Value::Object(block) => Self::read(block.clone(), &mut problems),
            _ => {
                problems.push(ConfigProblem {
                    path: "format.mapping".to_owned(),
                    message: "must be a block of settings".to_owned(),
                    help: Some("known settings: columns, codes, accept".to_owned()),
                });
                Self::default()
            }
        };
        if problems.is_empty() { Ok(mapping) } else { Err(problems) }
    }

    fn read(site: Map<String, Value>, problems: &mut Vec<ConfigProblem>) -> Self {
        let mut site = Block::new("format.mapping".to_owned(), site, problems);
        // Unreadable data of our own would leave the fixed columns; a test holds that it is readable.
        let shipped: Map<String, Value> = serde_json::from_str(include_str!("default.json")).unwrap_or_default();
        let block = |name: &str| shipped.get(name).and_then(Value::as_object).cloned().unwrap_or_default();
        let codes = settings::codes(block("codes"), site.block("codes"));
        let mut columns = fixed();
        let mut taken: HashSet<String> = columns.iter().map(|column| column.name.clone()).collect();
        let (mut mapped, added) = (block("columns"), site.block("columns"));
        let (path, added) = (added.path.clone(), added.values);
        for (name, value) in added {
            if taken.contains(&name) {
                let message = "is a column that every message has; it cannot be mapped".to_owned();
                let path = format!("{path}.{name}");
                site.problems.push(ConfigProblem { path, message, help: Some("choose another name".to_owned()) });
                continue;
            }
            // A column keeps the place it is shipped with.
            mapped.insert(name, value);
        }
        for (name, value) in mapped {
            let path = format!("{path}.{name}");
            if !taken.insert(name.to_lowercase()) || !settings::is_column_name(&name) {
                let message = "must be a name of its own: small letters, digits and underscores".to_owned();
                site.problems.push(ConfigProblem { path, message, help: None });
                continue;
            }
            columns.extend(settings::column(&path, name, value, &codes, site.problems));
        }
        let accept = settings::accept(site.block("accept"));
        site.finish();
        let names = columns.iter().map(|column| column.name.clone()).collect();
        Self { plan: Arc::new(Plan { names, columns, accept }) }
    }

    /// The names of the columns, in order.
    pub fn columns(&self) -> &[String] {
        &self.plan.names
    }

    /// The place of a column.
    pub(crate) fn position(&self, name: &str) -> Option<usize> {
        self.plan.names.iter().position(|column| column == name)
    }

    /// The values of a message, one per column, or why the source does not take it.
    pub(crate) fn values(&self, source: &Source<'_>) -> Result<Vec<Option<String>>, Problem> {
        self.plan.accept.check(source.message)?;
        self.plan.columns.iter().map(|column| column.value(source, None)).collect()
    }
}

/// The columns that every row has.
fn fixed() -> Vec<Column> {
    let of_the_header = OF_THE_HEADER.iter().filter_map(|(name, path)| {
        let from = From::First { paths: vec![Path::parse(path).ok()?], codes: None, is_time: *name == "message_at" };
        Some(Column { is_required: REQUIRED.contains(name), ..Column::new((*name).to_owned(), from) })
    });
    let mut columns = vec![Column::new(MESSAGE.to_owned(), From::Message)];
    columns.extend(of_the_header);
    columns.push(Column::new(CHARSET_NOTE.to_owned(), From::CharsetNote));
    columns
}

impl Accept {
    /// Whether this source takes a message, by what its header says.
    fn check(&self, message: &Message<'_>) -> Result<(), Problem> {
        let refuse = |reason, field| Err(Problem::header(reason, Some(field)));
        let Some(header) = message.segments.first() else { return refuse(RejectReason::Hl7NoHeader, 1) };
        let component = |number: usize, component: usize| {
            let text = message.field(header, number).and_then(|field| field.component(component));
            text.map(|text| text.raw_value().trim()).unwrap_or_default()
        };
        let version = component(12, 1);
        if !(version.is_empty() || version == "2" || version.starts_with("2.")) {
            return refuse(RejectReason::Hl7Version, 12);
        }
        let is_listed = |list: &[String], text: &str| list.is_empty() || list.iter().any(|item| item == text);
        if !is_listed(&self.versions, version) {
            return refuse(RejectReason::Hl7Version, 12);
        }
        if !is_listed(&self.processing, component(11, 1)) {
            return refuse(RejectReason::Hl7ProcessingId, 11);
        }
        let (message_type, event) = (component(9, 1), component(9, 2));
        let mut of_type = self.types.iter().filter(|(name, _)| name == message_type).peekable();
        if !self.types.is_empty() && of_type.peek().is_none() {
            return refuse(RejectReason::Hl7MessageType, 9);
        }
        if !self.types.is_empty() && !of_type.any(|(_, wanted)| wanted.as_ref().is_none_or(|wanted| wanted == event)) {
            return refuse(RejectReason::Hl7TriggerEvent, 9);
        }
        Ok(())
    }
}
