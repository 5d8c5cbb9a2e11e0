//! The bare route: a constant body from an Axum handler in a process of its own, with nothing around it. It is what
//! reads are compared with.

use std::net::SocketAddr;
use std::path::Path;

use axum::Router;
use axum::http::header;
use axum::routing::get;
use axum::serve::ListenerExt;
use bytes::Bytes;
use tokio::net::TcpListener;
use tokio::process::Command;

use crate::server::{LISTENING, Server};

/// Starts the route as a child of this program.
///
/// # Errors
/// It does not start.
pub async fn start(body_bytes: usize, folder: &Path) -> anyhow::Result<Server> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("--bare-route").arg(body_bytes.to_string());
    Server::start(command, folder.join("bare.log")).await
}

/// The child's side: answers `GET /availability` until it is stopped. It has the runtime that a server has by default.
///
/// # Errors
/// It cannot listen.
pub fn serve(body_bytes: usize) -> anyhow::Result<()> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(async {
        let body = Bytes::from(vec![b'x'; body_bytes]);
        let constant = move || async move { ([(header::CONTENT_TYPE, "application/json")], body.clone()) };
        let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await?;
        println!("{LISTENING}{}", listener.local_addr()?);
        let listener = listener.tap_io(|stream| {
            // Without it answers are as right, only later.
            let _ = stream.set_nodelay(true);
        });
        axum::serve(listener, Router::new().route("/availability", get(constant))).await?;
        Ok(())
    })
}
