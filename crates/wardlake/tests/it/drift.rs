//! Extracts that change their shape: nothing stops, nothing is lost, and the report names each change.

use crate::world::World;

const PROJECT: &str = "name: drift\nversion: '1.0'\nmodel-paths: [models, sources]\n";

fn source(settings: &str) -> String {
    format!(
        "version: 2\nsources:\n  - name: feed\n    schema: bronze\n    tables:\n      - name: beds\n        config:\n          meta:\n            wardlake:\n{settings}"
    )
}

#[test]
fn columns_come_go_move_and_change_type() {
    let world = World::empty();
    world.write("dbt_project.yml", PROJECT);
    world.write(
        "sources/feed.yml",
        source(
            "              path: 'landing/beds_{date}.csv'\n              keys: [bed]\n              change: full\n",
        ),
    );
    world.write("landing/beds_2025-01-01.csv", "bed,ward,floor\n1,A,2\n2,B,3\n");
    world.ok(&["ingest"]);
    world.write("landing/beds_2025-01-02.csv", "ward,bed,floor,staffed\nA,1,second,Y\nB,2,third,N\n");
    let printed = world.ok(&["ingest"]);
    for part in ["added column staffed", "reordered column ward", "retyped column floor (integer → text)"] {
        assert!(printed.contains(part), "`{part}` is missing in:\n{printed}");
    }
    world.write("landing/beds_2025-01-03.csv", "ward,bed,staffed\nA,1,Y\nB,2,N\n");
    assert!(world.ok(&["ingest"]).contains("missing column floor"));
    assert_eq!(world.count("bronze.beds"), 6, "every state of every bed");
    let floors = world.sql("select floor, staffed from bronze.beds where bed = '1' order by _file");
    let floors: Vec<(&str, &str)> = floors.iter().map(|row| (row["floor"].as_str(), row["staffed"].as_str())).collect();
    assert_eq!(floors, [("2", ""), ("second", "Y"), ("", "Y")]);
    let logged = world.value("select count(*) as n from system.load_log where drift like '%retyped%'");
    assert_eq!(logged, "1");
}

#[test]
fn a_bad_line_is_kept_with_its_bytes_and_the_rest_is_loaded() {
    let world = World::empty();
    world.write("dbt_project.yml", PROJECT);
    world.write("sources/feed.yml", source("              path: 'landing/*.csv'\n"));
    world.write("landing/beds.csv", b"bed,ward\n1,A\n2,B,surplus\n3,\xff\xfe\n4,D\n".as_slice());
    world.ok(&["ingest"]);
    let kept = world.sql("select _position, reason, length from system.rejected_rows order by _position");
    assert_eq!(world.count("bronze.beds") + kept.len() as u64, 4, "{kept:?}");
    assert_eq!(kept[0]["reason"], "too_many_fields");
    assert_eq!(kept[0]["_position"], "3");
}

#[test]
fn deletions_are_detected_and_unfinished_files_wait() {
    let world = World::empty();
    world.write("dbt_project.yml", PROJECT);
    world.write("sources/feed.yml", source("              path: 'landing/beds_{date}.csv'\n              keys: [bed]\n              change: full\n              deletes: detect\n"));
    world.write("landing/beds_2025-01-01.csv", "bed,ward\n1,A\n2,B\n");
    world.write("landing/beds_2025-01-02.csv.part", "bed,ward\n1,A\n");
    world.ok(&["ingest"]);
    assert_eq!(world.count("bronze.beds"), 2);
    std::fs::rename(
        world.path().join("landing/beds_2025-01-02.csv.part"),
        world.path().join("landing/beds_2025-01-02.csv"),
    )
    .unwrap();
    world.ok(&["ingest"]);
    assert_eq!(world.value("select bed from bronze.beds where _change = 'delete'"), "2");
}

#[test]
fn a_file_that_grew_loads_its_new_rows_only() {
    let world = World::empty();
    world.write("dbt_project.yml", PROJECT);
    world.write("sources/feed.yml", source("              path: 'landing/*.ndjson'\n"));
    world.write("landing/beds.ndjson", "{\"bed\":1}\n{\"bed\":1}\n");
    world.ok(&["ingest"]);
    world.write("landing/beds.ndjson", "{\"bed\":1}\n{\"bed\":1}\n{\"bed\":2}\n{\"bed\":1}\n");
    world.ok(&["ingest"]);
    assert_eq!(world.count("bronze.beds"), 4);
    world.write("landing/beds.ndjson", "{\"bed\":1}\n{\"bed\":1}\n{\"bed\":2}\n{\"bed\":1}\n");
    world.ok(&["ingest"]);
    assert_eq!(world.count("bronze.beds"), 4, "touched, not changed");
}

#[test]
fn a_file_read_again_behind_a_late_one_keeps_its_rejected_records_once() {
    let world = World::empty();
    world.write("dbt_project.yml", PROJECT);
    world.write(
        "sources/feed.yml",
        source(
            "              path: 'landing/beds_{date}.csv'\n              keys: [bed]\n              change: full\n",
        ),
    );
    world.write("landing/beds_2025-01-01.csv", "bed,ward\n1,A\n");
    world.write("landing/beds_2025-01-03.csv", "bed,ward\n1,A\n2,B,surplus\n");
    world.ok(&["ingest"]);
    world.write("landing/beds_2025-01-02.csv", "bed,ward\n1,C\n");
    world.ok(&["ingest"]);
    assert_eq!(world.count("bronze.beds"), 3, "A, then C, then A again");
    assert_eq!(world.count("system.rejected_rows"), 1);
}

#[test]
fn a_file_is_compared_with_the_one_before_it_however_late_it_comes() {
    let world = World::empty();
    world.write("dbt_project.yml", PROJECT);
    world.write(
        "sources/feed.yml",
        source(
            "              path: 'landing/beds_{date}.csv'\n              keys: [bed]\n              change: full\n",
        ),
    );
    world.write("landing/beds_2025-01-01.csv", "bed,ward\n1,A\n");
    world.write("landing/beds_2025-01-03.csv", "bed,ward,floor\n1,A,3\n");
    world.ok(&["ingest"]);
    world.write("landing/beds_2025-01-02.csv", "bed,ward\n1,B\n");
    world.write("landing/beds_2025-01-04.csv", "bed,ward,floor\n1,A,4\n");
    world.ok(&["ingest"]);
    let logged = world.sql("select file, drift, rows_before from system.load_log order by file");
    let drifted: Vec<&str> =
        logged.iter().filter(|row| row["drift"].contains("column")).map(|row| row["file"].as_str()).collect();
    assert_eq!(drifted, ["landing/beds_2025-01-03.csv"], "{logged:?}");
    assert_eq!(world.count("bronze.beds"), 4, "one row a day, each other than the one before");
    assert_eq!(logged[3]["rows_before"], "3");
}
