//! `tests/scenarios/chapter3.txt` says what every trigger of HL7's chapter 3 comes to, and how the file reads. Each way in which a case is
//! sent is a hospital of its own in one lake: one load and one build serve them all.

use std::collections::{BTreeMap, BTreeSet};

use super::messages::{answer, stamp, world_of};
use crate::world::repository;

const FILE: &str = "crates/wardlake/tests/scenarios/chapter3.txt";

/// How a case is sent: a name, and the letter that stands for it in the hospital's. `told again` is the message under an id of its own.
const WAYS: [(&str, char); 5] =
    [("before", 'b'), ("message", 'm'), ("repeated", 'r'), ("told again", 'a'), ("corrected", 'c')];

/// What the lines of a case begin with, and the SQL that gives `hospital` and the rest of them.
const QUERIES: [(&str, &str); 4] = [
    (
        "",
        "select hospital_id as hospital, concat(encounter_id, ' ', replace(surviving_patient_id, hospital_id || '-', ''), ' ', \
         department_id, '^', coalesce(room_id, ''), '^', coalesce(bed_id, ''), ' ', \
         to_char(utc_to_local(valid_from, 'America/New_York'), 'HH24:MI'), ' ', \
         coalesce(to_char(utc_to_local(valid_to, 'America/New_York'), 'HH24:MI'), '-'), ' ', bed_state) as line \
         from gold.fct_bed_movement where recorded_to is null",
    ),
    (
        "! ",
        "select hospital_id as hospital, coalesce(encounter_id, '-') || ' ' || kind as line from silver.int_bed_findings",
    ),
    (
        "? ",
        "select hospital_id as hospital, encounter_id || ' ' || to_char(expected_discharge_local_at, 'HH24:MI') as line \
         from gold.list_live_expected_discharges",
    ),
    (
        "= ",
        "select split_part(patient_id, '-', 1) as hospital, split_part(patient_id, '-', 2) || ' ' || split_part(person_id, '-', 2) \
         as line from silver.int_person where patient_id <> person_id",
    ),
];

/// Who is where at the end of the day.
const CENSUS: &str = "select hospital_id as hospital, \
     concat(encounter_id, ' ', replace(surviving_patient_id, hospital_id || '-', ''), ' ', department_id, '^', \
     coalesce(room_id, ''), '^', coalesce(bed_id, ''), ' ', bed_state) as line from silver.int_live_census";

/// One case of the file: its sections in their order, each with its lines.
struct Case {
    name: String,
    line: usize,
    sections: Vec<(String, Vec<String>)>,
}

impl Case {
    fn section(&self, name: &str, nth: usize) -> Option<&[String]> {
        let mut sections = self.sections.iter().filter(|(section, _)| section == name);
        sections.nth(nth).map(|(_, lines)| lines.as_slice())
    }

    /// The lines behind `before`, `message` or `corrected`.
    fn then(&self, nth: usize) -> BTreeSet<String> {
        let lines = self.section("then", nth).unwrap_or_else(|| panic!("{FILE}:{}: a `then` is missing", self.line));
        if *lines == ["same"] { self.then(0) } else { lines.iter().cloned().collect() }
    }

    /// What holds when the case is sent this way.
    fn expected(&self, way: &str) -> BTreeSet<String> {
        match way {
            "before" => self.then(0),
            "message" | "repeated" => self.then(1),
            "told again" => {
                self.section("again", 0).map_or_else(|| self.then(1), |lines| lines.iter().cloned().collect())
            }
            _ => self.then(2),
        }
    }

    fn messages(&self, way: &str, hospital: &str) -> String {
        let before = self.section("before", 0).unwrap_or_default();
        let number = before.iter().filter(|line| !line.starts_with(' ')).count() + 1;
        let once = |section: &str, id: usize| {
            let lines = self.section(section, 0).unwrap_or_default();
            assert_eq!(
                lines.iter().filter(|line| !line.starts_with(' ')).count(),
                1,
                "{FILE}:{}: {section}",
                self.line
            );
            messages(lines, hospital, id)
        };
        let behind = match way {
            "before" => String::new(),
            "message" => once("message", number),
            "repeated" => once("message", number).repeat(2),
            "told again" => once("message", number) + &once("message", number + 1),
            _ => once("message", number) + &once("corrected", number),
        };
        messages(before, hospital, 1) + &behind
    }
}

fn cases() -> Vec<Case> {
    let text = std::fs::read_to_string(repository().join(FILE)).unwrap();
    let mut cases: Vec<Case> = Vec::new();
    for (index, line) in text.lines().map(str::trim_end).enumerate() {
        if let Some(name) = line.strip_prefix("## ") {
            cases.push(Case { name: name.to_owned(), line: index + 1, sections: Vec::new() });
        } else if let Some(entry) = line.strip_prefix("  ") {
            cases.last_mut().unwrap().sections.last_mut().unwrap().1.push(entry.to_owned());
        } else if !line.is_empty() && !line.starts_with('#') {
            assert!(
                ["before", "then", "message", "again", "corrected"].contains(&line),
                "{FILE}:{}: {line}",
                index + 1
            );
            cases.last_mut().unwrap().sections.push((line.to_owned(), Vec::new()));
        }
    }
    cases
}

/// The messages of a section: a line each, with the segments indented behind it.
fn messages(lines: &[String], hospital: &str, first_id: usize) -> String {
    let (mut text, mut id) = (String::new(), first_id);
    for line in lines {
        if let Some(segment) = line.strip_prefix("  ") {
            text += &segment.replace("{}", hospital);
            text.push('\r');
        } else {
            text += &message(line, hospital, id);
            id += 1;
        }
    }
    text
}

/// `A02 10:00 P1 E1 W2^201^B from=W1^101^A` as HL7 writes it.
fn message(line: &str, hospital: &str, id: usize) -> String {
    const NAMES: [&str; 8] = ["recorded", "class", "from", "now", "to", "account", "expected", "type"];
    let (mut words, mut named) = (Vec::new(), BTreeMap::new());
    for word in line.split_whitespace() {
        match word.split_once('=') {
            Some((name, value)) if NAMES.contains(&name) => {
                named.insert(name, value);
            }
            Some(_) => panic!("there is no `{word}` of a message: {line}"),
            None => words.push(word),
        }
    }
    let [trigger, happened, patient, encounter, place] = words[..] else { panic!("a message has five words: {line}") };
    let value = |name: &str| named.get(name).copied().unwrap_or("");
    let recorded = stamp(named.get("recorded").copied().unwrap_or(happened));
    let message_type = named.get("type").map_or_else(|| format!("ADT^{trigger}"), |name| (*name).to_owned());
    let mut text = format!("MSH|^~\\&|ADT|{hospital}|LAKE|HOME|{recorded}||{message_type}|{id}|P|2.5.1\r");
    if message_type.starts_with("ADT") {
        text += &format!("EVN|{trigger}|{recorded}||||{}\r", stamp(happened));
    }
    if patient != "-" {
        let record = format!("{hospital}-{patient}");
        text += &segment("PID", &[(1, "1"), (3, record.as_str()), (18, value("account"))]);
    }
    if encounter != "-" || place != "-" {
        let class = named.get("class").copied().unwrap_or("I");
        let fields = [
            (1, "1"),
            (2, class),
            (3, told(place)),
            (6, value("from")),
            (11, value("now")),
            (19, told(encounter)),
            (42, value("to")),
        ];
        text += &segment("PV1", &fields);
    }
    if let Some(expected) = named.get("expected") {
        text += &segment("PV2", &[(9, stamp(expected).as_str())]);
    }
    text
}

/// A word of a message; `-` is nothing.
fn told(word: &str) -> &str {
    if word == "-" { "" } else { word }
}

/// A segment with these fields.
fn segment(name: &str, fields: &[(usize, &str)]) -> String {
    let last = fields.iter().filter(|(_, value)| !value.is_empty()).map(|(number, _)| *number).max().unwrap_or(0);
    let mut all = vec![""; last + 1];
    all[0] = name;
    for (number, value) in fields.iter().filter(|(number, _)| *number <= last) {
        all[*number] = value;
    }
    all.join("|") + "\r"
}

/// A text without the rooms of its places: `W1^101^A` is `W1^^A`.
fn without_rooms(text: &str) -> String {
    let is_room = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let parts: Vec<&str> = text.split('^').map(|part| if is_room(part) { "" } else { part }).collect();
    parts.join("^")
}

/// Of what is expected the stays that are not over, as the census shows them.
fn present(expected: &BTreeSet<String>) -> BTreeSet<String> {
    let words = expected.iter().map(|line| line.split_whitespace().collect::<Vec<_>>());
    words
        .filter_map(|words| match words[..] {
            [encounter, patient, place, _, "-", state] => Some([encounter, patient, place, state].join(" ")),
            _ => None,
        })
        .collect()
}

#[test]
fn d05_every_trigger_of_the_chapter_comes_to_what_it_says() {
    let cases = cases();
    let told: BTreeSet<&str> = cases.iter().filter_map(|case| case.name.split_whitespace().next()).collect();
    let chapter: Vec<String> =
        (1..=62).filter(|number| !(56..=59).contains(number)).map(|number| format!("A{number:02}")).collect();
    assert_eq!(told, chapter.iter().map(String::as_str).collect(), "A56 to A59 were never given a meaning");

    // Hospital → way and case, and what is expected of it.
    let (mut text, mut expected) = (String::new(), BTreeMap::new());
    for (number, case) in cases.iter().enumerate() {
        for (way, letter) in WAYS {
            for has_rooms in [true, false] {
                let hospital = format!("H{:03}{letter}{}", number + 1, u8::from(has_rooms));
                let (messages, lines) = (case.messages(way, &hospital), case.expected(way));
                if has_rooms {
                    text += &messages;
                    expected.insert(hospital, (case, way, lines));
                } else {
                    text += &without_rooms(&messages);
                    expected.insert(hospital, (case, way, lines.iter().map(|line| without_rooms(line)).collect()));
                }
            }
        }
    }
    // The day ends.
    text += &message("A08 18:00 P1 - -", "END", 1);
    let world = world_of(&text);

    let mut got: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (mark, sql) in QUERIES {
        for (hospital, lines) in answer(&world, sql) {
            got.entry(hospital).or_default().extend(lines.iter().map(|line| format!("{mark}{line}")));
        }
    }
    let census = answer(&world, CENSUS);
    let mut wrong = Vec::new();
    for (hospital, (case, way, expected)) in &expected {
        let place = format!("{FILE}:{}: {} ({way}, {hospital})", case.line, case.name);
        let lines = got.get(hospital).cloned().unwrap_or_default();
        if lines != *expected {
            wrong.push(format!("{place}\n  expected {expected:?}\n  got      {lines:?}"));
        }
        let (there, shown) = (present(expected), census.get(hospital).cloned().unwrap_or_default());
        if shown != there {
            wrong.push(format!("{place}\n  census expected {there:?}\n  census got      {shown:?}"));
        }
    }
    assert!(wrong.is_empty(), "{} of {} answers are wrong\n{}", wrong.len(), expected.len(), wrong.join("\n"));
}
