use std::{borrow::Cow, error::Error, fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use super::{Callback, TapId, TapInfo, TapRequest, TemporaryAccessPass, User, UserId, Verdict};
use crate::{Acceptance, string_enum::string_enum};

/// A directory that reads users and reports outcomes to Entra.
///
/// # Contract
///
/// As for [`SmsProvider`](crate::SmsProvider): no response causes a panic, every wait is bounded, and no error
/// contains a secret or personal data. If a returned future is dropped, the operation may or may not have taken
/// effect.
#[async_trait]
pub trait Graph: fmt::Debug + Send + Sync + 'static {
    /// Reads a user.
    ///
    /// # Errors
    ///
    /// Returns [`NotFound`](GraphErrorKind::NotFound) if the directory does not know the user, or not yet.
    async fn user(&self, id: &UserId) -> Result<User, GraphError>;

    /// Reports the outcome to Entra. Repeating it is harmless: Entra takes the first and refuses the others.
    ///
    /// # Errors
    ///
    /// Returns [`Conflict`](GraphErrorKind::Conflict) or [`NotFound`](GraphErrorKind::NotFound) if Entra no longer
    /// waits, which a caller may treat as success.
    async fn resume(&self, callback: &Callback, verdict: &Verdict) -> Result<(), GraphError>;
}

/// An issuer of Temporary Access Passes.
///
/// A user has at most one pass: a new one replaces the previous one. The contract of [`Graph`] applies.
#[async_trait]
pub trait TapIssuer: fmt::Debug + Send + Sync + 'static {
    /// Issues a pass. Its secret is returned only once.
    ///
    /// Never repeat a call whose acceptance is unknown; [list](Self::list) the passes first.
    ///
    /// # Errors
    ///
    /// If the [`acceptance`](GraphError::acceptance) is unknown, a pass may exist whose secret is lost.
    async fn issue(
        &self,
        user: &UserId,
        request: &TapRequest,
    ) -> Result<TemporaryAccessPass, GraphError>;

    /// Lists the user's passes, for recovery after a crash.
    ///
    /// # Errors
    ///
    /// Returns an error if the passes could not be read.
    async fn list(&self, user: &UserId) -> Result<Vec<TapInfo>, GraphError>;

    /// Revokes a pass. A pass that no longer exists counts as revoked.
    ///
    /// # Errors
    ///
    /// Returns an error if the pass may still be usable.
    async fn revoke(&self, user: &UserId, tap: &TapId) -> Result<(), GraphError>;
}

const _: fn(&dyn Graph, &dyn TapIssuer) = |_, _| {};

#[async_trait]
impl<G: Graph + ?Sized> Graph for Arc<G> {
    async fn user(&self, id: &UserId) -> Result<User, GraphError> {
        (**self).user(id).await
    }

    async fn resume(&self, callback: &Callback, verdict: &Verdict) -> Result<(), GraphError> {
        (**self).resume(callback, verdict).await
    }
}

#[async_trait]
impl<T: TapIssuer + ?Sized> TapIssuer for Arc<T> {
    async fn issue(
        &self,
        user: &UserId,
        request: &TapRequest,
    ) -> Result<TemporaryAccessPass, GraphError> {
        (**self).issue(user, request).await
    }

    async fn list(&self, user: &UserId) -> Result<Vec<TapInfo>, GraphError> {
        (**self).list(user).await
    }

    async fn revoke(&self, user: &UserId, tap: &TapId) -> Result<(), GraphError> {
        (**self).revoke(user, tap).await
    }
}

string_enum! {
    /// What went wrong in a call to Microsoft Graph.
    #[non_exhaustive]
    pub enum GraphErrorKind("a kind of Graph error") {
        /// The state of the object does not allow this, such as a task already resumed.
        Conflict = "conflict",
        /// The application may not do this.
        Forbidden = "forbidden",
        /// The tenant's policy does not allow a pass of this lifetime. The message names the bounds if Graph
        /// does.
        LifetimeRefused = "lifetime_refused",
        /// The object does not exist, or not yet.
        NotFound = "not_found",
        /// An error that no other kind describes.
        Other = "other",
        /// The tenant's policy does not allow this user a pass, or not yet.
        PolicyRefused = "policy_refused",
        /// The response is not one that Graph documents.
        Protocol = "protocol",
        /// Too many requests.
        Throttled = "throttled",
        /// A deadline passed.
        Timeout = "timeout",
        /// The credentials or the token were refused.
        Unauthorized = "unauthorized",
        /// Graph or the login service cannot be reached, or failed.
        Unavailable = "unavailable",
    }
}

/// A failed call to Microsoft Graph, which may have taken effect all the same.
///
/// Like [`SendError`](crate::SendError), it states whether that is possible: a pass that may exist matters as
/// much as a text that may have been sent.
#[derive(Clone)]
pub struct GraphError(Arc<Inner>);

#[derive(Clone)]
struct Inner {
    kind: GraphErrorKind,
    acceptance: Acceptance,
    message: Cow<'static, str>,
    code: Option<Cow<'static, str>>,
    retry_after: Option<Duration>,
    request_id: Option<Box<str>>,
    date: Option<DateTime<Utc>>,
    source: Option<Arc<dyn Error + Send + Sync>>,
}

impl GraphError {
    /// Creates an error for an operation that certainly did not take effect.
    #[must_use]
    pub fn not_accepted(kind: GraphErrorKind, message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(kind, Acceptance::NotAccepted, message.into())
    }

    /// Creates an error for an operation that may have taken effect.
    #[must_use]
    pub fn unknown(kind: GraphErrorKind, message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(kind, Acceptance::Unknown, message.into())
    }

    fn new(kind: GraphErrorKind, acceptance: Acceptance, message: Cow<'static, str>) -> Self {
        Self(Arc::new(Inner {
            kind,
            acceptance,
            message,
            code: None,
            retry_after: None,
            request_id: None,
            date: None,
            source: None,
        }))
    }

    /// Sets Graph's own code.
    #[must_use]
    pub fn with_code(mut self, code: impl Into<Cow<'static, str>>) -> Self {
        Arc::make_mut(&mut self.0).code = Some(code.into());
        self
    }

    /// Sets how long Graph asks to wait.
    #[must_use]
    pub fn with_retry_after(mut self, retry_after: Duration) -> Self {
        Arc::make_mut(&mut self.0).retry_after = Some(retry_after);
        self
    }

    /// Sets Graph's id of the request, which Microsoft's support asks for.
    #[must_use]
    pub fn with_request_id(mut self, request_id: impl Into<Box<str>>) -> Self {
        Arc::make_mut(&mut self.0).request_id = Some(request_id.into());
        self
    }

    /// Sets the time of Graph's response by its own clock, which Microsoft's support asks for.
    #[must_use]
    pub fn with_date(mut self, date: DateTime<Utc>) -> Self {
        Arc::make_mut(&mut self.0).date = Some(date);
        self
    }

    /// Sets the underlying cause. Its `Display` output must not contain secrets or URLs.
    #[must_use]
    pub fn with_source(mut self, source: impl Error + Send + Sync + 'static) -> Self {
        Arc::make_mut(&mut self.0).source = Some(Arc::new(source));
        self
    }

    /// Returns the kind of error.
    #[must_use]
    pub fn kind(&self) -> GraphErrorKind {
        self.0.kind
    }

    /// Returns whether the operation may have taken effect all the same.
    #[must_use]
    pub fn acceptance(&self) -> Acceptance {
        self.0.acceptance
    }

    /// Returns Graph's own code, such as `Request_ResourceNotFound`.
    #[must_use]
    pub fn code(&self) -> Option<&str> {
        self.0.code.as_deref()
    }

    /// Returns how long Graph asks to wait, or `None` if it does not say.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.retry_after
    }

    /// Returns Graph's id of the request, or `None` if there is none.
    #[must_use]
    pub fn request_id(&self) -> Option<&str> {
        self.0.request_id.as_deref()
    }

    /// Returns the time of Graph's response by its own clock, or `None` if it does not say.
    #[must_use]
    pub fn date(&self) -> Option<DateTime<Utc>> {
        self.0.date
    }

    /// Returns the message, without the code and the ids.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.0.message
    }
}

impl fmt::Display for GraphError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = self.0.message.to_string();
        if let Some(code) = self.code() {
            text += &format!(" (code {code})");
        }
        if let Some(request_id) = self.request_id() {
            text += &format!(" (request {request_id})");
        }
        if self.acceptance() == Acceptance::Unknown {
            text += "; it may have been done";
        }
        f.pad(&text)
    }
}

impl fmt::Debug for GraphError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("GraphError");
        shown
            .field("kind", &self.kind())
            .field("acceptance", &self.acceptance());
        shown.field("message", &self.0.message);
        shown
            .field("code", &self.code())
            .field("retry_after", &self.retry_after());
        shown
            .field("request_id", &self.request_id())
            .field("date", &self.date());
        if let Some(source) = self.source() {
            shown.field("source", &format_args!("{source}"));
        }
        shown.finish()
    }
}

impl Error for GraphError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source.as_ref().map(|source| &**source as _)
    }
}
