use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use postduif_core::{Acceptance, ConfigError, Guid, SendError, directory::GraphError};
use postduif_http::{
    BaseUrl, Client, Request, Response,
    auth::{Token, TokenCache, TokenSource, TokenVerdict},
};

use crate::{
    Cloud, Credential, error,
    error::{ErrorBody, Operation},
};

/// The minimum time between two tokens that are requested because of a missing permission.
const PERMISSION_PAUSE: Duration = Duration::from_secs(60);

/// A Microsoft Graph client for onboarding: a [`Graph`](postduif_core::directory::Graph) and a
/// [`TapIssuer`](postduif_core::directory::TapIssuer).
///
/// Create one and share it, since it holds the connections and the token. The [crate] lists what its errors
/// prove.
///
/// # Permissions
///
/// - Users: `User.Read.All`.
/// - Roles: `RoleManagement.Read.Directory`.
/// - Passes: `UserAuthMethod-TAP.ReadWrite.All`. The directory role Authentication Administrator is a safer choice, since
///   it covers ordinary members only.
/// - Resuming a lifecycle workflow: no permission, if the custom extension lists the application.
/// - Resuming an access package: the catalog role Access package assignment manager.
pub struct Entra {
    client: Client,
    graph: BaseUrl,
    tokens: TokenCache<Arc<dyn TokenSource>>,
    reads_roles: bool,
    reads_manager: bool,
    permission_asked_at: Mutex<Option<Instant>>,
}

impl Entra {
    /// Creates a builder for a client that signs in with `credential`.
    pub fn builder(credential: Credential) -> EntraBuilder {
        EntraBuilder {
            credential,
            cloud: Cloud::GLOBAL,
            client: None,
            reads_roles: true,
            reads_manager: false,
        }
    }

    pub(crate) const fn reads_roles(&self) -> bool {
        self.reads_roles
    }

    pub(crate) const fn reads_manager(&self) -> bool {
        self.reads_manager
    }

    /// Sends a request, and repeats it once with a new token if the token was certainly refused.
    pub(crate) async fn call(
        &self,
        operation: Operation,
        request: impl Fn(&BaseUrl) -> Request + Send + Sync,
    ) -> Result<Response, GraphError> {
        let called = self.tokens.with_token(async |token| {
            let request = request(&self.graph)
                .with_header("accept", "application/json")
                // Microsoft's support finds a request without a response by this id.
                .with_header("client-request-id", &Guid::random().to_string())
                .with_bearer(&token);
            let sent = self.client.send(request).await;
            let verdict = match &sent {
                Ok(response) if response.status() == 401 && is_proven_refusal(response) => {
                    TokenVerdict::Refused
                }
                Ok(response) if response.status() == 403 && is_proven_refusal(response) => {
                    self.drop_token_without_permission(&token);
                    TokenVerdict::Good
                }
                _ => TokenVerdict::Good,
            };
            (sent.map_err(Failed::Request), verdict)
        });
        called.await.map_err(|failed| match failed {
            Failed::Request(failure) => error::no_response(failure, operation),
            Failed::Token(failure) => error::no_token(failure),
        })
    }

    /// Drops the token from the cache after a 403, at most once per minute. A newly granted permission is only in newer
    /// tokens. The request is not repeated, since most such refusals last.
    fn drop_token_without_permission(&self, token: &Arc<Token>) {
        let mut asked_at = self
            .permission_asked_at
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if asked_at.is_none_or(|at| at.elapsed() >= PERMISSION_PAUSE) && self.tokens.forget(token) {
            *asked_at = Some(Instant::now());
        }
    }
}

/// The part of a call that failed.
enum Failed {
    Request(SendError),
    Token(SendError),
}

impl From<SendError> for Failed {
    fn from(error: SendError) -> Self {
        Self::Token(error)
    }
}

fn is_proven_refusal(response: &Response) -> bool {
    let proof = error::proof(response, ErrorBody::read(response).as_ref());
    proof.acceptance() == Acceptance::NotAccepted
}

impl fmt::Debug for Entra {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entra")
            .field("graph", &self.graph)
            .field("reads_roles", &self.reads_roles)
            .field("reads_manager", &self.reads_manager)
            .finish_non_exhaustive()
    }
}

/// A builder for [`Entra`]. [`build`](Self::build) checks all options.
#[derive(Debug)]
#[must_use = "it does nothing until it is built"]
pub struct EntraBuilder {
    credential: Credential,
    cloud: Cloud,
    client: Option<Client>,
    reads_roles: bool,
    reads_manager: bool,
}

impl EntraBuilder {
    /// Sets the tenant's cloud. Defaults to [`Cloud::GLOBAL`].
    pub fn with_cloud(mut self, cloud: Cloud) -> Self {
        self.cloud = cloud;
        self
    }

    /// Sets the HTTP client. Defaults to the one that all providers [share](Client::shared), with the defaults of
    /// [`ClientBuilder`](postduif_http::ClientBuilder): 5 seconds to connect, 30 seconds in total.
    pub fn with_client(mut self, client: Client) -> Self {
        self.client = Some(client);
        self
    }

    /// Sets whether a user's directory roles are read. Defaults to `true`.
    ///
    /// The roles keep a pass for an administrator out of a text. Without them
    /// [`User::roles`](postduif_core::directory::User::roles) is
    /// [`NotAsked`](postduif_core::directory::Roles::NotAsked).
    pub const fn with_roles(mut self, reads_roles: bool) -> Self {
        self.reads_roles = reads_roles;
        self
    }

    /// Sets whether a user's manager is read, by one more request. Defaults to `false`.
    pub const fn with_manager(mut self, reads_manager: bool) -> Self {
        self.reads_manager = reads_manager;
        self
    }

    /// Builds the client, without any request.
    ///
    /// # Errors
    ///
    /// If the tenant is invalid or the HTTP client cannot be built.
    pub fn build(self) -> Result<Entra, ConfigError> {
        let client = self.client.map_or_else(Client::shared, Ok)?;
        Ok(Entra {
            graph: self.cloud.graph()?,
            tokens: self.credential.cache(&client, &self.cloud)?,
            client,
            reads_roles: self.reads_roles,
            reads_manager: self.reads_manager,
            permission_asked_at: Mutex::new(None),
        })
    }
}
