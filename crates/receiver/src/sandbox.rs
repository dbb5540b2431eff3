//! A sandbox as the world: its tenant, its callers, and its vendors.

use std::collections::BTreeMap;

use postduif::{
    ConfigError, Guid, SecretString,
    entra::{Cloud, Credential},
    http::{BaseUrl, Client, Request},
};
use serde_json::Value;

use crate::options::Directory;

/// The secret of everything in a sandbox.
const SECRET: &str = "sandbox";

/// The same secret as Standard Webhooks write it.
const WEBHOOK_SECRET: &str = "whsec_c2FuZGJveA==";

/// Returns the secret with which a vendor of a sandbox signs its delivery reports.
pub(crate) fn report_secret(vendor: &str, api: Option<&str>) -> SecretString {
    let secret = match (vendor, api) {
        ("messagebird", None | Some("platform")) | ("webhook", _) => WEBHOOK_SECRET,
        _ => SECRET,
    };
    secret.into()
}

/// The connection URLs of a sandbox's vendors.
#[derive(Debug)]
pub(crate) struct Vendors(BTreeMap<String, String>);

impl Vendors {
    /// Returns the connection URL of the vendor that is used without `--sms-url`.
    pub(crate) fn default_url(&self) -> Result<&str, ConfigError> {
        let url = self.0.get("kpn").map(String::as_str);
        url.ok_or_else(|| ConfigError::new("the sandbox has no vendor kpn: give --sms-url"))
    }
}

/// Asks a sandbox what a program needs to play along.
pub(crate) async fn directory(url: &str) -> Result<Directory, ConfigError> {
    let about = about(url).await?;
    let text = |name: &str| {
        let value = about[name].as_str().map(str::to_owned);
        value.ok_or_else(|| ConfigError::new(format!("--sandbox: no {name} in its description")))
    };
    let tenant = text("tenant")?;
    let callers = about["callers"].as_object().into_iter().flatten();
    let callers = callers.filter_map(|(_, id)| id.as_str()?.parse::<Guid>().ok());
    let urls = about["urls"].as_object().into_iter().flatten();
    let urls = urls.filter_map(|(vendor, url)| Some((vendor.clone(), url.as_str()?.to_owned())));
    Ok(Directory {
        credential: Credential::client_secret(tenant.clone(), text("client_id")?, SECRET),
        tenant,
        cloud: Cloud::GLOBAL
            .with_graph(BaseUrl::parse(&text("graph")?)?)
            .with_login(BaseUrl::parse(&text("login")?)?),
        audiences: vec![text("audience")?],
        callers: callers.collect(),
        sandbox: Some(Vendors(urls.collect())),
    })
}

async fn about(url: &str) -> Result<Value, ConfigError> {
    let request = Request::get(&BaseUrl::parse(url)?, "/_sandbox");
    let response = Client::new()?.send(request).await;
    let about = response.ok().filter(|response| response.is_success());
    let about = about.and_then(|response| response.json().ok());
    about.ok_or_else(|| {
        ConfigError::new(
            "--sandbox: no sandbox responds there; start one with cargo run -p postduif-sandbox",
        )
    })
}
