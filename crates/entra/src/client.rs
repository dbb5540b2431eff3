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

/// How long a token that lacked a permission is kept before another is asked for on that account.
const PERMISSION_PAUSE: Duration = Duration::from_secs(60);

/// Microsoft Graph as onboarding needs it: [`Graph`](postduif_core::directory::Graph) and
/// [`TapIssuer`](postduif_core::directory::TapIssuer) in one.
///
/// Make one and share it: it holds the connections and the token. The crate's front page says what its errors
/// prove.
///
/// # Permissions
///
/// `User.Read.All` for people, `RoleManagement.Read.Directory` for their roles,
/// `UserAuthMethod-TAP.ReadWrite.All` for passes (or the directory role Authentication Administrator, which
/// covers ordinary members only and is the safer choice). Resuming a lifecycle workflow needs none where the
/// custom extension lists the application; resuming an access package needs the catalog role Access package
/// assignment manager.
pub struct Entra {
    client: Client,
    graph: BaseUrl,
    tokens: TokenCache<Arc<dyn TokenSource>>,
    reads_roles: bool,
    reads_manager: bool,
    permission_asked_at: Mutex<Option<Instant>>,
}

impl Entra {
    /// Starts building a client that signs in with `credential`.
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

    /// Makes a request, and makes it once more with a new token where the token was provenly refused.
    pub(crate) async fn call(
        &self,
        operation: Operation,
        request: impl Fn(&BaseUrl) -> Request + Send + Sync,
    ) -> Result<Response, GraphError> {
        let called = self.tokens.with_token(async |token| {
            let request = request(&self.graph)
                .with_header("accept", "application/json")
                // What Microsoft's support finds a request by when no response came.
                .with_header("client-request-id", &Guid::random().to_string())
                .with_bearer(&token);
            let sent = self.client.send(request).await;
            let verdict = match &sent {
                Ok(response) if response.status() == 401 && is_proven(response) => {
                    TokenVerdict::Refused
                }
                Ok(response) if response.status() == 403 && is_proven(response) => {
                    self.doubt_permissions(&token);
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

    /// A permission shows only in a token that was made after it was granted. So a refusal costs the token its
    /// place, but not the request a repetition, and not more than once a minute: most refusals last.
    fn doubt_permissions(&self, token: &Arc<Token>) {
        let mut asked_at = self
            .permission_asked_at
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if asked_at.is_none_or(|at| at.elapsed() >= PERMISSION_PAUSE) && self.tokens.forget(token) {
            *asked_at = Some(Instant::now());
        }
    }
}

/// What a call failed at.
enum Failed {
    Request(SendError),
    Token(SendError),
}

impl From<SendError> for Failed {
    fn from(error: SendError) -> Self {
        Self::Token(error)
    }
}

fn is_proven(response: &Response) -> bool {
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

/// Builder for [`Entra`]. Everything is checked in [`build`](Self::build).
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
    /// Sets the cloud of the tenant. Defaults to [`Cloud::GLOBAL`].
    pub fn with_cloud(mut self, cloud: Cloud) -> Self {
        self.cloud = cloud;
        self
    }

    /// Sets the HTTP client. Defaults to one with the defaults of
    /// [`ClientBuilder`](postduif_http::ClientBuilder): 5 seconds to connect, 30 in all.
    pub fn with_client(mut self, client: Client) -> Self {
        self.client = Some(client);
        self
    }

    /// Sets whether a user's directory roles are read. Defaults to `true`. They are what keeps a pass for
    /// an administrator out of a text; without them [`User::roles`](postduif_core::directory::User::roles) is
    /// [`NotAsked`](postduif_core::directory::Roles::NotAsked).
    pub const fn with_roles(mut self, reads_roles: bool) -> Self {
        self.reads_roles = reads_roles;
        self
    }

    /// Sets whether a user's manager is read, with one more request. Defaults to `false`.
    pub const fn with_manager(mut self, reads_manager: bool) -> Self {
        self.reads_manager = reads_manager;
        self
    }

    /// Builds the client. Nothing is sent yet.
    ///
    /// # Errors
    ///
    /// Where the tenant is invalid, or the HTTP client cannot be built.
    pub fn build(self) -> Result<Entra, ConfigError> {
        let client = self.client.map_or_else(Client::new, Ok)?;
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
