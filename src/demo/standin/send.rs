//! Sends deliveries to whoever subscribed, one after the other and once each: what is lost is for polls to find.

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::serve::PATIENCE;
use super::webhooks::Delivery;
use super::{Shared, locked};
use crate::mirror::rows::Source;

/// Sends until it is stopped.
pub(super) async fn send(shared: Shared, mut queue: mpsc::UnboundedReceiver<Delivery>, stop: CancellationToken) {
    // Its own, in case nobody has chosen one yet; a second choice is refused, and as good.
    drop(rustls::crypto::ring::default_provider().install_default());
    let Ok(http) = reqwest::Client::builder().timeout(PATIENCE).build() else { return };
    loop {
        let delivery = tokio::select! {
            () = stop.cancelled() => return,
            delivery = queue.recv() => delivery,
        };
        let Some(delivery) = delivery else { return };
        for address in addresses(&shared, &delivery) {
            let mut request = http.post(address).body(delivery.body.clone());
            for (name, value) in &delivery.headers {
                request = request.header(name, value);
            }
            let sent = request.send().await.and_then(reqwest::Response::error_for_status);
            shared.requests.count(if sent.is_ok() { "webhooks sent" } else { "webhooks lost" });
        }
    }
}

fn addresses(shared: &Shared, delivery: &Delivery) -> Vec<String> {
    let world = locked(&shared.world);
    let hooks = match delivery.source {
        Source::Shopify => &world.hooks,
        Source::Recharge => &world.recharge_hooks,
    };
    hooks.iter().filter(|hook| delivery.is_for(hook)).map(|hook| hook.address.clone()).collect()
}
