//! The refusals of the Messages API, and what they prove.

use std::{
    slice,
    time::{Duration, SystemTime},
};

use postduif_core::{Acceptance, ErrorKind, Message, SendError};
use postduif_http::{Proof, Refusal, Response, codes, vendor::Code};
use serde::Deserialize;
use serde_json::Value;

/// The longest delay that is accepted from `Retry-After`.
const MAX_WAIT: Duration = Duration::from_secs(60);
/// The code of an expired token, the only refusal for which a new token helps.
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
        // These two statuses prove a refusal with any body; the kind is from Vonage's table.
        (405 | 415, None) | (_, Some(_)) => match listed {
            Some(row) => meaning(row),
            // A problem of Vonage at a status that neither its definition nor its pages have.
            None => {
                let by_status = response.refused(None);
                let proof = match by_status.acceptance() {
                    Acceptance::NotAccepted => Proof::Below500,
                    Acceptance::Unknown => Proof::Nothing,
                };
                let message = "Vonage responded with a status that is not in its list";
                Refusal::new(by_status.kind(), message).with_proof(proof)
            }
        },
        (_, None) => return response.refused(None),
    };
    let listed = NAMES
        .iter()
        .copied()
        .chain(CODES.iter().map(|row| row.code))
        .find(|known| *known == code);
    let refusal = match listed {
        Some(code) => refusal.with_code(code),
        None => refusal.with_unlisted_code(code, slice::from_ref(message)),
    };
    let words = problem.iter().flat_map(Problem::words);
    let refusal = refusal.with_vendor_message(words, &response.redactor([message]));
    let wait = response.retry_after(SystemTime::now().into());
    response.refused(Some(match wait {
        Some(wait) => refusal.with_retry_after(wait.min(MAX_WAIT)),
        None => refusal,
    }))
}

/// Vonage's error shape (RFC 7807): an object whose `type` is a page of Vonage, with the code after a `#`.
///
/// A `#` alone does not identify Vonage: the problems of ASP.NET have types such as
/// `https://tools.ietf.org/html/rfc9110#section-15.5.1`.
#[derive(Deserialize)]
pub(crate) struct Problem {
    #[serde(rename = "type")]
    page: String,
    #[serde(default)]
    title: Value,
    #[serde(default)]
    detail: Value,
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

    /// Returns Vonage's own words.
    pub(crate) fn words(&self) -> impl Iterator<Item = &str> {
        let parameters = self.invalid_parameters.as_array().into_iter().flatten();
        [&self.title, &self.detail]
            .into_iter()
            .chain(parameters.map(|parameter| &parameter["reason"]))
            .filter_map(Value::as_str)
    }

    fn code(&self) -> &str {
        self.page.split_once('#').map_or("", |(_, code)| code)
    }

    /// Returns the meaning of a 422. The numbers in its bodies are not those of Vonage's published list: 1060 is
    /// "client reference" in the former and "account barred" in the latter. The fields and the title decide, and the
    /// number only without them.
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
                "Vonage refused a field that is not the message's",
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
                "Vonage returned a code that is not in its list",
            )
            .with_proof(Proof::Nothing)
        }
    }
}

/// Returns the refusal of a row whose key is not the code of the error.
fn meaning(row: &Code) -> Refusal {
    Refusal::new(row.kind, row.message).with_proof(row.proof)
}

/// Vonage's refusals by status and by the code after the `#`. The empty code matches any.
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
            "" => Unauthorized, Below500, "the account has no permission";
        },
    ),
    (
        404,
        codes! { "" => Misconfigured, Below500, "the configured address does not accept this request"; },
    ),
    (
        405,
        codes! { "" => Protocol, Below500, "Vonage does not accept this method"; },
    ),
    (
        406,
        codes! { "" => Protocol, Below500, "Vonage cannot respond in this format"; },
    ),
    (
        415,
        codes! { "" => Protocol, Below500, "Vonage does not accept this format"; },
    ),
    (
        451,
        codes! { "" => Blocked, Below500, "not allowed for legal reasons"; },
    ),
];

const TWO_CREDENTIALS: &str = "the request has two kinds of credentials";

/// Codes that are names instead of numbers. An error keeps only these.
static NAMES: &[&str] = &[
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
    // The definition's spelling.
    "unathorized",
    "unauthorized",
    "unavailable-legal",
    "unprovisioned",
    "wrong-verb",
];

/// The message's own fields, by their names in `invalid_parameters`.
static PARAMETERS: &[Code] = codes! {
    "to" => InvalidRecipient, Below500, "the recipient is invalid";
    "from" => InvalidSender, Below500, "the sender is invalid";
    "text" => InvalidText, Below500, "the text is invalid";
};

/// The titles of the definition's 422 bodies.
static TITLES: &[Code] = codes! {
    "Unsupported channel" => Misconfigured, Below500, "SMS is not a channel of the account";
    "Invalid channel parameters" => Misconfigured, Below500, "Vonage refused an option of the channel";
    "Invalid sender" => InvalidSender, Below500, "the sender is invalid";
    "Invalid recipient" => InvalidRecipient, Below500, "the recipient is invalid";
    "Invalid message type" => Protocol, Below500, "Vonage refused the type of message";
    "Invalid params" => Misconfigured, Below500, "Vonage refused an unnamed field";
    "Invalid client reference" => Misconfigured, Below500, "Vonage refused the reference";
};

/// Vonage's published codes by meaning, and whether they prove that nothing was sent. They appear in reports, and
/// possibly in a 422.
static CODES: &[Code] = codes! {
    "1050" | "1210" | "1240" | "1270" | "1280" | "1282" | "1290" | "1470" | "1473" | "1474" | "1475" | "1483"
        | "2001" => Blocked, Below500, "blocked by a filter, by the operator or by the recipient";
    "1070" => InsufficientBalance, Below500, "the account's quota is used up";
    "1040" | "1170" | "1190" | "1200" | "1260" | "1300" | "1310" | "1430"
        => InvalidRecipient, Below500, "the recipient is invalid or not reachable";
    "1120" | "1420" | "1476" | "1481"
        => InvalidSender, Below500, "the sender is invalid or not allowed there";
    "1090" => InvalidText, Below500, "the text is too long";
    "1020" | "1021" | "1022" | "1080" | "1130" | "1140" | "1150" | "1160" | "1242" | "1400" | "1410" | "1440"
        | "1450" | "1480" | "1482" | "1484"
        => Misconfigured, Below500, "the account is not set up for this, or Vonage refused an option";
    "1330" | "1340" | "1350" | "1370" | "1380" | "1381" | "1382" | "1451" | "1461" | "2002" | "2003"
        => Other, Below500, "an error of another channel, or a permanent one without a reason";
    // Already sent, without a report for every part.
    "1320" | "1490" => Other, Nothing, "the text, or a part of it, may have been sent already";
    "1010" | "1431" | "invalid-json" => Protocol, Below500, "Vonage could not read the request";
    "1000" | "1241" | "1460" | "1472" => Throttled, Below500, "too many texts";
    "1360" => Timeout, Below500, "the validity period ended";
    "1060" => Unauthorized, Below500, "the account is barred";
    "1180" | "1230" | "1250" | "1251"
        => Unavailable, Below500, "no route, or the phone or its network is out of reach";
    "1030" | "1100" | "1220" | "1331"
        => Unavailable, Nothing, "Vonage or the operator failed, or is retrying";
};
