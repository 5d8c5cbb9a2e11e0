//! Whether an upstream signed these bytes. Pure.
//!
//! Signatures are over the body as it came, byte for byte. Any of the secrets will do: while one is rotated, deliveries
//! signed with the older one are still under way. Each secret is tried, whichever was right, and bytes are compared in
//! constant time. An empty secret signs nothing.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};
use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// How far the time in a Recharge signature may be from now, in seconds: as long as Recharge tries a delivery again.
pub const RECHARGE_TOLERANCE_SECONDS: i64 = 172_800;

/// What came in the headers of a Recharge delivery.
#[derive(Debug, Clone, Copy, Default)]
pub struct RechargeProof<'a> {
    /// `X-Recharge-Webhook-Timestamp`, of the newer scheme.
    pub timestamp: Option<&'a str>,
    /// `X-Recharge-Webhook-Signature`, of the newer scheme: `t=<epoch>,v1=<hex>`.
    pub signature: Option<&'a str>,
    /// `X-Recharge-Hmac-Sha256`, of the older scheme: hex.
    pub legacy: Option<&'a str>,
}

/// Shopify: base64 of HMAC-SHA256(client secret, body).
#[must_use]
pub fn shopify(body: &[u8], signature: &str, secrets: &[SecretString]) -> bool {
    let Ok(tag) = STANDARD.decode(signature.trim()) else { return false };
    any_of(secrets, |secret| is_mac(secret, &[body], &tag))
}

/// Recharge, in the scheme that its headers name. Where the newer one is named, the older one is not asked: otherwise
/// whoever has seen one old signature could send it for ever.
#[must_use]
pub fn recharge(body: &[u8], proof: RechargeProof<'_>, secrets: &[SecretString], now: DateTime<Utc>) -> bool {
    if proof.signature.is_some() || proof.timestamp.is_some() {
        return recharge_signed(body, proof, secrets, now);
    }
    let Some(digest) = proof.legacy.and_then(|text| hex::decode(text.trim()).ok()) else { return false };
    // A plain hash, the secret first. Who knows one can append to its body, but not so that it stays JSON.
    any_of(secrets, |secret| {
        let own = Sha256::new().chain_update(secret).chain_update(body).finalize();
        own.as_slice().ct_eq(&digest).into()
    })
}

/// The newer scheme: hex of HMAC-SHA256(client secret, "<t>.<body>"), with `t` not too long ago.
fn recharge_signed(body: &[u8], proof: RechargeProof<'_>, secrets: &[SecretString], now: DateTime<Utc>) -> bool {
    let (mut time, mut tags) = (None, Vec::new());
    for part in proof.signature.unwrap_or_default().split(',') {
        match part.trim().split_once('=') {
            Some(("t", value)) => time = time.or(Some(value)),
            Some(("v1", value)) => tags.extend(hex::decode(value)),
            _ => {}
        }
    }
    // The signed time is the one in the signature; the header repeats it.
    let Some(time) = time.or(proof.timestamp).map(str::trim) else { return false };
    let recent = time.parse::<i64>().is_ok_and(|t| now.timestamp().abs_diff(t) <= RECHARGE_TOLERANCE_SECONDS as u64);
    let signed = any_of(secrets, |secret| {
        tags.iter().fold(false, |any, tag| is_mac(secret, &[time.as_bytes(), b".", body], tag) | any)
    });
    recent & signed
}

fn any_of(secrets: &[SecretString], signed_with: impl Fn(&[u8]) -> bool) -> bool {
    let given = secrets.iter().map(|secret| secret.expose_secret().as_bytes()).filter(|secret| !secret.is_empty());
    given.fold(false, |any, secret| signed_with(secret) | any)
}

fn is_mac(secret: &[u8], parts: &[&[u8]], tag: &[u8]) -> bool {
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret) else { return false };
    for part in parts {
        mac.update(part);
    }
    mac.verify_slice(tag).is_ok()
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    const BODY: &[u8] = br#"{"id": 820982911946154508, "name":"#;

    /// HMAC by its definition (RFC 2104), block size 64.
    fn hmac(secret: &[u8], text: &[u8]) -> Vec<u8> {
        assert!(secret.len() <= 64);
        let mut block = [0_u8; 64];
        block[..secret.len()].copy_from_slice(secret);
        let inner = Sha256::digest([block.map(|byte| byte ^ 0x36).as_slice(), text].concat());
        Sha256::digest([block.map(|byte| byte ^ 0x5c).as_slice(), inner.as_slice()].concat()).to_vec()
    }

    fn secrets(of: &[&str]) -> Vec<SecretString> {
        of.iter().map(|secret| SecretString::from(*secret)).collect()
    }

    fn time(epoch: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::seconds(epoch)
    }

    fn changes(bytes: &[u8]) -> impl Iterator<Item = Vec<u8>> {
        (0..bytes.len() * 8).map(|bit| {
            let mut changed = bytes.to_vec();
            changed[bit / 8] ^= 1 << (bit % 8);
            changed
        })
    }

    #[test]
    fn a_known_vector_holds() {
        // RFC 4231, test case 2.
        let tag = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
        let signature = STANDARD.encode(hex::decode(tag).unwrap());
        assert!(shopify(b"what do ya want for nothing?", &signature, &secrets(&["Jefe"])));
    }

    #[test]
    fn either_secret_signs_and_no_other_does() {
        let (old, new) = ("hush", "a client secret of thirty-two chars");
        for signed_with in [old, new] {
            let signature = STANDARD.encode(hmac(signed_with.as_bytes(), BODY));
            assert!(shopify(BODY, &signature, &secrets(&[new, old])));
            assert!(shopify(BODY, &signature, &secrets(&[old, new])));
            assert_eq!(shopify(BODY, &signature, &secrets(&[old])), signed_with == old);
            assert!(!shopify(BODY, &signature, &[]));
        }
        let by_nobody = STANDARD.encode(hmac(b"", BODY));
        assert!(!shopify(BODY, &by_nobody, &secrets(&["", old])));
    }

    #[test]
    fn one_bit_of_body_or_signature_is_enough_to_be_refused() {
        let secrets = secrets(&["hush"]);
        let tag = hmac(b"hush", BODY);
        for body in changes(BODY) {
            assert!(!shopify(&body, &STANDARD.encode(&tag), &secrets));
        }
        for tag in changes(&tag) {
            assert!(!shopify(BODY, &STANDARD.encode(tag), &secrets));
        }
        for odd in ["", "=", "not base64!", &hex::encode(&tag), &STANDARD.encode(&tag[..31])] {
            assert!(!shopify(BODY, odd, &secrets), "{odd}");
        }
    }

    #[test]
    fn the_newer_recharge_scheme_holds_for_two_days_and_is_never_fallen_back_from() {
        let secrets = secrets(&["hush", "older"]);
        let tag = hex::encode(hmac(b"older", &[b"1790000000.".as_slice(), BODY].concat()));
        let legacy = hex::encode(Sha256::digest([b"hush".as_slice(), BODY].concat()));
        let signature = format!("t=1790000000,v1={tag}");
        let proof = RechargeProof { timestamp: Some("1790000000"), signature: Some(&signature), legacy: None };
        for (at, holds) in [(0, true), (172_800, true), (-172_800, true), (172_801, false), (-172_801, false)] {
            assert_eq!(recharge(BODY, proof, &secrets, time(1_790_000_000 + at)), holds, "{at}");
        }
        let now = time(1_790_000_000);
        let rotating = format!("t=1790000000, v1={}, v1={tag}, v2=x", "0".repeat(64));
        let broken = [
            format!("t=1790000001,v1={tag}"),
            format!("v1={tag},t="),
            format!("t=1790000000,v0={tag}"),
            format!("t=1790000000 v1={tag}"),
            format!("t=9223372036854775808,v1={tag}"),
            "t=1790000000,v1=".to_owned(),
            String::new(),
        ];
        assert!(recharge(BODY, RechargeProof { signature: Some(&rotating), ..proof }, &secrets, now));
        for signature in &broken {
            let both = RechargeProof { signature: Some(signature), legacy: Some(&legacy), ..proof };
            assert!(!recharge(BODY, both, &secrets, now), "{signature}");
        }
        assert!(!recharge(BODY, RechargeProof { signature: None, legacy: Some(&legacy), ..proof }, &secrets, now));
        assert!(!recharge(&BODY[1..], proof, &secrets, now));
    }

    #[test]
    fn the_older_recharge_scheme_is_a_hash_of_secret_and_body() {
        let secrets = secrets(&["new", "hush"]);
        let digest = Sha256::digest([b"hush".as_slice(), BODY].concat());
        let legacy = |text: &str| {
            recharge(BODY, RechargeProof { legacy: Some(text), ..RechargeProof::default() }, &secrets, time(0))
        };
        assert!(legacy(&hex::encode(digest)) && legacy(&hex::encode_upper(digest)));
        assert!(!legacy(&hex::encode(hmac(b"hush", BODY))) && !legacy("") && !legacy(&STANDARD.encode(digest)));
        assert!(!legacy(&hex::encode(Sha256::digest(BODY))), "an empty secret signs nothing");
        assert!(!recharge(BODY, RechargeProof::default(), &secrets, time(0)));
    }
}
