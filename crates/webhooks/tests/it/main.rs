//! The routes and the server, over real sockets.

mod reports;
mod server;
