use std::{borrow::Cow, fmt};

#[cfg(feature = "entra")]
use postduif_core::directory::FlowId;

/// The response to a webhook.
///
/// With the feature `axum` it is an axum response. Any other web server takes its parts.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[must_use]
pub struct Reply {
    status: u16,
    body: &'static str,
    /// In seconds.
    retry_after: Option<u64>,
    www_authenticate: Option<&'static str>,
    #[cfg(feature = "entra")]
    flow: Option<FlowId>,
}

impl Reply {
    /// The address does not exist, or not with this secret.
    #[cfg(feature = "reports")]
    pub(crate) const NOT_FOUND: Self = Self::new(404, "");
    /// The body cannot be read.
    #[cfg(any(feature = "axum", feature = "entra"))]
    pub(crate) const MALFORMED: Self = Self::new(400, "");
    /// The body is larger than the limit.
    pub(crate) const TOO_LARGE: Self = Self::new(413, "");
    /// Nothing was stored. The caller should repeat the request.
    pub(crate) const UNAVAILABLE: Self = Self::new(503, "").retry_after(5);

    pub(crate) const fn new(status: u16, body: &'static str) -> Self {
        Self {
            status,
            body,
            retry_after: None,
            www_authenticate: None,
            #[cfg(feature = "entra")]
            flow: None,
        }
    }

    pub(crate) const fn retry_after(mut self, seconds: u64) -> Self {
        self.retry_after = Some(seconds);
        self
    }

    #[cfg(feature = "entra")]
    pub(crate) const fn www_authenticate(mut self, value: Option<&'static str>) -> Self {
        self.www_authenticate = value;
        self
    }

    #[cfg(feature = "entra")]
    pub(crate) const fn about(mut self, flow: FlowId) -> Self {
        self.flow = Some(flow);
        self
    }

    /// Returns the status code.
    #[must_use]
    pub const fn status(&self) -> u16 {
        self.status
    }

    /// Returns the body, which is plain text.
    #[must_use]
    pub const fn body(&self) -> &'static str {
        self.body
    }

    /// Returns the flow of the call-out, for an access log. `None` for a call-out that was not read, and for any other
    /// request.
    #[cfg(feature = "entra")]
    #[must_use]
    pub const fn flow(&self) -> Option<FlowId> {
        self.flow
    }

    /// Returns the headers beside those of the body: names in lower case, and values.
    pub fn headers(&self) -> impl Iterator<Item = (&'static str, Cow<'static, str>)> {
        let retry_after = self.retry_after;
        let retry_after = retry_after.map(|seconds| ("retry-after", seconds.to_string().into()));
        let www_authenticate = self.www_authenticate;
        let www_authenticate = www_authenticate.map(|value| ("www-authenticate", value.into()));
        retry_after.into_iter().chain(www_authenticate)
    }
}

impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.status.fmt(f)
    }
}
