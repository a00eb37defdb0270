//! Which patient records are one person: found by rules, decided by people, undone exactly.

use std::collections::BTreeMap;

use crate::world::{Row, World, copy_folder, repository};

/// Records beside those of the simulated hospital, by the fields in which they matter.
const RECORDS: [[&str; 8]; 14] = [
    // id, mrn, national id, first name, last name, born, phone, postal code
    ["T-01", "T1", "111-22-3333", "Jose", "Garciaz", "1980-04-12", "212-555-0101", "10001"],
    // Typed by another desk: name in capitals, day and month swapped, no national id.
    ["T-02", "T2", "", "JOSE", "GARCIAZ", "1980-12-04", "(212) 555-0101", "10001"],
    ["T-03", "T3", "222-33-4444", "Zbigniew", "Wyszynski", "1955-07-19", "212-555-0103", "10003"],
    ["T-04", "T4", "222 33 4444", "Zbigniew", "Wyszynsky", "1955-07-19", "", "10777"],
    // Twins under their mother's number, and a mother with her newborn.
    ["T-05", "T5", "333-44-5555", "Anna", "Quartz", "2020-05-06", "212-555-0105", "10005"],
    ["T-06", "T6", "333-44-5555", "Beata", "Quartz", "2020-05-06", "212-555-0105", "10005"],
    ["T-07", "T7", "444-55-6666", "Clara", "Vexholm", "1994-01-30", "212-555-0107", "10007"],
    ["T-08", "T8", "444-55-6666", "Newborn", "Vexholm", "2026-02-20", "212-555-0107", "10007"],
    // Three who have nothing in common.
    ["T-09", "T9", "", "Ivo", "Abendroth", "1961-02-03", "212-555-0109", "10009"],
    ["T-10", "T10", "", "Petra", "Blankenese", "1972-03-04", "212-555-0110", "10010"],
    ["T-11", "T11", "", "Quirin", "Cronenberg", "1983-04-05", "212-555-0111", "10011"],
    // One record number given out twice, to one person and to two.
    ["T-12", "T12", "", "Ottokar", "Dornbusch", "1949-09-09", "212-555-0112", "10012"],
    ["T-13", "T12", "", "Otokar", "Dornbusch", "1949-09-09", "", "10013"],
    ["T-14", "T12", "", "Walburga", "Eisenhut", "1977-10-11", "", "10014"],
];

/// A small hospital whose extracts hold [`RECORDS`] too, loaded and built.
fn hospital() -> World {
    let world = World::empty();
    copy_folder(&repository().join("hospital"), world.path());
    world.ok(&["simulate", "--out", "landing", "--hospitals", "1", "--days", "2", "--dirt", "0"]);
    let mut files = 0;
    for entry in std::fs::read_dir(world.path().join("landing/patients")).unwrap() {
        let path = entry.unwrap().path();
        let mut bytes = std::fs::read(&path).unwrap();
        let end = bytes.iter().position(|byte| *byte == b'\n').unwrap();
        let header = String::from_utf8(bytes[..end].to_vec()).unwrap();
        let delimiter = header.chars().find(|sign| !sign.is_alphanumeric() && *sign != '_').unwrap();
        for record in RECORDS {
            let [id, mrn, national_id, first, last, born, phone, postal_code] = record;
            let fields = BTreeMap::from([
                ("patient_id", id),
                ("hospital_id", "H01"),
                ("mrn", mrn),
                ("national_id", national_id),
                ("first_name", first),
                ("last_name", last),
                ("gender", "F"),
                ("date_of_birth", born),
                ("phone", phone),
                ("postal_code", postal_code),
                ("registered_at", "2026-02-21 08:00:00"),
                ("updated_at", "2026-02-21 08:00:00"),
            ]);
            let columns = header.trim().split(delimiter);
            let line: Vec<&str> = columns.map(|column| fields.get(column).copied().unwrap_or_default()).collect();
            bytes.extend_from_slice(format!("{}\n", line.join(&delimiter.to_string())).as_bytes());
        }
        std::fs::write(&path, bytes).unwrap();
        files += 1;
    }
    assert!(files > 0, "the simulator wrote patients");
    world.ok(&["ingest", "--quiet"]);
    world.ok(&["build", "--quiet"]);
    world
}

/// Builds what decisions touch, and its tests.
fn rebuild(world: &World) {
    world.ok(&["build", "--quiet", "--select", "path:models/identity", "list_duplicate_patients"]);
}

/// The person of each of [`RECORDS`] that is not alone, as `T-02 → T-01`, and every record of the tables that follow from it.
fn persons(world: &World) -> Vec<String> {
    let rows = world.sql(
        "select patient_id, person_id from silver.int_person \
         where patient_id like 'T-%' and patient_id <> person_id order by patient_id",
    );
    rows.iter().map(|row| format!("{} → {}", row["patient_id"], row["person_id"])).collect()
}

fn tables(world: &World) -> Vec<Vec<Row>> {
    [
        "select * from silver.int_person order by patient_id",
        "select * from silver.int_identity_decisions order by patient_id_a, patient_id_b",
        "select * from silver.int_identity_links order by patient_id_a, patient_id_b",
        "select * from gold.list_identity_review order by patient_id_a, patient_id_b",
        "select * from gold.list_duplicate_patients order by patient_id",
        "select * from bronze.patients order by patient_id, _file, _position",
    ]
    .iter()
    .map(|query| world.sql(query))
    .collect()
}

fn queue(world: &World) -> Vec<Row> {
    let text = world.ok(&["identity", "list", "--format", "csv"]);
    csv::Reader::from_reader(text.as_bytes()).deserialize().map(|row| row.unwrap()).collect()
}

fn has_pair(queue: &[Row], one: &str, other: &str) -> bool {
    queue.iter().any(|row| row["patient_id_a"] == one && row["patient_id_b"] == other)
}

fn decide(world: &World, decision: &str, one: &str, other: &str) -> String {
    world.ok(&["identity", decision, one, other, "--reason", "seen at the desk", "--by", "clerk"])
}

#[test]
fn rules_people_and_undoing() {
    let world = hospital();
    // Rules link exact numbers whose holders agree, and nobody else.
    let by_rules = ["T-04 → T-03", "T-13 → T-12"];
    assert_eq!(persons(&world), by_rules);
    let review = queue(&world);
    let pair = review.iter().find(|row| row["patient_id_b"] == "T-02").expect("a probable duplicate waits");
    assert_eq!(pair["patient_id_a"], "T-01");
    assert!(pair["score"].parse::<f64>().unwrap() > 0.9, "{pair:?}");
    for reason in ["family name equal", "day and month of birth swapped", "phone equal", "postal code equal"] {
        assert!(pair["reasons"].contains(reason), "{pair:?}");
    }
    assert!(has_pair(&review, "T-05", "T-06"), "twins under one number are for a person to tell");
    assert!(!has_pair(&review, "T-12", "T-14"), "one record number for two names is no duplicate");
    let min = world.ok(&["identity", "list", "--min-score", "1", "--format", "csv"]);
    assert!(!min.contains("T-02"), "{min}");
    let before = tables(&world);
    let epoch = world.ok(&["epochs", "list"]);

    // Recorded at once, shown after the next build.
    assert!(decide(&world, "merge", "T-02", "T-01").contains("after the next"));
    assert_eq!(world.sql("select * from silver.int_person order by patient_id"), before[0]);
    assert!(!has_pair(&queue(&world), "T-01", "T-02"), "a decided pair waits no longer");
    assert!(decide(&world, "merge", "T-01", "T-02").contains("stands already"));
    rebuild(&world);
    assert_eq!(persons(&world), ["T-02 → T-01", "T-04 → T-03", "T-13 → T-12"]);

    // Taken back: every row as before, bronze untouched, both decisions kept.
    decide(&world, "unmerge", "T-01", "T-02");
    rebuild(&world);
    assert_eq!(tables(&world), before);
    assert_ne!(world.ok(&["epochs", "list"]), epoch);
    let history = world.ok(&["identity", "history", "T-02", "--format", "csv"]);
    let decisions: Vec<Row> =
        csv::Reader::from_reader(history.as_bytes()).deserialize().map(|row| row.unwrap()).collect();
    let told: Vec<_> = decisions.iter().map(|row| (row["decision"].as_str(), row["actor"].as_str())).collect();
    assert_eq!(told, [("merge", "clerk"), ("unmerge", "clerk")]);

    // A circle of merges is one person; a merge into it again changes nothing.
    for (one, other) in [("T-09", "T-10"), ("T-10", "T-11"), ("T-11", "T-09")] {
        decide(&world, "merge", one, other);
    }
    // Two persons, whatever the rules say.
    decide(&world, "distinct", "T-03", "T-04");
    decide(&world, "distinct", "T-06", "T-05");
    rebuild(&world);
    assert_eq!(persons(&world), ["T-10 → T-09", "T-11 → T-09", "T-13 → T-12"]);
    assert_eq!(world.value("select distinct record_count from silver.int_person where person_id = 'T-09'"), "3");
    assert!(!has_pair(&queue(&world), "T-05", "T-06"));

    // One link of the circle less leaves one person; parting two of it shows the contradiction.
    decide(&world, "unmerge", "T-09", "T-10");
    decide(&world, "distinct", "T-09", "T-10");
    // A merge over `distinct` and back again: distinct stands as before.
    decide(&world, "merge", "T-03", "T-04");
    decide(&world, "unmerge", "T-04", "T-03");
    rebuild(&world);
    assert_eq!(persons(&world), ["T-10 → T-09", "T-11 → T-09", "T-13 → T-12"]);
    assert_eq!(world.count("silver.int_person where is_contradicted"), 3);
    let review = queue(&world);
    let contradicted: Vec<_> = review.iter().filter(|row| row["kind"] == "contradicted").collect();
    assert_eq!(contradicted.len(), 1, "{contradicted:?}");
    assert!(has_pair(&review, "T-09", "T-10"));

    // What cannot be: an unknown record, which is not named, and taking back what no merge made.
    let reason = ["--reason", "seen at the desk", "--by", "clerk"];
    let printed = world.fails(2, &[&["identity", "merge", "T-01", "T-9999"], &reason[..]].concat());
    assert!(printed.contains("second record") && !printed.contains("T-9999"), "{printed}");
    let printed = world.fails(2, &[&["identity", "unmerge", "T-12", "T-13"], &reason[..]].concat());
    assert!(printed.contains("identity distinct"), "{printed}");

    // Nothing new: nothing is built again.
    let epochs = world.ok(&["epochs", "list"]);
    rebuild(&world);
    assert_eq!(world.ok(&["epochs", "list"]), epochs);
}

#[test]
fn what_cannot_be_decided_is_refused_without_repeating_ids() {
    let world = World::empty();
    copy_folder(&repository().join("hospital"), world.path());
    let reason = ["--reason", "seen at the desk", "--by", "clerk"];
    let refused = |arguments: &[&str], text: &str| {
        let printed = world.fails(2, &[&["identity"], arguments, &reason].concat());
        assert!(printed.contains(text), "{printed}");
        assert!(!printed.contains("T-9999"), "{printed}");
    };
    refused(&["merge", "T-9999", "T-01"], "wardlake build");
    refused(&["merge", "T-9999", "T-9999"], "two different records");
    let printed = world.fails(2, &["identity", "merge", "a", "b", "--reason", " ", "--by", "clerk"]);
    assert!(printed.contains("--reason"), "{printed}");
    let printed = world.fails(2, &["identity", "merge", "a", "b", "--reason", "x", "--by", ""]);
    assert!(printed.contains("--by"), "{printed}");
    let printed = world.fails(2, &["identity", "list"]);
    assert!(printed.contains("wardlake build"), "{printed}");
    // Before the first decision there is none, of anybody.
    for of in [&["identity", "history", "--format", "csv"][..], &["identity", "history", "T-9999", "--format", "csv"]] {
        assert_eq!(world.ok(of), "decision_id,at,actor,decision,patient_id_a,patient_id_b,reason\n");
    }
}

#[test]
fn a_project_without_records_to_decide_about_says_how_they_are_declared() {
    let world = World::empty();
    world.write("dbt_project.yml", "name: shop\nversion: '1.0'\n");
    world.write("models/a.sql", "select 1 as id");
    world.ok(&["build", "--quiet"]);
    for arguments in
        [&["identity", "list"][..], &["identity", "merge", "a", "b", "--reason", "seen at the desk", "--by", "clerk"]]
    {
        let printed = world.fails(2, arguments);
        assert!(printed.contains("no model has the setting `identity`"), "{printed}");
        assert!(printed.contains("config.meta.wardlake"), "{printed}");
    }
}

#[test]
fn names_and_the_rule_of_pairs_are_the_projects_own() {
    let world = World::empty();
    world.write("dbt_project.yml", "name: shop\nversion: '1.0'\n");
    world.write(
        "models/sources.yml",
        "sources:\n  - name: system\n    schema: system\n    tables:\n      - name: identity_decisions\n",
    );
    world.write(
        "models/people.yml",
        "models:\n  - name: people\n    config:\n      meta:\n        wardlake:\n          identity: {record: card, decisions: \
         ref('standing'), review: ref('queue')}\n",
    );
    world.write("models/people.sql", "{{ config(materialized='table') }} select 'k1' as card union all select 'k2'");
    // By this project's rule the first decision about a pair stands, whatever follows.
    world.write(
        "models/standing.sql",
        "{{ config(materialized='table') }}\nselect patient_id_a, patient_id_b, min(decision) as decision\n\
         from (select *, row_number() over (partition by patient_id_a, patient_id_b order by \"at\") as nth\n\
         from {{ source('system', 'identity_decisions') }}) as decided\nwhere nth = 1 group by 1, 2 -- the first",
    );
    world.write(
        "models/queue.sql",
        "{{ config(materialized='table') }} select 'k1' as patient_id_a, 'k2' as patient_id_b, 0.9 as score",
    );
    world.ok(&["build", "--quiet"]);
    assert_eq!(queue(&world).len(), 1);
    let decide =
        |decision: &str| ["identity", decision, "k2", "k1", "--reason", "seen", "--by", "clerk"].map(str::to_owned);
    let run = |decision: &str| world.ok(&decide(decision).each_ref().map(String::as_str));
    assert!(run("distinct").contains("after the next"));
    assert_eq!(queue(&world).len(), 0, "a pair decided since the build waits no longer");
    assert!(run("merge").contains("after the next"));
    assert!(run("distinct").contains("stands already"), "the first decision stands");
    let printed = world.fails(2, &decide("unmerge").each_ref().map(String::as_str));
    assert!(printed.contains("no decided merge"), "{printed}");
    let printed = world.fails(2, &["identity", "merge", "k1", "k9", "--reason", "seen", "--by", "clerk"]);
    assert!(printed.contains("by its card") && !printed.contains("k9"), "{printed}");
}
