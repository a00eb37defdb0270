//! Aggregates: `mode`, `percentile_cont`, `percentile_disc`, `max_by`, `min_by`.

mod extreme;
mod interpolated;
mod ordered;

use datafusion::logical_expr::AggregateUDF;

use super::FunctionDoc;

pub(super) fn all() -> Vec<AggregateUDF> {
    vec![
        AggregateUDF::new_from_impl(ordered::Mode::new()),
        AggregateUDF::new_from_impl(interpolated::PercentileCont::new()),
        AggregateUDF::new_from_impl(ordered::PercentileDisc::new()),
        AggregateUDF::new_from_impl(extreme::ExtremeBy::max()),
        AggregateUDF::new_from_impl(extreme::ExtremeBy::min()),
    ]
}

pub(super) fn docs() -> Vec<FunctionDoc> {
    vec![
        ordered::MODE_DOC,
        interpolated::PERCENTILE_CONT_DOC,
        ordered::PERCENTILE_DISC_DOC,
        extreme::MAX_BY_DOC,
        extreme::MIN_BY_DOC,
    ]
}
