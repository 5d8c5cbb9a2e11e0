//! What was asked: how often, by operation, and in which documents.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

use super::locked;

/// Counts requests.
#[derive(Debug, Default)]
pub(super) struct Requests {
    counts: Mutex<BTreeMap<String, u64>>,
    documents: Mutex<BTreeSet<String>>,
    cursors: Mutex<Vec<(String, Option<String>)>>,
}

impl Requests {
    pub(super) fn count(&self, operation: &str) {
        let mut counts = locked(&self.counts);
        match counts.get_mut(operation) {
            Some(count) => *count += 1,
            None => drop(counts.insert(operation.to_owned(), 1)),
        }
    }

    pub(super) fn document(&self, text: &str) {
        let mut documents = locked(&self.documents);
        if !documents.contains(text) {
            documents.insert(text.to_owned());
        }
    }

    pub(super) fn cursor(&self, operation: &str, after: Option<&str>) {
        locked(&self.cursors).push((operation.to_owned(), after.map(ToOwned::to_owned)));
    }

    pub(super) fn cursors(&self, operation: &str) -> Vec<Option<String>> {
        locked(&self.cursors).iter().filter(|(of, _)| of == operation).map(|(_, after)| after.clone()).collect()
    }

    pub(super) fn counts(&self) -> BTreeMap<String, u64> {
        locked(&self.counts).clone()
    }

    pub(super) fn documents(&self) -> Vec<String> {
        locked(&self.documents).iter().cloned().collect()
    }

    pub(super) fn forget(&self) {
        locked(&self.counts).clear();
        locked(&self.cursors).clear();
    }
}
