//! Faults found by trials from outside: numbers that senders use again, where messages came from, what was known when, repairs by signs
//! alone, what a broken-off command leaves, clocks, views, and the reference.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use wardlake_simulate::{SimulationOptions, simulate};

use crate::{
    faults::Clock,
    mllp::{Sender, admission, clinic, framed, verdict},
    served::{POLL, Served},
    world::{World, copy_folder, repository},
};

/// The hospital project beside small extracts.
fn hospital(days: u32) -> World {
    let world = World::empty();
    copy_folder(&repository().join("hospital"), world.path());
    let extracts = SimulationOptions { hospitals: 1, days, scale: 0.1, dirt: 0.0, ..SimulationOptions::default() };
    simulate(&extracts, &world.path().join("landing"), &mut |_| {}).unwrap();
    world
}

fn column(world: &World, sql: &str, name: &str) -> Vec<String> {
    world.sql(sql).into_iter().map(|row| row[name].clone()).collect()
}

/// A laboratory's result of a patient, under the number 42.
fn result(patient: &str, value: &str) -> String {
    format!(
        "MSH|^~\\&|LAB|NORTH|LAKE|HOME|20260105080000-0500||ORU^R01|42|P|2.5.1\rPID|1||{patient}\rOBR|1|O1||CBC\r\
         OBX|1|NM|WBC||{value}||||||F\r"
    )
}

/// An admission, under the number 7.
fn admitted(encounter: &str) -> String {
    format!(
        "MSH|^~\\&|ADT|NORTH|LAKE|HOME|20260105080000-0500||ADT^A01|7|P|2.5.1\rEVN|A01|20260105080000-0500\r\
         PID|1||P-{encounter}\rPV1|1|I|W1^101^{encounter}||||||||||||||||{encounter}\r"
    )
}

#[test]
fn a13_messages_under_one_number_count_each_and_a_repeat_is_counted() {
    let world = hospital(1);
    let patients = ["P1", "P2", "P3", "P4", "P5"];
    let results: String = patients.iter().map(|patient| result(patient, "4.2")).collect();
    world.write("landing/hl7/a.hl7", format!("{results}{}{}", admitted("E1"), admitted("E2")));
    // Sent again, by another way.
    world.write("landing/hl7/b.hl7", format!("{}{}", result("P1", "4.2"), admitted("E1")));
    world.ok(&["ingest"]);
    world.ok(&["run", "--select", "+path:models/staging/hl7", "+int_data_quality"]);
    world.ok(&["test", "--select", "path:models/staging/hl7"]);
    assert_eq!(world.count("bronze.hl7_messages"), 9);
    let seen = "select patient_id from silver.stg_hl7__observations order by patient_id";
    assert_eq!(column(&world, seen, "patient_id"), patients);
    let admitted = "select encounter_id from silver.stg_hl7__adt order by encounter_id";
    assert_eq!(column(&world, admitted, "encounter_id"), ["E1", "E2"]);
    // Whatever is dropped is counted, and that a number was used again is told.
    let left = "select message_type || ' ' || reason as line from silver.stg_hl7__left_out order by message_type";
    assert_eq!(column(&world, left, "line"), ["ADT repeated", "ORU repeated"]);
    let account = "select rows_duplicate as n from system.accounting where model = 'stg_hl7__adt'";
    assert_eq!(world.value(account), "1");
    let told =
        "select concat(rows_checked, ' ', rows_broken) as n from silver.int_data_quality where rule = 'id_used_again'";
    assert_eq!(world.value(told), "7 7");
}

#[test]
fn d13_bronze_says_where_a_message_came_from_and_what_was_answered() {
    let world = clinic("true\n              http: true");
    let served = Served::start(&world, &["--mllp", "127.0.0.1:0"], &["http", "mllp"]);
    let mut senders: Vec<_> = (0..2).map(|_| Sender::connect(served.mllp.unwrap()).unwrap()).collect();
    let peers: Vec<String> =
        senders.iter().map(|sender| sender.0.get_ref().local_addr().unwrap().to_string()).collect();
    for (number, sender) in (1..).zip(&mut senders) {
        assert_eq!(verdict(&sender.send(&admission(number)).unwrap()).0, "AA");
    }
    let asking = |number: u64, accept: &str, application: &str| {
        let message = String::from_utf8(admission(number)).unwrap();
        message.replacen("|2.5.1\r", &format!("|2.5.1|||{accept}|{application}\r"), 1).into_bytes()
    };
    assert_eq!(verdict(&senders[0].send(&asking(3, "AL", "NE")).unwrap()).0, "CA");
    // Nobody answers to this one; that to the next says that both are stored.
    senders[0].write(&framed(&asking(4, "NE", "NE"))).unwrap();
    assert_eq!(verdict(&senders[0].send(&admission(8)).unwrap()).0, "AA");
    let no_type = b"MSH|^~\\&|ADT|NORTH|LAKE|HOME|20261128120000|||M5|P|2.5.1\rPID|1||P1\r";
    let (refused, _) = verdict(&senders[1].send(no_type).unwrap());
    let answer = served.post("/ingest/hl7/messages", &[], &admission(6));
    assert_eq!(answer.status, 200, "{answer:?}");
    // What only the journal has says so as well.
    assert_eq!(verdict(&senders[1].send(&admission(7)).unwrap()).0, "AA");
    served.kill();
    let served = Served::start(&world, &["--mllp", "127.0.0.1:0"], &["http", "mllp"]);
    served.wait_until_shown("hl7.messages", 8);
    served.stop();
    let lines = "select message_control_id || ' ' || _peer || ' ' || coalesce(_answer, '-') as line from bronze.messages \
                 order by message_control_id";
    let wanted = [
        format!("M1 {} AA", peers[0]),
        format!("M2 {} AA", peers[1]),
        format!("M3 {} CA", peers[0]),
        format!("M4 {} -", peers[0]),
        "M6 127.0.0.1 200".to_owned(),
        format!("M7 {} AA", peers[1]),
        format!("M8 {} AA", peers[0]),
    ];
    assert_eq!(column(&world, lines, "line"), wanted);
    let rejected = world.value("select message from system.rejected_rows where _source = 'hl7.messages'");
    assert!(rejected.ends_with(&format!("; from {}, answered {refused}", peers[1])), "{rejected}");
}

#[test]
fn d13_a_refused_handshake_is_logged_with_its_address() {
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap().self_signed(&key).unwrap();
    let world = clinic("{tls: {certificate: tls/server.pem, key: tls/server.key}}");
    world.write("tls/server.pem", certificate.pem());
    world.write("tls/server.key", key.serialize_pem());
    let mut served = Served::start(&world, &["--mllp", "127.0.0.1:0"], &["http", "mllp"]);
    let mut stranger = Sender::connect(served.mllp.unwrap()).unwrap();
    let from = stranger.0.get_ref().local_addr().unwrap().to_string();
    stranger.write(&framed(&admission(1))).unwrap();
    let said = |event: &Value, part: &str| event["text"].as_str().is_some_and(|text| text.contains(part));
    let told = served.await_event(|event| event["event"] == "message" && said(event, "TLS handshake failed"));
    assert!(said(&told, &from) && said(&told, "hl7.messages"), "{told}");
    served.stop();
}

#[test]
fn d11_what_the_hospital_knew_and_what_a_screen_showed_can_both_be_asked() {
    let world = hospital(1);
    let event = |id: &str, trigger: &str, at: &str, department: &str, bed: &str| {
        let at = format!("2026-01-05 {at}:00");
        let event = json!({
            "event_id": id, "event_type": trigger, "occurred_at": at, "recorded_at": at, "hospital_id": "X",
            "patient_id": "P1", "encounter_id": "E1", "department_id": department, "bed_id": bed
        });
        format!("{event}\n")
    };
    let load = |name: &str, events: String| {
        world.write(&format!("landing/live/adt_{name}.ndjson"), events);
        world.ok(&["ingest"]);
        let newest = world.value("select cast(max(_received_at) as varchar) as at from bronze.live_adt_events");
        newest.trim_end_matches('Z').split('+').next().unwrap().replace('T', " ")
    };
    let before = load("a", event("1", "A01", "08:00", "W1", "B1") + &event("2", "A02", "09:30", "W2", "B2"));
    // An outage held this one up: recorded before the last that had arrived.
    let after = load("b", event("3", "A02", "09:00", "W3", "B3"));
    world.ok(&["run", "--select", "+path:models/live", "--exclude", "mart_operational__reconciliation"]);
    let at = "local_to_utc('2026-01-05 09:15', 'America/New_York')";
    let where_by = |census: &str, instant: &str| {
        let sql = format!(
            "select department_id from ({{{{ {census}(\"{at}\", \"{instant}\") }}}}) as census where hospital_id = 'X'"
        );
        let text = world.ok(&["show", "--inline", &sql, "--format", "csv"]);
        text.lines().skip(1).map(str::to_owned).collect::<Vec<_>>()
    };
    let by_arrival = |at: &str| where_by("census_as_shown", &format!("timestamp '{at}'"));
    assert_eq!(by_arrival(&before), ["W1"]);
    assert_eq!(by_arrival(&after), ["W3"]);
    assert_eq!(by_arrival("2026-01-05 20:00:00"), [""; 0], "nothing had arrived on that day");
    let by_record =
        |time: &str| where_by("census_as_known", &format!("local_to_utc('2026-01-05 {time}', 'America/New_York')"));
    assert_eq!(by_record("09:10"), ["W1"]);
    assert_eq!(by_record("20:00"), ["W3"]);
}

#[test]
fn b14_repairs_that_change_signs_alone_are_counted() {
    let world = World::empty();
    world.write(
        "dbt_project.yml",
        "name: audit\nversion: '1.0'\nmodel-paths: [models]\nmodels:\n  +materialized: table\n",
    );
    world.write(
        "models/feed.yml",
        "version: 2
sources:
  - name: feed
    schema: bronze
    tables:
      - name: stays
        config: {meta: {wardlake: {path: 'landing/stays.csv'}}}
models:
  - name: stays
    config:
      meta:
        wardlake:
          input: source('feed', 'stays')
          repairs:
            - {standardise: gender, spellings: {F: [w]}, codes: {U: ['?', 'U.']}}
            - standardise: payer
              spellings: {Government - Local: [Government-Local], Medicare: [], Private: []}
",
    );
    world.write(
        "models/stays.sql",
        "select stay,
    case when lower(trim(gender)) in ('f', 'f.', 'w') then 'F' else 'U' end as gender,
    case lower(trim(payer)) when 'government-local' then 'Government - Local' when 'private!' then 'Private'
        when 'medicare' then 'Medicare' else trim(payer) end as payer,
    _file as source_file, _position as source_position, gender as _raw_gender, payer as _raw_payer,
    _source as _raw__source, _file as _raw__file, _position as _raw__position, _batch_id as _raw__batch_id
from {{ source('feed', 'stays') }}",
    );
    world.write(
        "landing/stays.csv",
        "stay,gender,payer\n1,F,Medicare\n2,F.,Government-Local\n3,f,Government - Local\n4,w,medicare\n5,?,Private!\n6,U.,Medicare\n",
    );
    world.ok(&["ingest"]);
    world.ok(&["build"]);
    let counted =
        "select rule || ' ' || raw_value as line from audit.stays where action = 'repair' order by rule, raw_value";
    let wanted = [
        "standardise_gender F.",
        "standardise_gender w",
        "standardise_payer Government-Local",
        "standardise_payer Private!",
    ];
    assert_eq!(column(&world, counted, "line"), wanted);
}

/// Waits until there is a file in a folder.
fn await_file(folder: &Path) {
    let began = Instant::now();
    while fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_none()) || !folder.is_dir() {
        assert!(began.elapsed() < Duration::from_secs(60), "nothing came to be in {}", folder.display());
        std::thread::sleep(POLL);
    }
}

/// Starts a command and interrupts it as soon as it writes.
fn interrupted(world: &World, command: &str) {
    let mut child = world.spawn(&[command]);
    await_file(&world.path().join("lake/_writing"));
    let signal = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(signal.success());
    assert!(!child.wait().unwrap().success(), "{command} was over before it was interrupted");
}

/// All files below a folder.
fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten().map(Result::unwrap) {
        match entry.path() {
            path if path.is_dir() => files(&path, found),
            path => found.push(path),
        }
    }
}

/// Files of the lake that no reader will ever read, and all temporary ones.
fn leftovers(world: &World) -> Vec<String> {
    let (mut all, mut temporary) = (Vec::new(), Vec::new());
    files(&world.path().join("lake"), &mut all);
    files(&world.path().join("tmp"), &mut temporary);
    let logs: String = all
        .iter()
        .filter(|path| path.components().any(|part| part.as_os_str() == "_delta_log"))
        .filter_map(|path| fs::read_to_string(path).ok())
        .collect();
    let is_left = |path: &&PathBuf| {
        let (name, text) = (path.file_name().unwrap().to_string_lossy(), path.to_string_lossy());
        let is_data = name.ends_with(".parquet") && !text.contains("_delta_log");
        name.contains('#')
            || text.contains("_landing/tmp/")
            || text.contains("/_writing/")
            || (is_data && !logs.contains(&*name))
    };
    all.iter().filter(is_left).chain(&temporary).map(|path| path.display().to_string()).collect()
}

/// What a writer has under way that is cut off.
fn cut_off(world: &World, table: &str) {
    world.write("lake/_landing/tmp/0f", "half");
    world.write(&format!("lake/{table}/part-00000-cut-off.parquet"), "half");
    world.write(&format!("lake/{table}/part-00001.parquet#77"), "half");
    world.write("lake/_epochs/9.json#5", "half");
    world.write("tmp/wardlake-scratch-1-1/lock", "");
    world.write("tmp/wardlake-scratch-1-1/rows", "Smith");
}

#[test]
fn c05_what_an_interrupted_command_leaves_goes_with_the_next_one() {
    let world = hospital(20);
    fs::create_dir(world.path().join("tmp")).unwrap();
    let tmp = world.path().join("tmp").display().to_string();
    let world = world.env("TMPDIR", &tmp);
    interrupted(&world, "ingest");
    // Its first commit never came.
    cut_off(&world, "bronze/hl7_messages");
    world.ok(&["maintain"]);
    assert_eq!(leftovers(&world), [""; 0], "maintain");
    world.ok(&["ingest"]);
    interrupted(&world, "build");
    cut_off(&world, "bronze/patients");
    assert_ne!(leftovers(&world), [""; 0]);
    world.ok(&["run", "--select", "+stg_hospital__departments"]);
    assert_eq!(leftovers(&world), [""; 0], "the next command");
}

#[test]
fn c08_a_clock_before_1970_is_told_and_nothing_panics() {
    let Some(clock) = Clock::of_its_own() else { return };
    let world = clock.drives(clinic("true"));
    world.ok(&["ls"]);
    clock.set("-80y");
    for arguments in [&["ls"][..], &["ingest"], &["build", "--log-format", "json"], &["serve", "--http", "127.0.0.1:0"]]
    {
        let told = world.fails(2, arguments);
        assert!(told.contains("before 1970") && !told.contains("panicked"), "{arguments:?}: {told}");
    }
    clock.set("+0");
    world.ok(&["ls"]);
}

/// A project of views over one table of a column in capitals.
fn views(views: &[(&str, &str)]) -> World {
    let world = World::empty();
    world.write("dbt_project.yml", "name: ward\nversion: '1.0'\nmodel-paths: [models]\n");
    world.write(
        "models/feed.yml",
        "version: 2\nsources:\n  - name: feed\n    schema: bronze\n    tables:\n      - name: patients\n        config: \
         {meta: {wardlake: {path: 'landing/*.csv'}}}\n",
    );
    for (name, sql) in views {
        world.write(&format!("models/{name}.sql"), sql);
    }
    world.write("landing/a.csv", "PatientID,ward\n1,A\n");
    world.ok(&["ingest"]);
    world
}

#[test]
fn e10_a_view_whose_types_fit_nothing_fails_with_its_cause() {
    let of = |condition: &str| format!("select ward from {{{{ source('feed', 'patients') }}}} where {condition}");
    let broken = [
        ("compared", of("_received_at = true")),
        ("listed", of("_received_at in (select _position from {{ source('feed', 'patients') }})")),
        ("between", of("_received_at between true and false")),
    ];
    let mut models: Vec<(&str, &str)> = broken.iter().map(|(name, sql)| (*name, sql.as_str())).collect();
    models.push(("sound", "select ward from {{ source('feed', 'patients') }}"));
    let world = views(&models);
    let told = world.fails(1, &["build"]);
    for (name, _) in &broken {
        assert!(told.contains(&format!("models/{name}.sql")), "{name}: {told}");
    }
    for cause in ["comparison operation Timestamp", "BETWEEN", "Int64"] {
        assert!(told.contains(cause), "{cause}: {told}");
    }
    let built = "select relation from system.run_nodes where status = 'success' and relation like 'main.%'";
    assert_eq!(column(&world, built, "relation"), ["main.sound"]);
}

fn readme() -> String {
    fs::read_to_string(repository().join("README.md")).unwrap()
}

#[test]
fn e07_the_readme_says_how_columns_in_capitals_are_read() {
    let said = "SQL folds names without quotes to small letters: a column `PatientID` is read as `\"PatientID\"`.";
    assert!(readme().contains(said));
    let world = views(&[]);
    assert_eq!(column(&world, "select \"PatientID\" as id from bronze.patients", "id"), ["1"]);
    let told = world.fails(2, &["sql", "select PatientID from bronze.patients"]);
    assert!(told.contains("patientid") && told.contains("\"PatientID\""), "{told}");
}

#[test]
fn e11_the_readme_says_how_to_get_the_binary_into_the_path() {
    let readme = readme();
    let (install, first) = (readme.find("cargo install --path crates/wardlake"), readme.find("wardlake ingest"));
    assert!(install.is_some() && install < first, "{install:?} {first:?}");
    let manifest = fs::read_to_string(repository().join("crates/wardlake/Cargo.toml")).unwrap();
    assert!(manifest.contains("name = \"wardlake\""), "{manifest}");
}

#[test]
fn e13_the_reference_of_functions_is_at_hand_and_true() {
    let world = World::empty();
    for name in ["sources", "expectations", "functions"] {
        let page = fs::read_to_string(repository().join(format!("docs/reference/{name}.md"))).unwrap();
        assert!(world.ok(&["reference", name]) == page, "docs/reference/{name}.md: run `cargo xtask reference`");
    }
    let page = world.ok(&["reference", "functions"]);
    assert!(page.matches("\n## ").count() > 80, "{page}");
    for (page, setting) in [("sources", "| `format.null` |"), ("expectations", "| `expectations[].between.min` |")] {
        assert!(world.ok(&["reference", page]).contains(setting), "{page}: {setting}");
    }
    let all = world.ok(&["functions"]);
    assert!(all.contains("age_years(birth, at)\n    Completed years from birth to at"), "{all}");
    for (name, part) in [
        ("age_years", "age_years(date '2000-02-29', date '2001-02-28') → 0"),
        ("TIMEZONE", "x at time zone zone"),
        ("substr", "substr(str, start_pos"),
        ("row_number", "row_number()"),
        ("approx_distinct", "approx_distinct(expression)"),
    ] {
        let shown = world.ok(&["functions", name]);
        assert!(shown.contains(part), "{name}: {shown}");
    }
    let told = world.fails(2, &["functions", "age_year"]);
    assert!(told.contains("`age_years`"), "{told}");
}
