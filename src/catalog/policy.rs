//! What a class may say. Pure: an edit is merged into what there is, and the whole is checked.

use serde::Deserialize;
use utoipa::ToSchema;

use crate::catalog::change::{Given, NAME_MOST, new_code};
use crate::catalog::{Class, DepletionOrder, Policy};
use crate::http::problem::Problem;
use crate::http::violations::{MAX_QUANTITY, Violations};

/// No class lets a hold last longer: 31 days.
pub const LONGEST_HOLD_SECONDS: i64 = 31 * 24 * 60 * 60;

/// A class to make. What is absent is as the class `standard` has it now.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewClass {
    /// 1 to 63 of a-z, 0-9 and -; never changes.
    #[schema(required = true, nullable = false, pattern = "^[a-z0-9][a-z0-9-]{0,62}$")]
    code: Option<String>,
    /// For people; the code unless given.
    #[schema(min_length = 1, max_length = 200)]
    name: Option<String>,
    /// How long a hold lasts unless asked otherwise; at most `longest_hold_seconds`.
    #[schema(minimum = 1, maximum = 2_678_400)]
    hold_ttl_seconds: Option<i64>,
    /// How long a hold may last; at most 31 days.
    #[schema(minimum = 1, maximum = 2_678_400)]
    longest_hold_seconds: Option<i64>,
    /// Never shown, never held.
    #[schema(minimum = 0, maximum = 1_000_000_000)]
    safety_stock_quantity: Option<i64>,
    /// How far holds may go below zero.
    #[schema(minimum = 0, maximum = 1_000_000_000)]
    oversell_tolerance_quantity: Option<i64>,
    /// Most units of one SKU in one hold.
    #[schema(minimum = 1, maximum = 1_000_000_000)]
    max_per_hold_quantity: Option<i64>,
    /// At or below this sellable quantity a SKU is low.
    #[schema(minimum = 0, maximum = 1_000_000_000)]
    low_stock_quantity: Option<i64>,
    /// Which lot goes first.
    depletion_order: Option<DepletionOrder>,
}

/// What changes about a class; what is absent stays. It applies to new holds; claims already made keep their policy.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ClassChange {
    /// For people.
    #[schema(min_length = 1, max_length = 200)]
    name: Option<String>,
    /// How long a hold lasts unless asked otherwise; at most `longest_hold_seconds`.
    #[schema(minimum = 1, maximum = 2_678_400)]
    hold_ttl_seconds: Option<i64>,
    /// How long a hold may last; at most 31 days.
    #[schema(minimum = 1, maximum = 2_678_400)]
    longest_hold_seconds: Option<i64>,
    /// Never shown, never held.
    #[schema(minimum = 0, maximum = 1_000_000_000)]
    safety_stock_quantity: Option<i64>,
    /// How far holds may go below zero.
    #[schema(minimum = 0, maximum = 1_000_000_000)]
    oversell_tolerance_quantity: Option<i64>,
    /// Most units of one SKU in one hold.
    #[schema(minimum = 1, maximum = 1_000_000_000)]
    max_per_hold_quantity: Option<i64>,
    /// At or below this sellable quantity a SKU is low.
    #[schema(minimum = 0, maximum = 1_000_000_000)]
    low_stock_quantity: Option<i64>,
    /// Which lot goes first.
    depletion_order: Option<DepletionOrder>,
}

/// A class that may be made.
#[derive(Debug, PartialEq, Eq)]
pub struct Checked {
    /// Its code; it may be taken.
    pub code: String,
    /// Its name.
    pub name: String,
    /// Its numbers.
    pub policy: Policy,
}

/// Checks a new class; what is not given is as in `standard`.
///
/// # Errors
/// Every broken rule.
pub fn of_new(standard: &Policy, given: &Given<NewClass>) -> Result<Checked, Problem> {
    let mut violations = given.violations();
    let code = new_code(&mut violations, given.value.code.as_ref());
    let name = violations.text("/name", given.value.name.clone(), NAME_MOST);
    let policy = merge(standard, &given.value.members(), &mut violations);
    violations.finish(code.map(|code| Checked { name: name.unwrap_or_else(|| code.clone()), code, policy }))
}

/// Name and policy of a class after an edit.
///
/// # Errors
/// Every broken rule.
pub fn of_changed(current: &Class, given: &Given<ClassChange>) -> Result<(String, Policy), Problem> {
    let members = given.value.members();
    let mut violations = given.edit_violations(given.value.name.is_none() && members == Members::default());
    let name = violations.text("/name", given.value.name.clone(), NAME_MOST);
    let policy = merge(&current.policy, &members, &mut violations);
    violations.finish(Some((name.unwrap_or_else(|| current.name.clone()), policy)))
}

/// What is allowed but probably not meant.
#[must_use]
pub fn warnings(policy: &Policy) -> Vec<String> {
    let mut warnings = Vec::new();
    if policy.safety_stock_quantity > 0 && policy.oversell_tolerance_quantity > 0 {
        warnings.push(format!(
            "safety_stock_quantity ({}) and oversell_tolerance_quantity ({}) are both set and both apply: customers are \
             shown less than there is while holds may take more than there is.",
            policy.safety_stock_quantity, policy.oversell_tolerance_quantity,
        ));
    }
    warnings
}

/// The members of a policy as a body gives them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Members {
    hold_ttl_seconds: Option<i64>,
    longest_hold_seconds: Option<i64>,
    safety_stock_quantity: Option<i64>,
    oversell_tolerance_quantity: Option<i64>,
    max_per_hold_quantity: Option<i64>,
    low_stock_quantity: Option<i64>,
    depletion_order: Option<DepletionOrder>,
}

macro_rules! has_members {
    ($($body:ident),+) => {$(
        impl $body {
            fn members(&self) -> Members {
                Members {
                    hold_ttl_seconds: self.hold_ttl_seconds,
                    longest_hold_seconds: self.longest_hold_seconds,
                    safety_stock_quantity: self.safety_stock_quantity,
                    oversell_tolerance_quantity: self.oversell_tolerance_quantity,
                    max_per_hold_quantity: self.max_per_hold_quantity,
                    low_stock_quantity: self.low_stock_quantity,
                    depletion_order: self.depletion_order,
                }
            }
        }
    )+};
}
has_members!(NewClass, ClassChange);

/// The policy that `given` makes of `current`. What breaks a rule is reported and left as it is.
fn merge(current: &Policy, given: &Members, violations: &mut Violations) -> Policy {
    macro_rules! bounded {
        ($member:ident, $least:expr, $most:expr) => {{
            let merged = given.$member.unwrap_or(current.$member);
            violations.integer(concat!("/", stringify!($member)), Some(merged), $least, $most)
        }};
    }
    macro_rules! quantity {
        ($member:ident, $least:expr) => {
            bounded!($member, $least, MAX_QUANTITY).unwrap_or(current.$member)
        };
    }
    let ttl = bounded!(hold_ttl_seconds, 1, LONGEST_HOLD_SECONDS);
    let longest = bounded!(longest_hold_seconds, 1, LONGEST_HOLD_SECONDS);
    if let (Some(ttl), Some(longest)) = (ttl, longest) {
        check_hold_within_longest(ttl, longest, given, violations);
    }
    Policy {
        hold_ttl_seconds: ttl.unwrap_or(current.hold_ttl_seconds),
        longest_hold_seconds: longest.unwrap_or(current.longest_hold_seconds),
        safety_stock_quantity: quantity!(safety_stock_quantity, 0),
        oversell_tolerance_quantity: quantity!(oversell_tolerance_quantity, 0),
        max_per_hold_quantity: quantity!(max_per_hold_quantity, 1),
        low_stock_quantity: quantity!(low_stock_quantity, 0),
        depletion_order: given.depletion_order.unwrap_or(current.depletion_order),
    }
}

/// Points at the member that the caller gave; where that is both, at the smaller promise.
fn check_hold_within_longest(ttl: i64, longest: i64, given: &Members, violations: &mut Violations) {
    if ttl <= longest {
        return;
    }
    if given.hold_ttl_seconds.is_some() {
        violations.add("/hold_ttl_seconds", format!("must not exceed longest_hold_seconds, which is {longest}"));
    } else {
        violations.add("/longest_hold_seconds", format!("must not be below hold_ttl_seconds, which is {ttl}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STANDARD: Policy = Policy {
        hold_ttl_seconds: 900,
        longest_hold_seconds: 86_400,
        safety_stock_quantity: 0,
        oversell_tolerance_quantity: 0,
        max_per_hold_quantity: 1_000_000,
        low_stock_quantity: 0,
        depletion_order: DepletionOrder::Fifo,
    };

    fn class(policy: Policy) -> Class {
        let at = chrono::DateTime::UNIX_EPOCH;
        let (code, name) = ("c".to_owned(), "C".to_owned());
        Class { id: crate::ids::ClassId(1), code, name, policy, revision: 1, created_at: at, updated_at: at }
    }

    fn broken<T>(checked: Result<T, Problem>) -> Vec<String> {
        let errors = checked.err().map_or_else(Vec::new, |problem| problem.errors);
        errors.into_iter().filter_map(|error| error.pointer).collect()
    }

    fn edit(body: &str) -> Result<(String, Policy), Problem> {
        let change = serde_json::from_str(body).unwrap_or_else(|error| panic!("{body}: {error}"));
        of_changed(&class(STANDARD), &Given::made(change))
    }

    #[test]
    fn an_edit_changes_what_it_names_and_nothing_else() {
        let (name, policy) = edit(r#"{"low_stock_quantity": 5, "depletion_order": "fefo"}"#)
            .unwrap_or_else(|problem| panic!("{problem:?}"));
        assert_eq!(name, "C");
        let expected = Policy { low_stock_quantity: 5, depletion_order: DepletionOrder::Fefo, ..STANDARD };
        assert_eq!(policy, expected);
    }

    #[test]
    fn every_broken_rule_is_listed_at_once() {
        let body = r#"{"name": "", "hold_ttl_seconds": 0, "longest_hold_seconds": 2678401, "safety_stock_quantity": -1,
            "oversell_tolerance_quantity": 1000000001, "max_per_hold_quantity": 0, "low_stock_quantity": -1}"#;
        assert_eq!(
            broken(edit(body)),
            [
                "/name",
                "/hold_ttl_seconds",
                "/longest_hold_seconds",
                "/safety_stock_quantity",
                "/oversell_tolerance_quantity",
                "/max_per_hold_quantity",
                "/low_stock_quantity"
            ]
        );
    }

    #[test]
    fn a_hold_longer_than_the_longest_is_blamed_on_the_member_that_was_given() {
        for (body, at) in [
            (r#"{"hold_ttl_seconds": 86401}"#, "/hold_ttl_seconds"),
            (r#"{"longest_hold_seconds": 899}"#, "/longest_hold_seconds"),
            (r#"{"hold_ttl_seconds": 61, "longest_hold_seconds": 60}"#, "/hold_ttl_seconds"),
        ] {
            assert_eq!(broken(edit(body)), [at], "{body}");
        }
        assert!(edit(r#"{"hold_ttl_seconds": 60, "longest_hold_seconds": 60}"#).is_ok());
    }

    #[test]
    fn an_edit_must_say_something() {
        for body in ["{}", r#"{"name": null}"#] {
            assert_eq!(broken(edit(body)), [""], "{body}");
        }
    }

    #[test]
    fn a_new_class_starts_as_standard_and_is_named_by_its_code() {
        let new = NewClass { code: Some("perishable".to_owned()), hold_ttl_seconds: Some(300), ..NewClass::default() };
        let made = of_new(&STANDARD, &Given::made(new)).unwrap_or_else(|problem| panic!("{problem:?}"));
        let policy = Policy { hold_ttl_seconds: 300, ..STANDARD };
        let (code, name) = ("perishable".to_owned(), "perishable".to_owned());
        assert_eq!(made, Checked { code, name, policy });
        assert_eq!(broken(of_new(&STANDARD, &Given::made(NewClass::default()))), ["/code"]);
    }

    #[test]
    fn safety_stock_and_tolerance_together_are_allowed_but_warned() {
        let one = Policy { safety_stock_quantity: 2, ..STANDARD };
        assert!(warnings(&STANDARD).is_empty() && warnings(&one).is_empty());
        assert_eq!(warnings(&Policy { oversell_tolerance_quantity: 3, ..one }).len(), 1);
    }
}
