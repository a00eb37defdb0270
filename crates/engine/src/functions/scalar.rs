//! A scalar function as one value: names, documentation, arity, return type and kernel.

use std::{fmt, hash, ops::RangeInclusive};

use arrow::{
    array::ArrayRef,
    datatypes::{DataType, Field, FieldRef},
};
use datafusion::{
    common::{Result, ScalarValue, plan_err},
    logical_expr::{
        ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
    },
};

use super::FunctionDoc;
use crate::words::say;

/// What a kernel gets: its arguments, how many rows to produce and of which type.
pub(super) struct Call<'a> {
    /// Name for error messages.
    pub(super) name: &'static str,
    /// The arguments, constants unexpanded.
    pub(super) args: &'a [ColumnarValue],
    /// Rows to produce: 1 if every argument is constant.
    pub(super) rows: usize,
    /// The type that `returns` decided on.
    pub(super) return_type: &'a DataType,
    /// What the arguments are.
    pub(super) fields: &'a [FieldRef],
}

impl Call<'_> {
    /// Argument `i` for error messages, with its column if it is one.
    pub(super) fn subject(&self, i: usize) -> String {
        match self.fields.get(i).and_then(|field| column_name(field)) {
            Some(column) => format!("argument {} (`{column}`)", i + 1),
            None => format!("argument {}", i + 1),
        }
    }
}

/// Whether values of this type are text.
pub(super) fn is_text(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View)
}

/// The column that an argument is, if it is one: other fields are named after their expression, which may hold a value.
pub(super) fn column_name(field: &Field) -> Option<&str> {
    let name = field.name().as_str();
    let is_name =
        !name.is_empty() && name.len() < 64 && name.chars().all(|letter| letter.is_alphanumeric() || letter == '_');
    // Constants are called so.
    (is_name && name != "lit").then_some(name)
}

/// Planning-time view of the arguments: types, and values where they are constant.
pub(super) struct Types<'a> {
    args: &'a ReturnFieldArgs<'a>,
}

impl Types<'_> {
    /// Number of arguments.
    pub(super) fn len(&self) -> usize {
        self.args.arg_fields.len()
    }

    /// The type of argument `i`; NULL if there is none.
    pub(super) fn get(&self, i: usize) -> &DataType {
        match self.args.arg_fields.get(i).map_or(&DataType::Null, |field| field.data_type()) {
            DataType::Dictionary(_, value) => value,
            data_type => data_type,
        }
    }

    /// The value of argument `i` if it is a constant whole number.
    pub(super) fn integer(&self, i: usize) -> Option<i64> {
        match self.args.scalar_arguments.get(i).copied().flatten()?.cast_to(&DataType::Int64) {
            Ok(ScalarValue::Int64(value)) => value,
            _ => None,
        }
    }

    /// The text of argument `i` if it is a constant text.
    pub(super) fn text(&self, i: usize) -> Option<&str> {
        self.args.scalar_arguments.get(i).copied().flatten().and_then(|value| value.try_as_str().flatten())
    }
}

type Returns = fn(&Types<'_>) -> Result<DataType>;
type Kernel = fn(&Call<'_>) -> Result<ArrayRef>;

/// A scalar function.
pub(super) struct ScalarFunction {
    /// Its documentation, which also holds its name.
    pub(super) doc: FunctionDoc,
    aliases: Vec<String>,
    arity: RangeInclusive<usize>,
    signature: Signature,
    returns: Returns,
    kernel: Kernel,
}

impl ScalarFunction {
    /// An immutable function.
    pub(super) fn new(doc: FunctionDoc, arity: RangeInclusive<usize>, returns: Returns, kernel: Kernel) -> Self {
        Self {
            doc,
            aliases: Vec::new(),
            arity,
            signature: Signature::user_defined(Volatility::Immutable),
            returns,
            kernel,
        }
    }

    /// Adds other names.
    pub(super) fn aliases(mut self, aliases: &[&str]) -> Self {
        self.aliases = aliases.iter().map(|&alias| alias.to_owned()).collect();
        self
    }

    pub(super) fn into_udf(self) -> ScalarUDF {
        ScalarUDF::new_from_impl(self)
    }
}

impl fmt::Debug for ScalarFunction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScalarFunction").field("name", &self.doc.name).finish_non_exhaustive()
    }
}

/// A name stands for one kernel, so the name decides.
impl PartialEq for ScalarFunction {
    fn eq(&self, other: &Self) -> bool {
        self.doc.name == other.doc.name
    }
}

impl Eq for ScalarFunction {}

impl hash::Hash for ScalarFunction {
    fn hash<H: hash::Hasher>(&self, state: &mut H) {
        self.doc.name.hash(state);
    }
}

impl ScalarUDFImpl for ScalarFunction {
    fn name(&self) -> &str {
        self.doc.name
    }

    fn aliases(&self) -> &[String] {
        &self.aliases
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        if self.arity.contains(&types.len()) {
            Ok(types.to_vec())
        } else {
            plan_err!("{} does not take {} arguments; write {}", self.doc.name, types.len(), self.doc.signature)
        }
    }

    fn return_type(&self, _types: &[DataType]) -> Result<DataType> {
        say!("the type of {} depends on its constant arguments", self.doc.name)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        let data_type = (self.returns)(&Types { args: &args })?;
        Ok(Field::new(self.doc.name, data_type, true).into())
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let constant = args.args.iter().all(|arg| matches!(arg, ColumnarValue::Scalar(_)));
        let call = Call {
            name: self.doc.name,
            args: &args.args,
            rows: if constant { 1 } else { args.number_rows },
            return_type: args.return_field.data_type(),
            fields: &args.arg_fields,
        };
        let array = (self.kernel)(&call)?;
        if constant { Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&array, 0)?)) } else { Ok(array.into()) }
    }
}
