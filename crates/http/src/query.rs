use postduif_core::ReportError;
use url::form_urlencoded;

/// The value of a query parameter of a URL, decoded.
///
/// # Errors
///
/// Malformed where the parameter stands there twice: nobody may choose which one is meant.
pub fn query_parameter(url: &str, name: &str) -> Result<Option<String>, ReportError> {
    let query = url
        .split_once('#')
        .map_or(url, |(url, _)| url)
        .split_once('?')
        .map_or("", |(_, query)| query);
    let mut values = form_urlencoded::parse(query.as_bytes()).filter(|(known, _)| known == name);
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some((_, value)), None) => Ok(Some(value.into_owned())),
        (Some(_), Some(_)) => Err(ReportError::malformed(
            "a query parameter stands there twice",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parameter_is_decoded_and_stands_there_once() {
        let of = |url| query_parameter(url, "a");
        assert_eq!(
            of("https://x.test/?b=1&a=x%2By+z#a=2").unwrap().as_deref(),
            Some("x+y z")
        );
        assert_eq!(of("https://x.test/").unwrap(), None);
        assert_eq!(of("https://x.test/?A=1").unwrap(), None);
        assert!(of("https://x.test/?a=1&a=1").is_err());
    }
}
