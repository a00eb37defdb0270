//! Real or accelerated time: when the files of a simulated midnight may appear.

use crate::error::SimulateError;
use crate::stop::Stop;
use std::time::{Duration, Instant};

/// A clock that runs at a multiple of real time, or does not hold anybody up.
pub(crate) struct Pace {
    speed: Option<f64>,
    began: Instant,
    /// The simulated instant at which it began, in seconds.
    first: i64,
}

impl Pace {
    pub(crate) fn new(speed: Option<f64>, first: i64) -> Self {
        Self { speed, began: Instant::now(), first }
    }

    /// Returns when the simulated instant has come, or the end was asked for.
    pub(crate) fn wait_until(&self, at: i64, stop: &Stop) -> Result<(), SimulateError> {
        match self.left(at, self.began.elapsed()) {
            Some(time) => stop.wait(time),
            None => Ok(()),
        }
    }

    fn left(&self, at: i64, elapsed: Duration) -> Option<Duration> {
        let due = Duration::try_from_secs_f64((at - self.first) as f64 / self.speed?).ok()?;
        due.checked_sub(elapsed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_takes_its_time() {
        let check = |speed: Option<f64>, elapsed: u64, expected: Option<u64>| {
            let left = Pace::new(speed, 1_000).left(1_000 + 86_400, Duration::from_secs(elapsed));
            assert_eq!(left, expected.map(Duration::from_secs));
        };
        check(None, 0, None);
        check(Some(1.0), 400, Some(86_000));
        check(Some(8_640.0), 0, Some(10));
        check(Some(8_640.0), 4, Some(6));
        check(Some(8_640.0), 11, None);
    }
}
