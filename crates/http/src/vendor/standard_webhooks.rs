use std::{fmt, time::Duration};

use base64::{
    Engine as _,
    prelude::{BASE64_STANDARD, BASE64_STANDARD_NO_PAD},
};
use chrono::{DateTime, Utc};
use postduif_core::{ConfigError, ReportError, ReportRequest};
use ring::hmac;
use secrecy::{ExposeSecret as _, SecretString, zeroize::Zeroizing};

use crate::{
    Request,
    vendor::reports::{check_time, proof_header},
};

const ID: &str = "webhook-id";
const TIMESTAMP: &str = "webhook-timestamp";
const SIGNATURE: &str = "webhook-signature";
/// The tolerance for the time of a signature, as in the libraries of Standard Webhooks.
const WINDOW: Duration = Duration::from_secs(300);
/// The maximum number of signatures of one request that are tried.
const MAX_SIGNATURES: usize = 16;

/// The secrets of [Standard Webhooks](https://www.standardwebhooks.com), which sign a request over its id, time and
/// body with HMAC-SHA256: several while one is being replaced.
///
/// The signature does not cover the URL. `webhook-id` identifies duplicates.
#[derive(Clone)]
pub struct WebhookSecrets(
    /// At least one.
    Vec<hmac::Key>,
);

impl WebhookSecrets {
    /// Creates a set of secrets from their written form: `whsec_` and base64, with or without its padding.
    ///
    /// # Errors
    ///
    /// Returns an error with the text `missing`, which says what is expected, if there is no secret or one has another
    /// form.
    pub fn new(
        secrets: impl IntoIterator<Item = SecretString>,
        missing: &'static str,
    ) -> Result<Self, ConfigError> {
        let keys: Option<Vec<_>> = secrets.into_iter().map(|secret| key(&secret)).collect();
        match keys {
            Some(keys) if !keys.is_empty() => Ok(Self(keys)),
            _ => Err(ConfigError::new(missing)),
        }
    }

    /// Signs a request with the first of the secrets. Set the body before: it is signed as it is now.
    #[must_use]
    pub fn sign(&self, request: Request, id: &str, at: DateTime<Utc>) -> Request {
        let timestamp = at.timestamp().to_string();
        let signature = signature(&self.0[0], id, &timestamp, request.body());
        request
            .with_header(ID, id)
            .with_header(TIMESTAMP, &timestamp)
            .with_header(SIGNATURE, &signature)
    }

    /// Verifies that any of the secrets signed a report, at most five minutes before or after `now`.
    ///
    /// The first 16 signatures of its header are tried. Those of other schemes than `v1` are skipped.
    ///
    /// # Errors
    ///
    /// Returns `Unsigned` if one of the three headers is missing or empty, `Forged` if one is a duplicate or none of the
    /// secrets made a signature, `Malformed` if the signed time is not a number, and `Stale` if it is outside the window.
    pub fn verify(
        &self,
        request: &ReportRequest<'_>,
        now: DateTime<Utc>,
    ) -> Result<(), ReportError> {
        let header = |name| match proof_header(request, name)? {
            "" => Err(ReportError::unsigned("the request has no signature")),
            value => Ok(value),
        };
        let (id, timestamp, signatures) = (header(ID)?, header(TIMESTAMP)?, header(SIGNATURE)?);
        let signed = signed(id, timestamp, request.body());
        let tags = signatures
            .split_ascii_whitespace()
            .filter_map(|entry| BASE64_STANDARD.decode(entry.strip_prefix("v1,")?).ok());
        // All are tried, so that the time does not reveal which one it was.
        let is_signed = tags.take(MAX_SIGNATURES).fold(false, |found, tag| {
            self.0.iter().fold(found, |found, key| {
                hmac::verify(key, &signed, &tag).is_ok() | found
            })
        });
        if !is_signed {
            return Err(ReportError::forged(
                "the request is not signed with our secret",
            ));
        }
        check_time(timestamp, now, WINDOW)
    }
}

/// Returns the key of a secret. `None` if it is not `whsec_` and base64, or has no bytes.
fn key(secret: &SecretString) -> Option<hmac::Key> {
    let text = secret.expose_secret().strip_prefix("whsec_")?;
    let decoded = BASE64_STANDARD_NO_PAD.decode(text.trim_end_matches('='));
    let key = Zeroizing::new(decoded.ok()?);
    (!key.is_empty()).then(|| hmac::Key::new(hmac::HMAC_SHA256, &key))
}

fn signature(key: &hmac::Key, id: &str, timestamp: &str, body: &[u8]) -> String {
    let tag = hmac::sign(key, &signed(id, timestamp, body));
    format!("v1,{}", BASE64_STANDARD.encode(tag))
}

fn signed(id: &str, timestamp: &str, body: &[u8]) -> Vec<u8> {
    [id.as_bytes(), b".", timestamp.as_bytes(), b".", body].concat()
}

impl fmt::Debug for WebhookSecrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebhookSecrets").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use postduif_core::ReportErrorKind::{self, Forged, Stale, Unsigned};

    use super::*;

    /// The example that the tests of all libraries share: `libraries/javascript/src/webhook.test.ts` of
    /// `standard-webhooks/standard-webhooks` at `b2fa7b8`, "sign function works".
    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    const MESSAGE: &str = "msg_p5jXN8AQM9LWM0D4loKWxJek";
    const TIME: i64 = 1_614_265_330;
    const BODY: &[u8] = br#"{"test": 2432232314}"#;
    const PUBLISHED: &str = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";

    fn secrets(secrets: &[&str]) -> Result<WebhookSecrets, ConfigError> {
        WebhookSecrets::new(
            secrets.iter().map(|&secret| secret.into()),
            "expected whsec_",
        )
    }

    fn verify(headers: &[(&str, &str)], now: i64) -> Option<ReportErrorKind> {
        let headers: Vec<_> = headers
            .iter()
            .map(|&(name, value)| (name, value.as_bytes()))
            .collect();
        let request = ReportRequest::new("POST", "https://x.test/", &headers, BODY);
        let now = DateTime::from_timestamp(now, 0).unwrap();
        // The first is being replaced.
        let secrets = secrets(&["whsec_b2xkZXI=", SECRET]).unwrap();
        secrets
            .verify(&request, now)
            .err()
            .map(|error| error.kind())
    }

    fn published(signature: &str, now: i64) -> Option<ReportErrorKind> {
        let time = TIME.to_string();
        let headers = [(ID, MESSAGE), (TIMESTAMP, &time), (SIGNATURE, signature)];
        verify(&headers, now)
    }

    #[test]
    fn the_published_example_is_signed_and_verified() {
        let key = key(&SECRET.into()).unwrap();
        assert_eq!(signature(&key, MESSAGE, &TIME.to_string(), BODY), PUBLISHED);
        assert_eq!(published(PUBLISHED, TIME), None);
    }

    #[test]
    fn one_of_several_signatures_is_enough_and_other_schemes_are_skipped() {
        let other = "v1,Ceo5qEr07ixe2NLpvHk3FH9bwy/WavXrAFQ/9tdO6mc= v2,x v1a,y= ,";
        for (signature, kind) in [
            (format!("{other} {PUBLISHED}"), None),
            (format!("{PUBLISHED} {other}"), None),
            (format!("{}{PUBLISHED}", "v1,AAAA ".repeat(15)), None),
            (
                format!("{}{PUBLISHED}", "v1,AAAA ".repeat(16)),
                Some(Forged),
            ),
            (other.to_owned(), Some(Forged)),
            (PUBLISHED.replace("v1,", "v2,"), Some(Forged)),
            (PUBLISHED.replace("v1,", ""), Some(Forged)),
            (PUBLISHED.replace("OE=", "OF="), Some(Forged)),
            (String::new(), Some(Unsigned)),
        ] {
            assert_eq!(published(&signature, TIME), kind, "{signature}");
        }
    }

    #[test]
    fn the_window_is_five_minutes_on_both_sides() {
        for (offset, kind) in [
            (-301, Some(Stale)),
            (-300, None),
            (300, None),
            (301, Some(Stale)),
        ] {
            assert_eq!(published(PUBLISHED, TIME + offset), kind, "{offset}");
        }
    }

    #[test]
    fn every_header_is_needed_once() {
        let all = [
            (ID, MESSAGE),
            (TIMESTAMP, "1614265330"),
            (SIGNATURE, PUBLISHED),
        ];
        for index in 0..all.len() {
            let mut headers = all.to_vec();
            headers.remove(index);
            assert_eq!(verify(&headers, TIME), Some(Unsigned));
            headers.insert(index, (all[index].0, ""));
            assert_eq!(verify(&headers, TIME), Some(Unsigned));
            headers[index].1 = "x";
            assert_eq!(verify(&headers, TIME), Some(Forged));
            headers[index] = all[index];
            headers.push(all[index]);
            assert_eq!(verify(&headers, TIME), Some(Forged));
        }
    }

    #[test]
    fn a_secret_is_whsec_and_base64() {
        for good in [SECRET, "whsec_YQ==", "whsec_YQ"] {
            assert!(secrets(&[good]).is_ok(), "{good}");
        }
        for bad in [
            &[][..],
            &["MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"],
            &["whsec_"],
            &["whsec_=="],
            &["whsec_a b"],
            &["whsk_YQ=="],
            &[SECRET, ""],
        ] {
            let error = secrets(bad).unwrap_err();
            assert_eq!(error.to_string(), "expected whsec_", "{bad:?}");
        }
        let shown = format!("{:?}", secrets(&[SECRET]).unwrap());
        assert_eq!(shown, "WebhookSecrets { .. }");
    }
}
