use std::time::Duration;

use chrono::{DateTime, Utc};
use postduif_core::{
    async_trait,
    directory::{
        GraphError, GraphErrorKind, TapId, TapInfo, TapIssuer, TapRequest, TemporaryAccessPass,
        UserId,
    },
};
use postduif_http::Request;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize, de::IgnoredAny};

use crate::{
    Entra,
    error::{self, ErrorBody, Meaning, Operation},
};

/// The maximum lifetime of a pass by Graph's page, in minutes.
const MAX_LIFETIME: u32 = 43_200;

#[async_trait]
impl TapIssuer for Entra {
    /// Sends one POST. It contains no start, so the pass works at once by Graph's clock, and nothing that `request`
    /// leaves to the tenant's policy.
    ///
    /// Errors beside those in the table of the [crate]:
    ///
    /// - `LifetimeRefused`: the tenant's policy does not allow the lifetime. The message contains the bounds.
    /// - `PolicyRefused`: the tenant's policy allows no pass for this user.
    /// - `Conflict`: the user already has a pass, and Graph does not replace it.
    /// - `Other`: the user is a guest of another tenant, who cannot have a pass.
    async fn issue(
        &self,
        user: &UserId,
        request: &TapRequest,
    ) -> Result<TemporaryAccessPass, GraphError> {
        let body = PassBody::new(request);
        let response = self
            .call(Operation::Change, |graph| {
                Request::post(graph, &path(*user)).with_json(&body)
            })
            .await?;
        if !response.is_success() {
            return Err(error::refused_as(&response, Operation::Change, refusal));
        }
        response
            .json::<GraphPass>()
            .ok()
            .and_then(GraphPass::into_pass)
            .ok_or_else(|| error::unreadable(&response, Operation::Change))
    }

    /// Sends one GET. An incomplete list, or one with an unreadable pass, is a `Protocol` error, since it could hide a
    /// pass.
    async fn list(&self, user: &UserId) -> Result<Vec<TapInfo>, GraphError> {
        let response = self
            .call(Operation::Read, |graph| Request::get(graph, &path(*user)))
            .await?;
        if response.status() != 200 {
            return Err(error::refused(&response, Operation::Read));
        }
        match response.json::<PassPage>() {
            Ok(page) if page.next_link.is_none() => {
                page.value.into_iter().map(GraphPass::into_info).collect()
            }
            _ => None,
        }
        .ok_or_else(|| error::unreadable(&response, Operation::Read))
    }

    /// Sends one DELETE. A 404 in Graph's shape means that the pass is gone.
    async fn revoke(&self, user: &UserId, tap: &TapId) -> Result<(), GraphError> {
        let response = self
            .call(Operation::Change, |graph| {
                Request::delete(graph, &format!("{}/{tap}", path(*user)))
            })
            .await?;
        match response.status() {
            204 => Ok(()),
            404 if ErrorBody::read(&response).is_some() => Ok(()),
            200..=299 => Err(error::unreadable(&response, Operation::Change)),
            _ => Err(error::refused(&response, Operation::Change)),
        }
    }
}

fn path(user: UserId) -> String {
    format!("/v1.0/users/{user}/authentication/temporaryAccessPassMethods")
}

/// The refusals of a pass that only their message distinguishes, since their codes are common ones. All phrases, in lower
/// case, must be in the message. They count at 400 and at 403, since pages and reports differ.
static REFUSALS: &[(&[&str], GraphErrorKind, &str)] = &[
    (
        &["lifetimeinminutes"],
        GraphErrorKind::LifetimeRefused,
        "the tenant's policy does not allow this lifetime",
    ),
    (
        &["converged", "policy"],
        GraphErrorKind::PolicyRefused,
        "the tenant's policy does not allow a pass for this user",
    ),
    // As documented, a new pass replaces the earlier one. It is uncertain whether some tenants refuse instead, and in
    // which words. The caller lists the passes, and revokes one that may be replaced.
    (
        &["already", "temporary access pass"],
        GraphErrorKind::Conflict,
        "the user already has a pass",
    ),
    (
        &["external guest user"],
        GraphErrorKind::Other,
        "a guest of another tenant cannot have a pass",
    ),
];

fn refusal(status: u16, body: &ErrorBody) -> Option<Meaning> {
    let (phrases, kind, message) = REFUSALS
        .iter()
        .find(|(phrases, ..)| matches!(status, 400 | 403) && body.mentions(phrases))?;
    Some(match bounds(body.message()) {
        Some((shortest, longest)) if phrases.contains(&"lifetimeinminutes") => Meaning::new(
            *kind,
            format!("{message}; it allows {shortest} to {longest} minutes"),
        ),
        _ => Meaning::new(*kind, *message),
    })
}

/// Returns the two numbers of "valid range between 60 and 480", for the operator, and nothing else of the message.
fn bounds(message: &str) -> Option<(u32, u32)> {
    let (_, rest) = message.split_once("between ")?;
    let mut words = rest.split(' ');
    let minutes = |word: &str| {
        let number = word.trim_end_matches('.').parse().ok()?;
        (1..=MAX_LIFETIME).contains(&number).then_some(number)
    };
    let (shortest, longest) = (words.next()?, words.nth(1)?);
    Some((minutes(shortest)?, minutes(longest)?))
}

/// The body of a request for a pass, without `startDateTime`: by our clock it might be in Graph's past, which Graph
/// refuses.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PassBody {
    #[serde(skip_serializing_if = "Option::is_none")]
    lifetime_in_minutes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    is_usable_once: Option<bool>,
}

impl PassBody {
    fn new(request: &TapRequest) -> Self {
        Self {
            // Rounded down to whole minutes: a pass must not live longer than requested.
            lifetime_in_minutes: request.lifetime.map(|lifetime| lifetime.as_secs() / 60),
            is_usable_once: request.one_time,
        }
    }
}

#[derive(Deserialize)]
struct PassPage {
    value: Vec<GraphPass>,
    #[serde(rename = "@odata.nextLink")]
    next_link: Option<IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct GraphPass {
    id: TapId,
    temporary_access_pass: Option<SecretString>,
    created_date_time: Option<String>,
    start_date_time: Option<String>,
    lifetime_in_minutes: u32,
    is_usable_once: Option<bool>,
    is_usable: Option<bool>,
    method_usability_reason: Option<String>,
}

impl GraphPass {
    fn into_info(self) -> Option<TapInfo> {
        let start = self.start_date_time.or(self.created_date_time)?;
        let start: DateTime<Utc> = DateTime::parse_from_rfc3339(&start).ok()?.to_utc();
        let lifetime = Duration::from_secs(u64::from(self.lifetime_in_minutes) * 60);
        let mut info = TapInfo::new(self.id, start, lifetime);
        // If Graph does not say, the cautious reading: the pass works, and more than once.
        info.one_time = self.is_usable_once.unwrap_or(false);
        info.usable = self.is_usable.unwrap_or(true);
        info.not_yet_valid = self
            .method_usability_reason
            .is_some_and(|reason| reason.eq_ignore_ascii_case("NotYetValid"));
        Some(info)
    }

    fn into_pass(mut self) -> Option<TemporaryAccessPass> {
        let secret = self.temporary_access_pass.take()?;
        let info = self.into_info()?;
        (!secret.expose_secret().is_empty()).then(|| TemporaryAccessPass::new(info, secret))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plausible_bounds_are_taken_from_a_message() {
        let of = |message: &str| bounds(message);
        assert_eq!(of("the valid range between 60 and 480."), Some((60, 480)));
        for message in [
            "",
            "between",
            "between 60",
            "between 60 and",
            "between 60 and x",
            "between 0 and 480",
            "between 60 and 31612345678",
        ] {
            assert_eq!(of(message), None, "{message}");
        }
    }
}
