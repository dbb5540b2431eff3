use std::{fmt, sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use postduif_entra::{
    Caller, CallerErrorKind, CallerVerifier, CalloutError, CalloutErrorKind, CalloutParser, Parsed,
};
use postduif_onboarding::{Intake, Taken};

use crate::{Reply, clock::can_wait, count, quiet::Quiet};

/// The most time that an intake has for a call-out.
const MAX_TAKE: Duration = Duration::from_secs(5);

/// The routes of Microsoft Entra's call-outs: lifecycle workflows and access packages.
///
/// They need a tokio runtime with I/O and time enabled. In its absence no call-out is taken, and the response is 503.
///
/// A request is authenticated by its token alone, before its body is read. Then its body is parsed, and the call-out is
/// given to an [`Intake`], which runs the flow.
///
/// # Responses
///
/// | request | response |
/// |---|---|
/// | a call-out, also a repeated one; the connection test of an access package | 202 without a `Location` |
/// | no token, or a wrong one | 401 with `WWW-Authenticate` |
/// | a body that cannot be read; a callback path that does not fit its ids; a stage, request type or catalog that is not accepted | 400 |
/// | a body over [`CalloutParser::BODY_LIMIT`] | 413 |
/// | the intake is full or its store is away; the tenant's keys were never there | 503 with `Retry-After` |
///
/// After a 400 nothing is done, and Entra is told nothing: the task fails when its window closes. The run of a lifecycle
/// workflow then shows the task as failed by its timeout, and an access package shows its extension as failed.
///
/// ```
/// # mod postduif {
/// #     pub use postduif_core::*;
/// #     pub use postduif_entra as entra;
/// #     pub use postduif_onboarding as onboarding;
/// #     pub use postduif_webhooks as webhooks;
/// # }
/// use postduif::{entra::{CallerVerifier, CalloutParser}, onboarding::{Onboarding, Runner}, webhooks::Callouts};
///
/// fn routes(onboarding: Onboarding) -> Result<Callouts, Box<dyn std::error::Error>> {
///     let verifier = CallerVerifier::builder("contoso.onmicrosoft.com")
///         .with_audiences(["api://postduif"])
///         .with_callers(["9b1c3e5f-2d4a-4c6e-8a90-1b2c3d4e5f60".parse()?])
///         .build()?;
///     Ok(Callouts::new(verifier, Runner::new(onboarding)).with_parser(CalloutParser::new()))
/// }
///
/// // In a web server of any kind. With the feature `axum`, `callouts.router()` is all of it.
/// async fn lifecycle(callouts: &Callouts, headers: &[(String, String)], body: &[u8]) -> u16 {
///     let headers = headers.iter().map(|(name, value)| (name, value));
///     let reply = match callouts.authenticate(headers).await {
///         Ok(admitted) => admitted.lifecycle(body).await,
///         Err(reply) => reply,
///     };
///     reply.status()
/// }
/// ```
#[derive(Clone)]
pub struct Callouts(Arc<Inner>);

#[derive(Clone)]
struct Inner {
    verifier: CallerVerifier,
    parser: CalloutParser,
    intake: Arc<dyn Intake>,
    refusals: Arc<Quiet>,
}

impl Callouts {
    /// Creates the routes for the callers that a verifier admits.
    pub fn new(verifier: CallerVerifier, intake: impl Intake) -> Self {
        Self(Arc::new(Inner {
            verifier,
            parser: CalloutParser::new(),
            intake: Arc::new(intake),
            refusals: Arc::new(Quiet::new()),
        }))
    }

    /// Sets the parser, which decides on catalogs, stages and types of request. Defaults to [`CalloutParser::new`].
    #[must_use]
    pub fn with_parser(mut self, parser: CalloutParser) -> Self {
        Arc::make_mut(&mut self.0).parser = parser;
        self
    }

    /// Verifies the caller of a request by its headers, before its body is read.
    ///
    /// # Errors
    ///
    /// Returns the response: 401, or 503 if the tenant's keys were never fetched and cannot be fetched now.
    pub async fn authenticate<'a, N, V>(
        &self,
        headers: impl IntoIterator<Item = (&'a N, &'a V)>,
    ) -> Result<Admitted<'_>, Reply>
    where
        N: AsRef<str> + ?Sized + 'a,
        V: AsRef<[u8]> + ?Sized + 'a,
    {
        let now = now();
        let verified = self.0.verifier.verify(headers, now);
        match verified.await {
            Ok(caller) => Ok(Admitted {
                callouts: self,
                caller,
                received_at: now,
            }),
            Err(error) => {
                count::callout(match error.kind() {
                    CallerErrorKind::Unavailable => "no_keys",
                    _ => "unauthorized",
                });
                if let Some(more) = self.0.refusals.tell("call-out", &error.to_string()) {
                    tracing::warn!(reason = %error, more, "a call-out was refused");
                }
                let reply = Reply::new(error.status(), "");
                let reply = reply.www_authenticate(error.www_authenticate());
                Err(match error.retry_after() {
                    Some(wait) => reply.retry_after(wait.as_secs().max(1)),
                    None => reply,
                })
            }
        }
    }
}

fn now() -> DateTime<Utc> {
    std::time::SystemTime::now().into()
}

/// A request for a call-out whose caller is verified.
#[must_use = "the request is answered by one of its methods"]
pub struct Admitted<'c> {
    callouts: &'c Callouts,
    caller: Caller,
    received_at: DateTime<Utc>,
}

impl Admitted<'_> {
    /// Returns the caller.
    #[must_use]
    pub const fn caller(&self) -> &Caller {
        &self.caller
    }

    /// Takes the call-out of a lifecycle workflow, and returns the response.
    pub async fn lifecycle(self, body: &[u8]) -> Reply {
        self.take(body, CalloutParser::parse_lifecycle).await
    }

    /// Takes the call-out of an access package, and returns the response.
    pub async fn access_package(self, body: &[u8]) -> Reply {
        self.take(body, CalloutParser::parse_access_package).await
    }

    async fn take(self, body: &[u8], parse: Parse) -> Reply {
        if body.len() > CalloutParser::BODY_LIMIT {
            return Reply::TOO_LARGE;
        }
        let Inner { parser, intake, .. } = &*self.callouts.0;
        let callout = match parse(parser, body, self.received_at) {
            Ok(Parsed::Callout(callout) | Parsed::NoUser(callout)) => callout,
            Ok(Parsed::ConnectionTest) => {
                count::callout("test");
                tracing::info!(caller = %self.caller.app_id(), "an extension was tested");
                return ACCEPTED;
            }
            // A variant of a newer version of the parser.
            Ok(_) => return Reply::MALFORMED,
            Err(error) => return self.refuse(&error),
        };
        let flow = callout.flow();
        if !can_wait() {
            count::callout("not_stored");
            return Reply::UNAVAILABLE.about(flow);
        }
        let reply = match tokio::time::timeout(MAX_TAKE, intake.take(callout)).await {
            Ok(Ok(Taken::New)) => {
                count::callout("new");
                tracing::info!(%flow, caller = %self.caller.app_id(), "a call-out was taken");
                ACCEPTED
            }
            Ok(Ok(Taken::Known)) => {
                count::callout("known");
                tracing::debug!(%flow, "a call-out was repeated");
                ACCEPTED
            }
            Ok(Ok(Taken::Full)) => {
                count::callout("full");
                self.warn("there is no room for another flow");
                Reply::UNAVAILABLE
            }
            Ok(Err(error)) => {
                count::callout("not_stored");
                tracing::error!(%flow, %error, "a call-out was not taken");
                Reply::UNAVAILABLE
            }
            Err(_) => {
                count::callout("not_stored");
                tracing::error!(%flow, "a call-out was not taken in time");
                Reply::UNAVAILABLE
            }
        };
        reply.about(flow)
    }

    fn refuse(&self, error: &CalloutError) -> Reply {
        count::callout(match error.kind() {
            CalloutErrorKind::Hostile => "hostile",
            CalloutErrorKind::Unlisted => "unlisted",
            _ => "malformed",
        });
        if error.kind() == CalloutErrorKind::Hostile {
            // Without the path, which is the attacker's text.
            tracing::error!(
                target: "postduif_webhooks::security",
                caller = %self.caller.app_id(),
                "the callback path of a call-out is not its own"
            );
        } else {
            self.warn(&error.to_string());
        }
        Reply::MALFORMED
    }

    fn warn(&self, reason: &str) {
        let caller = self.caller.app_id();
        if let Some(more) = self.callouts.0.refusals.tell("call-out", reason) {
            tracing::warn!(%caller, reason, more, "a call-out was refused");
        }
    }
}

type Parse = fn(&CalloutParser, &[u8], DateTime<Utc>) -> Result<Parsed, CalloutError>;

const ACCEPTED: Reply = Reply::new(202, "");

impl fmt::Debug for Callouts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Callouts")
            .field("verifier", &self.0.verifier)
            .field("parser", &self.0.parser)
            .field("intake", &self.0.intake)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Admitted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admitted")
            .field("caller", &self.caller)
            .finish_non_exhaustive()
    }
}
