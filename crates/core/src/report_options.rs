use secrecy::SecretString;

/// The options of a parser of delivery reports, or of inbound messages, whose vendor is chosen at run time.
///
/// ```
/// # use postduif_core as postduif;
/// use postduif::ReportOptions;
///
/// let options = ReportOptions::new(["signature-secret"])
///     .with_api("sms")
///     .with_signature_method("sha256");
/// assert_eq!(options.api(), Some("sms"));
/// assert!(!format!("{options:?}").contains("signature-secret"));
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct ReportOptions {
    secrets: Vec<SecretString>,
    api: Option<String>,
    signature_method: Option<String>,
}

impl ReportOptions {
    /// Creates options with these secrets: the signing secrets of a vendor that signs, else your own, one of which is
    /// the last segment of the route's path. There may be several while one is being replaced.
    pub fn new(secrets: impl IntoIterator<Item = impl Into<SecretString>>) -> Self {
        Self {
            secrets: secrets.into_iter().map(Into::into).collect(),
            api: None,
            signature_method: None,
        }
    }

    /// Sets the vendor's API, as the option `api` of its connection URL names it. Defaults to the vendor's default.
    pub fn with_api(mut self, api: impl Into<String>) -> Self {
        self.api = Some(api.into());
        self
    }

    /// Sets how the vendor signs, if the account chooses it. Defaults to the vendor's default.
    pub fn with_signature_method(mut self, method: impl Into<String>) -> Self {
        self.signature_method = Some(method.into());
        self
    }

    /// Returns the API. `None` is the vendor's default.
    #[must_use]
    pub fn api(&self) -> Option<&str> {
        self.api.as_deref()
    }

    /// Returns how the vendor signs. `None` is the vendor's default.
    #[must_use]
    pub fn signature_method(&self) -> Option<&str> {
        self.signature_method.as_deref()
    }

    /// Returns the secrets.
    #[must_use]
    pub fn into_secrets(self) -> Vec<SecretString> {
        self.secrets
    }

    /// Returns the secrets without taking the options apart.
    #[must_use]
    pub fn secrets(&self) -> &[SecretString] {
        &self.secrets
    }
}
