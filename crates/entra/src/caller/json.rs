use std::{borrow::Cow, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{Error, IgnoredAny, MapAccess, SeqAccess, Visitor},
};

/// The members of a JSON object, each name once: parsers would not agree on the value of a duplicate.
pub(super) struct Members<'a>(Vec<(Cow<'a, str>, Member<'a>)>);

/// A value, of the types that a token needs.
pub(super) enum Member<'a> {
    Text(Cow<'a, str>),
    Number(f64),
    Other,
}

/// A member has another type than the required one.
pub(super) struct WrongType;

impl<'a> Members<'a> {
    /// Reads an object of at most `max` members, and nothing else. `None` if it is invalid, or a name is duplicate.
    pub(super) fn read(json: &'a [u8], max: usize) -> Option<Self> {
        let mut reader = serde_json::Deserializer::from_str(std::str::from_utf8(json).ok()?);
        let members = reader.deserialize_map(Reader { max }).ok()?;
        reader.end().ok()?;
        Some(members)
    }

    fn get(&self, name: &str) -> Option<&Member<'a>> {
        let (_, value) = self.0.iter().find(|(known, _)| known == name)?;
        Some(value)
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// Returns a string. `None` if it is missing.
    pub(super) fn text(&self, name: &str) -> Result<Option<&str>, WrongType> {
        match self.get(name) {
            None => Ok(None),
            Some(Member::Text(text)) => Ok(Some(text)),
            Some(Member::Number(_) | Member::Other) => Err(WrongType),
        }
    }

    /// Returns a number. `None` if it is missing.
    pub(super) fn number(&self, name: &str) -> Result<Option<f64>, WrongType> {
        match self.get(name) {
            None => Ok(None),
            Some(Member::Number(number)) => Ok(Some(*number)),
            Some(Member::Text(_) | Member::Other) => Err(WrongType),
        }
    }
}

/// A reader of an object, which stops at more than `max` members: a search for duplicates would take long.
struct Reader {
    max: usize,
}

impl<'de> Visitor<'de> for Reader {
    type Value = Members<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
        let mut members: Vec<(Cow<'de, str>, _)> = Vec::with_capacity(self.max.min(32));
        while let Some((name, value)) = entries.next_entry()? {
            let Member::Text(name) = name else {
                return Err(Error::custom("a name is not a string"));
            };
            if members.len() == self.max {
                return Err(Error::custom("too many members"));
            }
            if members.iter().any(|(known, _)| *known == name) {
                return Err(Error::custom("a name is duplicate"));
            }
            members.push((name, value));
        }
        Ok(Members(members))
    }
}

impl<'de> Deserialize<'de> for Member<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;

        impl<'de> Visitor<'de> for Reader {
            type Value = Member<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("JSON")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Member::Text(text.into()))
            }

            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Member::Text(text.to_owned().into()))
            }

            fn visit_u64<E>(self, number: u64) -> Result<Self::Value, E> {
                Ok(Member::Number(number as f64))
            }

            fn visit_i64<E>(self, number: i64) -> Result<Self::Value, E> {
                Ok(Member::Number(number as f64))
            }

            fn visit_f64<E>(self, number: f64) -> Result<Self::Value, E> {
                Ok(Member::Number(number))
            }

            fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
                Ok(Member::Other)
            }

            fn visit_unit<E>(self) -> Result<Self::Value, E> {
                Ok(Member::Other)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
                while items.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Member::Other)
            }

            fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
                while entries.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(Member::Other)
            }
        }

        deserializer.deserialize_any(Reader)
    }
}
