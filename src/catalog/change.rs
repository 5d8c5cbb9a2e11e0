//! What every change of the catalogue shares: how its body is kept, and how this instance learns of it.

use crate::app::App;
use crate::http::body::Json;
use crate::http::code::Code;
use crate::http::problem::{ErrorItem, Problem};
use crate::http::violations::Violations;

/// Most characters of a name.
pub const NAME_MOST: usize = 200;

/// A body as it was read. What could not be read of it is kept as a list, since a transaction may be tried again.
#[derive(Debug)]
pub struct Given<T> {
    /// What could be read.
    pub value: T,
    unread: Vec<ErrorItem>,
}

impl<T> From<Json<T>> for Given<T> {
    fn from(body: Json<T>) -> Self {
        let unread = body.violations.finish(Some(())).err().map_or_else(Vec::new, |problem| problem.errors);
        Self { value: body.value, unread }
    }
}

impl<T> Given<T> {
    /// A body that the service itself made.
    pub fn made(value: T) -> Self {
        Self { value, unread: Vec::new() }
    }

    /// Starts a check with what could not be read.
    #[must_use]
    pub fn violations(&self) -> Violations {
        Violations::starting_with(self.unread.clone())
    }

    /// Starts the check of an edit, which must say something. A member that could not be read says enough.
    #[must_use]
    pub fn edit_violations(&self, is_empty: bool) -> Violations {
        let mut violations = self.violations();
        if is_empty && self.unread.is_empty() {
            violations.add("", "must have at least one member to change");
        }
        violations
    }
}

/// Whether `text` has the form of a pool's or a class' code.
#[must_use]
pub fn is_code(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    text.len() <= 63 && text.bytes().next().is_some_and(plain) && text.bytes().all(|byte| plain(byte) || byte == b'-')
}

/// The required code of a new pool or class.
pub fn new_code(violations: &mut Violations, value: Option<&String>) -> Option<String> {
    let code = violations.required("/code", value)?;
    if !is_code(code) {
        violations.add("/code", "must have 1 to 63 of a-z, 0-9 and -, and not start with -");
        return None;
    }
    Some(code.clone())
}

/// A new thing cannot have this code.
#[must_use]
pub fn code_in_use(kind: &str, code: &str) -> Problem {
    let detail = format!("There is a {kind} with the code {code:?} already.");
    let errors = vec![ErrorItem::at("/code", Code::CodeInUse, detail.clone())];
    Problem { errors, ..Problem::new(Code::CodeInUse, detail) }
}

/// Takes a committed change into this instance's memory.
///
/// Only to save the next command the detour: whoever decides about stock notices by the revision that memory is
/// behind. So the change stands, and its answer too, if this fails.
pub async fn catch_up(app: &App) {
    let refreshed = async {
        let mut conn = app.db.acquire().await?;
        app.catalogue.refresh(&mut conn).await
    };
    if let Err(error) = refreshed.await {
        tracing::warn!(%error, "the catalogue in memory stays behind a committed change");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_have_the_form_that_the_schema_demands() {
        for good in ["a", "0", "eu-west", "webinar-june", "a-", &"a".repeat(63)] {
            assert!(is_code(good), "{good}");
        }
        for bad in ["", "-a", "A", "a_b", "a b", "é", "a\0", "a\n", &"a".repeat(64)] {
            assert!(!is_code(bad), "{bad:?}");
        }
    }
}
