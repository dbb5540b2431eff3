use postduif_http::vendor::signature::unbase64_url;

use super::{CallerError, CallerErrorKind, json::Members};

/// The maximum length of an `Authorization` header in bytes. Entra's application tokens have about 2 KiB.
const MAX_LENGTH: usize = 16 * 1024;
/// The maximum number of members of a header, so that one that anybody makes up costs no more than a good one. Entra's
/// have four.
const MAX_MEMBERS: usize = 16;
/// The maximum length of a key id in bytes. Entra's have up to 43.
pub(super) const MAX_KEY_ID: usize = 256;

/// A well-formed token that claims to be signed with RS256. Nothing of it is verified.
pub(super) struct Token {
    /// The key that it claims to be signed with.
    pub(super) key_id: String,
    /// The header and the claims as signed.
    pub(super) signed: Vec<u8>,
    pub(super) signature: Vec<u8>,
    /// The claims, in JSON.
    pub(super) claims: Vec<u8>,
}

impl Token {
    /// Reads the only token of a request.
    pub(super) fn of_request<'a, N, V>(
        headers: impl IntoIterator<Item = (&'a N, &'a V)>,
    ) -> Result<Self, CallerError>
    where
        N: AsRef<str> + ?Sized + 'a,
        V: AsRef<[u8]> + ?Sized + 'a,
    {
        let mut values = headers
            .into_iter()
            .filter(|(name, _)| name.as_ref().eq_ignore_ascii_case("authorization"))
            .map(|(_, value)| value.as_ref());
        match (values.next(), values.next()) {
            (None, _) => Err(CallerError::new(
                CallerErrorKind::Missing,
                "the request has no Authorization header",
            )),
            (Some(_), Some(_)) => Err(CallerError::malformed(
                "the request has several Authorization headers",
            )),
            (Some(value), None) => Self::of_header(value),
        }
    }

    fn of_header(value: &[u8]) -> Result<Self, CallerError> {
        if value.len() > MAX_LENGTH {
            return Err(CallerError::malformed(
                "the Authorization header is too long",
            ));
        }
        let bearer = std::str::from_utf8(value)
            .ok()
            .and_then(|value| value.split_once(' '))
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
        let Some((_, token)) = bearer else {
            return Err(CallerError::malformed(
                "the Authorization header has no bearer token",
            ));
        };
        Self::read(token.trim_start_matches(' '))
    }

    fn read(token: &str) -> Result<Self, CallerError> {
        const NO_TOKEN: CallerError = CallerError::malformed("it is not a JSON Web Token");
        let decode = |part| unbase64_url(part).ok_or(NO_TOKEN);
        let (signed, signature) = token.rsplit_once('.').ok_or(NO_TOKEN)?;
        let (header, claims) = signed.split_once('.').ok_or(NO_TOKEN)?;
        let header = decode(header)?;
        let header = Members::read(&header, MAX_MEMBERS).ok_or(NO_TOKEN)?;
        // `jku`, `x5u`, `jwk` and `x5c` would let the token choose its own key, so they are never read.
        match header.text("alg") {
            Ok(Some("RS256")) => {}
            Ok(Some(_)) => {
                return Err(CallerError::new(
                    CallerErrorKind::Algorithm,
                    "the token is not signed with RS256",
                ));
            }
            _ => return Err(NO_TOKEN),
        }
        if header.has("crit") {
            return Err(CallerError::malformed(
                "the token has an extension that must be understood",
            ));
        }
        let key_id = match header.text("kid") {
            Ok(Some(id)) if (1..=MAX_KEY_ID).contains(&id.len()) => id.to_owned(),
            _ => return Err(CallerError::malformed("the token has no usable key id")),
        };
        // A part with a dot is not base64url either, so there are exactly three.
        let (claims, signature) = (decode(claims)?, decode(signature)?);
        Ok(Self {
            key_id,
            signed: signed.into(),
            signature,
            claims,
        })
    }
}
