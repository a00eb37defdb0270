//! Keys and hashes over several columns: `surrogate_key`, `hash`.

use arrow::{array::ArrayRef, datatypes::DataType};
use datafusion::common::Result;
use md5::{Digest, Md5};
use wardlake_core::{RowHasher, hex};

use super::super::{
    FunctionDoc,
    scalar::{Call, ScalarFunction},
};

/// What dbt_utils writes in place of a NULL.
const NULL_PLACEHOLDER: &str = "_dbt_utils_surrogate_key_null_";

pub(super) fn all() -> Vec<ScalarFunction> {
    vec![
        ScalarFunction::new(
            FunctionDoc {
                name: "surrogate_key",
                signature: "surrogate_key(a, b, …)",
                description: "The MD5, as 32 hex digits, of the arguments as text joined by '-', with \
                              '_dbt_utils_surrogate_key_null_' for NULL: the same key as dbt_utils.generate_surrogate_key. \
                              Never NULL.",
                example: "surrogate_key('P1', 2) → 2c5cd4115467d1d1eaf4ae86d0bca079",
            },
            1..=64,
            |_| Ok(DataType::Utf8),
            surrogate_key,
        )
        .aliases(&["generate_surrogate_key"]),
        ScalarFunction::new(
            FunctionDoc {
                name: "hash",
                signature: "hash(a, b, …)",
                description: "A 64-bit XXH3 hash of the arguments as text. NULL, '' and the borders between arguments \
                              count: hash('a', 'bc') and hash('ab', 'c') differ. Never NULL.",
                example: "hash('a') = hash('a') → true",
            },
            1..=64,
            |_| Ok(DataType::Int64),
            hash,
        )
        .aliases(&["xxhash64", "xxhash"]),
    ]
}

fn surrogate_key(call: &Call<'_>) -> Result<ArrayRef> {
    let columns = (0..call.args.len()).map(|i| call.texts(i)).collect::<Result<Vec<_>>>()?;
    let mut buffer = String::new();
    call.make_text(|row| {
        buffer.clear();
        for (i, column) in columns.iter().enumerate() {
            if i > 0 {
                buffer.push('-');
            }
            buffer.push_str(column.get(row).unwrap_or(NULL_PLACEHOLDER));
        }
        Some(hex(&Md5::digest(buffer.as_bytes())))
    })
}

fn hash(call: &Call<'_>) -> Result<ArrayRef> {
    let columns = (0..call.args.len()).map(|i| call.texts(i)).collect::<Result<Vec<_>>>()?;
    let mut hasher = RowHasher::default();
    call.make_integer(|row| {
        for column in &columns {
            hasher.field(column.get(row).map(str::as_bytes));
        }
        // The low half of the 128 bits, as a signed number.
        Some(hasher.finish().0 as i64)
    })
}
