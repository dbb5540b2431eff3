//! The time zones in which texts show times.

use std::collections::BTreeMap;

use chrono_tz::Tz;
use postduif_core::ConfigError;

/// A default time zone, and others by country.
#[derive(Debug)]
pub(crate) struct TimeZones {
    default: Tz,
    /// By the country's code in upper case.
    by_region: BTreeMap<String, Tz>,
}

impl TimeZones {
    pub(crate) fn new(
        default: &str,
        by_region: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        let by_region = by_region.into_iter().map(|(region, name)| {
            let code = region.to_ascii_uppercase();
            if code.len() == 2 && code.bytes().all(|byte| byte.is_ascii_uppercase()) {
                Ok((code, zone(&name)?))
            } else {
                Err(ConfigError::new(format!(
                    "invalid country {region:?}: give two letters, such as BE"
                )))
            }
        });
        Ok(Self {
            default: zone(default)?,
            by_region: by_region.collect::<Result<_, _>>()?,
        })
    }

    /// Returns the time zone of a country, as the directory writes it.
    pub(crate) fn of(&self, region: Option<&str>) -> Tz {
        let region = region.map(|region| region.trim().to_ascii_uppercase());
        let own = region.and_then(|region| self.by_region.get(&region));
        *own.unwrap_or(&self.default)
    }
}

fn zone(name: &str) -> Result<Tz, ConfigError> {
    name.parse().map_err(|_| {
        ConfigError::new("invalid time zone: give an IANA name, such as Europe/Amsterdam")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zones() -> TimeZones {
        let own = [
            ("pt", "Europe/Lisbon"),
            ("NZ", "Pacific/Auckland"),
            ("PT", "Atlantic/Azores"),
        ];
        let own = own.map(|(region, name)| (region.to_owned(), name.to_owned()));
        TimeZones::new("Europe/Amsterdam", own).unwrap()
    }

    #[test]
    fn a_recipient_has_the_time_zone_of_their_country_or_the_default() {
        for (region, zone) in [
            (None, Tz::Europe__Amsterdam),
            (Some("NL"), Tz::Europe__Amsterdam),
            (Some(""), Tz::Europe__Amsterdam),
            (Some("nz "), Tz::Pacific__Auckland),
            // The last one counts.
            (Some("PT"), Tz::Atlantic__Azores),
        ] {
            assert_eq!(zones().of(region), zone, "{region:?}");
        }
    }

    #[test]
    fn an_invalid_country_or_time_zone_is_refused() {
        for (region, name, said) in [
            ("Belgium", "Europe/Brussels", "country"),
            ("B3", "Europe/Brussels", "country"),
            ("BE", "Brussels", "time zone"),
        ] {
            let own = [(region.to_owned(), name.to_owned())];
            let error = TimeZones::new("Europe/Amsterdam", own).unwrap_err();
            assert!(error.to_string().contains(said), "{region} {name}");
        }
        assert!(TimeZones::new("Amsterdam", []).is_err());
    }
}
