//! The hospital's ADT messages: what happened, and the mistakes that were taken back.
//!
//! A cancelled message (A11, A12, A13) is always preceded by the message it cancels and followed by the right one, so that the
//! messages of an encounter, applied in order, end in the same beds as the movements.

use crate::chance::Chance;
use crate::clock::{Clock, Downtimes, HOUR};
use crate::encounter::Encounter;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AdtKind {
    Register,
    Admit,
    Transfer,
    Discharge,
    Update,
    CancelAdmit,
    CancelTransfer,
    CancelDischarge,
    Merge,
}

impl AdtKind {
    pub(crate) fn code(self) -> &'static str {
        match self {
            Self::Admit => "A01",
            Self::Transfer => "A02",
            Self::Discharge => "A03",
            Self::Register => "A04",
            Self::Update => "A08",
            Self::CancelAdmit => "A11",
            Self::CancelTransfer => "A12",
            Self::CancelDischarge => "A13",
            Self::Merge => "A40",
        }
    }
}

/// One message.
#[derive(Debug, Clone)]
pub(crate) struct Message {
    pub number: u64,
    pub kind: AdtKind,
    pub occurred_at: i64,
    pub recorded_at: i64,
    pub patient: usize,
    pub encounter: Option<u64>,
    /// Department of the encounter while it has no bed.
    pub department: Option<usize>,
    pub bed: Option<usize>,
    pub prior_bed: Option<usize>,
    pub merged_into: Option<usize>,
}

/// Messages not yet extracted.
pub(crate) struct Adt {
    count: u64,
    messages: Vec<Message>,
    downtimes: Downtimes,
}

impl Adt {
    pub(crate) fn new(downtimes: Downtimes) -> Self {
        Self { count: 0, messages: Vec::new(), downtimes }
    }

    /// Messages recorded before `until`, in the order of recording.
    pub(crate) fn take(&mut self, until: i64) -> Vec<Message> {
        let (mut ready, later): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.messages).into_iter().partition(|message| message.recorded_at < until);
        self.messages = later;
        ready.sort_by_key(|message| (message.recorded_at, message.number));
        ready
    }

    pub(crate) fn register(&mut self, chance: &mut Chance, at: i64, encounter: &Encounter) {
        self.send(chance, at, AdtKind::Register, encounter, None, None);
    }

    /// A patient's data changed, or (`merged_into`) a second registration was merged away.
    pub(crate) fn person(&mut self, chance: &mut Chance, at: i64, patient: usize, merged_into: Option<usize>) {
        let kind = if merged_into.is_some() { AdtKind::Merge } else { AdtKind::Update };
        let recorded_at = at + delay(chance);
        self.push(Message {
            number: 0,
            kind,
            occurred_at: at,
            recorded_at,
            patient,
            encounter: None,
            department: None,
            bed: None,
            prior_bed: None,
            merged_into,
        });
    }

    /// A patient lay down in the bed of the encounter's last movement.
    pub(crate) fn placed(
        &mut self,
        chance: &mut Chance,
        clock: &Clock,
        at: i64,
        kind: AdtKind,
        encounter: &Encounter,
        from: Option<usize>,
    ) {
        let bed = encounter.movements.last().map(|movement| movement.bed);
        let before =
            encounter.movements.iter().rev().nth(1).map_or(encounter.arrived_at, |movement| movement.started_at);
        let wrong_at = at - 20 * 60;
        // A mistake has to fit between the messages before it and the same day's midnight, or it would not be a mistake taken back.
        let has_room = wrong_at > before + HOUR
            && clock.local_day(wrong_at) == clock.local_day(at)
            && !self.downtimes.meet(wrong_at, at);
        if has_room && chance.yes(0.012) {
            self.send_at_once(wrong_at, kind, encounter, bed, from);
            let cancelled_at = wrong_at + 8 * 60;
            match kind {
                AdtKind::Admit => self.send_at_once(cancelled_at, AdtKind::CancelAdmit, encounter, bed, from),
                // The place of a cancelled transfer is where the patient is after the cancel (HL7 2.5.1, 3.3.12).
                _ => self.send_at_once(cancelled_at, AdtKind::CancelTransfer, encounter, from, bed),
            }
        }
        self.send(chance, at, kind, encounter, bed, from);
    }

    /// A patient left the hospital.
    pub(crate) fn left(
        &mut self,
        chance: &mut Chance,
        clock: &Clock,
        at: i64,
        encounter: &Encounter,
        bed: Option<usize>,
    ) {
        let wrong_at = at - 3 * HOUR;
        let placed_at = encounter.movements.last().map(|movement| movement.started_at);
        let has_room = placed_at.is_some_and(|placed| placed + HOUR < wrong_at) && !self.downtimes.meet(wrong_at, at);
        if has_room && clock.local_day(wrong_at) == clock.local_day(at) && chance.yes(0.012) {
            self.send_at_once(wrong_at, AdtKind::Discharge, encounter, bed, None);
            self.send_at_once(wrong_at + HOUR / 2, AdtKind::CancelDischarge, encounter, bed, None);
        }
        self.send(chance, at, AdtKind::Discharge, encounter, bed, None);
    }

    fn send(
        &mut self,
        chance: &mut Chance,
        at: i64,
        kind: AdtKind,
        encounter: &Encounter,
        bed: Option<usize>,
        prior_bed: Option<usize>,
    ) {
        let recorded_at = at + delay(chance);
        self.push(message(at, recorded_at, kind, encounter, bed, prior_bed));
    }

    fn send_at_once(
        &mut self,
        at: i64,
        kind: AdtKind,
        encounter: &Encounter,
        bed: Option<usize>,
        prior_bed: Option<usize>,
    ) {
        self.push(message(at, at + 60, kind, encounter, bed, prior_bed));
    }

    fn push(&mut self, mut message: Message) {
        self.count += 1;
        message.number = self.count;
        message.recorded_at = self.downtimes.after(message.recorded_at);
        self.messages.push(message);
    }
}

fn message(
    occurred_at: i64,
    recorded_at: i64,
    kind: AdtKind,
    encounter: &Encounter,
    bed: Option<usize>,
    prior_bed: Option<usize>,
) -> Message {
    Message {
        number: 0,
        kind,
        occurred_at,
        recorded_at,
        patient: encounter.patient,
        encounter: Some(encounter.number),
        department: Some(encounter.department),
        bed,
        prior_bed,
        merged_into: None,
    }
}

/// Most messages are typed within minutes, a few hours later: history has to be corrected then.
fn delay(chance: &mut Chance) -> i64 {
    if chance.yes(0.01) { chance.minutes(120.0, 900.0) } else { chance.minutes(0.2, 6.0) }
}
