use std::time::Duration;

use postduif_core::{SenderKind, SmsProvider as _};
use postduif_http::BaseUrl;
use postduif_webhook::{PROFILE, Webhook};

use super::wire::{accepted, message, requests, server};

const SECRET: &str = "whsec_aHVudGVyMi1zaWducy10aGUtcmVxdWVzdHM=";

#[tokio::test]
async fn url_and_builder_give_the_same_provider() {
    let server = server("POST", accepted()).await;
    let host = server.address();
    let options =
        "sender=Contoso&validity=60-86400&schedule_ahead=3600&reports=true&repeat_window=600";
    let mut profiles = Vec::new();
    for turn in 0..3 {
        let webhook = match turn {
            0 => Webhook::from_url(&format!("webhook://t0ken@{host}/sms/send?{options}")),
            1 => Webhook::from_url(&format!("webhook://{host}/sms/send?token=t0ken&{options}")),
            _ => Webhook::builder(BaseUrl::parse(&format!("{}/sms/send", server.uri())).unwrap())
                .with_token("t0ken")
                .with_sender("Contoso".parse().unwrap())
                .with_validity(Duration::from_secs(60), Duration::from_secs(86_400))
                .with_schedule_ahead(Duration::from_secs(3600))
                .with_reports(true)
                .with_repeat_window(Duration::from_secs(600))
                .build(),
        }
        .unwrap();
        profiles.push(webhook.profile().clone());
        webhook.send(&message()).await.unwrap();
    }
    assert_eq!(profiles[0], profiles[1]);
    assert_eq!(profiles[0], profiles[2]);
    let written: Vec<_> = requests(&server)
        .await
        .into_iter()
        .map(|request| (request.url, request.headers, request.body))
        .collect();
    assert_eq!(written[0], written[1]);
    assert_eq!(written[0], written[2]);
}

#[tokio::test]
async fn the_path_is_the_urls_own() {
    let server = server("POST", accepted()).await;
    let host = server.address();
    for (path, expected) in [("", "/"), ("/", "/"), ("/a/b", "/a/b"), ("/a/b/", "/a/b/")] {
        let webhook = Webhook::from_url(&format!("webhook://{host}{path}")).unwrap();
        webhook.send(&message()).await.unwrap();
        let request = requests(&server).await.pop().unwrap();
        assert_eq!(request.url.path(), expected);
    }
}

#[test]
fn the_profile_has_only_what_the_owner_declares() {
    let profile = |options: &str| {
        let url = format!("webhook://sms.example.test/send?{options}");
        Webhook::from_url(&url).unwrap().profile().clone()
    };
    assert_eq!(profile(""), PROFILE);
    assert_eq!(PROFILE.senders(), SenderKind::ALL);
    assert_eq!(
        (PROFILE.validity(), PROFILE.max_schedule_ahead()),
        (None, None)
    );
    assert_eq!((PROFILE.reports(), PROFILE.repeat_window()), (false, None));
    assert!(!PROFILE.sender_required());
    let seconds = Duration::from_secs;
    assert_eq!(
        profile("validity=60-86400").validity(),
        Some(seconds(60)..=seconds(86_400))
    );
    assert_eq!(
        profile("validity=600-600").validity(),
        Some(seconds(600)..=seconds(600))
    );
    assert_eq!(
        profile("schedule_ahead=3600").max_schedule_ahead(),
        Some(seconds(3600))
    );
    assert_eq!(profile("repeat_window=1").repeat_window(), Some(seconds(1)));
    assert!(profile("reports=true").reports());
    assert!(!profile("reports=false").reports());
}

#[test]
fn what_cannot_work_is_refused_when_it_is_built() {
    for (url, words) in [
        ("webhook://hunter2@default", "a webhook has no default host"),
        (
            "webhook://default?token=hunter2",
            "webhook://token@sms.example.com/send",
        ),
        ("webhook://hunter2@DEFAULT", "lower case"),
        (
            "kpn://hunter2@sms.example.test",
            "expected webhook:// at the start",
        ),
        (
            "webhook://hunter2@sms.example.test?key=hunter2",
            "unknown option key; known are sender",
        ),
        (
            "webhook://hunter2@sms.example.test?token=hunter2",
            "duplicate credential token",
        ),
        (
            "webhook://sms.example.test?token=hunter2%20",
            "invalid token: expected printable ASCII",
        ),
        (
            "webhook://sms.example.test?token=hunter2%0D%0Ax",
            "invalid token: expected printable ASCII",
        ),
        (
            "webhook://sms.example.test?secret=hunter2",
            "invalid secret: expected whsec_ and base64",
        ),
        (
            "webhook://sms.example.test?secret=whsec_hunter2!",
            "invalid secret: expected whsec_ and base64",
        ),
        (
            "webhook://sms.example.test?secret=env:POSTDUIF_SURELY_UNSET",
            "POSTDUIF_SURELY_UNSET is not set",
        ),
        (
            "webhook://sms.example.test?sender=31612345678",
            "with a plus and its country code",
        ),
        (
            "webhook://sms.example.test?validity=60",
            "option validity: expected the shortest and the longest",
        ),
        (
            "webhook://sms.example.test?validity=0-60",
            "option validity: expected",
        ),
        (
            "webhook://sms.example.test?validity=61-60",
            "option validity: expected",
        ),
        (
            "webhook://sms.example.test?validity=1m-2m",
            "option validity: expected",
        ),
        (
            "webhook://sms.example.test?validity=-1-2",
            "option validity: expected",
        ),
        (
            "webhook://sms.example.test?schedule_ahead=0",
            "option schedule_ahead: expected a number of seconds",
        ),
        (
            "webhook://sms.example.test?schedule_ahead=1d",
            "option schedule_ahead: expected a number of seconds",
        ),
        (
            "webhook://sms.example.test?repeat_window=0",
            "option repeat_window: expected a number of seconds",
        ),
        (
            "webhook://sms.example.test?repeat_window=",
            "option repeat_window: expected a number of seconds",
        ),
        ("webhook://sms.example.test?reports=yes", "option reports:"),
    ] {
        let error = Webhook::from_url(url).unwrap_err();
        assert!(error.to_string().contains(words), "{url}: {error}");
        assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
    }
    let base = || BaseUrl::parse("https://sms.example.test/send").unwrap();
    let short = Duration::from_millis(999);
    for builder in [
        Webhook::builder(base()).with_repeat_window(short),
        Webhook::builder(base()).with_schedule_ahead(short),
        Webhook::builder(base()).with_validity(short, Duration::from_secs(60)),
    ] {
        assert!(builder.build().is_err());
    }
}

#[test]
fn no_credential_is_shown() {
    let url = format!("webhook://hunter2@sms.example.test/send?secret={SECRET}");
    let base = BaseUrl::parse("https://sms.example.test/send").unwrap();
    let builder = Webhook::builder(base)
        .with_token("hunter2")
        .with_secret(SECRET);
    let shown = format!("{builder:?} {:?}", Webhook::from_url(&url).unwrap());
    for part in ["hunter2", "aHVudGVy", "whsec_", "/send"] {
        assert!(!shown.contains(part), "{shown}");
    }
}
