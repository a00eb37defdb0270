//! A hospital network that behaves like one, written as the daily extracts its systems would send.
//!
//! Patients arrive by hour, weekday and season, wait, are admitted when a bed is free, move, go home and are billed; the
//! extracts of a day agree with each other because they are written from one state. Damage of chosen [kinds](DirtKind) is added
//! on the way out, and the [`truth`] about it is kept beside the extracts in `_truth/`. [`score`] compares it with findings.
//!
//! The same options give the same bytes. Memory holds the hospitals, what is still open, and the day being written.

mod adt;
mod catalog;
mod chance;
mod clinic;
mod clock;
mod damage;
mod dirt;
mod encounter;
mod error;
mod extract;
mod figures;
mod flow;
mod hl7;
mod hospital;
mod illness;
mod kind;
mod ledger;
mod network;
mod options;
mod outbox;
mod pace;
mod partial;
mod rounds;
mod rows;
pub mod score;
mod side_by_side;
mod sink;
mod site;
mod stop;
pub mod truth;

pub use error::SimulateError;
pub use extract::{ENTITIES, Entity, Mode};
pub use figures::{DepartmentFigures, HospitalFigures};
pub use kind::{DIRT_KINDS, DirtKind};
pub use network::{HISTORY_DAYS, simulate, simulate_until};
pub use options::{DirtRate, OutputFormat, Progress, SimulationOptions, Summary};
pub use stop::Stop;
pub use truth::{DepartmentDay, DirtyRow, HospitalDay, Kpis, Truth};
