//! Late and out-of-order extracts end in the same history as extracts in order.

use std::collections::BTreeMap;

use proptest::{collection::vec, prelude::*, test_runner::Config};

use crate::world::{Row, World};

const DAYS: usize = 30;
const BEDS: usize = 6;
/// Days of the feeds that come in parts.
const FEED_DAYS: usize = 10;

/// Per day and bed: no row, or one of three wards.
type Days = Vec<Vec<Option<u8>>>;

/// Rows of one file of a feed: bed and ward.
type Rows = Vec<(usize, u8)>;

/// One daily file per table, loaded as `settings` say.
fn feed(settings: &[&str]) -> World {
    let world = World::empty();
    world.write("dbt_project.yml", "name: late\nversion: '1.0'\nmodel-paths: [models, sources]\n");
    let settings: String = settings.iter().map(|setting| format!("              {setting}\n")).collect();
    world.write(
        "sources/feed.yml",
        format!(
            "version: 2\nsources:\n  - name: feed\n    schema: bronze\n    tables:\n      - name: beds\n        config:\n          meta:\n            wardlake:\n              path: 'landing/beds_{{date}}.csv'\n{settings}"
        ),
    );
    world
}

/// A feed with a key, and a model of what it says.
fn keyed(settings: &[&str]) -> World {
    let world = feed(settings);
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

fn file_of(day: usize) -> String {
    format!("landing/beds_2025-01-{:02}.csv", day + 1)
}

fn write_rows(world: &World, day: usize, rows: &[(usize, u8)]) {
    let rows: String = rows.iter().map(|(bed, ward)| format!("{bed},ward {ward}\n")).collect();
    world.write(&file_of(day), format!("bed,ward\n{rows}"));
}

fn write_day(world: &World, day: usize, beds: &[Option<u8>]) {
    let rows: Rows = beds.iter().enumerate().filter_map(|(bed, ward)| Some((bed, (*ward)?))).collect();
    write_rows(world, day, &rows);
}

/// Delivers every file, some of them first in part, in this order, with an ingest at each of the turns in `cuts` and one at
/// the end.
fn deliver(world: &World, days: &[(Rows, usize)], order: &[usize], cuts: &[usize]) {
    let mut is_whole = vec![false; days.len()];
    for (turn, &part) in order.iter().enumerate() {
        if cuts.contains(&turn) {
            world.ok(&["ingest"]);
        }
        // Each day comes up twice: for its first rows, and for all of them.
        let (day, whole) = (part / 2, part % 2 == 1);
        let (rows, first) = &days[day];
        if whole {
            write_rows(world, day, rows);
            is_whole[day] = true;
        } else if !is_whole[day] {
            write_rows(world, day, &rows[..*first.min(&rows.len())]);
        }
    }
    world.ok(&["ingest"]);
}

/// Files of a feed: their rows, and how many of these are there when the file is first seen.
fn days_of_rows() -> impl Strategy<Value = Vec<(Rows, usize)>> {
    vec((vec((0..BEDS, 0u8..3), 0..6), 0usize..6), FEED_DAYS)
}

fn versions(world: &World) -> Vec<Row> {
    world.ok(&["run"]);
    world.sql("select bed, valid_from, state, valid_to from main.versions order by bed, valid_from")
}

fn told(versions: &[Row]) -> Vec<(String, String, String)> {
    versions.iter().map(|row| (row["bed"].clone(), row["valid_from"].clone(), row["state"].clone())).collect()
}

/// What a feed of changes says: a bed keeps its ward until a file names another.
fn expected_of_changes(days: &[(Rows, usize)]) -> Vec<(String, String, String)> {
    let mut versions = Vec::new();
    for bed in 0..BEDS {
        let mut before = None;
        for (day, (rows, _)) in days.iter().enumerate() {
            let last = rows.iter().rev().find(|row| row.0 == bed).map(|row| row.1);
            if let Some(ward) = last.filter(|ward| before != Some(*ward)) {
                versions.push((bed.to_string(), file_of(day), format!("ward {ward}")));
                before = Some(ward);
            }
        }
    }
    versions
}

/// What the extracts themselves say.
fn expected(days: &Days) -> Vec<(String, String, String)> {
    let mut versions = Vec::new();
    for bed in 0..BEDS {
        let mut before: Option<String> = None;
        for (day, beds) in days.iter().enumerate() {
            let state = beds[bed].map_or_else(|| "gone".to_owned(), |ward| format!("ward {ward}"));
            if before.as_ref() != Some(&state) && !(before.is_none() && state == "gone") {
                versions.push((bed.to_string(), file_of(day), state.clone()));
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
        let project = || keyed(&["keys: [bed]", "change: full", "deletes: detect"]);
        let in_order = project();
        for (day, beds) in days.iter().enumerate() {
            write_day(&in_order, day, beds);
        }
        in_order.ok(&["ingest"]);
        let wanted = versions(&in_order);
        prop_assert_eq!(told(&wanted), expected(&days));

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

proptest! {
    #![proptest_config(Config { cases: 6, max_shrink_iters: 0, ..Config::default() })]
    #[test]
    fn late_changes_give_the_same_versions(
        days in days_of_rows(),
        order in Just((0..2 * FEED_DAYS).collect::<Vec<_>>()).prop_shuffle(),
        cuts in vec(1..2 * FEED_DAYS, 3),
    ) {
        let world = keyed(&["keys: [bed]", "change: changes"]);
        deliver(&world, &days, &order, &cuts);
        prop_assert_eq!(told(&versions(&world)), expected_of_changes(&days));
    }

    #[test]
    fn every_appended_row_is_there_as_often_as_its_file_has_it(
        days in days_of_rows(),
        order in Just((0..2 * FEED_DAYS).collect::<Vec<_>>()).prop_shuffle(),
        cuts in vec(1..2 * FEED_DAYS, 3),
    ) {
        let world = feed(&["change: append"]);
        deliver(&world, &days, &order, &cuts);
        let mut wanted: Vec<(String, String, String)> = Vec::new();
        for (day, (rows, _)) in days.iter().enumerate() {
            wanted.extend(rows.iter().map(|(bed, ward)| (bed.to_string(), file_of(day), format!("ward {ward}"))));
        }
        wanted.sort_unstable();
        let rows = world.sql("select bed, _file, ward from bronze.beds order by 1, 2, 3");
        let found: Vec<_> =
            rows.iter().map(|row| (row["bed"].clone(), row["_file"].clone(), row["ward"].clone())).collect();
        prop_assert_eq!(found, wanted);
    }
}
