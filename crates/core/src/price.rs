use std::{fmt, str::FromStr};

use crate::{
    ParseError,
    string_enum::{padded, serde_as_text},
};

const NOT_A_PRICE: ParseError = ParseError::new("an amount and a currency of three letters");

/// An amount of money with an ISO 4217 currency, exact to nine decimals.
///
/// serde writes and reads it as `Display` does: `"0.0727 EUR"`.
///
/// ```
/// # use postduif_core as postduif;
/// use postduif::Price;
///
/// let price = Price::new("0.0727", "EUR")?;
/// assert_eq!(price.to_string(), "0.0727 EUR");
/// assert_eq!(price.nanos(), 72_700_000);
/// # Ok::<(), postduif::ParseError>(())
/// ```
#[derive(Clone, Copy, Eq, PartialEq)]
pub struct Price {
    nanos: i64,
    currency: [u8; 3],
}

impl Price {
    const DECIMALS: usize = 9;

    /// Reads a decimal amount, as vendors write it in text or JSON, and a currency of three letters.
    ///
    /// # Errors
    ///
    /// Returns an error if the amount is not a plain decimal number with up to nine decimals, or the currency is not
    /// three ASCII letters.
    pub fn new(amount: &str, currency: &str) -> Result<Self, ParseError> {
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
        Self::from_nanos(sign * nanos, currency)
    }

    /// Creates a price from an amount in billionths of the currency's unit, such as a sum of [`nanos`](Self::nanos).
    ///
    /// ```
    /// # use postduif_core as postduif;
    /// use postduif::Price;
    ///
    /// assert_eq!(Price::from_nanos(72_700_000, "eur")?.to_string(), "0.0727 EUR");
    /// # Ok::<(), postduif::ParseError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Returns an error if the currency is not three ASCII letters.
    pub fn from_nanos(nanos: i64, currency: &str) -> Result<Self, ParseError> {
        let currency = <[u8; 3]>::try_from(currency.as_bytes()).map_err(|_| NOT_A_PRICE)?;
        if !currency.iter().all(u8::is_ascii_alphabetic) {
            return Err(NOT_A_PRICE);
        }
        Ok(Self {
            nanos,
            currency: currency.map(|byte| byte.to_ascii_uppercase()),
        })
    }

    /// Returns the amount in billionths of the currency's unit, which can be added up exactly.
    #[must_use]
    pub const fn nanos(self) -> i64 {
        self.nanos
    }

    /// Returns the ISO 4217 code, in upper case.
    #[must_use]
    pub fn currency(&self) -> &str {
        str::from_utf8(&self.currency).unwrap_or_default()
    }

    /// Returns the amount as a decimal number, without trailing zeros.
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
        padded(f, format_args!("{} {}", self.amount(), self.currency()))
    }
}

impl fmt::Debug for Price {
    /// Shows the price as `Display` does: `0.0727 EUR`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Price {
    type Err = ParseError;

    /// Reads an amount and a currency, separated by a space.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (amount, currency) = text.split_once(' ').unwrap_or((text, ""));
        Self::new(amount, currency)
    }
}

serde_as_text!(Price);

#[cfg(test)]
mod tests {
    use super::*;

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
    fn a_price_from_nanos_is_the_price_of_that_amount() {
        for nanos in [i64::MIN, -1_500_000_000, -1, 0, 1, 72_700_000, i64::MAX] {
            let price = Price::from_nanos(nanos, "EUR").unwrap();
            assert_eq!(price.nanos(), nanos);
            if nanos != i64::MIN {
                assert_eq!(price.to_string().parse::<Price>().unwrap(), price);
            }
        }
        for currency in ["", "EU", "EURO", "E€"] {
            assert!(Price::from_nanos(1, currency).is_err(), "{currency:?}");
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
