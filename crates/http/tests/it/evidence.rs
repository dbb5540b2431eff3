use std::time::Duration;

use postduif_core::{Acceptance, ErrorKind, SendError};
use postduif_http::{BaseUrl, Client, Proof, Refusal, Request, Response};
use postduif_testkit::{Reply, Server};

async fn refused(client: &Client, reply: Reply, refusal: Option<Refusal>) -> SendError {
    let server = Server::start(move |_| reply.clone()).await;
    let base = BaseUrl::parse(&server.url()).unwrap();
    let response = client.send(Request::post(&base, "/send")).await.unwrap();
    response.refused(refusal)
}

fn vendor_refusal() -> Refusal {
    Refusal::new(ErrorKind::InvalidSender, "the sender is not allowed").with_code("42")
}

#[tokio::test]
async fn only_a_few_statuses_alone_prove_that_the_message_was_not_read() {
    let client = Client::new().unwrap();
    for status in 400..=499 {
        let error = refused(&client, Reply::html(status), None).await;
        let expected = match status {
            404 | 405 | 411 | 413 | 414 | 415 | 431 => {
                (ErrorKind::Misconfigured, Acceptance::NotAccepted)
            }
            429 => (ErrorKind::Throttled, Acceptance::NotAccepted),
            _ => (ErrorKind::Protocol, Acceptance::Unknown),
        };
        assert_eq!((error.kind(), error.acceptance()), expected, "{status}");
    }
}

#[tokio::test]
async fn a_401_proves_it_by_its_challenge_only() {
    let client = Client::new().unwrap();
    let error = refused(
        &client,
        Reply::html(401).with_header("www-authenticate", "Bearer"),
        None,
    )
    .await;
    assert_eq!(
        (error.kind(), error.acceptance()),
        (ErrorKind::Unauthorized, Acceptance::NotAccepted)
    );
    let error = refused(
        &client,
        Reply::html(403).with_header("www-authenticate", "Bearer"),
        None,
    )
    .await;
    assert_eq!(
        (error.kind(), error.acceptance()),
        (ErrorKind::Protocol, Acceptance::Unknown)
    );
}

#[tokio::test]
async fn the_vendors_own_refusal_proves_it_below_500() {
    let client = Client::new().unwrap();
    for status in [200, 202, 400, 401, 403, 408, 409, 422] {
        let error = refused(&client, Reply::json(status, "{}"), Some(vendor_refusal())).await;
        assert_eq!(
            (error.kind(), error.acceptance()),
            (ErrorKind::InvalidSender, Acceptance::NotAccepted),
            "{status}"
        );
        assert_eq!(error.code(), Some("42"));
    }
}

#[tokio::test]
async fn at_the_statuses_of_a_timeout_only_a_listed_code_proves_it() {
    let client = Client::new().unwrap();
    let shape = || Refusal::new(ErrorKind::Other, "it was refused");
    for status in [408, 409, 425, 499] {
        for refusal in [shape(), shape().with_unlisted_code("7", &[])] {
            let error = refused(&client, Reply::json(status, "{}"), Some(refusal)).await;
            assert_eq!(error.acceptance(), Acceptance::Unknown, "{status}");
        }
    }
    let error = refused(&client, Reply::json(400, "{}"), Some(shape())).await;
    assert_eq!(error.acceptance(), Acceptance::NotAccepted);
}

#[tokio::test]
async fn a_new_token_is_tried_only_where_the_vendor_names_the_token() {
    let client = Client::new().unwrap();
    let shape = || Refusal::new(ErrorKind::Unauthorized, "it was refused");
    let challenge = |value| Reply::html(401).with_header("www-authenticate", value);
    for (reply, refusal, worth_it) in [
        (Reply::json(401, "{}"), Some(shape()), false),
        (
            Reply::json(401, "{}"),
            Some(shape().with_code("expired")),
            true,
        ),
        (Reply::json(403, "{}"), Some(vendor_refusal()), false),
        (Reply::html(401), None, false),
        (challenge("Negotiate"), None, false),
        (challenge("Bearer realm=\"x\""), None, true),
        (challenge("Bearer"), Some(shape()), true),
        (
            Reply::json(302, "{}"),
            Some(shape().with_code("expired")),
            false,
        ),
        (challenge("bearer"), None, true),
    ] {
        let server = Server::start(move |_| reply.clone()).await;
        let base = BaseUrl::parse(&server.url()).unwrap();
        let response = client.send(Request::post(&base, "/send")).await.unwrap();
        assert_eq!(
            response.refuses_token(refusal.as_ref()),
            worth_it,
            "{refusal:?}"
        );
    }
}

#[tokio::test]
async fn an_unusable_id_is_no_acceptance() {
    let long = "x".repeat(257);
    for bad in ["", "  ", "\u{a0}", "abc\u{1b}[31m", "a\nb", &long] {
        let error = Response::message_id(bad).unwrap_err();
        assert_eq!(error.acceptance(), Acceptance::Unknown, "{bad:?}");
    }
    assert_eq!(Response::message_id(" 0f-1 ").unwrap(), "0f-1");
}

#[tokio::test]
async fn an_error_for_a_foreign_response_names_its_status() {
    let client = Client::new().unwrap();
    for status in [403, 502] {
        let error = refused(&client, Reply::html(status), None).await;
        assert!(
            error.to_string().contains(&format!("(HTTP {status})")),
            "{error}"
        );
    }
}

#[tokio::test]
async fn from_500_up_only_a_code_that_says_so_proves_it() {
    let client = Client::new().unwrap();
    for status in [500, 501, 502, 503, 504, 599] {
        for refusal in [None, Some(vendor_refusal())] {
            let error = refused(&client, Reply::json(status, "{}"), refusal).await;
            assert_eq!(
                (error.kind(), error.acceptance()),
                (ErrorKind::Unavailable, Acceptance::Unknown),
                "{status}"
            );
        }
        let error = refused(
            &client,
            Reply::json(status, "{}"),
            Some(vendor_refusal().with_proof(Proof::Always)),
        )
        .await;
        assert_eq!(
            (error.kind(), error.acceptance()),
            (ErrorKind::InvalidSender, Acceptance::NotAccepted),
            "{status}"
        );
    }
}

#[tokio::test]
async fn a_redirect_proves_nothing_with_any_body() {
    let client = Client::new().unwrap();
    let error = refused(
        &client,
        Reply::json(302, "{}"),
        Some(vendor_refusal().with_proof(Proof::Always)),
    )
    .await;
    assert_eq!(
        (error.kind(), error.acceptance()),
        (ErrorKind::Protocol, Acceptance::Unknown)
    );
}

#[tokio::test]
async fn a_success_that_is_not_the_vendors_is_in_doubt() {
    let client = Client::new().unwrap();
    let error = refused(&client, Reply::html(200), None).await;
    assert_eq!(
        (error.kind(), error.acceptance()),
        (ErrorKind::Protocol, Acceptance::Unknown)
    );
}

#[tokio::test]
async fn retry_after_is_read_in_every_form_and_is_a_day_at_most() {
    let client = Client::new().unwrap();
    let day = Duration::from_secs(86_400);
    for (value, expected) in [
        ("7", Some(Duration::from_secs(7))),
        ("0.25", Some(Duration::from_millis(250))),
        ("-5", Some(Duration::ZERO)),
        ("1e18", Some(day)),
        ("inf", Some(day)),
        ("NaN", None),
        ("Wed, 21 Oct 2015 07:28:00 GMT", Some(Duration::ZERO)),
        ("Fri, 31 Dec 9999 23:59:59 GMT", Some(day)),
        ("soon", None),
        ("", None),
    ] {
        let error = refused(
            &client,
            Reply::status(429).with_header("retry-after", value),
            None,
        )
        .await;
        assert_eq!(error.retry_after(), expected, "{value:?}");
    }
    assert_eq!(
        refused(&client, Reply::status(429), None)
            .await
            .retry_after(),
        None
    );
}
