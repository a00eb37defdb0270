//! Answers to a message (HL7 2.5.1, chapter 2.9). In original mode there is one, which says what became of the message. In
//! enhanced mode the sender asks for up to two: that the message is safely stored (accept), and what became of it
//! (application), each always, never, only on error or only on success.
//!
//! An answer goes back with sender and receiver exchanged, in the delimiters and the character set of the message.

use std::fmt::{self, Write};

use chrono::{DateTime, FixedOffset};
use wardlake_core::RowHasher;

use super::{
    header::{Header, header, is_filled},
    message::Delimiters,
    problem::{ErrorCode, Location, Problem},
};

/// What became of a message.
#[derive(Clone, Copy, Debug)]
pub enum Outcome<'p> {
    /// It is stored.
    Accepted,
    /// It is stored among the rejected records.
    Rejected(&'p Problem),
    /// It is not stored, for a reason that lies in the receiver and passes: the sender has to send it again. Engines take AR for a last
    /// word, so this is never one, whatever table 0357 says of the code.
    Error(ErrorCode),
}

/// The answers to one message, each a message of its own and without the frame.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Acknowledgement {
    /// In enhanced mode, whether the message is stored (CA, CE, CR), if the sender asked for it.
    pub accept: Option<Vec<u8>>,
    /// What became of the message (AA, AE, AR); in enhanced mode if the sender asked for it.
    pub application: Option<Vec<u8>>,
}

impl Acknowledgement {
    /// The answers in the order in which they are sent.
    pub fn messages(&self) -> impl Iterator<Item = &[u8]> {
        self.accept.iter().chain(&self.application).map(Vec::as_slice)
    }

    /// All answers in their frames, as they go over MLLP; empty if the sender wants none.
    pub fn framed(&self) -> Vec<u8> {
        self.messages().flat_map(super::mllp::framed).collect()
    }
}

/// The codes of the answers to one message (HL7 table 0008), of those that are sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Codes {
    /// CA, CE or CR.
    pub accept: Option<&'static str>,
    /// AA, AE or AR.
    pub application: Option<&'static str>,
}

impl fmt::Display for Codes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut codes = self.accept.iter().chain(&self.application);
        codes.next().map_or(Ok(()), |code| f.write_str(code))?;
        codes.try_for_each(|code| write!(f, " {code}"))
    }
}

/// Answers the message of `header`; what is no message of anybody's gets no answer. `at` is the time of the answer and, with the message's
/// own id, the source of the answer's.
pub fn acknowledge(header: &Header, outcome: Outcome<'_>, at: DateTime<FixedOffset>) -> Acknowledgement {
    let Codes { accept, application } = codes(header, outcome);
    let answer = |code| Answer { header, outcome, at }.bytes(code);
    Acknowledgement { accept: accept.map(answer), application: application.map(answer) }
}

/// What [`acknowledge`] says.
pub fn codes(header: &Header, outcome: Outcome<'_>) -> Codes {
    if matches!(outcome, Outcome::Rejected(problem) if !problem.is_awaited) {
        return Codes::default();
    }
    let is_rejection = match outcome {
        Outcome::Accepted | Outcome::Error(_) => false,
        Outcome::Rejected(problem) => problem.code().is_rejection(),
    };
    let is_success = matches!(outcome, Outcome::Accepted);
    let application = if is_success {
        "AA"
    } else if is_rejection {
        "AR"
    } else {
        "AE"
    };
    if !header.is_enhanced() {
        return Codes { accept: None, application: Some(application) };
    }
    // A message that is quarantined is stored all the same, unless its header cannot be accepted.
    let accept = match outcome {
        Outcome::Error(_) => "CE",
        Outcome::Rejected(_) if is_rejection => "CR",
        _ => "CA",
    };
    Codes {
        accept: is_asked(&header.accept_acknowledgement, accept == "CA").then_some(accept),
        application: is_asked(&header.application_acknowledgement, is_success).then_some(application),
    }
}

/// Whether an answer is wanted (HL7 table 0155). Left empty beside a filled one, a condition is "never"; an unknown one cannot
/// be a refusal.
fn is_asked(condition: &str, is_success: bool) -> bool {
    if !is_filled(condition) {
        return false;
    }
    match condition.trim().to_ascii_uppercase().as_str() {
        "NE" => false,
        "ER" => !is_success,
        "SU" => is_success,
        _ => true,
    }
}

/// Versions from 2.5 on have an ERR segment with a field of its own for each thing it says.
const ERR_IN_FIELDS: (u32, u32, u32) = (2, 5, 0);
/// Versions from 2.3.1 on name the structure of a message in MSH-9.3.
const WITH_STRUCTURE: (u32, u32, u32) = (2, 3, 1);
/// What a message that names no version is answered in.
const OTHERWISE: (&str, (u32, u32, u32)) = ("2.3.1", (2, 3, 1));

struct Answer<'h> {
    header: &'h Header,
    outcome: Outcome<'h>,
    at: DateTime<FixedOffset>,
}

impl Answer<'_> {
    fn bytes(&self, code: &str) -> Vec<u8> {
        let bytes = self.written(code);
        if header(&bytes).message_type == "ACK" {
            return bytes;
        }
        // Texts in a character set that their message did not declare can be taken for delimiters: they are left out.
        let header = self.header.plain();
        Answer { header: &header, ..*self }.written(code)
    }

    fn written(&self, code: &str) -> Vec<u8> {
        let error = match self.outcome {
            Outcome::Accepted => None,
            Outcome::Rejected(problem) => Some((problem.code(), problem.reason.code(), Some(&problem.location))),
            Outcome::Error(code) => Some((code, "internal", None)),
        };
        let mut text = self.msh();
        self.segment(&mut text, &self.msa(code, error.map(|(code, ..)| code)));
        if let Some((code, reason, location)) = error {
            self.segment(&mut text, &self.err(code, reason, location));
        }
        self.header.charset.encode(&text)
    }

    /// The version of the answer: the message's, unless that is none of HL7 v2.
    fn version(&self) -> (u32, u32, u32) {
        if !self.has_version() {
            return OTHERWISE.1;
        }
        let version = self.header.version.split(|c| Some(c) == self.header.delimiters.component).next();
        let mut parts = version.unwrap_or_default().trim().split('.').map(|part| part.parse().unwrap_or(0));
        let mut part = || parts.next().unwrap_or(0);
        (part(), part(), part())
    }

    fn has_version(&self) -> bool {
        self.header.version.trim_start().starts_with('2')
    }

    fn msh(&self) -> String {
        let Header { delimiters, encoding_characters, .. } = self.header;
        let mut text = format!("MSH{}{}", delimiters.field, echoed(encoding_characters));
        // The texts of the message stand in its delimiters and escapes already.
        let header = self.header;
        let (accept, application) = if header.is_enhanced() { ("NE", "NE") } else { ("", "") };
        let fields = [
            echoed(&header.receiving_application),
            echoed(&header.receiving_facility),
            echoed(&header.sending_application),
            echoed(&header.sending_facility),
            self.own(&self.at.format("%Y%m%d%H%M%S%z").to_string()),
            String::new(),
            self.message_type(),
            self.own(&self.control_id()),
            if is_filled(&header.processing_id) { echoed(&header.processing_id) } else { "P".to_owned() },
            if self.has_version() { echoed(&header.version) } else { self.own(OTHERWISE.0) },
            String::new(),
            String::new(),
            accept.to_owned(),
            application.to_owned(),
            String::new(),
            echoed(&header.character_sets),
        ];
        for field in fields {
            text.push(delimiters.field);
            text.push_str(&field);
        }
        self.ended(&mut text);
        text
    }

    fn message_type(&self) -> String {
        let event = &self.header.trigger_event;
        let Some(component) = self.header.delimiters.component.filter(|_| is_filled(event)) else {
            return "ACK".to_owned();
        };
        let structure = if self.version() >= WITH_STRUCTURE { format!("{component}ACK") } else { String::new() };
        format!("ACK{component}{}{structure}", echoed(event))
    }

    /// At most 20 characters, the length of the older versions. Answers within one microsecond differ by the message's id.
    fn control_id(&self) -> String {
        let mut digest = RowHasher::default();
        digest.field(Some(self.header.sending_application.as_bytes()));
        digest.field(Some(self.header.sending_facility.as_bytes()));
        digest.field(Some(self.header.control_id.as_bytes()));
        format!("{:x}{:06x}", self.at.timestamp_micros(), digest.finish().0 & 0xFF_FFFF)
    }

    fn msa(&self, code: &str, error: Option<ErrorCode>) -> Vec<String> {
        let mut fields = vec!["MSA".to_owned(), code.to_owned(), echoed(&self.header.control_id)];
        if let Some(error) = error.filter(|_| self.version() < ERR_IN_FIELDS) {
            fields.extend([self.own(error.text()), String::new(), String::new(), self.coded(error)]);
        }
        fields
    }

    /// In 2.5 and later `ERR||location|code|severity|own code`, before that `ERR|location with the code behind it`.
    fn err(&self, code: ErrorCode, reason: &str, location: Option<&Location>) -> Vec<String> {
        let Delimiters { component, subcomponent, .. } = self.header.delimiters;
        let place = match (location, component) {
            (Some(Location { segment, sequence, field }), Some(component)) => {
                let field = field.map(|field| format!("{component}{field}")).unwrap_or_default();
                format!("{segment}{component}{sequence}{field}")
            }
            _ => String::new(),
        };
        if self.version() >= ERR_IN_FIELDS {
            let own = self.own(reason);
            return vec!["ERR".to_owned(), String::new(), place, self.coded(code), "E".to_owned(), own];
        }
        let (Some(component), Some(subcomponent)) = (component, subcomponent) else {
            return vec!["ERR".to_owned(), place];
        };
        let missing = 2_usize.saturating_sub(place.matches(component).count());
        let place = format!("{place}{}", component.to_string().repeat(missing));
        let parts = [code.code(), code.text(), "HL70357"].map(|part| self.own(part));
        vec!["ERR".to_owned(), format!("{place}{component}{}", parts.join(&subcomponent.to_string()))]
    }

    /// `101^Required field missing^HL70357`.
    fn coded(&self, code: ErrorCode) -> String {
        match self.header.delimiters.component {
            Some(component) => {
                [code.code(), code.text(), "HL70357"].map(|part| self.own(part)).join(&component.to_string())
            }
            None => code.code().to_owned(),
        }
    }

    /// Our own text in the message's escapes. A delimiter that cannot be escaped is left out.
    fn own(&self, text: &str) -> String {
        let Delimiters { field, component, repetition, escape, subcomponent, .. } = self.header.delimiters;
        let mut out = String::with_capacity(text.len());
        for c in text.chars() {
            let name = match Some(c) {
                found if found == Some(field) => 'F',
                found if found == component => 'S',
                found if found == repetition => 'R',
                found if found == subcomponent => 'T',
                found if found == escape => 'E',
                _ => {
                    out.push(c);
                    continue;
                }
            };
            if let Some(escape) = escape {
                // Writing to a String cannot fail.
                let _ = write!(out, "{escape}{name}{escape}");
            }
        }
        out
    }

    fn segment(&self, text: &mut String, fields: &[String]) {
        text.push_str(&fields.join(&self.header.delimiters.field.to_string()));
        self.ended(text);
    }

    /// Takes away the delimiters at the end of a segment and ends it.
    fn ended(&self, text: &mut String) {
        let kept = text.trim_end_matches(self.header.delimiters.field).len();
        text.truncate(kept);
        text.push('\r');
    }
}

/// A text of the message as its answer gives it back: what would end a line or the frame around it is left out.
fn echoed(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{RejectReason, hl7::header};

    fn at() -> DateTime<FixedOffset> {
        DateTime::parse_from_rfc3339("2026-11-28T15:04:05-03:30").unwrap()
    }

    fn text(bytes: &[u8]) -> String {
        String::from_utf8(bytes.to_vec()).unwrap()
    }

    fn problem(reason: RejectReason, segment: &str, field: Option<usize>) -> Problem {
        Problem::new(reason, Location { segment: segment.to_owned(), sequence: 1, field })
    }

    const MESSAGE: &str = "MSH|^~\\&|APP|FAC^9|EHR|HOME|2026||ADT^A01^ADT_A01|id-1|T|2.5.1||||||UNICODE UTF-8\rPID|1\r";

    #[test]
    fn d13_codes_are_those_of_the_answers_that_are_sent() {
        let enhanced =
            |asked: &str| header(MESSAGE.replacen("2.5.1||||||", &format!("2.5.1|||{asked}||"), 1).as_bytes());
        let refused = problem(RejectReason::Hl7RequiredField, "MSH", Some(9));
        for (header, outcome, said) in [
            (header(MESSAGE.as_bytes()), Outcome::Accepted, "AA"),
            (header(MESSAGE.as_bytes()), Outcome::Error(ErrorCode::Internal), "AE"),
            (enhanced("AL|AL"), Outcome::Accepted, "CA AA"),
            (enhanced("AL|NE"), Outcome::Accepted, "CA"),
            (enhanced("NE|NE"), Outcome::Accepted, ""),
            (enhanced("ER|SU"), Outcome::Rejected(&refused), ""),
        ] {
            assert_eq!(codes(&header, outcome).to_string(), said);
            let answers = acknowledge(&header, outcome, at());
            let sent: Vec<String> =
                answers.messages().map(|answer| text(answer).split("MSA|").nth(1).unwrap()[..2].to_owned()).collect();
            assert_eq!(sent.join(" "), said);
        }
    }

    #[test]
    fn an_answer_turns_the_message_around() {
        let answers = acknowledge(&header(MESSAGE.as_bytes()), Outcome::Accepted, at());
        assert_eq!(answers.accept, None);
        let answer = text(answers.application.as_deref().unwrap());
        let (msh, rest) = answer.split_once('\r').unwrap();
        let fields: Vec<&str> = msh.split('|').collect();
        assert_eq!(fields[1..7], ["^~\\&", "EHR", "HOME", "APP", "FAC^9", "20261128150405-0330"]);
        assert_eq!((fields[8], fields[10], fields[11], fields[17]), ("ACK^A01^ACK", "T", "2.5.1", "UNICODE UTF-8"));
        assert!((1..=20).contains(&fields[9].len()), "{}", fields[9]);
        assert_eq!(rest, "MSA|AA|id-1\r");
        assert_eq!(answers.framed(), [b"\x0B", answer.as_bytes(), b"\x1C\r"].concat());
    }

    #[test]
    fn errors_are_told_in_the_form_of_the_version() {
        let missing = problem(RejectReason::Hl7RequiredField, "PID", Some(3));
        let unknown = problem(RejectReason::Hl7MessageType, "MSH", Some(9));
        let line = problem(RejectReason::Hl7Segment, "", None);
        for (version, outcome, expected) in [
            (
                "2.5.1",
                Outcome::Rejected(&missing),
                "MSA|AE|id-1\rERR||PID^1^3|101^Required field missing^HL70357|E|hl7_required_field\r",
            ),
            (
                "2.8",
                Outcome::Rejected(&unknown),
                "MSA|AR|id-1\rERR||MSH^1^9|200^Unsupported message type^HL70357|E|hl7_message_type\r",
            ),
            (
                "2.5",
                Outcome::Error(ErrorCode::Internal),
                "MSA|AE|id-1\rERR|||207^Application internal error^HL70357|E|internal\r",
            ),
            (
                "2.3",
                Outcome::Rejected(&missing),
                "MSA|AE|id-1|Required field missing|||101^Required field missing^HL70357\r\
                 ERR|PID^1^3^101&Required field missing&HL70357\r",
            ),
            (
                "2.4",
                Outcome::Rejected(&line),
                "MSA|AE|id-1|Segment sequence error|||100^Segment sequence error^HL70357\r\
                 ERR|^1^^100&Segment sequence error&HL70357\r",
            ),
            (
                "",
                Outcome::Error(ErrorCode::Internal),
                "MSA|AE|id-1|Application internal error|||207^Application internal error^HL70357\r\
                 ERR|^^^207&Application internal error&HL70357\r",
            ),
        ] {
            let message = MESSAGE.replace("2.5.1", version);
            let answers = acknowledge(&header(message.as_bytes()), outcome, at());
            let answer = text(answers.application.as_deref().unwrap());
            assert_eq!(answer.split_once('\r').unwrap().1, expected, "{version}");
        }
    }

    #[test]
    fn enhanced_mode_answers_what_is_asked_for() {
        let missing = problem(RejectReason::Hl7RequiredField, "PID", Some(3));
        let version = problem(RejectReason::Hl7Version, "MSH", Some(12));
        let (ok, content, refused, failed) = (
            Outcome::Accepted,
            Outcome::Rejected(&missing),
            Outcome::Rejected(&version),
            Outcome::Error(ErrorCode::Internal),
        );
        for (accept, application, outcome, expected) in [
            ("AL", "AL", ok, "CA AA"),
            ("AL", "NE", ok, "CA"),
            ("AL", "", ok, "CA"),
            ("NE", "AL", ok, "AA"),
            ("", "AL", ok, "AA"),
            ("NE", "NE", ok, ""),
            ("ER", "ER", ok, ""),
            ("SU", "SU", ok, "CA AA"),
            ("??", "NE", ok, "CA"),
            ("AL", "AL", content, "CA AE"),
            ("ER", "ER", content, "AE"),
            ("AL", "AL", refused, "CR AR"),
            ("SU", "SU", refused, ""),
            ("AL", "AL", failed, "CE AE"),
            ("er", "er", failed, "CE AE"),
            ("NE", "NE", failed, ""),
        ] {
            let message = MESSAGE.replace("2.5.1|||", &format!("2.5.1|||{accept}|{application}"));
            let answers = acknowledge(&header(message.as_bytes()), outcome, at());
            let codes: Vec<String> =
                answers.messages().map(|answer| text(answer).split("\rMSA|").nth(1).unwrap()[..2].to_owned()).collect();
            assert_eq!(codes.join(" "), expected, "{accept} {application} {outcome:?}");
        }
    }

    #[test]
    fn d04_a_field_of_blanks_asks_for_nothing() {
        for asks in [" ", "\"\"", " | ", " |\"\""] {
            let message = format!("MSH|^~\\&|APP|FAC|EHR|HOME|2026||ADT^A01|id-1|P|2.5.1|||{asks}\rPID|1\r");
            let answers = acknowledge(&header(message.as_bytes()), Outcome::Accepted, at());
            assert_eq!(answers.accept, None, "{asks}");
            let answer = text(answers.application.as_deref().unwrap());
            assert!(answer.ends_with("\rMSA|AA|id-1\r"), "{asks}: {answer}");
        }
    }

    #[test]
    fn d09_what_nobody_waits_for_is_not_answered() {
        let stray = Problem { is_awaited: false, ..problem(RejectReason::Hl7NoHeader, "MSH", None) };
        let answers = acknowledge(&header(b"hello"), Outcome::Rejected(&stray), at());
        assert_eq!(answers, Acknowledgement::default());
        assert!(answers.framed().is_empty());
    }

    #[test]
    fn answers_speak_the_messages_language() {
        let message = b"MSH.*~!&.APP.FAC.EHR.Z\xFCrich.2026..ADT*A01.id.P.2!F!3......8859/1\rPID.1";
        let missing = problem(RejectReason::Hl7RequiredField, "PID", Some(3));
        let answers = acknowledge(&header(message), Outcome::Rejected(&missing), at());
        let answer = answers.application.unwrap();
        assert!(answer.starts_with(b"MSH.*~!&.EHR.Z\xFCrich.APP.FAC.20261128150405-0330..ACK*A01."));
        assert!(answer.ends_with(b"\rMSA.AE.id.Required field missing...101*Required field missing*HL70357\rERR.PID*1*3*101&Required field missing&HL70357\r"));
        let bare = acknowledge(&header(b"MSH|\rPID|"), Outcome::Rejected(&missing), at());
        assert!(bare.application.unwrap().ends_with(b"\rMSA|AE||Required field missing|||101\rERR\r"));
        let nothing = acknowledge(&header(b"garbage"), Outcome::Rejected(&missing), at());
        let answer = text(&nothing.application.unwrap());
        assert!(answer.starts_with("MSH|^~\\&|||||20261128150405-0330||ACK|"), "{answer}");
        assert!(answer.contains("\rMSA|AE||Required field missing"), "{answer}");
    }
}
