//! Every kind of source. A new one is a folder beside this file and a line in it.

use crate::{files, http, kafka, mllp, source::Kind};

/// The kinds, in the order in which their settings are read and what is wrong with them is told.
pub const KINDS: &[Kind] = &[
    files::KIND, // `path`
    kafka::KIND,
    http::KIND,
    mllp::KIND,
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::{Map, Value, json};

    use super::*;
    use crate::{FileTable, source::Fields};

    /// What editors are told of the settings of a source table: beside the kinds themselves the one place that lists their settings.
    const SCHEMA: &str = include_str!("../../../schemas/source-table.schema.json");

    /// The keys of a source table that are a kind's own.
    fn own_keys(kind: &Kind) -> Vec<&'static str> {
        let mut problems = Vec::new();
        let mut fields = Fields::new("", Map::new(), &mut problems);
        assert!((kind.read)(&mut fields).is_none(), "{}: without its setting there is no source", kind.key);
        let keys = fields.known().to_vec();
        drop(fields);
        assert!(problems.is_empty(), "{}: nothing is wrong where nothing is said: {problems:?}", kind.key);
        keys
    }

    /// The settings within the block of a key, if that is one.
    fn settings_within<'s>(schema: &'s Value, key: &str) -> Option<&'s Map<String, Value>> {
        let key = &schema["properties"][key];
        let mut forms = key["anyOf"].as_array().into_iter().flatten().chain([key]);
        forms.find_map(|form| form["properties"].as_object())
    }

    #[test]
    fn every_kind_has_keys_of_its_own_that_the_schema_knows() {
        let schema: Value = serde_json::from_str(SCHEMA).unwrap();
        let ways_to_be_fed = schema["anyOf"].as_array().unwrap();
        let mut taken = BTreeSet::new();
        for kind in KINDS {
            let keys = own_keys(kind);
            assert!(keys.contains(&kind.key), "{}: is what asks for it", kind.key);
            assert!(ways_to_be_fed.contains(&json!({"required": [kind.key]})), "{}: feeds a table", kind.key);
            for key in keys {
                assert!(schema["properties"][key].is_object(), "{key}: is in schemas/source-table.schema.json");
                assert!(taken.insert(key), "{key}: is no other kind's");
            }
        }
        assert_eq!(ways_to_be_fed.len(), KINDS.len(), "the schema knows no kind that is not here");
    }

    #[test]
    fn wrong_settings_of_every_kind_are_all_told_at_once_each_with_its_key() {
        let schema: Value = serde_json::from_str(SCHEMA).unwrap();
        // A list of lists is the value of no setting.
        let wrong = json!([[]]);
        for kind in KINDS {
            let (mut block, mut wanted) = (Map::new(), BTreeSet::new());
            let keys = own_keys(kind);
            for key in &keys {
                let value = match settings_within(&schema, key) {
                    None => {
                        wanted.insert((*key).to_owned());
                        wrong.clone()
                    }
                    Some(settings) => {
                        let names = settings.keys().map(String::as_str).chain(["no_such_setting"]);
                        let within: Map<String, Value> = names.map(|name| (name.to_owned(), wrong.clone())).collect();
                        wanted.extend(within.keys().map(|name| format!("{key}.{name}")));
                        Value::Object(within)
                    }
                };
                block.insert((*key).to_owned(), value);
            }
            let problems = FileTable::from_json(&Value::Null, &Value::Object(block)).unwrap_err();
            let told: BTreeSet<String> = problems.iter().map(|problem| problem.path.clone()).collect();
            let untold: Vec<&String> = wanted.difference(&told).collect();
            assert!(untold.is_empty(), "{}: {untold:?} are wrong and not told of", kind.key);
            // What is wrong with one kind is not laid to another's charge.
            let is_own = |path: &String| keys.iter().any(|key| path.split('.').next() == Some(*key));
            assert!(told.iter().all(is_own), "{}: {told:?}", kind.key);
        }
    }

    #[test]
    fn every_kind_says_its_key_of_what_it_reads() {
        for (key, value) in [
            ("path", json!("beds_{date}.csv")),
            ("kafka", json!({"brokers": "broker:9092", "topics": "adt"})),
            ("http", json!(true)),
            ("mllp", json!({"listen": "127.0.0.1:2575"})),
        ] {
            let block = Value::Object(Map::from_iter([(key.to_owned(), value)]));
            let table = FileTable::from_json(&Value::Null, &block).unwrap();
            let kinds: Vec<&str> = table.sources.iter().map(|source| source.kind()).collect();
            assert_eq!(kinds, [key]);
        }
    }
}
