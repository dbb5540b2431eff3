use chrono::{DateTime, Utc};
use postduif_core::directory::{Callback, Callout};

use super::{CalloutError, CalloutParser, Json, Parsed};

impl CalloutParser {
    pub(super) fn lifecycle(
        &self,
        body: &Json,
        received_at: DateTime<Utc>,
    ) -> Result<Parsed, CalloutError> {
        // `source` and `type` are ignored: no page documents their values.
        let data = body.member("data")?;
        // Always required: it identifies a repeated call-out.
        let result = data.at(&["taskProcessingResult", "id"])?.id()?;
        let flow = result.into();
        let callback = match data.member("callbackUriPath")?.text()? {
            None => None,
            Some(path) => {
                let workflow = data.at(&["workflow", "id"])?.id()?;
                let task = data.at(&["task", "id"])?.id()?;
                let expected = format!(
                    "/identityGovernance/lifecycleWorkflows/workflows/{workflow}/tasks/{task}\
                     /taskProcessingResults/{result}/resume"
                );
                self.check_path(path, &[expected])?;
                Some(Callback::lifecycle(workflow, task, result))
            }
        };
        let user = match data.at(&["subject", "id"])?.guid()? {
            Some(user) if !is_provisioned(data)? => Some(user),
            _ => None,
        };
        let callout = match user {
            Some(user) => Callout::new(flow, user.into(), callback, received_at),
            None => Callout::without_user(flow, callback, received_at),
        };
        let callout = match created_at(data)? {
            Some(created_at) => callout.with_created_at(created_at),
            None => callout,
        };
        Ok(match user {
            Some(_) => Parsed::Callout(callout),
            None => Parsed::NoUser(callout),
        })
    }
}

/// Returns whether the newer, polymorphic subject is an object that is not a user yet.
fn is_provisioned(data: &Json) -> Result<bool, CalloutError> {
    let kind = data.at(&["targetSubject", "@odata.type"])?.text()?;
    Ok(kind.is_some_and(|kind| {
        kind.to_ascii_lowercase()
            .ends_with("provisioningobjectworkflowsubject")
    }))
}

/// Returns the time of creation. An unreadable time counts as missing, and so does a time before 1970, such as .NET's
/// default: the window then starts when the call-out was received.
fn created_at(data: &Json) -> Result<Option<DateTime<Utc>>, CalloutError> {
    let text = data
        .at(&["taskProcessingResult", "createdDateTime"])?
        .optional_text();
    Ok(text
        .and_then(|text| DateTime::parse_from_rfc3339(text).ok())
        .map(|time| time.to_utc())
        .filter(|time| *time > DateTime::UNIX_EPOCH))
}
