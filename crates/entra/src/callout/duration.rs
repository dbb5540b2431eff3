use std::time::Duration;

/// The units of an ISO 8601 duration with a fixed length, in seconds, in their order.
const DATE: &[(char, u64)] = &[('W', 7 * 24 * 60 * 60), ('D', 24 * 60 * 60)];
const TIME: &[(char, u64)] = &[('H', 60 * 60), ('M', 60), ('S', 1)];

/// Parses an ISO 8601 duration such as `PT1H30M` or `P14D`, or a duration as .NET writes it, such as `01:30:00` or
/// `14.00:00:00`.
///
/// Years and months are refused, since their length varies. A fraction of a second is dropped. `None` if the duration
/// is invalid or zero.
pub(super) fn parse(text: &str) -> Option<Duration> {
    let duration = match text.strip_prefix('P') {
        Some(text) => iso(text)?,
        None => time_span(text)?,
    };
    (!duration.is_zero()).then_some(duration)
}

/// Parses `[d.]hh:mm:ss[.fraction]`.
fn time_span(text: &str) -> Option<Duration> {
    let (head, seconds) = text.rsplit_once(':')?;
    let (head, minutes) = head.rsplit_once(':')?;
    let (days, hours) = head.split_once('.').unwrap_or(("0", head));
    let seconds = match seconds.split_once('.') {
        Some((seconds, fraction)) if is_number(fraction) => seconds,
        _ => seconds,
    };
    let number = |text: &str, most: u64| -> Option<u64> {
        let number = is_number(text).then(|| text.parse::<u64>().ok())??;
        (number <= most).then_some(number)
    };
    let days = number(days, u64::from(u32::MAX))?;
    let (hours, minutes) = (number(hours, 23)?, number(minutes, 59)?);
    let seconds = number(seconds, 59)?;
    Some(Duration::from_secs(
        ((days * 24 + hours) * 60 + minutes) * 60 + seconds,
    ))
}

fn iso(text: &str) -> Option<Duration> {
    let (date, time) = match text.split_once('T') {
        Some((date, time)) if !time.is_empty() => (date, time),
        Some(_) => return None,
        None if text.is_empty() => return None,
        None => (text, ""),
    };
    let seconds = sum(date, DATE)?.checked_add(sum(time, TIME)?)?;
    Some(Duration::from_secs(seconds))
}

fn sum(mut text: &str, units: &[(char, u64)]) -> Option<u64> {
    let mut seconds = 0_u64;
    for &(unit, length) in units {
        let Some((number, rest)) = text.split_once(unit) else {
            continue;
        };
        let number = match number.split_once('.') {
            Some((whole, fraction)) if unit == 'S' && is_number(fraction) => whole,
            _ => number,
        };
        // `parse` alone would accept a sign.
        let number: u64 = is_number(number).then(|| number.parse().ok())??;
        seconds = seconds.checked_add(number.checked_mul(length)?)?;
        text = rest;
    }
    text.is_empty().then_some(seconds)
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_entra_writes_them() {
        for (text, seconds) in [
            ("PT5M", 300),
            ("PT1H", 3600),
            ("PT1H30M5S", 5405),
            ("P14D", 14 * 86_400),
            ("P2W", 14 * 86_400),
            ("P1DT2H", 93_600),
            ("PT300.5S", 300),
            ("01:00:00", 3600),
            ("14.00:00:00", 14 * 86_400),
            ("00:05:00.0000000", 300),
        ] {
            assert_eq!(parse(text), Some(Duration::from_secs(seconds)), "{text}");
        }
    }

    #[test]
    fn an_invalid_or_zero_duration_is_none() {
        for text in [
            "",
            "P",
            "PT",
            "P1DT",
            "T5M",
            "5M",
            "PT5",
            "PT-5M",
            "PT+5M",
            "-PT5M",
            "PTM",
            "PT5M1H",
            "PT5M5M",
            "P1Y",
            "P1M",
            "PT0.5H",
            "PT5.S",
            "PT.5S",
            "pt5m",
            "PT5M ",
            "PT99999999999999999999H",
            "P18446744073709551615D",
            "PT1H\u{660}M",
            "PT0S",
            "00:00:00",
            "24:00:00",
            "1:60:00",
            "01:00",
            "-01:00:00",
            "1.2.03:00:00",
            "01:00:00.",
        ] {
            assert_eq!(parse(text), None, "{text:?}");
        }
    }
}
