//! What of a header can be read, however broken the message: enough to answer its sender.

use super::{
    charset::{self, Charset},
    message::Delimiters,
    split::is_line_end,
};

/// The header of a message. Texts are as written, in the message's own delimiters and escapes; what is not there is empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    pub(crate) delimiters: Delimiters,
    pub(crate) charset: Charset,
    /// MSH-2.
    pub(crate) encoding_characters: String,
    /// MSH-3: the sending application.
    pub sending_application: String,
    /// MSH-4: the sending facility.
    pub sending_facility: String,
    /// MSH-5: the receiving application.
    pub receiving_application: String,
    /// MSH-6: the receiving facility.
    pub receiving_facility: String,
    /// MSH-9.1: the type of the message, such as ADT.
    pub message_type: String,
    /// MSH-9.2: the event, such as A01.
    pub trigger_event: String,
    /// MSH-10: the id the sender gave the message.
    pub control_id: String,
    /// MSH-11: P (production), T (training) or D (debugging).
    pub processing_id: String,
    /// MSH-12: the version of HL7.
    pub version: String,
    /// MSH-15: when to acknowledge that the message was stored (AL, NE, ER, SU).
    pub accept_acknowledgement: String,
    /// MSH-16: when to acknowledge that it was processed.
    pub application_acknowledgement: String,
    /// MSH-18: the character sets.
    pub character_sets: String,
}

/// Reads the header of `message`. Bytes without one give an empty header with the usual delimiters.
pub fn header(message: &[u8]) -> Header {
    let first_line = |bytes: &[u8]| {
        let start = bytes.iter().position(|byte| !is_line_end(*byte)).unwrap_or(bytes.len());
        let length = bytes[start..].iter().position(|byte| is_line_end(*byte)).unwrap_or(bytes.len() - start);
        start..start + length
    };
    // In two-byte text a line end is no single byte; everything else need not be read further than its first line.
    let is_wide = matches!(message, [0xFF, 0xFE, ..] | [0xFE, 0xFF, ..] | [_, 0, ..] | [0, _, ..]);
    let decoded = charset::decode(if is_wide { message } else { &message[first_line(message)] });
    let line = &decoded.text[first_line(decoded.text.as_bytes())];
    let line = line.trim_start().trim_start_matches('\u{FEFF}');
    let delimiters = if line.starts_with("MSH") { Delimiters::read(line) } else { None };
    let fields: Vec<&str> = match delimiters {
        Some(delimiters) => line.split(delimiters.field).collect(),
        None => Vec::new(),
    };
    let delimiters = delimiters.unwrap_or_default();
    let field = |number: usize| fields.get(number - 1).copied().unwrap_or_default().to_owned();
    let message_type = field(9);
    let mut parts = message_type.split(|c| Some(c) == delimiters.component);
    let mut part = || parts.next().unwrap_or_default().to_owned();
    Header {
        delimiters,
        charset: decoded.charset,
        encoding_characters: if fields.is_empty() { "^~\\&".to_owned() } else { field(2) },
        sending_application: field(3),
        sending_facility: field(4),
        receiving_application: field(5),
        receiving_facility: field(6),
        message_type: part(),
        trigger_event: part(),
        control_id: field(10),
        processing_id: field(11),
        version: field(12),
        accept_acknowledgement: field(15),
        application_acknowledgement: field(16),
        character_sets: field(18),
    }
}

impl Header {
    /// Whether the sender asked for HL7's enhanced mode of acknowledgement (MSH-15 or MSH-16 is filled).
    pub fn is_enhanced(&self) -> bool {
        is_filled(&self.accept_acknowledgement) || is_filled(&self.application_acknowledgement)
    }
}

/// Whether a field says anything: blanks do not, nor does the `""` by which HL7 takes a value back.
pub(crate) fn is_filled(text: &str) -> bool {
    !matches!(text.trim(), "" | "\"\"")
}

impl Header {
    /// The header with nothing but ASCII in its texts and the usual delimiters, which every reader understands.
    pub(crate) fn plain(&self) -> Self {
        let usual = header(b"");
        let ascii = |text: &str| -> String {
            text.chars().filter(|c| c.is_ascii_graphic() && !"|^~\\&".contains(*c)).collect()
        };
        Self {
            sending_application: ascii(&self.sending_application),
            sending_facility: ascii(&self.sending_facility),
            receiving_application: ascii(&self.receiving_application),
            receiving_facility: ascii(&self.receiving_facility),
            trigger_event: ascii(&self.trigger_event),
            control_id: ascii(&self.control_id),
            processing_id: ascii(&self.processing_id),
            accept_acknowledgement: self.accept_acknowledgement.clone(),
            application_acknowledgement: self.application_acknowledgement.clone(),
            ..usual
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_read_as_far_as_it_goes() {
        let read =
            header(b"\x0BMSH#*~!&#APP#FAC^1#EHR#HOME#2026##ADT*A01*ADT_A01#42#P#2.5.1###AL#NE##8859/1\rPID#\xE9");
        assert_eq!((read.delimiters.field, read.delimiters.component), ('#', Some('*')));
        assert_eq!((read.sending_application.as_str(), read.sending_facility.as_str()), ("APP", "FAC^1"));
        assert_eq!((read.receiving_application.as_str(), read.receiving_facility.as_str()), ("EHR", "HOME"));
        assert_eq!((read.message_type.as_str(), read.trigger_event.as_str()), ("ADT", "A01"));
        assert_eq!((read.control_id.as_str(), read.version.as_str()), ("42", "2.5.1"));
        assert!(read.is_enhanced());
        for asks in [" | ", "\"\"|", "  |\"\""] {
            assert!(
                !header(format!("MSH|^~\\&|A|F|||2026||ADT^A01|1|P|2.5|||{asks}").as_bytes()).is_enhanced(),
                "{asks}"
            );
        }
        let cut = header(b"MSH|^~\\&|APP|FAC|EH");
        assert_eq!((cut.sending_facility.as_str(), cut.receiving_application.as_str()), ("FAC", "EH"));
        assert_eq!((cut.control_id.as_str(), cut.is_enhanced()), ("", false));
    }

    #[test]
    fn what_has_no_header_gives_an_empty_one() {
        for bytes in [&b""[..], b"MS", b"MSH", b"PID|1", b"MSHA^~\\&A", b"\0", b"\xFF\xFE", b"MSH|^^^^|A"] {
            let read = header(bytes);
            assert_eq!(read.encoding_characters, "^~\\&", "{bytes:?}");
            assert_eq!((read.sending_application.as_str(), read.control_id.as_str()), ("", ""), "{bytes:?}");
        }
    }

    #[test]
    fn wide_text_is_read_too() {
        let text = "MSH|^~\\&|APP|FAC|||2026||ADT^A01|\u{B0D}|P|2.5||||||UNICODE UTF-16\rPID|1";
        let bytes: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
        assert_eq!((header(&bytes).control_id.as_str(), header(&bytes).version.as_str()), ("\u{B0D}", "2.5"));
    }
}
