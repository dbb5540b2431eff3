use std::{borrow::Cow, fmt, time::Duration};

use async_trait::async_trait;
use postduif_core::{ErrorKind, SendError};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Deserializer, de::IgnoredAny};

use crate::{
    BaseUrl, Client, Refusal, Request, Response,
    auth::{Token, TokenSource},
};

/// The lifetime of a token whose response states none.
const ASSUMED_LIFE: Duration = Duration::from_secs(3000);

/// A source of tokens by OAuth 2.0 client credentials (RFC 6749, 4.4), as KPN and Microsoft Entra both require.
pub struct ClientCredentials {
    client: Client,
    base: BaseUrl,
    path: String,
    id: SecretString,
    secret: SecretString,
    style: TokenStyle,
    query: Vec<(&'static str, &'static str)>,
    form: Vec<(&'static str, String)>,
    refusal: fn(&Response) -> Option<Refusal>,
}

/// How the token request carries the client id and secret.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "RFC 6749, section 2.3.1, defines these two"
)]
pub enum TokenStyle {
    /// `Authorization: Basic`.
    Basic,
    /// `client_id` and `client_secret` in the form.
    #[default]
    Form,
}

impl ClientCredentials {
    /// Creates a source that requests tokens at `path` below `base`.
    #[must_use]
    pub fn new(
        client: Client,
        base: BaseUrl,
        path: impl Into<String>,
        id: SecretString,
        secret: SecretString,
    ) -> Self {
        Self {
            client,
            base,
            path: path.into(),
            id,
            secret,
            style: TokenStyle::default(),
            query: Vec::new(),
            form: Vec::new(),
            refusal: refusal_of_rfc6749,
        }
    }

    /// Sets how the request carries the credentials. Defaults to [`TokenStyle::Form`].
    #[must_use]
    pub fn with_style(mut self, style: TokenStyle) -> Self {
        self.style = style;
        self
    }

    /// Adds a parameter to the query of the token request.
    #[must_use]
    pub fn with_query(mut self, name: &'static str, value: &'static str) -> Self {
        self.query.push((name, value));
        self
    }

    /// Adds a field to the form of the token request.
    #[must_use]
    pub fn with_form(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.form.push((name, value.into()));
        self
    }

    /// Sets the function that recognizes this server's refusals. Defaults to the error shape of RFC 6749.
    #[must_use]
    pub fn with_refusal(mut self, refusal: fn(&Response) -> Option<Refusal>) -> Self {
        self.refusal = refusal;
        self
    }

    fn request(&self) -> Request {
        let mut request =
            Request::post(&self.base, &self.path).with_header("accept", "application/json");
        for (name, value) in &self.query {
            request = request.with_query(name, value);
        }
        let form = self
            .form
            .iter()
            .map(|(name, value)| (*name, value.as_str()));
        match self.style {
            TokenStyle::Basic if self.form.is_empty() => {
                request.with_basic(self.id.expose_secret(), &self.secret)
            }
            TokenStyle::Basic => request
                .with_form(form)
                .with_basic(self.id.expose_secret(), &self.secret),
            TokenStyle::Form => request.with_form(form.chain([
                ("client_id", self.id.expose_secret()),
                ("client_secret", self.secret.expose_secret()),
            ])),
        }
    }
}

impl fmt::Debug for ClientCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientCredentials")
            .field("style", &self.style)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl TokenSource for ClientCredentials {
    async fn fetch(&self) -> Result<Token, SendError> {
        let response = self
            .client
            .attempt(self.request())
            .await
            .map_err(crate::client::Failure::into_token_error)?;
        if response.is_success() {
            return match response.json::<TokenResponse>() {
                Ok(TokenResponse {
                    access_token,
                    expires_in,
                }) if !access_token.expose_secret().is_empty() => {
                    Ok(Token::new(access_token, expires_in.unwrap_or(ASSUMED_LIFE)))
                }
                _ => Err(no_token(
                    ErrorKind::Protocol,
                    "the response of the token endpoint has no token",
                )),
            };
        }
        let refused = response.refused((self.refusal)(&response));
        let status = response.status();
        let message: Cow<'static, str> = match refused.kind() {
            ErrorKind::Throttled => "too many requests to the token endpoint".into(),
            ErrorKind::Unauthorized => "the token endpoint refused the credentials".into(),
            ErrorKind::Misconfigured => {
                "there is no token endpoint at the configured address".into()
            }
            ErrorKind::Unavailable => format!("the token endpoint failed (HTTP {status})").into(),
            _ => format!("the response of the token endpoint has no token (HTTP {status})").into(),
        };
        let mut error = no_token(refused.kind(), message);
        if let Some(code) = refused.code() {
            error = error.with_code(code.to_owned());
        }
        if let Some(words) = refused.vendor_message() {
            error = error.with_vendor_message(words.to_owned());
        }
        match refused.retry_after() {
            Some(wait) => Err(error.with_retry_after(wait)),
            None => Err(error),
        }
    }
}

/// Creates the error of a token request, which is always not accepted: it carries no text.
fn no_token(kind: ErrorKind, message: impl Into<Cow<'static, str>>) -> SendError {
    SendError::not_accepted(kind, message)
}

/// Reads a refusal by RFC 6749, section 5.2: a JSON object with `error`, at 400 or 401. Entra names the cause in
/// `error_codes`.
fn refusal_of_rfc6749(response: &Response) -> Option<Refusal> {
    #[derive(Deserialize)]
    struct Body {
        #[expect(dead_code, reason = "its presence identifies the shape")]
        error: IgnoredAny,
        #[serde(default)]
        error_codes: Vec<u64>,
    }
    let body: Body = response.json().ok()?;
    let kind = match response.status() {
        429 => ErrorKind::Throttled,
        _ => ErrorKind::Unauthorized,
    };
    let refusal = Refusal::new(kind, "the credentials were refused");
    Some(match body.error_codes.first() {
        Some(code) => refusal.with_code(format!("AADSTS{code}")),
        None => refusal,
    })
}

#[derive(Deserialize)]
struct TokenResponse {
    access_token: SecretString,
    #[serde(default, deserialize_with = "seconds")]
    expires_in: Option<Duration>,
}

/// Reads seconds as a number or as text, since servers write both. `None` if it is neither.
fn seconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Seconds {
        Number(f64),
        Text(String),
        Other(IgnoredAny),
    }
    let seconds = match Seconds::deserialize(deserializer)? {
        Seconds::Number(seconds) => Some(seconds),
        Seconds::Text(text) => text.trim().parse().ok(),
        Seconds::Other(_) => None,
    };
    Ok(seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds.max(0.0)).ok()))
}
