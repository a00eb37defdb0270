//! What is wrong with a message: a stable code, the code HL7 gives it, and where. Never a value of the message.

use std::fmt;

use crate::RejectReason;

/// The message error condition codes of HL7 table 0357.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ErrorCode {
    /// 100: segments are missing, superfluous or in the wrong order.
    SegmentSequence,
    /// 101: a required field is empty.
    RequiredField,
    /// 102: a field holds data of another type.
    DataType,
    /// 103: a coded value is not in its table.
    TableValue,
    /// 200: the message type is not supported.
    MessageType,
    /// 201: the trigger event is not supported.
    TriggerEvent,
    /// 202: the processing id is not supported.
    ProcessingId,
    /// 203: the version is not supported.
    Version,
    /// 204: the id of a patient, order and so on was not found.
    UnknownKey,
    /// 205: the id of a patient, order and so on exists already.
    DuplicateKey,
    /// 206: the transaction could not be performed because the record is locked.
    Locked,
    /// 207: anything else that happened inside the receiver.
    Internal,
}

impl ErrorCode {
    /// The code as sent.
    pub fn code(self) -> &'static str {
        match self {
            Self::SegmentSequence => "100",
            Self::RequiredField => "101",
            Self::DataType => "102",
            Self::TableValue => "103",
            Self::MessageType => "200",
            Self::TriggerEvent => "201",
            Self::ProcessingId => "202",
            Self::Version => "203",
            Self::UnknownKey => "204",
            Self::DuplicateKey => "205",
            Self::Locked => "206",
            Self::Internal => "207",
        }
    }

    /// The name the table gives it.
    pub fn text(self) -> &'static str {
        match self {
            Self::SegmentSequence => "Segment sequence error",
            Self::RequiredField => "Required field missing",
            Self::DataType => "Data type error",
            Self::TableValue => "Table value not found",
            Self::MessageType => "Unsupported message type",
            Self::TriggerEvent => "Unsupported event code",
            Self::ProcessingId => "Unsupported processing id",
            Self::Version => "Unsupported version id",
            Self::UnknownKey => "Unknown key identifier",
            Self::DuplicateKey => "Duplicate key identifier",
            Self::Locked => "Application record locked",
            Self::Internal => "Application internal error",
        }
    }

    /// Whether the message is rejected (AR) for what its header says or what the receiver cannot do, rather than for an error
    /// in its content (AE): HL7 2.5.1, chapter 2.9.2.2.
    pub fn is_rejection(self) -> bool {
        self >= Self::MessageType
    }
}

/// Where in a message: `segment^sequence^field`, as ERL and ELD have it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Location {
    /// The segment's name; empty where a line has none.
    pub segment: String,
    /// Which of the segments of that name, from 1; of all segments where the name is empty.
    pub sequence: usize,
    /// The field, from 1; `None` for the segment as a whole.
    pub field: Option<usize>,
}

impl Location {
    /// A place in the header.
    pub(crate) fn header(field: Option<usize>) -> Self {
        Self { segment: "MSH".to_owned(), sequence: 1, field }
    }
}

/// Why a message is not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The stable reason, as stored with the rejected record.
    pub reason: RejectReason,
    /// Where.
    pub location: Location,
    /// Whether a sender waits to hear of it. What stands between frames or beside a message is no message of anybody's: an answer to it
    /// would be taken for that to the next one.
    pub is_awaited: bool,
}

impl Problem {
    /// Something wrong with a message.
    pub(crate) fn new(reason: RejectReason, location: Location) -> Self {
        Self { reason, location, is_awaited: true }
    }

    pub(crate) fn header(reason: RejectReason, field: Option<usize>) -> Self {
        Self::new(reason, Location::header(field))
    }

    /// The code of HL7 table 0357.
    pub fn code(&self) -> ErrorCode {
        match self.reason {
            RejectReason::Hl7RequiredField => ErrorCode::RequiredField,
            RejectReason::Hl7TableValue => ErrorCode::TableValue,
            RejectReason::Hl7MessageType => ErrorCode::MessageType,
            RejectReason::Hl7TriggerEvent => ErrorCode::TriggerEvent,
            RejectReason::Hl7ProcessingId => ErrorCode::ProcessingId,
            RejectReason::Hl7Version => ErrorCode::Version,
            RejectReason::TooLong => ErrorCode::Internal,
            RejectReason::Hl7Delimiters | RejectReason::InvalidEncoding | RejectReason::NulByte => ErrorCode::DataType,
            _ => ErrorCode::SegmentSequence,
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Location { segment, sequence, field } = &self.location;
        write!(out, "{} ({segment}^{sequence}", self.reason.message())?;
        if let Some(field) = field {
            write!(out, "^{field}")?;
        }
        write!(out, ", HL7 error {})", self.code().code())
    }
}
