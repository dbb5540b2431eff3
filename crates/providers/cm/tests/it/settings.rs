use std::time::Duration;

use postduif_cm::{Cm, PROFILE};
use postduif_core::{Acceptance, BatchTexts, ErrorKind, Health, Message, SmsProvider as _, Text};
use postduif_http::{BaseUrl, Client};

use super::wire::{TOKEN, accepted, calls, cm, message, responding, response};

#[tokio::test]
async fn url_and_builder_give_the_same_provider() {
    let mut written = Vec::new();
    for turn in 0..4 {
        let server = responding(response(200, 0, &[accepted("a1", "0031612345678")])).await;
        let address = server.address();
        let cm = match turn {
            0 => Cm::from_url(&format!("cm://{TOKEN}@{address}/cm?sender=Acme")),
            1 => Cm::from_url(&format!("cm://{address}/cm?token={TOKEN}&sender=Acme")),
            2 => Cm::from_url_with(
                &format!("cm://{TOKEN}@{address}/cm?sender=Acme"),
                &Client::new().unwrap(),
            ),
            _ => Cm::builder(TOKEN)
                .with_base(BaseUrl::parse(&format!("{}/cm", server.uri())).unwrap())
                .with_client(Client::new().unwrap())
                .with_sender("Acme".parse().unwrap())
                .build(),
        }
        .unwrap();
        // The fake vendor has no prefix, so its response is irrelevant here.
        let _ = cm.send(&message()).await;
        let request = server.received_requests().await.unwrap().remove(0);
        let mut headers = request.headers.clone();
        headers.remove("host");
        written.push((request.url.path().to_owned(), headers, request.body));
    }
    assert_eq!(written[0].0, "/cm/v1.0/message");
    for other in &written[1..] {
        assert_eq!(&written[0], other);
    }
}

#[test]
fn an_invalid_configuration_is_refused_when_it_is_built() {
    for (url, expected) in [
        ("cm://default", "token is missing"),
        ("cm://@default?sender=Acme", "token is missing"),
        ("kpn://hunter2@default", "expected cm://"),
        ("cm://hunter2:hunter2@default", "expected one credential"),
        (
            "cm://hunter2@default?token=hunter2",
            "duplicate credential token",
        ),
        ("cm://env:TOKEN@default", "write ?token=env:"),
        (
            "cm://hunter2@default?account=x",
            "unknown option account; known are sender, vendor_messages, token",
        ),
        (
            "cm://hunter2@default?sender=ThisIsTooLongAName",
            "at most 11 characters",
        ),
        (
            "cm://hunter2@default?sender=AB",
            "expected a name of 3 to 11 characters",
        ),
        (
            "cm://hunter2@default?sender=%2B491234567890123",
            "a number of at most 14 digits",
        ),
        ("cm://hunter2@default:8443", "default without port and path"),
        ("cm://hunter2%0A@default", "token: expected printable ASCII"),
        (
            "cm://default?token=hunter2%00",
            "token: expected printable ASCII",
        ),
        (
            "cm://hunter2%C3%A9@default",
            "token: expected printable ASCII",
        ),
    ] {
        let error = Cm::from_url(url).unwrap_err();
        assert!(error.to_string().contains(expected), "{url}: {error}");
        assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
    }
    for sender in ["ABC", "CM Telecom", "cm.com", "%2B31612345678", "1008"] {
        assert!(Cm::from_url(&format!("cm://{TOKEN}@default?sender={sender}")).is_ok());
    }
}

#[test]
fn the_profile_has_the_documented_capabilities() {
    assert_eq!(
        (PROFILE.batch_size().get(), PROFILE.batch_texts()),
        (1000, BatchTexts::Mixed)
    );
    assert_eq!(
        PROFILE.validity(),
        Some(Duration::from_secs(60)..=Duration::from_secs(172_800))
    );
    assert_eq!(
        (PROFILE.repeat_window(), PROFILE.max_schedule_ahead()),
        (None, None)
    );
    assert!(PROFILE.sender_required() && PROFILE.reports());
    let required = |url: &str| Cm::from_url(url).unwrap().profile().sender_required();
    assert!(required("cm://t@default"));
    assert!(!required("cm://t@default?sender=Acme"));
}

async fn refused(cm: &Cm, message: &Message) -> ErrorKind {
    let error = cm.send(message).await.unwrap_err();
    assert_eq!(error.acceptance(), Acceptance::NotAccepted);
    assert_eq!(error.provider(), Some("cm"));
    error.kind()
}

#[tokio::test]
async fn a_sender_that_cm_cancels_later_is_refused_before_any_call() {
    let server = responding(response(200, 0, &[])).await;
    let cm = cm(&server);
    for sender in ["A", "AB", "+491234567890123"] {
        let message = message().with_sender(sender.parse().unwrap());
        assert_eq!(refused(&cm, &message).await, ErrorKind::InvalidSender);
    }
    let without = Cm::from_url(&format!("cm://{TOKEN}@{}", server.address())).unwrap();
    assert_eq!(
        refused(&without, &message()).await,
        ErrorKind::InvalidSender
    );
    assert_eq!(calls(&server).await.len(), 0);
}

#[tokio::test]
async fn an_unsupported_option_is_refused_before_any_call() {
    let server = responding(response(200, 0, &[])).await;
    let cm = cm(&server);
    for seconds in [0, 59, 172_801] {
        let message = message().with_validity(Duration::from_secs(seconds));
        assert_eq!(refused(&cm, &message).await, ErrorKind::Unsupported);
    }
    let later = message().with_send_at(chrono::DateTime::from_timestamp(4_000_000_000, 0).unwrap());
    assert_eq!(refused(&cm, &later).await, ErrorKind::Unsupported);
    for text in ["x".repeat(8 * 153 + 1), "ж".repeat(8 * 67 + 1)] {
        let long = Message::new("+31612345678".parse().unwrap(), Text::new(text).unwrap());
        assert_eq!(refused(&cm, &long).await, ErrorKind::InvalidText);
    }
    assert_eq!(calls(&server).await.len(), 0);
}

#[tokio::test]
async fn a_check_is_unknown_and_makes_no_call() {
    let server = responding(response(200, 0, &[])).await;
    assert_eq!(cm(&server).check().await.unwrap(), Health::unknown());
    assert_eq!(calls(&server).await.len(), 0);
}

#[test]
fn a_token_that_no_header_can_hold_is_refused_without_showing_it() {
    let error = Cm::builder("hunter\n2").build().unwrap_err();
    assert!(error.to_string().contains("token"), "{error}");
    assert!(!format!("{error:?}").contains("hunter"));
}

#[test]
fn debug_masks_a_number_as_sender() {
    let url = "cm://t@default?sender=%2B31687654321";
    let builder = Cm::builder("t").with_sender("+31687654321".parse().unwrap());
    let shown = format!("{:?} {builder:?}", Cm::from_url(url).unwrap());
    assert!(!shown.contains("31687654321"), "{shown}");
}

#[test]
fn debug_shows_no_credential() {
    let cm = Cm::from_url("cm://hunter2@default?sender=Acme").unwrap();
    let shown = format!("{cm:?} {:?}", Cm::builder("hunter2"));
    assert!(!shown.contains("hunter2"), "{shown}");
}
