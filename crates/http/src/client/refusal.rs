use std::{borrow::Cow, time::Duration};

use postduif_core::{ErrorKind, Message};

use super::{
    Redactor,
    redactor::{Words, folded},
};

/// Whether a vendor's refusal proves that it did not accept the message.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "a code proves a refusal always, below status 500, or not at all"
)]
pub enum Proof {
    /// Proves it at every status: the code itself says that nothing was done.
    Always,
    /// Proves it at every status below 500.
    Below500,
    /// Proves nothing: the message is in doubt, unless the status alone proves a refusal.
    Nothing,
}

/// A vendor's response in its own error shape, with a message in our words.
#[derive(Clone, Debug)]
#[must_use]
pub struct Refusal {
    pub(super) kind: ErrorKind,
    pub(super) message: Cow<'static, str>,
    pub(super) code: Option<Cow<'static, str>>,
    pub(super) words: Option<Words>,
    pub(super) retry_after: Option<Duration>,
    pub(super) proof: Proof,
    pub(super) listed: bool,
}

impl Refusal {
    /// Creates a refusal that is proven below status 500. `kind` comes from the vendor's table; `message` is never
    /// the vendor's, which may repeat the text.
    pub fn new(kind: ErrorKind, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            kind,
            message: message.into(),
            code: None,
            words: None,
            retry_after: None,
            proof: Proof::Below500,
            listed: false,
        }
    }

    /// Sets the vendor's code: one that its documentation lists, from the provider's own table. Some statuses prove a
    /// refusal only with such a code.
    pub fn with_code(mut self, code: impl Into<Cow<'static, str>>) -> Self {
        self.code = Some(code.into());
        self.listed = true;
        self
    }

    /// Sets a code that is not in the provider's table, unless it could hold personal data.
    ///
    /// It must have at most four letters and digits, or five digits, and be no part of the messages' texts and numbers.
    /// A code is never shortened.
    pub fn with_unlisted_code(mut self, code: &str, messages: &[Message]) -> Self {
        let longest = if is_digits(code) { 5 } else { 4 };
        let plain = (1..=longest).contains(&code.len())
            && code.bytes().all(|byte| byte.is_ascii_alphanumeric());
        if plain && !messages.iter().any(|message| echoes(message, code)) {
            self.code = Some(code.to_owned().into());
        }
        self
    }

    /// Sets the vendor's own words, as the redactor of its [response](crate::Response::redactor) leaves them. They are
    /// one text or several, each in a member of the vendor's own error shape.
    ///
    /// ```
    /// # mod postduif { pub use postduif_core::*; pub use postduif_http as http; }
    /// use postduif::{http::{Refusal, Response}, ErrorKind, Message, SendError};
    /// use serde::Deserialize;
    ///
    /// #[derive(Deserialize)]
    /// struct Refused {
    ///     reason: String,
    /// }
    ///
    /// fn refused(response: &Response, message: &Message) -> SendError {
    ///     let redactor = response.redactor([message]);
    ///     let refusal = response.json().ok().map(|Refused { reason }| {
    ///         Refusal::new(ErrorKind::Other, "the vendor refused it")
    ///             .with_vendor_message([reason.as_str()], &redactor)
    ///     });
    ///     response.refused(refusal)
    /// }
    /// ```
    pub fn with_vendor_message<'w>(
        mut self,
        words: impl IntoIterator<Item = &'w str>,
        redactor: &Redactor,
    ) -> Self {
        self.words = redactor.clean(words);
        self
    }

    /// Returns whether it has a code from the provider's table.
    #[must_use]
    pub const fn is_listed(&self) -> bool {
        self.listed
    }

    /// Sets the vendor's delay, if its response has it elsewhere than in `Retry-After`.
    pub const fn with_retry_after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }

    /// Sets what the refusal proves. Defaults to [`Proof::Below500`].
    pub const fn with_proof(mut self, proof: Proof) -> Self {
        self.proof = proof;
        self
    }
}

fn is_digits(code: &str) -> bool {
    code.bytes().all(|byte| byte.is_ascii_digit())
}

/// Returns whether a code repeats a part of the message's text or number: some vendors echo them.
fn echoes(message: &Message, code: &str) -> bool {
    let text = message.text().as_str();
    // A text may have its code in groups, with words between them.
    let in_groups = || {
        let digits: String = text.chars().filter(char::is_ascii_digit).collect();
        is_digits(code) && digits.contains(code)
    };
    // Three characters reveal nothing, and every vendor's codes have three.
    code.len() > 3
        && (folded(text).contains(&folded(code))
            || in_groups()
            || message.to().msisdn().to_string().contains(code))
}

#[cfg(test)]
mod tests {
    use postduif_core::Text;

    use super::*;

    fn message() -> Message {
        Message::new(
            "+31612345678".parse().unwrap(),
            Text::new("Your code is 482913").unwrap(),
        )
    }

    #[test]
    fn an_echo_is_recognized_and_a_short_code_is_not_one() {
        let message = message();
        assert!(echoes(&message, "482913"));
        assert!(echoes(&message, "31612345678"));
        assert!(echoes(&message, "2345"));
        assert!(!echoes(&message, "123"));
        assert!(!echoes(&message, "E01033"));
    }

    #[test]
    fn a_code_that_the_text_writes_in_groups_is_an_echo() {
        let text = Text::new("Your code is 482 913").unwrap();
        let message = Message::new("+31612345678".parse().unwrap(), text);
        assert!(echoes(&message, "482913"));
        assert!(!echoes(&message, "E913"));
        assert!(!echoes(&message, "21211"));
    }

    #[test]
    fn a_code_that_repeats_the_message_is_not_kept() {
        let message = message();
        let kept = |code: &str| {
            let refusal = Refusal::new(ErrorKind::Other, "refused");
            let messages = std::slice::from_ref(&message);
            refusal.with_unlisted_code(code, messages).code.is_some()
        };
        for echo in ["8291", "2345", "code", "Your", "CODE", "your"] {
            assert!(!kept(echo), "{echo}");
        }
        for code in ["123", "E010", "1", "9999", "21211"] {
            assert!(kept(code), "{code}");
        }
        for echo in ["48291", "482913", "61234", "12345"] {
            assert!(!kept(echo), "{echo}");
        }
        for unfit in [
            "", "E0103", "E01033", "4 29", "é", "120210", "1202100", "-21211", "212.1",
        ] {
            assert!(!kept(unfit), "{unfit}");
        }
    }
}
