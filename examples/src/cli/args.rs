use std::time::Duration;

use chrono::{DateTime, Utc};
use postduif_sandbox::Sandbox;

/// Starts a sandbox and adds its URL of `vendor`, if there is no other URL. Keep the sandbox until the end.
pub(super) async fn sandbox_unless_given(urls: &mut Vec<String>, vendor: &str) -> Option<Sandbox> {
    urls.retain(|url| !url.is_empty());
    if !urls.is_empty() {
        return None;
    }
    let sandbox = Sandbox::start().await;
    urls.push(sandbox.sms_url(vendor));
    Some(sandbox)
}

/// Parses a duration as people write it: `250ms`, `10s`, `30m`, `2h`, `3d`.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let unit = text.trim_start_matches(|char: char| char.is_ascii_digit());
    let number = &text[..text.len() - unit.len()];
    let milliseconds: u64 = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err("write a number and a unit, such as 250ms, 10s, 30m, 2h or 3d".into()),
    };
    let number: u64 = number
        .parse()
        .map_err(|_| "start a duration with a whole number, such as 10s")?;
    number
        .checked_mul(milliseconds)
        .map(Duration::from_millis)
        .ok_or_else(|| "the duration is too long".into())
}

/// Parses a time in RFC 3339.
pub(super) fn time(text: &str) -> Result<DateTime<Utc>, String> {
    text.parse()
        .map_err(|_| "write a time in RFC 3339, such as 2026-12-31T09:00:00Z".into())
}
