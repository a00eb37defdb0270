//! What a message becomes under the mapping that is shipped.

use serde_json::{Value, json};
use wardlake_connect::hl7::{Mapping, Problem, Row, read_row};

fn read(message: &str) -> Result<Row, Problem> {
    read_row(message.as_bytes(), &Mapping::default())
}

/// The columns of `message` that are named, as the row has them.
fn check(message: &str, expected: &[(&str, Option<&str>)]) {
    let row = read(message).unwrap_or_else(|problem| panic!("{problem}: {message}"));
    for (column, value) in expected {
        assert!(Mapping::default().columns().iter().any(|name| name == column), "{column} is no column");
        assert_eq!(row.get(column), *value, "{column} of {message:?}");
    }
}

fn list(row: &Row, column: &str) -> Value {
    serde_json::from_str(row.get(column).unwrap()).unwrap()
}

const HEADER: &str = "MSH|^~\\&|APP^1.2^ISO|FAC|EHR|HOME|20261128120000-0330||ADT^A01^ADT_A01|42|P|2.5.1\r";

#[test]
fn every_row_has_the_message_and_its_header() {
    let (message, kept) = (format!("{HEADER}PID|1\r\rZPV|a|b^c\r"), format!("{HEADER}PID|1\rZPV|a|b^c"));
    check(
        &message,
        &[
            ("message", Some(kept.as_str())),
            ("message_control_id", Some("42")),
            ("message_type", Some("ADT")),
            ("trigger_event", Some("A01")),
            ("message_structure", Some("ADT_A01")),
            ("version", Some("2.5.1")),
            ("processing_id", Some("P")),
            ("sending_application", Some("APP")),
            ("sending_facility", Some("FAC")),
            ("receiving_application", Some("EHR")),
            ("receiving_facility", Some("HOME")),
            ("message_at", Some("20261128120000-0330")),
            ("charset_note", None),
            ("event_type", Some("A01")),
            ("event_id", Some("APP|FAC|42")),
            ("hospital_id", Some("FAC")),
            ("z_segments", Some(r#"["ZPV|a|b^c"]"#)),
            ("patient_id", None),
            ("observations", None),
            ("second_patient", None),
        ],
    );
}

#[test]
fn admissions_and_transfers() {
    let message = format!(
        "{HEADER}EVN||20261128115500|||op|20261128115000+0100\r\
         PID|1||P1^^^H1^PI~M1^^^H1^MR~S1^^^USA^SS||O\\T\\Brien&van^Ann^B||19800229|F|||1 Way^^Town^NY^12345||555-0100|||||A1\r\
         PV1|1|I|ICU^R1^B1^SITE^O|||MED^R9^B9^SITE|doc^Who||||||||||||V1{}20261128110000|20261128\r\
         PV2||||||||20261127|20261201\r",
        "|".repeat(25)
    );
    check(
        &message,
        &[
            ("patient_id", Some("P1")),
            ("patient_id_authority", Some("H1")),
            ("medical_record_number", Some("M1")),
            ("national_id", Some("S1")),
            ("family_name", Some("O&Brien")),
            ("given_name", Some("Ann")),
            ("birth_date", Some("19800229")),
            ("gender", Some("female")),
            ("postal_code", Some("12345")),
            ("encounter_id", Some("V1")),
            ("patient_class", Some("I")),
            ("department_id", Some("ICU")),
            ("room_id", Some("R1")),
            ("bed_id", Some("B1")),
            ("facility", Some("SITE")),
            ("bed_status", Some("O")),
            ("prior_department_id", Some("MED")),
            ("prior_room_id", Some("R9")),
            ("prior_bed_id", Some("B9")),
            ("physician_id", Some("doc")),
            // A time without a zone has that of MSH-7; one that has a zone keeps it.
            ("occurred_at", Some("20261128115000+0100")),
            ("event_occurred_at", Some("20261128115000+0100")),
            ("visit_number", Some("V1")),
            ("recorded_at", Some("20261128115500-0330")),
            ("admitted_at", Some("20261128110000-0330")),
            ("discharged_at", Some("20261128-0330")),
            ("expected_admit_at", Some("20261127-0330")),
            ("expected_discharge_at", Some("20261201-0330")),
        ],
    );
    // Alternatives: the account where there is no visit number, the older place of the id, the header's time.
    check(
        &format!("{HEADER}PID|1|P0||||||U||||||||||A1"),
        &[
            ("patient_id", Some("P0")),
            ("encounter_id", Some("A1")),
            ("visit_number", None),
            ("gender", Some("unknown")),
            ("event_occurred_at", None),
            ("occurred_at", Some("20261128120000-0330")),
            ("recorded_at", Some("20261128120000-0330")),
        ],
    );
    // HL7's explicit "no value" is none, and what a code table does not know stays as it is.
    check(
        &format!("{HEADER}PID|1||\"\"||X^\"\"|||q"),
        &[("patient_id", None), ("given_name", None), ("gender", Some("q"))],
    );
}

#[test]
fn movements_by_zbe() {
    let message = format!(
        "{HEADER}EVN||20261128115500||||20261128115000\rZBE|7^APP|20261127080000|20261127090000|UPDATE|Y|A02|^^^^^^^^^W1"
    );
    check(
        &message,
        &[
            ("zbe_movement_id", Some("7")),
            ("occurred_at", Some("20261127080000-0330")),
            ("zbe_ended_at", Some("20261127090000-0330")),
            ("zbe_action", Some("UPDATE")),
            ("zbe_is_historic", Some("true")),
            ("zbe_original_event", Some("A02")),
            ("zbe_ward", Some("W1")),
        ],
    );
}

#[test]
fn merges_and_swaps() {
    let merge = format!(
        "{HEADER}PID|1||P1^^^H|||||||||||||||A1\rMRG|P2^^^H||A2||V2\rPV1|1||||||||||||||||||V1\rPID|2||P3\rMRG|P4\r"
    );
    check(
        &merge,
        &[
            ("patient_id", Some("P1")),
            ("merged_patient_id", Some("P2")),
            ("merged_patient_id_authority", Some("H")),
            ("merged_account_number", Some("A2")),
            ("merged_encounter_id", Some("V2")),
            ("merged_into_patient_id", Some("P1")),
        ],
    );
    assert_eq!(
        list(&read(&merge).unwrap(), "merges"),
        json!([
            {"item": "1", "merged_patient_id": "P2", "merged_account_number": "A2", "merged_encounter_id": "V2",
             "merged_into_patient_id": "P1", "merged_into_account_number": "A1", "merged_into_encounter_id": "V1"},
            {"item": "2", "merged_patient_id": "P4", "merged_into_patient_id": "P3"},
        ])
    );
    check(&format!("{HEADER}PID|1||P1"), &[("merged_into_patient_id", None), ("merges", None)]);
    // A46 tells the old number in MRG-4, and the new one in PID-2.
    check(&format!("{HEADER}PID|1|P1\rMRG||||P2"), &[("patient_id", Some("P1")), ("merged_patient_id", Some("P2"))]);
    let swap = format!("{HEADER}PID|1||P1\rPV1|1|I|A^1^1\rPID|2||P2^^^H\rPV1|2|I|B^2^2||||||||||||||||V2");
    check(&swap, &[("patient_id", Some("P1")), ("bed_id", Some("1"))]);
    assert_eq!(
        list(&read(&swap).unwrap(), "second_patient"),
        json!({"patient_id": "P2", "patient_id_authority": "H", "encounter_id": "V2", "patient_class": "I",
               "department_id": "B", "room_id": "2", "bed_id": "2"})
    );
}

#[test]
fn repeating_segments_are_lists() {
    let row = read(&format!(
        "{HEADER}OBR|1|O1|F1|CBC^Blood count|||20261128\rOBX|1|NM|WBC^Leukocytes^LN||4.2|10*9/L|4-10|N~L|||F|||20261128070000\r\
         OBR|2|O2||CRP\rOBX|1|CE|X||a^A^L~b^B\\S\\C||||||P\r\
         FT1|1|T1|B1|20261128|20261129|CG|99213^Visit^C4|||2|100&USD|50&USD|D1\rFT1|2\r\
         ORC|NW|R1\rTQ1|1||BID||||20261128|20261205\rRXE||D1^Drug^NDC|5||mg\rRXR|PO^Oral"
    ))
    .unwrap();
    let observations = list(&row, "observations");
    assert_eq!(
        observations[0],
        json!({"item": "1", "set_id": "1", "order_id": "O1", "filler_order_id": "F1", "order_code": "CBC", "order_name": "Blood count",
               "value_type": "NM", "code": "WBC", "name": "Leukocytes", "code_system": "LN", "value": "4.2",
               "value_code": "4.2", "units": "10*9/L", "reference_range": "4-10", "abnormal_flags": "N~L", "status": "F",
               "observed_at": "20261128070000-0330"})
    );
    assert_eq!((&observations[1]["order_id"], &observations[1]["value"]), (&json!("O2"), &json!("a^A^L~b^B^C")));
    let charges = list(&row, "charges");
    assert_eq!((charges.as_array().unwrap().len(), &charges[1]), (2, &json!({"item": "2", "set_id": "2"})));
    assert_eq!((&charges[0]["amount"], &charges[0]["currency"]), (&json!("100"), &json!("USD")));
    assert_eq!(charges[0]["posted_at"], "20261129-0330");
    let prescription = &list(&row, "prescriptions")[0];
    assert_eq!((&prescription["order_id"], &prescription["route_name"]), (&json!("R1"), &json!("Oral")));
    assert_eq!((&prescription["frequency"], &prescription["ends_at"]), (&json!("BID"), &json!("20261205-0330")));
}

#[test]
fn delimiters_are_the_messages_own() {
    for (message, name) in [
        ("MSH#*~!&#APP#FAC###2026##ADT*A01#1#P#2.5\rPID###P1***H*PI~M1***H*MR##A!T!B&x*C", "A&B"),
        // Without an escape character nothing is escaped, without subcomponents `&` is text.
        ("MSH|^~|APP|FAC|||2026||ADT^A01|1|P|2.5\rPID|||P1^^^H^PI~M1^^^H^MR||A\\T\\B&x^C", "A\\T\\B&x"),
        ("MSH|^~\\&#|APP|FAC|||2026||ADT^A01|1|P|2.7\rPID|||P1^^^H^PI~M1^^^H^MR||A\\P\\B^C", "A#B"),
        ("MSH|^~\\&|APP|FAC|||2026||ADT^A01|1|P|2.5\nPID|||P1^^^H^PI~M1^^^H^MR||A\\X42\\^C", "AB"),
        ("\u{FEFF}MSH|^~\\&|APP|FAC|||2026||ADT^A01|1|P|2.5\r\nPID|||P1^^^H^PI~M1^^^H^MR||A\\Zx\\^C\r\n", "A\\Zx\\"),
    ] {
        check(
            message,
            &[
                ("event_id", Some("APP|FAC|1")),
                ("patient_id", Some("P1")),
                ("medical_record_number", Some("M1")),
                ("family_name", Some(name)),
                ("given_name", Some("C")),
            ],
        );
    }
}

#[test]
fn a_message_that_is_none_says_why() {
    for (message, reason, code, place) in [
        ("", "hl7_no_header", "100", "MSH^1"),
        ("PID|1", "hl7_no_header", "100", "MSH^1"),
        ("MSH", "hl7_delimiters", "102", "MSH^1^1"),
        ("MSH|^^^^|A", "hl7_delimiters", "102", "MSH^1^1"),
        ("MSH|^~\\&|A", "hl7_required_field", "101", "MSH^1^9"),
        ("MSH|^~\\&|||||||ADT^A01", "hl7_required_field", "101", "MSH^1^10"),
        ("MSH|^~\\&|||||||ADT^A01|1|P|3.0", "hl7_version", "203", "MSH^1^12"),
        ("MSH|^~\\&|||||||ADT^A01|1|P|2.5\rPI", "hl7_segment", "100", "^2"),
        ("MSH|^~\\&|||||||ADT^A01|1|P|2.5\rPID|\0", "nul_byte", "102", "MSH^1"),
    ] {
        let problem = read(message).unwrap_err();
        assert_eq!((problem.reason.code(), problem.code().code()), (reason, code), "{message:?}");
        let location = &problem.location;
        let field = location.field.map(|field| format!("^{field}")).unwrap_or_default();
        assert_eq!(format!("{}^{}{field}", location.segment, location.sequence), place, "{message:?}");
    }
}

#[test]
fn a_character_set_that_is_wrong_is_noted() {
    let message = b"MSH|^~\\&|A|F|||2026||ADT^A01|1|P|2.5||||||UNICODE UTF-8\rPID|1||P||M\xFCller";
    let row = read_row(message, &Mapping::default()).unwrap();
    assert_eq!(row.get("family_name"), Some("Müller"));
    assert_eq!(row.get("charset_note"), Some("UTF-8 declared, read as windows-1252"));
    assert!(row.get("message").unwrap().ends_with("||Müller"));
}
