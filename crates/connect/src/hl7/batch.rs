//! The accounts of batches: BTS-1 is the number of messages in the batch, FTS-1 that of the batches in the file; senders that make no
//! batches write the number of messages there.

use super::split::{Kind, line_end};

/// What came since a batch, the file or the connection began.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    messages: u64,
    batches: u64,
}

impl Batch {
    /// Takes note of a message that is no piece.
    pub(crate) fn count_message(&mut self) {
        self.messages += 1;
    }

    /// Takes note of a piece. False for a trailer that says another number.
    pub(crate) fn agrees(&mut self, kind: Kind, text: &[u8]) -> bool {
        match (kind, text.get(..3)) {
            (Kind::Message, _) => self.messages += 1,
            (Kind::Envelope, Some(b"FHS")) => *self = Self::default(),
            (Kind::Envelope, Some(b"BHS")) => *self = Self { messages: 0, batches: self.batches + 1 },
            (Kind::Envelope, Some(b"BTS")) => return count(text).is_none_or(|told| told == self.messages),
            (Kind::Envelope, Some(b"FTS")) => {
                let of_batches = if self.batches == 0 { [1, self.messages] } else { [self.batches; 2] };
                return count(text).is_none_or(|told| of_batches.contains(&told));
            }
            _ => {}
        }
        true
    }
}

/// The first field of a trailer, if it is a number.
fn count(trailer: &[u8]) -> Option<u64> {
    let line = &trailer[..line_end(trailer, 0, true)];
    let (field, fields) = line.get(3..)?.split_first()?;
    let text = fields.split(|byte| byte == field).next()?;
    std::str::from_utf8(text).ok()?.trim().parse().ok()
}
