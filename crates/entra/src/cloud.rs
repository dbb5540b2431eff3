use std::{borrow::Cow, fmt};

use postduif_core::ConfigError;
use postduif_http::BaseUrl;

/// A Microsoft cloud: the addresses of Graph and the login service.
///
/// The addresses are from Microsoft's pages on national cloud deployments of Graph and on authentication in national
/// clouds. A token is valid in one cloud only. Each
/// address can be replaced, for a proxy or for a test on loopback.
///
/// ```
/// # mod postduif { pub use postduif_core::*; pub use postduif_http as http; pub use postduif_entra as entra; }
/// use postduif::{entra::Cloud, http::BaseUrl};
///
/// let sandbox = Cloud::GLOBAL
///     .with_graph(BaseUrl::parse("http://127.0.0.1:8160/graph")?)
///     .with_login(BaseUrl::parse("http://127.0.0.1:8160/login")?);
/// assert_ne!(sandbox, Cloud::GLOBAL);
/// # Ok::<(), postduif::ConfigError>(())
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
    /// The global cloud, including Microsoft 365 GCC.
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
    /// China, operated by 21Vianet. It has no Temporary Access Passes, and access packages cannot be resumed here.
    ///
    /// The login service has an older name, `login.chinacloudapi.cn`. Its metadata states the issuer and the keys of the
    /// newer one, so [`CallerVerifier`](crate::CallerVerifier) accepts nobody with it.
    pub const CHINA: Self = Self::known(
        "https://microsoftgraph.chinacloudapi.cn",
        "https://login.partner.microsoftonline.cn",
    );

    const fn known(graph: &'static str, login: &'static str) -> Self {
        Self {
            graph: Address::Known(graph),
            login: Address::Known(login),
            audience: None,
        }
    }

    /// Sets the Graph root: the part of the URL before `/v1.0`.
    ///
    /// Tokens are requested for this root too, unless [`with_audience`](Self::with_audience) is set.
    #[must_use]
    pub fn with_graph(mut self, root: BaseUrl) -> Self {
        self.graph = Address::Given(root);
        self
    }

    /// Sets the login authority: the part of the URL before the tenant.
    #[must_use]
    pub fn with_login(mut self, authority: BaseUrl) -> Self {
        self.login = Address::Given(authority);
        self
    }

    /// Sets the resource for which tokens are requested. Defaults to the Graph root.
    ///
    /// Behind a proxy it remains `https://graph.microsoft.com`.
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

    /// Returns the scope of a token: everything that the application was granted on Graph.
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
    fn credentials_may_be_sent_to_every_known_address() {
        for cloud in [
            Cloud::GLOBAL,
            Cloud::US_GOVERNMENT_L4,
            Cloud::US_GOVERNMENT_L5,
            Cloud::CHINA,
        ] {
            assert!(cloud.graph().is_ok() && cloud.login().is_ok(), "{cloud:?}");
        }
    }

    /// <https://learn.microsoft.com/entra/identity-platform/authentication-national-cloud>, and the metadata of each
    /// host names issuer and keys of the same host.
    #[test]
    fn each_cloud_has_the_login_host_of_microsofts_page() {
        for (cloud, host) in [
            (Cloud::GLOBAL, "login.microsoftonline.com"),
            (Cloud::US_GOVERNMENT_L4, "login.microsoftonline.us"),
            (Cloud::US_GOVERNMENT_L5, "login.microsoftonline.us"),
            (Cloud::CHINA, "login.partner.microsoftonline.cn"),
        ] {
            assert_eq!(cloud.login().unwrap().as_str(), format!("https://{host}"));
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
