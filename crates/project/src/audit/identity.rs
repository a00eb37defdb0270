//! `config.meta.wardlake.identity` of the model of persons: what people decide about which records are one person is about its
//! rows, and models of the project say what stands.

use serde_json::{Map, Value as Json};
use wardlake_core::Location;

use super::{
    RelationCall,
    read::{AuditProblem, known_or_near, relation_call},
};
use crate::jinja::RefCall;

pub(crate) const SECTION: &str = "identity";
const KEYS: [&str; 3] = ["record", "decisions", "review"];
const EXAMPLE: &str =
    "as in `identity: {record: patient_id, decisions: ref('decided_pairs'), review: ref('pairs_to_decide')}`";

/// The models by which `wardlake identity` decides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The column of this model by which people know a record. Every record that can be decided about has a row.
    pub record: String,
    /// The model that says what stands for a pair of records: `patient_id_a` (the smaller), `patient_id_b` and `decision`, `merge` or
    /// `distinct`; a pair without a standing decision has no row.
    pub decisions: RefCall,
    /// The model of the pairs that wait for a decision: `patient_id_a`, `patient_id_b`, `score` and whatever helps to decide.
    pub review: RefCall,
    /// Where it is written.
    pub location: Location,
}

impl Identity {
    /// Reads the setting of a model; none if it has none. Everything that is wrong comes at once. `location` says where it is written.
    pub(crate) fn read(
        block: &Map<String, Json>,
        location: impl FnOnce() -> Location,
    ) -> (Option<Self>, Vec<AuditProblem>) {
        let Some(setting) = block.get(SECTION) else { return (None, Vec::new()) };
        let mut problems = Vec::new();
        let mut wrong = |message: String, help: String| {
            problems.push(AuditProblem { section: SECTION.to_owned(), index: None, message, help: Some(help) });
        };
        let Some(map) = setting.as_object() else {
            wrong(format!("`{SECTION}` must be a mapping of {}", KEYS.join(", ")), EXAMPLE.to_owned());
            return (None, problems);
        };
        for key in map.keys().filter(|key| !KEYS.contains(&key.as_str())) {
            wrong(format!("`{key}` is not a setting of `{SECTION}`"), known_or_near(key, &KEYS));
        }
        let record = map.get("record").and_then(Json::as_str).filter(|record| !record.trim().is_empty());
        if record.is_none() {
            wrong(format!("`{SECTION}` must name the column of a record as `record`"), EXAMPLE.to_owned());
        }
        let mut model = |key: &str| match map.get(key).and_then(Json::as_str).and_then(relation_call) {
            Some(RelationCall::Ref(call)) => Some(call),
            _ => {
                wrong(format!("`{SECTION}` must name a model as `{key}: ref('…')`"), EXAMPLE.to_owned());
                None
            }
        };
        let (decisions, review) = (model("decisions"), model("review"));
        let read = match (record, decisions, review) {
            (Some(record), Some(decisions), Some(review)) => {
                Some(Self { record: record.to_owned(), decisions, review, location: location() })
            }
            _ => None,
        };
        (read, problems)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(setting: Json) -> (Option<Identity>, Vec<String>) {
        let block = json!({ "identity": setting });
        let location = Location { file: "models/persons.yml".into(), line: 7, column: 3 };
        let (read, problems) = Identity::read(block.as_object().unwrap(), || location);
        (read, problems.into_iter().map(|problem| problem.message).collect())
    }

    #[test]
    fn models_are_named_and_every_problem_is_told_at_once() {
        let whole = json!({"record": "id", "decisions": "ref('standing')", "review": "{{ ref('queue') }}"});
        let (identity, problems) = read(whole);
        let identity = identity.unwrap();
        assert_eq!((identity.record.as_str(), identity.decisions.name.as_str()), ("id", "standing"));
        assert_eq!((identity.review.name.as_str(), identity.location.line), ("queue", 7));
        assert_eq!(problems, Vec::<String>::new());
        let (identity, problems) = read(json!({"decisions": "source('a', 'b')", "reveiw": "ref('queue')"}));
        assert_eq!(identity, None);
        assert_eq!(problems.len(), 4, "{problems:?}");
        let (identity, problems) = read(json!("int_person"));
        assert_eq!((identity, problems.len()), (None, 1));
    }
}
