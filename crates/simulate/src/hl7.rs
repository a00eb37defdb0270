//! ADT messages as HL7 v2.5.1, from the events of the `adt` extract: MSH, EVN, PID, PV1, and MRG where records are merged.
//!
//! Segments end with a carriage return, as the standard asks; a file holds one message after the other. Times carry their
//! offset, so they are never ambiguous, and messages are never damaged.

use crate::adt::{AdtKind, Message};
use crate::catalog::CITIES;
use crate::clock::{Clock, write_date};
use crate::encounter::{Class, Encounter};
use crate::site::{Patient, Site};
use std::fmt::Write;

/// Appends one message.
pub(crate) fn write(out: &mut Vec<u8>, site: &Site, clock: &Clock, message: &Message, encounter: Option<&Encounter>) {
    let code = message.kind.code();
    let recorded = time(clock, message.recorded_at);
    // The standard lets several triggers share one structure of segments.
    let structure = match code {
        "A04" | "A08" | "A13" => "ADT_A01",
        "A11" | "A12" => "ADT_A09",
        "A40" => "ADT_A39",
        "A02" => "ADT_A02",
        "A03" => "ADT_A03",
        _ => "ADT_A01",
    };
    let id = format!("{}-T{:09}", site.id, message.number);
    let sender = format!("WARDLAKE-SIM|{}|WARDLAKE|NETWORK", site.id);
    segment(
        out,
        &format!("MSH|^~\\&|{sender}|{recorded}||ADT^{code}^{structure}|{id}|P|2.5.1|||AL|NE|USA|UNICODE UTF-8"),
    );
    segment(out, &format!("EVN|{code}|{recorded}||||{}", time(clock, message.occurred_at)));
    let patient = &site.patients[message.patient];
    match message.merged_into.map(|index| &site.patients[index]) {
        // PID names the record that remains, MRG the one that is gone.
        Some(kept) => {
            segment(out, &pid(site, kept));
            segment(out, &format!("MRG|{}", identifiers(site, patient)));
        }
        None => {
            segment(out, &pid(site, patient));
            segment(out, &pv1(site, clock, message, encounter));
        }
    }
}

fn segment(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(text.trim_end_matches('|').as_bytes());
    out.push(b'\r');
}

/// `YYYYMMDDHHMMSS±ZZZZ`.
fn time(clock: &Clock, at: i64) -> String {
    let mut text = String::new();
    clock.write_time(&mut text, at);
    text.retain(|letter| letter.is_ascii_digit());
    let offset = (clock.local(at) - at) / 60;
    let sign = if offset < 0 { '-' } else { '+' };
    let _ = write!(text, "{sign}{:02}{:02}", offset.abs() / 60, offset.abs() % 60);
    text
}

fn identifiers(site: &Site, patient: &Patient) -> String {
    let hospital = &site.id;
    format!("{}^^^{hospital}^PI~{}^^^{hospital}^MR~{}^^^USA^SS", patient.id, patient.mrn, patient.national_id)
}

fn pid(site: &Site, patient: &Patient) -> String {
    let mut born = String::new();
    write_date(&mut born, patient.born);
    born.retain(|letter| letter.is_ascii_digit());
    format!(
        "PID|1||{}||{}^{}||{born}|{}|||{}^^{}^NY^{}^USA||{}",
        identifiers(site, patient),
        escaped(patient.last_name),
        escaped(patient.first_name),
        if patient.is_female { 'F' } else { 'M' },
        escaped(&patient.address),
        CITIES[patient.city].0,
        patient.postal_code,
        patient.phone,
    )
}

fn pv1(site: &Site, clock: &Clock, message: &Message, encounter: Option<&Encounter>) -> String {
    let location = |bed: usize| {
        let bed = &site.beds[bed];
        let department = &site.departments[bed.department].id;
        format!("{department}^{}^{}^{}", site.rooms[bed.room].id, bed.id, site.id)
    };
    let assigned = message
        .bed
        .map(&location)
        .or_else(|| message.department.map(|department| format!("{}^^^{}", site.departments[department].id, site.id)));
    let class = match encounter.map(|encounter| encounter.class) {
        Some(Class::Emergency) => "E",
        Some(Class::Inpatient) => "I",
        Some(Class::Outpatient) => "O",
        Some(Class::Observation) => "B",
        None => "N",
    };
    let doctor = encounter.map_or_else(String::new, |encounter| {
        let worker = &site.staff[encounter.physician];
        format!("{}^{}^{}", worker.id, escaped(worker.last_name), escaped(worker.first_name))
    });
    let visit = message.encounter.map_or_else(String::new, |number| format!("{}-E{number:09}", site.id));
    let admitted = encounter.and_then(|encounter| encounter.admitted_at).map_or_else(String::new, |at| time(clock, at));
    let discharged = match message.kind {
        AdtKind::Discharge => time(clock, message.occurred_at),
        _ => String::new(),
    };
    // PV1-2 class, 3 location, 6 prior location, 7 attending doctor, 19 visit number, 44 admitted, 45 discharged.
    format!(
        "PV1|1|{class}|{}|||{}|{doctor}|{}{visit}{}{admitted}|{discharged}",
        assigned.unwrap_or_default(),
        message.prior_bed.map(location).unwrap_or_default(),
        "|".repeat(11),
        "|".repeat(25),
    )
}

/// The delimiters of the message stand for themselves only when escaped.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '\\' => out.push_str("\\E\\"),
            '|' => out.push_str("\\F\\"),
            '^' => out.push_str("\\S\\"),
            '&' => out.push_str("\\T\\"),
            '~' => out.push_str("\\R\\"),
            _ => out.push(letter),
        }
    }
    out
}
