use std::{
    borrow::Cow,
    future::{Future, ready},
    ops::Deref,
};

use futures_util::{TryFutureExt as _, future::Either};
use postduif_core::{
    ConfigError, ErrorKind, Health, Message, MessageOption, Outcomes, Profile, Receipt, SendError,
    Sender,
};
use secrecy::SecretString;

use crate::{BaseUrl, Client, Request, Response, client::Private, vendor::ConnectionUrl};

/// A vendor's API for a provider: its profile, its host, the HTTP client, and the sender of messages that name none.
///
/// It does what every provider must do: it validates a message before anything is sent, adds the provider's name to
/// errors, and never reports a request without a text as in doubt.
///
/// ```
/// # mod postduif { pub use postduif_core::*; pub use postduif_http as http; }
/// use postduif::{http::vendor::{Endpoint, EndpointBuilder}, Message, Profile, Receipt, SendError};
///
/// const PROFILE: Profile = Profile::new("example");
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let endpoint: Endpoint = EndpointBuilder::new().build(PROFILE, "https://api.example.test")?;
/// # Ok(()) }
///
/// async fn send(endpoint: &Endpoint, message: &Message) -> Result<Receipt, SendError> {
///     let message = &endpoint.fit(message);
///     endpoint.send_one(message, async {
///         let request = endpoint.post("/messages").with_json(&message.text().as_str());
///         let response = endpoint.client().send(request).await?;
///         if response.is_success() {
///             endpoint.receipt(message, response.header("x-message-id").unwrap_or_default())
///         } else {
///             Err(response.refused(None))
///         }
///     })
///     .await
/// }
/// ```
#[derive(Clone, Debug)]
pub struct Endpoint {
    profile: Profile,
    client: Client,
    base: BaseUrl,
    sender: Option<Sender>,
}

impl Endpoint {
    /// Returns the provider's capabilities.
    #[must_use]
    pub const fn profile(&self) -> &Profile {
        &self.profile
    }

    /// Sets the profile, for a configuration that narrows it.
    #[must_use]
    pub fn with_profile(mut self, profile: Profile) -> Self {
        self.profile = profile;
        self
    }

    /// Returns the HTTP client.
    #[must_use]
    pub const fn client(&self) -> &Client {
        &self.client
    }

    /// Returns the host and the path prefix of the API.
    #[must_use]
    pub const fn base(&self) -> &BaseUrl {
        &self.base
    }

    /// Creates a GET below the base URL that accepts JSON.
    #[must_use]
    pub fn get(&self, path: &str) -> Request {
        Request::get(&self.base, path).with_header("accept", "application/json")
    }

    /// Creates a POST below the base URL that accepts JSON.
    #[must_use]
    pub fn post(&self, path: &str) -> Request {
        Request::post(&self.base, path).with_header("accept", "application/json")
    }

    /// Returns the sender of the message, or the configured one.
    #[must_use]
    pub fn sender<'a>(&'a self, message: &'a Message) -> Option<&'a Sender> {
        message.sender().or(self.sender.as_ref())
    }

    /// Returns the sender of the message, or the configured one, in the vendor's format.
    ///
    /// # Errors
    ///
    /// Returns `InvalidSender` if there is no sender or `form` returns `None` for it; the error says what is
    /// `expected`.
    pub fn wire_sender(
        &self,
        message: &Message,
        form: fn(&Sender) -> Option<String>,
        expected: &'static str,
    ) -> Result<String, SendError> {
        self.sender(message).and_then(form).ok_or_else(|| {
            let message = format!("invalid sender: {expected}");
            SendError::not_accepted(ErrorKind::InvalidSender, message)
        })
    }

    /// Returns the message as this vendor sends it: without the options that were set `…_where_possible` and that the
    /// profile lacks.
    #[must_use]
    pub fn fit<'m>(&self, message: &'m Message) -> Fitted<'m> {
        self.fit_where(message, |_| true)
    }

    /// Returns the message as [`fit`](Self::fit) does, for a vendor with rules that no profile holds: an option is also
    /// dropped if `accepts` returns false for the message with it.
    #[must_use]
    pub fn fit_where<'m>(
        &self,
        message: &'m Message,
        accepts: impl Fn(&Message) -> bool,
    ) -> Fitted<'m> {
        let (message, dropped) = message.fit_where(&self.profile, accepts);
        Fitted { message, dropped }
    }

    /// Returns the messages of a batch as this vendor sends them, as [`fit_where`](Self::fit_where) does.
    #[must_use]
    pub fn fit_all<'m>(
        &self,
        messages: &'m [Message],
        accepts: impl Fn(&Message) -> bool,
    ) -> FittedBatch<'m> {
        let fitted: Vec<_> = messages
            .iter()
            .map(|message| self.fit_where(message, &accepts))
            .collect();
        let is_borrowed = |fitted: &Fitted<'_>| matches!(fitted.message, Cow::Borrowed(_));
        if fitted.iter().all(is_borrowed) {
            return FittedBatch {
                messages: Cow::Borrowed(messages),
                dropped: Vec::new(),
            };
        }
        let (messages, dropped) = fitted
            .into_iter()
            .map(|fitted| (fitted.message.into_owned(), fitted.dropped))
            .unzip();
        FittedBatch {
            messages: Cow::Owned(messages),
            dropped,
        }
    }

    /// Sends one message: validates it against the profile, then runs `exchange`, which makes the request and reads its
    /// response.
    ///
    /// # Errors
    ///
    /// Returns the error of the profile or of `exchange`, with the provider's name.
    pub fn send_one(
        &self,
        message: &Fitted<'_>,
        exchange: impl Future<Output = Result<Receipt, SendError>> + Send,
    ) -> impl Future<Output = Result<Receipt, SendError>> + Send {
        // Combinators, since the future of an `async fn` would hold `exchange` twice.
        let outcome = match self.profile.validate(message) {
            Ok(()) => Either::Left(exchange),
            Err(error) => Either::Right(ready(Err(error))),
        };
        outcome
            .map_ok(|receipt| message.report(receipt))
            .map_err(|error| self.named(error))
    }

    /// Runs the `exchange` of a `check`, which carries no text.
    ///
    /// # Errors
    ///
    /// Returns the error of `exchange`, with the provider's name, and never in doubt. Refused credentials are a
    /// [`Health`], not an error.
    pub async fn probe(
        &self,
        exchange: impl Future<Output = Result<Health, SendError>>,
    ) -> Result<Health, SendError> {
        Health::of(exchange.await.map_err(|error| self.named(error)))
    }

    /// Creates the receipt of a message with the vendor's id.
    ///
    /// # Errors
    ///
    /// Returns an error in doubt if the id is [unusable](Response::message_id).
    pub fn receipt(&self, message: &Message, id: &str) -> Result<Receipt, SendError> {
        Ok(self
            .receipt_without_id(message)
            .with_id(Response::message_id(id)?))
    }

    /// Creates the receipt of a message without a vendor's id.
    #[must_use]
    pub fn receipt_without_id(&self, message: &Message) -> Receipt {
        Receipt::new(self.profile.owned_name(), *message.reference())
    }

    /// Adds the provider's name to an error.
    #[must_use]
    pub fn named(&self, error: SendError) -> SendError {
        error.with_provider(self.profile.owned_name())
    }
}

/// A message as a vendor sends it, made by [`Endpoint::fit`].
#[derive(Clone, Debug)]
pub struct Fitted<'m> {
    message: Cow<'m, Message>,
    dropped: Vec<MessageOption>,
}

impl Fitted<'_> {
    /// Adds to a receipt the options that were dropped.
    #[must_use]
    pub fn report(&self, receipt: Receipt) -> Receipt {
        if self.dropped.is_empty() {
            return receipt;
        }
        receipt.with_dropped(self.dropped.clone())
    }
}

impl Deref for Fitted<'_> {
    type Target = Message;

    fn deref(&self) -> &Message {
        &self.message
    }
}

/// The messages of a batch as a vendor sends them, made by [`Endpoint::fit_all`].
#[derive(Clone, Debug)]
pub struct FittedBatch<'m> {
    messages: Cow<'m, [Message]>,
    /// Empty if no message has options to drop.
    dropped: Vec<Vec<MessageOption>>,
}

impl FittedBatch<'_> {
    /// Adds to each receipt the options that were dropped.
    pub fn report(&self, mut outcomes: Outcomes) -> Outcomes {
        for (index, dropped) in self.dropped.iter().enumerate() {
            if let Some(Ok(receipt)) = outcomes.get(index)
                && !dropped.is_empty()
            {
                let receipt = receipt.clone().with_dropped(dropped.clone());
                outcomes.set(index, Ok(receipt));
            }
        }
        outcomes
    }
}

impl Deref for FittedBatch<'_> {
    type Target = [Message];

    fn deref(&self) -> &[Message] {
        &self.messages
    }
}

/// Implements what all vendors share: for a builder the options of its field `endpoint`, an
/// [`EndpointBuilder`](crate::vendor::EndpointBuilder), and for a provider the constructors from a connection URL.
///
/// The provider needs a function `builder`, and the builder a private function `from_url` and a function `build`. The
/// texts complete the documentation: the form of the URL, the default of the base URL, and the default of the sender.
///
/// ```
/// # mod postduif { pub use postduif_core::*; pub use postduif_http as http; }
/// use postduif::http::{provider_builder, vendor::{ConnectionUrl, Endpoint, EndpointBuilder}};
/// use postduif::{ConfigError, Profile, SenderKind};
///
/// pub struct Example(pub Endpoint);
///
/// pub struct ExampleBuilder {
///     endpoint: EndpointBuilder,
/// }
///
/// provider_builder! {
///     Example, ExampleBuilder,
///     url: "`example://KEY@host?options`",
///     base: "the vendor's own",
///     sender: "The vendor has no default",
/// }
///
/// impl ExampleBuilder {
///     fn from_url(url: &str) -> Result<Self, ConfigError> {
///         let url = ConnectionUrl::parse("example", url, &["key"], &["sender", "vendor_messages"])?;
///         Ok(Self { endpoint: EndpointBuilder::from_url(&url)? })
///     }
///
///     pub fn build(self) -> Result<Example, ConfigError> {
///         let profile = Profile::new("example").with_senders(&[SenderKind::Alphanumeric]);
///         self.endpoint.build(profile, "https://api.example.test").map(Example)
///     }
/// }
///
/// let example = Example::from_url("example://key@mirror.example.test?sender=Contoso")?;
/// assert_eq!(example.0.base().as_str(), "https://mirror.example.test");
/// # Ok::<(), ConfigError>(())
/// ```
#[macro_export]
macro_rules! provider_builder {
    (
        $provider:ident, $builder:ident,
        url: $url:literal,
        base: $base:literal,
        sender: $sender:literal $(,)?
    ) => {
        impl $provider {
            /// Creates a provider from a connection URL, with the HTTP client that all providers share.
            ///
            /// # Errors
            ///
            #[doc = ::core::concat!("Returns an error if the URL is not ", $url, "; the error never shows it.")]
            pub fn from_url(url: &str) -> ::core::result::Result<Self, $crate::ConfigError> {
                $builder::from_url(url)?.build()
            }

            /// Creates a provider from a connection URL, with the given HTTP client.
            ///
            /// # Errors
            ///
            /// Returns the errors of [`from_url`](Self::from_url).
            pub fn from_url_with(
                url: &str,
                client: &$crate::Client,
            ) -> ::core::result::Result<Self, $crate::ConfigError> {
                $builder::from_url(url)?
                    .with_client(client.clone())
                    .build()
            }
        }

        impl $builder {
            #[doc = ::core::concat!("Sets the base URL. Defaults to ", $base, ".")]
            pub fn with_base(mut self, base: $crate::BaseUrl) -> Self {
                self.endpoint = self.endpoint.with_base(base);
                self
            }

            /// Sets the HTTP client. Defaults to the one that all providers share.
            pub fn with_client(mut self, client: $crate::Client) -> Self {
                self.endpoint = self.endpoint.with_client(client);
                self
            }

            #[doc = ::core::concat!("Sets the sender of messages that name none. ", $sender, ".")]
            pub fn with_sender(mut self, sender: $crate::Sender) -> Self {
                self.endpoint = self.endpoint.with_sender(sender);
                self
            }

            /// Sets whether errors keep the vendor's own words, cleaned, for `SendError::vendor_message`. Defaults to
            /// `false`: none are kept.
            pub fn with_vendor_messages(mut self, kept: bool) -> Self {
                self.endpoint = self.endpoint.with_vendor_messages(kept);
                self
            }
        }
    };
}

/// Builder for an [`Endpoint`]: the options that the builders of all vendors share.
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct EndpointBuilder {
    base: Option<BaseUrl>,
    client: Option<Client>,
    sender: Option<Sender>,
    vendor_messages: bool,
    secrets: Vec<SecretString>,
}

impl EndpointBuilder {
    /// Creates a builder with the vendor's own host, the shared client, and no sender.
    pub const fn new() -> Self {
        Self {
            base: None,
            client: None,
            sender: None,
            vendor_messages: false,
            secrets: Vec::new(),
        }
    }

    /// Reads the host and the options `sender` and `vendor_messages` of a connection URL.
    ///
    /// # Errors
    ///
    /// Returns an error if one of them is invalid.
    pub fn from_url(url: &ConnectionUrl) -> Result<Self, ConfigError> {
        Ok(Self {
            base: url.host().cloned(),
            client: None,
            sender: url.parsed_option("sender")?,
            vendor_messages: url.parsed_option("vendor_messages")?.unwrap_or_default(),
            secrets: Vec::new(),
        })
    }

    /// Sets the base URL. Defaults to the vendor's own.
    pub fn with_base(mut self, base: BaseUrl) -> Self {
        self.base = Some(base);
        self
    }

    /// Sets the HTTP client. Defaults to the one that all providers [share](Client::shared).
    pub fn with_client(mut self, client: Client) -> Self {
        self.client = Some(client);
        self
    }

    /// Sets the sender of messages that name none. Defaults to `None`.
    pub fn with_sender(mut self, sender: Sender) -> Self {
        self.sender = Some(sender);
        self
    }

    /// Sets whether errors keep the vendor's own words, cleaned, as their [`vendor_message`](SendError::vendor_message).
    /// Defaults to `false`.
    pub const fn with_vendor_messages(mut self, kept: bool) -> Self {
        self.vendor_messages = kept;
        self
    }

    /// Adds what no vendor's words may show beside the texts, the senders and the credentials in the requests' headers:
    /// each credential of the account, its ids, and URLs that may hold a secret. `None` is skipped, for a credential that
    /// an account may lack.
    pub fn with_secrets<'s>(
        mut self,
        secrets: impl IntoIterator<Item = Option<&'s SecretString>>,
    ) -> Self {
        self.secrets.extend(secrets.into_iter().flatten().cloned());
        self
    }

    /// Returns the base URL. `None` if it was not set.
    #[must_use]
    pub const fn base(&self) -> Option<&BaseUrl> {
        self.base.as_ref()
    }

    /// Returns the sender. `None` if it was not set.
    #[must_use]
    pub const fn sender(&self) -> Option<&Sender> {
        self.sender.as_ref()
    }

    /// Checks that the vendor accepts the configured sender.
    ///
    /// # Errors
    ///
    /// Returns an error if it does not; the error names the option `sender` and says what is `expected`.
    pub fn check_sender(
        &self,
        fits: impl FnOnce(&Sender) -> bool,
        expected: &str,
    ) -> Result<(), ConfigError> {
        if self.sender.as_ref().is_none_or(fits) {
            Ok(())
        } else {
            Err(ConfigError::new(format!("option sender: {expected}")))
        }
    }

    /// Builds the endpoint. `host` is the vendor's own base URL, and the default. A configured sender satisfies a
    /// profile that requires one.
    ///
    /// # Errors
    ///
    /// Returns an error if the profile does not have the kind of the configured sender, `host` is not a base URL, or
    /// the HTTP client cannot be built.
    pub fn build(self, profile: Profile, host: &str) -> Result<Endpoint, ConfigError> {
        let sender = self.sender.as_ref();
        if let Some(problem) = sender.and_then(|sender| profile.sender_problem(sender)) {
            return Err(ConfigError::new(format!("option sender: {problem}")));
        }
        let is_required = profile.sender_required() && self.sender.is_none();
        let client = self.client.map_or_else(Client::shared, Ok)?;
        let client = if self.vendor_messages {
            let sender = sender.map(|sender| sender.to_string().into());
            // The path of a gateway of one's own may hold its key. Shorter segments are words such as `send`.
            let prefix = self.base.as_ref().map(BaseUrl::prefix).unwrap_or_default();
            let segments = prefix.split('/').filter(|segment| segment.len() >= 8);
            let segments = segments.map(SecretString::from);
            let private = self.secrets.into_iter().chain(sender).chain(segments);
            client.keeping_words(Private::new(private))
        } else {
            client
        };
        Ok(Endpoint {
            profile: profile.with_sender_required(is_required),
            client,
            base: self.base.map_or_else(|| BaseUrl::parse(host), Ok)?,
            sender: self.sender,
        })
    }
}

#[cfg(test)]
mod tests {
    use postduif_core::SenderKind;

    use super::*;

    #[test]
    fn a_configured_sender_is_of_a_kind_that_the_profile_takes() {
        const PROFILE: Profile = Profile::new("x").with_senders(&[SenderKind::ShortCode]);
        let build = |sender: &str| {
            let builder = EndpointBuilder::new().with_sender(sender.parse().unwrap());
            builder.build(PROFILE, "https://api.example.test")
        };
        assert!(build("1008").is_ok());
        for (sender, kind) in [
            ("Contoso", "alphanumeric sender"),
            ("+31612345678", "number as sender"),
            (
                "MG0123456789abcdef0123456789abcdef",
                "messaging service as sender",
            ),
        ] {
            let error = build(sender).unwrap_err().to_string();
            assert_eq!(error, format!("option sender: this vendor takes no {kind}"));
        }
    }
}
