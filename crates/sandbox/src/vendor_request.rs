//! The requests that vendors send, and their encoding.

use std::fmt;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// A request that a vendor sends to a URL of its customer: a delivery report, or an inbound text.
///
/// `Debug` leaves out the URL, the text and the number.
#[derive(Clone)]
#[non_exhaustive]
pub struct VendorRequest {
    /// The method, `GET` or `POST`.
    pub method: &'static str,
    /// The whole URL, including what the vendor appends to the query.
    pub url: String,
    /// The headers, in order, without those of the connection.
    pub headers: Vec<(&'static str, String)>,
    /// The body, which is empty for a GET.
    pub body: String,
}

impl VendorRequest {
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

impl fmt::Debug for VendorRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.headers.iter().map(|(name, _)| name).collect();
        f.debug_struct("VendorRequest")
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
