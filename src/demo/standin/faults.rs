//! What goes wrong on the way, at a rate or by a script.
//!
//! A fault strikes before the request is worked on, but for the two that cut the answer: a connection that closes without
//! one, and a body that ends early. Those come after the work, as they do in life.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::time::Duration;

use super::locked;

/// Something that goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// This status, such as 500 or 502.
    Status(u16),
    /// 429, with `Retry-After` in seconds where there is one.
    TooMany(Option<u64>),
    /// Shopify's THROTTLED inside a 200; 429 where the answer is not Shopify's.
    Throttled,
    /// The connection closes; the request was worked on, and there is no answer.
    Closed,
    /// The body ends before `Content-Length`.
    CutOff,
    /// The answer comes after this long.
    Slow(Duration),
}

impl Fault {
    /// Every kind that a client must survive, with waits short enough for a test.
    pub const ALL: [Self; 9] = [
        Self::Status(500),
        Self::Status(502),
        Self::Status(503),
        Self::TooMany(Some(0)),
        Self::TooMany(None),
        Self::Throttled,
        Self::Closed,
        Self::CutOff,
        Self::Slow(Duration::from_millis(20)),
    ];
}

/// How often what goes wrong.
#[derive(Debug, Clone, Default)]
pub struct Faults {
    /// Of a thousand requests, so many.
    pub per_mille: u32,
    /// Which kinds, each as often as any other.
    pub kinds: Vec<Fault>,
}

impl Faults {
    /// Nothing goes wrong.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// Everything goes wrong that can, this often.
    #[must_use]
    pub fn all(per_mille: u32) -> Self {
        Self { per_mille, kinds: Fault::ALL.to_vec() }
    }
}

/// Decides what goes wrong next.
#[derive(Debug)]
pub(super) struct Weather {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    faults: Faults,
    /// What happens to the next requests, whatever the rate; by operation, where one is named.
    script: VecDeque<(Option<String>, Option<Fault>)>,
    seed: u64,
}

impl Weather {
    pub(super) fn new(faults: Faults, seed: u64) -> Self {
        Self { state: Mutex::new(State { faults, script: VecDeque::new(), seed }) }
    }

    pub(super) fn set(&self, faults: Faults) {
        locked(&self.state).faults = faults;
    }

    pub(super) fn script(&self, operation: Option<&str>, faults: &[Option<Fault>]) {
        let entries = faults.iter().map(|fault| (operation.map(ToOwned::to_owned), *fault));
        locked(&self.state).script.extend(entries);
    }

    /// The fault of a request, if it has one.
    pub(super) fn next(&self, operation: &str) -> Option<Fault> {
        let mut state = locked(&self.state);
        let scripted = state.script.iter().position(|(of, _)| of.as_deref().is_none_or(|of| of == operation));
        if let Some((_, fault)) = scripted.and_then(|place| state.script.remove(place)) {
            return fault;
        }
        if state.faults.per_mille == 0
            || state.faults.kinds.is_empty()
            || state.random() % 1000 >= state.faults.per_mille.into()
        {
            return None;
        }
        let place = usize::try_from(state.random()).unwrap_or(usize::MAX) % state.faults.kinds.len();
        state.faults.kinds.get(place).copied()
    }
}

impl State {
    /// `SplitMix64`: the same seed, the same weather.
    fn random(&mut self) -> u64 {
        self.seed = self.seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.seed;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) >> 1
    }
}
