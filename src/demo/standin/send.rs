//! Sends deliveries to whoever subscribed, one after the other, some of them twice: what is lost is for polls to find.

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::serve::PATIENCE;
use super::webhooks::Delivery;
use super::{Shared, locked};
use crate::demo::random::Random;
use crate::mirror::rows::Source;

/// Sends until it is stopped.
pub(super) async fn send(shared: Shared, mut queue: mpsc::UnboundedReceiver<Delivery>, stop: CancellationToken) {
    // Its own, in case nobody has chosen one yet; a second choice is refused, and as good.
    drop(rustls::crypto::ring::default_provider().install_default());
    let mut random = Random::new(shared.options.seed);
    let Ok(http) = reqwest::Client::builder().timeout(PATIENCE).build() else { return };
    loop {
        let delivery = tokio::select! {
            () = stop.cancelled() => return,
            delivery = queue.recv() => delivery,
        };
        let Some(delivery) = delivery else { return };
        let twice = random.below(1000) < usize::try_from(*locked(&shared.doubled)).unwrap_or(0);
        for address in addresses(&shared, &delivery) {
            let sent = post(&http, &address, &delivery).await;
            shared.requests.count(if sent { "webhooks sent" } else { "webhooks lost" });
            if twice && post(&http, &address, &delivery).await {
                shared.requests.count("webhooks sent twice");
            }
        }
    }
}

/// Whether it was taken.
async fn post(http: &reqwest::Client, address: &str, delivery: &Delivery) -> bool {
    let mut request = http.post(address).body(delivery.body.clone());
    for (name, value) in &delivery.headers {
        request = request.header(name, value);
    }
    request.send().await.and_then(reqwest::Response::error_for_status).is_ok()
}

fn addresses(shared: &Shared, delivery: &Delivery) -> Vec<String> {
    let world = locked(&shared.world);
    let hooks = match delivery.source {
        Source::Shopify => &world.hooks,
        Source::Recharge => &world.recharge_hooks,
    };
    hooks.iter().filter(|hook| delivery.is_for(hook)).map(|hook| hook.address.clone()).collect()
}
