//! Documentation of the forms that are rewritten rather than registered.

use crate::functions::FunctionDoc;

macro_rules! doc {
    ($name:literal, $signature:literal, $description:literal, $example:literal) => {
        FunctionDoc { name: $name, signature: $signature, description: $description, example: $example }
    };
}

/// One entry per rewritten function or clause.
pub(crate) fn docs() -> Vec<FunctionDoc> {
    vec![
        doc!(
            "iff",
            "iff(condition, a, b)\nif(condition, a, b)",
            "a where the condition is true, b otherwise; only the \
             chosen one is evaluated.",
            "iff(los_hours > 24, 'long', 'short')"
        ),
        doc!(
            "decode",
            "decode(x, a, b, …)\ndecode(x, a, b, …, otherwise)",
            "b of the first a that equals x; NULL equals \
             NULL. With two arguments it is DataFusion's decode of encoded bytes.",
            "decode('M', 'M', 'male', 'F', 'female') → male"
        ),
        doc!(
            "isnull",
            "isnull(x)\nisnull(x, otherwise)",
            "Whether x is NULL; with two arguments the same as coalesce.",
            "isnull(NULL, 1) → 1"
        ),
        doc!("zeroifnull", "zeroifnull(x)", "x, 0 for NULL.", "zeroifnull(NULL) → 0"),
        doc!("nullifzero", "nullifzero(x)", "x, NULL for 0.", "nullifzero(0) → NULL"),
        doc!(
            "equal_null",
            "equal_null(a, b)",
            "Whether a equals b, NULL equal to NULL.",
            "equal_null(NULL, NULL) → true"
        ),
        doc!("safe_divide", "safe_divide(a, b)", "a / b as a float, NULL where b is 0.", "safe_divide(1, 0) → NULL"),
        doc!("div0", "div0(a, b)", "a / b, 0 where b is 0.", "div0(1, 0) → 0"),
        doc!("mod", "mod(a, b)", "The remainder of a / b with the sign of a.", "mod(-7, 3) → -1"),
        doc!("count_if", "count_if(condition)", "How many rows satisfy the condition.", "count_if(is_no_show)"),
        doc!(
            "listagg",
            "listagg(x, separator) [within group (order by y)]",
            "The texts of a group joined, in order. \
             Other types are cast to text, NULLs left out.",
            "listagg(code, ', ') within group (order by code)"
        ),
        doc!(
            "now",
            "now()\ncurrent_timestamp",
            "The instant the statement began, a timestamp with time zone in UTC.",
            "now()"
        ),
        doc!(
            "getdate",
            "getdate()\nsysdate()\nlocaltimestamp",
            "The instant the statement began as a timestamp in UTC \
             without time zone.",
            "getdate()"
        ),
        doc!(
            "date_sub",
            "date_sub(x, interval)\ndate_sub(x, days)",
            "x moved back; date_add(x, interval) moves forward.",
            "date_sub(date '2024-03-01', 1) → 2024-02-29"
        ),
        doc!(
            "add_months",
            "add_months(x, n)",
            "The same as dateadd(month, n, x).",
            "add_months(date '2024-01-31', 1) → 2024-02-29"
        ),
        doc!("len", "len(x)", "The number of characters.", "len('bed') → 3"),
        doc!(
            "sha2",
            "sha2(x)\nsha2(x, bits)",
            "The SHA-2 digest as hex digits; bits is 224, 256, 384 or 512.",
            "sha2('a', 256)"
        ),
        doc!(
            "json_value",
            "json_value(x, path)\nget_path(x, path)\njson_extract_scalar(x, path)\nx:a.b",
            "The value at a \
             literal path as text: a text without its quotes, an object or array as JSON.",
            "json_value('{\"a\": [1, 2]}', '$.a[1]') → 2"
        ),
        doc!(
            "json_query",
            "json_query(x, path)\njson_extract(x, path)",
            "The value at a literal path as JSON text.",
            "json_query('{\"a\": [1, 2]}', '$.a') → [1, 2]"
        ),
        doc!(
            "json_extract_path_text",
            "json_extract_path_text(x, step, …)",
            "The value at the steps as text.",
            "json_extract_path_text('{\"a\": {\"b\": 1}}', 'a', 'b') → 1"
        ),
        doc!(
            "try_cast",
            "try_cast(x as type)\nsafe_cast(x as type)",
            "x as the type, NULL where it cannot be. Text is \
             read without the white space around it, and '' is NULL.",
            "try_cast('2025-13-01' as date) → NULL"
        ),
        doc!("split", "split(x, separator)", "The parts of x as an array.", "split('a,b', ',') → [a, b]"),
        doc!(
            "pivot",
            "t PIVOT (aggregate(x) FOR y IN ('a', 'b' AS name))",
            "One row per combination of the other \
             columns, one column per listed value.",
            "visits PIVOT (count(id) FOR ward IN ('ICU', 'ED'))"
        ),
    ]
}
