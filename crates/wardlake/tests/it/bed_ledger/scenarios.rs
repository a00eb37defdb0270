//! `tests/scenarios/bed_ledger.slt` says what is expected and how the file reads. Every scenario is a hospital of its own in one lake:
//! one load and one build serve them all.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value as Json, json};
use wardlake_simulate::{SimulationOptions, simulate};

use crate::world::{Row, World, copy_folder, repository};

const FILE: &str = "crates/wardlake/tests/scenarios/bed_ledger.slt";
const DAY: &str = "2026-01-05";
/// Censuses asked for in one query.
const CHUNK: usize = 16;

/// Queries of views: name, and what follows `select hospital_id,`.
const VIEWS: [(&str, &str); 9] = [
    (
        "findings",
        "coalesce(encounter_id, case when kind = 'merge_cycle' then patient_id end, '-') || ' ' || kind as line \
         from silver.int_bed_findings",
    ),
    ("beds", "bed_id || ' ' || bed_status as line from silver.int_bed_status"),
    ("bed keys", "bed_key || ' ' || bed_status as line from silver.int_bed_status"),
    (
        "occupancy",
        "concat(department_id, ' occupied=', patients_in_bed, ' held=', beds_held, ' cleaning=', beds_cleaning) as line \
         from gold.kpi_live_occupancy",
    ),
    (
        "occupancy 10:00",
        "concat(department_id, ' occupied=', patients_in_bed) as line from gold.kpi_live_occupancy_hourly \
         where to_char(hour_local_at, 'HH24:MI') = '10:00'",
    ),
    (
        "occupancy 16:00",
        "concat(department_id, ' occupied=', patients_in_bed) as line from gold.kpi_live_occupancy_hourly \
         where to_char(hour_local_at, 'HH24:MI') = '16:00'",
    ),
    (
        "waiting",
        "concat(department_id, ' waiting=', waiting_now, ' over_4h=', waiting_over_4h, ' longest=', \
         cast(longest_wait_minutes as bigint), ' median_now=', cast(median_waited_minutes as bigint), ' ended=', \
         waits_ended_today, ' median=', cast(median_wait_minutes as bigint), ' p90=', cast(p90_wait_minutes as bigint)) as line \
         from gold.kpi_live_waiting",
    ),
    (
        "movements",
        "concat(department_id, ' admissions=', admissions, ' discharges=', discharges, ' in=', transfers_in, ' out=', \
         transfers_out) as line from gold.kpi_live_movements_today",
    ),
    (
        "expected",
        "concat(encounter_id, ' ', bed_id, ' ', to_char(expected_discharge_local_at, 'HH24:MI'), ' overdue=', is_overdue) \
         as line from gold.list_live_expected_discharges",
    ),
];

/// One hospital of the file.
struct Scenario {
    name: String,
    hospital: String,
    events: Vec<Json>,
    queries: Vec<Expected>,
}

/// A query, and the lines it has to give.
struct Expected {
    line: usize,
    query: String,
    rows: BTreeSet<String>,
}

/// Reads the file: `# 07 name` begins a scenario, `statement events` and `query …` are its records, an empty line ends a record.
fn scenarios() -> Vec<Scenario> {
    let text = std::fs::read_to_string(repository().join(FILE)).unwrap();
    let mut scenarios: Vec<Scenario> = Vec::new();
    let mut lines = text.lines().map(str::trim_end).enumerate();
    while let Some((index, line)) = lines.next() {
        let number =
            line.strip_prefix("# ").and_then(|name| name.get(..2)).filter(|number| number.parse::<u8>().is_ok());
        if let Some(number) = number {
            let (name, hospital) = (line[2..].to_owned(), format!("S{number}"));
            scenarios.push(Scenario { name, hospital, events: Vec::new(), queries: Vec::new() });
        } else if !line.is_empty() && !line.starts_with('#') {
            let record: Vec<&str> = lines.by_ref().map(|(_, line)| line).take_while(|line| !line.is_empty()).collect();
            let scenario = scenarios.last_mut().unwrap();
            match line.strip_prefix("query ") {
                Some(query) => {
                    assert_eq!(record.first(), Some(&"----"), "{FILE}:{}", index + 1);
                    let rows = record[1..].iter().map(|row| (*row).to_owned()).collect();
                    scenario.queries.push(Expected { line: index + 1, query: query.to_owned(), rows });
                }
                None => {
                    assert_eq!(line, "statement events", "{FILE}:{}", index + 1);
                    for event in record {
                        scenario.events.push(event_of(event, &scenario.hospital, scenario.events.len()));
                    }
                }
            }
        }
    }
    scenarios
}

/// Department, room and bed of `W1`, `W1/B1` or `W1/101/A`; `-` for what is not told.
fn place(word: &str) -> [&str; 3] {
    match word.split('/').collect::<Vec<_>>()[..] {
        [department] => [department, "-", "-"],
        [department, bed] => [department, "-", bed],
        [department, room, bed] => [department, room, bed],
        _ => panic!("no place: {word}"),
    }
}

/// `A02 E1 10:00 W2/B2 prior=B1 recorded=10:05` as the event that a hospital sends.
fn event_of(line: &str, hospital: &str, number: usize) -> Json {
    let mut words = line.split_whitespace();
    let mut next = || words.next().unwrap_or_else(|| panic!("an event lacks a word: {line}"));
    let (trigger, encounter, at) = (next(), next(), next());
    let mut event = Map::new();
    let mut put = |name: &str, value: &str| {
        if value != "-" {
            event.insert(name.to_owned(), value.into());
        }
    };
    let instant = |time: &str| format!("{DAY} {time}:00");
    put("event_id", &format!("{hospital}-{number}"));
    put("event_type", trigger);
    put("hospital_id", hospital);
    put("encounter_id", encounter);
    put("patient_id", &encounter.replace('E', "P"));
    put("occurred_at", &instant(at));
    put("recorded_at", &instant(at));
    for word in words {
        match word.split_once('=') {
            None => {
                let [department, room, bed] = place(word);
                put("department_id", department);
                put("room_id", room);
                put("bed_id", bed);
            }
            Some(("expected", time)) => put("expected_discharge_at", &instant(time)),
            Some(("id", id)) => put("event_id", &format!("{hospital}-{id}")),
            Some(("recorded", time)) => put("recorded_at", &instant(time)),
            Some(("patient", id)) => put("patient_id", id),
            Some(("prior", bed)) if !bed.contains('/') => put("prior_bed_id", bed),
            Some(("prior", word)) => {
                let [department, room, bed] = place(word);
                put("prior_department_id", department);
                put("prior_room_id", room);
                put("prior_bed_id", bed);
            }
            Some(("into", id)) => put("merged_into_patient_id", id),
            Some(("merged", id)) => put("merged_patient_id", id),
            Some(("merges", id)) => put("merged_encounter_id", id),
            Some(("second", second)) => {
                let (encounter, place) = second.split_once(':').unwrap();
                let (department, bed) = place.split_once('/').unwrap();
                let patient = encounter.replace('E', "P");
                let second = json!({"patient_id": patient, "encounter_id": encounter, "department_id": department, "bed_id": bed});
                put("second_patient", &second.to_string());
            }
            Some(("zbe", movement)) => {
                let names = ["zbe_movement_id", "zbe_action", "zbe_original_event"];
                names.into_iter().zip(movement.split(':')).for_each(|(name, value)| put(name, value));
            }
            Some((name, _)) => panic!("there is no `{name}` of an event: {line}"),
        }
    }
    Json::Object(event)
}

/// The hospital project with all scenarios loaded and built.
fn world(scenarios: &[Scenario]) -> World {
    let world = World::empty();
    copy_folder(&repository().join("hospital"), world.path());
    // The live models look beds and departments up in the extracts.
    let extracts = SimulationOptions { hospitals: 1, days: 1, scale: 0.1, dirt: 0.0, ..SimulationOptions::default() };
    simulate(&extracts, &world.path().join("landing"), &mut |_| {}).unwrap();
    let events = scenarios.iter().flat_map(|scenario| &scenario.events);
    world.write("landing/live/adt_scenarios.ndjson", events.map(|event| format!("{event}\n")).collect::<String>());
    world.ok(&["ingest"]);
    world.ok(&["run", "--select", "+path:models/live", "--exclude", "mart_operational__reconciliation"]);
    world
}

/// Rows of each hospital as lines of text.
fn by_hospital(rows: Vec<Row>, columns: &[&str]) -> BTreeMap<String, BTreeSet<String>> {
    let mut lines: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for row in rows {
        let line: Vec<&str> = columns.iter().map(|column| row[*column].as_str()).collect();
        lines.entry(row["hospital_id"].clone()).or_default().insert(line.join(" "));
    }
    lines
}

/// Query → hospital → lines.
type Answers = BTreeMap<String, BTreeMap<String, BTreeSet<String>>>;

fn answers(world: &World, scenarios: &[Scenario]) -> Answers {
    let asked: BTreeSet<&str> =
        scenarios.iter().flat_map(|scenario| &scenario.queries).map(|expected| expected.query.as_str()).collect();
    let censuses: Vec<&str> = asked.iter().copied().filter(|query| query.starts_with("census ")).collect();
    let mut answers = Answers::new();
    for chunk in censuses.chunks(CHUNK) {
        let queries: Vec<String> = chunk.iter().map(|query| census_sql(query)).collect();
        let sql = queries.join("\nunion all\n");
        let text = world.ok(&["show", "--inline", &sql, "--limit", "1000000", "--format", "csv"]);
        let rows: Vec<Row> = csv::Reader::from_reader(text.as_bytes()).deserialize().map(Result::unwrap).collect();
        let mut by_query: BTreeMap<String, Vec<Row>> = BTreeMap::new();
        for row in rows {
            by_query.entry(row["query"].clone()).or_default().push(row);
        }
        for query in chunk {
            let rows = by_query.remove(*query).unwrap_or_default();
            answers.insert((*query).to_owned(), by_hospital(rows, &["encounter", "patient", "place", "bed_state"]));
        }
    }
    for (name, sql) in VIEWS {
        let rows = world.sql(&format!("select hospital_id, {sql}"));
        answers.insert(name.to_owned(), by_hospital(rows, &["line"]));
    }
    answers
}

/// `census 10:00 known 10:30` by the project's macros.
fn census_sql(query: &str) -> String {
    let instant = |time: &str| format!("local_to_utc('{DAY} {time}:00', 'America/New_York')");
    let words: Vec<&str> = query.split_whitespace().collect();
    let census = match words[..] {
        ["census", at] => format!("census_at(\"{}\")", instant(at)),
        ["census", at, "known", known] => format!("census_as_known(\"{}\", \"{}\")", instant(at), instant(known)),
        _ => panic!("no query: {query}"),
    };
    format!(
        "select '{query}' as query, hospital_id, encounter_id as encounter, surviving_patient_id as patient, \
         coalesce(department_id, '-') || '/' || coalesce(bed_id, '-') as place, bed_state from ({{{{ {census} }}}}) as census"
    )
}

#[test]
fn scenarios_have_the_census_then_and_now() {
    let scenarios = scenarios();
    assert!(scenarios.len() >= 78, "{} scenarios", scenarios.len());
    let world = world(&scenarios);
    let answers = answers(&world, &scenarios);
    let mut wrong = Vec::new();
    for scenario in &scenarios {
        assert!(!scenario.events.is_empty() && !scenario.queries.is_empty(), "{}", scenario.name);
        for Expected { line, query, rows } in &scenario.queries {
            let got = answers[query].get(&scenario.hospital).cloned().unwrap_or_default();
            if got != *rows {
                wrong.push(format!(
                    "{FILE}:{line}: {}\n  query {query}\n  expected {rows:?}\n  got      {got:?}",
                    scenario.name
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{} answers are wrong\n{}", wrong.len(), wrong.join("\n"));
}
