//! HTTP/1.1 by hand: the two requests that the benchmark makes, and as much of an answer as it must understand.

use std::hash::BuildHasher;
use std::io::Write;
use std::net::SocketAddr;
use std::ops::Range;

use anyhow::{Context, ensure};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

/// A request that can be written any number of times.
#[derive(Debug, Clone)]
pub struct Request {
    /// Request line and the headers that never change.
    head: Vec<u8>,
    kind: Kind,
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    /// A cart of one unit of one of `SKU-1` to `SKU-<skus>`, under a fresh idempotency key.
    Reserve { skus: u64 },
    /// A plain read.
    Get,
}

impl Request {
    /// `POST /reservations` for one unit of one of the first `skus` SKUs, each as likely as the other.
    pub fn reserve(target: SocketAddr, bearer: &str, skus: u64) -> Self {
        let head = format!(
            "POST /reservations HTTP/1.1\r\nHost: {target}\r\nAuthorization: Bearer {bearer}\r\n\
             Content-Type: application/json\r\n"
        );
        Self { head: head.into_bytes(), kind: Kind::Reserve { skus } }
    }

    /// `GET` of `path`.
    pub fn get(target: SocketAddr, bearer: &str, path: &str) -> Self {
        let head = format!("GET {path} HTTP/1.1\r\nHost: {target}\r\nAuthorization: Bearer {bearer}\r\n");
        Self { head: head.into_bytes(), kind: Kind::Get }
    }

    /// The status of an answer that counts.
    pub fn expected_status(&self) -> u16 {
        match self.kind {
            Kind::Reserve { .. } => 201,
            Kind::Get => 200,
        }
    }

    /// Writes the whole request over `bytes`.
    pub fn write(&self, bytes: &mut Vec<u8>, random: &mut Random) {
        const BEFORE_SKU: &str = r#"{"lines":[{"sku":"SKU-"#;
        const AFTER_SKU: &str = r#"","quantity":1}]}"#;
        bytes.clear();
        bytes.extend_from_slice(&self.head);
        let Kind::Reserve { skus } = self.kind else {
            bytes.extend_from_slice(b"\r\n");
            return;
        };
        let sku = 1 + random.below(skus);
        let length = BEFORE_SKU.len() + digits(sku) + AFTER_SKU.len();
        let key = uuid::Builder::from_random_bytes(random.bytes()).into_uuid();
        write!(bytes, "Idempotency-Key: {key}\r\nContent-Length: {length}\r\n\r\n{BEFORE_SKU}{sku}{AFTER_SKU}")
            .expect("writing to memory does not fail");
    }
}

fn digits(number: u64) -> usize {
    number.checked_ilog10().map_or(1, |log| log as usize + 1)
}

/// An answer; its body lies in the reader's buffer.
#[derive(Debug)]
pub struct Answer<'a> {
    /// HTTP status.
    pub status: u16,
    /// The whole body.
    pub body: &'a [u8],
}

/// Reads the answers of one connection, one at a time.
#[derive(Debug)]
pub struct AnswerReader {
    buffer: Vec<u8>,
}

impl AnswerReader {
    /// A reader with room for an ordinary answer.
    pub fn new() -> Self {
        Self { buffer: vec![0; 8 * 1024] }
    }

    /// Reads one answer to its end.
    ///
    /// # Errors
    /// The connection ends, or the answer is not HTTP/1.1 with a `Content-Length`.
    pub async fn read(&mut self, stream: &mut TcpStream) -> anyhow::Result<Answer<'_>> {
        let mut filled = 0;
        loop {
            if filled == self.buffer.len() {
                self.buffer.resize(filled * 2, 0);
            }
            let read = stream.read(&mut self.buffer[filled..]).await?;
            ensure!(read > 0, "the server closed the connection");
            filled += read;
            if let Some(head) = Head::parse(&self.buffer[..filled])?
                && head.body.end <= filled
            {
                // The next request has not been sent yet: nothing can follow.
                ensure!(head.body.end == filled, "more came than one answer");
                return Ok(Answer { status: head.status, body: &self.buffer[head.body] });
            }
        }
    }
}

struct Head {
    status: u16,
    body: Range<usize>,
}

impl Head {
    /// `None` while the head is not complete.
    fn parse(bytes: &[u8]) -> anyhow::Result<Option<Self>> {
        const NAME: &[u8] = b"content-length:";
        let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else {
            return Ok(None);
        };
        let head = &bytes[..end];
        let status = head.get(9..12).and_then(number).context("no HTTP status")?;
        let length = head
            .split(|byte| *byte == b'\n')
            .find(|line| line.get(..NAME.len()).is_some_and(|name| name.eq_ignore_ascii_case(NAME)))
            .and_then(|line| number(&line[NAME.len()..]))
            .context("an answer without Content-Length")?;
        let status = u16::try_from(status)?;
        Ok(Some(Self { status, body: end + 4..end + 4 + length }))
    }
}

fn number(text: &[u8]) -> Option<usize> {
    std::str::from_utf8(text).ok()?.trim().parse().ok()
}

/// `SplitMix64`: fast, and good enough to pick SKUs and make keys that differ.
#[derive(Debug)]
pub struct Random(u64);

impl Random {
    /// Seeded from the operating system.
    pub fn new() -> Self {
        Self(std::hash::RandomState::new().hash_one(0))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Uniform in `0..limit`, for limits far below 2³².
    pub fn below(&mut self, limit: u64) -> u64 {
        ((self.next() >> 32) * limit) >> 32
    }

    fn bytes(&mut self) -> [u8; 16] {
        (u128::from(self.next()) << 64 | u128::from(self.next())).to_be_bytes()
    }
}
