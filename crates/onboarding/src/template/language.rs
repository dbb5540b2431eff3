//! The choice of a language, and its date and time format.

use std::fmt::{Display, Write};

use chrono::{
    DateTime, MappedLocalTime, NaiveDate, NaiveTime, Offset, TimeZone,
    format::{Item, StrftimeItems},
};

/// Returns a language tag for comparison: in lower case, with hyphens. `None` if it is not a BCP 47 tag.
pub(super) fn normalized(tag: &str) -> Option<String> {
    let tag = tag.trim().replace('_', "-").to_ascii_lowercase();
    let mut subtags = tag.split('-');
    let first = subtags.next().unwrap_or_default();
    let fine = (2..=8).contains(&first.len())
        && first.bytes().all(|byte| byte.is_ascii_alphabetic())
        && tag.len() <= MAX_TAG
        && subtags.all(|subtag| {
            (1..=8).contains(&subtag.len())
                && subtag.bytes().all(|byte| byte.is_ascii_alphanumeric())
        });
    fine.then_some(tag)
}

/// Returns the first match of a lookup by RFC 4647, section 3.4: `nl-BE`, then `nl`.
///
/// A directory that was filled from browser settings may hold a list of ranges (`fr-BE, nl;q=0.8`). The first range
/// with a match counts.
pub(super) fn look_up<T>(wanted: &str, mut get: impl FnMut(&str) -> Option<T>) -> Option<T> {
    wanted.split(',').take(MAX_RANGES).find_map(|range| {
        let range = range.split(';').next().unwrap_or_default();
        let range = normalized(range)?;
        let mut rest = range.as_str();
        loop {
            if let Some(found) = get(rest) {
                return Some(found);
            }
            rest = rest.rsplit_once('-')?.0;
            // A single letter or digit only introduces the subtag that was just cut off.
            while let Some((shorter, subtag)) = rest.rsplit_once('-')
                && subtag.len() == 1
            {
                rest = shorter;
            }
        }
    })
}

/// The date and time format of a language.
#[derive(Clone, Debug)]
pub(super) struct TimeFormat(String);

impl TimeFormat {
    /// Returns the usual format of a language.
    pub(super) fn of(tag: &str) -> Self {
        let known = |tag: &str| FORMATS.iter().find(|(known, _)| *known == tag);
        let format = look_up(tag, known).map_or(ISO, |(_, format)| format);
        Self(format.into())
    }

    /// Creates a format. `None` if chrono does not understand it.
    pub(super) fn new(format: &str) -> Option<Self> {
        let fine = !format.is_empty()
            && format.len() <= MAX_FORMAT
            && !format.contains(char::is_control)
            && StrftimeItems::new(format).all(|item| item != Item::Error);
        fine.then(|| Self(format.into()))
    }

    /// Formats a time in its own zone. In the repeated hour when summer time ends, it adds the name of the zone:
    /// `02:30 CEST` is an hour before `02:30 CET`.
    pub(super) fn write<Z>(&self, time: &DateTime<Z>) -> String
    where
        Z: TimeZone,
        Z::Offset: Display,
    {
        let mut written = String::new();
        // The format was checked, and writing to a string does not fail.
        let _ = write!(written, "{}", time.format(&self.0));
        if is_twice(time) {
            let _ = write!(written, " {}", time.format("%Z"));
        }
        written
    }

    /// Returns the longest time: a Wednesday in September, with the longest name of a zone.
    pub(super) fn longest(&self) -> String {
        let day = NaiveDate::from_ymd_opt(2026, 9, 30).unwrap_or_default();
        let time = day.and_time(NaiveTime::MIN).and_utc();
        self.write(&time) + " +1030"
    }
}

/// Returns whether the local clock shows this time twice.
fn is_twice<Z: TimeZone>(time: &DateTime<Z>) -> bool {
    let local = time.naive_utc().checked_add_offset(time.offset().fix());
    local.is_some_and(|local| {
        matches!(
            time.timezone().from_local_datetime(&local),
            MappedLocalTime::Ambiguous(..)
        )
    })
}

/// Digits if readers of the language agree on their order, and otherwise the month's name.
static FORMATS: &[(&str, &str)] = &[
    ("cs", "%d.%m.%Y %H:%M"),
    ("da", "%d.%m.%Y %H:%M"),
    ("de", "%d.%m.%Y %H:%M"),
    ("en", "%d %b %Y %H:%M"),
    ("es", "%d/%m/%Y %H:%M"),
    ("fr", "%d/%m/%Y %H:%M"),
    ("it", "%d/%m/%Y %H:%M"),
    ("nb", "%d.%m.%Y %H:%M"),
    ("nl", "%d-%m-%Y %H:%M"),
    ("pl", "%d.%m.%Y %H:%M"),
    ("pt", "%d/%m/%Y %H:%M"),
    ("ro", "%d.%m.%Y %H:%M"),
    ("tr", "%d.%m.%Y %H:%M"),
    ("uk", "%d.%m.%Y %H:%M"),
];

/// A format that no reader misunderstands (ISO 8601).
const ISO: &str = "%Y-%m-%d %H:%M";

/// RFC 5646 requires room for 35 characters. No directory contains longer tags.
const MAX_TAG: usize = 64;

const MAX_FORMAT: usize = 64;

/// The maximum number of ranges of one recipient.
const MAX_RANGES: usize = 8;

#[cfg(test)]
mod tests {
    use chrono::Utc;
    use chrono_tz::Tz;

    use super::*;

    #[test]
    fn a_language_is_looked_up_by_rfc_4647() {
        let known = ["nl", "en", "zh-hant", "pt-br"];
        for (wanted, found) in [
            ("nl", Some("nl")),
            ("nl-NL", Some("nl")),
            ("nl-BE", Some("nl")),
            ("NL-be", Some("nl")),
            ("nl_BE", Some("nl")),
            (" nl ", Some("nl")),
            ("en-GB-oxendict", Some("en")),
            ("zh-Hant-CN-x-private1", Some("zh-hant")),
            ("zh-Hant-x-a", Some("zh-hant")),
            ("pt-BR", Some("pt-br")),
            // A range matches neither a longer tag nor a part of a subtag.
            ("pt", None),
            ("zh", None),
            ("nld", None),
            ("e", None),
            ("fr-BE, nl;q=0.8, en;q=0.5", Some("nl")),
            ("*", None),
            ("", None),
            ("-", None),
            ("nl--NL", None),
            ("nl-\u{202e}", None),
        ] {
            let get = |tag: &str| known.into_iter().find(|known| *known == tag);
            assert_eq!(look_up(wanted, get), found, "{wanted:?}");
        }
    }

    fn amsterdam(utc: &str) -> String {
        let time = DateTime::parse_from_rfc3339(utc).unwrap();
        TimeFormat::of("nl").write(&time.with_timezone(&Tz::Europe__Amsterdam))
    }

    #[test]
    fn the_night_in_which_summer_time_begins_has_no_hour_from_two_to_three() {
        assert_eq!(amsterdam("2026-03-29T00:59:59Z"), "29-03-2026 01:59");
        assert_eq!(amsterdam("2026-03-29T01:00:00Z"), "29-03-2026 03:00");
    }

    #[test]
    fn the_repeated_hour_when_summer_time_ends_names_its_zone() {
        assert_eq!(amsterdam("2026-10-24T23:59:59Z"), "25-10-2026 01:59");
        assert_eq!(amsterdam("2026-10-25T00:00:00Z"), "25-10-2026 02:00 CEST");
        assert_eq!(amsterdam("2026-10-25T00:30:00Z"), "25-10-2026 02:30 CEST");
        assert_eq!(amsterdam("2026-10-25T01:30:00Z"), "25-10-2026 02:30 CET");
        assert_eq!(amsterdam("2026-10-25T02:00:00Z"), "25-10-2026 03:00");
    }

    #[test]
    fn a_time_is_written_as_its_language_does() {
        let time = DateTime::from_timestamp(1_795_335_900, 0).unwrap();
        for (tag, written) in [
            ("nl", "22-11-2026 08:25"),
            ("nl-BE", "22-11-2026 08:25"),
            ("en", "22 Nov 2026 08:25"),
            ("de-AT", "22.11.2026 08:25"),
            ("fr", "22/11/2026 08:25"),
            ("fy", "2026-11-22 08:25"),
        ] {
            assert_eq!(TimeFormat::of(tag).write(&time), written, "{tag}");
        }
    }

    #[test]
    fn the_ends_of_time_are_written_without_a_panic() {
        for time in [DateTime::<Utc>::MIN_UTC, DateTime::<Utc>::MAX_UTC] {
            for zone in [Tz::Europe__Amsterdam, Tz::America__New_York] {
                assert!(
                    !TimeFormat::of("nl")
                        .write(&time.with_timezone(&zone))
                        .is_empty()
                );
            }
        }
    }

    #[test]
    fn an_invalid_time_format_is_refused() {
        for format in ["", "%Q", "%", "%d\n%m", &"x".repeat(65)] {
            assert!(TimeFormat::new(format).is_none(), "{format:?}");
        }
        assert!(TimeFormat::new("%d.%m. %H:%M Uhr").is_some());
    }
}
