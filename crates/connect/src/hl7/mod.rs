//! HL7 version 2: bytes → frames → messages → rows of text, and the answers to their senders. Pure: no clock, no network.
//!
//! ```text
//! connection ─▶ Decoder ─▶ Frame ─▶ read_row ─▶ Row ─▶ Rows ─▶ Chunk
//!                            └────▶ header ─▶ acknowledge ─▶ connection
//! ```
//!
//! - A message is taken whenever its lines can be told apart and its header says what it is; what its fields hold is for SQL
//!   to judge. What cannot be taken is a [`Problem`] with its bytes kept by the caller, never a loss and never a panic.
//! - Which columns a message becomes is data: [`Mapping`].
//! - The message itself is always among the columns, so that nothing a mapping does not name is lost (Z-segments, for one).

mod ack;
pub(crate) mod batch;
pub(crate) mod charset;
mod escape;
mod header;
mod mapping;
mod message;
mod mllp;
mod path;
mod problem;
mod row;
pub(crate) mod split;
mod time;

pub(crate) use self::row::read_row_of;
pub use self::{
    ack::{Acknowledgement, Codes, Outcome, acknowledge, codes},
    header::{Header, header},
    mapping::Mapping,
    mllp::{Decoder, Frame, framed},
    problem::{ErrorCode, Location, Problem},
    row::{Row, Rows, read_row},
};
