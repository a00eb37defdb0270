//! What a source may say about its columns.

use serde_json::{Value, json};
use wardlake_connect::{
    ConfigProblem, FileTable,
    hl7::{Mapping, read_row},
};

const MESSAGE: &str = "MSH|^~\\&|APP|FAC|||20261128-0500||ADT^A01|1|P|2.5\rPID|1||P1^^^H^PI~M1^^^H^MR|||||W\r\
                       PV1|1|I|ICU^^B1\rZPV|7|20261127|Y^yes\rZPE|1|Rex\rZPE|2|Tom\r";

fn values(mapping: Value, columns: &[&str]) -> Vec<Option<String>> {
    let mapping = Mapping::from_json(&mapping).unwrap();
    let row = read_row(MESSAGE.as_bytes(), &mapping).unwrap();
    columns.iter().map(|column| row.get(column).map(str::to_owned)).collect()
}

#[test]
fn the_shipped_mapping_is_whole() {
    let mapping = Mapping::default();
    let of_the_brief = "message message_control_id message_type trigger_event message_structure version sending_application \
        sending_facility receiving_application receiving_facility message_at charset_note event_type event_id hospital_id \
        patient_id patient_id_authority national_id family_name given_name birth_date gender encounter_id patient_class \
        department_id room_id bed_id facility prior_department_id prior_room_id prior_bed_id admitted_at discharged_at \
        occurred_at recorded_at merged_patient_id merged_encounter_id merged_into_patient_id second_patient \
        zbe_movement_id zbe_action zbe_original_event zbe_is_historic observations charges prescriptions appointment";
    for name in of_the_brief.split_whitespace() {
        assert!(mapping.columns().iter().any(|column| column == name), "{name}");
    }
    let shipped: Value = serde_json::from_str(include_str!("../../../src/hl7/mapping/default.json")).unwrap();
    for name in shipped["columns"].as_object().unwrap().keys() {
        assert!(mapping.columns().contains(name), "{name} is not usable");
    }
    // As a site's own, they would be reported if they were wrong.
    assert_eq!(Mapping::from_json(&shipped).unwrap(), mapping);
}

#[test]
fn a_site_adds_and_replaces_columns() {
    let mapping = json!({
        "columns": {
            "ward_phone": "ZPV-1",
            "patient_id": ["PID-3[?5=MR]", "PID-3"],
            "transport_at": {"from": ["ZPV-9", "ZPV-2"], "time": true},
            "wants_tv": {"from": "ZPV-3", "codes": {"y": "yes"}},
            "visit_key": {"join": ["MSH-4", "PV1-19", "PV1-3.3"], "with": "-"},
            "pets": {"list": "ZPE", "fields": {"name": "ZPE-2", "nr": "ZPE-1"}},
            "z_lines": {"list": "ZPE"},
            "bed": {"object": {"ward": "PV1-3", "room": "PV1-3.2"}},
            "only_merges": {"from": "PID-3", "when": "MRG"},
        },
        "codes": {"gender": {"W": "female"}},
    });
    let columns = [
        "ward_phone",
        "patient_id",
        "transport_at",
        "wants_tv",
        "visit_key",
        "pets",
        "z_lines",
        "bed",
        "only_merges",
        "gender",
    ];
    let expected = [
        Some("7"),
        Some("M1"),
        Some("20261127-0500"),
        Some("yes"),
        Some("FAC--B1"),
        Some(r#"[{"item":"1","name":"Rex","nr":"1"},{"item":"2","name":"Tom","nr":"2"}]"#),
        Some(r#"["ZPE|1|Rex","ZPE|2|Tom"]"#),
        Some(r#"{"ward":"ICU"}"#),
        None,
        Some("female"),
    ];
    assert_eq!(values(mapping.clone(), &columns), expected.map(|value| value.map(str::to_owned)));
    let names = Mapping::from_json(&mapping).unwrap().columns().to_vec();
    let place = |name: &str| names.iter().position(|column| column == name);
    let shipped = Mapping::default();
    assert_eq!(place("patient_id"), shipped.columns().iter().position(|column| column == "patient_id"));
    assert_eq!(names.len(), shipped.columns().len() + 8);
}

#[test]
fn a_site_says_what_it_takes() {
    for (mapping, expected) in [
        (json!({"accept": {"types": ["ADT"]}}), None),
        (json!({"accept": {"types": ["ORU", "ADT^A01"], "processing": "P", "versions": ["2.3", "2.5"]}}), None),
        (json!({"accept": {"types": ["ORU"]}}), Some("hl7_message_type 200")),
        (json!({"accept": {"types": ["ADT^A02", "ADT^A03"]}}), Some("hl7_trigger_event 201")),
        (json!({"accept": {"processing": ["T"]}}), Some("hl7_processing_id 202")),
        (json!({"accept": {"versions": ["2.3"]}}), Some("hl7_version 203")),
        (json!({"columns": {"visit": {"from": "PV1-19", "required": true}}}), Some("hl7_required_field 101 PV1 19")),
        (json!({"columns": {"visit": {"from": "PV1-3", "required": true}}}), None),
        (
            json!({"columns": {"class": {"from": "PV1-2", "codes": {"O": "out"}, "closed": true}}}),
            Some("hl7_table_value 103 PV1 2"),
        ),
        (json!({"columns": {"class": {"from": "PV1-2", "codes": {"i": "in"}, "closed": true}}}), None),
    ] {
        let read = read_row(MESSAGE.as_bytes(), &Mapping::from_json(&mapping).unwrap());
        match (read, expected) {
            (Ok(_), None) => {}
            (Err(problem), Some(expected)) => {
                let place = format!("{} {}", problem.location.segment, problem.location.field.unwrap());
                let told = format!("{} {} {place}", problem.reason.code(), problem.code().code());
                assert!(told.starts_with(expected), "{mapping}: {told}");
            }
            (read, _) => panic!("{mapping}: {read:?}"),
        }
    }
}

#[test]
fn every_problem_of_a_mapping_is_named_at_once() {
    let block = json!({"path": "*", "format": {"type": "hl7", "mapping": {
        "colums": {},
        "columns": {
            "message": "MSH-1",
            "_file": "MSH-3",
            "Ward": "PV1-3",
            "a": "PV1",
            "b": ["PID-3", "PID-3[?5].1"],
            "c": 7,
            "d": {"time": true},
            "e": {"from": "PID-3", "list": "PID"},
            "f": {"from": "PID-8", "codes": "gendr", "time": "yes"},
            "g": {"from": "PID-8", "codes": 7},
            "h": {"list": "obx", "fields": {"x": "OBX"}},
            "i": {"object": {}},
            "j": {"from": "PID-3", "when": "MERGE", "requird": true},
        },
        "codes": {"gender": ["F"]},
        "accept": {"types": 7, "kinds": ["ADT"]},
    }}});
    let problems = FileTable::from_json(&Value::Null, &block).unwrap_err();
    let mut paths: Vec<&str> = problems.iter().map(|problem| problem.path.as_str()).collect();
    paths.sort_unstable();
    let prefix = "format.mapping.";
    let mut expected = [
        "accept.kinds",
        "accept.types",
        "codes.gender",
        "colums",
        "columns.Ward",
        "columns._file",
        "columns.a",
        "columns.b",
        "columns.c",
        "columns.d",
        "columns.e",
        "columns.f.codes",
        "columns.f.time",
        "columns.g.codes",
        "columns.h.fields.x",
        "columns.h.list",
        "columns.i.object",
        "columns.j.requird",
        "columns.j.when",
        "columns.message",
    ];
    expected.sort_unstable();
    assert_eq!(paths, expected.map(|path| format!("{prefix}{path}")));
    let help = |path: &str| {
        let is_it = |problem: &&ConfigProblem| problem.path == format!("{prefix}{path}");
        problems.iter().find(is_it).and_then(|problem| problem.help.clone())
    };
    assert_eq!(help("colums").as_deref(), Some("did you mean `columns`?"));
    assert_eq!(help("columns.f.codes").as_deref(), Some("did you mean `gender`?"));
    let other = json!({"path": "*", "format": {"type": "csv", "mapping": {"columns": {"x": "ZPV-1"}}}});
    assert_eq!(FileTable::from_json(&Value::Null, &other).unwrap_err()[0].path, "format.mapping");
}

#[test]
fn the_hospital_project_knows_every_column() {
    let source = include_str!("../../../../../hospital/sources/hl7.yml");
    let named: Vec<&str> = source.lines().filter_map(|line| line.strip_prefix("          - name: ")).collect();
    assert_eq!(named, Mapping::default().columns());
    let macros = include_str!("../../../../../hospital/macros/hl7.sql");
    for column in named {
        assert!(macros.contains(&format!("'{column}'")), "{column} is missing where there is no table yet");
    }
}
