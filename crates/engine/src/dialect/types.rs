//! Type names of other databases as those that DataFusion knows.
//!
//! - TIMESTAMP without a precision holds microseconds: nanoseconds end in 2262 and cannot hold 9999-12-31.
//! - FLOAT is double precision, as in PostgreSQL, Snowflake and Redshift; REAL and FLOAT4 are single.
//! - The length of VARCHAR(n) is not enforced and cuts nothing, as in DuckDB.
//! - NUMBER without a precision is NUMBER(38, 0), as in Snowflake.

use datafusion::sql::sqlparser::ast::{ArrayElemTypeDef, DataType, ExactNumberInfo, ObjectName, TimezoneInfo};

const TIMESTAMP: DataType = DataType::Timestamp(Some(6), TimezoneInfo::None);

/// Whether values of this type are text.
pub(super) fn is_text(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Varchar(_) | DataType::Text | DataType::String(_) | DataType::Char(_))
}

/// Whether this is a timestamp with time zone.
pub(super) fn is_zoned(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Timestamp(_, TimezoneInfo::Tz | TimezoneInfo::WithTimeZone))
}

/// The timestamp type.
pub(super) fn timestamp() -> DataType {
    TIMESTAMP
}

/// Rewrites a type in place; unknown ones are left for the planner to refuse.
pub(super) fn rewrite(data_type: &mut DataType) {
    let replacement = match data_type {
        DataType::Timestamp(None | Some(1 | 2 | 4 | 5 | 7 | 8), zone) => DataType::Timestamp(Some(6), *zone),
        DataType::Datetime(_) | DataType::TimestampNtz(_) => TIMESTAMP,
        DataType::Float(ExactNumberInfo::Precision(bits)) if *bits <= 24 => DataType::Real,
        DataType::Float(_) | DataType::Float64 | DataType::Double(_) => DataType::DoublePrecision,
        DataType::Float32 => DataType::Real,
        DataType::Int64 => DataType::BigInt(None),
        DataType::Int32 | DataType::MediumInt(_) => DataType::Int(None),
        DataType::Int16 => DataType::SmallInt(None),
        DataType::Int128 | DataType::HugeInt | DataType::BigNumeric(ExactNumberInfo::None) => {
            DataType::Decimal(ExactNumberInfo::PrecisionAndScale(38, 0))
        }
        DataType::UInt8 | DataType::UTinyInt => DataType::TinyIntUnsigned(None),
        DataType::UInt16 | DataType::USmallInt => DataType::SmallIntUnsigned(None),
        DataType::UInt32 => DataType::IntUnsigned(None),
        DataType::UInt64 | DataType::UBigInt => DataType::BigIntUnsigned(None),
        DataType::Dec(info) | DataType::BigNumeric(info) | DataType::BigDecimal(info) => DataType::Decimal(*info),
        DataType::Nvarchar(_)
        | DataType::Character(_)
        | DataType::CharacterVarying(_)
        | DataType::CharVarying(_)
        | DataType::Varchar(_)
        | DataType::Char(_)
        | DataType::Clob(_)
        | DataType::CharacterLargeObject(_)
        | DataType::CharLargeObject(_)
        | DataType::TinyText
        | DataType::MediumText
        | DataType::LongText
        | DataType::FixedString(_)
        | DataType::Uuid
        | DataType::JSON
        | DataType::JSONB => DataType::Varchar(None),
        DataType::Binary(_) | DataType::Varbinary(_) | DataType::Blob(_) | DataType::Bytes(_) => DataType::Bytea,
        DataType::Bit(_) => DataType::Boolean,
        DataType::Date32 => DataType::Date,
        DataType::Time(Some(_), zone) => DataType::Time(None, *zone),
        DataType::Custom(name, modifiers) => match custom(name, modifiers) {
            Some(data_type) => data_type,
            None => return,
        },
        DataType::Array(ArrayElemTypeDef::SquareBracket(element, _) | ArrayElemTypeDef::AngleBracket(element)) => {
            rewrite(element);
            return;
        }
        _ => return,
    };
    *data_type = replacement;
}

fn custom(name: &ObjectName, modifiers: &[String]) -> Option<DataType> {
    let name = name.to_string().to_lowercase();
    let number = |i: usize| modifiers.get(i).and_then(|modifier| modifier.trim().parse::<i64>().ok());
    Some(match name.as_str() {
        "number" | "fixed" => {
            let precision = number(0).and_then(|value| u64::try_from(value).ok()).unwrap_or(38);
            DataType::Decimal(ExactNumberInfo::PrecisionAndScale(precision, number(1).unwrap_or(0)))
        }
        "timestamp_ntz" | "timestampntz" | "datetime2" | "smalldatetime" | "timestamp_us" => TIMESTAMP,
        "timestamp_tz" | "timestamp_ltz" | "timestampltz" | "datetimeoffset" => {
            DataType::Timestamp(Some(6), TimezoneInfo::WithTimeZone)
        }
        "variant" | "object" | "super" | "json" | "jsonb" | "uuid" | "uniqueidentifier" | "ntext" | "nchar"
        | "bpchar" | "varchar2" | "nvarchar2" | "name" | "citext" => DataType::Varchar(None),
        "int64" | "long" | "bigserial" => DataType::BigInt(None),
        "int32" | "serial" => DataType::Int(None),
        "int16" | "short" => DataType::SmallInt(None),
        "byteint" => DataType::TinyInt(None),
        "float64" | "binary_double" => DataType::DoublePrecision,
        "hugeint" => DataType::Decimal(ExactNumberInfo::PrecisionAndScale(38, 0)),
        "money" => DataType::Decimal(ExactNumberInfo::PrecisionAndScale(19, 4)),
        "smallmoney" => DataType::Decimal(ExactNumberInfo::PrecisionAndScale(10, 4)),
        "image" => DataType::Bytea,
        _ => return None,
    })
}
