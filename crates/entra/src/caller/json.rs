use std::fmt;

use serde::{
    Deserializer as _,
    de::{Error, IgnoredAny, MapAccess, Visitor},
};
use serde_json::Value;

/// The members of a JSON object, each name once: parsers would not agree on the value of a duplicate.
///
/// The values that are read are serde_json's own: where any crate of a program enables its `arbitrary_precision`, no other type reads
/// a number.
pub(super) struct Members(Vec<(String, Value)>);

/// The members that are read: of a token's header, and of its claims. The value of any other is dropped.
const READ: &[&str] = &[
    "alg", "crit", "kid", "appid", "aud", "azp", "exp", "idtyp", "iss", "nbf", "oid", "scp", "tid",
];

/// A member has another type than the required one.
pub(super) struct WrongType;

impl Members {
    /// Reads an object of at most `max` members, and nothing else. `None` if it is invalid, or a name is duplicate.
    pub(super) fn read(json: &[u8], max: usize) -> Option<Self> {
        let mut reader = serde_json::Deserializer::from_str(std::str::from_utf8(json).ok()?);
        let members = reader.deserialize_map(Reader { max }).ok()?;
        reader.end().ok()?;
        Some(members)
    }

    fn get(&self, name: &str) -> Option<&Value> {
        let (_, value) = self.0.iter().find(|(known, _)| known == name)?;
        Some(value)
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// Returns a string. `None` if it is missing.
    pub(super) fn text(&self, name: &str) -> Result<Option<&str>, WrongType> {
        let value = self.get(name);
        value
            .map(|value| value.as_str().ok_or(WrongType))
            .transpose()
    }

    /// Returns a number. `None` if it is missing.
    pub(super) fn number(&self, name: &str) -> Result<Option<f64>, WrongType> {
        let value = self.get(name);
        value
            .map(|value| value.as_f64().ok_or(WrongType))
            .transpose()
    }
}

/// A reader of an object, which stops at more than `max` members: a search for duplicates would take long.
struct Reader {
    max: usize,
}

impl<'de> Visitor<'de> for Reader {
    type Value = Members;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
        let mut members: Vec<(String, Value)> = Vec::with_capacity(self.max.min(32));
        while let Some(name) = entries.next_key::<String>()? {
            if members.len() == self.max {
                return Err(Error::custom("too many members"));
            }
            if members.iter().any(|(known, _)| *known == name) {
                return Err(Error::custom("a name is duplicate"));
            }
            let value = if READ.contains(&name.as_str()) {
                entries.next_value()?
            } else {
                entries.next_value::<IgnoredAny>()?;
                Value::Null
            };
            members.push((name, value));
        }
        Ok(Members(members))
    }
}
