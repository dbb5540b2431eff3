//! Delivery reports: what a vendor reports later on a text that it accepted.

use std::{fmt, str::FromStr};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::{error::SandboxError, names, record::SentMessage};

/// The secret of every vendor that signs its reports.
pub(crate) const SECRET: &str = "sandbox";

/// The status in a report, in terms that all vendors share.
///
/// A vendor without such a status reports its nearest one. `Unknown` is a status that no client knows.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum ReportStatus {
    /// The operator keeps trying.
    Buffered,
    /// The phone has it.
    Delivered,
    /// Its validity ended before it arrived.
    Expired,
    /// It will not arrive.
    Failed,
    /// The vendor or the operator refused it.
    Rejected,
    /// The operator accepted it.
    Sent,
    /// A status outside the vendor's documentation.
    Unknown,
}

impl ReportStatus {
    /// All statuses.
    pub const ALL: &[Self] = &[
        Self::Buffered,
        Self::Delivered,
        Self::Expired,
        Self::Failed,
        Self::Rejected,
        Self::Sent,
        Self::Unknown,
    ];

    /// Returns the name in JSON, such as `delivered`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Buffered => "buffered",
            Self::Delivered => "delivered",
            Self::Expired => "expired",
            Self::Failed => "failed",
            Self::Rejected => "rejected",
            Self::Sent => "sent",
            Self::Unknown => "unknown",
        }
    }
}

impl FromStr for ReportStatus {
    type Err = SandboxError;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        names::find("status", name, Self::ALL, Self::name)
    }
}

/// How Vonage's SMS API signs its delivery receipts, which is a setting of the account.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum SignatureMethod {
    /// HMAC with MD5.
    Md5,
    /// MD5 over the parameters and the secret, which is the default of an account.
    #[default]
    Md5Hash,
    /// HMAC with SHA-1.
    Sha1,
    /// HMAC with SHA-256.
    Sha256,
    /// HMAC with SHA-512.
    Sha512,
}

impl SignatureMethod {
    /// All methods.
    pub const ALL: &[Self] = &[
        Self::Md5,
        Self::Md5Hash,
        Self::Sha1,
        Self::Sha256,
        Self::Sha512,
    ];

    /// Returns the name in JSON, such as `md5hash`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Md5 => "md5",
            Self::Md5Hash => "md5hash",
            Self::Sha1 => "sha1",
            Self::Sha256 => "sha256",
            Self::Sha512 => "sha512",
        }
    }
}

impl FromStr for SignatureMethod {
    type Err = SandboxError;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        names::find("signature method", name, Self::ALL, Self::name)
    }
}

/// How Vonage's SMS API delivers its delivery receipts, which is a setting of the account.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum ReceiptForm {
    /// A GET with all fields in its query.
    Get,
    /// A POST of a form.
    Post,
    /// A POST of JSON.
    #[default]
    PostJson,
}

impl ReceiptForm {
    /// All forms.
    pub const ALL: &[Self] = &[Self::Get, Self::Post, Self::PostJson];

    /// Returns the name in JSON, which is the vendor's own, such as `POST-JSON`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::PostJson => "POST-JSON",
        }
    }
}

impl FromStr for ReceiptForm {
    type Err = SandboxError;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        names::find("form", name, Self::ALL, Self::name)
    }
}

/// The text to report on, and the status to report.
///
/// ```
/// use postduif_sandbox::{ReportOrder, ReportStatus};
///
/// let order = ReportOrder::new("01J9Z8", ReportStatus::Failed).code("23");
/// let order = ReportOrder::by_id("e8077d803532c0b5937c639b60216938", ReportStatus::Delivered);
/// ```
#[derive(Clone, Debug)]
pub struct ReportOrder {
    by: By,
    to: Option<String>,
    pub(crate) status: ReportStatus,
    pub(crate) code: Option<String>,
    pub(crate) form: ReceiptForm,
    pub(crate) method: SignatureMethod,
}

#[derive(Clone, Debug)]
enum By {
    Id(String),
    Reference(String),
}

impl ReportOrder {
    /// Creates a report on the last text with this reference.
    pub fn new(reference: impl Into<String>, status: ReportStatus) -> Self {
        Self::of(By::Reference(reference.into()), status)
    }

    /// Creates a report on the last text with this id of the vendor.
    pub fn by_id(id: impl Into<String>, status: ReportStatus) -> Self {
        Self::of(By::Id(id.into()), status)
    }

    /// Returns whether the report is on this text.
    pub(crate) fn is_on(&self, message: &SentMessage) -> bool {
        let named = match &self.by {
            By::Id(id) => message.id == *id || message.extra.more_ids.contains(id),
            By::Reference(reference) => message.reference.as_ref() == Some(reference),
        };
        named && self.to.as_ref().is_none_or(|to| message.to == *to)
    }

    fn of(by: By, status: ReportStatus) -> Self {
        Self {
            by,
            to: None,
            status,
            code: None,
            form: ReceiptForm::default(),
            method: SignatureMethod::default(),
        }
    }

    /// Selects, of several texts with one reference or id, the one to this number in E.164.
    #[must_use]
    pub fn to(mut self, number: impl Into<String>) -> Self {
        self.to = Some(number.into());
        self
    }

    /// Sets the vendor's error code. Defaults to one that fits the status.
    #[must_use]
    pub fn code(mut self, code: impl Into<String>) -> Self {
        self.code = Some(code.into());
        self
    }

    /// Sets the form of Vonage's SMS API; other reports ignore it.
    #[must_use]
    pub fn form(mut self, form: ReceiptForm) -> Self {
        self.form = form;
        self
    }

    /// Sets the signature method of Vonage's SMS API; other reports ignore it.
    #[must_use]
    pub fn signature_method(mut self, method: SignatureMethod) -> Self {
        self.method = method;
        self
    }
}

/// A report as the request that its receiver gets.
///
/// `Debug` leaves out the text and its recipient.
#[derive(Clone)]
#[non_exhaustive]
pub struct Report {
    /// The method, `GET` or `POST`.
    pub method: &'static str,
    /// The whole URL, including what the vendor appends to the query.
    pub url: String,
    /// The headers, in order, without those of the connection.
    pub headers: Vec<(&'static str, String)>,
    /// The body, which is empty for a GET.
    pub body: String,
}

impl Report {
    pub(crate) fn get(url: String) -> Self {
        Self {
            method: "GET",
            url,
            headers: Vec::new(),
            body: String::new(),
        }
    }

    pub(crate) fn post_json(url: String, body: String) -> Self {
        Self::post(url, "application/json", body)
    }

    pub(crate) fn post(url: String, media_type: &str, body: String) -> Self {
        Self {
            method: "POST",
            url,
            headers: vec![("Content-Type", media_type.to_owned())],
            body,
        }
    }

    pub(crate) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}

impl fmt::Debug for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.headers.iter().map(|(name, _)| name).collect();
        f.debug_struct("Report")
            .field("method", &self.method)
            .field("headers", &names)
            .field("body", &format_args!("{} bytes", self.body.len()))
            .finish_non_exhaustive()
    }
}

/// Appends encoded fields to a URL's query.
pub(crate) fn with_query(url: &str, query: &str) -> String {
    let sign = if url.contains('?') { '&' } else { '?' };
    format!("{url}{sign}{query}")
}

/// Encodes the fields of a form or a query.
pub(crate) fn form<'a>(fields: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    /// All characters but letters, digits and those that forms do not encode.
    const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
        .remove(b'-')
        .remove(b'.')
        .remove(b'_')
        .remove(b' ');
    let encode = |text| {
        utf8_percent_encode(text, ENCODED)
            .to_string()
            .replace(' ', "+")
    };
    let fields: Vec<_> = fields
        .into_iter()
        .map(|(name, value)| format!("{}={}", encode(name), encode(value)))
        .collect();
    fields.join("&")
}
