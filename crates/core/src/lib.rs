//! The words and traits of Postduif: a message, who can send it, and what is known of it afterwards.
//!
//! Nothing here does I/O. A provider is whoever implements [`SmsProvider`]; it takes a [`Message`] and gives
//! a [`Receipt`] or a [`SendError`]. The error answers the question on which everything else stands: was the
//! message certainly not sent ([`Acceptance::NotAccepted`]), or may it have gone out
//! ([`Acceptance::Unknown`])?
//!
//! Delivery reports come in through a [`ReportParser`]. What onboarding needs of Microsoft Entra stands apart, in
//! [`directory`].

pub mod batch;
mod delivery;
mod departure;
pub mod directory;
mod error;
mod guid;
mod health;
mod message;
mod null;
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
mod sender;
mod string_enum;
mod text;

/// Re-exported so that a provider outside this workspace is written with the version that the traits were.
pub use async_trait::async_trait;
#[cfg(feature = "transliteration")]
pub use postduif_text::{Change, Transliteration};
pub use postduif_text::{Count, Encoding, not_gsm};

pub use delivery::Delivery;
pub use departure::{
    Closed, Departure, DepartureHandle, Proof, attempt, hold, hold_until_closed, unwatched,
};
pub use error::{Acceptance, ConfigError, ErrorKind, SendError};
pub use guid::Guid;
pub use health::{Credentials, Health};
pub use message::Message;
pub use null::Null;
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
pub use sender::{Sender, SenderError, SenderKind};
pub use string_enum::ParseError;
pub use text::{Text, TextError};
