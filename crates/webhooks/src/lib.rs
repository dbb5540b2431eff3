//! The routes of a service that receives webhooks: call-outs of Microsoft Entra ([`Callouts`]), and the vendors' delivery
//! reports ([`Reports`]) and inbound texts ([`Inbound`]). And the webhooks that it sends itself: what happened, to an
//! operator's system ([`EventPoster`]).
//!
//! Nothing is believed without proof, and nothing can be built without the secret that proves it. The handlers take the
//! request of any web server; the feature `axum` adds routers, and a server whose connections, headers and times are
//! bounded.

#[cfg(feature = "axum")]
mod access;
#[cfg(all(feature = "axum", any(feature = "entra", feature = "reports")))]
mod axum;
#[cfg(feature = "entra")]
mod callouts;
#[cfg(any(feature = "entra", feature = "reports"))]
mod clock;
#[cfg(any(feature = "entra", feature = "events", feature = "reports"))]
mod count;
#[cfg(feature = "events")]
mod events;
#[cfg(feature = "axum")]
mod impatient;
#[cfg(feature = "reports")]
mod inbound;
#[cfg(any(feature = "entra", feature = "reports"))]
mod quiet;
#[cfg(any(feature = "entra", feature = "reports"))]
mod reply;
#[cfg(feature = "reports")]
mod reports;
#[cfg(feature = "reports")]
mod routes;
#[cfg(feature = "reports")]
mod seen;
#[cfg(feature = "axum")]
mod server;

#[cfg(feature = "entra")]
pub use callouts::{Admitted, Callouts};
#[cfg(feature = "events")]
pub use events::{EventPoster, EventPosterBuilder};
#[cfg(feature = "reports")]
pub use inbound::{Inbound, InboundBuilder};
#[cfg(any(feature = "entra", feature = "reports"))]
pub use reply::Reply;
#[cfg(feature = "reports")]
pub use reports::{Reports, ReportsBuilder};
#[cfg(feature = "axum")]
pub use server::Server;
