//! What is sealed of a message: JSON, so that any language can write it.

use std::{borrow::Cow, time::Duration};

use chrono::{DateTime, Utc};
use postduif_core::{
    ExposeSecret as _, Message, PhoneNumber, Reference, SecretString, Sender, Text,
};
use serde::{Deserialize, Serialize};

/// The members are those that `docs/outbox.md` lists. An unknown one is an error: an option must not be ignored.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Body<'a> {
    to: PhoneNumber,
    #[serde(borrow)]
    text: Cow<'a, str>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sender: Option<Sender>,
    /// In whole seconds, as vendors take it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    validity: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    send_at: Option<DateTime<Utc>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sender_where_possible: Option<Sender>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    validity_where_possible: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    send_at_where_possible: Option<DateTime<Utc>>,
}

/// Writes all of a message but its reference. `None` for a validity period with a fraction of a second.
pub(crate) fn write(message: &Message) -> Option<SecretString> {
    let seconds = |validity: Option<Duration>| match validity {
        Some(validity) if validity.subsec_nanos() > 0 => None,
        validity => Some(validity.map(|validity| validity.as_secs())),
    };
    let body = Body {
        to: message.to(),
        text: message.text().as_str().into(),
        sender: message.sender().cloned(),
        validity: seconds(message.validity())?,
        send_at: message.send_at(),
        sender_where_possible: message.sender_where_possible().cloned(),
        validity_where_possible: seconds(message.validity_where_possible())?,
        send_at_where_possible: message.send_at_where_possible(),
    };
    serde_json::to_string(&body).ok().map(SecretString::from)
}

/// Reads a message. The reason why it is none is not told: it might show what is in it.
pub(crate) fn read(plain: &SecretString, reference: Reference) -> Option<Message> {
    let body: Body<'_> = serde_json::from_str(plain.expose_secret()).ok()?;
    let mut message = Message::new(body.to, Text::new(body.text).ok()?).with_reference(reference);
    if let Some(sender) = body.sender {
        message = message.with_sender(sender);
    }
    if let Some(seconds) = body.validity {
        message = message.with_validity(Duration::from_secs(seconds));
    }
    if let Some(send_at) = body.send_at {
        message = message.with_send_at(send_at);
    }
    if let Some(sender) = body.sender_where_possible {
        message = message.with_sender_where_possible(sender);
    }
    if let Some(seconds) = body.validity_where_possible {
        message = message.with_validity_where_possible(Duration::from_secs(seconds));
    }
    if let Some(send_at) = body.send_at_where_possible {
        message = message.with_send_at_where_possible(send_at);
    }
    Some(message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message() -> Message {
        let text = Text::new("Say \"hi\" to Zoë\n€ 5").unwrap();
        Message::new("+31612345678".parse().unwrap(), text)
    }

    #[test]
    fn a_message_is_read_back_with_every_option() {
        let at = DateTime::from_timestamp(1_800_000_000, 123_456_789).unwrap();
        let whole = message()
            .with_sender("Contoso".parse().unwrap())
            .with_validity(Duration::from_secs(1800))
            .with_send_at(at)
            .with_sender_where_possible("+31687654321".parse().unwrap())
            .with_validity_where_possible(Duration::from_secs(60))
            .with_send_at_where_possible(at);
        for message in [message(), whole] {
            let plain = write(&message).unwrap();
            assert_eq!(read(&plain, *message.reference()), Some(message));
        }
    }

    #[test]
    fn what_is_not_fully_understood_is_no_message() {
        let reference = Reference::random();
        for bad in [
            "",
            "{}",
            r#"{"to":"+31612345678"}"#,
            r#"{"to":"+31612345678","text":""}"#,
            r#"{"to":"0612345678","text":"x"}"#,
            r#"{"to":"+31612345678","text":"x","flash":true}"#,
            r#"{"to":"+31612345678","text":"x","validity":-1}"#,
        ] {
            assert_eq!(read(&SecretString::from(bad), reference), None, "{bad}");
        }
        let odd = message().with_validity(Duration::from_millis(1500));
        assert!(write(&odd).is_none());
    }
}
