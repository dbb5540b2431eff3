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

    /// Checks the credentials without sending a message, and reads the balance if the vendor states it.
    ///
    /// Providers end it with [`Health::of`]. A health page has five states, and checks each vendor by itself, since a
    /// stack of several has one result for all:
    ///
    /// ```
    /// # use postduif_core as postduif;
    /// use postduif::{Credentials, ErrorKind, SmsProvider};
    ///
    /// async fn state(vendor: &dyn SmsProvider) -> (&'static str, String) {
    ///     match vendor.check().await {
    ///         Ok(health) => match health.credentials() {
    ///             Credentials::Verified => ("up", health.to_string()),
    ///             Credentials::Refused => ("wrong credentials", health.to_string()),
    ///             // Not every vendor offers a check. The next send shows it.
    ///             _ => ("unknown", health.to_string()),
    ///         },
    ///         Err(error) if error.kind() == ErrorKind::InsufficientBalance => {
    ///             ("no credit", error.to_string())
    ///         }
    ///         Err(error) => ("unreachable", error.to_string()),
    ///     }
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// Returns an error if the vendor could not be asked. Refused credentials are not an error, but
    /// [`Credentials::Refused`](crate::Credentials::Refused).
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
