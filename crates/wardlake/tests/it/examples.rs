//! The example projects on their public data give the known answers.

use crate::world::{World, acceptance_data, assert_same_rows, csv_rows};

fn built(name: &str) -> Option<World> {
    let world = World::example(name)?;
    world.ok(&["ingest"]);
    world.ok(&["build"]);
    Some(world)
}

/// Where a model stands: its schema is the project's choice.
fn table(world: &World, name: &str) -> String {
    let found =
        world.value(&format!("select table_schema as s from information_schema.tables where table_name = '{name}' and table_schema not in ('quarantine', 'audit')"));
    format!("{found}.{name}")
}

fn failures_of(world: &World, test: &str) -> u64 {
    let query = format!(
        "select failures from system.run_nodes where unique_id like 'test.%{test}%' order by finished_at desc limit 1"
    );
    world.value(&query).parse().unwrap()
}

/// Rows that broke an expectation in the only run.
fn broken(world: &World, model: &str, rule: &str) -> u64 {
    let query = format!("select rows_broken from system.rule_results where model = '{model}' and rule = '{rule}'");
    world.value(&query).parse().unwrap()
}

#[test]
fn patient_flow_gives_the_published_figures() {
    let Some(world) = built("patient-flow") else { return };
    let expected = acceptance_data().unwrap().join("patient-flow/expected");
    let mut views = 0;
    for entry in std::fs::read_dir(expected).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let wanted = csv_rows(&path);
        let columns: Vec<String> = wanted[0].keys().map(|column| format!("\"{column}\"")).collect();
        let got = world.sql(&format!("select {} from {}", columns.join(", "), table(&world, &name)));
        assert_same_rows(&name, got, wanted);
        views += 1;
    }
    assert_eq!(views, 8);
}

#[test]
fn patient_flow_keeps_impossible_stays_and_true_network_ratios() {
    let Some(world) = built("patient-flow") else { return };
    let facts = table(&world, "fact_patient_flow");
    assert_eq!(world.count(&facts), 2240);
    assert_eq!(world.count(&format!("{facts} where is_impossible_stay")), 43);
    let network = &world.sql(&format!("select * from {}", table(&world, "kpi_network")))[0];
    let text = format!("{network:?}");
    let has = |wanted: f64, digits: f64| {
        network.values().filter_map(|value| value.parse::<f64>().ok()).any(|value| (value - wanted).abs() < digits)
    };
    assert!(has(43.66, 0.005) && has(978.0, 1e-9) && has(4.525, 0.0005) && has(35.568, 0.0005), "{text}");
}

#[test]
fn patient_flow_says_what_the_withheld_stays_can_move() {
    let Some(world) = built("patient-flow") else { return };
    assert_eq!(broken(&world, "possible_stays", "discharge_before_admission"), 43);
    assert_eq!(world.count("quarantine.possible_stays where state = 'open'"), 43);
    assert_eq!(world.count(&table(&world, "possible_stays")), 2240 - 43);
    let bounds = world.sql("select figure, value, value_with, low, high, open_rows from system.kpi_bounds");
    let of = |figure: &str, column: &str| -> f64 {
        bounds.iter().find(|row| row["figure"] == figure).unwrap()[column].parse().unwrap()
    };
    assert_eq!((of("stays", "value"), of("stays", "value_with")), (2197.0, 2240.0));
    // With the impossible stays the figures are the network's published ones.
    assert!((of("bed_occupancy_percent", "value_with") - 43.66).abs() < 0.005);
    assert!((of("bed_turnover_rate", "value_with") - 4.525).abs() < 0.0005);
    assert!((of("avg_length_of_stay_hours", "value_with") - 35.568).abs() < 0.0005);
    assert!(of("avg_length_of_stay_hours", "value") > 35.568, "without negative stays the average is longer");
    assert!(bounds.iter().all(|row| row["open_rows"] == "43" && row["low"] <= row["high"]), "{bounds:?}");
}

#[test]
fn hms_expectations_count_every_defect() {
    let Some(world) = built("hms") else { return };
    for (model, rule, rows) in [
        ("stg_hms__patients", "discharge_before_admission", 27),
        ("stg_hms__insurance", "coverage_ends_before_start", 24),
        ("stg_hms__appointments", "follow_up_before_appointment", 25),
        ("stg_hms__billing", "payment_before_bill", 18),
        ("stg_hms__billing", "final_amount_differs", 50),
        ("stg_hms__patients", "unknown_physician", 1),
        ("stg_hms__patients", "unknown_insurance", 1),
        ("stg_hms__physicians", "physician_id_is_used_twice", 2),
    ] {
        assert_eq!(broken(&world, model, rule), rows, "{rule}");
        assert_eq!(world.count(&format!("audit.{model} where rule = '{rule}'")), rows, "{rule}");
    }
    assert_eq!(world.count("system.accounting where not is_balanced"), 0);
}

#[test]
fn hms_joins_and_figures() {
    let Some(world) = built("hms") else { return };
    let count = |name: &str, condition: &str| world.count(&format!("{}{condition}", table(&world, name)));
    assert_eq!(count("int_hospital_physicians", ""), 54);
    assert_eq!(count("int_patients_appointments", ""), 70);
    assert_eq!(count("int_patients_appointments", " where appointment_id is not null"), 52);
    assert_eq!(count("int_emp_insurance_billing", ""), 70);
    assert_eq!(count("int_insurance_billing", ""), 88);
    let loaded = world.sql("select file, rows_read, rows_rejected from system.load_log");
    assert_eq!(loaded.len(), 13, "{loaded:?}");
    assert!(loaded.iter().all(|row| row["rows_rejected"] == "0"), "{loaded:?}");
    let premiums = world.sql(&format!("select * from {}", table(&world, "mart_finance__premium_by_coverage")));
    // The data's own 10169.51 / 11 for Comprehensive; its README prints 924.50909, a digit short.
    for (coverage, premium, average) in
        [("Basic", 4784.37, 1197.816667), ("Comprehensive", 4953.45, 924.500909), ("Premium", 6742.16, 1092.87625)]
    {
        let row = premiums.iter().find(|row| row.values().any(|value| value == coverage)).unwrap();
        let has = |wanted: f64| row.values().filter_map(|v| v.parse::<f64>().ok()).any(|v| (v - wanted).abs() < 1e-4);
        assert!(has(premium) && has(average), "{row:?}");
    }
}

#[test]
fn hms_tests_find_every_defect() {
    let Some(world) = built("hms") else { return };
    for (test, failures) in [
        ("discharge_before_admission", 27),
        ("coverage_ends_before_start", 24),
        ("follow_up_before_appointment", 25),
        ("payment_before_bill", 18),
        ("final_amount_differs_from_its_parts", 50),
        ("first_name_repeats", 16),
    ] {
        assert_eq!(failures_of(&world, test), failures, "{test}");
    }
    for test in ["physician_id_is_used_twice", "patient_has_unknown_physician", "patient_has_unknown_insurance"] {
        assert_eq!(failures_of(&world, test), 1, "{test}");
    }
}

#[test]
fn patients_tab_loads_file_by_file() {
    let Some(data) = acceptance_data() else { return };
    let landing = tempfile::tempdir().unwrap();
    let world = World::example("patients-tab").unwrap().env("WARDLAKE_DATA", &landing.path().to_string_lossy());
    let folder = landing.path().join("patients-tab");
    std::fs::create_dir_all(&folder).unwrap();
    for (file, rows) in [("patient_2025_01_01.txt", 25), ("patient_2025_01_02.txt", 73), ("patient_2025_01_03.txt", 88)]
    {
        std::fs::copy(data.join("patients-tab").join(file), folder.join(file)).unwrap();
        world.ok(&["ingest"]);
        assert_eq!(world.count("bronze.patients"), rows, "{file}");
    }
    world.ok(&["ingest"]);
    assert_eq!(world.count("bronze.patients"), 88, "a rerun loads nothing");
    world.ok(&["build"]);
    let versions = world.count(&table(&world, "dim_patient"));

    let text = std::fs::read_to_string(folder.join("patient_2025_01_03.txt")).unwrap();
    let mut lines = text.lines();
    let header = lines.next().unwrap();
    let names: Vec<&str> = header.split('\t').collect();
    let mut fields: Vec<String> = lines.next().unwrap().split('\t').map(str::to_owned).collect();
    let changed = names.iter().position(|name| *name == "Address").unwrap();
    fields[changed] = "1 Changed Street".to_owned();
    std::fs::write(folder.join("patient_2025_01_04.txt"), format!("{header}\n{}\n", fields.join("\t"))).unwrap();
    world.ok(&["ingest"]);
    assert_eq!(world.count("bronze.patients"), 89);
    assert_eq!(world.count("bronze.patients where _change = 'update'"), 1);
    world.ok(&["build"]);
    assert_eq!(world.count(&table(&world, "dim_patient")), versions + 1);
}

#[test]
fn registry_loads_without_a_schema() {
    let Some(world) = built("registry") else { return };
    for (name, rows) in
        [("doctors", 191), ("nurses", 488), ("patients", 5500), ("pharmaceuticals", 796), ("diseases", 796)]
    {
        assert_eq!(world.count(&format!("bronze.{name}")), rows, "{name}");
    }
    assert_eq!(failures_of(&world, "registered_before_birth"), 165);
    assert_eq!(failures_of(&world, "zip_code_is_missing"), 5500);
    assert_eq!(broken(&world, "stg_registry__patients", "registered_before_birth"), 165);
    assert_eq!(broken(&world, "stg_registry__patients", "not_null_zip_code"), 5500);
}

#[test]
fn synthea_loads_without_a_schema() {
    let Some(world) = built("synthea-csv") else { return };
    for (name, rows) in [
        ("patients", 27),
        ("encounters", 604),
        ("conditions", 438),
        ("observations", 990),
        ("medications", 663),
        ("procedures", 249),
        ("claims", 1267),
        ("claims_transactions", 5228),
    ] {
        assert_eq!(world.count(&format!("bronze.{name}")), rows, "{name}");
    }
    let classes = world.sql("select \"ENCOUNTERCLASS\" as class, count(*) as n from bronze.encounters group by 1");
    for (class, rows) in [
        ("wellness", "348"),
        ("ambulatory", "174"),
        ("outpatient", "52"),
        ("emergency", "17"),
        ("inpatient", "11"),
        ("urgentcare", "2"),
    ] {
        assert!(classes.iter().any(|row| row["class"] == class && row["n"] == rows), "{class}: {classes:?}");
    }
}
