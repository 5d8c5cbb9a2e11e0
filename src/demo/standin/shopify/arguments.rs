//! Arguments of fields: literals, or variables of the request.

use apollo_compiler::ast;
use serde_json::{Map, Value};

use super::document::Field;
use super::errors::Failure;

/// Longest page and longest list that may be asked for.
const MOST: i64 = 250;

/// The variables of a request, coerced.
#[derive(Debug)]
pub(super) struct Arguments<'v> {
    pub(super) variables: &'v Map<String, Value>,
}

impl Arguments<'_> {
    /// An argument; null where it is left out.
    pub(super) fn value(&self, field: &Field, name: &str) -> Value {
        let given = field.arguments.iter().find(|argument| argument.name == name);
        given.map_or(Value::Null, |argument| self.literal(&argument.value))
    }

    fn literal(&self, value: &ast::Value) -> Value {
        match value {
            ast::Value::Null => Value::Null,
            ast::Value::Variable(name) => self.variables.get(name.as_str()).cloned().unwrap_or(Value::Null),
            ast::Value::Enum(name) => Value::String(name.to_string()),
            ast::Value::String(text) => Value::String(text.clone()),
            ast::Value::Boolean(yes) => Value::Bool(*yes),
            ast::Value::Int(number) => number.as_str().parse::<i64>().map_or(Value::Null, Value::from),
            ast::Value::Float(number) => number.as_str().parse::<f64>().map_or(Value::Null, Value::from),
            ast::Value::List(items) => items.iter().map(|item| self.literal(item)).collect(),
            ast::Value::Object(members) => {
                Value::Object(members.iter().map(|(name, of)| (name.to_string(), self.literal(of))).collect())
            }
        }
    }

    pub(super) fn integer(&self, field: &Field, name: &str) -> Option<i64> {
        self.value(field, name).as_i64()
    }

    pub(super) fn text(&self, field: &Field, name: &str) -> Option<String> {
        self.value(field, name).as_str().map(ToOwned::to_owned)
    }

    /// The page size of a connection.
    pub(super) fn first(&self, field: &Field) -> Result<usize, Failure> {
        for other in ["last", "before"] {
            if !self.value(field, other).is_null() {
                return Err(Failure::internal(format!("{other} is not held")));
            }
        }
        if self.value(field, "reverse") == Value::Bool(true) {
            return Err(Failure::internal("reverse is not held"));
        }
        match self.integer(field, "first") {
            None => Err(Failure::bad_request("you must provide one of first or last".to_owned())),
            Some(first @ 0..=MOST) => Ok(usize::try_from(first).unwrap_or(0)),
            Some(first) => Err(Failure::bad_request(format!(
                "Argument 'first' on Field '{}' has an invalid value ({first}): at most {MOST}.",
                field.name
            ))),
        }
    }

    /// A list of ids.
    pub(super) fn ids(&self, field: &Field) -> Result<Vec<String>, Failure> {
        let Value::Array(ids) = self.value(field, "ids") else { return Ok(Vec::new()) };
        if i64::try_from(ids.len()).is_ok_and(|count| count > MOST) {
            let message =
                format!("The input array size of {} is greater than the maximum allowed of {MOST}.", ids.len());
            return Err(Failure::new("MAX_INPUT_SIZE_EXCEEDED", message));
        }
        Ok(ids.iter().filter_map(Value::as_str).map(ToOwned::to_owned).collect())
    }
}
