use std::time::Duration;

use postduif_core::{ErrorKind, SmsProvider as _};
use postduif_http::{BaseUrl, auth::TokenStyle};
use postduif_kpn::Kpn;

use super::wire::{accepted, message, mount_send, server, url};

#[tokio::test]
async fn url_and_builder_give_the_same_provider() {
    let webhook = "https://hooks.example.test/kpn?reference={reference}&x=1";
    let mut sent = Vec::new();
    for turn in 0..3 {
        let server = server().await;
        mount_send(&server, accepted()).await;
        let options = "token_style=basic&sender=Acme&sub_account=b\
                       &report_url=https%3A%2F%2Fhooks.example.test%2Fkpn%3Freference%3D%7Breference%7D%26x%3D1";
        let kpn = match turn {
            0 => Kpn::from_url(&url(&server, &format!("?{options}"))),
            1 => Kpn::from_url(&format!(
                "kpn://{}?id=me&secret=secret&{options}",
                server.address()
            )),
            _ => Kpn::builder("me", "secret")
                .with_base(BaseUrl::parse(&server.uri()).unwrap())
                .with_token_style(TokenStyle::Basic)
                .with_sender("Acme".parse().unwrap())
                .with_sub_account("b")
                .with_report_url(webhook)
                .build(),
        }
        .unwrap();
        assert!(kpn.profile().reports());
        kpn.send(&message()).await.unwrap();
        let requests = server.received_requests().await.unwrap();
        let plain = |request: &wiremock::Request| {
            let mut headers = request.headers.clone();
            headers.remove("host");
            (
                request.url.path().to_owned(),
                request.url.query().map(str::to_owned),
                headers,
                request.body.clone(),
            )
        };
        sent.push(requests.iter().map(plain).collect::<Vec<_>>());
    }
    assert_eq!(sent[0], sent[1]);
    assert_eq!(sent[0], sent[2]);
}

#[test]
fn an_invalid_configuration_is_refused_when_it_is_built() {
    for (url, expected) in [
        ("kpn://default", "id is missing"),
        ("kpn://me@default", "secret is missing"),
        ("spryng://me:hunter2@default", "expected kpn://"),
        (
            "kpn://me:hunter2@default?sender=ThisIsTooLongAName",
            "at most 11 characters",
        ),
        (
            "kpn://me:hunter2@default?sender=%2B31612345678",
            "no number as sender",
        ),
        (
            "kpn://me:hunter2@default?token_style=digest",
            "form or basic",
        ),
        (
            "kpn://me:hunter2@default?webhook=x",
            "unknown option webhook; known are sender, token_style",
        ),
        ("kpn://me:hunter2@default?report_url=x", "option report_url"),
        (
            "kpn://me:secret@default?report_url=http://x.test/hunter2",
            "option report_url: invalid URL: expected https://",
        ),
        (
            "kpn://me:secret@default?report_url=https://u:hunter2@x.test/",
            "option report_url",
        ),
        (
            "kpn://me:hunter2@default?report_url=https://x.test/%7Breference%7D",
            "option report_url",
        ),
        (
            "kpn://me:hunter2@default?report_url=https://x.test/?ref=%7Breference%7D",
            "option report_url",
        ),
        (
            "kpn://me:hunter2@default?report_url=https://x.test/?reference=%7Bid%7D",
            "option report_url",
        ),
        (
            "kpn://me:hunter2@default?report_url=https://x.test/?reference=%7Breference%7D%26reference=%7Breference%7D",
            "option report_url: invalid URL: expected at most one query parameter reference",
        ),
        (
            "kpn://me:hunter2@default?report_url=https://x.test/?reference=a%26x=1%26re%2566erence=%7Breference%7D",
            "option report_url",
        ),
        (
            "kpn://me:hunter2@default?report_url=https://x.test/?re%2566erence=a%26reference=%7Breference%7D",
            "option report_url: invalid URL: expected at most one query parameter reference",
        ),
        (
            "kpn://me:hunter2@default?sub_account=",
            "option sub_account",
        ),
        (
            "kpn://me:hunter2@default?sub_account=a%0Db",
            "option sub_account: expected printable ASCII",
        ),
        (
            "kpn://me:hunter2@default?sub_account=b%0A",
            "option sub_account",
        ),
        (
            "kpn://me:hunter2@default?sub_account=%C3%A9",
            "option sub_account",
        ),
        (
            "kpn://me:hunter2@default?sub_account=a%09b",
            "option sub_account",
        ),
    ] {
        let error = Kpn::from_url(url).unwrap_err();
        assert!(error.to_string().contains(expected), "{url}: {error}");
        assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
    }
}

#[test]
fn reports_are_declared_only_if_they_match_their_message() {
    let reports = |options| {
        Kpn::from_url(&format!("kpn://me:secret@default{options}"))
            .unwrap()
            .profile()
            .reports()
    };
    assert!(!reports(""));
    assert!(!reports("?report_url=https://x.test/hook"));
    assert!(reports(
        "?report_url=https://x.test/hook?reference=%7Breference%7D"
    ));
}

#[test]
fn a_webhook_on_this_machine_may_be_plain_http() {
    let url = "kpn://me:secret@default?report_url=http://127.0.0.1:8160/kpn";
    assert!(Kpn::from_url(url).is_ok());
}

#[tokio::test]
async fn kpn_cannot_send_later_and_has_bounds_for_the_validity() {
    let kpn = Kpn::from_url("kpn://me:secret@127.0.0.1:1").unwrap();
    let later = message().with_send_at(chrono::DateTime::from_timestamp(4_000_000_000, 0).unwrap());
    assert_eq!(
        kpn.send(&later).await.unwrap_err().kind(),
        ErrorKind::Unsupported
    );
    for seconds in [0, 20, 259_201] {
        let odd = message().with_validity(Duration::from_secs(seconds));
        assert_eq!(
            kpn.send(&odd).await.unwrap_err().kind(),
            ErrorKind::Unsupported,
            "{seconds}"
        );
    }
}

#[test]
fn debug_shows_nothing_of_the_report_url() {
    let webhook = "https://hooks.example.com/kpn/hunTer2?reference={reference}";
    let builder = || Kpn::builder("me", "secret").with_report_url(webhook);
    let shown = format!("{:?} {:?}", builder(), builder().build().unwrap());
    for part in ["hunTer2", "hooks", "reference="] {
        assert!(!shown.contains(part), "{shown}");
    }
}

#[test]
fn debug_masks_a_number_as_sender() {
    let builder = Kpn::builder("me", "secret").with_sender("+31687654321".parse().unwrap());
    assert!(!format!("{builder:?}").contains("31687654321"));
}

#[test]
fn debug_shows_no_credential() {
    let kpn = Kpn::from_url("kpn://client-id:hunter2@default").unwrap();
    let shown = format!("{kpn:?} {:?}", Kpn::builder("client-id", "hunter2"));
    assert!(
        !shown.contains("hunter2") && !shown.contains("client-id"),
        "{shown}"
    );
}
