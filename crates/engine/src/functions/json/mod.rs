//! JSON kept as text: checks. Access is `->`, `->>`, `json_get…` of datafusion-functions-json and the forms that the
//! dialect rewrites to them.

use arrow::datatypes::DataType;
use serde_json::value::RawValue;

use super::{FunctionDoc, scalar::ScalarFunction};
use crate::words::say;

pub(super) fn all() -> Vec<ScalarFunction> {
    vec![
        ScalarFunction::new(
            FunctionDoc {
                name: "is_valid_json",
                signature: "is_valid_json(x)",
                description: "Whether the text is one JSON value.",
                example: "is_valid_json('{\"a\": 1}') → true",
            },
            1..=1,
            |_| Ok(DataType::Boolean),
            |call| {
                let texts = call.texts(0)?;
                call.make_boolean(|row| texts.get(row).map(is_json))
            },
        )
        .aliases(&["json_valid", "is_json"]),
        ScalarFunction::new(
            FunctionDoc {
                name: "parse_json",
                signature: "parse_json(x)",
                description: "The text itself, checked to be JSON; other text is an error. JSON is kept as text.",
                example: "parse_json('{\"a\": 1}') ->> 'a' → 1",
            },
            1..=1,
            |_| Ok(DataType::Utf8),
            |call| {
                let texts = call.texts(0)?;
                let bad = (0..call.rows).any(|row| texts.get(row).is_some_and(|text| !is_json(text)));
                if bad {
                    return say!(
                        "parse_json: a text is not JSON ({}); try_parse_json gives NULL instead",
                        call.subject(0)
                    );
                }
                call.make_text(|row| texts.get(row))
            },
        ),
        ScalarFunction::new(
            FunctionDoc {
                name: "try_parse_json",
                signature: "try_parse_json(x)",
                description: "The text itself if it is JSON, NULL otherwise.",
                example: "try_parse_json('{') → NULL",
            },
            1..=1,
            |_| Ok(DataType::Utf8),
            |call| {
                let texts = call.texts(0)?;
                call.make_text(|row| texts.get(row).filter(|text| is_json(text)))
            },
        )
        .aliases(&["check_json"]),
    ]
}

fn is_json(text: &str) -> bool {
    serde_json::from_str::<&RawValue>(text).is_ok()
}
