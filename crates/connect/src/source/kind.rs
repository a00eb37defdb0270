//! What a kind of source is to everything outside its folder.
//!
//! A kind reads its settings, with every problem at once, into a [`Source`], and that is asked for what it has in one of three ways. They are
//! small traits of their own rather than one, because so there is less code: a load walks through extracts on a thread that may wait, and
//! reads one once more when an older one comes late; a log is a conversation that goes on for as long as a server runs; a delivery is
//! brought, and there is nothing to be asked for. A trait for all three would give each kind methods that mean nothing to it, and everyone
//! who calls them a check.

use std::{any::Any, fmt, sync::Arc};

use super::{extracts::Extracts, fields::Fields, log::Log, push::Push};

/// A kind of source, as the registry knows it.
#[derive(Clone, Copy)]
pub struct Kind {
    /// The setting by which a source table asks for it. It also names the kind, in what people read and in the ledgers of tables.
    pub key: &'static str,
    /// Takes the settings that are its own, tells every problem that they have, and makes the source of them if the table asks for it.
    pub(crate) read: fn(&mut Fields<'_>) -> Option<Arc<dyn Source>>,
}

impl fmt::Debug for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kind").field("key", &self.key).finish_non_exhaustive()
    }
}

/// What one source table says of one kind: its settings, with every default filled in.
pub trait Source: Any + fmt::Debug + Send + Sync {
    /// [`Kind::key`].
    fn kind(&self) -> &'static str;

    /// How what it has is come by.
    fn way(&self) -> Way<'_>;
}

/// How what a source has is come by.
pub enum Way<'a> {
    /// It lies somewhere, whole, until it is loaded. The position is which of it was loaded, and how often.
    Extracts(&'a dyn Extracts),
    /// It is somebody else's record of what happens, which goes on. The position of each of its parts is a number that grows.
    Log(&'a dyn Log),
    /// It is brought while a server runs, by senders who keep it no longer than until they are told that it was taken: a journal holds it for
    /// them, and the position is a place in that journal.
    Push(Push<'a>),
}
