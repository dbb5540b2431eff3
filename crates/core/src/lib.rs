//! The types and traits of Postduif: messages, providers, and what is known about a message once it has been sent.
//!
//! An [`SmsProvider`] sends a [`Message`] and returns a [`Receipt`] or a [`SendError`]. The error states whether the
//! message was certainly not sent ([`Acceptance::NotAccepted`]) or may have been ([`Acceptance::Unknown`]). Nothing
//! here does I/O.
//!
//! Programs depend on the crate `postduif`, which re-exports everything here. Depend on this crate to write your own
//! provider or layer:
//!
//! ```
//! # use postduif_core as postduif;
//! use postduif::{Health, Message, Outcomes, Profile, Receipt, SendError, SmsProvider, async_trait};
//!
//! /// Prints messages instead of sending them.
//! #[derive(Debug)]
//! struct Console {
//!     profile: Profile,
//! }
//!
//! #[async_trait]
//! impl SmsProvider for Console {
//!     fn profile(&self) -> &Profile {
//!         &self.profile
//!     }
//!
//!     async fn send(&self, message: &Message) -> Result<Receipt, SendError> {
//!         let (message, dropped) = message.fit(&self.profile);
//!         self.profile.validate(&message)?;
//!         println!("{}: {}", message.to(), message.text().as_str());
//!         Ok(Receipt::new(self.profile.owned_name(), *message.reference()).with_dropped(dropped))
//!     }
//!
//!     async fn send_batch(&self, messages: &[Message]) -> Outcomes {
//!         postduif::batch::one_by_one(messages, std::num::NonZeroUsize::MIN, |message| self.send(message)).await
//!     }
//!
//!     async fn check(&self) -> Result<Health, SendError> {
//!         Ok(Health::verified())
//!     }
//! }
//!
//! # futures_executor::block_on(async {
//! let console = Console { profile: Profile::new("console") };
//! let receipt = console.send(&Message::new("+31612345678".parse()?, "Hello".parse()?)).await?;
//! assert_eq!(receipt.provider(), "console");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # }).unwrap();
//! ```
//!
//! A [`ReportParser`] reads delivery reports, an [`InboundParser`] what people send back. The types that onboarding needs of Microsoft Entra are in
//! [`directory`], those with which a layer cuts a call off in [`departure`].
//!
//! [`chrono`], [`SecretString`] and [`async_trait`](macro@async_trait) are part of this API. Another major version of
//! them is a breaking change of this crate.

pub mod batch;
mod delivery;
pub mod departure;
pub mod directory;
mod error;
mod guid;
mod health;
mod inbound;
mod message;
mod null;
mod opt_out;
mod outcomes;
mod phone;
mod prefix;
mod price;
mod profile;
mod provider;
mod receipt;
mod reference;
mod report;
mod report_options;
mod report_sink;
mod requirement;
mod sender;
mod string_enum;
mod text;

/// The attribute with which the traits of this crate are declared and implemented.
pub use async_trait::async_trait;
/// The times of this API.
pub use chrono;
#[cfg(feature = "transliteration")]
pub use postduif_text::{Change, Transliteration};
pub use postduif_text::{Count, Encoding, not_gsm};
/// The secrets of this API.
///
/// ```
/// # use postduif_core as postduif;
/// use postduif::{ExposeSecret as _, SecretString};
///
/// let secret = SecretString::from("signing-secret");
/// assert_eq!(secret.expose_secret(), "signing-secret");
/// ```
pub use secrecy::{ExposeSecret, SecretString};

pub use delivery::Delivery;
pub use error::{Acceptance, ConfigError, ErrorKind, SendError};
pub use guid::Guid;
pub use health::{Credentials, Health};
pub use inbound::{InboundMessage, InboundParser, InboundPart, InboundSink, InboundText};
pub use message::{Message, MessageOption};
pub use null::Null;
pub use opt_out::{OptOut, OptOutWords};
pub use outcomes::Outcomes;
pub use phone::{PhoneNumber, PhoneNumberError, PhoneNumberErrorKind};
pub use prefix::Prefix;
pub use price::Price;
pub use profile::{BatchTexts, Problem, Profile, TextLimit};
pub use provider::SmsProvider;
pub use receipt::{Attempt, Receipt};
pub use reference::Reference;
pub use report::{
    Authenticity, DeliveryReport, DeliveryStatus, ReportError, ReportErrorKind, ReportParser,
    ReportRequest,
};
pub use report_options::ReportOptions;
pub use report_sink::{LatestReports, MessageKey, ReportSink, ReportSinkError, Stored};
pub use requirement::Requirement;
pub use sender::{Sender, SenderError, SenderKind};
pub use string_enum::ParseError;
pub use text::{Text, TextError};

/// Values cross threads and tasks.
const _: () = {
    const fn is_send_and_sync<T: Send + Sync>() {}
    is_send_and_sync::<Attempt>();
    is_send_and_sync::<ConfigError>();
    is_send_and_sync::<Delivery>();
    is_send_and_sync::<DeliveryReport>();
    is_send_and_sync::<departure::Departure>();
    is_send_and_sync::<departure::DepartureHandle>();
    is_send_and_sync::<Health>();
    is_send_and_sync::<InboundMessage>();
    is_send_and_sync::<LatestReports>();
    is_send_and_sync::<Message>();
    is_send_and_sync::<MessageKey>();
    is_send_and_sync::<OptOutWords>();
    is_send_and_sync::<Outcomes>();
    is_send_and_sync::<Profile>();
    is_send_and_sync::<Receipt>();
    is_send_and_sync::<ReportRequest<'static>>();
    is_send_and_sync::<SendError>();
    is_send_and_sync::<directory::Callout>();
    is_send_and_sync::<directory::GraphError>();
    is_send_and_sync::<directory::Manager>();
    is_send_and_sync::<directory::TapInfo>();
    is_send_and_sync::<directory::TapRequest>();
    is_send_and_sync::<directory::TemporaryAccessPass>();
    is_send_and_sync::<directory::User>();
    is_send_and_sync::<directory::Verdict>();
};
