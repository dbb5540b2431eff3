use std::{fmt, future::Future, pin::Pin, sync::Arc};

use async_trait::async_trait;

use crate::{ConfigError, Health, Message, Outcomes, Profile, Receipt, Requirement, SendError};

/// A sender of text messages: a vendor, or a layer that wraps another provider.
///
/// Pass providers around as `Arc<dyn SmsProvider>`; an `Arc<P>` is itself a provider. The trait has no default methods,
/// so that a layer cannot forget to forward one.
///
/// ```
/// # use postduif_core as postduif;
/// use postduif::{Acceptance, Message, SmsProvider};
///
/// async fn send(sms: &dyn SmsProvider, message: &Message) -> String {
///     match sms.send(message).await {
///         Ok(receipt) => format!("accepted by {}", receipt.provider()),
///         Err(error) => match error.acceptance() {
///             Acceptance::NotAccepted => format!("not sent: {error}"),
///             // Sending it again could deliver it twice.
///             Acceptance::Unknown => format!("possibly sent: {error}"),
///         },
///     }
/// }
/// # futures_executor::block_on(async {
/// # let message = Message::new("+31612345678".parse().unwrap(), "Hello".parse().unwrap());
/// assert_eq!(send(&postduif::Null::new(), &message).await, "accepted by null");
/// # });
/// ```
///
/// # Contract
///
/// An implementation keeps these promises, and a caller may rely on them:
///
/// - **One attempt.** `send` submits the message to the vendor at most once. A request is repeated only if the first
///   was provably refused, for example because a token had expired.
/// - **Acceptance.** `Ok` means that the vendor accepted the message.
///   [`NotAccepted`](crate::Acceptance::NotAccepted) means that it certainly did not: the request never left, or the
///   vendor itself refused it. Everything else is [`Unknown`](crate::Acceptance::Unknown).
/// - **No option is ignored.** An option that the [`profile`](Self::profile) does not declare is refused as
///   [`Unsupported`](crate::ErrorKind::Unsupported) before any request.
/// - **Cancellation.** Dropping a returned future leaves the acceptance unknown.
/// - **Robustness.** No response causes a panic, and every wait is bounded.
/// - **Secrecy.** No error, log or `Debug` contains a secret, the text or a whole number.
///
/// # Your own vendor
///
/// The example `custom_provider` in this repository is a complete implementation in under 80 lines. The macro
/// `postduif::testing::conformance!` tests an implementation against this contract.
#[async_trait]
pub trait SmsProvider: fmt::Debug + Send + Sync + 'static {
    /// Returns the provider's name and capabilities, which never change.
    ///
    /// Keep the profile in a field, or in a `static` if it does not depend on the configuration.
    fn profile(&self) -> &Profile;

    /// Sends one message.
    ///
    /// # Errors
    ///
    /// Returns an error if the message was not accepted, or may not have been. Check its
    /// [`acceptance`](SendError::acceptance) before you send the message again.
    async fn send(&self, message: &Message) -> Result<Receipt, SendError>;

    /// Sends any number of messages, in as few requests as the vendor allows.
    ///
    /// Each message has its own outcome. Messages are sent in no particular order.
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

impl dyn SmsProvider + '_ {
    /// Checks that this provider can do what a program needs of it, as [`Profile::require`] does.
    ///
    /// ```
    /// # use postduif_core as postduif;
    /// use std::{sync::Arc, time::Duration};
    /// use postduif::{Null, Requirement, SmsProvider};
    ///
    /// let sms: Arc<dyn SmsProvider> = Arc::new(Null::new());
    /// sms.require(&[Requirement::DeliveryReports, Requirement::Validity(Duration::from_secs(600))])
    ///     .unwrap_err();
    /// ```
    ///
    /// # Errors
    ///
    /// Returns an error that names everything that the provider cannot do.
    pub fn require(&self, requirements: &[Requirement]) -> Result<(), ConfigError> {
        self.profile().require(requirements)
    }
}

/// The future of a trait's method, as `async_trait` declares it.
type BoxFuture<'f, T> = Pin<Box<dyn Future<Output = T> + Send + 'f>>;

// Not `async`, so that the provider's own future is returned instead of one around it.
impl<P: SmsProvider + ?Sized> SmsProvider for Arc<P> {
    fn profile(&self) -> &Profile {
        (**self).profile()
    }

    fn send<'p, 'm, 'f>(&'p self, message: &'m Message) -> BoxFuture<'f, Result<Receipt, SendError>>
    where
        'p: 'f,
        'm: 'f,
    {
        (**self).send(message)
    }

    fn send_batch<'p, 'm, 'f>(&'p self, messages: &'m [Message]) -> BoxFuture<'f, Outcomes>
    where
        'p: 'f,
        'm: 'f,
    {
        (**self).send_batch(messages)
    }

    fn check<'p, 'f>(&'p self) -> BoxFuture<'f, Result<Health, SendError>>
    where
        'p: 'f,
    {
        (**self).check()
    }
}

const _: fn(&dyn SmsProvider) = |_| {};
