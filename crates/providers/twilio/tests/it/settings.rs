use postduif_core::{ErrorKind, Sender, SmsProvider as _};
use postduif_http::BaseUrl;
use postduif_twilio::Twilio;
use wiremock::ResponseTemplate;

use super::wire::{ACCOUNT, KEY, SERVICE, accepted, message, server};

#[tokio::test]
async fn url_and_builder_give_the_same_provider() {
    let webhook = "https://hooks.example.test/twilio?reference={reference}&x=1";
    let escaped = "https%3A%2F%2Fhooks.example.test%2Ftwilio%3Freference%3D%7Breference%7D%26x%3D1";
    for has_key in [false, true] {
        let mut written = Vec::new();
        for turn in 0..3 {
            let server = server(ResponseTemplate::new(201).set_body_json(accepted())).await;
            let (user, account) = if has_key {
                (KEY, format!("&account={ACCOUNT}"))
            } else {
                (ACCOUNT, String::new())
            };
            let host = server.address();
            let options = format!("sender={SERVICE}&report_url={escaped}{account}");
            let builder = if has_key {
                Twilio::api_key(ACCOUNT, KEY, "s3cret")
            } else {
                Twilio::builder(ACCOUNT, "s3cret")
            };
            let twilio = match turn {
                0 => Twilio::from_url(&format!("twilio://{user}:s3cret@{host}?{options}")),
                1 => Twilio::from_url(&format!(
                    "twilio://{host}?id={user}&secret=s3cret&{options}"
                )),
                _ => builder
                    .with_base(BaseUrl::parse(&server.uri()).unwrap())
                    .with_sender(SERVICE.parse().unwrap())
                    .with_report_url(webhook)
                    .build(),
            }
            .unwrap();
            assert!(twilio.profile().reports());
            twilio.send(&message()).await.unwrap();
            let mut requests = server.received_requests().await.unwrap();
            let mut request = requests.remove(0);
            request.headers.remove("host");
            written.push((request.url.path().to_owned(), request.headers, request.body));
        }
        assert_eq!(written[0], written[1]);
        assert_eq!(written[0], written[2]);
    }
}

#[test]
fn what_cannot_work_is_refused_when_it_is_built() {
    let token = |options: &str| format!("twilio://{ACCOUNT}:hunter2@default{options}");
    let key = |options: &str| format!("twilio://{KEY}:hunter2@default{options}");
    for (url, words) in [
        ("twilio://default".to_owned(), "id is missing"),
        (format!("twilio://{ACCOUNT}@default"), "secret is missing"),
        (
            format!("twilio://{ACCOUNT}:%20@default"),
            "secret is missing: write the auth token",
        ),
        (
            "kpn://me:hunter2@default".to_owned(),
            "expected twilio:// at the start",
        ),
        (
            "twilio://hunter2:hunter2@default".to_owned(),
            "invalid account SID: expected AC and 32 hexadecimal digits",
        ),
        (
            "twilio://AC0123456789abcdef0123456789abcde%2F:hunter2@default".to_owned(),
            "invalid account SID",
        ),
        (key(""), "account is missing: with an API key"),
        (key("?account=hunter2"), "invalid account SID"),
        (
            format!("twilio://SKhunter2:hunter2@default?account={ACCOUNT}"),
            "invalid SID of an API key: expected SK",
        ),
        (
            token(&format!("?account={ACCOUNT}")),
            "option account: expected none",
        ),
        (
            token("?from=x"),
            "unknown option from; known are sender, report_url",
        ),
        (
            token("?sender=31612345678"),
            "with a plus and its country code",
        ),
        (
            token("?sender=whatsapp:%2B31612345678"),
            "only SMS is sent here",
        ),
        (
            token("?sender=MG0123456789"),
            "MG and 32 hexadecimal digits",
        ),
        (token("?sender=ThisIsTooLongAName"), "at most 11 characters"),
        (token("?sender=a:b"), "option sender: expected a number"),
        (token("?sender=Caf%C3%A9"), "option sender: expected"),
        (token("?sender=1-2"), "option sender: expected"),
        (
            token("?report_url=hunter2"),
            "option report_url: invalid URL",
        ),
        (
            token("?report_url=http://x.test/hunter2"),
            "option report_url: invalid URL: expected https://",
        ),
        (
            token("?report_url=https://x.test/%7Breference%7D"),
            "{reference} as the value of the query parameter",
        ),
        (
            token("?report_url=https://a_b.test/hunter2"),
            "option report_url: invalid host",
        ),
        (
            token("?report_url=https://x.test/?bodySHA256=hunter2"),
            "option report_url: Twilio adds the query parameter bodySHA256",
        ),
    ] {
        let error = Twilio::from_url(&url).unwrap_err();
        assert!(error.to_string().contains(words), "{url}: {error}");
        assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
    }
}

#[test]
fn a_report_url_may_have_an_underscore_behind_its_host() {
    let url = "?report_url=https://x.test/a_b?c_d=1";
    assert!(Twilio::from_url(&format!("twilio://{ACCOUNT}:x@default{url}")).is_ok());
}

#[test]
fn the_profile_is_narrowed_by_the_configuration() {
    let profile = |options: &str| {
        let url = format!("twilio://{ACCOUNT}:x@default?{options}");
        Twilio::from_url(&url).unwrap().profile().clone()
    };
    assert!(!profile("").reports());
    assert!(!profile("report_url=https://x.test/hook").reports());
    assert!(profile("report_url=https://x.test/hook?reference=%7Breference%7D").reports());
    let ahead = |sender: &str| profile(sender).max_schedule_ahead();
    assert_eq!(ahead("").unwrap().as_secs(), 3_024_000);
    assert_eq!(ahead(&format!("sender={SERVICE}")), ahead(""));
    for other in ["Contoso", "1008", "%2B31687654321"] {
        assert_eq!(ahead(&format!("sender={other}")), None);
    }
}

#[tokio::test]
async fn a_sender_that_twilio_does_not_take_is_refused_before_any_call() {
    let twilio = Twilio::from_url(&format!("twilio://{ACCOUNT}:x@127.0.0.1:1")).unwrap();
    let refused = |sender: &str| {
        let message = message().with_sender(sender.parse::<Sender>().unwrap());
        let twilio = &twilio;
        async move { twilio.send(&message).await.unwrap_err().kind() }
    };
    for sender in ["rcs:x", "Acme!", "Ærø", "1 2"] {
        assert_eq!(refused(sender).await, ErrorKind::InvalidSender, "{sender}");
    }
    // The port takes no connection.
    for sender in ["A+B-C_D&E 1", "Contoso", "1008", SERVICE, "+31687654321"] {
        assert_eq!(refused(sender).await, ErrorKind::Unavailable, "{sender}");
    }
}

#[test]
fn debug_shows_no_credential_and_nothing_of_the_report_url() {
    let webhook = "https://hooks.example.com/twilio/hunTer2?reference={reference}";
    for builder in [
        || Twilio::builder(ACCOUNT, "hunter2"),
        || Twilio::api_key(ACCOUNT, KEY, "hunter2"),
    ] {
        let builder = || builder().with_report_url(webhook);
        let shown = format!("{:?} {:?}", builder(), builder().build().unwrap());
        for part in [
            "hunTer2",
            "hunter2",
            "hooks",
            "reference=",
            "0123456789abcdef",
        ] {
            assert!(!shown.contains(part), "{shown}");
        }
    }
}
