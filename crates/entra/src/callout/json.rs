use std::{borrow::Cow, fmt};

use postduif_core::Guid;
use serde::{
    Deserialize, Deserializer,
    de::{Error, IgnoredAny, MapAccess, SeqAccess, Visitor},
};

use super::{CalloutError, CalloutParser};

/// The GUID that .NET writes for a missing id.
const NO_GUID: &str = "00000000-0000-0000-0000-000000000000";

/// The parts of JSON that a call-out needs: objects and strings. An object keeps every member, so that duplicate names
/// are noticed.
pub(super) enum Json {
    Null,
    Object(Vec<(String, Self)>),
    Other,
    Text(String),
}

impl Json {
    /// Reads a body of bounded length, nested at most 128 levels deep. Skipped values need no memory.
    ///
    /// A display name may be cut within a character, or have another encoding, and is not needed. So invalid UTF-8 and
    /// lone surrogates become replacement characters.
    pub(super) fn read(body: &[u8]) -> Result<Self, CalloutError> {
        if body.len() > CalloutParser::BODY_LIMIT {
            return Err(CalloutError::malformed("it is too long"));
        }
        let text = String::from_utf8_lossy(body);
        let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
        match serde_json::from_str(&without_lone_surrogates(text)) {
            Ok(object @ Self::Object(_)) => Ok(object),
            // Without the source, which may quote the body.
            _ => Err(CalloutError::malformed("it is not a JSON object")),
        }
    }

    /// Returns the member with this name in any case, or null if there is none.
    pub(super) fn member(&self, name: &str) -> Result<&Self, CalloutError> {
        let Self::Object(members) = self else {
            return Ok(&Self::Null);
        };
        let mut found = members
            .iter()
            .filter(|(known, _)| known.eq_ignore_ascii_case(name));
        match (found.next(), found.next()) {
            (None, _) => Ok(&Self::Null),
            (Some((_, value)), None) => Ok(value),
            (Some(_), Some(_)) => Err(CalloutError::malformed("a member is duplicated")),
        }
    }

    /// Returns the member at a path of names.
    pub(super) fn at(&self, names: &[&str]) -> Result<&Self, CalloutError> {
        names.iter().try_fold(self, |json, name| json.member(name))
    }

    pub(super) fn has(&self, name: &str) -> Result<bool, CalloutError> {
        Ok(!matches!(self.member(name)?, Self::Null))
    }

    /// Returns a string. `None` if it is null or empty.
    pub(super) fn text(&self) -> Result<Option<&str>, CalloutError> {
        match self {
            Self::Text(text) if text.is_empty() => Ok(None),
            Self::Text(text) => Ok(Some(text)),
            Self::Null => Ok(None),
            Self::Object(_) | Self::Other => {
                Err(CalloutError::malformed("a member is not a string"))
            }
        }
    }

    /// Returns an optional string. `None` if it is empty or not a string.
    pub(super) fn optional_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) if !text.is_empty() => Some(text),
            _ => None,
        }
    }

    /// Returns a GUID. `None` if it is null, empty or all zeros.
    pub(super) fn guid(&self) -> Result<Option<Guid>, CalloutError> {
        match self.text()? {
            None | Some(NO_GUID) => Ok(None),
            Some(text) => text
                .parse()
                .map(Some)
                .map_err(|_| CalloutError::malformed("an id is not a GUID")),
        }
    }

    /// Returns a required GUID.
    pub(super) fn id(&self) -> Result<Guid, CalloutError> {
        self.guid()?
            .ok_or_else(|| CalloutError::malformed("an id is missing"))
    }
}

/// Replaces each lone surrogate escape by `\ufffd`.
fn without_lone_surrogates(text: &str) -> Cow<'_, str> {
    let mut whole = Cow::Borrowed(text);
    let mut at = 0;
    while let Some(found) = text[at..].find('\\') {
        let escape = at + found;
        at = escape + 2;
        match (surrogate(text, escape), surrogate(text, escape + ESCAPE)) {
            (Some(Half::High), Some(Half::Low)) => at = escape + 2 * ESCAPE,
            (Some(_), _) => {
                at = escape + ESCAPE;
                whole.to_mut().replace_range(escape..at, "\\ufffd");
            }
            // The character after a backslash starts no other escape. It may have several bytes.
            (None, _) => {
                while at < text.len() && !text.is_char_boundary(at) {
                    at += 1;
                }
            }
        }
        at = at.min(text.len());
    }
    whole
}

enum Half {
    High,
    Low,
}

/// Returns the half of a surrogate pair whose escape begins at this index.
fn surrogate(text: &str, at: usize) -> Option<Half> {
    let digits = text.get(at..at + ESCAPE)?.strip_prefix("\\u")?;
    match u16::from_str_radix(digits, 16).ok()? {
        0xd800..=0xdbff => Some(Half::High),
        0xdc00..=0xdfff => Some(Half::Low),
        _ => None,
    }
}

/// The length of an escape such as `\ud83d`.
const ESCAPE: usize = 6;

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;

        impl<'de> Visitor<'de> for Reader {
            type Value = Json;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("JSON")
            }

            fn visit_unit<E>(self) -> Result<Json, E> {
                Ok(Json::Null)
            }

            fn visit_bool<E>(self, _: bool) -> Result<Json, E> {
                Ok(Json::Other)
            }

            fn visit_i64<E>(self, _: i64) -> Result<Json, E> {
                Ok(Json::Other)
            }

            fn visit_u64<E>(self, _: u64) -> Result<Json, E> {
                Ok(Json::Other)
            }

            fn visit_f64<E>(self, _: f64) -> Result<Json, E> {
                Ok(Json::Other)
            }

            fn visit_str<E>(self, text: &str) -> Result<Json, E> {
                Ok(Json::Text(text.to_owned()))
            }

            fn visit_string<E>(self, text: String) -> Result<Json, E> {
                Ok(Json::Text(text))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Json, A::Error> {
                while items.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Json::Other)
            }

            fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Json, A::Error> {
                let mut members = Vec::new();
                while let Some((name, value)) = entries.next_entry::<String, _>()? {
                    // A replacement would hide the name, and a duplicate.
                    if name.contains('\u{fffd}') {
                        return Err(Error::custom("the name of a member is invalid"));
                    }
                    members.push((name, value));
                }
                Ok(Json::Object(members))
            }
        }

        deserializer.deserialize_any(Reader)
    }
}
