//! A table that was deleted and made anew under its name is another table, whatever its versions are called.

use std::fs;

use crate::world::World;

const SOURCE: &str = "
version: 2
sources:
  - name: feed
    schema: bronze
    tables:
      - name: beds
        config: {meta: {wardlake: {path: 'landing/*.csv'}}}
";

#[test]
fn a16_a_table_that_is_gone_is_loaded_again_and_read_again() {
    let world = World::empty();
    world.write("dbt_project.yml", "name: ward\nversion: '1.0'\nmodel-paths: [models, sources]\n");
    world.write("sources/feed.yml", SOURCE);
    world.write(
        "models/wards.sql",
        "{{ config(materialized='table') }}\nselect ward, count(*) as beds from {{ source('feed', 'beds') }} group by ward",
    );
    world.write(
        "models/kept.sql",
        "{{ config(materialized='incremental') }}\nselect bed, ward from {{ changes(source('feed', 'beds')) }}",
    );
    world.write("landing/beds.csv", "bed,ward\n1,A\n2,A\n3,A\n");
    let beds = |expected: &str| assert_eq!(world.value("select beds from main.wards"), expected);
    world.ok(&["ingest"]);
    world.ok(&["build"]);
    beds("3");

    // Corrected and loaded from nothing, then once more as it is: each time as many commits as before.
    for (text, expected) in [("bed,ward\n1,B\n2,B\n", "2"), ("bed,ward\n1,B\n2,B\n", "2")] {
        world.write("landing/beds.csv", text);
        fs::remove_dir_all(world.path().join("lake/bronze/beds")).unwrap();
        let told = world.ok(&["ingest"]);
        assert!(told.contains("bronze.beds is gone"), "{told}");
        assert_eq!(world.count("bronze.beds").to_string(), expected);
        world.ok(&["build", "--select", "wards"]);
        beds(expected);
        // What is new of it nobody can say.
        let told = world.fails(1, &["build"]);
        assert!(told.contains("bronze.beds was made anew") && told.contains("--full-refresh"), "{told}");
        world.ok(&["build", "--full-refresh"]);
        assert_eq!(world.count("main.kept").to_string(), expected);
        assert!(!world.ok(&["ingest"]).contains("is gone"), "it is there now");
    }
}
