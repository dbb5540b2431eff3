use std::{borrow::Cow, fmt};

use chrono::{DateTime, Utc};

use crate::{PhoneNumber, Price, Reference, string_enum::string_enum};

string_enum! {
    /// How far a text has come, in one vocabulary for every vendor.
    #[non_exhaustive]
    pub enum DeliveryStatus("a delivery status") {
        /// It waits: the phone is off, or out of reach.
        Buffered = "buffered",
        /// The phone has it.
        Delivered = "delivered",
        /// Its validity period ended first.
        Expired = "expired",
        /// The network gave up.
        Failed = "failed",
        /// A network or vendor would not carry it.
        Rejected = "rejected",
        /// It is on its way.
        Sent = "sent",
        /// The vendor says something that we do not know. Never a failure.
        Unknown = "unknown",
    }
}

impl DeliveryStatus {
    /// Whether no other status comes after it.
    #[must_use]
    pub const fn is_final(self) -> bool {
        matches!(
            self,
            Self::Delivered | Self::Expired | Self::Failed | Self::Rejected
        )
    }
}

/// What a vendor says of a text after it took it.
///
/// A text of several segments may have a report for each, with [`part`](Self::part) telling them apart;
/// [`Delivery`](crate::Delivery) joins them.
#[derive(Clone)]
#[non_exhaustive]
pub struct DeliveryReport {
    /// Who says it, by its profile's name.
    pub provider: Cow<'static, str>,
    /// Our key of the message. Match on this, never on the number.
    pub reference: Option<Reference>,
    /// The reference as the vendor sent it, where it is not in the form of a [`Reference`]: a text that
    /// another system sent through the same account. At most 128 characters. `Debug` masks it.
    pub vendor_reference: Option<String>,
    /// The vendor's id of the message.
    pub id: Option<String>,
    /// What tells this segment from the others of the same text, where the vendor reports each: an id or an
    /// index. `None` where the report is of the whole text, or the vendor does not say.
    pub part: Option<String>,
    /// Whom the text was for.
    pub recipient: Option<PhoneNumber>,
    /// How far it has come.
    pub status: DeliveryStatus,
    /// The vendor's own code.
    pub code: Option<String>,
    /// When it came so far.
    pub at: Option<DateTime<Utc>>,
    /// What it cost.
    pub price: Option<Price>,
}

impl DeliveryReport {
    /// A report that tells a status and nothing else.
    #[must_use]
    pub fn new(provider: impl Into<Cow<'static, str>>, status: DeliveryStatus) -> Self {
        Self {
            provider: provider.into(),
            reference: None,
            vendor_reference: None,
            id: None,
            part: None,
            recipient: None,
            status,
            code: None,
            at: None,
            price: None,
        }
    }

    /// Sets the reference from what the vendor sent back: as [`reference`](Self::reference) where it is in
    /// that form, else as [`vendor_reference`](Self::vendor_reference). A blank one, one of more than 128
    /// characters or with control characters is neither.
    #[must_use]
    pub fn with_reference_text(mut self, text: &str) -> Self {
        let text = text.trim();
        match text.parse() {
            Ok(reference) => self.reference = Some(reference),
            Err(_) if is_plain(text, LONGEST_REFERENCE) => {
                self.vendor_reference = Some(text.to_owned());
            }
            Err(_) => {}
        }
        self
    }
}

const LONGEST_REFERENCE: usize = 128;

/// Whether a vendor's text holds something, at most so much of it, and nothing that a terminal obeys.
fn is_plain(text: &str, longest: usize) -> bool {
    !text.trim().is_empty()
        && text.chars().count() <= longest
        && !text.chars().any(char::is_control)
}

impl fmt::Debug for DeliveryReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeliveryReport")
            .field("provider", &self.provider)
            .field("reference", &self.reference)
            .field(
                "vendor_reference",
                // Another system's key, which may be a name or a number.
                &self.vendor_reference.as_ref().map(|_| format_args!("•••")),
            )
            .field("id", &self.id)
            .field("part", &self.part)
            .field("recipient", &self.recipient)
            .field("status", &self.status)
            .field("code", &self.code)
            .field("at", &self.at)
            .field("price", &self.price)
            .finish()
    }
}

/// Reads a vendor's delivery reports, and believes only what is proven to be the vendor's.
///
/// A parser is always built with its secret: there is no way to make one that does not verify.
///
/// # Contract
///
/// `parse` verifies first, on the raw bytes, compares in constant time, and fixes the algorithm itself.
/// It never panics. A status it does not know is a report with status unknown, never an error.
pub trait ReportParser: fmt::Debug + Send + Sync + 'static {
    /// What the vendor's signature proves.
    fn authenticity(&self) -> Authenticity;

    /// Verifies a request and reads its reports. `now` decides whether a signature is too old.
    ///
    /// # Errors
    ///
    /// See [`ReportError`]; nothing of a refused request may be used.
    fn parse(
        &self,
        request: &ReportRequest<'_>,
        now: DateTime<Utc>,
    ) -> Result<Vec<DeliveryReport>, ReportError>;
}

const _: fn(&dyn ReportParser) = |_| {};

string_enum! {
    /// What a vendor's signature on its reports proves.
    #[expect(clippy::exhaustive_enums, reason = "a route must decide on each of them")]
    pub enum Authenticity("an authenticity") {
        /// The signature covers the body and neither URL nor time: put a secret of your own in the route's path.
        BodyOnly = "body_only",
        /// The signature covers what is read.
        Signed = "signed",
        /// The vendor does not sign: put a secret of your own in the route's path, which is then the only proof.
        Unsigned = "unsigned",
    }
}

/// A request as it arrived, borrowed from whatever server took it.
///
/// # A route
///
/// Take the raw body, all headers, and the URL as the vendor called it; answer by what the parser says:
///
/// | result | answer | why |
/// |---|---|---|
/// | reports, stored | 200, body `OK` | classic MessageBird wants the word; the others want any success |
/// | reports, not stored | 503 | the vendor brings them again |
/// | [`Malformed`](ReportErrorKind::Malformed) | 200, body `OK` | proven, but no repeat makes it readable: log it |
/// | [`Forged`](ReportErrorKind::Forged) | 401 | wrong signature or secret |
/// | [`Unsigned`](ReportErrorKind::Unsigned), [`Stale`](ReportErrorKind::Stale) | 401, for Vonage 503 | Vonage signs anew what is answered with a 5xx |
///
/// A report may come more than once and out of order: [`Delivery`](crate::Delivery) joins them. How long a vendor
/// repeats what was not answered with a success, as far as its pages say:
///
/// | vendor | repeats |
/// |---|---|
/// | CM.com | for 7 days |
/// | KPN | three times: after 60, 120 and 240 seconds |
/// | MessageBird, channels | for 8 hours |
/// | Vonage, Messages | on 429 and 5xx only, for 24 hours |
/// | the others | not documented |
///
/// Where a vendor does not sign what is read ([`ReportParser::authenticity`]), the last segment of the path is a secret of yours:
/// **keep the path out of access logs** and out of traces.
///
/// ```
/// use std::time::SystemTime;
///
/// use postduif_core::{DeliveryReport, ReportErrorKind, ReportParser, ReportRequest};
///
/// /// Returns status and body of the answer. `store` says whether it stored the reports.
/// fn route(
///     vendor: &str,
///     parser: &dyn ReportParser,
///     request: &ReportRequest<'_>,
///     store: impl FnOnce(&[DeliveryReport]) -> bool,
/// ) -> (u16, &'static str) {
///     match parser.parse(request, SystemTime::now().into()) {
///         Ok(reports) if store(&reports) => (200, "OK"),
///         Ok(_) => (503, ""),
///         Err(error) => match error.kind() {
///             ReportErrorKind::Malformed => (200, "OK"),
///             ReportErrorKind::Unsigned | ReportErrorKind::Stale if vendor == "vonage" => (503, ""),
///             _ => (401, ""),
///         },
///     }
/// }
/// ```
///
/// The same in axum. The origin is configured, such as `https://hooks.example.com`: what a request says of its own
/// host proves nothing.
///
/// ```text
/// async fn reports(
///     State(app): State<App>,
///     method: Method,
///     OriginalUri(uri): OriginalUri,
///     headers: HeaderMap,
///     body: Bytes,
/// ) -> (StatusCode, &'static str) {
///     let url = format!("{}{uri}", app.origin);
///     let headers: Vec<_> = headers
///         .iter()
///         .map(|(name, value)| (name.as_str(), value.as_bytes()))
///         .collect();
///     let request = ReportRequest::new(method.as_str(), &url, &headers, &body);
///     let (status, text) = route("kpn", &*app.parser, &request, |reports| app.store(reports));
///     (StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), text)
/// }
///
/// // The secret is checked by the parser, so the route takes any.
/// let router = Router::new()
///     .route("/reports/kpn/{secret}", any(reports))
///     .layer(DefaultBodyLimit::max(1_000_000));
/// ```
#[derive(Clone, Copy)]
pub struct ReportRequest<'a> {
    method: &'a str,
    url: &'a str,
    headers: &'a [(&'a str, &'a [u8])],
    body: &'a [u8],
}

impl<'a> ReportRequest<'a> {
    /// `url` is the absolute URL as the vendor called it: the configured public origin with the path and
    /// query as received. `body` is the raw body.
    #[must_use]
    pub const fn new(
        method: &'a str,
        url: &'a str,
        headers: &'a [(&'a str, &'a [u8])],
        body: &'a [u8],
    ) -> Self {
        Self {
            method,
            url,
            headers,
            body,
        }
    }

    /// The method, in upper case as received.
    #[must_use]
    pub const fn method(&self) -> &'a str {
        self.method
    }

    /// The absolute URL as the vendor called it.
    #[must_use]
    pub const fn url(&self) -> &'a str {
        self.url
    }

    /// The raw body.
    #[must_use]
    pub const fn body(&self) -> &'a [u8] {
        self.body
    }

    /// The value of a header, whatever its case.
    ///
    /// # Errors
    ///
    /// [`ReportError::malformed`] where it stands there twice, or is not text: a signature must not be
    /// picked from several.
    pub fn header(&self, name: &str) -> Result<Option<&'a str>, ReportError> {
        let mut values = self
            .headers
            .iter()
            .filter(|(known, _)| known.eq_ignore_ascii_case(name));
        match (values.next(), values.next()) {
            (None, _) => Ok(None),
            (Some((_, value)), None) => str::from_utf8(value)
                .map(Some)
                .map_err(|_| ReportError::malformed("a header is not text")),
            (Some(_), Some(_)) => Err(ReportError::malformed("a header stands there twice")),
        }
    }
}

impl fmt::Debug for ReportRequest<'_> {
    /// Neither URL, headers nor body: they hold secrets, numbers and texts.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReportRequest")
            .field("method", &self.method)
            .field("body_length", &self.body.len())
            .finish_non_exhaustive()
    }
}

string_enum! {
    /// Why a request is not believed. [`ReportRequest`] says what to answer to each.
    #[non_exhaustive]
    pub enum ReportErrorKind("a kind of report error") {
        /// A signature or a secret that is not right.
        Forged = "forged",
        /// Believable, but not in a form that we can read.
        Malformed = "malformed",
        /// A signature from outside the time window.
        Stale = "stale",
        /// No signature, or no secret, at all.
        Unsigned = "unsigned",
    }
}

/// A request that is no believable report.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ReportError {
    kind: ReportErrorKind,
    message: &'static str,
}

impl ReportError {
    /// A signature or a secret that is not right.
    #[must_use]
    pub const fn forged(message: &'static str) -> Self {
        Self {
            kind: ReportErrorKind::Forged,
            message,
        }
    }

    /// Not in a form that we can read.
    #[must_use]
    pub const fn malformed(message: &'static str) -> Self {
        Self {
            kind: ReportErrorKind::Malformed,
            message,
        }
    }

    /// Signed outside the time window.
    #[must_use]
    pub const fn stale(message: &'static str) -> Self {
        Self {
            kind: ReportErrorKind::Stale,
            message,
        }
    }

    /// Without the signature or secret that it needs.
    #[must_use]
    pub const fn unsigned(message: &'static str) -> Self {
        Self {
            kind: ReportErrorKind::Unsigned,
            message,
        }
    }

    /// Why it is not believed.
    #[must_use]
    pub const fn kind(self) -> ReportErrorKind {
        self.kind
    }
}

impl fmt::Display for ReportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.message)
    }
}

impl std::error::Error for ReportError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_doubled_header_is_refused_and_case_does_not_count() {
        let headers: [(&str, &[u8]); 3] = [("X-Sig", b"1"), ("x-twice", b"1"), ("X-Twice", b"1")];
        let request = ReportRequest::new("POST", "https://example.test/", &headers, b"");
        assert_eq!(request.header("x-sig").unwrap(), Some("1"));
        assert_eq!(request.header("x-none").unwrap(), None);
        assert_eq!(
            request.header("x-twice").unwrap_err().kind(),
            ReportErrorKind::Malformed
        );
    }

    #[test]
    fn a_reference_that_is_not_ours_is_kept_as_text() {
        let report = || DeliveryReport::new("cm", DeliveryStatus::Delivered);
        let ours = report().with_reference_text("01J0000000000000000000000A");
        assert!(ours.reference.is_some() && ours.vendor_reference.is_none());
        let theirs = report().with_reference_text("my-ref");
        assert_eq!(theirs.vendor_reference.as_deref(), Some("my-ref"));
        assert!(theirs.reference.is_none() && !format!("{theirs:?}").contains("my-ref"));
        for nothing in ["", "  ", "a\u{1b}[31mb", &"x-".repeat(100)] {
            let report = report().with_reference_text(nothing);
            assert!(report.reference.is_none() && report.vendor_reference.is_none());
        }
    }

    #[test]
    fn debug_shows_no_content() {
        let headers: [(&str, &[u8]); 1] = [("authorization", b"secret")];
        let request =
            ReportRequest::new("POST", "https://example.test/secret", &headers, b"secret");
        assert!(!format!("{request:?}").contains("secret"));
    }
}
