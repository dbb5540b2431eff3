use chrono::{DateTime, Utc};
use postduif_core::directory::{Callback, Callout};

use super::{CalloutError, CalloutParser, Json, Parsed};

impl CalloutParser {
    pub(super) fn lifecycle(
        &self,
        body: &Json,
        received_at: DateTime<Utc>,
    ) -> Result<Parsed, CalloutError> {
        // `source` and `type` are not looked at: no page says what they hold.
        let data = body.member("data")?;
        // Needed always: a call-out that comes twice is known by it.
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

/// Whether the newer, polymorphic subject is something that is yet to become a user.
fn is_provisioned(data: &Json) -> Result<bool, CalloutError> {
    let kind = data.at(&["targetSubject", "@odata.type"])?.text()?;
    Ok(kind.is_some_and(|kind| {
        kind.to_ascii_lowercase()
            .ends_with("provisioningobjectworkflowsubject")
    }))
}

/// A time in another form than Entra's is as good as none: the window then starts when we took the call. So is
/// one before 1970, such as .NET's for no time.
fn created_at(data: &Json) -> Result<Option<DateTime<Utc>>, CalloutError> {
    let text = data
        .at(&["taskProcessingResult", "createdDateTime"])?
        .optional_text();
    Ok(text
        .and_then(|text| DateTime::parse_from_rfc3339(text).ok())
        .map(|time| time.to_utc())
        .filter(|time| *time > DateTime::UNIX_EPOCH))
}
