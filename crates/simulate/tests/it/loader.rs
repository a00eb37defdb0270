//! The places the truth names are those at which our own loader finds the rows, with the settings of the hospital project.

use crate::files::{run, small};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use wardlake_connect::{Event, FileTable, discover, read};
use wardlake_simulate::{DirtKind, ENTITIES, Entity, SimulationOptions, truth};

fn format(entity: Entity) -> Value {
    match entity {
        Entity::Patients => {
            json!({"type": "csv", "delimiter": "|", "encoding": "windows-1252", "ragged": "reject"})
        }
        _ if entity.extension() != "csv" => json!({"type": entity.extension()}),
        _ => json!({"type": "csv", "delimiter": crate::rows::delimiter(entity).to_string()}),
    }
}

#[test]
fn the_loader_finds_the_rows_where_the_truth_says() {
    let (root, summary) = run(&SimulationOptions { days: 6, ..small(31, 0.2) });
    let truth = truth::read(root.path()).expect("the truth");
    for entity in ENTITIES {
        let path = format!("{0}/{0}_{{date}}.{1}", entity.name(), entity.extension());
        let table = FileTable::from_json(&Value::Null, &json!({"path": path, "format": format(entity)}));
        let table = table.expect("settings");
        let (mut rows, mut rejected) = (BTreeSet::new(), BTreeSet::new());
        for file in discover(&table, root.path()).expect("files") {
            let place = |line: u64| (file.relative.clone(), line);
            read(&file, &table, None, None, 1, &mut |event| {
                match event {
                    Event::Chunk(chunk) => rows.extend(chunk.positions.values().iter().map(|line| place(*line as u64))),
                    Event::Rejected(record) => drop(rejected.insert(place(record.line))),
                }
                Ok(())
            })
            .expect("a readable file");
        }
        assert_eq!((rows.len() + rejected.len()) as u64, summary.rows_by_entity[entity.name()], "{}", entity.name());
        let listed = |is_rejected: bool| -> BTreeSet<(String, u64)> {
            let is_cut = |kind| kind == DirtKind::TruncatedLine;
            let of_entity = truth.dirty_rows.iter().filter(|row| row.entity == entity.name() && !row.kind.is_of_file());
            of_entity
                .filter(|row| is_cut(row.kind) == is_rejected)
                .flat_map(|row| [Some(row.line), row.pair_line].map(|line| Some((row.file.clone(), line?))))
                .flatten()
                .collect()
        };
        assert!(listed(false).is_subset(&rows), "{}", entity.name());
        match entity {
            // A line cut short is padded here: its last columns, `updated_at` among them, are empty.
            Entity::Encounters | Entity::Transfers | Entity::Billing => {
                assert!(rejected.is_empty() && listed(true).is_subset(&rows) && !listed(true).is_empty());
            }
            _ => assert_eq!(rejected, listed(true), "{}", entity.name()),
        }
    }
}
