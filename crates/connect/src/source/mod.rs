//! What a source is, whatever its kind: the traits that each kind implements, and the settings of a source table, as plain values: where they
//! were written (YAML) is not known here.

mod extracts;
mod fields;
mod format;
mod kind;
mod log;
mod parse;
mod push;
mod reading;
mod records;
mod table;

pub use extracts::{Extracts, Sink, belongs, discover, read};
pub use fields::ConfigProblem;
pub(crate) use fields::Fields;
pub use format::{Compression, Delimiter, Encoding, FileFormat, Format, Header, Ragged};
pub use kind::{Kind, Source, Way};
pub use log::{
    Answer, Fit, Follow, Follower, Log, LogState, Monitor, Part, PositionError, PositionOf, RejectedRecord, Rows,
    Stretch, Stretches,
};
pub use parse::from_json;
pub(crate) use push::max_bytes;
pub use push::{MAX_BYTES, Messages, Push, Requests, Secret, TlsFiles};
pub use reading::TableReading;
pub use records::Reading;
pub use table::{Change, Deletes, FileTable, OnSchemaChange, OrderBy, RAW, RECORD};
