//! What people come with, by department and season.

use crate::catalog::{DIAGNOSES, INFLUENZA};
use crate::chance::Chance;
use crate::clock;
use crate::site::Kind;

/// How strongly influenza goes round on a day, 0.0 to 1.0: highest at the end of January, gone by summer.
pub(crate) fn flu_wave(day: i32) -> f64 {
    use chrono::Datelike;
    const PEAK: f64 = 27.0;
    const WIDTH_DAYS: f64 = 27.0;
    let apart = (f64::from(clock::date_of(day).ordinal()) - PEAK).abs();
    let apart = apart.min(365.25 - apart) / WIDTH_DAYS;
    (-0.5 * apart * apart).exp()
}

/// A diagnosis that departments of this kind treat.
pub(crate) fn diagnosis_of(kind: Kind, chance: &mut Chance, day: i32) -> usize {
    let catches_flu = matches!(kind, Kind::Emergency | Kind::Medical | Kind::Pediatric);
    if catches_flu && chance.yes(0.2 * flu_wave(day)) {
        return INFLUENZA;
    }
    let fits = |index: &usize| DIAGNOSES[*index].kind == kind && *index != INFLUENZA;
    let fitting: Vec<usize> = (0..DIAGNOSES.len()).filter(fits).collect();
    fitting[chance.below(fitting.len())]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn influenza_comes_in_winter() {
        let wave = |month, day| {
            flu_wave(clock::day_number(chrono::NaiveDate::from_ymd_opt(2026, month, day).expect("a date")))
        };
        assert!(wave(1, 27) > 0.99 && wave(12, 31) > 0.5 && wave(7, 1) < 0.001);
        assert!(wave(3, 2) > wave(3, 8));
    }
}
