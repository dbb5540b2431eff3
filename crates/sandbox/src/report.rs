//! Delivery reports: what a vendor says later about a text that it took.

use std::{fmt, str::FromStr};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::{error::SandboxError, record::SentMessage};

/// The secret with which every vendor of the sandbox signs, where it signs at all.
pub(crate) const SECRET: &str = "sandbox";

/// What a report is to say, in words that all vendors share.
///
/// Where a vendor has no word of its own for it, the nearest; `Unknown` is a word that a client
/// cannot know.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum ReportStatus {
    /// At the operator, whose network keeps trying.
    Buffered,
    /// On the phone.
    Delivered,
    /// Its time ended before it arrived.
    Expired,
    /// It will not arrive.
    Failed,
    /// The vendor or the operator would not have it.
    Rejected,
    /// Handed to the operator.
    Sent,
    /// Something that no table has.
    Unknown,
}

impl ReportStatus {
    /// Every status there is.
    pub const ALL: &[Self] = &[
        Self::Buffered,
        Self::Delivered,
        Self::Expired,
        Self::Failed,
        Self::Rejected,
        Self::Sent,
        Self::Unknown,
    ];

    /// The name it goes by in JSON.
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
        named("status", name, Self::ALL, |status| status.name())
    }
}

/// How Vonage's SMS API signs its receipts: one setting of the account.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum SignatureMethod {
    /// HMAC with MD5.
    Md5,
    /// MD5 over the parameters and the secret: what an account has that nobody set.
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
    /// Every method there is.
    pub const ALL: &[Self] = &[
        Self::Md5,
        Self::Md5Hash,
        Self::Sha1,
        Self::Sha256,
        Self::Sha512,
    ];

    /// The name it goes by in JSON.
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
        named("signature method", name, Self::ALL, |method| method.name())
    }
}

/// How Vonage's SMS API brings its receipts: one setting of the account.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum ReceiptForm {
    /// A GET, everything in its query.
    Get,
    /// A POST of a form.
    Post,
    /// A POST of JSON.
    #[default]
    PostJson,
}

impl ReceiptForm {
    /// Every form there is.
    pub const ALL: &[Self] = &[Self::Get, Self::Post, Self::PostJson];

    /// The name it goes by in JSON, which is the vendor's own.
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
        named("form", name, Self::ALL, |form| form.name())
    }
}

fn named<T: Copy>(
    what: &str,
    name: &str,
    all: &[T],
    name_of: impl Fn(T) -> &'static str,
) -> Result<T, SandboxError> {
    all.iter()
        .copied()
        .find(|one| name_of(*one) == name)
        .ok_or_else(|| {
            let known: Vec<_> = all.iter().map(|one| name_of(*one)).collect();
            SandboxError::new(format!(
                "there is no {what} {name:?}; there are {}",
                known.join(", ")
            ))
        })
}

/// Which text to report on, and what to say of it.
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
    /// A report on the last text with this reference.
    pub fn new(reference: impl Into<String>, status: ReportStatus) -> Self {
        Self::of(By::Reference(reference.into()), status)
    }

    /// A report on the last text to which the vendor gave this id.
    pub fn by_id(id: impl Into<String>, status: ReportStatus) -> Self {
        Self::of(By::Id(id.into()), status)
    }

    /// Whether the report is on this text.
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

    /// Of several texts with one reference or id, the one to this number in E.164.
    #[must_use]
    pub fn to(mut self, number: impl Into<String>) -> Self {
        self.to = Some(number.into());
        self
    }

    /// The vendor's own code for what went wrong; there is one for each status that is bad news.
    #[must_use]
    pub fn code(mut self, code: impl Into<String>) -> Self {
        self.code = Some(code.into());
        self
    }

    /// How Vonage's SMS API is set to bring its receipts; the others know one way.
    #[must_use]
    pub fn form(mut self, form: ReceiptForm) -> Self {
        self.form = form;
        self
    }

    /// How Vonage's SMS API is set to sign its receipts; the others know one way.
    #[must_use]
    pub fn signature_method(mut self, method: SignatureMethod) -> Self {
        self.method = method;
        self
    }
}

/// A report as a request to be made: what a receiver has to judge.
///
/// `Debug` leaves out what the request says of the text and its recipient.
#[derive(Clone)]
#[non_exhaustive]
pub struct Report {
    /// `GET` or `POST`.
    pub method: &'static str,
    /// The whole URL, with what the vendor adds to its query.
    pub url: String,
    /// The headers that matter, in order.
    pub headers: Vec<(&'static str, String)>,
    /// The body, empty for a GET.
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

/// Adds to a URL's query what is encoded already.
pub(crate) fn with_query(url: &str, query: &str) -> String {
    let sign = if url.contains('?') { '&' } else { '?' };
    format!("{url}{sign}{query}")
}

/// Encodes the fields of a form, or of a query in the same way.
pub(crate) fn form<'a>(fields: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    /// What forms leave as it is, beside letters and digits.
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
