//! The Messages API v1: JSON, a token or Basic, HTTP statuses that reflect the outcome, and signed webhooks.
//!
//! Sources: Vonage's definition 1.20.0 (2026) and its pages "API Errors: Messages" and "Webhooks".

use std::time::{Duration, SystemTime};

use chrono::{DateTime, Utc};
use postduif_core::{
    Acceptance, ConfigError, ErrorKind, Guid, Health, Message, Outcomes, Profile, Receipt,
    SendError, SmsProvider, async_trait, batch, departure::attempt,
};
use postduif_http::{
    Request, Response,
    auth::{Token, TokenCache, TokenSource, TokenVerdict},
    vendor::{Endpoint, EndpointBuilder, ReportUrl, is_given, signature::Rs256Key},
};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{
    IN_FLIGHT, PROFILE, SENDER,
    account::Account,
    problem::{EXPIRED, Problem, refused},
    wire_sender,
};

const HOST: &str = "https://api.nexmo.com";
const SEND_PATH: &str = "/v1/messages";
/// Also the lifetime of a token without `exp`; Vonage's maximum is 24 hours.
const TOKEN_LIFE: Duration = Duration::from_secs(15 * 60);
/// A token is replaced once it is valid for less than this.
const MINIMUM_TOKEN_LIFE: Duration = Duration::from_secs(5 * 60);

#[derive(Debug)]
pub(crate) struct Messages {
    endpoint: Endpoint,
    auth: Auth,
    report_url: Option<ReportUrl>,
}

/// The credentials of a request. Vonage refuses a request with both kinds.
#[derive(Debug)]
pub(crate) enum Auth {
    Account(Account),
    Application(Box<TokenCache<Application>>),
}

impl From<Account> for Auth {
    fn from(account: Account) -> Self {
        Self::Account(account)
    }
}

impl From<Application> for Auth {
    fn from(application: Application) -> Self {
        Self::Application(Box::new(TokenCache::new(application, MINIMUM_TOKEN_LIFE)))
    }
}

/// An application of the Messages API, which signs its own tokens.
#[derive(Debug)]
pub(crate) struct Application {
    id: SecretString,
    key: Rs256Key,
}

impl Application {
    pub(crate) fn new(id: SecretString, private_key: &SecretString) -> Result<Self, ConfigError> {
        if id.expose_secret().is_empty() {
            return Err(ConfigError::new(
                "invalid application_id: expected at least one character",
            ));
        }
        let key = Rs256Key::from_pem(private_key)?;
        Ok(Self { id, key })
    }
}

#[async_trait]
impl TokenSource for Application {
    async fn fetch(&self) -> Result<Token, SendError> {
        let now = DateTime::<Utc>::from(SystemTime::now()).timestamp();
        let claims = json!({
            "application_id": self.id.expose_secret(),
            "iat": now,
            "jti": Guid::random().to_string(),
            "exp": now.saturating_add_unsigned(TOKEN_LIFE.as_secs()),
        });
        let token = self
            .key
            .sign(claims.to_string().as_bytes())
            .map_err(|error| {
                SendError::not_accepted(ErrorKind::Unavailable, "the token cannot be signed")
                    .with_source(error)
            })?;
        Ok(Token::new(token, TOKEN_LIFE))
    }
}

#[derive(Serialize)]
struct SendBody<'a> {
    channel: &'static str,
    message_type: &'static str,
    to: String,
    from: &'a str,
    /// Without `sms.encoding_type`, Vonage chooses the encoding by the text.
    text: &'a str,
    client_ref: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    ttl: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    webhook_url: Option<&'a str>,
    /// The version of the reports, which may be an older one in the account's settings.
    #[serde(skip_serializing_if = "Option::is_none")]
    webhook_version: Option<&'static str>,
}

#[derive(Deserialize)]
struct Accepted {
    message_uuid: String,
}

impl Messages {
    pub(crate) fn new(
        endpoint: EndpointBuilder,
        auth: Auth,
        report_url: Option<&SecretString>,
    ) -> Result<Self, ConfigError> {
        let report_url = report_url.map(|url| ReportUrl::parse(url.expose_secret()));
        Ok(Self {
            endpoint: endpoint.build(PROFILE, HOST)?,
            auth,
            report_url: report_url.transpose()?,
        })
    }

    fn request(&self, message: &Message) -> Result<Request, SendError> {
        let from = self.endpoint.wire_sender(message, wire_sender, SENDER)?;
        let webhook_url = self.report_url.as_ref().map(ReportUrl::expose);
        Ok(self.endpoint.post(SEND_PATH).with_json(&SendBody {
            channel: "sms",
            message_type: "text",
            to: message.to().msisdn().to_string(),
            from: &from,
            text: message.text().as_str(),
            client_ref: message.reference().as_str(),
            ttl: message.validity().map(|validity| validity.as_secs()),
            webhook_url,
            webhook_version: webhook_url.map(|_| "v1"),
        }))
    }

    async fn exchange(&self, message: &Message) -> Result<Receipt, SendError> {
        let request = || self.request(message);
        match &self.auth {
            Auth::Account(account) => self.post(account.authorize(request()?), message).await,
            Auth::Application(tokens) => {
                tokens
                    .with_token(async |token| {
                        let sent = attempt(async {
                            self.post(request()?.with_bearer(&token), message).await
                        });
                        let outcome = sent.await;
                        let is_expired = outcome.as_ref().is_err_and(is_expired);
                        let verdict = if is_expired {
                            TokenVerdict::Refused
                        } else {
                            TokenVerdict::Good
                        };
                        (outcome, verdict)
                    })
                    .await
            }
        }
    }

    async fn post(&self, request: Request, message: &Message) -> Result<Receipt, SendError> {
        let response = self.endpoint.client().send(request).await?;
        let is_accepted = response.status() == 202;
        let body: Value = response.json().unwrap_or_default();
        if (!is_accepted || Problem::of(&response).is_some()) && is_given(&body["message_uuid"]) {
            return Err(Response::contradiction());
        }
        if !is_accepted {
            return Err(refused(&response, message));
        }
        let accepted: Accepted = response.json()?;
        self.endpoint.receipt(message, &accepted.message_uuid)
    }
}

fn is_expired(error: &SendError) -> bool {
    error.acceptance() == Acceptance::NotAccepted
        && error.kind() == ErrorKind::Unauthorized
        && error.code() == Some(EXPIRED)
}

#[async_trait]
impl SmsProvider for Messages {
    fn profile(&self) -> &Profile {
        self.endpoint.profile()
    }

    async fn send(&self, message: &Message) -> Result<Receipt, SendError> {
        let accepts = |message: &Message| self.request(message).is_ok();
        let message = &self.endpoint.fit_where(message, accepts);
        self.endpoint
            .send_one(message, self.exchange(message))
            .await
    }

    async fn send_batch(&self, messages: &[Message]) -> Outcomes {
        batch::one_by_one(messages, IN_FLIGHT, |message| self.send(message)).await
    }

    async fn check(&self) -> Result<Health, SendError> {
        let client = self.endpoint.client();
        match &self.auth {
            Auth::Account(account) => {
                let balance = account.balance_for_messages(client);
                self.endpoint.probe(balance).await
            }
            Auth::Application(_) => Ok(Health::unknown()),
        }
    }
}
