//! Late and out-of-order extracts end in the same history as extracts in order.

use std::collections::BTreeMap;

use proptest::{collection::vec, prelude::*, test_runner::Config};

use crate::world::{Row, World};

const DAYS: usize = 30;
const BEDS: usize = 6;

/// Per day and bed: no row, or one of three wards.
type Days = Vec<Vec<Option<u8>>>;

fn project() -> World {
    let world = World::empty();
    world.write("dbt_project.yml", "name: late\nversion: '1.0'\nmodel-paths: [models, sources]\n");
    world.write(
        "sources/feed.yml",
        "version: 2\nsources:\n  - name: feed\n    schema: bronze\n    tables:\n      - name: beds\n        config:\n          meta:\n            wardlake:\n              path: 'landing/beds_{date}.csv'\n              keys: [bed]\n              change: full\n              deletes: detect\n",
    );
    // One row per version of a bed: the state after each file, equal neighbours folded together.
    world.write(
        "models/versions.sql",
        "{{ config(materialized='table') }}
        with last_of_file as (
            select *, row_number() over (partition by bed, _file order by _received_at desc, _position desc) as nth
            from {{ source('feed', 'beds') }}
        ), states as (
            select bed, _file as valid_from, case when _change = 'delete' then 'gone' else ward end as state
            from last_of_file where nth = 1
        ), compared as (
            select *, lag(state) over (partition by bed order by valid_from) as before from states
        )
        select bed, valid_from, state,
            lead(valid_from) over (partition by bed order by valid_from) as valid_to
        from compared
        where state is distinct from before and not (before is null and state = 'gone')",
    );
    world
}

fn write_day(world: &World, day: usize, beds: &[Option<u8>]) {
    let mut text = "bed,ward\n".to_owned();
    for (bed, ward) in beds.iter().enumerate() {
        if let Some(ward) = ward {
            text.push_str(&format!("{bed},ward {ward}\n"));
        }
    }
    world.write(&format!("landing/beds_2025-01-{:02}.csv", day + 1), text);
}

fn versions(world: &World) -> Vec<Row> {
    world.ok(&["run"]);
    world.sql("select bed, valid_from, state, valid_to from main.versions order by bed, valid_from")
}

/// What the extracts themselves say.
fn expected(days: &Days) -> Vec<(String, String, String)> {
    let mut versions = Vec::new();
    for bed in 0..BEDS {
        let mut before: Option<String> = None;
        for (day, beds) in days.iter().enumerate() {
            let state = beds[bed].map_or_else(|| "gone".to_owned(), |ward| format!("ward {ward}"));
            if before.as_ref() != Some(&state) && !(before.is_none() && state == "gone") {
                versions.push((bed.to_string(), format!("landing/beds_2025-01-{:02}.csv", day + 1), state.clone()));
                before = Some(state);
            }
        }
    }
    versions
}

proptest! {
    #![proptest_config(Config { cases: 8, max_shrink_iters: 0, ..Config::default() })]
    #[test]
    fn late_extracts_give_the_same_versions(
        // Wards change on about every fourth day, so that most days are silent.
        days in vec(vec(prop_oneof![6 => Just(Some(0u8)), 1 => Just(Some(1)), 1 => Just(Some(2)), 1 => Just(None)], BEDS), DAYS),
        order in Just((0..DAYS).collect::<Vec<_>>()).prop_shuffle(),
        cuts in vec(1..DAYS, 4),
    ) {
        let in_order = project();
        for (day, beds) in days.iter().enumerate() {
            write_day(&in_order, day, beds);
        }
        in_order.ok(&["ingest"]);
        let wanted = versions(&in_order);
        let told: Vec<(String, String, String)> =
            wanted.iter().map(|row| (row["bed"].clone(), row["valid_from"].clone(), row["state"].clone())).collect();
        prop_assert_eq!(told, expected(&days));

        let late = project();
        let mut cuts: BTreeMap<usize, ()> = cuts.into_iter().map(|cut| (cut, ())).collect();
        for (turn, day) in order.iter().enumerate() {
            if cuts.remove(&turn).is_some() {
                late.ok(&["ingest"]);
            }
            write_day(&late, *day, &days[*day]);
        }
        late.ok(&["ingest"]);
        prop_assert_eq!(versions(&late), wanted);
    }
}
