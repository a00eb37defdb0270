//! The columns every bronze table carries beside the source's own, always in this order, behind the columns of the
//! first load. Columns that come later stand behind them.

/// `<source>.<table>` the row came from (text).
pub const SOURCE: &str = "_source";
/// Path of the file as it was found, relative to the source's root (text).
pub const FILE: &str = "_file";
/// 1-based line on which the record starts; record number for formats without lines (64-bit integer).
pub const POSITION: &str = "_position";
/// When Wardlake received the bytes (timestamp, UTC, microseconds).
pub const RECEIVED_AT: &str = "_received_at";
/// The load that brought the row (text, a UUID).
pub const BATCH_ID: &str = "_batch_id";
/// 128-bit hash of the row's own fields as 32 hex digits (text); NULL and the empty string differ.
pub const ROW_HASH: &str = "_row_hash";
/// `insert`, `update` or `delete` (text).
pub const CHANGE: &str = "_change";

/// Who delivered the row (text): address and port of an HL7 sender, the address of a request. NULL for rows of files and topics.
pub const PEER: &str = "_peer";
/// What the sender was answered (text): the acknowledgement codes of an HL7 message (`AA`, `CA AA`), the status of a request. NULL for rows
/// of files and topics, and where the sender wanted no answer.
pub const ANSWER: &str = "_answer";

/// The lineage columns of every bronze table, in table order.
pub const ALL: [&str; 7] = [SOURCE, FILE, POSITION, RECEIVED_AT, BATCH_ID, ROW_HASH, CHANGE];
/// Those that a table has from its first delivery on.
pub const OF_DELIVERIES: [&str; 2] = [PEER, ANSWER];

/// Whether a column of this name would be one of these: to a table, names that differ in case are one column.
pub fn is_lineage(name: &str) -> bool {
    ALL.iter().chain(&OF_DELIVERIES).any(|own| own.eq_ignore_ascii_case(name))
}
