//! `tests/scenarios/hl7_messages.slt` says what is expected and how the file reads. Every case is a hospital of its own in one lake: one
//! load and one build serve them all.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
};

use wardlake_simulate::{SimulationOptions, simulate};

use crate::world::{World, copy_folder, repository};

const FILE: &str = "crates/wardlake/tests/scenarios/hl7_messages.slt";
const DAY: &str = "2026-01-05";
/// The live half, who is one person, and the staging of messages.
const MODELS: [&str; 7] = [
    "run",
    "--select",
    "+path:models/live",
    "+int_person",
    "path:models/staging/hl7",
    "--exclude",
    "mart_operational__reconciliation",
];
/// Queries: name, and the SQL that gives `hospital` and `line`.
const QUERIES: [(&str, &str); 9] = [
    (
        "census",
        "select hospital_id as hospital, concat(encounter_id, ' ', surviving_patient_id, ' ', department_id, '^', \
         coalesce(room_id, ''), '^', coalesce(bed_id, ''), ' ', bed_state, ' ', gender, ' ', age_band) as line \
         from silver.int_live_census",
    ),
    ("beds", "select hospital_id as hospital, bed_key || ' ' || bed_status as line from silver.int_bed_status"),
    (
        "stays",
        "select hospital_id as hospital, concat(encounter_id, ' ', department_id, '^', coalesce(room_id, ''), '^', \
         coalesce(bed_id, ''), ' ', to_char(utc_to_local(valid_from, 'America/New_York'), 'HH24:MI'), ' ', \
         coalesce(to_char(utc_to_local(valid_to, 'America/New_York'), 'HH24:MI'), '-')) as line \
         from gold.fct_bed_movement where recorded_to is null",
    ),
    (
        "findings",
        "select hospital_id as hospital, coalesce(encounter_id, '-') || ' ' || kind as line from silver.int_bed_findings",
    ),
    ("left out", "select hospital_id as hospital, event_type || ' ' || reason as line from silver.stg_hl7__left_out"),
    ("staged", "select hospital_id as hospital, event_type as line from silver.stg_hl7__adt"),
    (
        "results",
        "select hospital_id as hospital, concat(observation_code, ' ', order_code, ' ', count(*)) as line \
         from silver.stg_hl7__observations group by hospital_id, observation_code, order_code",
    ),
    // There is one clock, and the last case asks for it.
    ("clock", "select 'C15' as hospital, to_char(as_of_local_at, 'HH24:MI') as line from silver.int_live_clock"),
    (
        "persons",
        "select 'C' || substr(patient_id, 1, 2) as hospital, patient_id || ' ' || person_id as line from silver.int_person \
         where patient_id <> person_id",
    ),
];

/// One hospital of the file.
struct Case {
    name: String,
    number: String,
    messages: Vec<String>,
    queries: Vec<Expected>,
}

/// A query, and the lines it has to give.
struct Expected {
    line: usize,
    query: String,
    rows: BTreeSet<String>,
}

fn cases() -> Vec<Case> {
    let text = std::fs::read_to_string(repository().join(FILE)).unwrap();
    let mut cases: Vec<Case> = Vec::new();
    let mut lines = text.lines().map(str::trim_end).enumerate();
    while let Some((index, line)) = lines.next() {
        let number =
            line.strip_prefix("# ").and_then(|name| name.get(..2)).filter(|number| number.parse::<u8>().is_ok());
        if let Some(number) = number {
            let (name, number) = (line[2..].to_owned(), number.to_owned());
            cases.push(Case { name, number, messages: Vec::new(), queries: Vec::new() });
        } else if !line.is_empty() && !line.starts_with('#') {
            let record: Vec<&str> = lines.by_ref().map(|(_, line)| line).take_while(|line| !line.is_empty()).collect();
            let case = cases.last_mut().unwrap();
            match line.strip_prefix("query ") {
                Some(query) => {
                    assert_eq!(record.first(), Some(&"----"), "{FILE}:{}", index + 1);
                    let rows = record[1..].iter().map(|row| (*row).to_owned()).collect();
                    case.queries.push(Expected { line: index + 1, query: query.to_owned(), rows });
                }
                None => {
                    assert_eq!(line, "statement messages", "{FILE}:{}", index + 1);
                    for line in record {
                        if let Some(segment) = line.strip_prefix("  ") {
                            let message = case.messages.last_mut().unwrap();
                            write!(message, "{}\r", segment.replace("{}", &case.number)).unwrap();
                        } else {
                            let id = case.messages.len() + 1;
                            case.messages.push(beginning(line, &case.number, id));
                        }
                    }
                }
            }
        }
    }
    cases
}

/// MSH and EVN of `A13 13:00 at=12:50`.
fn beginning(line: &str, case: &str, id: usize) -> String {
    let mut words = line.split_whitespace();
    let mut next = || words.next().unwrap_or_else(|| panic!("a message lacks a word: {line}"));
    let (trigger, recorded) = (next(), stamp(next()));
    let (mut message_type, mut processing, mut happened) = (format!("ADT^{trigger}"), "P", String::new());
    for word in words {
        match word.split_once('=') {
            Some(("at", time)) => happened = stamp(time),
            Some(("processing", id)) => processing = id,
            Some(("type", name)) => message_type = name.to_owned(),
            _ => panic!("there is no `{word}` of a message: {line}"),
        }
    }
    let header = format!("MSH|^~\\&|ADT|C{case}|LAKE|HOME|{recorded}||{message_type}|{id}|{processing}|2.5.1\r");
    if message_type.starts_with("ADT") { format!("{header}EVN|{trigger}|{recorded}||||{happened}\r") } else { header }
}

/// `08:00`, or `2099-01-01_08:00`, as HL7 writes it.
pub(super) fn stamp(time: &str) -> String {
    let (day, time) = time.split_once('_').unwrap_or((DAY, time));
    format!("{}{}00-0500", day.replace('-', ""), time.replace(':', ""))
}

/// The hospital project with the messages loaded and built.
pub(super) fn world_of(messages: &str) -> World {
    let world = World::empty();
    copy_folder(&repository().join("hospital"), world.path());
    // The live models look beds and departments up in the extracts.
    let extracts = SimulationOptions { hospitals: 1, days: 1, scale: 0.1, dirt: 0.0, ..SimulationOptions::default() };
    simulate(&extracts, &world.path().join("landing"), &mut |_| {}).unwrap();
    world.write("landing/hl7/cases.hl7", messages);
    world.ok(&["ingest"]);
    world.ok(&MODELS);
    world
}

/// Hospital → lines of a query.
pub(super) fn answer(world: &World, sql: &str) -> BTreeMap<String, BTreeSet<String>> {
    let mut lines: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for row in world.sql(sql) {
        lines.entry(row["hospital"].clone()).or_default().insert(row["line"].clone());
    }
    lines
}

fn lines<const N: usize>(lines: [&str; N]) -> BTreeSet<String> {
    lines.map(str::to_owned).into()
}

#[test]
fn d01_to_d12_messages_come_to_what_the_standard_says() {
    let cases = cases();
    assert_eq!(cases.len(), 15);
    let world = world_of(&cases.iter().flat_map(|case| &case.messages).cloned().collect::<String>());
    let mut wrong = Vec::new();
    for (name, sql) in QUERIES {
        let answers = answer(&world, sql);
        for case in &cases {
            for Expected { line, rows, .. } in case.queries.iter().filter(|expected| expected.query == name) {
                let got = answers.get(&format!("C{}", case.number)).cloned().unwrap_or_default();
                if got != *rows {
                    wrong.push(format!(
                        "{FILE}:{line}: {}\n  query {name}\n  expected {rows:?}\n  got      {got:?}",
                        case.name
                    ));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{} answers are wrong\n{}", wrong.len(), wrong.join("\n"));

    // Every trigger of the chapter has a meaning (A56 to A59 were never given one), and so has IHE's Z99.
    let triggers = world.sql("select event_type from silver.int_adt_triggers order by event_type");
    let known: Vec<&str> = triggers.iter().map(|row| row["event_type"].as_str()).collect();
    let chapter = (1..=62).filter(|number| !(56..=59).contains(number)).map(|number| format!("A{number:02}"));
    assert_eq!(known, chapter.chain(["Z99".to_owned()]).collect::<Vec<_>>());

    // What is left out on purpose is counted, and what cannot be is withheld: the three of 1899 and 2099, the two that lack a segment.
    let counted = world.sql(
        "select cast(rows_filtered as varchar) as filtered, cast(rows_quarantined as varchar) as withheld \
         from system.accounting where model = 'stg_hl7__adt'",
    );
    assert_eq!((counted[0]["filtered"].as_str(), counted[0]["withheld"].as_str()), ("2", "5"), "{counted:?}");
    assert_eq!(world.count("bronze.hl7_messages"), cases.iter().map(|case| case.messages.len() as u64).sum::<u64>());

    // A site whose updates move patients, and whose training counts.
    let vars = ["--full-refresh", "--vars", "{hl7_update_moves: true, hl7_processing_ids: [P, T]}"];
    world.ok(&[&MODELS[..], &vars].concat());
    let (stays, findings) = (answer(&world, QUERIES[2].1), answer(&world, QUERIES[3].1));
    assert_eq!(stays["C14"], lines(["E1 W1^101^A 08:00 10:00", "E1 W1^102^A 10:00 -"]));
    assert_eq!(findings.get("C14"), None);
    assert_eq!(stays["C10"], lines(["E1 W1^101^A 08:00 -", "E2 W1^102^A 08:10 -"]));
}
