use std::{fmt, sync::Arc};

use async_trait::async_trait;

use crate::{Health, Message, Outcomes, Profile, Receipt, SendError};

/// Somebody who takes text messages: a vendor, or a layer around one.
///
/// `Arc<dyn SmsProvider>` is the currency; an `Arc<P>` is itself a provider. There are no default methods,
/// so that a wrapper cannot forget one and drop what the inner one does.
///
/// # Contract
///
/// Whoever implements it promises, and whoever calls it may rely on it:
///
/// - **One attempt.** `send` makes the message's way to the vendor at most once. A provider repeats a call
///   only where the first was proven to be refused (a token that had run out).
/// - **Truth.** `Ok` means that the vendor has the message. [`NotAccepted`](crate::Acceptance::NotAccepted)
///   means that it certainly has not: the request never left, or the vendor itself refused it. All else is
///   [`Unknown`](crate::Acceptance::Unknown).
/// - **No wish is dropped.** What [`profile`](Self::profile) does not declare is refused as `Unsupported`
///   before any call.
/// - **Cancellation.** Dropping a returned future leaves acceptance unknown.
/// - **No panic**, whatever the other side answers, and no wait without an end.
/// - **No secret** and no whole number in an error, a log or `Debug`.
///
/// # A vendor of your own
///
/// The example `custom_provider` in this project's repository is a whole implementation in under 80 lines: request,
/// answer, refusal and profile. `postduif_testkit::conformance!` (`postduif::testing::conformance!`) tests it for
/// what is promised above.
#[async_trait]
pub trait SmsProvider: fmt::Debug + Send + Sync + 'static {
    /// What this provider can do. It does not change while the provider lives, and is lent: keep it in a field, or
    /// in a `static` where nothing of it depends on the configuration.
    fn profile(&self) -> &Profile;

    /// Sends one message.
    ///
    /// # Errors
    ///
    /// See [`SendError`]: look at its [`acceptance`](SendError::acceptance) before anything is repeated.
    async fn send(&self, message: &Message) -> Result<Receipt, SendError>;

    /// Sends any number of messages, none included, and splits them into vendor calls by itself. Each
    /// message has its own outcome; the messages go out in no promised order.
    async fn send_batch(&self, messages: &[Message]) -> Outcomes;

    /// Finds out what can be found out without sending a text: credentials, and the balance where the
    /// vendor tells.
    ///
    /// A health page has five states. Check each vendor alone: a stack over several gives one answer for all.
    ///
    /// ```
    /// # use postduif_core::*;
    /// async fn state(vendor: &dyn SmsProvider) -> (&'static str, String) {
    ///     match vendor.check().await {
    ///         Ok(health) if health.is_verified() => ("good", health.to_string()),
    ///         // Not every vendor has a call for it. The next send tells.
    ///         Ok(health) => ("not known", health.to_string()),
    ///         Err(error) => match error.kind() {
    ///             ErrorKind::Unauthorized => ("wrong credentials", error.to_string()),
    ///             ErrorKind::InsufficientBalance => ("no credit left", error.to_string()),
    ///             _ => ("out of reach", error.to_string()),
    ///         },
    ///     }
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// `Unauthorized` where the credentials are refused; other kinds where the vendor could not be asked.
    async fn check(&self) -> Result<Health, SendError>;
}

#[async_trait]
impl<P: SmsProvider + ?Sized> SmsProvider for Arc<P> {
    fn profile(&self) -> &Profile {
        (**self).profile()
    }

    async fn send(&self, message: &Message) -> Result<Receipt, SendError> {
        (**self).send(message).await
    }

    async fn send_batch(&self, messages: &[Message]) -> Outcomes {
        (**self).send_batch(messages).await
    }

    async fn check(&self) -> Result<Health, SendError> {
        (**self).check().await
    }
}

const _: fn(&dyn SmsProvider) = |_| {};
