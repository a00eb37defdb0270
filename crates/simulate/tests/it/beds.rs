//! Beds and patients: nobody is in two places, no bed holds two.

use crate::files::{Record, newest, run, small};
use proptest::prelude::*;
use std::collections::BTreeMap;
use wardlake_simulate::{Entity, SimulationOptions};

/// Overlaps of stays that share the value of `column`.
fn overlaps(stays: &BTreeMap<String, Record>, column: &str) -> usize {
    let mut by_value: BTreeMap<&str, Vec<(&str, &str)>> = BTreeMap::new();
    for stay in stays.values() {
        let end = if stay["ended_at"].is_empty() { "9999" } else { stay["ended_at"].as_str() };
        by_value.entry(&stay[column]).or_default().push((&stay["started_at"], end));
    }
    let mut count = 0;
    for stays in by_value.values_mut() {
        stays.sort_unstable();
        count += stays.windows(2).filter(|pair| pair[1].0 < pair[0].1).count();
    }
    count
}

#[test]
fn beds_are_busy_and_sometimes_surge() {
    // Without pressure the rules below would hold for nothing.
    let options = SimulationOptions { hospitals: 3, days: 5, ..SimulationOptions::default() };
    let (root, _) = run(&SimulationOptions { dirt: 0.0, ..options });
    let stays = newest(root.path(), Entity::Transfers, '|');
    let count = |reason: &str| stays.values().filter(|stay| stay["reason"] == reason).count();
    assert!(stays.len() > 500, "{}", stays.len());
    for reason in ["boarding", "admission", "elective admission", "step-down", "deterioration", "birth"] {
        assert!(count(reason) > 0, "no stay with reason {reason}");
    }
    let beds = newest(root.path(), Entity::Beds, ';');
    let surge = stays.values().filter(|stay| beds[&stay["bed_id"]]["bed_type"] == "surge").count();
    assert!(surge > 0, "no surge bed was used");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    #[test]
    fn no_bed_holds_two_patients_and_no_patient_two_beds(seed in any::<u64>()) {
        let (root, _) = run(&small(seed, 0.0));
        let stays = newest(root.path(), Entity::Transfers, '|');
        prop_assert_eq!(overlaps(&stays, "bed_id"), 0);
        prop_assert_eq!(overlaps(&stays, "patient_id"), 0);
    }

    #[test]
    fn ids_refer_to_rows_that_exist(seed in any::<u64>()) {
        let (root, _) = run(&small(seed, 0.0));
        let patients = newest(root.path(), Entity::Patients, '|');
        let beds = newest(root.path(), Entity::Beds, ';');
        let encounters = newest(root.path(), Entity::Encounters, '|');
        for stay in newest(root.path(), Entity::Transfers, '|').values() {
            prop_assert_eq!(&beds[&stay["bed_id"]]["department_id"], &stay["department_id"]);
            prop_assert_eq!(&beds[&stay["bed_id"]]["room_id"], &stay["room_id"]);
            prop_assert_eq!(&encounters[&stay["encounter_id"]]["patient_id"], &stay["patient_id"]);
        }
        for encounter in encounters.values() {
            prop_assert!(patients.contains_key(&encounter["patient_id"]));
        }
        for bill in newest(root.path(), Entity::Billing, '^').values() {
            prop_assert_eq!(&encounters[&bill["encounter_id"]]["patient_id"], &bill["patient_id"]);
        }
    }

    #[test]
    fn times_of_an_encounter_are_in_order(seed in any::<u64>()) {
        let (root, _) = run(&small(seed, 0.0));
        let order = ["arrived_at", "triaged_at", "provider_seen_at", "admit_decision_at", "departed_ed_at", "discharged_at"];
        for encounter in newest(root.path(), Entity::Encounters, '|').values() {
            let times: Vec<&str> = order.iter().map(|name| encounter[*name].as_str()).filter(|time| !time.is_empty()).collect();
            prop_assert!(times.is_sorted(), "{:?}", times);
            if !encounter["admitted_at"].is_empty() {
                prop_assert!(encounter["arrived_at"] <= encounter["admitted_at"]);
                prop_assert!(encounter["discharged_at"].is_empty() || encounter["admitted_at"] <= encounter["discharged_at"]);
            }
        }
    }
}
