use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use postduif_core::{
    Acceptance, ConfigError, Guid, async_trait,
    directory::{
        Callback, Graph, GraphError, TapId, TapInfo, TapIssuer, TapRequest, TemporaryAccessPass,
        User, UserId, Verdict,
    },
};
use postduif_http::{BaseUrl, Client, Request, Response, Token, TokenCache, TokenSource};

use crate::{
    Cloud, Credential, error,
    error::{Deed, Said},
};

/// How long a token that lacked a permission is kept before another is asked for on that account.
const PERMISSION_PAUSE: Duration = Duration::from_secs(60);

/// Microsoft Graph as onboarding needs it: [`Graph`] and [`TapIssuer`] in one.
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
    /// Settings for a client that signs in with `credential`.
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

    /// Makes a request, and makes it once more with a new token where the token was refused for certain.
    pub(crate) async fn call(
        &self,
        deed: Deed,
        request: impl Fn(&BaseUrl) -> Request + Send + Sync,
    ) -> Result<Response, GraphError> {
        let mut token = self.token().await?;
        let mut answer = self.attempt(deed, request(&self.graph), &token).await?;
        if answer.status() == 401 && is_proven(&answer) && self.tokens.forget(&token) {
            token = self.token().await?;
            answer = self.attempt(deed, request(&self.graph), &token).await?;
        }
        if answer.status() == 403 && is_proven(&answer) {
            self.doubt_permissions(&token);
        }
        Ok(answer)
    }

    async fn token(&self) -> Result<Arc<Token>, GraphError> {
        self.tokens.token().await.map_err(error::no_token)
    }

    async fn attempt(
        &self,
        deed: Deed,
        request: Request,
        token: &Token,
    ) -> Result<Response, GraphError> {
        let request = request
            .with_header("accept", "application/json")
            // What Microsoft's support finds a request by when no answer came.
            .with_header("client-request-id", &Guid::random().to_string())
            .with_bearer(token);
        let sent = self.client.send(request).await;
        sent.map_err(|failure| error::no_answer(failure, deed))
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

fn is_proven(answer: &Response) -> bool {
    let proof = error::proof(answer, Said::read(answer).as_ref());
    proof.acceptance() == Acceptance::NotAccepted
}

#[async_trait]
impl Graph for Entra {
    /// Reads a person: one request, one more for the roles, one more for the manager where that is set.
    ///
    /// Roles are asked for with an OData cast. Microsoft's pages say that such a cast needs
    /// `ConsistencyLevel: eventual` and `$count`; in the field it mostly works without, and sometimes it fails
    /// for members of groups. So where Graph refuses the cast or breaks at it, it is asked with both, and then
    /// for all memberships, which are filtered here. Pages are followed on a URL of our own.
    ///
    /// A user made just now may be `NotFound` for some minutes: Graph's replicas follow each other. Waiting
    /// for it is the caller's part.
    async fn user(&self, id: &UserId) -> Result<User, GraphError> {
        self.read_user(*id).await
    }

    /// One POST, to an address built from the ids of `callback`; none where nobody waits.
    ///
    /// Not accepted with kind `Conflict`, `NotFound` or `Other` is Graph's own word that nobody waits any
    /// more, which counts as heard. Everything else may be tried again until the window closes.
    async fn resume(&self, callback: &Callback, verdict: &Verdict) -> Result<(), GraphError> {
        self.answer_callback(callback, *verdict).await
    }
}

#[async_trait]
impl TapIssuer for Entra {
    /// One POST. It names no start, so that the pass works from now on by Graph's clock, and nothing that
    /// `request` leaves to the tenant's policy.
    ///
    /// Beside the kinds of the crate's table: `LifetimeRefused` where the tenant's policy does not allow this
    /// lifetime (the message then names the bounds); `PolicyRefused` where it allows no pass for this user;
    /// `Conflict` where Graph does not replace the pass that the user has; `Other` where the user is a guest of
    /// another tenant, who can never have one.
    async fn issue(
        &self,
        user: &UserId,
        request: &TapRequest,
    ) -> Result<TemporaryAccessPass, GraphError> {
        self.create_pass(*user, request).await
    }

    /// One GET. An answer that is not all of the list, or holds a pass that cannot be read, is `Protocol`: half
    /// a list would hide a pass.
    async fn list(&self, user: &UserId) -> Result<Vec<TapInfo>, GraphError> {
        self.list_passes(*user).await
    }

    /// One DELETE. A 404 in Graph's shape is a pass taken away.
    async fn revoke(&self, user: &UserId, tap: &TapId) -> Result<(), GraphError> {
        self.delete_pass(*user, tap).await
    }
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

/// Settings for [`Entra`]. Everything is checked in [`build`](Self::build).
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
    /// Which cloud the tenant lives in; [`Cloud::GLOBAL`] unless set.
    pub fn with_cloud(mut self, cloud: Cloud) -> Self {
        self.cloud = cloud;
        self
    }

    /// An HTTP client that you configured; unless set, one with the defaults of
    /// [`ClientBuilder`](postduif_http::ClientBuilder): 5 seconds to connect, 30 in all.
    pub fn with_client(mut self, client: Client) -> Self {
        self.client = Some(client);
        self
    }

    /// Whether a user's directory roles are read; they are unless this says no. They are what keeps a pass for
    /// an administrator out of a text; without them [`User::roles`] is
    /// [`NotAsked`](postduif_core::directory::Roles::NotAsked).
    pub const fn with_roles(mut self, reads_roles: bool) -> Self {
        self.reads_roles = reads_roles;
        self
    }

    /// Whether a user's manager is read, with one more request; not unless this says so.
    pub const fn with_manager(mut self, reads_manager: bool) -> Self {
        self.reads_manager = reads_manager;
        self
    }

    /// Builds the client. Nothing is sent yet.
    ///
    /// # Errors
    ///
    /// Where the tenant is none, or the HTTP client cannot be built.
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
