//! Collects every broken rule of a body, so that a caller mends them all at once.

use chrono::Datelike;

use crate::http::code::Code;
use crate::http::problem::{ErrorItem, Problem};

/// The largest quantity that a request may carry, in units.
pub const MAX_QUANTITY: i64 = 1_000_000_000;

/// Broken rules so far.
#[derive(Debug, Default)]
pub struct Violations {
    items: Vec<ErrorItem>,
}

impl Violations {
    /// Takes over what reading the body found.
    #[must_use]
    pub fn starting_with(items: Vec<ErrorItem>) -> Self {
        Self { items }
    }

    /// Adds a broken rule, unless one is known at the same place.
    pub fn add(&mut self, pointer: impl Into<String>, detail: impl Into<String>) {
        self.add_code(pointer, Code::ValidationFailed, detail);
    }

    /// Adds a broken rule with a code of its own, unless one is known at the same place.
    pub fn add_code(&mut self, pointer: impl Into<String>, code: Code, detail: impl Into<String>) {
        let pointer = pointer.into();
        if !self.names(&pointer) {
            self.items.push(ErrorItem::at(pointer, code, detail));
        }
    }

    /// Whether a rule is known to be broken at this place.
    #[must_use]
    pub fn names(&self, pointer: &str) -> bool {
        self.items.iter().any(|item| item.pointer.as_deref() == Some(pointer))
    }

    /// The value, or a broken rule that it is missing.
    pub fn required<T>(&mut self, pointer: &str, value: Option<T>) -> Option<T> {
        if value.is_none() {
            self.add(pointer, "is required");
        }
        value
    }

    /// A required number of units, 1 to 10^9.
    pub fn quantity(&mut self, pointer: &str, value: Option<i64>) -> Option<i64> {
        self.integer(pointer, value, 1, MAX_QUANTITY)
    }

    /// A required integer within bounds.
    pub fn integer(&mut self, pointer: &str, value: Option<i64>, least: i64, most: i64) -> Option<i64> {
        let value = self.required(pointer, value)?;
        if (least..=most).contains(&value) {
            Some(value)
        } else {
            self.add(pointer, format!("must be between {least} and {most}"));
            None
        }
    }

    /// A date or time with a year of four digits: what ISO 8601 writes without an agreement, and the database can keep.
    pub fn year(&mut self, pointer: &str, value: Option<impl Datelike>) {
        if value.is_some_and(|value| !(1..=9999).contains(&value.year())) {
            self.add(pointer, "must be in the years 0001 to 9999");
        }
    }

    /// A text of 1 to `most` characters without control characters and without blanks around it: those cannot be seen, and
    /// the same name with them would be another.
    pub fn text(&mut self, pointer: &str, value: Option<String>, most: usize) -> Option<String> {
        let value = value?;
        let length = value.chars().count();
        if length == 0 || length > most {
            self.add(pointer, format!("must have 1 to {most} characters"));
        } else if value.chars().any(char::is_control) {
            self.add(pointer, "must not contain control characters");
        } else if value.trim() != value {
            self.add(pointer, "must not begin or end with a blank");
        } else {
            return Some(value);
        }
        None
    }

    /// Ends the check: `value` if nothing is broken and it is there.
    ///
    /// # Errors
    /// A problem that lists every broken rule.
    pub fn finish<T>(self, value: Option<T>) -> Result<T, Problem> {
        match value {
            Some(value) if self.items.is_empty() => Ok(value),
            _ => Err(Problem::listing(self.items)),
        }
    }
}
