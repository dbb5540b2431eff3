use chrono::DateTime;
use postduif_core::{
    async_trait,
    directory::{
        Callback, Graph, GraphError, GraphErrorKind, Manager, User, UserId, UserKind, Verdict,
    },
};
use postduif_http::Request;
use serde::Deserialize;

use crate::{
    Entra,
    error::{self, ErrorBody, Operation},
    resume,
};

/// The properties that [`User`] has fields for. Others are left out on purpose: `businessPhones` are mostly landlines
/// and extensions, `country` is free text while `usageLocation` is a code, and nothing here needs
/// `onPremisesSyncEnabled`, since nothing writes to the directory.
const USER: &str = "id,displayName,givenName,surname,userPrincipalName,mail,mobilePhone,\
                    preferredLanguage,usageLocation,userType,accountEnabled,externalUserState,\
                    employeeHireDate";
const MANAGER: &str = "id,displayName,mail";

#[async_trait]
impl Graph for Entra {
    /// Reads a user with one request, one more for the roles, and one more for the manager if that is enabled.
    ///
    /// Roles are requested with an OData cast. By Microsoft's pages such a cast needs `ConsistencyLevel: eventual` and
    /// `$count`. In practice it mostly works without them, and sometimes it fails for members of groups. If Graph refuses
    /// the cast or fails, it is requested with both, and then all memberships are requested and filtered here. Further
    /// pages are requested by a URL that is built here.
    ///
    /// A new user may be `NotFound` for some minutes, until Graph's replicas agree. The caller decides how long to wait.
    async fn user(&self, id: &UserId) -> Result<User, GraphError> {
        let response = self
            .call(Operation::Read, |graph| {
                Request::get(graph, &format!("/v1.0/users/{id}")).with_query("$select", USER)
            })
            .await?;
        if response.status() != 200 {
            return Err(error::refused(&response, Operation::Read));
        }
        let mut user = match response.json::<GraphUser>() {
            // Another user's number would get this user's pass.
            Ok(user) if user.id == *id => User::from(user),
            _ => return Err(error::unreadable(&response, Operation::Read)),
        };
        if self.reads_roles() {
            user.roles = self.read_roles(*id).await?;
        }
        if self.reads_manager() {
            user.manager = self.read_manager(*id).await?;
        }
        Ok(user)
    }

    /// Sends one POST, to an address built from the ids of `callback`.
    ///
    /// A not accepted `Conflict`, `NotFound` or `Other` is Graph's own response that nothing waits any more, and counts
    /// as heard. Every other error may be retried until the window closes.
    async fn resume(&self, callback: &Callback, verdict: &Verdict) -> Result<(), GraphError> {
        let Some((path, body)) = resume::request(callback, *verdict) else {
            return Err(GraphError::not_accepted(
                GraphErrorKind::Protocol,
                "the kind of the callback is unknown",
            ));
        };
        let response = self
            .call(Operation::Change, |graph| {
                Request::post(graph, &path).with_json(&body)
            })
            .await?;
        match response.status() {
            204 => Ok(()),
            200..=299 => Err(error::unreadable(&response, Operation::Change)),
            // For other requests a bare 404 proves that Graph did not read it. Here a proof would end the retries.
            404 if ErrorBody::read(&response).is_none() => {
                Err(error::unreadable(&response, Operation::Change))
            }
            _ => Err(error::refused(&response, Operation::Change)),
        }
    }
}

impl Entra {
    async fn read_manager(&self, id: UserId) -> Result<Option<Manager>, GraphError> {
        let response = self
            .call(Operation::Read, |graph| {
                Request::get(graph, &format!("/v1.0/users/{id}/manager"))
                    .with_query("$select", MANAGER)
            })
            .await?;
        match response.status() {
            200 => match response.json::<GraphManager>() {
                Ok(manager) => Ok(Some(manager.into())),
                Err(_) => Err(error::unreadable(&response, Operation::Read)),
            },
            404 if ErrorBody::read(&response).is_some() => Ok(None),
            _ => Err(error::refused(&response, Operation::Read)),
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct GraphUser {
    id: UserId,
    display_name: Option<String>,
    given_name: Option<String>,
    surname: Option<String>,
    user_principal_name: Option<String>,
    mail: Option<String>,
    mobile_phone: Option<String>,
    preferred_language: Option<String>,
    usage_location: Option<String>,
    user_type: Option<String>,
    account_enabled: Option<bool>,
    external_user_state: Option<String>,
    employee_hire_date: Option<String>,
}

impl From<GraphUser> for User {
    fn from(of: GraphUser) -> Self {
        let mut user = Self::new(of.id);
        let invited = |name: &String| name.to_ascii_uppercase().contains("#EXT#");
        user.external = filled(of.external_user_state).is_some()
            || of.user_principal_name.as_ref().is_some_and(invited);
        user.display_name = filled(of.display_name);
        user.given_name = filled(of.given_name);
        user.surname = filled(of.surname);
        user.user_principal_name = filled(of.user_principal_name);
        user.mail = filled(of.mail);
        user.mobile = filled(of.mobile_phone);
        user.preferred_language = filled(of.preferred_language);
        user.region = filled(of.usage_location);
        user.enabled = of.account_enabled;
        // Null on old objects. An unknown value is treated alike.
        user.kind = of
            .user_type
            .and_then(|kind| kind.to_ascii_lowercase().parse::<UserKind>().ok());
        // Only for texts, so a date in another format is left out.
        user.hire_date = of
            .employee_hire_date
            .and_then(|date| DateTime::parse_from_rfc3339(&date).ok())
            .map(|date| date.to_utc());
        user
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct GraphManager {
    id: UserId,
    display_name: Option<String>,
    mail: Option<String>,
}

impl From<GraphManager> for Manager {
    fn from(of: GraphManager) -> Self {
        let mut manager = Self::new(of.id);
        manager.display_name = filled(of.display_name);
        manager.mail = filled(of.mail);
        manager
    }
}

/// Returns the text as written, or `None` if it is blank.
pub(crate) fn filled(text: Option<String>) -> Option<String> {
    text.filter(|text| !text.trim().is_empty())
}
