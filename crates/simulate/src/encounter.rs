//! A patient's visit and the beds it used.

/// How a visit counts: inpatients and observation patients lie in beds, only inpatients are admissions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    Emergency,
    Inpatient,
    Observation,
    Outpatient,
}

impl Class {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Emergency => "emergency",
            Self::Inpatient => "inpatient",
            Self::Observation => "observation",
            Self::Outpatient => "outpatient",
        }
    }
}

/// One stay in one bed. A bed never has two that overlap.
#[derive(Debug, Clone)]
pub(crate) struct Movement {
    pub number: u64,
    pub bed: usize,
    pub is_first: bool,
    pub started_at: i64,
    pub ended_at: Option<i64>,
    pub reason: &'static str,
    pub updated_at: i64,
}

/// One visit.
#[derive(Debug, Clone)]
pub(crate) struct Encounter {
    pub number: u64,
    pub patient: usize,
    /// The department the patient came to first.
    pub department: usize,
    pub class: Class,
    pub admission_type: &'static str,
    pub arrived_at: i64,
    pub triaged_at: Option<i64>,
    pub triage_level: Option<u8>,
    pub provider_seen_at: Option<i64>,
    pub admit_decision_at: Option<i64>,
    pub departed_ed_at: Option<i64>,
    pub admitted_at: Option<i64>,
    /// Local date, days since 1970.
    pub expected_discharge: Option<i32>,
    pub discharged_at: Option<i64>,
    pub disposition: &'static str,
    /// Position in the hospital's staff.
    pub physician: usize,
    /// Position in the catalogue; `None` for a birth.
    pub diagnosis: Option<usize>,
    pub updated_at: i64,
    pub movements: Vec<Movement>,
    /// Department whose bed is wanted or was last entered.
    pub target: usize,
    /// Bed held for the patient until the move.
    pub reserved: Option<usize>,
    pub is_waiting: bool,
    pub was_in_icu: bool,
}

impl Encounter {
    /// The bed the patient lies in.
    pub(crate) fn bed(&self) -> Option<usize> {
        self.movements.last().filter(|movement| movement.ended_at.is_none()).map(|movement| movement.bed)
    }

    pub(crate) fn came_by_emergency(&self) -> bool {
        self.triaged_at.is_some()
    }
}
