//! HL7 v2 messages agree with the `adt` extract.

use crate::files::{files, run, small};
use std::collections::BTreeSet;
use std::fs;
use wardlake_simulate::{Entity, OutputFormat, SimulationOptions};

fn messages(root: &std::path::Path) -> Vec<Vec<Vec<String>>> {
    let mut paths: Vec<_> =
        fs::read_dir(root.join("hl7")).expect("a folder").map(|entry| entry.expect("an entry").path()).collect();
    paths.sort();
    let mut messages: Vec<Vec<Vec<String>>> = Vec::new();
    for path in paths {
        let text = fs::read_to_string(path).expect("a file");
        assert!(text.ends_with('\r') && !text.contains('\n'));
        for segment in text.split_terminator('\r') {
            let fields: Vec<String> = segment.split('|').map(str::to_owned).collect();
            if fields[0] == "MSH" {
                messages.push(Vec::new());
            }
            messages.last_mut().expect("MSH first").push(fields);
        }
    }
    messages
}

#[test]
fn one_message_for_each_event() {
    let formats = vec![OutputFormat::Csv, OutputFormat::Hl7];
    let (root, summary) = run(&SimulationOptions { formats, days: 8, ..small(1, 0.0) });
    let messages = messages(root.path());
    assert_eq!(messages.len() as u64, summary.messages);
    let field = |segment: &[String], at: usize| segment.get(at).cloned().unwrap_or_default();
    // Control id, trigger, patient, visit, bed.
    let sent: BTreeSet<[String; 5]> = messages
        .iter()
        .map(|segments| {
            let (msh, evn, last) = (&segments[0], &segments[1], &segments[3]);
            assert_eq!((evn[0].as_str(), segments[2][0].as_str()), ("EVN", "PID"));
            let trigger = msh[8].split('^').nth(1).expect("a trigger").to_owned();
            assert_eq!(trigger, evn[1]);
            assert_eq!(msh[17], "UNICODE UTF-8");
            let is_merge = trigger == "A40";
            assert_eq!(last[0], if is_merge { "MRG" } else { "PV1" });
            let identifiers = if is_merge { &last[1] } else { &segments[2][3] };
            let patient = identifiers.split('^').next().expect("an id").to_owned();
            let (visit, bed) = if is_merge { Default::default() } else { (field(last, 19), field(last, 3)) };
            let bed = bed.split('^').nth(2).unwrap_or_default().to_owned();
            [msh[9].clone(), trigger, patient, visit, bed]
        })
        .collect();
    let mut events = BTreeSet::new();
    for file in files(root.path(), Entity::Adt) {
        for line in fs::read_to_string(file).expect("a file").lines() {
            let event: serde_json::Value = serde_json::from_str(line).expect("JSON");
            let columns = ["event_id", "event_type", "patient_id", "encounter_id", "bed_id"];
            events.insert(columns.map(|name| event[name].as_str().unwrap_or_default().to_owned()));
        }
    }
    assert_eq!(sent, events);
    assert!(events.iter().any(|event| event[1] == "A40"));
}

#[test]
fn messages_alone_bring_no_extracts() {
    let (root, summary) = run(&SimulationOptions { formats: vec![OutputFormat::Hl7], ..small(1, 0.1) });
    assert_eq!((summary.rows, summary.files), (0, 2 * 4));
    assert!(!root.path().join("adt").exists());
}
