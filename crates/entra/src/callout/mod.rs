//! Parsing the call-outs of Entra.

mod access_package;
mod duration;
mod error;
mod json;
mod lifecycle;

use chrono::{DateTime, Utc};
use postduif_core::{
    Guid,
    directory::{AccessPackageStage, Callout, RequestType},
};

use json::Json;

pub use error::{CalloutError, CalloutErrorKind};

/// A parser for call-outs: the bodies of the POST requests that Entra sends for a lifecycle workflow or an access
/// package.
///
/// It parses a body, and does not authenticate its sender: verify that with a
/// [`CallerVerifier`](crate::CallerVerifier) first.
///
/// Names of members match in any case, since their case differs between Entra's schema, metadata and pages. Unknown
/// members are ignored, and only the needed ids are required. If a name that is read is duplicate in its object, in any
/// case, the call-out is refused: parsers would not agree on its value.
///
/// # `callbackUriPath`
///
/// Entra sends the path at which it waits for the verdict. The parser compares it, ignoring case, with the path that
/// follows from the ids, and never requests it. A sender could otherwise make the service post anywhere in Graph. A
/// different path is [`Hostile`](CalloutErrorKind::Hostile). Without a path, or with an empty one, Entra does not wait,
/// and the call-out has no [`callback`](Callout::callback).
///
/// ```
/// # mod postduif { pub use postduif_core::*; pub use postduif_entra as entra; }
/// use postduif::{directory::Callback, entra::{CalloutErrorKind, CalloutParser, Parsed}};
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
/// # Ok::<(), postduif::entra::CalloutError>(())
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
    /// The maximum length of a body in bytes: a hundred times an ordinary one. A receiver should stop reading there.
    pub const BODY_LIMIT: usize = 256 * 1024;

    /// Creates a parser with the defaults: access packages of every catalog, whenever a new assignment is granted.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the accepted catalogs of access packages. Defaults to all.
    ///
    /// A call-out of another catalog is [`Unlisted`](CalloutErrorKind::Unlisted). Lifecycle workflows have no catalog.
    pub fn with_catalogs(mut self, catalogs: impl IntoIterator<Item = Guid>) -> Self {
        self.catalogs = Some(catalogs.into_iter().collect());
        self
    }

    /// Sets the accepted stages of access packages. Defaults to
    /// [`RequestGranted`](AccessPackageStage::RequestGranted).
    ///
    /// A call-out at another stage is [`Unlisted`](CalloutErrorKind::Unlisted). A pass at a stage such as the end of an
    /// assignment would be a mistake.
    pub fn with_stages(mut self, stages: impl IntoIterator<Item = AccessPackageStage>) -> Self {
        self.stages = stages.into_iter().collect();
        self
    }

    /// Sets the accepted types of request of access packages. Defaults to the four that add an assignment:
    /// [`UserAdd`](RequestType::UserAdd), [`AdminAdd`](RequestType::AdminAdd),
    /// [`SystemAdd`](RequestType::SystemAdd) and [`OnBehalfAdd`](RequestType::OnBehalfAdd).
    ///
    /// A call-out of another type is [`Unlisted`](CalloutErrorKind::Unlisted). One without a type counts as
    /// [`NotSpecified`](RequestType::NotSpecified). Updates and extensions are granted too, but to existing users.
    pub fn with_request_types(mut self, types: impl IntoIterator<Item = RequestType>) -> Self {
        self.request_types = types.into_iter().collect();
        self
    }

    /// Accepts any callback path, for a tenant whose paths differ from Microsoft's documentation. The path is still never
    /// requested.
    pub const fn with_unchecked_path(mut self) -> Self {
        self.path_unchecked = true;
        self
    }

    /// Parses a call-out of either kind. `received_at` is the time at which the request was received.
    ///
    /// A lifecycle workflow has everything in `data`, and an access package has `Stage` at the top.
    ///
    /// # Errors
    ///
    /// Malformed if it is neither, and the errors of [`parse_lifecycle`](Self::parse_lifecycle) and
    /// [`parse_access_package`](Self::parse_access_package).
    pub fn parse(&self, body: &[u8], received_at: DateTime<Utc>) -> Result<Parsed, CalloutError> {
        let body = Json::read(body)?;
        match (body.has("data")?, body.has("Stage")?) {
            (true, false) => self.lifecycle(&body, received_at),
            (false, true) => self.access_package(&body, received_at),
            _ => Err(CalloutError::malformed(
                "it is from neither a lifecycle workflow nor an access package",
            )),
        }
    }

    /// Parses the call-out of a lifecycle workflow. `received_at` is the time at which the request was received.
    ///
    /// A time of creation that is unreadable or before 1970 is ignored: the window then starts at `received_at`.
    ///
    /// # Errors
    ///
    /// Malformed if a required id is missing or not a GUID. Hostile if the path does not match the ids.
    pub fn parse_lifecycle(
        &self,
        body: &[u8],
        received_at: DateTime<Utc>,
    ) -> Result<Parsed, CalloutError> {
        self.lifecycle(&Json::read(body)?, received_at)
    }

    /// Parses the call-out of an access package. `received_at` is the time at which the request was received.
    ///
    /// An unreadable window is ignored, so that the flow's default applies. A window of more than 14 days counts as 14
    /// days.
    ///
    /// # Errors
    ///
    /// The errors of [`parse_lifecycle`](Self::parse_lifecycle), and malformed if the stage is unknown. Unlisted if the
    /// catalog, the stage or the type of request is not accepted.
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
                "its callback path does not match its ids",
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
