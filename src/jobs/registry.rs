//! Which jobs there are. A room that owes something at a time adds its job to [`all`].

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use tokio::sync::{Notify, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::{Job, purge_answers, purge_slots};
use crate::catalog::{Catalogue, Pool, Zones};
use crate::snapshots;

/// Every job of the service.
#[must_use]
pub fn all() -> Vec<Job> {
    vec![snapshots::job::job(), purge_answers::job(), purge_slots::job()]
}

/// A job and how many more slots of it this instance may work on.
#[derive(Debug)]
pub struct Registered {
    /// The job.
    pub job: Job,
    /// One for each slot that this instance may still take on.
    pub permits: Arc<Semaphore>,
}

/// The jobs of one instance, and what their workers share.
#[derive(Debug)]
pub struct Registry {
    jobs: BTreeMap<&'static str, Arc<Registered>>,
    /// Names this instance in leases.
    pub instance: String,
    /// Workers; shutdown waits for them.
    pub workers: TaskTracker,
    /// Cancelled at shutdown.
    pub stop: CancellationToken,
    /// Makes this instance look at the clock at once.
    pub look: Notify,
}

/// A job, or the share of it that is one pool's.
#[derive(Debug, Clone)]
pub struct Subject {
    /// The job.
    pub registered: Arc<Registered>,
    /// Code of the pool; empty for a job of the whole service.
    pub pool_code: String,
    /// The zone whose midnights count.
    pub zones: Zones,
    /// When the pool was made.
    pub since: DateTime<Utc>,
}

impl Registry {
    /// The registry of one instance.
    #[must_use]
    pub fn new(jobs: Vec<Job>, workers: TaskTracker, stop: CancellationToken) -> Self {
        let registered = |job: Job| Registered { permits: Arc::new(Semaphore::new(job.parallel.max(1))), job };
        Self {
            jobs: jobs.into_iter().map(|job| (job.name, Arc::new(registered(job)))).collect(),
            instance: instance_name(),
            workers,
            stop,
            look: Notify::new(),
        }
    }

    /// The job with this name.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<&Arc<Registered>> {
        self.jobs.get(name)
    }

    /// Every job, by name.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Registered>> {
        self.jobs.values()
    }

    /// Names of every job.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        self.jobs.keys().map(|name| (*name).to_owned()).collect()
    }

    /// Every job, one by one for each pool where it has slots per pool; by name, then pool.
    #[must_use]
    pub fn subjects(&self, catalogue: &Catalogue) -> Vec<Subject> {
        let mut subjects = Vec::new();
        for registered in self.jobs.values() {
            if registered.job.schedule.is_per_pool() {
                subjects.extend(catalogue.pools().map(|pool| Subject::of(registered, pool)));
            } else {
                subjects.push(Subject::whole(registered));
            }
        }
        subjects.sort_by(|a, b| a.place().cmp(&b.place()));
        subjects
    }
}

impl Subject {
    /// A job of the whole service.
    #[must_use]
    pub fn whole(registered: &Arc<Registered>) -> Self {
        let registered = Arc::clone(registered);
        Self { registered, pool_code: String::new(), zones: Tz::UTC.into(), since: DateTime::UNIX_EPOCH }
    }

    /// A pool's share of a job.
    #[must_use]
    pub fn of(registered: &Arc<Registered>, pool: &Pool) -> Self {
        let registered = Arc::clone(registered);
        Self { registered, pool_code: pool.code.clone(), zones: pool.zones.clone(), since: pool.created_at }
    }

    /// Its place among all.
    #[must_use]
    pub fn place(&self) -> (&str, &str) {
        (self.registered.job.name, &self.pool_code)
    }
}

/// The host, and something that tells two instances on it apart, also across restarts.
fn instance_name() -> String {
    let host = nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok()).unwrap_or_default();
    let id = crate::ids::new_uuid().simple().to_string();
    format!("{}-{}", if host.is_empty() { "holdfast" } else { &host }, &id[24..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_job_has_a_name_of_its_own_that_the_schema_takes() {
        let jobs = all();
        for job in &jobs {
            let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
            assert!(job.name.starts_with(|first: char| first.is_ascii_lowercase()), "{}", job.name);
            assert!(job.name.len() <= 63 && job.name.bytes().all(plain), "{}", job.name);
        }
        let registry = Registry::new(jobs.clone(), TaskTracker::new(), CancellationToken::new());
        assert_eq!(registry.names().len(), jobs.len(), "two jobs of one name");
        let other = Registry::new(Vec::new(), TaskTracker::new(), CancellationToken::new());
        assert_ne!(registry.instance, other.instance);
    }
}
