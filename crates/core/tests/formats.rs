//! The formats of values: text with a width, and JSON.
#![cfg(test)]

use std::{
    fmt::{Debug, Display},
    str::FromStr,
};

use futures_executor::block_on;
use postduif_core::{
    Acceptance, Attempt, Authenticity, ConfigError, Credentials, DeliveryReport, DeliveryStatus,
    ErrorKind, Guid, Health, Message, PhoneNumber, Prefix, Price, Profile, Receipt, Reference,
    ReportError, ReportErrorKind, SendError, Sender, SenderKind, Text,
    departure::{Departure, hold_until_closed},
    directory::{
        AccessPackageStage, FailureReason, FlowId, GraphError, GraphErrorKind, RequestType, TapId,
        UserId, UserKind,
    },
};
use serde_json::json;

const GUID: &str = "5e2f9d1c-0b7a-4a63-8f3d-9c1e2b7a6d43";

fn number() -> PhoneNumber {
    "+31612345678".parse().unwrap()
}

fn price() -> Price {
    "0.0727 EUR".parse().unwrap()
}

fn refused() -> SendError {
    SendError::not_accepted(ErrorKind::Throttled, "too many requests")
        .with_provider("kpn")
        .with_code("7")
        .with_retry_after(std::time::Duration::from_millis(250))
}

fn parse_error<T>(text: &str) -> T::Err
where
    T: Debug + FromStr<Err: Debug>,
{
    text.parse::<T>().unwrap_err()
}

#[test]
fn every_text_honours_width_and_fill() {
    let guid: Guid = GUID.parse().unwrap();
    let message =
        Message::new(number(), Text::new("x").unwrap()).with_sender("Acme".parse().unwrap());
    let problem = Profile::new("bare").problems(&message).remove(0);
    let closed = block_on(async {
        let departure = Departure::new();
        let _ = departure.close();
        let wait = hold_until_closed(std::future::pending::<()>());
        departure.scope(wait).await.unwrap_err()
    });
    let lost = SendError::unknown(ErrorKind::Timeout, "no response");
    let graph_error = GraphError::unknown(GraphErrorKind::Throttled, "too many requests")
        .with_code("429")
        .with_request_id("r");
    let values: &[&dyn Display] = &[
        &Acceptance::Unknown,
        &AccessPackageStage::RequestGranted,
        &Attempt::new("kpn", refused()),
        &Attempt::new("kpn", lost.clone()),
        &Authenticity::Signed,
        &closed,
        &ConfigError::new("no key"),
        &Credentials::Verified,
        &DeliveryStatus::Sent,
        &ErrorKind::Other,
        &FailureReason::NoNumber,
        &FlowId::from(guid),
        &graph_error,
        &GraphErrorKind::Conflict,
        &guid,
        &Health::refused(refused()),
        &Health::unknown(),
        &Health::verified(),
        &Health::verified().with_balance(price()),
        &lost,
        &number(),
        &number().masked(),
        &number().msisdn(),
        &parse_error::<Guid>("x"),
        &parse_error::<PhoneNumber>("x"),
        &parse_error::<PhoneNumber>("x").kind(),
        &parse_error::<Prefix>("x"),
        &parse_error::<Sender>(""),
        &Prefix::from(number()),
        &"+31".parse::<Prefix>().unwrap(),
        &price(),
        &problem,
        &Reference::random(),
        &refused(),
        &ReportError::stale("too old"),
        &ReportErrorKind::Stale,
        &RequestType::UserAdd,
        &Sender::from(number()),
        &"Acme".parse::<Sender>().unwrap(),
        &"MG0123456789abcdef0123456789abcdef"
            .parse::<Sender>()
            .unwrap(),
        &SenderKind::Number,
        &"pass-1".parse::<TapId>().unwrap(),
        &Text::new("").unwrap_err(),
        &UserId::from(guid),
        &UserKind::Guest,
    ];
    for value in values {
        let plain = value.to_string();
        let width = plain.chars().count() + 3;
        assert_eq!(format!("{value:>width$}"), format!("   {plain}"));
        assert_eq!(format!("{value:*<width$}"), format!("{plain}***"));
        assert_eq!(format!("{value:width$}"), format!("{plain}   "));
    }
}

#[test]
fn a_receipt_in_json_is_as_documented() {
    let reference: Reference = "order42".parse().unwrap();
    let bare = Receipt::new("cm", reference);
    assert_eq!(
        serde_json::to_value(&bare).unwrap(),
        json!({
            "provider": "cm", "reference": "order42", "id": null, "part_ids": [], "parts": null,
            "expected_reports": 1, "price": null, "attempts": [],
        })
    );
    let full = bare
        .with_id("a")
        .with_part_ids(["a", "b"])
        .with_parts(2)
        .with_expected_reports(2)
        .with_price(price())
        .with_attempts(vec![Attempt::new("kpn", refused())]);
    assert_eq!(
        serde_json::to_value(&full).unwrap(),
        json!({
            "provider": "cm", "reference": "order42", "id": "a", "part_ids": ["a", "b"], "parts": 2,
            "expected_reports": 2, "price": "0.0727 EUR",
            "attempts": [{
                "provider": "kpn",
                "error": {
                    "kind": "throttled", "acceptance": "not_accepted", "provider": "kpn", "code": "7",
                    "retry_after_ms": 250, "may_resend": true, "may_reroute": true,
                    "message": "kpn: too many requests (code 7); the message was not sent",
                    "attempts": [],
                },
            }],
        })
    );
    assert_eq!(full, full.clone());
    assert_ne!(full, Receipt::new("cm", reference));
}

#[test]
fn an_error_in_json_is_without_the_vendors_words() {
    let with_words = refused().with_vendor_message("ask the helpdesk");
    assert_eq!(
        serde_json::to_value(with_words).unwrap(),
        serde_json::to_value(refused()).unwrap()
    );
}

#[test]
fn a_health_in_json_is_as_documented() {
    assert_eq!(
        serde_json::to_value(Health::verified().with_balance(price())).unwrap(),
        json!({"credentials": "verified", "balance": "0.0727 EUR", "refusal": null})
    );
    assert_eq!(
        serde_json::to_value(Health::unknown()).unwrap(),
        json!({"credentials": "unknown", "balance": null, "refusal": null})
    );
    let refusal =
        SendError::not_accepted(ErrorKind::Unauthorized, "invalid key").with_provider("cm");
    let health = serde_json::to_value(Health::refused(refusal)).unwrap();
    assert_eq!(
        (
            &health["credentials"],
            &health["refusal"]["kind"],
            &health["refusal"]["message"]
        ),
        (
            &json!("refused"),
            &json!("unauthorized"),
            &json!("cm: invalid key")
        )
    );
}

#[test]
fn a_report_in_json_is_as_documented() {
    let bare = DeliveryReport::new("cm", DeliveryStatus::Sent);
    assert_eq!(
        serde_json::to_value(&bare).unwrap(),
        json!({
            "provider": "cm", "reference": null, "vendor_reference": null, "id": null, "part": null,
            "recipient": null, "status": "sent", "code": null, "at": null, "price": null,
        })
    );
    let mut full =
        DeliveryReport::new("cm", DeliveryStatus::Delivered).with_reference_text("order42");
    full.recipient = Some(number());
    full.part = Some("1".into());
    full.at = Some("2026-11-23T08:00:00Z".parse().unwrap());
    full.price = Some(price());
    assert_eq!(
        serde_json::to_value(&full).unwrap(),
        json!({
            "provider": "cm", "reference": "order42", "vendor_reference": null, "id": null, "part": "1",
            "recipient": "+31612345678", "status": "delivered", "code": null,
            "at": "2026-11-23T08:00:00Z", "price": "0.0727 EUR",
        })
    );
    assert_eq!(full, full.clone());
    assert_ne!(full, bare);
}

#[test]
fn errors_that_differ_are_not_equal() {
    let refused = || SendError::not_accepted(ErrorKind::Throttled, "x");
    assert_eq!(refused(), refused());
    assert_eq!(refused(), refused().with_source(ConfigError::new("y")));
    let different = [
        SendError::not_accepted(ErrorKind::Timeout, "x"),
        SendError::not_accepted(ErrorKind::Throttled, "y"),
        refused().in_doubt(),
        refused().local(),
        refused().of_check(),
        refused().with_attempts(vec![Attempt::new("kpn", refused())]),
        refused().with_code("1"),
        refused().with_provider("kpn"),
        refused().with_retry_after(std::time::Duration::ZERO),
    ];
    for error in different {
        assert_ne!(error, refused(), "{error:?}");
    }
}
