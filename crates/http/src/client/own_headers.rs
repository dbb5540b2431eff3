//! Headers that the program adds to requests, such as `traceparent`.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use reqwest::header::{
    AUTHORIZATION, CONNECTION, COOKIE, EXPECT, HOST, HeaderMap, HeaderName, HeaderValue, TE,
    TRAILER, TRANSFER_ENCODING, UPGRADE, USER_AGENT,
};

/// Adds the program's headers to those of a request.
pub(crate) type OwnHeaders = Arc<dyn Fn(&mut HeaderMap) + Send + Sync>;

/// The most headers that the program adds to a request.
const MOST: usize = 16;
/// The longest value, in bytes: that of a W3C `baggage` in full.
const LONGEST: usize = 8192;

/// Adds what the function returns, except what is reserved or invalid: a trace must not stop a text.
pub(crate) fn own_headers<H, N, V>(headers: impl Fn() -> H + Send + Sync + 'static) -> OwnHeaders
where
    H: IntoIterator<Item = (N, V)>,
    N: AsRef<str>,
    V: AsRef<str>,
{
    Arc::new(move |request| {
        let add = || {
            for (name, value) in headers().into_iter().take(MOST) {
                let name = HeaderName::from_bytes(name.as_ref().as_bytes());
                let value = HeaderValue::from_str(value.as_ref());
                if let (Ok(name), Ok(value)) = (name, value)
                    && value.len() <= LONGEST
                    && !is_reserved(&name)
                    && !request.contains_key(&name)
                {
                    request.insert(name, value);
                }
            }
        };
        // Each header is added in one step.
        let _ = catch_unwind(AssertUnwindSafe(add));
    })
}

/// Returns whether a header says who asks, where it goes, or how the message is to be read.
fn is_reserved(name: &HeaderName) -> bool {
    let reserved = [
        AUTHORIZATION,
        CONNECTION,
        COOKIE,
        EXPECT,
        HOST,
        TE,
        TRAILER,
        TRANSFER_ENCODING,
        UPGRADE,
        USER_AGENT,
    ];
    let families = ["accept", "content-", "if-", "keep-alive", "proxy-", "range"];
    reserved.contains(name)
        || families
            .iter()
            .any(|&family| name.as_str().starts_with(family))
}
