//! The types and traits that onboarding needs of Microsoft Entra: users, Temporary Access Passes and call-outs.
//!
//! Sending messages needs none of this. A [`Callout`] asks for one user to be onboarded. A [`Graph`] reads that
//! [`User`] and reports the [`Verdict`] to Entra; a [`TapIssuer`] issues the pass whose secret goes out as a text.
//! The crate `postduif-entra` implements both over Microsoft Graph; the tests of a flow implement them in memory,
//! as here:
//!
//! ```
//! # use postduif_core as postduif;
//! use postduif::{
//!     async_trait,
//!     directory::{Callback, Graph, GraphError, GraphErrorKind, User, UserId, Verdict},
//! };
//!
//! /// A directory with one user.
//! #[derive(Debug)]
//! struct OneUser(User);
//!
//! #[async_trait]
//! impl Graph for OneUser {
//!     async fn user(&self, id: &UserId) -> Result<User, GraphError> {
//!         if *id == self.0.id {
//!             return Ok(self.0.clone());
//!         }
//!         Err(GraphError::not_accepted(GraphErrorKind::NotFound, "no such user"))
//!     }
//!
//!     async fn resume(&self, _: &Callback, _: &Verdict) -> Result<(), GraphError> {
//!         Ok(())
//!     }
//! }
//!
//! # futures_executor::block_on(async {
//! let id: UserId = "5e2f9d1c-0b7a-4a63-8f3d-9c1e2b7a6d43".parse()?;
//! let mut user = User::new(id);
//! user.mobile = Some("+31612345678".into());
//! let directory = OneUser(user);
//! assert_eq!(directory.user(&id).await?.mobile.as_deref(), Some("+31612345678"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # }).unwrap();
//! ```

mod callout;
mod graph;
mod ids;
mod tap;
mod user;

pub use callout::{AccessPackageStage, Callback, Callout, FailureReason, RequestType, Verdict};
pub use graph::{Graph, GraphError, GraphErrorKind, TapIssuer};
pub use ids::{FlowId, UserId};
pub use tap::{TapId, TapInfo, TapRequest, TemporaryAccessPass};
pub use user::{Manager, Roles, User, UserKind};
