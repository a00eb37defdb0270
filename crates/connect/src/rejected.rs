//! Records that could not be read: each keeps its place, its reason and its raw bytes, so that it can be corrected and
//! replayed. A rejected record never stops a load.

/// Of a longer record only so many bytes are kept; its true length stays known.
pub const MAX_REJECTED_BYTES: usize = 64 * 1024;

/// One record that could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejected {
    /// Where the record starts, as in `_position`: 1-based line, or record number for JSON documents.
    pub line: u64,
    /// Offset of its first byte in the uncompressed file (for UTF-16: in its text as UTF-8).
    pub byte_offset: u64,
    /// Why.
    pub reason: RejectReason,
    /// Its first [`MAX_REJECTED_BYTES`] bytes, without the line end.
    pub bytes: Vec<u8>,
    /// Its whole length in bytes.
    pub length: u64,
}

impl Rejected {
    pub(crate) fn new(line: u64, byte_offset: u64, reason: RejectReason, record: &[u8]) -> Self {
        let kept = record.len().min(MAX_REJECTED_BYTES);
        Self { line, byte_offset, reason, bytes: record[..kept].to_vec(), length: record.len() as u64 }
    }
}

/// Why a record was rejected. Messages never hold a value of the record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RejectReason {
    /// More fields than columns, and the surplus is not empty.
    TooManyFields,
    /// Fewer fields than columns, under `ragged: reject` or behind a broken quote.
    TooFewFields,
    /// A quoted field without its closing quote.
    UnclosedQuote,
    /// Text behind the closing quote of a field.
    TextAfterQuote,
    /// Bytes that are no text in the file's encoding.
    InvalidEncoding,
    /// A NUL byte (in JSON also written as `\u0000`).
    NulByte,
    /// Not JSON.
    InvalidJson,
    /// JSON, but no object.
    NotAnObject,
    /// An object that names a key twice.
    DuplicateKey,
    /// An object with a key that can be no name of a column: too long, or with control characters.
    ColumnName,
    /// An object with more keys that its table has no column for than a table takes at once.
    TooManyColumns,
    /// Longer than a record may be.
    TooLong,
    /// Text that begins with no MSH segment.
    Hl7NoHeader,
    /// MSH-1 and MSH-2 name no usable delimiters.
    Hl7Delimiters,
    /// A line of a message that begins with no segment name.
    Hl7Segment,
    /// A message that ends before its frame does.
    Hl7Truncated,
    /// A message without a field it must have.
    Hl7RequiredField,
    /// A coded value outside of its closed table.
    Hl7TableValue,
    /// A message type that the source does not take.
    Hl7MessageType,
    /// A trigger event that the source does not take.
    Hl7TriggerEvent,
    /// A processing id that the source does not take.
    Hl7ProcessingId,
    /// A version that is none of HL7 v2, or that the source does not take.
    Hl7Version,
    /// The trailer of a batch or file counts otherwise.
    Hl7CountMismatch,
}

impl RejectReason {
    /// The stable code, as stored.
    pub fn code(self) -> &'static str {
        match self {
            Self::TooManyFields => "too_many_fields",
            Self::TooFewFields => "too_few_fields",
            Self::UnclosedQuote => "unclosed_quote",
            Self::TextAfterQuote => "text_after_quote",
            Self::InvalidEncoding => "invalid_encoding",
            Self::NulByte => "nul_byte",
            Self::InvalidJson => "invalid_json",
            Self::NotAnObject => "not_an_object",
            Self::DuplicateKey => "duplicate_key",
            Self::ColumnName => "column_name",
            Self::TooManyColumns => "too_many_columns",
            Self::TooLong => "too_long",
            Self::Hl7NoHeader => "hl7_no_header",
            Self::Hl7Delimiters => "hl7_delimiters",
            Self::Hl7Segment => "hl7_segment",
            Self::Hl7Truncated => "hl7_truncated",
            Self::Hl7RequiredField => "hl7_required_field",
            Self::Hl7TableValue => "hl7_table_value",
            Self::Hl7MessageType => "hl7_message_type",
            Self::Hl7TriggerEvent => "hl7_trigger_event",
            Self::Hl7ProcessingId => "hl7_processing_id",
            Self::Hl7Version => "hl7_version",
            Self::Hl7CountMismatch => "hl7_count_mismatch",
        }
    }

    /// The reason that a stored code stands for; none for codes of others.
    pub fn of_code(code: &str) -> Option<Self> {
        serde_json::from_value(serde_json::Value::String(code.to_owned())).ok()
    }

    /// Where to look when most records of a file are rejected for this reason. None for those that a source leaves out on purpose.
    pub(crate) fn advice(self) -> Option<&'static str> {
        Some(match self {
            Self::TooManyFields | Self::TooFewFields => {
                "check `delimiter` of its format, and `skip_rows` if lines stand before the header"
            }
            Self::UnclosedQuote | Self::TextAfterQuote => "check `quote` and `escape` of its format",
            Self::InvalidEncoding | Self::NulByte => "check `encoding` of its format",
            Self::InvalidJson | Self::NotAnObject => {
                "check `type` of its format (`ndjson` is one object a line, `json` one document), and `records`"
            }
            Self::DuplicateKey | Self::ColumnName | Self::TooManyColumns => {
                "have its objects written with a fixed set of keys"
            }
            Self::TooLong => "check `type` and `quote` of its format: its lines do not end where records should",
            Self::Hl7NoHeader
            | Self::Hl7Delimiters
            | Self::Hl7Segment
            | Self::Hl7Truncated
            | Self::Hl7RequiredField
            | Self::Hl7TableValue
            | Self::Hl7CountMismatch => "check `type` of its format, and what its sender writes",
            Self::Hl7MessageType | Self::Hl7TriggerEvent | Self::Hl7ProcessingId | Self::Hl7Version => return None,
        })
    }

    /// One sentence for people.
    pub fn message(self) -> &'static str {
        match self {
            Self::TooManyFields => "the record has more fields than the file has columns",
            Self::TooFewFields => "the record has fewer fields than the file has columns",
            Self::UnclosedQuote => "a quoted field is not closed",
            Self::TextAfterQuote => "text follows the closing quote of a field",
            Self::InvalidEncoding => "the record has bytes that are no text in the file's encoding",
            Self::NulByte => "the record holds a NUL byte",
            Self::InvalidJson => "the record is not valid JSON",
            Self::NotAnObject => "the record is JSON but not an object",
            Self::DuplicateKey => "the object names a key twice",
            Self::ColumnName => {
                "a key of the object cannot be the name of a column: it is too long or holds control characters"
            }
            Self::TooManyColumns => {
                "the object has more keys that are no columns of its table than a table takes at once; are they values?"
            }
            Self::TooLong => "the record is longer than a record may be",
            Self::Hl7NoHeader => "the text does not begin with an MSH segment",
            Self::Hl7Delimiters => "MSH-1 and MSH-2 name no usable delimiters",
            Self::Hl7Segment => "a line of the message does not begin with a segment name",
            Self::Hl7Truncated => "the message ends before its frame does",
            Self::Hl7RequiredField => "the message lacks a required field",
            Self::Hl7TableValue => "a coded value is not in its table",
            Self::Hl7MessageType => "the source does not take messages of this type",
            Self::Hl7TriggerEvent => "the source does not take messages of this trigger event",
            Self::Hl7ProcessingId => "the source does not take messages with this processing id",
            Self::Hl7Version => "the source does not take messages of this version",
            Self::Hl7CountMismatch => "the trailer counts other than what came before it",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stored_code_leads_back_to_its_reason() {
        for reason in [
            RejectReason::TooManyFields,
            RejectReason::NotAnObject,
            RejectReason::Hl7NoHeader,
            RejectReason::Hl7ProcessingId,
            RejectReason::Hl7CountMismatch,
        ] {
            assert_eq!(RejectReason::of_code(reason.code()), Some(reason));
        }
        assert_eq!(RejectReason::of_code("kafka_offsets_gone"), None);
    }
}
