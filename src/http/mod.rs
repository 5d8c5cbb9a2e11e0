//! HTTP: what every room shares. Shapes of problems, pages, keys and bodies; the edge; the server.

pub mod answers;
pub mod auth;
pub mod body;
pub mod code;
pub mod edge;
pub mod etag;
pub mod health;
pub mod idempotency;
pub mod in_flight;
pub mod openapi;
pub mod pagination;
pub mod path;
pub mod problem;
pub mod query;
pub mod server;
pub mod submit;
pub mod table;
pub mod text_id;
pub mod violations;
