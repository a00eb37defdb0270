//! Names, formats and columns of the files.

use crate::files::{files, records, run, small};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use wardlake_simulate::{ENTITIES, Entity, OutputFormat, SimulateError, SimulationOptions, simulate};

/// First line of an entity's first file, its columns with a delimiter between them.
const HEADERS: &[(Entity, char, &str)] = &[
    (Entity::Hospitals, ',', "hospital_id,hospital_name,city,state,time_zone,hospital_type,bed_count,opened_date"),
    (Entity::Rooms, ';', "room_id,hospital_id,department_id,room_number,room_type"),
    (Entity::Beds, ';', "bed_id,hospital_id,department_id,room_id,bed_label,bed_type,is_staffed,status"),
    (
        Entity::Patients,
        '|',
        "patient_id,hospital_id,mrn,national_id,first_name,last_name,gender,date_of_birth,phone,email,address_line,city,postal_code,insurance_id,registered_at,deceased_date,updated_at",
    ),
    (Entity::Physicians, ',', "physician_id,hospital_id,department_id,first_name,last_name,specialty,hired_date"),
    (Entity::Nurses, ',', "nurse_id,hospital_id,department_id,first_name,last_name,grade,hired_date"),
    (Entity::Employees, '\t', "employee_id,hospital_id,department_id,first_name,last_name,role,hired_date,left_date"),
    (
        Entity::Attendance,
        ',',
        "attendance_id,employee_id,hospital_id,department_id,shift_date,shift_type,scheduled_start_at,scheduled_end_at,clock_in_at,clock_out_at,status",
    ),
    (
        Entity::Encounters,
        '|',
        "encounter_id,patient_id,hospital_id,department_id,encounter_class,admission_type,arrived_at,triaged_at,triage_level,provider_seen_at,admit_decision_at,departed_ed_at,admitted_at,expected_discharge_date,discharged_at,discharge_disposition,attending_physician_id,diagnosis_code,diagnosis_text,updated_at",
    ),
    (
        Entity::Transfers,
        '|',
        "movement_id,encounter_id,patient_id,hospital_id,department_id,room_id,bed_id,movement_type,started_at,ended_at,reason,updated_at",
    ),
    (
        Entity::Appointments,
        ';',
        "appointment_id,patient_id,physician_id,hospital_id,department_id,appointment_type,booked_at,scheduled_at,duration_minutes,checked_in_at,status,follow_up_date,updated_at",
    ),
    (
        Entity::Billing,
        '^',
        "bill_id,encounter_id,patient_id,hospital_id,insurance_id,bill_date,amount,discount,tax,final_amount,amount_paid,payment_date,payment_status,payment_method,updated_at",
    ),
    (Entity::Payers, ',', "payer_id,payer_name,payer_type"),
    (
        Entity::Insurance,
        '~',
        "insurance_id,patient_id,payer_id,plan_name,coverage_type,premium,coverage_start_date,coverage_end_date",
    ),
    (
        Entity::Medications,
        ',',
        "medication_id,medication_name,atc_code,route,strength,strength_unit,ddd,ddd_unit,unit_cost",
    ),
    (
        Entity::Dispensed,
        '\t',
        "dispense_id,encounter_id,patient_id,hospital_id,department_id,medication_id,prescriber_id,quantity,returned_quantity,dispensed_at",
    ),
];

const OBJECTS: &[(Entity, &str)] = &[
    (
        Entity::Departments,
        "department_id,hospital_id,department_name,department_type,floor,staffed_beds,head_physician_id,updated_at",
    ),
    (
        Entity::Claims,
        "claim_id,bill_id,encounter_id,patient_id,payer_id,submitted_at,billed_amount,allowed_amount,paid_amount,status,denial_code,denial_reason,adjudicated_at,updated_at",
    ),
    (
        Entity::Adt,
        "event_id,event_type,occurred_at,recorded_at,hospital_id,patient_id,encounter_id,department_id,room_id,bed_id,prior_department_id,prior_bed_id,merged_into_patient_id",
    ),
];

#[test]
fn every_entity_has_one_file_a_day_with_its_columns() {
    let (root, summary) = run(&small(1, 0.0));
    assert_eq!(HEADERS.len() + OBJECTS.len(), ENTITIES.len());
    assert_eq!(summary.files, 4 * ENTITIES.len() as u64);
    for (entity, delimiter, columns) in HEADERS {
        let files = files(root.path(), *entity);
        let name = files[0].file_name().expect("a name").to_string_lossy().into_owned();
        assert_eq!(name, format!("{}_2026-03-02.csv", entity.name()));
        assert_eq!(files.len(), 4, "{}", entity.name());
        for file in files {
            let bytes = fs::read(file).expect("a file");
            let line: String = bytes.iter().take_while(|byte| **byte != b'\n').map(|byte| char::from(*byte)).collect();
            let header = line.trim_start_matches("\u{ef}\u{bb}\u{bf}").trim_end_matches('\r');
            assert_eq!(header, columns.replace(',', &delimiter.to_string()));
        }
    }
}

#[test]
fn json_objects_have_the_columns_in_order() {
    let (root, _) = run(&small(1, 0.0));
    for (entity, columns) in OBJECTS {
        for file in files(root.path(), *entity) {
            let text = fs::read_to_string(file).expect("a file");
            let objects: Vec<Value> = if *entity == Entity::Departments {
                serde_json::from_str(&text).expect("an array")
            } else {
                text.lines().map(|line| serde_json::from_str(line).expect("an object")).collect()
            };
            assert!(!objects.is_empty(), "{} holds nothing", entity.name());
            for object in objects {
                let names: Vec<&str> = object.as_object().expect("an object").keys().map(String::as_str).collect();
                assert_eq!(names.join(","), *columns);
            }
        }
    }
}

#[test]
fn appointments_begin_with_a_byte_order_mark_and_end_lines_with_crlf() {
    let (root, _) = run(&small(1, 0.0));
    let bytes = fs::read(&files(root.path(), Entity::Appointments)[0]).expect("a file");
    assert!(bytes.starts_with(b"\xEF\xBB\xBF") && bytes.ends_with(b"\r\n"));
}

#[test]
fn patients_are_windows_1252() {
    let (root, _) = run(&small(1, 0.0));
    let bytes = fs::read(&files(root.path(), Entity::Patients)[0]).expect("a file");
    assert!(std::str::from_utf8(&bytes).is_err(), "a name with an accent is one byte per letter");
}

#[test]
fn equal_options_write_equal_bytes() {
    for dirt in [0.0, 0.1] {
        let ((one, _), (other, _)) = (run(&small(9, dirt)), run(&small(9, dirt)));
        for entity in ENTITIES {
            for (left, right) in files(one.path(), entity).iter().zip(files(other.path(), entity)) {
                assert!(fs::read(left).expect("a file") == fs::read(&right).expect("a file"), "{}", right.display());
            }
        }
        for name in ["dirty_rows.csv", "kpis.json"] {
            let read = |root: &tempfile::TempDir| fs::read(root.path().join("_truth").join(name)).expect("a file");
            assert!(read(&one) == read(&other), "{name}");
        }
    }
}

/// Every file below a folder, with its bytes.
fn tree(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        let name = PathBuf::from(path.file_name().expect("a name"));
        if path.is_dir() {
            found.extend(tree(&path).into_iter().map(|(inner, bytes)| (name.join(inner), bytes)));
        } else {
            found.insert(name, fs::read(path).expect("a file"));
        }
    }
    found
}

#[test]
fn neither_threads_nor_pace_change_a_byte() {
    let formats = vec![OutputFormat::Csv, OutputFormat::Hl7];
    let options = SimulationOptions { hospitals: 4, formats, threads: 1, ..small(9, 0.1) };
    let alone = tree(run(&options).0.path());
    assert!(
        alone.keys().any(|path| path.starts_with("_truth/clean")) && alone.keys().any(|path| path.starts_with("hl7"))
    );
    assert!(alone == tree(run(&SimulationOptions { threads: 3, ..options.clone() }).0.path()));
    assert!(alone == tree(run(&SimulationOptions { speed: Some(1e9), ..options }).0.path()));
}

#[test]
fn nothing_unfinished_is_left_behind() {
    let (root, _) = run(&small(2, 0.1));
    for entity in ENTITIES {
        for file in files(root.path(), entity) {
            assert!(!file.to_string_lossy().ends_with(".tmp"), "{}", file.display());
        }
    }
}

#[test]
fn options_out_of_range_are_refused() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let wrong = [
        SimulationOptions { hospitals: 0, ..SimulationOptions::default() },
        SimulationOptions { days: 0, ..SimulationOptions::default() },
        SimulationOptions { dirt: 1.5, ..SimulationOptions::default() },
        SimulationOptions { dirt: f64::NAN, ..SimulationOptions::default() },
        SimulationOptions { scale: 0.0, ..SimulationOptions::default() },
        SimulationOptions { speed: Some(0.0), ..SimulationOptions::default() },
        // Together more than every row.
        SimulationOptions::default()
            .with_dirt(&["0.9", "unknown_department=0.8"].map(|rate| rate.parse().expect("a rate"))),
    ];
    for options in wrong {
        let error = simulate(&options, folder.path(), &mut |_| {}).expect_err("refused");
        assert!(matches!(error, SimulateError::InvalidOption { .. }), "{error}");
    }
}

#[test]
fn only_the_chosen_entities_are_written_and_they_are_the_same() {
    let (all, _) = run(&small(8, 0.05));
    let (some, summary) = run(&SimulationOptions { entities: vec![Entity::Adt], ..small(8, 0.05) });
    assert_eq!(summary.rows_by_entity.keys().collect::<Vec<_>>(), ["adt"]);
    for (left, right) in files(all.path(), Entity::Adt).iter().zip(files(some.path(), Entity::Adt)) {
        assert!(fs::read(left).expect("a file") == fs::read(right).expect("a file"));
    }
}

#[test]
fn an_asked_for_number_of_events_is_nearly_met() {
    let options = SimulationOptions { entities: vec![Entity::Adt], ..SimulationOptions::default() }.for_events(40_000);
    let (_root, summary) = run(&options);
    assert!((36_000..44_000).contains(&summary.rows), "{}", summary.rows);
}

#[test]
fn a_clean_file_holds_each_key_once() {
    let (root, _) = run(&small(10, 0.0));
    for (entity, delimiter, _) in HEADERS {
        for file in files(root.path(), *entity) {
            let mut keys: Vec<String> = records(&file, *delimiter)
                .into_iter()
                .map(|mut record| record.remove(entity.columns()[0]).unwrap_or_default())
                .collect();
            let rows = keys.len();
            keys.sort();
            keys.dedup();
            assert_eq!(keys.len(), rows, "{}", file.display());
        }
    }
}
