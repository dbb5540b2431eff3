//! An account's key and secret, and its balance, which proves them.

use std::borrow::Cow;

use postduif_core::{ConfigError, ErrorKind, Health, Price, SendError};
use postduif_http::{BaseUrl, Client, Refusal, Request, Response, vendor::text};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;

use crate::problem::Problem;

const REST_HOST: &str = "https://rest.nexmo.com";
const BALANCE_PATH: &str = "/account/get-balance";
/// The currency of Vonage's prices.
pub(crate) const CURRENCY: &str = "EUR";

#[derive(Clone, Debug)]
pub(crate) struct Account {
    key: SecretString,
    secret: SecretString,
    rest: BaseUrl,
    is_vendors_host: bool,
}

impl Account {
    /// Creates an account. The host of its balance defaults to Vonage's own.
    pub(crate) fn new(
        key: SecretString,
        secret: SecretString,
        base: Option<&BaseUrl>,
    ) -> Result<Self, ConfigError> {
        Ok(Self {
            key,
            secret,
            rest: base.map_or_else(|| BaseUrl::parse(REST_HOST), |base| Ok(base.clone()))?,
            is_vendors_host: base.is_none(),
        })
    }

    pub(crate) fn authorize(&self, request: Request) -> Request {
        request.with_basic(self.key.expose_secret(), &self.secret)
    }

    /// Requests the balance for the `check` of the Messages API. A regional host has that API only, and the secret goes
    /// to no other host.
    pub(crate) async fn balance_for_messages(&self, client: &Client) -> Result<Health, SendError> {
        let response = self.request_balance(client).await?;
        if response.status() == 404 && !self.is_vendors_host {
            return Ok(Health::unknown());
        }
        health(&response)
    }

    /// Requests the balance for the `check` of the SMS API.
    pub(crate) async fn balance(&self, client: &Client) -> Result<Health, SendError> {
        health(&self.request_balance(client).await?)
    }

    async fn request_balance(&self, client: &Client) -> Result<Response, SendError> {
        let request =
            Request::get(&self.rest, BALANCE_PATH).with_header("accept", "application/json");
        client.ask(self.authorize(request)).await
    }
}

fn health(response: &Response) -> Result<Health, SendError> {
    if response.status() == 200 {
        let body: Value = response.json()?;
        let balance = body.get("value").ok_or(SendError::unknown(
            ErrorKind::Protocol,
            "the response has no balance",
        ))?;
        let balance = amount(balance).and_then(|amount| Price::new(&amount, CURRENCY).ok());
        return Ok(balance.map_or(Health::verified(), |balance| {
            Health::verified().with_balance(balance)
        }));
    }
    let problem = Problem::of(response);
    let label = label(response);
    let is_vonages = label.is_some() || problem.is_some();
    let refusal = is_vonages.then(|| {
        let (kind, message) = match response.status() {
            401 | 403 => (ErrorKind::Unauthorized, CREDENTIALS_REFUSED),
            429 => (ErrorKind::Throttled, "too many requests"),
            _ => (ErrorKind::Protocol, "Vonage refused the request"),
        };
        let words = label.as_deref().into_iter();
        let words = words.chain(problem.iter().flat_map(Problem::words));
        Refusal::new(kind, message)
            .with_unlisted_code(&response.status().to_string(), &[])
            .with_vendor_message(words, &response.redactor([]))
    });
    Err(response.refused(refusal))
}

pub(crate) const CREDENTIALS_REFUSED: &str = "the key or the secret was refused";

/// Returns an amount, a JSON number or text, as a plain decimal number.
fn amount(value: &Value) -> Option<String> {
    match value {
        Value::Number(number) => number.as_f64().map(|number| format!("{number:.9}")),
        value => text(value),
    }
}

/// Returns whether a response has Vonage's other error shape, which the balance shares.
pub(crate) fn is_error(response: &Response) -> bool {
    label(response).is_some()
}

/// Returns the words of that shape. `None` if a response has another shape.
pub(crate) fn label(response: &Response) -> Option<String> {
    let body = json(response)?;
    text(&body["error-code"])?;
    body["error-code-label"].as_str().map(str::to_owned)
}

/// Returns the body as JSON. Responses of 2014 were ISO-8859-1.
pub(crate) fn json(response: &Response) -> Option<Value> {
    let body = response.body().ok()?;
    let text = match str::from_utf8(body) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => body.iter().copied().map(char::from).collect(),
    };
    serde_json::from_str(&text).ok()
}
