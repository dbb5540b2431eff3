use std::{fmt, sync::Arc, time::Duration};

use postduif_core::ConfigError;
use postduif_http::{
    Client,
    auth::{ClientCredentials, TokenCache, TokenSource},
};
use secrecy::SecretString;

use crate::Cloud;

/// A token is replaced when less of its hour is left, as in Microsoft's own libraries.
const MINIMUM_TOKEN_LIFE: Duration = Duration::from_secs(300);
/// The maximum length of a DNS name, in characters.
const LONGEST_TENANT: usize = 253;

/// The credential of an application in Microsoft Entra.
#[derive(Clone)]
pub struct Credential(Kind);

#[derive(Clone)]
enum Kind {
    ClientSecret {
        tenant: String,
        id: SecretString,
        secret: SecretString,
    },
    Tokens(Arc<dyn TokenSource>),
}

impl Credential {
    /// Creates a credential from the client secret of an app registration.
    ///
    /// It uses OAuth 2.0 client credentials at the tenant's v2.0 token endpoint.
    ///
    /// `tenant` is the tenant's id or one of its verified domains. [`build`](crate::EntraBuilder::build) refuses the
    /// shared names `common`, `organizations` and `consumers`.
    #[must_use]
    pub fn client_secret(
        tenant: impl Into<String>,
        id: impl Into<SecretString>,
        secret: impl Into<SecretString>,
    ) -> Self {
        Self(Kind::ClientSecret {
            tenant: tenant.into(),
            id: id.into(),
            secret: secret.into(),
        })
    }

    /// Creates a credential from a source of tokens for Graph, such as a managed identity.
    ///
    /// Tokens are cached, and replaced when less than 300 seconds of their life are left.
    #[must_use]
    pub fn tokens(source: impl TokenSource) -> Self {
        Self(Kind::Tokens(Arc::new(source)))
    }

    pub(crate) fn cache(
        self,
        client: &Client,
        cloud: &Cloud,
    ) -> Result<TokenCache<Arc<dyn TokenSource>>, ConfigError> {
        let source = match self.0 {
            Kind::Tokens(source) => source,
            Kind::ClientSecret { tenant, id, secret } => {
                check_tenant(&tenant)?;
                let path = format!("/{tenant}/oauth2/v2.0/token");
                Arc::new(
                    ClientCredentials::new(client.clone(), cloud.login()?, path, id, secret)
                        .with_form("grant_type", "client_credentials")
                        .with_form("scope", cloud.scope()?),
                )
            }
        };
        Ok(TokenCache::new(source, MINIMUM_TOKEN_LIFE))
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Kind::ClientSecret { .. } => "Credential(client secret)",
            Kind::Tokens(_) => "Credential(tokens)",
        })
    }
}

/// Checks the tenant, which becomes one segment of a path.
pub(crate) fn check_tenant(tenant: &str) -> Result<(), ConfigError> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'.';
    if !(1..=LONGEST_TENANT).contains(&tenant.len())
        || !tenant.bytes().all(plain)
        || tenant.starts_with('.')
    {
        return Err(ConfigError::new(
            "invalid tenant: give its id (a GUID) or a verified domain",
        ));
    }
    if ["common", "organizations", "consumers"]
        .iter()
        .any(|shared| tenant.eq_ignore_ascii_case(shared))
    {
        return Err(ConfigError::new(
            "invalid tenant: a shared name is not a tenant; give its id or a verified domain",
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenant_cannot_leave_its_segment_or_be_a_shared_name() {
        for tenant in [
            "",
            ".",
            "..",
            "a/b",
            "a%2fb",
            "a?b",
            "a#b",
            "a b",
            "@a",
            "a\\b",
            "common",
            "Consumers",
        ] {
            assert!(check_tenant(tenant).is_err(), "{tenant:?}");
        }
        for tenant in [
            "contoso.onmicrosoft.com",
            "7e4a4700-0000-4000-8000-000000000001",
        ] {
            assert!(check_tenant(tenant).is_ok(), "{tenant:?}");
        }
    }
}
