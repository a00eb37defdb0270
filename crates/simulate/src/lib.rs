//! A hospital network that behaves like one, written as the daily extracts its systems would send.
//!
//! Patients arrive by hour and weekday, wait, are admitted when a bed is free, move, go home and are billed; the extracts of a
//! day agree with each other because they are written from one state. Damage is added on the way out, and the truth about it is
//! kept beside the extracts in `_truth/`: `dirty_rows.csv` names every damaged line, `kpis.json` holds the clean figures.
//!
//! The same options give the same bytes. Memory holds the hospitals and what is still open, not the rows written.

mod adt;
mod catalog;
mod chance;
mod clinic;
mod clock;
mod dirt;
mod encounter;
mod error;
mod extract;
mod flow;
mod ledger;
mod network;
mod options;
mod rounds;
mod rows;
mod sink;
mod site;
mod truth;

pub use error::SimulateError;
pub use extract::{ENTITIES, Entity, Mode};
pub use network::{HISTORY_DAYS, simulate};
pub use options::{Progress, SimulationOptions, Summary};
pub use truth::{DepartmentDay, HospitalDay};
