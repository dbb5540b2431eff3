//! Reading what Entra sends.

mod access_package;
mod error;
mod json;
mod lifecycle;
mod window;

use chrono::{DateTime, Utc};
use postduif_core::{
    Guid,
    directory::{AccessPackageStage, Callout, RequestType},
};

use json::Json;

pub use error::{CalloutError, CalloutErrorKind};

/// Reads call-outs: the body of the POST that Entra makes for a lifecycle workflow or an access package.
///
/// It reads a body, and says nothing of who sent it: check the caller's token first.
///
/// Names of members are matched without regard to case, as the spelling drifts between Entra's schema,
/// metadata and documents; unknown members are ignored, and of the known ones only the ids that are needed are
/// required. A name that stands twice in one object (in any case) is refused wherever it is read: two readers
/// would not agree on what it says.
///
/// # `callbackUriPath`
///
/// Entra says where it waits for the answer. That path is compared, without regard to case, with the one that
/// the body's ids make, and never requested: whoever reached the receiver could otherwise have its identity
/// post anywhere in Graph. A path that is another is [`Hostile`](CalloutErrorKind::Hostile). No path, or an
/// empty one, means that nobody waits: the call-out has no
/// [`callback`](Callout::callback).
///
/// ```
/// use postduif_core::directory::Callback;
/// use postduif_entra::{CalloutErrorKind, CalloutParser, Parsed};
///
/// let body = |path: &str| format!(r#"{{"data": {{
///     "callbackUriPath": "{path}",
///     "subject": {{"id": "5e2f9d1c-0b7a-4a63-8f3d-9c1e2b7a6d43"}},
///     "workflow": {{"id": "3d6f0c61-7a5e-4f0b-9a39-0f6f2a1b7c10"}},
///     "task": {{"id": "8c0b7a52-11de-4b0e-8b63-6b0a3e5d9f21"}},
///     "taskProcessingResult": {{"id": "f2a9d7c4-5f63-4c4e-9a0e-1e3f7b6a8d32"}}
/// }}}}"#);
/// let parser = CalloutParser::new();
/// let now = std::time::SystemTime::now().into();
///
/// let good = body("/identityGovernance/lifecycleWorkflows/workflows/3d6f0c61-7a5e-4f0b-9a39-0f6f2a1b7c10\
///     /tasks/8c0b7a52-11de-4b0e-8b63-6b0a3e5d9f21\
///     /taskProcessingResults/f2a9d7c4-5f63-4c4e-9a0e-1e3f7b6a8d32/resume");
/// let Parsed::Callout(callout) = parser.parse(good.as_bytes(), now)? else { panic!() };
/// assert!(matches!(callout.callback(), Some(Callback::Lifecycle { .. })));
///
/// let hostile = body("@evil.example/resume");
/// let error = parser.parse(hostile.as_bytes(), now).unwrap_err();
/// assert_eq!(error.kind(), CalloutErrorKind::Hostile);
/// # Ok::<(), postduif_entra::CalloutError>(())
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct CalloutParser {
    catalogs: Option<Vec<Guid>>,
    stages: Vec<AccessPackageStage>,
    request_types: Vec<RequestType>,
    path_unchecked: bool,
}

impl Default for CalloutParser {
    fn default() -> Self {
        Self {
            catalogs: None,
            stages: vec![AccessPackageStage::RequestGranted],
            request_types: vec![
                RequestType::UserAdd,
                RequestType::AdminAdd,
                RequestType::SystemAdd,
                RequestType::OnBehalfAdd,
            ],
            path_unchecked: false,
        }
    }
}

impl CalloutParser {
    /// The longest body that is read, in bytes: a hundred times the length of an ordinary one. Whoever takes
    /// the request should stop reading there.
    pub const BODY_LIMIT: usize = 256 * 1024;

    /// Takes access packages of every catalog, where an assignment is granted that somebody did not have
    /// before, and compares paths.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes access packages of these catalogs only; a call-out of another is
    /// [`Unlisted`](CalloutErrorKind::Unlisted). Lifecycle workflows have no catalog.
    pub fn with_catalogs(mut self, catalogs: impl IntoIterator<Item = Guid>) -> Self {
        self.catalogs = Some(catalogs.into_iter().collect());
        self
    }

    /// Sets the stages at which access packages are taken; a call-out at another is
    /// [`Unlisted`](CalloutErrorKind::Unlisted). Defaults to [`RequestGranted`](AccessPackageStage::RequestGranted) alone: a
    /// pass for somebody who loses access would be a mistake.
    pub fn with_stages(mut self, stages: impl IntoIterator<Item = AccessPackageStage>) -> Self {
        self.stages = stages.into_iter().collect();
        self
    }

    /// Sets the types of request of which access packages are taken; a call-out of another is
    /// [`Unlisted`](CalloutErrorKind::Unlisted), and one that names none counts as
    /// [`NotSpecified`](RequestType::NotSpecified). Defaults to the four that add an assignment:
    /// [`UserAdd`](RequestType::UserAdd), [`AdminAdd`](RequestType::AdminAdd),
    /// [`SystemAdd`](RequestType::SystemAdd) and [`OnBehalfAdd`](RequestType::OnBehalfAdd). An update or an
    /// extension is granted too, to somebody who has been here for long.
    pub fn with_request_types(mut self, types: impl IntoIterator<Item = RequestType>) -> Self {
        self.request_types = types.into_iter().collect();
        self
    }

    /// Leaves the path unread, but for whether there is one: for a roll-out in a tenant whose Entra writes
    /// paths in a way that no page of Microsoft's shows. It is not requested then either.
    pub const fn with_unchecked_path(mut self) -> Self {
        self.path_unchecked = true;
        self
    }

    /// Reads a call-out of either kind, told apart by its shape: a lifecycle workflow wraps everything in
    /// `data`, an access package has its stage at the top.
    ///
    /// # Errors
    ///
    /// Where it is neither, or as the two below say.
    pub fn parse(&self, body: &[u8], received_at: DateTime<Utc>) -> Result<Parsed, CalloutError> {
        let body = Json::read(body)?;
        match (body.has("data")?, body.has("Stage")?) {
            (true, false) => self.lifecycle(&body, received_at),
            (false, true) => self.access_package(&body, received_at),
            _ => Err(CalloutError::malformed(
                "it is neither a lifecycle workflow's nor an access package's",
            )),
        }
    }

    /// Reads the call-out of a lifecycle workflow. `received_at` is when the request was taken.
    ///
    /// # Errors
    ///
    /// Malformed where an id that is needed is missing or no GUID; hostile where the path is not the one that
    /// the ids make.
    ///
    /// A time of creation that cannot be read, is no text, or lies before 1970 is left out: the window then
    /// starts at `received_at`.
    pub fn parse_lifecycle(
        &self,
        body: &[u8],
        received_at: DateTime<Utc>,
    ) -> Result<Parsed, CalloutError> {
        self.lifecycle(&Json::read(body)?, received_at)
    }

    /// Reads the call-out of an access package. `received_at` is when the request was taken.
    ///
    /// # Errors
    ///
    /// As [`parse_lifecycle`](Self::parse_lifecycle); malformed too where the stage is not known; unlisted where
    /// its catalog, its stage or its type of request is.
    ///
    /// A window that cannot be read, or is no text, is left out, so that the flow's setting counts; one of more than 14 days is
    /// 14 days.
    pub fn parse_access_package(
        &self,
        body: &[u8],
        received_at: DateTime<Utc>,
    ) -> Result<Parsed, CalloutError> {
        self.access_package(&Json::read(body)?, received_at)
    }

    fn check_path(&self, path: &str, expected: &[String]) -> Result<(), CalloutError> {
        let is = |expected: &String| expected.eq_ignore_ascii_case(path);
        if self.path_unchecked || expected.iter().any(is) {
            Ok(())
        } else {
            Err(CalloutError::new(
                CalloutErrorKind::Hostile,
                "its callback path is not the one that its ids make",
            ))
        }
    }
}

/// What a call-out asks for.
///
/// Whatever else is learnt about a call-out becomes a method of [`Callout`], whose fields are private. So the variants
/// need no fields of their own, and stay as short to match as they are.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Parsed {
    /// The onboarding of a user.
    Callout(Callout),
    /// Nothing: an administrator sets up an extension, and Entra checks whether the address responds. Respond with a
    /// success and drop it.
    ConnectionTest,
    /// Something that is not about a user of this directory, such as a provisioning object or an external requestor
    /// without an account. Run the call-out all the same: the flow fails, and Entra gets that verdict.
    NoUser(Callout),
}
