//! Signatures that Twilio published, and that its official libraries make and take: npm `twilio` 6.3.1 and PyPI `twilio`
//! 9.13.0, run on these requests.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use postduif_core::{
    DeliveryReport, DeliveryStatus, ReportError, ReportErrorKind, ReportParser as _, ReportRequest,
    chrono::DateTime,
};
use postduif_twilio::TwilioReports;
use ring::hmac;

const TOKEN: &str = "hunter2-auth-token";
const BODY: &str =
    "MessageSid=SM0123456789abcdef0123456789abcdef&MessageStatus=delivered&To=%2B31612345678";
const FORM: (&str, &str) = ("Content-Type", "application/x-www-form-urlencoded");

/// Signs as the page on security describes it.
pub(crate) fn sign(secret: &str, text: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, secret.as_bytes());
    BASE64_STANDARD.encode(hmac::sign(&key, text.as_bytes()))
}

/// Reads a request that was signed with [`TOKEN`].
pub(crate) fn parse(
    secrets: &[&str],
    method: &str,
    url: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Result<Vec<DeliveryReport>, ReportError> {
    let secrets = secrets.iter().map(|secret| (*secret).into()).collect();
    let headers: Vec<_> = headers
        .iter()
        .map(|(name, value)| (*name, value.as_bytes()))
        .collect();
    let request = ReportRequest::new(method, url, &headers, body.as_bytes());
    TwilioReports::new(secrets)
        .unwrap()
        .parse(&request, DateTime::UNIX_EPOCH)
}

/// The example of <https://www.twilio.com/docs/usage/security>, which the tests of the official libraries have too.
#[test]
fn the_published_example_is_verified() {
    let url = "https://mycompany.com/myapp.php?foo=1&bar=2";
    let body = "Digits=1234&To=%2B18005551212&From=%2B14158675309&Caller=%2B14158675309\
                &CallSid=CA1234567890ABCDE";
    let signature = ("X-Twilio-Signature", "RSOYDt4T1cUTdK1PDd93/VVr8B8=");
    let error = |secret, url, body| {
        let parsed = parse(&[secret], "POST", url, &[FORM, signature], body);
        parsed.unwrap_err()
    };
    // It is of a call, so that nothing but its status is wrong with it.
    let verified = error("12345", url, body);
    assert_eq!(verified, ReportError::malformed("the report has no status"));
    for (secret, url, body) in [
        ("12346", url, body),
        ("12345", "https://mycompany.com/myapp.php?foo=1&bar=3", body),
        ("12345", url, &body.replace("1234&", "1235&")),
    ] {
        assert_eq!(error(secret, url, body).kind(), ReportErrorKind::Forged);
    }
}

#[test]
fn what_both_official_validators_take_is_verified_and_nothing_else() {
    let taken = VECTORS.iter().filter(|vector| vector.5).count();
    assert!((20..VECTORS.len() - 10).contains(&taken), "{taken}");
    for (url, signed, more, algorithm, signature, is_taken) in VECTORS {
        let settings = format!("key=webhooks_sharedkey_1,algorithm={algorithm}");
        let headers = [
            FORM,
            ("X-Twilio-Signature", signature),
            ("X-Twilio-Webhooks-Signature-Settings", &settings),
        ];
        let headers = match *algorithm {
            "" => &headers[..2],
            _ => &headers,
        };
        let parsed = parse(&[TOKEN], "POST", url, headers, &format!("{BODY}{more}"));
        let what = format!("{url} signed as {signed}");
        match parsed {
            Ok(reports) => {
                assert!(is_taken, "{what}");
                assert_eq!(reports[0].status, DeliveryStatus::Delivered, "{what}");
            }
            Err(error) => {
                assert!(!is_taken, "{what}: {error}");
                assert_eq!(error.kind(), ReportErrorKind::Forged, "{what}");
            }
        }
    }
}

#[test]
fn a_json_body_is_signed_by_its_hash_in_the_url() {
    let url = "https://hooks.example.com/t?reference=order42\
               &bodySHA256=dc2258e4a020db93938f1f9f391df93c029c22db97cc2bcab82f592f548a4f31";
    let body = r#"{"MessageSid":"SM0123456789abcdef0123456789abcdef","MessageStatus":"delivered"}"#;
    let signature = ("X-Twilio-Signature", "TS0NpVcipdhZTrINLDRrh0vxURg=");
    let json = ("content-type", "application/json; charset=utf-8");
    let read = parse(&[TOKEN], "POST", url, &[json, signature], body).unwrap();
    assert_eq!(read[0].status, DeliveryStatus::Delivered);
    assert_eq!(read[0].reference.unwrap().as_str(), "order42");

    let other = body.replace("delivered", "undelivered");
    let error = parse(&[TOKEN], "POST", url, &[json, signature], &other).unwrap_err();
    assert_eq!(error.kind(), ReportErrorKind::Forged);
    // Where the body is a form its parameters are signed, and here they were not.
    let error = parse(&[TOKEN], "POST", url, &[FORM, signature], BODY).unwrap_err();
    assert_eq!(error.kind(), ReportErrorKind::Forged);
}

/// A URL as it was received, the URL that was signed, what the body has beside [`BODY`], the algorithm, the signature,
/// and whether both validators take it.
type Vector = (
    &'static str,
    &'static str,
    &'static str,
    &'static str,
    &'static str,
    bool,
);

const VECTORS: &[Vector] = &[
    (
        "https://hooks.example.com/t?reference=order42",
        "https://hooks.example.com/t?reference=order42",
        "",
        "",
        "AsRMkfwDurTyCTLHlzCF69/Z2y8=",
        true,
    ),
    (
        "https://hooks.example.com/t?reference=order42",
        "https://hooks.example.com:443/t?reference=order42",
        "",
        "",
        "XXrla2CfS85LrERgb+6fAxYvuZk=",
        true,
    ),
    (
        "https://hooks.example.com:443/t?reference=order42",
        "https://hooks.example.com/t?reference=order42",
        "",
        "",
        "AsRMkfwDurTyCTLHlzCF69/Z2y8=",
        true,
    ),
    (
        "https://hooks.example.com:443/t?reference=order42",
        "https://hooks.example.com:443/t?reference=order42",
        "",
        "",
        "XXrla2CfS85LrERgb+6fAxYvuZk=",
        true,
    ),
    (
        "https://hooks.example.com:8443/t?reference=order42",
        "https://hooks.example.com/t?reference=order42",
        "",
        "",
        "AsRMkfwDurTyCTLHlzCF69/Z2y8=",
        true,
    ),
    (
        "https://hooks.example.com:8443/t?reference=order42",
        "https://hooks.example.com:8443/t?reference=order42",
        "",
        "",
        "64fnPYdDkEg1UEUJJiUC9hN3YBA=",
        true,
    ),
    (
        "https://hooks.example.com:8443/t?reference=order42",
        "https://hooks.example.com:443/t?reference=order42",
        "",
        "",
        "XXrla2CfS85LrERgb+6fAxYvuZk=",
        false,
    ),
    (
        "https://hooks.example.com/t?reference=order42",
        "https://hooks.example.com:8443/t?reference=order42",
        "",
        "",
        "64fnPYdDkEg1UEUJJiUC9hN3YBA=",
        false,
    ),
    (
        "https://hooks.example.com/t?reference=order42",
        "https://hooks.example.com:80/t?reference=order42",
        "",
        "",
        "Tq3v0izvLbjY23PtfuNbxpg2v9U=",
        false,
    ),
    (
        "http://hooks.example.com/t?reference=order42",
        "http://hooks.example.com/t?reference=order42",
        "",
        "",
        "CADWRm19KeXu3xerUAHPkmsBD3Y=",
        true,
    ),
    (
        "http://hooks.example.com/t?reference=order42",
        "http://hooks.example.com:80/t?reference=order42",
        "",
        "",
        "AdtJGVn7jukNClKVRbDjyGNrLcI=",
        true,
    ),
    (
        "http://hooks.example.com/t?reference=order42",
        "http://hooks.example.com:443/t?reference=order42",
        "",
        "",
        "M3XXlJEupho6Kr0goaCBOwpai4w=",
        false,
    ),
    (
        "http://hooks.example.com:8080/t?reference=order42",
        "http://hooks.example.com/t?reference=order42",
        "",
        "",
        "CADWRm19KeXu3xerUAHPkmsBD3Y=",
        true,
    ),
    (
        "http://hooks.example.com/t?reference=order42",
        "https://hooks.example.com/t?reference=order42",
        "",
        "",
        "AsRMkfwDurTyCTLHlzCF69/Z2y8=",
        false,
    ),
    (
        "https://u:p@hooks.example.com/t?reference=order42",
        "https://u:p@hooks.example.com/t?reference=order42",
        "",
        "",
        "PyKcWKHI7B18VEgCfwA9wyZ0pn0=",
        true,
    ),
    (
        "https://u:p@hooks.example.com/t?reference=order42",
        "https://u:p@hooks.example.com:443/t?reference=order42",
        "",
        "",
        "ID7Zw+HK0MTEd0ldHtjEUJ5EBLA=",
        true,
    ),
    (
        "https://u:p@hooks.example.com:8443/t?reference=order42",
        "https://u:p@hooks.example.com:8443/t?reference=order42",
        "",
        "",
        "iSVGIKViqKJfmZklq687cx45RyY=",
        true,
    ),
    (
        "https://u:p@hooks.example.com:8443/t?reference=order42",
        "https://u:p@hooks.example.com/t?reference=order42",
        "",
        "",
        "PyKcWKHI7B18VEgCfwA9wyZ0pn0=",
        false,
    ),
    (
        "https://u:p@hooks.example.com/t?reference=order42",
        "https://hooks.example.com/t?reference=order42",
        "",
        "",
        "AsRMkfwDurTyCTLHlzCF69/Z2y8=",
        false,
    ),
    (
        "https://[2001:db8::1]/t?reference=order42",
        "https://[2001:db8::1]/t?reference=order42",
        "",
        "",
        "kP+TLTrBGdmyX7nssYsL7Z1EKhg=",
        true,
    ),
    (
        "https://[2001:db8::1]/t?reference=order42",
        "https://[2001:db8::1]:443/t?reference=order42",
        "",
        "",
        "ZmcLPhDtaXrXO8fngDjjAvjE9+g=",
        true,
    ),
    (
        "https://[2001:db8::1]:8443/t?reference=order42",
        "https://[2001:db8::1]:8443/t?reference=order42",
        "",
        "",
        "NABNGD/jo+HVIEks8cXnaLNjr0A=",
        true,
    ),
    (
        "https://[2001:db8::1]:8443/t?reference=order42",
        "https://[2001:db8::1]/t?reference=order42",
        "",
        "",
        "kP+TLTrBGdmyX7nssYsL7Z1EKhg=",
        false,
    ),
    (
        "https://Hooks.Example.com/t?reference=order42",
        "https://Hooks.Example.com/t?reference=order42",
        "",
        "",
        "oPr+IaXJVSSmQNHh39t1YERmDR4=",
        true,
    ),
    (
        "https://Hooks.Example.com/t?reference=order42",
        "https://hooks.example.com/t?reference=order42",
        "",
        "",
        "AsRMkfwDurTyCTLHlzCF69/Z2y8=",
        false,
    ),
    (
        "https://Hooks.Example.com:443/t?reference=order42",
        "https://Hooks.Example.com/t?reference=order42",
        "",
        "",
        "oPr+IaXJVSSmQNHh39t1YERmDR4=",
        true,
    ),
    (
        "HTTPS://hooks.example.com/t?reference=order42",
        "HTTPS://hooks.example.com/t?reference=order42",
        "",
        "",
        "QMKK/cB6d9ANCYUBMosjSdFIkzY=",
        false,
    ),
    (
        "https://hooks.example.com/t?",
        "https://hooks.example.com/t?",
        "",
        "",
        "/jrbt6L5xPwsm1vFREj6cOMsT8Y=",
        false,
    ),
    (
        "https://hooks.example.com/t?",
        "https://hooks.example.com/t",
        "",
        "",
        "rwzOjZb2E7hECqXEEyOJQEEGs1g=",
        false,
    ),
    (
        "https://hooks.example.com/t",
        "https://hooks.example.com/t?",
        "",
        "",
        "/jrbt6L5xPwsm1vFREj6cOMsT8Y=",
        false,
    ),
    (
        "https://hooks.example.com/t#",
        "https://hooks.example.com/t#",
        "",
        "",
        "YL0LgIz5G0QuJ98UzV1dbi5hAM8=",
        false,
    ),
    (
        "https://hooks.example.com/t;",
        "https://hooks.example.com/t;",
        "",
        "",
        "3FaP7LsA7aVoZYPMcY47HOPsRCM=",
        false,
    ),
    (
        "https://hooks.example.com/t;?a=1",
        "https://hooks.example.com/t;?a=1",
        "",
        "",
        "w/QXCHb7sr3MBkFXb4nCrK4XMAA=",
        false,
    ),
    (
        "https://hooks.example.com/t;x?a=1",
        "https://hooks.example.com/t;x?a=1",
        "",
        "",
        "Yi+40Z9nQWUMKNYiaN8yBlRbODY=",
        true,
    ),
    (
        "https://hooks.example.com/t?n=O'Neil",
        "https://hooks.example.com/t?n=O'Neil",
        "",
        "",
        "O7Bo7I1B7fST2+idyuKV2l0C1io=",
        true,
    ),
    (
        "https://hooks.example.com/t?n=O%27Neil",
        "https://hooks.example.com/t?n=O%27Neil",
        "",
        "",
        "Uhefd6fKjzA8Z3I5sw/5TCgrjqs=",
        true,
    ),
    (
        "https://hooks.example.com/t?n=O'Neil",
        "https://hooks.example.com/t?n=O%27Neil",
        "",
        "",
        "Uhefd6fKjzA8Z3I5sw/5TCgrjqs=",
        false,
    ),
    (
        "https://hooks.example.com/t?n=O%27Neil",
        "https://hooks.example.com/t?n=O'Neil",
        "",
        "",
        "O7Bo7I1B7fST2+idyuKV2l0C1io=",
        false,
    ),
    (
        "https://hooks.example.com/t?a=1&b=2",
        "https://hooks.example.com/t?b=2&a=1",
        "",
        "",
        "fuEx6LP1dSAIOpDeFUWXPquGzNc=",
        false,
    ),
    (
        "https://hooks.example.com/t?a=%20",
        "https://hooks.example.com/t?a=+",
        "",
        "",
        "uM0bJOZrnWQq/wunF7ElFYS+0tw=",
        false,
    ),
    (
        "https://hooks.example.com/a/../t",
        "https://hooks.example.com/t",
        "",
        "",
        "rwzOjZb2E7hECqXEEyOJQEEGs1g=",
        false,
    ),
    (
        "https://hooks.example.com/a/../t",
        "https://hooks.example.com/a/../t",
        "",
        "",
        "+VFQoedJ7ngQyaw1miYHA/kE4VQ=",
        true,
    ),
    (
        "https://hooks.example.com",
        "https://hooks.example.com",
        "",
        "",
        "jyVg5XDkbaa+enVbG/Sz5Ch9+W8=",
        true,
    ),
    (
        "https://hooks.example.com",
        "https://hooks.example.com/",
        "",
        "",
        "NEsdnXttWu2qASeVXqLxp8jdXKg=",
        false,
    ),
    (
        "https://hooks.example.com/",
        "https://hooks.example.com",
        "",
        "",
        "jyVg5XDkbaa+enVbG/Sz5Ch9+W8=",
        false,
    ),
    (
        "https://hooks.example.com/t#rc=5",
        "https://hooks.example.com/t#rc=5",
        "",
        "",
        "+ir811I7j4KXqSKWqk9kcOSG35c=",
        true,
    ),
    (
        "https://hooks.example.com/t",
        "https://hooks.example.com/t#rc=5",
        "",
        "",
        "+ir811I7j4KXqSKWqk9kcOSG35c=",
        false,
    ),
    (
        "https://hooks.example.com/t?reference=order42",
        "https://hooks.example.com/t?reference=order42",
        "&AddOns=&Zeta=%C3%A9%F0%9F%98%80",
        "",
        "0kQMKgghiqKvziBMh0D2ycRer+M=",
        true,
    ),
    (
        "https://hooks.example.com/t?reference=order42",
        "https://hooks.example.com/t?reference=order42",
        "&Dup=b&Dup=a&Dup=b",
        "",
        "MMmEe7UJZSR3BGsK+OLfqqL7g3w=",
        true,
    ),
    (
        "https://hooks.example.com/t?reference=order42",
        "https://hooks.example.com/t?reference=order42",
        "&a=1&B=2&_=3",
        "",
        "6uBujR2gw7zWEFjkliQbh8ZnUGw=",
        true,
    ),
    (
        "https://hooks.example.com/t?reference=order42",
        "https://hooks.example.com/t?reference=order42",
        "",
        "HMAC_SHA256",
        "hcqBATUus4oWtpvb+VjR90Q509pOjuyddHNVKHCQxk8=",
        true,
    ),
    (
        "https://hooks.example.com/t?reference=order42",
        "https://hooks.example.com:443/t?reference=order42",
        "",
        "HMAC_SHA256",
        "Nn1pZq537P/cCetFwYvaB/vQpYWyXrxbF0P1UbJxWmA=",
        true,
    ),
    (
        "https://hooks.example.com/t?a=1;",
        "https://hooks.example.com/t?a=1;",
        "",
        "",
        "sjcbKal5AzTCOzEks3d63KQy3Ms=",
        true,
    ),
    (
        "https://hooks.example.com/t?a=1;#rc=5",
        "https://hooks.example.com/t?a=1;#rc=5",
        "",
        "",
        "OWfjgao9EB0Orr6L/DqA3Lq6ieg=",
        true,
    ),
    (
        "https://hooks.example.com/t?#rc=5",
        "https://hooks.example.com/t?#rc=5",
        "",
        "",
        "MX9E2J1Z1gwGKw9uIAgDjwGGm7I=",
        false,
    ),
];
