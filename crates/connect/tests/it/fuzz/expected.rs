//! What a second, slow and simple implementation of the documented rules makes of a text.

use wardlake_connect::RejectReason;
use wardlake_core::RowHasher;

/// The fields of a row that are not NULL, in the order of their names.
pub(crate) type Fields = Vec<(String, String)>;

/// What becomes of one record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Row(Fields),
    Rejected(RejectReason),
    /// Rejected; where several things are wrong, which of them is told is left open.
    RejectedForSomeReason,
    /// Not JSON by the letter where the reader may be lenient.
    Lenient,
}

/// A record: the line on which it begins (its number in JSON documents), and its bytes in the text.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    pub(crate) line: u64,
    pub(crate) start: usize,
    pub(crate) end: usize,
    pub(crate) outcome: Outcome,
}

/// Everything a text holds.
#[derive(Debug, Default)]
pub(crate) struct Expected {
    pub(crate) records: Vec<Record>,
    /// Blank lines and comments, without those among the lines that are skipped.
    pub(crate) blank: u64,
}

pub(crate) fn sorted(mut fields: Fields) -> Fields {
    fields.sort();
    fields
}

pub(crate) fn hash_of(fields: &Fields) -> u128 {
    let mut hasher = RowHasher::default();
    for (name, value) in fields {
        hasher.field(Some(name.as_bytes()));
        hasher.field(Some(value.as_bytes()));
    }
    hasher.finish().0
}
