//! The vendors: what sends, and the routes of their delivery reports.

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc};

use axum::Router;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use postduif::{
    Authenticity, ConfigError, ExposeSecret as _, ReportOptions, ReportParser, ReportSink,
    SecretString, Settings, SmsProvider, Stack, http::BaseUrl, webhooks::Reports,
};

use crate::{
    options::{Complete, Directory, Options, VendorSecret, all},
    sandbox,
};

/// The configured vendors, and the proofs of their delivery reports.
pub(crate) struct Vendors {
    urls: Vec<String>,
    origin: Option<String>,
    parsers: BTreeMap<String, Arc<dyn ReportParser>>,
    path_secrets: BTreeMap<String, Vec<SecretString>>,
}

impl Vendors {
    /// Checks the options about vendors with each other.
    pub(crate) fn of(
        options: &Options,
        directory: &Directory,
        address: SocketAddr,
    ) -> Result<Self, ConfigError> {
        let mut urls = all(&options.sms_url);
        if let (true, Some(sandbox)) = (urls.is_empty(), &directory.sandbox) {
            urls.push(sandbox.default_url()?.to_owned());
        }
        if urls.is_empty() {
            return Err(ConfigError::new("no vendor: give --sms-url"));
        }
        if let Some(url) = &options.public_url {
            BaseUrl::parse(url).map_err(|_| {
                ConfigError::new("--public-url: expected https://HOST, or http on loopback")
            })?;
        }
        let origin = options.public_url.clone().or_else(|| {
            // A sandbox is on the same machine.
            let is_sandbox = directory.sandbox.is_some();
            is_sandbox.then(|| format!("http://{address}"))
        });
        let mut vendors = Self {
            urls,
            origin,
            parsers: BTreeMap::new(),
            path_secrets: by_vendor(all(&options.path_secret)),
        };
        let report_secrets = by_vendor(all(&options.report_secret));
        vendors.add_parsers(&report_secrets, directory.sandbox.is_some())?;
        vendors.check(&report_secrets)?;
        if matches!(options.complete_on, Complete::Delivered) {
            vendors.check_each_reports()?;
        }
        vendors.add_report_urls()?;
        Ok(vendors)
    }

    /// Builds a parser for each vendor whose secret is there.
    fn add_parsers(
        &mut self,
        report_secrets: &BTreeMap<String, Vec<SecretString>>,
        is_sandbox: bool,
    ) -> Result<(), ConfigError> {
        let mut apis: BTreeMap<&str, Api<'_>> = BTreeMap::new();
        for url in &self.urls {
            let (vendor, api) = Api::of(url);
            if let Some(other) = apis.insert(vendor, api)
                && other != api
            {
                return Err(ConfigError::new(format!(
                    "--sms-url: two URLs of {vendor} with different api or signature_method; its delivery reports have \
                     one form"
                )));
            }
        }
        for (vendor, api) in apis {
            let signing = report_secrets.get(vendor).cloned();
            let signing = signing
                .or_else(|| is_sandbox.then(|| vec![sandbox::report_secret(vendor, api.name)]));
            let path = self.path_secrets.get(vendor);
            let Some(parser) = parser(vendor, api, signing, path)? else {
                tracing::info!(
                    vendor,
                    "no secret of its delivery reports is set: it has no route for them"
                );
                continue;
            };
            self.parsers.insert(vendor.to_owned(), parser);
        }
        Ok(())
    }

    /// Refuses what would have no effect.
    fn check(
        &self,
        report_secrets: &BTreeMap<String, Vec<SecretString>>,
    ) -> Result<(), ConfigError> {
        for vendor in report_secrets.keys().chain(self.path_secrets.keys()) {
            if !self.parsers.contains_key(vendor) {
                return Err(ConfigError::new(format!(
                    "a secret of delivery reports is set for {vendor}, but no route can be made of it: it needs an \
                     --sms-url, and {}",
                    match vendor.as_str() {
                        "kpn" => "both --report-secret and --path-secret",
                        "cm" | "spryng" => "--path-secret, since it does not sign",
                        _ => "--report-secret",
                    }
                )));
            }
        }
        if self.origin.is_none() && !self.parsers.is_empty() {
            return Err(ConfigError::new(
                "delivery reports need --public-url: the origin that the vendors call",
            ));
        }
        Ok(())
    }

    /// Refuses a vendor whose texts would all count as not delivered.
    fn check_each_reports(&self) -> Result<(), ConfigError> {
        let mut vendors = self.urls.iter().map(|url| Api::of(url).0);
        match vendors.find(|vendor| !self.parsers.contains_key(*vendor)) {
            None => Ok(()),
            Some(vendor) => Err(ConfigError::new(format!(
                "--complete-on delivered needs delivery reports of each vendor, and {vendor} has no route for them: give \
                 --public-url, and --report-secret or --path-secret"
            ))),
        }
    }

    /// Adds a report URL to the connection URLs of vendors that take one with each message and have none.
    fn add_report_urls(&mut self) -> Result<(), ConfigError> {
        let Some(origin) = &self.origin else {
            return Ok(());
        };
        let origin = origin.trim_end_matches('/');
        for url in &mut self.urls {
            let (vendor, _) = Api::of(url);
            if !self.parsers.contains_key(vendor) || option(url, "report_url").is_some() {
                continue;
            }
            let secret = self
                .path_secrets
                .get(vendor)
                .and_then(|secrets| secrets.first());
            let secret = secret.map_or(String::new(), |secret| {
                format!("/{}", secret.expose_secret())
            });
            let path = format!("{origin}/reports/{vendor}{secret}");
            // Which form a vendor takes, if any, is its own knowledge.
            let forms = [format!("{path}?reference={{reference}}"), path];
            let with_report_url = forms.iter().find_map(|form| {
                let sign = if url.contains('?') { '&' } else { '?' };
                let form = utf8_percent_encode(form, NON_ALPHANUMERIC);
                let changed = format!("{url}{sign}report_url={form}");
                let opened = Settings::from_url(&changed).and_then(|settings| settings.open());
                opened.is_ok().then_some(changed)
            });
            if let Some(changed) = with_report_url {
                *url = changed;
            }
        }
        Ok(())
    }

    /// Builds what sends.
    pub(crate) fn provider(&self) -> Result<Arc<dyn SmsProvider>, ConfigError> {
        let mut stack = Stack::new();
        for url in &self.urls {
            stack = stack.with_settings(&Settings::from_url(url)?)?;
        }
        stack.build()
    }

    /// Builds the routes of delivery reports. Without any parser there are none.
    pub(crate) fn reports(&self, sink: impl ReportSink) -> Result<Router, ConfigError> {
        let Some(origin) = self.origin.as_ref().filter(|_| !self.parsers.is_empty()) else {
            return Ok(Router::new());
        };
        let mut reports = Reports::builder(origin, sink);
        for (vendor, parser) in &self.parsers {
            reports = reports.with_vendor(vendor, Arc::clone(parser));
        }
        for (vendor, secrets) in &self.path_secrets {
            reports = reports.with_path_secrets(vendor, secrets.clone());
        }
        Ok(reports.build()?.router())
    }
}

/// Returns the parser of a vendor's delivery reports. `None` without the secret that it needs.
fn parser(
    vendor: &str,
    api: Api<'_>,
    signing: Option<Vec<SecretString>>,
    path: Option<&Vec<SecretString>>,
) -> Result<Option<Arc<dyn ReportParser>>, ConfigError> {
    let build = |secrets: &Vec<SecretString>| {
        let mut options = ReportOptions::new(secrets.clone());
        if let Some(name) = api.name {
            options = options.with_api(name);
        }
        if let Some(method) = api.signature_method {
            options = options.with_signature_method(method);
        }
        postduif::report_parser(vendor, options)
    };
    // A vendor that does not sign is proven by the secret in the path alone.
    let by_path = path.map(build).transpose()?;
    if let Some(parser) = by_path
        && parser.authenticity() == Authenticity::Unsigned
    {
        return Ok(Some(parser));
    }
    let Some(signing) = signing else {
        return Ok(None);
    };
    let Ok(parser) = build(&signing) else {
        // As of an unsigned vendor: its secret is one for the path.
        return Ok(None);
    };
    let needs_path = parser.authenticity() == Authenticity::BodyOnly;
    Ok((!needs_path || path.is_some()).then_some(parser))
}

fn by_vendor(secrets: Vec<VendorSecret>) -> BTreeMap<String, Vec<SecretString>> {
    let mut known: BTreeMap<String, Vec<SecretString>> = BTreeMap::new();
    for VendorSecret { vendor, secret } in secrets {
        known.entry(vendor).or_default().push(secret);
    }
    known
}

/// What decides the form of a vendor's delivery reports.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Api<'u> {
    name: Option<&'u str>,
    signature_method: Option<&'u str>,
}

impl<'u> Api<'u> {
    /// Returns the vendor and the API of a connection URL.
    fn of(url: &'u str) -> (&'u str, Self) {
        let vendor = url.split_once("://").map_or(url, |(vendor, _)| vendor);
        let api = Self {
            name: option(url, "api"),
            signature_method: option(url, "signature_method"),
        };
        (vendor, api)
    }
}

/// Returns an option of a connection URL, whose value has no character that is encoded.
fn option<'u>(url: &'u str, name: &str) -> Option<&'u str> {
    let (_, options) = url.split_once('?')?;
    let mut options = options
        .split('&')
        .filter_map(|option| option.split_once('='));
    options.find_map(|(known, value)| (known == name).then_some(value))
}
