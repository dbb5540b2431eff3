//! The wall clock: what reads it, and that no wait depends on it.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use postduif_core::ReportErrorKind;
use postduif_http::{BaseUrl, Client, Request, vendor::reports::check_window};
use postduif_testkit::{Reply, Server};

use crate::phases::post_by;

const DAY: Duration = Duration::from_secs(86_400);

/// How far the clock jumps.
const JUMPS: [TimeDelta; 5] = [
    TimeDelta::hours(-1),
    TimeDelta::hours(1),
    TimeDelta::days(-3650),
    TimeDelta::days(3650),
    TimeDelta::days(200_000),
];

fn noon() -> DateTime<Utc> {
    DateTime::from_timestamp(1_767_268_800, 0).unwrap()
}

#[tokio::test]
async fn a_retry_after_date_is_a_delay_of_at_most_a_day_at_any_clock() {
    let date = (noon() + TimeDelta::seconds(30)).to_rfc2822();
    let server = Server::start(move |_| Reply::status(429).with_header("retry-after", &date)).await;
    let base = BaseUrl::parse(&server.url()).unwrap();
    let client = Client::new().unwrap();
    let response = client.send(Request::post(&base, "/send")).await.unwrap();
    assert_eq!(response.retry_after(noon()), Some(Duration::from_secs(30)));
    for jump in JUMPS {
        let wait = response.retry_after(noon() + jump).unwrap();
        let expected = if jump > TimeDelta::zero() {
            Duration::ZERO
        } else {
            (Duration::from_secs(30) + (-jump).to_std().unwrap()).min(DAY)
        };
        assert_eq!(wait, expected, "after a jump of {jump}");
    }
    for now in [DateTime::<Utc>::MIN_UTC, DateTime::<Utc>::MAX_UTC] {
        assert!(response.retry_after(now).is_none_or(|wait| wait <= DAY));
    }
}

#[test]
fn a_clock_that_jumps_lets_no_old_report_in() {
    let window = Duration::from_secs(300);
    let signed_at = noon().timestamp();
    assert!(check_window(signed_at, noon(), window).is_ok());
    for jump in JUMPS {
        let error = check_window(signed_at, noon() + jump, window).unwrap_err();
        assert_eq!(
            error.kind(),
            ReportErrorKind::Stale,
            "after a jump of {jump}"
        );
    }
    for signed_at in [i64::MIN, i64::MAX] {
        assert!(check_window(signed_at, noon(), window).is_err());
    }
}

/// The deadline runs on the monotonic clock, which the paused clock of the runtime simulates: it passes once that
/// clock has advanced, although the wall clock has not.
#[tokio::test]
async fn a_deadline_follows_the_monotonic_clock() {
    let server = Server::start(|_| Reply::Stall).await;
    let client = Client::new().unwrap();
    let (wall, url) = (std::time::SystemTime::now(), server.url());
    let call = tokio::spawn(async move { post_by(&client, &url).await.unwrap_err() });
    while server.requests().is_empty() {
        tokio::task::yield_now().await;
    }
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(31)).await;
    tokio::time::resume();
    let error = call.await.unwrap();
    assert_eq!(error.kind(), postduif_core::ErrorKind::Timeout, "{error:?}");
    assert!(wall.elapsed().unwrap() < Duration::from_secs(29));
}
