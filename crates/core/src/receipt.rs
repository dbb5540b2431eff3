use std::{borrow::Cow, fmt, str::FromStr};

use crate::{Acceptance, ParseError, Reference, SendError};

/// The vendor has the message.
#[derive(Clone, Debug)]
pub struct Receipt {
    provider: Cow<'static, str>,
    reference: Reference,
    id: Option<Box<str>>,
    part_ids: Option<Box<[Box<str>]>>,
    parts: Option<u16>,
    expected_reports: u16,
    price: Option<Price>,
    attempts: Vec<Attempt>,
}

impl Receipt {
    /// A receipt of this provider for the message of this reference.
    #[must_use]
    pub fn new(provider: impl Into<Cow<'static, str>>, reference: Reference) -> Self {
        Self {
            provider: provider.into(),
            reference,
            id: None,
            part_ids: None,
            parts: None,
            expected_reports: 1,
            price: None,
            attempts: Vec::new(),
        }
    }

    /// Names another provider: a member under which a vendor's account is known.
    #[must_use]
    pub fn with_provider(mut self, provider: impl Into<Cow<'static, str>>) -> Self {
        self.provider = provider.into();
        self
    }

    /// The vendor's own id of the message.
    #[must_use]
    pub fn with_id(mut self, id: impl Into<Box<str>>) -> Self {
        self.id = Some(id.into());
        self
    }

    /// Sets the vendor's ids of the segments, in order, where it gives each one of its own. Their delivery
    /// reports name them as [`part`](crate::DeliveryReport::part).
    #[must_use]
    pub fn with_part_ids(mut self, ids: impl IntoIterator<Item = impl Into<Box<str>>>) -> Self {
        self.part_ids = Some(ids.into_iter().map(Into::into).collect());
        self
    }

    /// How many parts the vendor counted.
    #[must_use]
    pub fn with_parts(mut self, parts: u16) -> Self {
        self.parts = Some(parts);
        self
    }

    /// Sets how many delivery reports the vendor sends for the message: one for each segment where it reports
    /// them one by one. Defaults to one for the whole text.
    #[must_use]
    pub const fn with_expected_reports(mut self, reports: u16) -> Self {
        self.expected_reports = reports;
        self
    }

    /// What the vendor says that the message costs, all parts together.
    #[must_use]
    pub fn with_price(mut self, price: Price) -> Self {
        self.price = Some(price);
        self
    }

    /// Who was tried before, oldest first.
    #[must_use]
    pub fn with_attempts(mut self, attempts: Vec<Attempt>) -> Self {
        self.attempts = attempts;
        self
    }

    /// The provider that took it, by its profile's name.
    #[must_use]
    pub fn provider(&self) -> &str {
        &self.provider
    }

    /// Our key of the message.
    #[must_use]
    pub const fn reference(&self) -> &Reference {
        &self.reference
    }

    /// The vendor's id. None where the vendor gives none, as CM.com does.
    #[must_use]
    pub fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// Returns the vendor's ids of the segments, in order. Empty where it gives one id for the whole text.
    pub fn part_ids(&self) -> impl Iterator<Item = &str> {
        self.part_ids.iter().flatten().map(|id| &**id)
    }

    /// The parts that the vendor counted, where it says so. Where it does, its count is the bill's.
    #[must_use]
    pub const fn parts(&self) -> Option<u16> {
        self.parts
    }

    /// Returns how many delivery reports tell the whole of what became of the message;
    /// [`Delivery::of`](crate::Delivery::of) waits for so many.
    #[must_use]
    pub const fn expected_reports(&self) -> u16 {
        self.expected_reports
    }

    /// The price, where the vendor says so.
    #[must_use]
    pub const fn price(&self) -> Option<Price> {
        self.price
    }

    /// Who was tried before and how that ended, oldest first.
    #[must_use]
    pub fn attempts(&self) -> &[Attempt] {
        &self.attempts
    }
}

/// A provider that was tried, and how that ended.
///
/// `Display` names both: "kpn: no connection". It says so where the message may have been sent, and nothing where it
/// was not.
///
/// ```
/// use postduif_core::{Attempt, ErrorKind, SendError};
///
/// let error = SendError::not_accepted(ErrorKind::Unavailable, "no connection").with_provider("kpn");
/// assert_eq!(Attempt::new("kpn", error).to_string(), "kpn: no connection");
/// ```
#[derive(Clone, Debug)]
pub struct Attempt {
    provider: Cow<'static, str>,
    error: SendError,
}

impl Attempt {
    /// Says that this provider was tried and failed so.
    #[must_use]
    pub fn new(provider: impl Into<Cow<'static, str>>, error: SendError) -> Self {
        Self {
            provider: provider.into(),
            error,
        }
    }

    /// Who was tried.
    #[must_use]
    pub fn provider(&self) -> &str {
        &self.provider
    }

    /// How it ended.
    #[must_use]
    pub const fn error(&self) -> &SendError {
        &self.error
    }
}

impl fmt::Display for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.provider)?;
        self.error.write_words(f)?;
        f.write_str(match self.error.acceptance() {
            Acceptance::NotAccepted => "",
            Acceptance::Unknown => "; the message may have been sent",
        })
    }
}

/// An amount of money: exact to nine decimals, with an ISO 4217 currency.
///
/// ```
/// use postduif_core::Price;
///
/// let price = Price::new("0.0727", "EUR")?;
/// assert_eq!(price.to_string(), "0.0727 EUR");
/// assert_eq!(price.nanos(), 72_700_000);
/// # Ok::<(), postduif_core::ParseError>(())
/// ```
#[derive(Clone, Copy, Eq, PartialEq)]
pub struct Price {
    nanos: i64,
    currency: [u8; 3],
}

impl Price {
    const DECIMALS: usize = 9;

    /// Reads a decimal number, as vendors write it in text or JSON, and a currency of three letters.
    ///
    /// # Errors
    ///
    /// Where the amount is no plain decimal number of at most nine decimals, or the currency is not three
    /// letters.
    pub fn new(amount: &str, currency: &str) -> Result<Self, ParseError> {
        const NOT_A_PRICE: ParseError =
            ParseError::new("an amount and a currency of three letters");
        let (sign, digits) = amount
            .strip_prefix('-')
            .map_or((1, amount), |digits| (-1, digits));
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let fraction = fraction.trim_end_matches('0');
        let plain = |digits: &str| digits.bytes().all(|byte| byte.is_ascii_digit());
        if whole.is_empty() || !plain(whole) || !plain(fraction) || fraction.len() > Self::DECIMALS
        {
            return Err(NOT_A_PRICE);
        }
        let nanos: i64 = format!("{whole}{fraction:0<width$}", width = Self::DECIMALS)
            .parse()
            .map_err(|_| NOT_A_PRICE)?;
        let currency = <[u8; 3]>::try_from(currency.as_bytes()).map_err(|_| NOT_A_PRICE)?;
        if !currency.iter().all(u8::is_ascii_alphabetic) {
            return Err(NOT_A_PRICE);
        }
        Ok(Self {
            nanos: sign * nanos,
            currency: currency.map(|byte| byte.to_ascii_uppercase()),
        })
    }

    /// The amount in billionths of the currency's unit: what sums are made of.
    #[must_use]
    pub const fn nanos(self) -> i64 {
        self.nanos
    }

    /// The ISO 4217 code, in upper case.
    #[must_use]
    pub fn currency(&self) -> &str {
        str::from_utf8(&self.currency).unwrap_or_default()
    }

    /// The amount as a decimal number, without trailing zeros.
    #[must_use]
    pub fn amount(self) -> String {
        let unit = 10_u64.pow(9);
        let (whole, fraction) = (
            self.nanos.unsigned_abs() / unit,
            self.nanos.unsigned_abs() % unit,
        );
        let sign = if self.nanos < 0 { "-" } else { "" };
        let fraction = format!("{fraction:09}");
        match fraction.trim_end_matches('0') {
            "" => format!("{sign}{whole}"),
            fraction => format!("{sign}{whole}.{fraction}"),
        }
    }
}

impl fmt::Display for Price {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.amount(), self.currency())
    }
}

impl fmt::Debug for Price {
    /// Shows it as `Display` does: `0.0727 EUR`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Price {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (amount, currency) = text.split_once(' ').unwrap_or((text, ""));
        Self::new(amount, currency)
    }
}

crate::words::serde_as_text!(Price);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;

    #[test]
    fn an_attempt_names_its_provider_once_and_a_doubt_as_one() {
        let refused = SendError::not_accepted(ErrorKind::Other, "it was refused")
            .with_provider("kpn")
            .with_code("7");
        let attempt = Attempt::new("kpn-shop", refused);
        assert_eq!(attempt.to_string(), "kpn-shop: it was refused (code 7)");
        let lost = SendError::unknown(ErrorKind::Timeout, "no answer").with_provider("kpn");
        assert_eq!(
            Attempt::new("kpn", lost).to_string(),
            "kpn: no answer; the message may have been sent"
        );
    }

    #[test]
    fn debug_of_a_price_reads_as_a_price() {
        let price: Price = "0.0727 EUR".parse().unwrap();
        assert_eq!(format!("{:?}", Some(price)), "Some(0.0727 EUR)");
    }

    #[test]
    fn a_price_is_exact_and_read_back_as_written() {
        for (written, shown) in [
            ("0.0727 EUR", "0.0727 EUR"),
            ("0.03330000 eur", "0.0333 EUR"),
            ("12 USD", "12 USD"),
            ("-1.5 GBP", "-1.5 GBP"),
            ("0.000000001 EUR", "0.000000001 EUR"),
        ] {
            let price: Price = written.parse().unwrap();
            assert_eq!(price.to_string(), shown);
            assert_eq!(shown.parse::<Price>().unwrap(), price);
        }
    }

    #[test]
    fn what_is_no_amount_is_refused() {
        for text in [
            "",
            "EUR",
            "1,5 EUR",
            "1e3 EUR",
            ".5 EUR",
            "0.0000000001 EUR",
            "1 EURO",
            "99999999999 EUR",
            "+1 EUR",
        ] {
            assert!(text.parse::<Price>().is_err(), "{text:?}");
        }
    }
}
