//! Postgres versions, as the programs and the data folder tell them.

use std::fmt;

/// A version of Postgres: since version 10, two numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// The release line.
    pub major: u32,
    /// 0 for a version that is not released yet (`18beta1`).
    pub minor: u32,
}

impl Version {
    /// Reads `postgres (PostgreSQL) 15.20 (Debian 15.20-0+deb12u1)`, `… 18beta1`, `… 19devel`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (_, rest) = text.split_once("(PostgreSQL)")?;
        let mut numbers = rest.split_whitespace().next()?.split('.').map(leading_number);
        Some(Self { major: numbers.next()??, minor: numbers.next().flatten().unwrap_or(0) })
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// The number that a text begins with.
pub(super) fn leading_number(text: &str) -> Option<u32> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    text[..end].parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_as_the_packages_print_them() {
        let parsed = |text: &str| Version::parse(text).map(|version| version.to_string());
        assert_eq!(parsed("postgres (PostgreSQL) 15.20 (Debian 15.20-0+deb12u1)\n").as_deref(), Some("15.20"));
        assert_eq!(parsed("postgres (PostgreSQL) 18beta1").as_deref(), Some("18.0"));
        assert_eq!(parsed("postgres (PostgreSQL) 9.6.24").as_deref(), Some("9.6"));
        assert_eq!(parsed("bash: postgres: command not found"), None);
    }
}
