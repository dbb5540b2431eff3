use std::{borrow::Cow, error::Error, fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use crate::{
    Acceptance, Callback, TapId, TapInfo, TapRequest, TemporaryAccessPass, User, UserId, Verdict,
    words::words,
};

/// The directory, as far as onboarding needs it.
///
/// # Contract
///
/// As for [`SmsProvider`](crate::SmsProvider): no panic on any answer, no wait without an end, no secret
/// and no personal data in an error. Dropping a returned future leaves open whether it took effect.
#[async_trait]
pub trait Graph: fmt::Debug + Send + Sync + 'static {
    /// Reads a person.
    ///
    /// # Errors
    ///
    /// `NotFound` where the directory does not know the user, or not yet.
    async fn user(&self, id: &UserId) -> Result<User, GraphError>;

    /// Tells Entra how it went. Repeating it is harmless: Entra takes the first and refuses the others.
    ///
    /// # Errors
    ///
    /// `Conflict` and `NotFound` where nobody waits any more: that counts as heard.
    async fn resume(&self, callback: &Callback, verdict: &Verdict) -> Result<(), GraphError>;
}

/// Issues Temporary Access Passes.
///
/// A user has one pass: a new one replaces the one before it. The contract of [`Graph`] holds here too.
#[async_trait]
pub trait TapIssuer: fmt::Debug + Send + Sync + 'static {
    /// Issues a pass. It is told once; never repeat a call whose acceptance is unknown: list first.
    ///
    /// # Errors
    ///
    /// Where its [`acceptance`](GraphError::acceptance) is unknown, a pass may exist that nobody has seen.
    async fn issue(
        &self,
        user: &UserId,
        request: &TapRequest,
    ) -> Result<TemporaryAccessPass, GraphError>;

    /// The passes that the user has: the way back after a crash.
    ///
    /// # Errors
    ///
    /// Where Graph did not say.
    async fn list(&self, user: &UserId) -> Result<Vec<TapInfo>, GraphError>;

    /// Takes a pass away. One that is gone already counts as taken away.
    ///
    /// # Errors
    ///
    /// Where the pass may still be usable.
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

words! {
    /// What went wrong between us and Graph.
    #[non_exhaustive]
    pub enum GraphErrorKind("a kind of Graph error") {
        /// The thing is not in a state for this: resumed already, cancelled.
        Conflict = "conflict",
        /// Our identity may not do this.
        Forbidden = "forbidden",
        /// The tenant's policy does not allow a pass of this lifetime; the message names the bounds where Graph
        /// does.
        LifetimeRefused = "lifetime_refused",
        /// Graph does not know it, or not yet.
        NotFound = "not_found",
        /// A fault that no other kind names.
        Other = "other",
        /// The tenant's policy does not allow a pass for this user, or not yet.
        PolicyRefused = "policy_refused",
        /// The answer is not Graph's.
        Protocol = "protocol",
        /// Too many calls.
        Throttled = "throttled",
        /// A deadline passed.
        Timeout = "timeout",
        /// Our credentials or our token were refused.
        Unauthorized = "unauthorized",
        /// Graph or the login service cannot be reached, or is out of order.
        Unavailable = "unavailable",
    }
}

/// Graph has not done it, or we cannot know whether it has.
///
/// Built like [`SendError`](crate::SendError): a pass in doubt is as real as a text in doubt.
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
    /// It was certainly not done.
    #[must_use]
    pub fn not_accepted(kind: GraphErrorKind, message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(kind, Acceptance::NotAccepted, message.into())
    }

    /// It may have been done.
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

    /// Keeps Graph's own code.
    #[must_use]
    pub fn with_code(mut self, code: impl Into<Cow<'static, str>>) -> Self {
        Arc::make_mut(&mut self.0).code = Some(code.into());
        self
    }

    /// How long Graph asks to wait.
    #[must_use]
    pub fn with_retry_after(mut self, retry_after: Duration) -> Self {
        Arc::make_mut(&mut self.0).retry_after = Some(retry_after);
        self
    }

    /// Graph's id of the request: what Microsoft's support asks for.
    #[must_use]
    pub fn with_request_id(mut self, request_id: impl Into<Box<str>>) -> Self {
        Arc::make_mut(&mut self.0).request_id = Some(request_id.into());
        self
    }

    /// Keeps when Graph answered, by its own clock: Microsoft's support asks for it beside the request's id.
    #[must_use]
    pub fn with_date(mut self, date: DateTime<Utc>) -> Self {
        Arc::make_mut(&mut self.0).date = Some(date);
        self
    }

    /// What lies beneath. Its `Display` must hold no secret and no URL.
    #[must_use]
    pub fn with_source(mut self, source: impl Error + Send + Sync + 'static) -> Self {
        Arc::make_mut(&mut self.0).source = Some(Arc::new(source));
        self
    }

    /// What went wrong.
    #[must_use]
    pub fn kind(&self) -> GraphErrorKind {
        self.0.kind
    }

    /// Whether it may have been done all the same.
    #[must_use]
    pub fn acceptance(&self) -> Acceptance {
        self.0.acceptance
    }

    /// Graph's own code, such as `Request_ResourceNotFound`.
    #[must_use]
    pub fn code(&self) -> Option<&str> {
        self.0.code.as_deref()
    }

    /// How long Graph asks to wait, where it says so.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.retry_after
    }

    /// Graph's id of the request, where it gave one.
    #[must_use]
    pub fn request_id(&self) -> Option<&str> {
        self.0.request_id.as_deref()
    }

    /// When Graph answered, by its own clock, where it said so.
    #[must_use]
    pub fn date(&self) -> Option<DateTime<Utc>> {
        self.0.date
    }

    /// What went wrong in our own words, without the code and the ids.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.0.message
    }
}

impl fmt::Display for GraphError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)?;
        if let Some(code) = self.code() {
            write!(f, " (code {code})")?;
        }
        if let Some(request_id) = self.request_id() {
            write!(f, " (request {request_id})")?;
        }
        if self.acceptance() == Acceptance::Unknown {
            f.write_str("; it may have been done")?;
        }
        Ok(())
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
