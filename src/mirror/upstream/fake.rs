//! An upstream for the tests of the clients: it speaks HTTP byte by byte, so that it can break off anywhere.

use std::sync::{Arc, Mutex};

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// What is done with a request.
pub(crate) enum Act {
    /// Answered.
    Answer { status: u16, headers: Vec<(&'static str, &'static str)>, body: String },
    /// The connection is closed without an answer.
    Close,
    /// More is announced than comes.
    Truncate(String),
    /// Nothing says how much will come, and it ends in the middle.
    BreakOff(String),
    /// Nothing ever comes.
    Hang,
}

impl Act {
    pub(crate) fn ok(body: &Value) -> Self {
        Self::json(200, body)
    }

    pub(crate) fn json(status: u16, body: &Value) -> Self {
        Self::Answer { status, headers: Vec::new(), body: body.to_string() }
    }

    pub(crate) fn status(status: u16, headers: &[(&'static str, &'static str)]) -> Self {
        Self::Answer { status, headers: headers.to_vec(), body: "{}".to_owned() }
    }
}

/// A request as it came.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    /// `POST /path?query`.
    pub(crate) line: String,
    /// In lower case, with their values.
    pub(crate) headers: String,
    /// Whole.
    pub(crate) body: String,
}

impl Request {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

/// A running one; it stops when it is dropped.
pub(crate) struct Fake {
    pub(crate) base: String,
    requests: Arc<Mutex<Vec<Request>>>,
    _serving: JoinSet<()>,
}

impl Fake {
    /// Does with request number n (from 0) what `act` says.
    pub(crate) async fn start(act: impl Fn(usize, &Request) -> Act + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&requests);
        let mut serving = JoinSet::new();
        serving.spawn(async move {
            let act = Arc::new(act);
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let (act, seen) = (Arc::clone(&act), Arc::clone(&seen));
                connections.spawn(async move { drop(serve(stream, &seen, &*act).await) });
            }
        });
        Self { base, requests, _serving: serving }
    }

    pub(crate) fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }
}

async fn serve(
    mut stream: TcpStream,
    seen: &Mutex<Vec<Request>>,
    act: &(dyn Fn(usize, &Request) -> Act + Send + Sync),
) -> std::io::Result<()> {
    let request = receive(&mut stream).await?;
    let number = {
        let mut seen = seen.lock().unwrap();
        seen.push(request.clone());
        seen.len() - 1
    };
    let head = "HTTP/1.1 200 OK\r\nconnection: close\r\n";
    let answer = match act(number, &request) {
        Act::Close => return Ok(()),
        Act::Hang => return std::future::pending().await,
        Act::Truncate(body) => format!("{head}content-length: {}\r\n\r\n{body}", body.len() + 100),
        Act::BreakOff(body) => format!("{head}\r\n{body}"),
        Act::Answer { status, headers, body } => {
            let headers =
                headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect::<Vec<_>>().concat();
            let length = body.len();
            format!("HTTP/1.1 {status} X\r\nconnection: close\r\n{headers}content-length: {length}\r\n\r\n{body}")
        }
    };
    stream.write_all(answer.as_bytes()).await?;
    stream.shutdown().await
}

async fn receive(stream: &mut TcpStream) -> std::io::Result<Request> {
    let mut text = Vec::new();
    loop {
        let read = String::from_utf8_lossy(&text).into_owned();
        if let Some((head, body)) = read.split_once("\r\n\r\n") {
            let (line, headers) = head.split_once("\r\n").unwrap_or((head, ""));
            let headers = headers.to_lowercase();
            let length = headers.lines().find_map(|header| header.strip_prefix("content-length: "));
            if body.len() >= length.map_or(0, |length| length.parse().unwrap()) {
                let line = line.trim_end_matches(" HTTP/1.1").to_owned();
                return Ok(Request { line, headers, body: body.to_owned() });
            }
        }
        if stream.read_buf(&mut text).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
    }
}
