use std::{borrow::Cow, fmt, str::FromStr, time::Duration};

use serde::{Deserialize, Deserializer, de::Error as _};

use crate::{ParseError, Sender, string_enum::padded};

/// What a program needs of its vendor, checked once as it starts by [`Profile::require`](crate::Profile::require).
///
/// It is written as `Display` shows it, durations in seconds: `default_sender`, `delivery_reports`, `parts=3`, `schedule_ahead=86400`,
/// `sender=Contoso`, `validity=600`. `FromStr` and serde read the same.
///
/// ```
/// # use postduif_core as postduif;
/// use std::time::Duration;
/// use postduif::{Profile, Requirement};
///
/// let profile = Profile::new("example").with_reports(true);
/// assert!(profile.require(&[Requirement::DeliveryReports]).is_ok());
///
/// let needed = ["delivery_reports".parse()?, Requirement::Validity(Duration::from_secs(600))];
/// assert_eq!(
///     profile.require(&needed).unwrap_err().to_string(),
///     "example cannot do what is required: validity=600: this vendor takes no validity period",
/// );
/// # Ok::<(), postduif::ParseError>(())
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Requirement {
    /// Messages without a sender: the vendor or the account has a default, or one is configured.
    DefaultSender,
    /// Delivery reports.
    DeliveryReports,
    /// Texts of this many parts.
    Parts(usize),
    /// Messages that are scheduled this far ahead. A vendor may have a shortest time, too: Twilio's is 15 minutes.
    ScheduleAhead(Duration),
    /// Messages with a sender of this kind. Which characters a name may have is the vendor's own rule, and is checked when
    /// a message is sent. It says nothing about messages without a sender:
    /// that is [`DefaultSender`](Self::DefaultSender).
    Sender(Sender),
    /// Messages with this validity period.
    Validity(Duration),
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DefaultSender => f.pad("default_sender"),
            Self::DeliveryReports => f.pad("delivery_reports"),
            Self::Parts(parts) => padded(f, format_args!("parts={parts}")),
            Self::ScheduleAhead(ahead) => {
                padded(f, format_args!("schedule_ahead={}", ahead.as_secs()))
            }
            Self::Sender(sender) => padded(f, format_args!("sender={sender}")),
            Self::Validity(validity) => padded(f, format_args!("validity={}", validity.as_secs())),
        }
    }
}

impl FromStr for Requirement {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        const EXPECTED: ParseError = ParseError::new(
            "a requirement: write default_sender, delivery_reports, parts=3, schedule_ahead=86400, sender=Contoso or validity=600",
        );
        let (name, value) = text.split_once('=').unwrap_or((text, ""));
        let seconds = || value.parse().map(Duration::from_secs).map_err(|_| EXPECTED);
        match name {
            "default_sender" if value.is_empty() => Ok(Self::DefaultSender),
            "delivery_reports" if value.is_empty() => Ok(Self::DeliveryReports),
            "parts" => value.parse().map(Self::Parts).map_err(|_| EXPECTED),
            "schedule_ahead" => seconds().map(Self::ScheduleAhead),
            "sender" => value.parse().map(Self::Sender).map_err(|_| EXPECTED),
            "validity" => seconds().map(Self::Validity),
            _ => Err(EXPECTED),
        }
    }
}

impl<'de> Deserialize<'de> for Requirement {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Cow::<'de, str>::deserialize(deserializer)?
            .parse()
            .map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Profile, SenderKind, TextLimit};

    #[test]
    fn every_form_is_read_as_it_is_written() {
        for text in [
            "default_sender",
            "delivery_reports",
            "parts=3",
            "schedule_ahead=86400",
            "sender=Acme Shop",
            "validity=600",
        ] {
            assert_eq!(text.parse::<Requirement>().unwrap().to_string(), text);
        }
        for text in [
            "",
            "reports",
            "delivery_reports=1",
            "parts",
            "parts=-1",
            "validity=10m",
            "sender=",
        ] {
            assert!(text.parse::<Requirement>().is_err(), "{text}");
        }
        let number: Requirement = "sender=+31612345678".parse().unwrap();
        assert_eq!(number.to_string(), "sender=+31612345678");
    }

    #[test]
    fn a_profile_names_all_that_it_cannot_do_and_nothing_that_it_can() {
        let able = Profile::new("able")
            .with_reports(true)
            .with_longest_text(TextLimit::Characters(1600))
            .with_max_schedule_ahead(Duration::from_secs(60))
            .with_senders(&[SenderKind::Alphanumeric])
            .with_validity(Duration::from_secs(60), Duration::from_secs(600));
        let read = |texts: &[&str]| -> Vec<Requirement> {
            texts.iter().map(|text| text.parse().unwrap()).collect()
        };
        let possible = [
            "delivery_reports",
            "parts=10",
            "schedule_ahead=60",
            "sender=Acme",
            "validity=600",
        ];
        able.require(&read(&possible)).unwrap();
        let impossible = [
            "parts=11",
            "schedule_ahead=61",
            "sender=12345",
            "validity=59",
        ];
        assert_eq!(
            able.require(&read(&impossible)).unwrap_err().to_string(),
            "able cannot do what is required: parts=11: this vendor takes 1600 characters; \
             schedule_ahead=61: this vendor can be asked at most 60 seconds ahead; \
             sender=12345: this vendor takes no short code as sender; \
             validity=59: this vendor takes a validity period of 60 to 600 seconds"
        );
        let error = able.require(&read(&["sender=+31612345678"])).unwrap_err();
        assert!(error.to_string().contains("sender=+316•••••678"), "{error}");
        let nameless = Profile::new("nameless").with_sender_required(true);
        let error = nameless.require(&read(&["default_sender"])).unwrap_err();
        assert_eq!(
            error.to_string(),
            "nameless cannot do what is required: default_sender: this vendor needs a sender, and none is configured"
        );
        able.require(&read(&["default_sender"])).unwrap();
        let unable = Profile::new("unable").with_longest_text(TextLimit::Parts(9));
        for text in possible {
            assert!(unable.require(&read(&[text])).is_err(), "{text}");
        }
    }
}
