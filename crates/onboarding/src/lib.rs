//! The onboarding flow: Microsoft Entra calls, a new user receives a Temporary Access Pass as a text message, and
//! Entra receives the verdict.
//!
//! An [`Onboarding`] needs a [`Graph`] that reads users, a [`TapIssuer`] that issues passes, and an [`SmsProvider`]
//! that sends texts. It contains no HTTP and no database. For each [`Callout`] it reads the user, asks the guards,
//! issues a pass, sends it, and reports the verdict to Entra. Each effect is recorded in a [`Journal`] before it
//! happens, and its outcome after it. A flow that was interrupted at any point therefore still ends with one usable
//! pass, in the last text, or with none.
//!
//! ```
//! # mod postduif { pub use postduif_core::*; pub use postduif_onboarding as onboarding; }
//! use std::sync::Arc;
//! use postduif::{directory::{Callback, Callout, Verdict}, onboarding::Onboarding, Guid};
//! # use chrono::{DateTime, Utc};
//! # use postduif::{*, directory::*};
//! #
//! # #[derive(Debug, Default)]
//! # struct Directory(std::sync::Mutex<Option<TapInfo>>);
//! #
//! # #[async_trait]
//! # impl Graph for Directory {
//! #     async fn user(&self, id: &UserId) -> Result<User, GraphError> {
//! #         let mut user = User::new(*id);
//! #         user.display_name = Some("Anna de Vries".into());
//! #         user.mobile = Some("+31612345678".into());
//! #         user.roles = Roles::Held(Vec::new());
//! #         Ok(user)
//! #     }
//! #     async fn resume(&self, _: &Callback, _: &Verdict) -> Result<(), GraphError> {
//! #         Ok(())
//! #     }
//! # }
//! #
//! # #[async_trait]
//! # impl TapIssuer for Directory {
//! #     async fn issue(&self, _: &UserId, _: &TapRequest) -> Result<TemporaryAccessPass, GraphError> {
//! #         let hour = std::time::Duration::from_secs(3600);
//! #         let info = TapInfo::new("c6a1f0d2".parse().unwrap(), Utc::now_(), hour);
//! #         *self.0.lock().unwrap() = Some(info.clone());
//! #         Ok(TemporaryAccessPass::new(info, "X7k+q2Rm".into()))
//! #     }
//! #     async fn list(&self, _: &UserId) -> Result<Vec<TapInfo>, GraphError> {
//! #         Ok(self.0.lock().unwrap().iter().cloned().collect())
//! #     }
//! #     async fn revoke(&self, _: &UserId, _: &TapId) -> Result<(), GraphError> {
//! #         Ok(())
//! #     }
//! # }
//! #
//! # #[derive(Debug)]
//! # struct Vendor(Profile);
//! #
//! # #[async_trait]
//! # impl SmsProvider for Vendor {
//! #     fn profile(&self) -> &Profile {
//! #         &self.0
//! #     }
//! #     async fn send(&self, message: &Message) -> Result<Receipt, SendError> {
//! #         Ok(Receipt::new("example", *message.reference()).with_parts(1))
//! #     }
//! #     async fn send_batch(&self, messages: &[Message]) -> Outcomes {
//! #         Outcomes::in_doubt(messages)
//! #     }
//! #     async fn check(&self) -> Result<Health, SendError> {
//! #         Ok(Health::unknown())
//! #     }
//! # }
//! #
//! # trait Now { fn now_() -> DateTime<Utc>; }
//! # impl Now for Utc { fn now_() -> DateTime<Utc> { std::time::SystemTime::now().into() } }
//! #
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let (directory, vendor) = (Arc::new(Directory::default()), Arc::new(Vendor(Profile::new("example"))));
//! # let (workflow, task, result, user) = (Guid::random(), Guid::random(), Guid::random(), Guid::random());
//! # let now = Utc::now_();
//!
//! // `directory` is both `Graph` and `TapIssuer`, `vendor` is any `SmsProvider`.
//! let onboarding = Onboarding::builder()
//!     .with_graph(Arc::clone(&directory))
//!     .with_issuer(directory)
//!     .with_provider(vendor)
//!     .build()?;
//!
//! let callback = Callback::lifecycle(workflow, task, result);
//! let callout = Callout::new(result.into(), user.into(), callback, now);
//! let ending = onboarding.run(callout).await?;
//!
//! assert_eq!(ending.verdict, Verdict::Completed);
//! assert!(ending.heard);
//! # Ok(())
//! # }
//! ```
//!
//! [`Onboarding::run`] runs a whole flow. With a durable journal, claim a flow there, [start](Onboarding::start) it and
//! call [`Onboarding::step`] instead, as often as needed and in any process. The table of `step` is the whole state
//! machine. [`Onboarding::report`] stores delivery reports. A [`Runner`] runs the flows of a web service.
//!
//! [`Graph`]: postduif_core::directory::Graph
//! [`TapIssuer`]: postduif_core::directory::TapIssuer
//! [`SmsProvider`]: postduif_core::SmsProvider
//! [`Callout`]: postduif_core::directory::Callout

mod builder;
mod clock;
mod events;
mod flow;
mod guard;
mod journal;
mod numbers;
mod onboarding;
mod policy;
mod runner;
pub mod template;
mod time_zones;

pub use builder::OnboardingBuilder;
pub use clock::Clock;
pub use events::{EventSource, PendingEvent};
pub use flow::{
    ending::{Ending, PassEnding, StepName, StepTaken},
    run::{Memo, Run},
    step::Step,
};
pub use guard::{Candidate, Guard};
pub use journal::{
    Claim, Journal, JournalError, JournalErrorKind,
    entry::{Entry, GraphCause, SendCause, Then},
    memory::MemoryJournal,
    record::{Entries, Record, Report},
};
pub use numbers::{Numbers, ReadNumber};
pub use onboarding::Onboarding;
pub use policy::{CompleteOn, ExistingPass, OnDoubt};
pub use runner::{Intake, Runner, RunnerBuilder, Taken};
