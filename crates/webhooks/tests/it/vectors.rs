//! Signatures that others published, through the routes: a right one is 200, and any other 401.

use chrono::{DateTime, Utc};
use postduif_core::{LatestReports, ReportParser};
use postduif_messagebird::{ClassicReports, PlatformReports};
use postduif_twilio::TwilioReports;
use postduif_vonage::{SignatureMethod, VonageSmsReports};
use postduif_webhook::WebhookReports;
use postduif_webhooks::Reports;
use serde_json::Value;

/// A request as a vendor sent it: the method, the URL, the headers and the body.
type Sent<'a> = (&'a str, &'a str, &'a [(&'a str, &'a str)], &'a str);

/// Returns the status of the response at this time.
async fn status(parser: impl ReportParser, sent: Sent<'_>, now: DateTime<Utc>) -> u16 {
    let (method, url, headers, body) = sent;
    let end = url.find("://").unwrap() + 3;
    let end = url[end..].find('/').map_or(url.len(), |path| end + path);
    let (origin, target) = url.split_at(end);
    let reports = Reports::builder(origin, LatestReports::new())
        .with_vendor("vendor", parser)
        .build()
        .unwrap();
    let headers = headers.iter().map(|(name, value)| (*name, *value));
    let request = reports.request(method, target, headers, body.as_bytes());
    reports.receive_at("vendor", &request, now).await.status()
}

fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(seconds, 0).unwrap()
}

/// The file of test cases that MessageBird's official libraries share.
#[tokio::test]
async fn every_case_of_messagebirds_libraries_has_their_result() {
    let cases = include_str!(
        "../../../providers/messagebird/tests/it/vectors/webhook-signature-jwt-reference.json"
    );
    let cases: Vec<Value> = serde_json::from_str(cases).unwrap();
    assert_eq!(cases.len(), 44);
    for case in &cases {
        let text = |name: &str| case[name].as_str().unwrap_or_default();
        let secret = case["secret"].as_str().unwrap_or("no secret in this case");
        let now = DateTime::parse_from_rfc3339(text("timestamp")).unwrap();
        let headers = [("messagebird-signature-jwt", text("token"))];
        let sent = (text("method"), text("url"), &headers[..], text("payload"));
        let parser = ClassicReports::new(vec![secret.into()]).unwrap();
        let expected = if case["valid"] == true { 200 } else { 401 };
        let found = status(parser, sent, now.to_utc()).await;
        assert_eq!(found, expected, "{}", text("name"));
    }
}

/// From `Vonage/vonage-php-sdk-core`, `test/Client/SignatureTest.php`: an inbound text, which is no report.
#[tokio::test]
async fn the_signatures_of_vonages_library_are_verified() {
    const SIGNED: &str = "message-timestamp=2013-11-21+15%3A27%3A30&messageId=020000001B0FE827&msisdn=14843472194\
                          &text=Test+again&timestamp=1385047698&to=13239877404&type=text";
    const FORM: &[(&str, &str)] = &[("content-type", "application/x-www-form-urlencoded")];
    for (method, signature) in [
        (SignatureMethod::Md5Hash, "d2e7b1dc968737c5998ad624e02f90b7"),
        (SignatureMethod::Md5, "DDEBD46008C2D4E93CCE578A332A52D5"),
        (
            SignatureMethod::Sha1,
            "27D0D05C2876C7CB1720DBCDBA4D492E1E55C09A",
        ),
        (
            SignatureMethod::Sha256,
            "DDB8397C2B90AAC7F3882D306475C9A5058C92322EEF43C92B298B6E0FC0D330",
        ),
    ] {
        for (secret, signed, expected) in [
            ("my_secret_key_for_testing", SIGNED, 200),
            ("another_secret_for_testing", SIGNED, 401),
            (
                "my_secret_key_for_testing",
                &SIGNED.replace("again", "more"),
                401,
            ),
        ] {
            let parser = || VonageSmsReports::new(vec![secret.into()], method).unwrap();
            let body = format!("{signed}&sig={signature}");
            let url = "https://hooks.example.com/reports/vonage";
            let found = status(parser(), ("POST", url, FORM, &body), at(1_385_047_698)).await;
            assert_eq!(found, expected, "{method:?}");
            let url = format!("{url}?{body}");
            let found = status(parser(), ("GET", &url, &[], ""), at(1_385_047_698)).await;
            assert_eq!(found, expected, "{method:?}");
            // An hour later nobody may repeat it.
            let found = status(parser(), ("GET", &url, &[], ""), at(1_385_051_298)).await;
            assert_eq!(found, 401, "{method:?}");
        }
    }
}

/// The example of <https://www.twilio.com/docs/usage/security>: a call, which is no report.
#[tokio::test]
async fn the_signature_of_twilios_page_is_verified() {
    const URL: &str = "https://mycompany.com/myapp.php?foo=1&bar=2";
    const BODY: &str = "Digits=1234&To=%2B18005551212&From=%2B14158675309&Caller=%2B14158675309\
                        &CallSid=CA1234567890ABCDE";
    const HEADERS: &[(&str, &str)] = &[
        ("content-type", "application/x-www-form-urlencoded"),
        ("x-twilio-signature", "RSOYDt4T1cUTdK1PDd93/VVr8B8="),
    ];
    let other_body = BODY.replace("1234&", "1235&");
    for (secret, url, body, expected) in [
        ("12345", URL, BODY, 200),
        ("12346", URL, BODY, 401),
        (
            "12345",
            "https://mycompany.com/myapp.php?foo=1&bar=3",
            BODY,
            401,
        ),
        (
            "12345",
            "https://mycompany.org/myapp.php?foo=1&bar=2",
            BODY,
            401,
        ),
        ("12345", URL, &other_body, 401),
    ] {
        let parser = TwilioReports::new(vec![secret.into()]).unwrap();
        let found = status(parser, ("POST", url, HEADERS, body), Utc::now()).await;
        assert_eq!(found, expected, "{secret} {url}");
    }
}

/// The example of the Standard Webhooks specification, which the tests of all its libraries share. It is no report.
#[tokio::test]
async fn the_signature_of_standard_webhooks_is_verified() {
    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    const RIGHT: &str = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
    const SIGNED_AT: i64 = 1_614_265_330;
    for (signature, now, expected) in [
        (RIGHT, SIGNED_AT, 200),
        (&format!("v2,AAAA v1,AAAA {RIGHT}"), SIGNED_AT, 200),
        (&RIGHT.replace("1OE=", "1OA="), SIGNED_AT, 401),
        (&RIGHT.replace("v1,", "v2,"), SIGNED_AT, 401),
        ("v1,!", SIGNED_AT, 401),
        ("", SIGNED_AT, 401),
        (RIGHT, SIGNED_AT + 3_600, 401),
        (RIGHT, SIGNED_AT - 3_600, 401),
    ] {
        let headers = [
            ("webhook-id", "msg_p5jXN8AQM9LWM0D4loKWxJek"),
            ("webhook-timestamp", "1614265330"),
            ("webhook-signature", signature),
        ];
        let url = "https://hooks.example.com/reports/vendor";
        let sent = ("POST", url, &headers[..], r#"{"test": 2432232314}"#);
        let parser = WebhookReports::new(vec![SECRET.into()]).unwrap();
        assert_eq!(status(parser, sent, at(now)).await, expected, "{signature}");
        let parser = PlatformReports::new(vec![SECRET.into()]).unwrap();
        assert_eq!(status(parser, sent, at(now)).await, expected, "{signature}");
    }
}
