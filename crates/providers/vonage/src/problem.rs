//! What the Messages API's refusals mean.

use std::{
    slice,
    time::{Duration, SystemTime},
};

use postduif_core::{Acceptance, ErrorKind, Message, SendError};
use postduif_http::{Proof, Refusal, Response, codes, vendor::Code};
use serde::Deserialize;
use serde_json::Value;

/// The longest wait that `Retry-After` is believed for.
const MAX_WAIT: Duration = Duration::from_secs(60);
/// What Vonage calls a token that has ended. No other refusal goes away with a new token.
pub(crate) const EXPIRED: &str = "jwt-expired";

/// Returns what a response that is not a success proves.
pub(crate) fn refused(response: &Response, message: &Message) -> SendError {
    let status = response.status();
    let problem = Problem::of(response).filter(|_| status >= 400);
    let code = problem.as_ref().map_or("", Problem::code);
    let listed = PROBLEMS
        .iter()
        .filter(|(known, _)| *known == status)
        .flat_map(|(_, rows)| *rows)
        .find(|row| row.code.is_empty() || row.code == code);
    let refusal = match (status, &problem) {
        (429, _) => Refusal::new(ErrorKind::Throttled, "too many requests"),
        (422, Some(problem)) => problem.unprocessable(),
        // Proven by these two statuses, whoever wrote the body; the kind is Vonage's.
        (405 | 415, None) | (_, Some(_)) => match listed {
            Some(row) => meaning(row),
            // Vonage wrote it, and neither its definition nor its pages have this status.
            None => {
                let by_status = response.refused(None);
                let proof = match by_status.acceptance() {
                    Acceptance::NotAccepted => Proof::Below500,
                    Acceptance::Unknown => Proof::Nothing,
                };
                let message = "Vonage answers with a status that is not in its list";
                Refusal::new(by_status.kind(), message).with_proof(proof)
            }
        },
        (_, None) => return response.refused(None),
    };
    let listed = WORDS
        .iter()
        .copied()
        .chain(CODES.iter().map(|row| row.code))
        .find(|known| *known == code);
    let refusal = match listed {
        Some(code) => refusal.with_code(code),
        None => refusal.with_unlisted_code(code, slice::from_ref(message)),
    };
    let wait = response.retry_after(SystemTime::now().into());
    response.refused(Some(match wait {
        Some(wait) => refusal.with_retry_after(wait.min(MAX_WAIT)),
        None => refusal,
    }))
}

/// Vonage's one error shape (RFC 7807): an object whose `type` is a page of Vonage's, with the code behind
/// a `#`. Anything else is somebody else speaking. A `#` alone would not do: ASP.NET's own problems have
/// types such as `https://tools.ietf.org/html/rfc9110#section-15.5.1`.
#[derive(Deserialize)]
pub(crate) struct Problem {
    #[serde(rename = "type")]
    page: String,
    #[serde(default)]
    title: Value,
    #[serde(default)]
    invalid_parameters: Value,
}

impl Problem {
    pub(crate) fn of(response: &Response) -> Option<Self> {
        let problem: Self = response.json().ok()?;
        let (page, _) = problem.page.split_once('#')?;
        let (_, rest) = page.split_once("://")?;
        let host = rest.split('/').next().unwrap_or_default();
        // `developer.nexmo.com`, `developer.vonage.com`, and `www.nexmo.com` in 2020.
        let is_vonage = ["nexmo.com", "vonage.com"].iter().any(|name| {
            host.strip_suffix(name)
                .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
        });
        is_vonage.then_some(problem)
    }

    fn code(&self) -> &str {
        self.page.split_once('#').map_or("", |(_, code)| code)
    }

    /// Returns what a 422 means. The numbers in its bodies are not those of Vonage's published list (1060 is "client
    /// reference" in the one and "account barred" in the other), so that the fields and the title decide, and
    /// the number only where neither says anything.
    fn unprocessable(&self) -> Refusal {
        let names: Vec<_> = self
            .invalid_parameters
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|parameter| parameter["name"].as_str())
            .collect();
        if let Some(field) = PARAMETERS.iter().find(|row| names.contains(&row.code)) {
            meaning(field)
        } else if !names.is_empty() {
            Refusal::new(
                ErrorKind::Misconfigured,
                "Vonage refused a field that is none of the message's",
            )
        } else if let Some(title) = self
            .title
            .as_str()
            .and_then(|title| Code::find(TITLES, title))
        {
            meaning(title)
        } else if let Some(code) = Code::find(CODES, self.code()) {
            meaning(code)
        } else {
            Refusal::new(
                ErrorKind::Other,
                "Vonage gives a code that is not in its list",
            )
            .with_proof(Proof::Nothing)
        }
    }
}

/// Returns the refusal of a row whose key is not the code that is kept.
fn meaning(row: &Code) -> Refusal {
    Refusal::new(row.kind, row.message).with_proof(row.proof)
}

/// Vonage's refusals by status and by what follows the `#`; the empty code is any.
static PROBLEMS: &[(u16, &[Code])] = &[
    (
        400,
        codes! { "" => Protocol, Below500, "Vonage could not read the request"; },
    ),
    (
        401,
        codes! {
            "multiple-auth-methods" => Misconfigured, Below500, TWO_CREDENTIALS;
            "" => Unauthorized, Below500, "the credentials were refused";
        },
    ),
    (
        402,
        codes! { "" => InsufficientBalance, Below500, "the account has no credit"; },
    ),
    (
        403,
        codes! {
            "multiple-auth-methods" => Misconfigured, Below500, TWO_CREDENTIALS;
            "" => Unauthorized, Below500, "the account may not do this";
        },
    ),
    (
        404,
        codes! { "" => Misconfigured, Below500, "nothing takes this request there"; },
    ),
    (
        405,
        codes! { "" => Protocol, Below500, "Vonage does not take this request"; },
    ),
    (
        406,
        codes! { "" => Protocol, Below500, "Vonage cannot answer in this form"; },
    ),
    (
        415,
        codes! { "" => Protocol, Below500, "Vonage does not read this form"; },
    ),
    (
        451,
        codes! { "" => Blocked, Below500, "not allowed for legal reasons"; },
    ),
];

const TWO_CREDENTIALS: &str = "the request has two kinds of credentials";

/// Codes that are words. Only these are kept in an error.
static WORDS: &[&str] = &[
    "InvalidParams",
    "accept-header",
    "account-suspended",
    "application-suspended",
    "content-type-header",
    "forbidden",
    "invalid-api-key",
    "invalid-ip",
    "invalid-json",
    "invalid-signature",
    EXPIRED,
    "jwt-revoked",
    "low-balance",
    "multiple-auth-methods",
    "not-found",
    "throttled",
    // As the definition spells it.
    "unathorized",
    "unauthorized",
    "unavailable-legal",
    "unprovisioned",
    "wrong-verb",
];

/// The message's own fields, by their names in `invalid_parameters`.
static PARAMETERS: &[Code] = codes! {
    "to" => InvalidRecipient, Below500, "the recipient is not valid";
    "from" => InvalidSender, Below500, "the sender is not valid";
    "text" => InvalidText, Below500, "the text is not valid";
};

/// The titles of the definition's 422 bodies.
static TITLES: &[Code] = codes! {
    "Unsupported channel" => Misconfigured, Below500, "SMS is not a channel of the account";
    "Invalid channel parameters" => Misconfigured, Below500, "Vonage refused a setting of the channel";
    "Invalid sender" => InvalidSender, Below500, "the sender is not valid";
    "Invalid recipient" => InvalidRecipient, Below500, "the recipient is not valid";
    "Invalid message type" => Protocol, Below500, "Vonage refused the type of message";
    "Invalid params" => Misconfigured, Below500, "Vonage refused a field and does not say which";
    "Invalid client reference" => Misconfigured, Below500, "Vonage refused the reference";
};

/// Vonage's published codes by what they mean, and whether they prove that nothing was sent. They appear in
/// reports, and maybe in a 422.
static CODES: &[Code] = codes! {
    "1050" | "1210" | "1240" | "1270" | "1280" | "1282" | "1290" | "1470" | "1473" | "1474" | "1475" | "1483"
        | "2001" => Blocked, Below500, "blocked by a filter, by the operator or by the recipient";
    "1070" => InsufficientBalance, Below500, "the account's quota is used up";
    "1040" | "1170" | "1190" | "1200" | "1260" | "1300" | "1310" | "1430"
        => InvalidRecipient, Below500, "the recipient is not valid, or not reachable";
    "1120" | "1420" | "1476" | "1481"
        => InvalidSender, Below500, "the sender is not valid, or not allowed there";
    "1090" => InvalidText, Below500, "the text is too long";
    "1020" | "1021" | "1022" | "1080" | "1130" | "1140" | "1150" | "1160" | "1242" | "1400" | "1410" | "1440"
        | "1450" | "1480" | "1482" | "1484"
        => Misconfigured, Below500, "the account is not set up for this, or Vonage refused a setting";
    "1330" | "1340" | "1350" | "1370" | "1380" | "1381" | "1382" | "1451" | "1461" | "2002" | "2003"
        => Other, Below500, "a fault of another channel, or for good and without a reason";
    // Sent already; not all parts were heard of.
    "1320" | "1490" => Other, Nothing, "the text, or a part of it, may have been sent already";
    "1010" | "1431" | "invalid-json" => Protocol, Below500, "Vonage could not read the request";
    "1000" | "1241" | "1460" | "1472" => Throttled, Below500, "too many texts";
    "1360" => Timeout, Below500, "the validity period ended first";
    "1060" => Unauthorized, Below500, "the account is barred";
    "1180" | "1230" | "1250" | "1251"
        => Unavailable, Below500, "no route, or the phone or its network is out of reach";
    "1030" | "1100" | "1220" | "1331"
        => Unavailable, Nothing, "Vonage or the operator failed, or is trying again";
};
