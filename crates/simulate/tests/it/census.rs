//! The truth beside the extracts agrees with the extracts, and patients are conserved.

use crate::files::{newest, run, small};
use proptest::prelude::*;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use wardlake_simulate::Entity;

fn kpis(root: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(root.join("_truth/kpis.json")).expect("a file")).expect("JSON")
}

fn number(row: &Value, name: &str) -> i64 {
    row[name].as_i64().expect("a number")
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    #[test]
    fn yesterdays_census_plus_admissions_minus_discharges_is_todays(seed in any::<u64>()) {
        let (root, _) = run(&small(seed, 0.0));
        let mut before: BTreeMap<String, i64> = BTreeMap::new();
        for day in kpis(root.path())["hospital_days"].as_array().expect("days") {
            let hospital = day["hospital_id"].as_str().expect("an id").to_owned();
            let census = number(day, "midnight_census");
            if let Some(yesterday) = before.insert(hospital, census) {
                prop_assert_eq!(yesterday + number(day, "admissions") - number(day, "discharges"), census);
            }
            prop_assert!(census >= 0);
        }
    }

    #[test]
    fn census_of_the_bed_stays_is_the_truth(seed in any::<u64>()) {
        let (root, _) = run(&small(seed, 0.0));
        let stays = newest(root.path(), Entity::Transfers, '|');
        for day in kpis(root.path())["department_days"].as_array().expect("days") {
            // The midnight that ends a date reads as the next date's 00:00:00.
            let date = day["date"].as_str().expect("a date");
            let end = format!("{date} 23:59:60");
            let present = stays.values().filter(|stay| {
                stay["department_id"] == day["department_id"].as_str().expect("an id")
                    && stay["started_at"] < end
                    && (stay["ended_at"].is_empty() || stay["ended_at"] > end)
            });
            prop_assert_eq!(present.count() as i64, number(day, "midnight_census"));
        }
    }

    #[test]
    fn adt_messages_end_where_the_bed_stays_end(seed in any::<u64>()) {
        let (root, _) = run(&small(seed, 0.0));
        let mut messages: Vec<Value> = crate::files::files(root.path(), Entity::Adt)
            .iter()
            .flat_map(|file| fs::read_to_string(file).expect("a file").lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON")).collect::<Vec<_>>())
            .collect();
        let last_recorded = messages.iter().filter_map(|message| message["recorded_at"].as_str()).max().unwrap_or("").to_owned();
        messages.sort_by_key(|message| (message["occurred_at"].as_str().map(str::to_owned), message["event_id"].as_str().map(str::to_owned)));
        let mut beds: BTreeMap<String, Option<String>> = BTreeMap::new();
        for message in &messages {
            let Some(encounter) = message["encounter_id"].as_str() else { continue };
            let bed = message["bed_id"].as_str().map(str::to_owned);
            let now = match message["event_type"].as_str().expect("a type") {
                "A01" | "A02" | "A12" | "A13" => bed,
                "A03" | "A11" => None,
                _ => continue,
            };
            beds.insert(encounter.to_owned(), now);
        }
        // Messages typed late may be in tomorrow's extract; encounters that changed in the last hours are left out.
        let settled = &last_recorded[..10];
        for encounter in newest(root.path(), Entity::Encounters, '|').values().filter(|row| row["updated_at"].as_str() < settled) {
            let stays = newest_stay(&beds, &encounter["encounter_id"]);
            let is_in_bed = !encounter["admitted_at"].is_empty() && encounter["discharged_at"].is_empty();
            prop_assert_eq!(stays.is_some(), is_in_bed, "{}", &encounter["encounter_id"]);
        }
    }
}

fn newest_stay<'a>(beds: &'a BTreeMap<String, Option<String>>, encounter: &str) -> Option<&'a String> {
    beds.get(encounter).and_then(Option::as_ref)
}
