//! When streams are walked.

use std::time::Duration;

use super::{Stream, Tally, backfill, poll, reconcile, walk};
use crate::jobs::{Job, Retry};
use crate::mirror::Settings;

/// The jobs of the streams. Each runs once at a time, on whichever instance comes first.
#[must_use]
pub fn jobs(settings: &Settings) -> Vec<Job> {
    let mut jobs = vec![backfill_job(), poll_job(settings.poll_interval), reconcile_job()];
    if settings.shopify.is_some() {
        jobs.push(locations_job());
    }
    jobs
}

/// Long, once: so it goes on for as long as it takes, and its lease is what tells whether somebody is at it.
fn backfill_job() -> Job {
    let about = "Copies what was never copied from Shopify and Recharge, from where it was left off.";
    let mut job = Job::every("mirror_backfill", about, Duration::from_mins(1), |app, slot| async move {
        backfill::run(&app, &slot.stop, &walk::nobody).await.report()
    });
    job.longest = Duration::from_hours(24 * 7);
    job
}

/// A poll that failed is soon followed by the next one, so it is not tried for long.
fn poll_job(period: Duration) -> Job {
    let about = "Copies what has changed in Shopify and Recharge since the last time.";
    let mut job =
        Job::every("mirror_poll", about, period, |app, slot| async move { poll::run(&app, &slot.stop).await.report() });
    job.retry = Retry { most_failures: 3, base: Duration::from_secs(2), cap: Duration::from_secs(15) };
    job
}

fn reconcile_job() -> Job {
    let about =
        "Compares the copies of the last days with what Shopify and Recharge have; once a week, all that matter.";
    let mut job = Job::every("mirror_reconcile", about, Duration::from_hours(24), |app, slot| async move {
        reconcile::run(&app, &slot.stop).await.report()
    });
    job.longest = Duration::from_hours(12);
    job
}

fn locations_job() -> Job {
    let about = "Copies the locations of the shop.";
    Job::every("mirror_locations", about, Duration::from_hours(1), |app, _| async move {
        let mut tally = Tally::default();
        let ended = backfill::copy_locations(&app, &walk::nobody).await;
        tally.note(&app, Stream::Locations, ended).await;
        tally.report()
    })
}
