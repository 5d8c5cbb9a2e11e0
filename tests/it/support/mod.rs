//! What tests stand on: a database each, the service in this process or as a child process, a client.

pub mod app;
pub mod client;
pub mod db;
pub mod goods;
pub mod load;
pub mod process;
pub mod race;
pub mod standin;

pub use app::TestApp;
pub use client::{Answer, Client};
