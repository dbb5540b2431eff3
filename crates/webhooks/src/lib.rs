//! The routes of a service that receives webhooks: the delivery reports of the vendors ([`Reports`]).
//!
//! Nothing is believed without proof, and nothing can be built without the secret that proves it. The handlers take the
//! request of any web server; the feature `axum` adds routers, and a server whose connections, headers and times are
//! bounded.

#[cfg(feature = "axum")]
mod axum;
mod quiet;
mod reply;
#[cfg(feature = "reports")]
mod reports;
#[cfg(feature = "reports")]
mod seen;
#[cfg(feature = "axum")]
mod server;

pub use reply::Reply;
#[cfg(feature = "reports")]
pub use reports::{Reports, ReportsBuilder};
#[cfg(feature = "axum")]
pub use server::Server;
