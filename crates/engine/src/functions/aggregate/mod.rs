//! Aggregates: `mode`, `percentile_cont`, `percentile_disc`, `max_by`, `min_by`, `sum`.

mod extreme;
mod interpolated;
mod ordered;
mod sum;

use datafusion::logical_expr::AggregateUDF;

use super::FunctionDoc;

pub(super) fn all() -> Vec<AggregateUDF> {
    vec![
        AggregateUDF::new_from_impl(ordered::Mode::new()),
        AggregateUDF::new_from_impl(interpolated::PercentileCont::new()),
        AggregateUDF::new_from_impl(ordered::PercentileDisc::new()),
        AggregateUDF::new_from_impl(extreme::ExtremeBy::max()),
        AggregateUDF::new_from_impl(extreme::ExtremeBy::min()),
        AggregateUDF::new_from_impl(sum::Sum::new()),
    ]
}

pub(super) fn docs() -> Vec<FunctionDoc> {
    vec![
        ordered::MODE_DOC,
        interpolated::PERCENTILE_CONT_DOC,
        ordered::PERCENTILE_DISC_DOC,
        extreme::MAX_BY_DOC,
        extreme::MIN_BY_DOC,
        sum::SUM_DOC,
    ]
}
