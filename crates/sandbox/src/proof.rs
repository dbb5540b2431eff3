//! How a vendor proves what it sends.

use std::{fmt, str::FromStr};

use base64::{
    Engine, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use chrono::{DateTime, Utc};

use crate::{error::SandboxError, names};

/// How Vonage's SMS API signs what it sends, which is a setting of the account.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum SignatureMethod {
    /// HMAC with MD5.
    Md5,
    /// MD5 over the parameters and the secret, which is the default of an account.
    #[default]
    Md5Hash,
    /// HMAC with SHA-1.
    Sha1,
    /// HMAC with SHA-256.
    Sha256,
    /// HMAC with SHA-512.
    Sha512,
}

impl SignatureMethod {
    /// All methods.
    pub const ALL: &[Self] = &[
        Self::Md5,
        Self::Md5Hash,
        Self::Sha1,
        Self::Sha256,
        Self::Sha512,
    ];

    /// Returns the name in JSON, such as `md5hash`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Md5 => "md5",
            Self::Md5Hash => "md5hash",
            Self::Sha1 => "sha1",
            Self::Sha256 => "sha256",
            Self::Sha512 => "sha512",
        }
    }
}

impl FromStr for SignatureMethod {
    type Err = SandboxError;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        names::find("signature method", name, Self::ALL, Self::name)
    }
}

/// How Vonage's SMS API sends delivery receipts and inbound texts, which is a setting of the account.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum ReceiptForm {
    /// A GET with all fields in its query.
    Get,
    /// A POST of a form.
    Post,
    /// A POST of JSON.
    #[default]
    PostJson,
}

impl ReceiptForm {
    /// All forms.
    pub const ALL: &[Self] = &[Self::Get, Self::Post, Self::PostJson];

    /// Returns the name in JSON, which is the vendor's own, such as `POST-JSON`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::PostJson => "POST-JSON",
        }
    }
}

impl FromStr for ReceiptForm {
    type Err = SandboxError;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        names::find("form", name, Self::ALL, Self::name)
    }
}

/// What a vendor signs with, and when.
///
/// `Debug` leaves the secret out.
#[derive(Clone, Default)]
pub(crate) struct Proof {
    /// In the vendor's form.
    pub(crate) secret: Option<String>,
    pub(crate) at: Option<DateTime<Utc>>,
    pub(crate) form: ReceiptForm,
    pub(crate) method: SignatureMethod,
}

impl Proof {
    pub(crate) fn now(&self) -> DateTime<Utc> {
        self.at.unwrap_or_else(Utc::now)
    }

    pub(crate) fn secret(&self) -> &str {
        self.secret.as_deref().unwrap_or(SECRET)
    }

    /// Returns the key of Standard Webhooks, whose form is `whsec_` and base64.
    pub(crate) fn standard_key(&self) -> Result<Vec<u8>, SandboxError> {
        let Some(secret) = &self.secret else {
            return Ok(SECRET.into());
        };
        let base64 = GeneralPurpose::new(
            &alphabet::STANDARD,
            GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
        );
        let key = secret
            .strip_prefix("whsec_")
            .and_then(|text| base64.decode(text).ok());
        key.ok_or_else(|| SandboxError::new("invalid \"secret\": expected whsec_ and base64"))
    }
}

impl fmt::Debug for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proof")
            .field("at", &self.at)
            .field("form", &self.form)
            .field("method", &self.method)
            .finish_non_exhaustive()
    }
}

/// The secret of every vendor that signs.
const SECRET: &str = "sandbox";
