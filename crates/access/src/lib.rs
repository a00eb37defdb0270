//! Who reads. The engine opens no session without a viewer, and what sessions share (plans, rows in memory, pictures of views) is kept by
//! viewer: what was worked out for one is never the answer of another. No I/O, no async, no query engine.

use std::sync::Arc;

/// Who reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Viewer {
    /// Wardlake itself, which sees everything, and why it reads. `cargo xtask walls` holds the list of the files that read as it.
    System(SystemReason),
    /// Who runs the program: the files of the lake are open to them anyway.
    Owner {
        /// The user's name on that machine.
        user: Arc<str>,
    },
    /// Somebody who signed in.
    Principal(PrincipalId),
}

/// Why Wardlake itself reads. What it sees is the same for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SystemReason {
    /// Files and deliveries are compared with what was loaded before.
    Load,
    /// Models are built and tested, and what they withhold is written down.
    Build,
    /// Models below a source that moved are brought up to date.
    Wave,
    /// Tables are merged, trimmed and cleaned up.
    Maintenance,
    /// Conditions of alerts are asked.
    Alert,
    /// The bounds of key figures are worked out.
    Bounds,
    /// A test looks at what it made.
    Test,
}

/// The name under which somebody signed in.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PrincipalId(Arc<str>);

impl PrincipalId {
    /// The principal of this name.
    pub fn new(name: impl Into<Arc<str>>) -> Self {
        Self(name.into())
    }
}

/// What tells the answers of viewers apart, as a part of the key under which an answer is kept. Only a viewer gives one out.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ViewerKey(Key);

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Key {
    System,
    Owner(Arc<str>),
    Principal(PrincipalId),
}

impl Viewer {
    /// What its answers are kept under. The reasons of the system have one key: they see the same, and waves find the rows that
    /// maintenance read for them.
    pub fn key(&self) -> ViewerKey {
        ViewerKey(match self {
            Self::System(_) => Key::System,
            Self::Owner { user } => Key::Owner(Arc::clone(user)),
            Self::Principal(id) => Key::Principal(id.clone()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owner(user: &str) -> Viewer {
        Viewer::Owner { user: user.into() }
    }

    fn principal(name: &str) -> Viewer {
        Viewer::Principal(PrincipalId::new(name))
    }

    #[test]
    fn one_viewer_has_one_key_and_two_have_two() {
        let viewers = [
            Viewer::System(SystemReason::Wave),
            owner("ward"),
            owner("billing"),
            owner(""),
            principal("ward"),
            principal("Ward"),
            principal(""),
        ];
        for (place, one) in viewers.iter().enumerate() {
            for (other_place, other) in viewers.iter().enumerate() {
                assert_eq!(one.key() == other.key(), place == other_place, "{one:?}, {other:?}");
            }
        }
    }

    #[test]
    fn the_system_is_one_viewer_whatever_it_reads_for() {
        let (wave, maintenance) = (Viewer::System(SystemReason::Wave), Viewer::System(SystemReason::Maintenance));
        assert_ne!(wave, maintenance);
        assert_eq!(wave.key(), maintenance.key());
    }
}
