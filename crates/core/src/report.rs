use std::{borrow::Cow, fmt, sync::Arc};

use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::{PhoneNumber, Price, Reference, string_enum::string_enum};

string_enum! {
    /// The delivery status of a message, in terms common to all vendors.
    #[non_exhaustive]
    pub enum DeliveryStatus("a delivery status") {
        /// Waiting: the phone is off or out of reach.
        Buffered = "buffered",
        /// Received by the phone.
        Delivered = "delivered",
        /// Not delivered within the validity period.
        Expired = "expired",
        /// Not delivered: the network gave up.
        Failed = "failed",
        /// Refused by a network or by the vendor.
        Rejected = "rejected",
        /// On its way to the phone.
        Sent = "sent",
        /// A status that this version does not know. It is never a failure.
        Unknown = "unknown",
    }
}

impl DeliveryStatus {
    /// Returns whether no other status follows.
    #[must_use]
    pub const fn is_final(self) -> bool {
        matches!(
            self,
            Self::Delivered | Self::Expired | Self::Failed | Self::Rejected
        )
    }
}

/// A vendor's report of the delivery of a message, or of one of its parts.
///
/// A message of several parts may have a report for each; [`Delivery`](crate::Delivery) combines them.
///
/// serde writes the fields below by their names; absent values are null. **The recipient is written as a whole
/// number**, which is personal data, and `vendor_reference` may be.
///
/// ```
/// # use postduif_core as postduif;
/// use postduif::{DeliveryReport, DeliveryStatus, Reference};
///
/// /// Returns the message to update and its new status, or `None` if the report is not about a message of ours.
/// fn update(report: &DeliveryReport) -> Option<(Reference, DeliveryStatus)> {
///     Some((report.reference?, report.status))
/// }
///
/// let report = DeliveryReport::new("kpn", DeliveryStatus::Delivered).with_reference_text("order42");
/// assert_eq!(update(&report), Some(("order42".parse()?, DeliveryStatus::Delivered)));
/// # Ok::<(), postduif::ParseError>(())
/// ```
#[derive(Clone, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct DeliveryReport {
    /// The provider's name, as in its profile.
    pub provider: Cow<'static, str>,
    /// The message's reference. Find the message by this, never by the number.
    pub reference: Option<Reference>,
    /// The reference as the vendor sent it, if it is not a valid [`Reference`]: the message is another system's on
    /// the same account. Up to 128 characters. `Debug` masks it.
    pub vendor_reference: Option<String>,
    /// The vendor's id of the message.
    pub id: Option<String>,
    /// The id or index of the part that the report is about. `None` if it is about the whole message, or the vendor
    /// does not say.
    pub part: Option<String>,
    /// The recipient.
    pub recipient: Option<PhoneNumber>,
    /// The delivery status.
    pub status: DeliveryStatus,
    /// The vendor's own code.
    pub code: Option<String>,
    /// When the message reached this status.
    pub at: Option<DateTime<Utc>>,
    /// The price.
    pub price: Option<Price>,
}

impl DeliveryReport {
    /// Creates a report of a status and nothing else.
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

    /// Sets the reference from the text that the vendor sent back.
    ///
    /// A valid [`Reference`] becomes [`reference`](Self::reference), any other text
    /// [`vendor_reference`](Self::vendor_reference). Blank texts, texts of more than 128 characters and texts with
    /// control characters are dropped.
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

/// Returns whether a vendor's text is not blank, not longer than this, and safe to print on a terminal.
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

/// A parser of one vendor's delivery reports, which accepts only verified requests.
///
/// A parser is always built with a secret, so that none exists that does not verify.
///
/// # Contract
///
/// `parse` verifies the raw bytes before it reads them, compares in constant time, and never takes the algorithm from
/// the request. It never panics. A status that it does not know is [`DeliveryStatus::Unknown`], not an error. A verified
/// request that holds only inbound texts or other events of the vendor is an empty list: an
/// [`InboundParser`](crate::InboundParser) reads texts, also at the same URL.
///
/// ```
/// # use postduif_core as postduif;
/// use postduif::{
///     Authenticity, DeliveryReport, DeliveryStatus, ReportError, ReportParser, ReportRequest,
///     chrono::{DateTime, Utc},
/// };
///
/// /// The reports of a vendor that does not sign: a secret is the last segment of the path.
/// #[derive(Debug)]
/// struct AcmeReports {
///     secret: Secret,
/// }
/// # // Compares in constant time, and `Debug` does not show it.
/// # struct Secret(String);
/// # impl Secret {
/// #     fn is(&self, other: &str) -> bool { self.0 == other }
/// # }
/// # impl std::fmt::Debug for Secret {
/// #     fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { f.write_str("•••") }
/// # }
///
/// impl ReportParser for AcmeReports {
///     fn authenticity(&self) -> Authenticity {
///         Authenticity::Unsigned
///     }
///
///     fn parse(
///         &self,
///         request: &ReportRequest<'_>,
///         _now: DateTime<Utc>,
///     ) -> Result<Vec<DeliveryReport>, ReportError> {
///         let (path, query) = request.url().split_once('?').unwrap_or((request.url(), ""));
///         if !self.secret.is(path.rsplit('/').next().unwrap_or_default()) {
///             return Err(ReportError::forged("wrong secret"));
///         }
///         let (reference, status) = query
///             .split_once('=')
///             .ok_or(ReportError::malformed("the report has no status"))?;
///         let status = match status {
///             "delivered" => DeliveryStatus::Delivered,
///             "failed" => DeliveryStatus::Failed,
///             _ => DeliveryStatus::Unknown,
///         };
///         Ok(vec![DeliveryReport::new("acme", status).with_reference_text(reference)])
///     }
/// }
///
/// let parser = AcmeReports { secret: Secret("s3cret".into()) };
/// let url = "https://hooks.example.com/reports/acme/s3cret?order42=delivered";
/// let reports = parser.parse(&ReportRequest::new("GET", url, &[], b""), DateTime::UNIX_EPOCH)?;
/// assert_eq!(reports[0].status, DeliveryStatus::Delivered);
/// # Ok::<(), ReportError>(())
/// ```
pub trait ReportParser: fmt::Debug + Send + Sync + 'static {
    /// Returns what the vendor's signature proves.
    fn authenticity(&self) -> Authenticity;

    /// Verifies a request and reads its reports. A signature is too old or not as of `now`.
    ///
    /// # Errors
    ///
    /// Returns an error if the request cannot be verified or read. Use nothing of such a request.
    fn parse(
        &self,
        request: &ReportRequest<'_>,
        now: DateTime<Utc>,
    ) -> Result<Vec<DeliveryReport>, ReportError>;

    /// Returns the response to a request with this result: status and body.
    ///
    /// Send it once the reports are stored; if they cannot be, respond 503, and the vendor repeats the request.
    ///
    /// Defaults to 200 and `OK` for reports, and for a verified request that cannot be read, since repeating it does
    /// not help; and to 401 for all others.
    fn reply(&self, result: &Result<Vec<DeliveryReport>, ReportError>) -> (u16, &'static str) {
        default_reply(result)
    }
}

const _: fn(&dyn ReportParser) = |_| {};

impl<P: ReportParser + ?Sized> ReportParser for Arc<P> {
    fn authenticity(&self) -> Authenticity {
        (**self).authenticity()
    }

    fn parse(
        &self,
        request: &ReportRequest<'_>,
        now: DateTime<Utc>,
    ) -> Result<Vec<DeliveryReport>, ReportError> {
        (**self).parse(request, now)
    }

    fn reply(&self, result: &Result<Vec<DeliveryReport>, ReportError>) -> (u16, &'static str) {
        (**self).reply(result)
    }
}

/// Returns the response to a request, for a vendor that expects nothing in particular.
pub(crate) fn default_reply<T>(result: &Result<Vec<T>, ReportError>) -> (u16, &'static str) {
    match result {
        Err(error) if error.kind() != ReportErrorKind::Malformed => (401, ""),
        _ => (200, "OK"),
    }
}

string_enum! {
    /// What a vendor's signature on its delivery reports and inbound messages proves.
    #[expect(clippy::exhaustive_enums, reason = "a route must decide on each of them")]
    pub enum Authenticity("an authenticity") {
        /// The signature covers the body but neither the URL nor the time. Put a secret of your own in the path.
        BodyOnly = "body_only",
        /// The signature covers everything that is read.
        Signed = "signed",
        /// The vendor does not sign. A secret of your own in the path is the only proof.
        Unsigned = "unsigned",
    }
}

/// An HTTP request with delivery reports or inbound messages, borrowed from the server that received it.
///
/// # A route
///
/// Pass on the raw body, all headers, and the URL as the vendor called it. [`ReportParser::reply`] is the response that
/// the vendor expects:
///
/// | result | response | reason |
/// |---|---|---|
/// | reports, stored | 200, body `OK` | classic MessageBird requires the body; the others any success |
/// | reports, not stored | 503, which is yours to send | the vendor repeats the request |
/// | [`Malformed`](ReportErrorKind::Malformed) | 200, body `OK` | verified, but repeating it does not help: log it |
/// | [`Forged`](ReportErrorKind::Forged) | 401 | wrong signature or secret |
/// | [`Unsigned`](ReportErrorKind::Unsigned), [`Stale`](ReportErrorKind::Stale) | 401, for Vonage's Messages API 503 | Vonage signs a request again after a 5xx |
///
/// Reports may be repeated and arrive out of order; [`Delivery`](crate::Delivery) combines them. By their
/// documentation, vendors repeat a request without a successful response as follows:
///
/// | vendor | repeats |
/// |---|---|
/// | CM.com | for 7 days |
/// | KPN | three times, after 60, 120 and 240 seconds |
/// | MessageBird, channels | for 8 hours |
/// | Twilio | once, and only after a connection failure |
/// | a gateway of your own | as it decides; until the response is 2xx, by its specification |
/// | Vonage, Messages | on 429 and 5xx only, for 24 hours |
/// | the others | not documented |
///
/// If the vendor does not sign everything ([`ReportParser::authenticity`]), the last segment of the path is a secret of
/// yours. **Keep the path out of access logs** and traces.
///
/// ```
/// # use postduif_core as postduif;
/// use std::time::SystemTime;
/// use postduif::{DeliveryReport, ReportParser, ReportRequest};
///
/// /// Returns status and body of the response. `store` returns whether it stored the reports.
/// fn respond(
///     parser: &dyn ReportParser,
///     request: &ReportRequest<'_>,
///     store: impl FnOnce(&[DeliveryReport]) -> bool,
/// ) -> (u16, &'static str) {
///     let result = parser.parse(request, SystemTime::now().into());
///     match &result {
///         Ok(reports) if !store(reports) => (503, ""),
///         _ => parser.reply(&result),
///     }
/// }
/// ```
///
/// [`from_http`](Self::from_http) takes the request of a web server. `cargo run --example report_routes` is a complete
/// service with axum.
#[derive(Clone)]
pub struct ReportRequest<'a> {
    method: &'a str,
    url: Cow<'a, str>,
    headers: Cow<'a, [(&'a str, &'a [u8])]>,
    body: &'a [u8],
}

impl<'a> ReportRequest<'a> {
    /// Creates a request from its parts.
    ///
    /// `url` is the absolute URL as the vendor called it: the configured public origin with the received path and
    /// query. `body` is the raw body.
    #[must_use]
    pub const fn new(
        method: &'a str,
        url: &'a str,
        headers: &'a [(&'a str, &'a [u8])],
        body: &'a [u8],
    ) -> Self {
        Self {
            method,
            url: Cow::Borrowed(url),
            headers: Cow::Borrowed(headers),
            body,
        }
    }

    /// Creates a request from the parts that a web server received: axum, hyper, actix-web, or any other with the types
    /// of the crate `http` or similar ones.
    ///
    /// `origin` is scheme and host of your public URL, such as `https://hooks.example.com`. It is configured, since the
    /// host of a request proves nothing. `target` is the path with the query as the vendor called it; of an absolute
    /// URL, as HTTP/2 has it, the host is dropped. Behind nested routers take the original one (`OriginalUri` in axum),
    /// behind a proxy that changes the path the public one. `body` is the raw body.
    ///
    /// ```
    /// # use postduif_core as postduif;
    /// use postduif::ReportRequest;
    ///
    /// // As `parts.headers` of an `http::Request`, or `request.headers()` in actix-web.
    /// let headers = [("content-type", "application/json")];
    /// let headers = headers.iter().map(|(name, value)| (name, value));
    /// let origin = "https://hooks.example.com";
    /// let request = ReportRequest::from_http(origin, "POST", "/reports/kpn/s3cret?reference=a1", headers, b"{}");
    /// assert_eq!(request.url(), "https://hooks.example.com/reports/kpn/s3cret?reference=a1");
    /// assert_eq!(request.header("Content-Type"), Ok(Some("application/json")));
    /// ```
    #[must_use]
    pub fn from_http<N, V>(
        origin: &str,
        method: &'a str,
        target: &str,
        headers: impl IntoIterator<Item = (&'a N, &'a V)>,
        body: &'a [u8],
    ) -> Self
    where
        N: AsRef<str> + ?Sized + 'a,
        V: AsRef<[u8]> + ?Sized + 'a,
    {
        let path = if target.starts_with(['/', '?']) {
            target
        } else {
            // An absolute URL, or something that must not become a part of the host.
            let rest = target.split_once("://").map_or(target, |(_, rest)| rest);
            rest.find(['/', '?']).map_or("", |start| &rest[start..])
        };
        let headers = headers
            .into_iter()
            .map(|(name, value)| (name.as_ref(), value.as_ref()))
            .collect();
        Self {
            method,
            url: format!("{}{path}", origin.trim_end_matches('/')).into(),
            headers: Cow::Owned(headers),
            body,
        }
    }

    /// Returns the method, as received.
    #[must_use]
    pub const fn method(&self) -> &'a str {
        self.method
    }

    /// Returns the absolute URL, as the vendor called it.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Returns the raw body.
    #[must_use]
    pub const fn body(&self) -> &'a [u8] {
        self.body
    }

    /// Returns the value of a header, or `None` if there is none. Names are case-insensitive.
    ///
    /// # Errors
    ///
    /// Returns [`Forged`](ReportErrorKind::Forged) if the header is duplicated or not UTF-8: a signature must not be one
    /// of several.
    pub fn header(&self, name: &str) -> Result<Option<&'a str>, ReportError> {
        let mut values = self
            .headers
            .iter()
            .filter(|(known, _)| known.eq_ignore_ascii_case(name));
        match (values.next(), values.next()) {
            (None, _) => Ok(None),
            (Some((_, value)), None) => str::from_utf8(value)
                .map(Some)
                .map_err(|_| ReportError::forged("invalid header: not UTF-8")),
            (Some(_), Some(_)) => Err(ReportError::forged("duplicate header")),
        }
    }
}

impl fmt::Debug for ReportRequest<'_> {
    /// Leaves out the URL, the headers and the body, which hold secrets and personal data.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReportRequest")
            .field("method", &self.method)
            .field("body_length", &self.body.len())
            .finish_non_exhaustive()
    }
}

string_enum! {
    /// Why a request was refused. [`ReportRequest`] shows the response to each.
    #[non_exhaustive]
    pub enum ReportErrorKind("a kind of report error") {
        /// The signature or the secret is wrong, or cannot be read.
        Forged = "forged",
        /// The request is verified, but cannot be read.
        Malformed = "malformed",
        /// The signature is outside its time window.
        Stale = "stale",
        /// The request has no signature or no secret.
        Unsigned = "unsigned",
    }
}

/// An error for a request that is not verified, or cannot be read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ReportError {
    kind: ReportErrorKind,
    message: &'static str,
}

impl ReportError {
    /// Creates an error for a wrong signature or secret.
    #[must_use]
    pub const fn forged(message: &'static str) -> Self {
        Self {
            kind: ReportErrorKind::Forged,
            message,
        }
    }

    /// Creates an error for a request that cannot be read.
    #[must_use]
    pub const fn malformed(message: &'static str) -> Self {
        Self {
            kind: ReportErrorKind::Malformed,
            message,
        }
    }

    /// Creates an error for a signature outside its time window.
    #[must_use]
    pub const fn stale(message: &'static str) -> Self {
        Self {
            kind: ReportErrorKind::Stale,
            message,
        }
    }

    /// Creates an error for a request without a signature or secret.
    #[must_use]
    pub const fn unsigned(message: &'static str) -> Self {
        Self {
            kind: ReportErrorKind::Unsigned,
            message,
        }
    }

    /// Returns why the request was refused.
    #[must_use]
    pub const fn kind(self) -> ReportErrorKind {
        self.kind
    }
}

impl fmt::Display for ReportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.message)
    }
}

impl std::error::Error for ReportError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duplicate_header_is_refused_whatever_its_case() {
        let headers: [(&str, &[u8]); 3] = [("X-Sig", b"1"), ("x-twice", b"1"), ("X-Twice", b"1")];
        let request = ReportRequest::new("POST", "https://example.test/", &headers, b"");
        assert_eq!(request.header("x-sig").unwrap(), Some("1"));
        assert_eq!(request.header("x-none").unwrap(), None);
        assert_eq!(
            request.header("x-twice").unwrap_err().kind(),
            ReportErrorKind::Forged
        );
    }

    #[derive(Debug)]
    struct Plain;

    impl ReportParser for Plain {
        fn authenticity(&self) -> Authenticity {
            Authenticity::Signed
        }

        fn parse(
            &self,
            _: &ReportRequest<'_>,
            _: DateTime<Utc>,
        ) -> Result<Vec<DeliveryReport>, ReportError> {
            Ok(Vec::new())
        }
    }

    #[test]
    fn a_request_that_is_not_verified_never_gets_a_successful_response() {
        for (result, expected) in [
            (Ok(Vec::new()), (200, "OK")),
            (Err(ReportError::malformed("x")), (200, "OK")),
            (Err(ReportError::forged("x")), (401, "")),
            (Err(ReportError::stale("x")), (401, "")),
            (Err(ReportError::unsigned("x")), (401, "")),
        ] {
            assert_eq!(Plain.reply(&result), expected, "{result:?}");
        }
    }

    #[test]
    fn the_host_of_a_received_request_is_never_taken() {
        for (target, expected) in [
            ("/r/s?a=1", "https://hooks.example.com/r/s?a=1"),
            (
                "http://evil.example/r?u=http://x/y",
                "https://hooks.example.com/r?u=http://x/y",
            ),
            (
                "/r?u=http://x/y",
                "https://hooks.example.com/r?u=http://x/y",
            ),
            ("https://evil.example", "https://hooks.example.com"),
            ("https://evil.example?a=1", "https://hooks.example.com?a=1"),
            ("a+b-c.d://evil/x", "https://hooks.example.com/x"),
            (
                "//evil.example/x",
                "https://hooks.example.com//evil.example/x",
            ),
            ("@evil.example/x", "https://hooks.example.com/x"),
            (".evil.example/x", "https://hooks.example.com/x"),
            (":443@evil.example/", "https://hooks.example.com/"),
            ("evil.example:443", "https://hooks.example.com"),
            ("*", "https://hooks.example.com"),
        ] {
            let headers: [(&String, &Vec<u8>); 0] = [];
            let origin = "https://hooks.example.com/";
            let request = ReportRequest::from_http(origin, "POST", target, headers, b"");
            assert_eq!(request.url(), expected);
        }
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
