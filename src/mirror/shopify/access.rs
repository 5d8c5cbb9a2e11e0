//! The token that enters the Admin API: one that was given, or one that is asked for and lasts a day.
//!
//! An app of the organisation's own has no lasting token. It is exchanged for its id and secret, kept, and exchanged
//! again some time before it expires, or when the API says that it is no longer good. Calls that need one meanwhile wait
//! for the one exchange.

use chrono::{DateTime, TimeDelta, Utc};
use reqwest::header::CONTENT_TYPE;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout_at};

use super::reply;
use crate::mirror::settings::ShopifyAccess;
use crate::mirror::upstream::{Answer, Cause, Client, Failure};

/// A token is renewed this long before it expires.
const RENEWED_BEFORE: TimeDelta = TimeDelta::minutes(10);

/// How the shop is entered.
#[derive(Debug)]
pub(super) struct Access {
    how: ShopifyAccess,
    url: String,
    kept: Mutex<Option<Kept>>,
}

#[derive(Debug)]
struct Kept {
    token: SecretString,
    good_until: DateTime<Utc>,
}

#[derive(Deserialize)]
struct Granted {
    access_token: SecretString,
    #[serde(default)]
    expires_in: Option<i64>,
}

impl Access {
    pub(super) fn new(how: ShopifyAccess, base: &str) -> Self {
        Self { how, url: format!("{base}/admin/oauth/access_token"), kept: Mutex::new(None) }
    }

    /// A token that is good as far as is known.
    pub(super) async fn token(&self, client: &Client, deadline: Instant) -> Result<SecretString, Failure> {
        let (client_id, client_secret) = match &self.how {
            ShopifyAccess::Token(token) => return Ok(token.clone()),
            ShopifyAccess::ClientCredentials { client_id, client_secret } => (client_id, client_secret),
        };
        // Whoever has the lock may be waiting for an exchange of his own.
        let kept = timeout_at(deadline, self.kept.lock()).await;
        let mut kept = kept.map_err(|_| Failure::transient(Cause::TimedOut))?;
        let now = client.now();
        if let Some(kept) = kept.as_ref().filter(|kept| now < kept.good_until) {
            return Ok(kept.token.clone());
        }
        let body = form_urlencoded::Serializer::new(String::new())
            .append_pair("grant_type", "client_credentials")
            .append_pair("client_id", client_id)
            .append_pair("client_secret", client_secret.expose_secret())
            .finish();
        let request =
            client.http().post(&self.url).header(CONTENT_TYPE, "application/x-www-form-urlencoded").body(body);
        let granted = client.attempt("access_token", deadline, request, |answer| read(&answer, now)).await?;
        let token = granted.access_token.clone();
        *kept = Some(granted.kept(now));
        Ok(token)
    }

    /// Whether another token can be had.
    pub(super) fn is_renewable(&self) -> bool {
        matches!(self.how, ShopifyAccess::ClientCredentials { .. })
    }

    /// Forgets this token, unless it has been replaced already.
    pub(super) async fn renounce(&self, stale: &SecretString) {
        let mut kept = self.kept.lock().await;
        if kept.as_ref().is_some_and(|kept| kept.token.expose_secret() == stale.expose_secret()) {
            *kept = None;
        }
    }
}

impl Granted {
    fn kept(self, now: DateTime<Utc>) -> Kept {
        let lasts = TimeDelta::try_seconds(self.expires_in.unwrap_or(0).max(0)).unwrap_or(TimeDelta::zero());
        // One that lasts less is used for half of its time.
        let used = (lasts - RENEWED_BEFORE).max(lasts / 2);
        Kept { token: self.access_token, good_until: now.checked_add_signed(used).unwrap_or(now) }
    }
}

fn read(answer: &Answer, now: DateTime<Utc>) -> Result<Granted, Failure> {
    if let Some(failure) = answer.transient(now) {
        return Err(failure);
    }
    if answer.status != 200 {
        return Err(reply::refused(answer).into());
    }
    answer.json()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_renewed_before_it_expires() {
        let now: DateTime<Utc> = "2026-11-20T10:00:00Z".parse().unwrap();
        let good_for = |expires_in| {
            let granted = Granted { access_token: SecretString::from("t"), expires_in };
            (granted.kept(now).good_until - now).num_seconds()
        };
        assert_eq!(good_for(Some(86399)), 86399 - 600);
        assert_eq!(good_for(Some(60)), 30);
        assert_eq!(good_for(Some(-5)), 0);
        assert_eq!(good_for(None), 0, "it is not known how long, so it is used once");
        assert!(good_for(Some(i64::MAX)) >= 0);
    }
}
