//! Why a call to an upstream came to nothing. No secret and no body is ever part of an error.

use std::time::Duration;

/// Why one attempt failed that another may make good.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Cause {
    /// It was asked too often.
    #[error("throttled")]
    Throttled,
    /// It said that the trouble is its own.
    #[error("status {0}")]
    Status(u16),
    /// It said so in a 200, with this code.
    #[error("error {0}")]
    Code(String),
    /// No connection came about.
    #[error("no connection")]
    Connection,
    /// The connection broke.
    #[error("connection lost")]
    Transport,
    /// The answer ended in the middle.
    #[error("the answer was cut off")]
    CutOff,
    /// No answer in the time of an attempt.
    #[error("no answer in time")]
    TimedOut,
    /// The access token was no longer good; another was asked for.
    #[error("the access token had to be renewed")]
    StaleToken,
}

impl Cause {
    /// Whether the upstream may have done what it was asked to do.
    #[must_use]
    pub fn may_have_happened(&self) -> bool {
        match self {
            Self::Throttled | Self::Connection | Self::StaleToken => false,
            Self::Status(_) | Self::Code(_) | Self::Transport | Self::CutOff | Self::TimedOut => true,
        }
    }

    /// The word in metrics.
    #[must_use]
    pub fn label(&self) -> &'static str {
        match self {
            Self::Throttled => "throttled",
            Self::Status(_) => "server_error",
            Self::Code(_) => "upstream_error",
            Self::Connection => "no_connection",
            Self::Transport => "connection_lost",
            Self::CutOff => "cut_off",
            Self::TimedOut => "timed_out",
            Self::StaleToken => "stale_token",
        }
    }
}

/// Why a call to an upstream came to nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UpstreamError {
    /// Every attempt failed.
    #[error("no success in {attempts} attempts; the last one: {last}")]
    Exhausted {
        /// How many there were.
        attempts: u32,
        /// Why the last one failed.
        last: Cause,
    },
    /// The next attempt would have been too late.
    #[error("out of time after {attempts} attempts; the last one: {last}")]
    Deadline {
        /// How many there were.
        attempts: u32,
        /// Why the last one failed.
        last: Cause,
        /// How long the upstream wanted to be left alone, where it said so.
        retry_after: Option<Duration>,
    },
    /// It would not, and would not next time.
    #[error("refused with status {status}: {code}")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// The upstream's word for it.
        code: String,
    },
    /// The token may not see this.
    #[error("access denied: {0}")]
    AccessDenied(String),
    /// It answered in another version of its API, whose words may mean something else.
    #[error("asked for version {asked}, answered in {answered}")]
    Version {
        /// What was asked for.
        asked: &'static str,
        /// What came.
        answered: String,
    },
    /// It did not understand a filter, and so answered with everything.
    #[error("filter {field} was not understood: {message}")]
    SearchWarning {
        /// The filter.
        field: String,
        /// What it said about it.
        message: String,
    },
    /// It no longer knows the place in the list.
    #[error("the cursor is no longer known")]
    StaleCursor,
    /// It answered in a shape that is not known.
    #[error("{path} cannot be read: {reason}")]
    Malformed {
        /// Where in the answer.
        path: String,
        /// What is wrong there.
        reason: String,
    },
    /// The answer is larger than anything that is expected.
    #[error("the answer is larger than {limit} bytes")]
    TooLarge {
        /// What is taken at most.
        limit: usize,
    },
    /// A list without pages is full: there may be more, which nothing would tell.
    #[error("{of} has {limit} {list} or more, which is all that can be asked for")]
    ListFull {
        /// Whose list.
        of: String,
        /// Which.
        list: &'static str,
        /// What was asked for.
        limit: usize,
    },
    /// It changed each time while its pages were read.
    #[error("{0} kept changing while it was read")]
    KeepsChanging(String),
}

impl UpstreamError {
    /// Whether what was asked for is more than the upstream manages in its time, or lets one question cost: less of it at
    /// a time may do.
    #[must_use]
    pub fn is_too_heavy(&self) -> bool {
        match self {
            Self::Exhausted { last, .. } | Self::Deadline { last, .. } => {
                *last == Cause::Status(504) || *last == Cause::Code("TIMEOUT".to_owned())
            }
            Self::Refused { code, .. } => code.starts_with("MAX_COST_EXCEEDED"),
            _ => false,
        }
    }

    /// Whether the same call may succeed later.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Exhausted { .. } | Self::Deadline { .. } | Self::KeepsChanging(_))
    }

    /// What may be shown to a user: no secret, no body.
    #[must_use]
    pub fn public(&self) -> String {
        self.to_string()
    }

    /// The word in metrics.
    #[must_use]
    pub fn label(&self) -> &'static str {
        match self {
            Self::Exhausted { last, .. } | Self::Deadline { last, .. } => last.label(),
            Self::Refused { .. } => "refused",
            Self::AccessDenied(_) => "access_denied",
            Self::Version { .. } => "version",
            Self::SearchWarning { .. } => "search_warning",
            Self::StaleCursor => "stale_cursor",
            Self::Malformed { .. } => "malformed",
            Self::TooLarge { .. } => "too_large",
            Self::ListFull { .. } => "list_full",
            Self::KeepsChanging(_) => "keeps_changing",
        }
    }
}
