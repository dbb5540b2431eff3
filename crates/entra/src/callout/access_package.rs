use std::time::Duration;

use chrono::{DateTime, Utc};
use postduif_core::{
    Guid,
    directory::{AccessPackageStage, Callback, Callout, RequestType},
};

use super::{CalloutError, CalloutErrorKind, CalloutParser, Json, Parsed, duration};

/// The stage of a connection test.
const CONNECTION_TEST: &str = "CustomExtensionConnectionTest";
/// The longest window that Entra offers.
const LONGEST_WINDOW: Duration = Duration::from_secs(14 * 24 * 60 * 60);

impl CalloutParser {
    pub(super) fn access_package(
        &self,
        body: &Json,
        received_at: DateTime<Utc>,
    ) -> Result<Parsed, CalloutError> {
        // The older flat form of 2021 has no stage and is refused here.
        let stage = body.member("Stage")?.text()?;
        let stage = stage.ok_or_else(|| CalloutError::malformed("it has no stage"))?;
        let is_test = stage.eq_ignore_ascii_case(CONNECTION_TEST);
        self.check_catalog(body, is_test)?;
        if is_test {
            return Ok(Parsed::ConnectionTest);
        }
        let stage = AccessPackageStage::ALL
            .iter()
            .find(|known| known.as_str().eq_ignore_ascii_case(stage))
            .copied()
            .ok_or_else(|| CalloutError::malformed("its stage is unknown"))?;
        if !self.stages.contains(&stage) {
            return Err(unlisted("its stage is not accepted"));
        }
        self.check_request_type(body)?;
        let stage_instance = body.member("CustomExtensionStageInstanceId")?.id()?;
        let flow = stage_instance.into();
        let callback = self.callback(body, stage, stage_instance)?;
        // `Target.Id` is the subject's id in entitlement management, and the requestor may be another user.
        let user = body.at(&["Assignment", "Target", "ObjectId"])?.guid()?;
        let callout = match user {
            Some(user) => Callout::new(flow, user.into(), callback, received_at),
            None => Callout::without_user(flow, callback, received_at),
        };
        let window = body
            .at(&["CallbackConfiguration", "DurationBeforeTimeout"])?
            .optional_text();
        // An unreadable window counts as missing.
        let callout = match window.and_then(duration::parse) {
            Some(window) if callback.is_some() => callout.with_window(window.min(LONGEST_WINDOW)),
            _ => callout,
        };
        Ok(match user {
            Some(_) => Parsed::Callout(callout),
            None => Parsed::NoUser(callout),
        })
    }

    fn check_request_type(&self, body: &Json) -> Result<(), CalloutError> {
        let unspecified = RequestType::NotSpecified.as_str();
        let text = body.member("RequestType")?.text()?.unwrap_or(unspecified);
        let mut known = RequestType::ALL.iter();
        match known.find(|known| known.as_str().eq_ignore_ascii_case(text)) {
            Some(of) if self.request_types.contains(of) => Ok(()),
            _ => Err(unlisted("its type of request is not accepted")),
        }
    }

    fn callback(
        &self,
        body: &Json,
        stage: AccessPackageStage,
        stage_instance: Guid,
    ) -> Result<Option<Callback>, CalloutError> {
        let path = match stage {
            // Entra does not wait before an expiry, whatever the path says, so the path is not read.
            AccessPackageStage::FourteenDaysBeforeExpiration
            | AccessPackageStage::OneDayBeforeExpiration => None,
            _ => body.member("CallbackUriPath")?.text()?,
        };
        let Some(path) = path else {
            return Ok(None);
        };
        let request = body.member("AccessPackageAssignmentRequestId")?.id()?;
        // Entra writes the collection's name of the beta version. The other is the name of v1.0.
        let expected =
            ["accessPackageAssignmentRequests", "assignmentRequests"].map(|collection| {
                format!("/identityGovernance/entitlementManagement/{collection}/{request}/resume")
            });
        self.check_path(path, &expected)?;
        Ok(Some(Callback::assignment(request, stage_instance, stage)))
    }

    /// Checks the catalog. A connection test may have none, since it has no effect.
    fn check_catalog(&self, body: &Json, is_test: bool) -> Result<(), CalloutError> {
        let Some(listed) = &self.catalogs else {
            return Ok(());
        };
        match body.at(&["AccessPackageCatalog", "Id"])?.guid()? {
            Some(catalog) if listed.contains(&catalog) => Ok(()),
            None if is_test => Ok(()),
            _ => Err(unlisted("its catalog is not accepted")),
        }
    }
}

const fn unlisted(message: &'static str) -> CalloutError {
    CalloutError::new(CalloutErrorKind::Unlisted, message)
}
