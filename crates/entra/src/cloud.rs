use std::{borrow::Cow, fmt};

use postduif_core::ConfigError;
use postduif_http::BaseUrl;

/// Which of Microsoft's clouds the tenant lives in: where Graph and the login service are.
///
/// The addresses are those of Microsoft's page on national cloud deployments. Tokens do not cross clouds.
/// Any column can be replaced, for a proxy or for a test on loopback.
///
/// ```
/// use postduif_entra::Cloud;
/// use postduif_http::BaseUrl;
///
/// let sandbox = Cloud::GLOBAL
///     .with_graph(BaseUrl::parse("http://127.0.0.1:8160/graph")?)
///     .with_login(BaseUrl::parse("http://127.0.0.1:8160/login")?);
/// assert_ne!(sandbox, Cloud::GLOBAL);
/// # Ok::<(), postduif_core::ConfigError>(())
/// ```
#[derive(Clone, Eq, PartialEq)]
pub struct Cloud {
    graph: Address,
    login: Address,
    audience: Option<Cow<'static, str>>,
}

#[derive(Clone, Eq, PartialEq)]
enum Address {
    Known(&'static str),
    Given(BaseUrl),
}

impl Cloud {
    /// The ordinary cloud, and Microsoft 365 GCC.
    pub const GLOBAL: Self = Self::known(
        "https://graph.microsoft.com",
        "https://login.microsoftonline.com",
    );
    /// US Government L4 (GCC High). Access packages cannot be resumed here.
    pub const US_GOVERNMENT_L4: Self = Self::known(
        "https://graph.microsoft.us",
        "https://login.microsoftonline.us",
    );
    /// US Government L5 (DoD). Access packages cannot be resumed here.
    pub const US_GOVERNMENT_L5: Self = Self::known(
        "https://dod-graph.microsoft.us",
        "https://login.microsoftonline.us",
    );
    /// China, operated by 21Vianet. It has no Temporary Access Passes, and access packages cannot be resumed
    /// here. A newer login host, `login.partner.microsoftonline.cn`, can be set with
    /// [`with_login`](Self::with_login).
    pub const CHINA: Self = Self::known(
        "https://microsoftgraph.chinacloudapi.cn",
        "https://login.chinacloudapi.cn",
    );

    const fn known(graph: &'static str, login: &'static str) -> Self {
        Self {
            graph: Address::Known(graph),
            login: Address::Known(login),
            audience: None,
        }
    }

    /// Sets another Graph root: the part of the URL before `/v1.0`. Tokens are then asked for this root too, unless
    /// [`with_audience`](Self::with_audience) says otherwise.
    #[must_use]
    pub fn with_graph(mut self, root: BaseUrl) -> Self {
        self.graph = Address::Given(root);
        self
    }

    /// Sets another login authority: the part of the URL before the tenant.
    #[must_use]
    pub fn with_login(mut self, authority: BaseUrl) -> Self {
        self.login = Address::Given(authority);
        self
    }

    /// Sets the resource that tokens are requested for, where it is not the Graph root: behind a proxy it stays
    /// `https://graph.microsoft.com`.
    #[must_use]
    pub fn with_audience(mut self, audience: impl Into<Cow<'static, str>>) -> Self {
        self.audience = Some(audience.into());
        self
    }

    pub(crate) fn graph(&self) -> Result<BaseUrl, ConfigError> {
        self.graph.parse()
    }

    pub(crate) fn login(&self) -> Result<BaseUrl, ConfigError> {
        self.login.parse()
    }

    /// What to ask a token for: everything that the application was granted on Graph.
    pub(crate) fn scope(&self) -> Result<String, ConfigError> {
        let audience = match &self.audience {
            Some(audience) => audience.trim_end_matches('/').to_owned(),
            None => self.graph()?.as_str().to_owned(),
        };
        Ok(format!("{audience}/.default"))
    }
}

impl Default for Cloud {
    fn default() -> Self {
        Self::GLOBAL
    }
}

impl fmt::Debug for Cloud {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cloud")
            .field("graph", &self.graph)
            .field("login", &self.login)
            .finish_non_exhaustive()
    }
}

impl Address {
    fn parse(&self) -> Result<BaseUrl, ConfigError> {
        match self {
            Self::Known(address) => BaseUrl::parse(address),
            Self::Given(address) => Ok(address.clone()),
        }
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Known(address) => address.fmt(f),
            Self::Given(address) => address.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_known_address_is_one_that_credentials_may_go_to() {
        for cloud in [
            Cloud::GLOBAL,
            Cloud::US_GOVERNMENT_L4,
            Cloud::US_GOVERNMENT_L5,
            Cloud::CHINA,
        ] {
            assert!(cloud.graph().is_ok() && cloud.login().is_ok(), "{cloud:?}");
        }
    }

    #[test]
    fn the_scope_is_the_graph_root_unless_an_audience_is_given() {
        let scope = |cloud: Cloud| cloud.scope().unwrap();
        assert_eq!(scope(Cloud::GLOBAL), "https://graph.microsoft.com/.default");
        assert_eq!(
            scope(Cloud::CHINA),
            "https://microsoftgraph.chinacloudapi.cn/.default"
        );
        let proxied =
            Cloud::GLOBAL.with_graph(BaseUrl::parse("http://127.0.0.1:8160/graph/").unwrap());
        assert_eq!(
            scope(proxied.clone()),
            "http://127.0.0.1:8160/graph/.default"
        );
        assert_eq!(
            scope(proxied.with_audience("https://graph.microsoft.com/")),
            "https://graph.microsoft.com/.default"
        );
    }
}
