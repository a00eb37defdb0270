//! The settings of a source table, as plain values: where they were written (YAML) is not known here.

mod fields;
mod format;
mod listen;
mod table;

pub use fields::ConfigProblem;
pub(crate) use fields::Fields;
pub use format::{Compression, Delimiter, Encoding, FileFormat, Format, Header, Ragged};
pub use listen::{HttpSettings, MllpSettings, Secret, TlsFiles};
pub use table::{Change, Deletes, FileTable, OnSchemaChange, OrderBy, from_json};
