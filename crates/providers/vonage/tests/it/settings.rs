use std::time::Duration;

use postduif_core::{Acceptance, ErrorKind, Message, Sender, SmsProvider as _, Text};
use postduif_http::{BaseUrl, Client};
use postduif_vonage::{Api, PROFILE, Vonage};
use wiremock::MockServer;

use super::wire::{APPLICATION, World, accepted, form, message, private_key};

/// Sends a message, and returns its request without the parts that differ between runs.
async fn sent(make: impl Fn(&str) -> Vonage) -> (String, Option<String>, Vec<u8>) {
    let server = MockServer::start().await;
    let _ = make(&server.address().to_string()).send(&message()).await;
    let request = server.received_requests().await.unwrap().remove(0);
    let authorization = request.headers["authorization"]
        .to_str()
        .unwrap()
        .to_owned();
    (
        request.url.path().to_owned(),
        authorization.starts_with("Basic").then_some(authorization),
        request.body,
    )
}

fn base(address: &str) -> BaseUrl {
    BaseUrl::parse(&format!("http://{address}/vonage")).unwrap()
}

#[tokio::test]
async fn url_and_builder_give_the_same_provider() {
    let url = |address: &str| format!("vonage://key:secret@{address}/vonage?sender=Acme");
    let first = sent(|address| Vonage::from_url(&url(address)).unwrap()).await;
    assert_eq!(first.0, "/vonage/v1/messages");
    let client = Client::new().unwrap();
    let same: [&dyn Fn(&str) -> Vonage; 4] = [
        &|address| Vonage::from_url_with(&url(address), &client).unwrap(),
        &|address| {
            let url =
                format!("vonage://{address}/vonage?key=key&secret=secret&sender=Acme&api=messages");
            Vonage::from_url(&url).unwrap()
        },
        &|address| {
            Vonage::from_url(&format!(
                "vonage://key@{address}/vonage?secret=secret&sender=Acme"
            ))
            .unwrap()
        },
        &|address| {
            Vonage::builder("key", "secret")
                .with_base(base(address))
                .with_client(client.clone())
                .with_sender("Acme".parse().unwrap())
                .build()
                .unwrap()
        },
    ];
    for make in same {
        assert_eq!(sent(make).await, first);
    }
}

#[tokio::test]
async fn url_and_builder_give_the_same_application() {
    let key = private_key();
    let from = |user: &str, options: &str, address: &str| {
        Vonage::from_url(&format!(
            "vonage://{user}{address}/vonage?sender=Acme&private_key=file:{key}{options}"
        ))
        .unwrap()
    };
    let first = sent(|address| from(&format!("{APPLICATION}@"), "", address)).await;
    assert_eq!((first.0.as_str(), &first.1), ("/vonage/v1/messages", &None));
    let id = format!("&application_id={APPLICATION}");
    assert_eq!(sent(|address| from("", &id, address)).await, first);
    let pem = std::fs::read_to_string(&key).unwrap();
    let built = sent(|address| {
        Vonage::application(APPLICATION, pem.as_str())
            .with_base(base(address))
            .with_sender("Acme".parse().unwrap())
            .build()
            .unwrap()
    });
    assert_eq!(built.await, first);
}

#[tokio::test]
async fn url_and_builder_choose_the_same_api() {
    let by_url = sent(|address| {
        Vonage::from_url(&format!(
            "vonage://key:secret@{address}/vonage?sender=Acme&api=sms"
        ))
        .unwrap()
    })
    .await;
    assert_eq!(by_url.0, "/vonage/sms/json");
    let built = sent(|address| {
        Vonage::builder("key", "secret")
            .with_api(Api::Sms)
            .with_base(base(address))
            .with_sender("Acme".parse().unwrap())
            .build()
            .unwrap()
    });
    assert_eq!(built.await, by_url);
}

#[test]
fn an_invalid_configuration_is_refused_when_it_is_built() {
    let key = private_key();
    let long = format!("https://x.test/{}", "h".repeat(86));
    let application = |rest: &str| format!("vonage://hunter2@default?private_key=file:{key}{rest}");
    for (url, expected) in [
        ("vonage://default", "key is missing"),
        ("vonage://hunter2@default", "secret is missing"),
        ("kpn://hunter2:hunter2@default", "expected vonage://"),
        ("vonage://file:hunter2@default", "write ?key=file:"),
        (
            "vonage://me:hunter2@default?secret=hunter2",
            "duplicate credential secret",
        ),
        (
            "vonage://me:hunter2@default?account=x",
            "unknown option account; known are api, sender, report_url, vendor_messages, key, secret, application_id, \
             private_key",
        ),
        (
            "vonage://me:hunter2@default?api=rest",
            "option api: expected messages or sms",
        ),
        (
            "vonage://me:hunter2@default?sender=ThisIsTooLongAName",
            "at most 11 characters",
        ),
        (
            "vonage://me:hunter2@default?sender=Post%20duif",
            "letters A to Z and digits",
        ),
        (
            "vonage://me:hunter2@default?sender=%C3%86r%C3%B8",
            "letters A to Z and digits",
        ),
        (
            "vonage://me:hunter2@default?sender=Ac-me",
            "letters A to Z and digits",
        ),
        (
            "vonage://me:hunter2@default?sender=0012",
            "letters A to Z and digits",
        ),
        (
            "vonage://me:hunter2@default?report_url=hunter2",
            "option report_url",
        ),
        (
            "vonage://me:hunter2@default?report_url=ftp://x.test/hunter2",
            "option report_url",
        ),
        (
            "vonage://me:hunter2@default?report_url=http://x.test/hunter2",
            "option report_url: invalid URL: expected https://",
        ),
        (
            "vonage://me:hunter2@default?report_url=https://u:hunter2@x.test/",
            "option report_url: invalid URL: expected no user",
        ),
        (
            "vonage://me:hunter2@default?report_url=https://x.test/hunter2%20b",
            "option report_url",
        ),
        (
            "vonage://me:hunter2@default?api=sms&report_url=https://x.test/%3FmessageId=1",
            "option report_url: Vonage adds the query parameter messageId",
        ),
        (
            &format!("vonage://me:hunter2@default?api=sms&report_url={long}"),
            "at most 100 characters",
        ),
        (
            "vonage://hunter2@default?private_key=hunter2",
            "expected an RSA key of at least 2048 bits",
        ),
        (
            "vonage://default?application_id=hunter2",
            "private_key is missing",
        ),
        (
            "vonage://me:hunter2@default?application_id=hunter2",
            "private_key is missing",
        ),
        (&application("&secret=hunter2"), "not both"),
        (
            &application("&application_id=hunter2"),
            "duplicate credential application_id",
        ),
        (
            &application("&api=sms"),
            "expected the key and secret of an account",
        ),
        (
            &format!("vonage://default?private_key=file:{key}"),
            "application_id is missing",
        ),
        (
            "vonage://hunter2@default?private_key=file:/hunter2/none",
            "private_key: the file",
        ),
        (
            "vonage://me:hunter2@default:8443",
            "default without port and path",
        ),
    ] {
        let error = Vonage::from_url(url).unwrap_err();
        assert!(error.to_string().contains(expected), "{url}: {error}");
        assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
    }
    assert!(Vonage::from_url(&format!("vonage://a:b@default?report_url={long}")).is_ok());
    assert!(Vonage::application("", "x").build().is_err());
}

#[test]
fn the_profile_has_the_documented_capabilities() {
    assert_eq!((PROFILE.name(), PROFILE.batch_size().get()), ("vonage", 1));
    assert_eq!(
        PROFILE.validity(),
        Some(Duration::from_secs(20)..=Duration::from_secs(604_800))
    );
    assert_eq!(
        (PROFILE.repeat_window(), PROFILE.max_schedule_ahead()),
        (None, None)
    );
    assert!(PROFILE.sender_required() && PROFILE.reports());
    assert_eq!(PROFILE.rate().map(std::num::NonZeroU32::get), Some(30));
    let required = |url: &str| Vonage::from_url(url).unwrap().profile().sender_required();
    assert!(required("vonage://k:s@default"));
    assert!(!required("vonage://k:s@default?sender=Acme"));
}

#[tokio::test]
async fn every_sender_has_no_plus_and_one_that_vonage_would_change_is_refused() {
    let (messages, sms) = (World::messages().await, World::sms().await);
    for (sender, written) in [
        ("+31612345678", Some("31612345678")),
        ("1008", Some("1008")),
        ("AcmeInc2026", Some("AcmeInc2026")),
        ("Acme Inc", None),
        ("Acme-Inc", None),
        ("Ærø", None),
        ("007", None),
    ] {
        let message = message().with_sender(sender.parse::<Sender>().unwrap());
        for world in [&messages, &sms] {
            world.respond(accepted()).await;
            let result = world.vonage.send(&message).await;
            let requests = world.requests().await;
            let Some(written) = written else {
                let error = result.unwrap_err();
                assert_eq!(
                    (error.kind(), error.acceptance(), requests.len()),
                    (ErrorKind::InvalidSender, Acceptance::NotAccepted, 0)
                );
                assert_eq!(error.provider(), Some("vonage"));
                continue;
            };
            let body = &requests[0].body;
            let from = match requests[0].url.path() {
                "/sms/json" => form(body)[0].1.clone(),
                _ => serde_json::from_slice::<serde_json::Value>(body).unwrap()["from"]
                    .as_str()
                    .unwrap()
                    .to_owned(),
            };
            assert_eq!(from, written);
        }
    }
}

#[tokio::test]
async fn an_unsupported_option_is_refused_before_any_call() {
    for options in ["", "?api=sms"] {
        let world = World::new("key:secret@", options).await;
        let acme = || message().with_sender("Acme".parse().unwrap());
        let long = Text::new("x".repeat(3201)).unwrap();
        for (message, kind) in [
            (message(), ErrorKind::InvalidSender),
            (
                acme().with_validity(Duration::from_secs(19)),
                ErrorKind::Unsupported,
            ),
            (
                acme().with_validity(Duration::from_secs(604_801)),
                ErrorKind::Unsupported,
            ),
            (
                acme().with_send_at(chrono::DateTime::from_timestamp(4_000_000_000, 0).unwrap()),
                ErrorKind::Unsupported,
            ),
            (
                Message::new(message().to(), long).with_sender("Acme".parse().unwrap()),
                ErrorKind::InvalidText,
            ),
        ] {
            let error = world.vonage.send(&message).await.unwrap_err();
            assert_eq!(
                (error.kind(), error.acceptance()),
                (kind, Acceptance::NotAccepted)
            );
        }
        assert_eq!(world.requests().await.len(), 0);
    }
}

#[test]
fn debug_shows_no_credential_no_report_url_and_no_whole_number() {
    let pem = std::fs::read_to_string(private_key()).unwrap();
    let sender: Sender = "+31687654321".parse().unwrap();
    let url = "https://x.test/vonage/hunter2?token=hunter2";
    let application = Vonage::application("hunter2", pem.as_str())
        .with_report_url(url)
        .with_sender(sender.clone());
    let account = Vonage::builder("hunter2", "hunter2")
        .with_report_url(url)
        .with_sender(sender);
    let mut shown = format!("{application:?} {account:?}");
    shown += &format!(
        "{:?} {:?}",
        application.build().unwrap(),
        account.build().unwrap()
    );
    for url in [
        "vonage://hunter2:hunter2@default",
        "vonage://hunter2:hunter2@default?api=sms",
    ] {
        shown += &format!("{:?}", Vonage::from_url(url).unwrap());
    }
    assert!(
        !shown.contains("hunter2")
            && !shown.contains(&pem[40..60])
            && !shown.contains("31687654321"),
        "{shown}"
    );
}
