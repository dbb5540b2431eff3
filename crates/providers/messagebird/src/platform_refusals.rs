//! The refusals of the platform, and what they prove.

use std::collections::HashMap;

use postduif_core::{Acceptance, ErrorKind, Message, SendError};
use postduif_http::{Proof, Redactor, Refusal, Response, codes, vendor::Code};
use serde::Deserialize;
use serde_json::Value;

/// The meaning of a response that is not a success.
pub(crate) struct Refused {
    pub(crate) error: SendError,
    /// The entries of a batch that provably caused the refusal, by index.
    pub(crate) named: HashMap<usize, SendError>,
    /// Whether one entry may be the cause: the platform validates all of them before it accepts any.
    pub(crate) for_an_entry: bool,
}

/// Returns what a response that is not a success proves about these messages.
pub(crate) fn refused(response: &Response, messages: &[Message]) -> Refused {
    let Some(fault) = Fault::of(response) else {
        // The status alone proves that the request was not read.
        let too_long =
            (response.status() == 413).then(|| Refusal::new(ErrorKind::InvalidText, TOO_LONG));
        return Refused {
            for_an_entry: too_long.is_some(),
            error: response.refused(too_long),
            named: HashMap::new(),
        };
    };
    let redactor = response.redactor(messages);
    let fields: Vec<_> = fault.params().map(entry).collect();
    let of = |index: Option<usize>| {
        let own = fields.iter().filter(|(named, _)| *named == index);
        let own: Vec<_> = own.map(|(_, field)| *field).collect();
        explain(response, &fault, &own, &redactor)
    };
    let error = of(None);
    let proven = error.acceptance() == Acceptance::NotAccepted;
    // A second call needs more than the shape, since a wrong guess is a second text.
    let listed = proven
        && fault.is_unmistakable()
        && (fault.named().is_some() || fault.validation().is_some());
    let entries = fields.iter().filter_map(|(index, _)| *index);
    Refused {
        for_an_entry: match response.status() {
            413 => proven,
            VALIDATED => listed,
            _ => false,
        },
        named: entries
            .filter(|index| listed && *index < messages.len() && messages.len() > 1)
            .map(|index| (index, of(Some(index))))
            .collect(),
        error,
    }
}

/// Returns what a fault with these fields of a message proves: nothing, unless its type and its name or code have their
/// own status.
fn explain(response: &Response, fault: &Fault, fields: &[&str], redactor: &Redactor) -> SendError {
    let at_its_status = fault
        .types()
        .find(|(status, _)| *status == response.status());
    let by_field = || Some((VALIDATED, by_field(fault.validation()?, fields)));
    let by_type = || at_its_status.or_else(|| fault.types().next());
    let copied = |(status, row): (u16, &Code)| (status, *row);
    let Some((status, row)) = fault
        .named()
        .map(copied)
        .or_else(by_field)
        .or_else(|| by_type().map(copied))
    else {
        return response.refused(None);
    };
    // At another status it contradicts itself.
    let proof = if at_its_status.is_some() && status == response.status() {
        row.proof
    } else {
        Proof::Nothing
    };
    let refusal = row.refusal().with_proof(proof);
    response.refused(Some(refusal.with_vendor_message(fault.words(), redactor)))
}

/// Returns the meaning of a validation error with these fields.
fn by_field(key: &'static str, fields: &[&str]) -> Code {
    let field = |path: &str| path.split(['.', '[']).next().unwrap_or_default().to_owned();
    let own = fields
        .iter()
        .find_map(|path| Code::find(FIELDS, &field(path)));
    let (kind, meaning) = own.map_or(
        (
            ErrorKind::Misconfigured,
            "a field of the request is invalid",
        ),
        |row| (row.kind, row.message),
    );
    Code::new(key, kind, Proof::Below500, meaning)
}

/// The platform's error shape: wrapped, or bare as on older pages.
#[derive(Deserialize)]
#[serde(untagged)]
enum ErrorBody {
    Wrapped { error: Fault },
    Bare(Fault),
}

#[derive(Deserialize)]
pub(crate) struct Fault {
    #[serde(rename = "type")]
    kind: String,
    code: Option<String>,
    name: Option<String>,
    #[serde(default)]
    param: Value,
    #[serde(default)]
    details: Value,
    #[serde(default)]
    message: Value,
    #[serde(default)]
    request_id: Value,
}

impl Fault {
    /// Returns the fault of a response. `None` if it is not certainly the platform's: validation libraries and gateways
    /// write `validation_error`, `auth_error` and `ValidationError` too.
    pub(crate) fn of(response: &Response) -> Option<Self> {
        let (fault, is_wrapped) = Self::shaped(response)?;
        let request = fault.request_id.as_str().unwrap_or_default();
        let has_request = is_wrapped && request.starts_with("req_");
        (fault.is_unmistakable() || has_request).then_some(fault)
    }

    /// Returns a body in the shape of a fault, of any server, and whether it is wrapped.
    pub(crate) fn shaped(response: &Response) -> Option<(Self, bool)> {
        let (fault, is_wrapped) = match response.json().ok()? {
            ErrorBody::Wrapped { error } => (error, true),
            ErrorBody::Bare(error) => (error, false),
        };
        let is_listed = fault.types().next().is_some();
        (is_listed && fault.keys().next().is_some()).then_some((fault, is_wrapped))
    }

    /// Returns whether it has a code in the platform's format, such as `E01001`, or one of the names of its SMS
    /// product.
    fn is_unmistakable(&self) -> bool {
        let has_code = self.code.as_deref().is_some_and(|code| {
            code.len() == 6
                && code.starts_with("E0")
                && code.bytes().skip(2).all(|byte| byte.is_ascii_digit())
        });
        let of_sms = self.named().is_some_and(|(status, _)| status == VALIDATED);
        has_code || of_sms
    }

    /// Returns its name, then its code.
    fn keys(&self) -> impl Iterator<Item = &str> {
        [self.name.as_deref(), self.code.as_deref()]
            .into_iter()
            .flatten()
    }

    /// Returns the row of its name or code, and the row's status. `None` if neither is listed.
    fn named(&self) -> Option<(u16, &'static Code)> {
        self.keys()
            .find_map(|key| rows(NAMES).find(|(_, row)| row.code == key))
    }

    /// Returns the rows of its type, each with its status.
    fn types(&self) -> impl Iterator<Item = (u16, &'static Code)> + Clone {
        rows(TYPES).filter(|(_, row)| row.code == self.kind)
    }

    /// Returns its name or code if it is that of a validation error.
    fn validation(&self) -> Option<&'static str> {
        VALIDATION
            .into_iter()
            .find(|known| self.keys().any(|key| key == *known))
    }

    /// Returns the platform's own words.
    fn words(&self) -> impl Iterator<Item = &str> {
        let details = self.details.as_array().into_iter().flatten();
        [&self.message]
            .into_iter()
            .chain(details.map(|detail| &detail["message"]))
            .filter_map(Value::as_str)
    }

    /// Returns the paths of its fields: `to`, or `messages[3].to` in a batch.
    fn params(&self) -> impl Iterator<Item = &str> {
        let details = self.details.as_array().into_iter().flatten();
        [&self.param]
            .into_iter()
            .chain(details.map(|detail| &detail["param"]))
            .filter_map(Value::as_str)
    }
}

/// Returns the index of the entry that a path names, and the rest of the path.
fn entry(param: &str) -> (Option<usize>, &str) {
    let rest = param.strip_prefix("messages").unwrap_or(param);
    let named = match rest.strip_prefix('[') {
        Some(rest) => rest.split_once(']'),
        None => rest
            .strip_prefix('.')
            .map(|rest| rest.split_once('.').unwrap_or((rest, ""))),
    };
    match named.and_then(|(index, field)| Some((index.parse().ok()?, field))) {
        Some((index, field)) => (Some(index), field.trim_start_matches('.')),
        None => (None, param),
    }
}

/// Returns the rows of a table, each with its status.
fn rows(
    table: &'static [(u16, &'static [Code])],
) -> impl Iterator<Item = (u16, &'static Code)> + Clone {
    table
        .iter()
        .flat_map(|(status, rows)| rows.iter().map(|row| (*status, row)))
}

/// The message's own fields.
static FIELDS: &[Code] = codes! {
    "to" => InvalidRecipient, Below500, "the recipient is invalid";
    "from" => InvalidSender, Below500, "the sender is invalid";
    "text" => InvalidText, Below500, "the text is invalid";
};

/// The status of validation errors.
const VALIDATED: u16 = 422;

/// The code and the name of a validation error, whose kind is that of the field.
const VALIDATION: [&str; 2] = ["E01001", "ValidationError"];

/// Names and codes with their statuses. They take precedence over the types.
static NAMES: &[(u16, &[Code])] = &[
    (
        VALIDATED,
        codes! {
            "SMSInvalidRecipient" => InvalidRecipient, Below500, "the number cannot be reached";
            "SMSNoEligibleSender" | "SMSSenderNotConfigured" | "SMSSenderReserved" | "SenderCategoryNotPermitted"
                => InvalidSender, Below500, "the workspace does not have the sender, or may not use it here";
            "SMSUnsupportedFeature" => Misconfigured, Below500, "the account may not use a field of the request";
            "SMSMessagingProfileNotFound" | "SMSMessagingProfileSenderBound"
                => Misconfigured, Below500, "the messaging profile does not exist, or is not for this sender";
        },
    ),
    (
        400,
        codes! { "E01002" | "InvalidRequest" => Misconfigured, Below500, "the request cannot be read"; },
    ),
    (
        409,
        codes! {
            "E01004" | "RequestInProgress" => Throttled, Nothing, "the same message is still in progress";
            // Proves an earlier attempt with this reference, which may have been accepted.
            "E01005" | "IdempotencyKeyReuse"
                => Misconfigured, Nothing, "the same reference was used for another message";
        },
    ),
    (
        503,
        codes! {
            "E01033" | "IdempotencyUnavailable"
                => Unavailable, Always, "the platform cannot store idempotency keys now, and did nothing";
        },
    ),
];

/// Types with their statuses.
static TYPES: &[(u16, &[Code])] = &[
    (
        400,
        codes! { "bad_request_error" => Misconfigured, Below500, "the request cannot be read"; },
    ),
    (
        401,
        codes! { "auth_error" => Unauthorized, Below500, "the key was refused"; },
    ),
    (
        402,
        codes! { "billing_error" => InsufficientBalance, Below500, "the wallet cannot pay"; },
    ),
    (
        403,
        codes! { "permission_error" => Unauthorized, Below500, "the key has no permission"; },
    ),
    (
        404,
        codes! { "not_found_error" => Misconfigured, Below500, "there is nothing at the configured address"; },
    ),
    // An unlisted conflict may be one with an earlier attempt of the same message.
    (
        409,
        codes! { "conflict_error" => Other, Nothing, "the request conflicts with another"; },
    ),
    (
        412,
        codes! { "precondition_error" => Misconfigured, Below500, NOT_READY; },
    ),
    (
        413,
        codes! { "payload_too_large_error" => InvalidText, Below500, TOO_LONG; },
    ),
    (
        421,
        codes! { "misdirected_error" => Misconfigured, Below500, "the key is of another region"; },
    ),
    (
        422,
        codes! { "validation_error" => Other, Below500, "the platform refused the request"; },
    ),
    (
        428,
        codes! { "precondition_error" => Misconfigured, Below500, NOT_READY; },
    ),
    (
        429,
        codes! { "rate_limit_error" => Throttled, Below500, "too many requests"; },
    ),
    (
        499,
        codes! { "client_closed_request_error" => Other, Nothing, "the platform cancelled the request"; },
    ),
    (
        500,
        codes! { "internal_error" => Unavailable, Nothing, FAILED; },
    ),
    (
        501,
        codes! { "not_implemented_error" => Misconfigured, Always, "the platform does not support this request"; },
    ),
    (
        503,
        codes! { "service_unavailable_error" => Unavailable, Nothing, FAILED; },
    ),
];

const FAILED: &str = "the platform failed";
const NOT_READY: &str = "the account is not ready for this";
const TOO_LONG: &str = "the request is too long";
