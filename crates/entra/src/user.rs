use chrono::DateTime;
use postduif_core::{GraphError, Manager, Roles, User, UserId, UserKind};
use postduif_http::Request;
use serde::Deserialize;

use crate::{
    Entra,
    error::{self, Deed, Said},
};

/// What [`User`] has a place for, and no more. Left out of what Graph's page offers: `businessPhones` (mostly
/// landlines and extensions, which no text may go to unasked), `country` (free text, where `usageLocation` is a
/// code) and `onPremisesSyncEnabled` (nothing here writes to the directory).
const USER: &str = "id,displayName,givenName,surname,userPrincipalName,mail,mobilePhone,\
                    preferredLanguage,usageLocation,userType,accountEnabled,externalUserState,\
                    employeeHireDate";
const ROLES: &str = "id,displayName";
const MANAGER: &str = "id,displayName,mail";

impl Entra {
    pub(crate) async fn read_user(&self, id: UserId) -> Result<User, GraphError> {
        let answer = self
            .call(Deed::Read, |graph| {
                Request::get(graph, &format!("/v1.0/users/{id}")).with_query("$select", USER)
            })
            .await?;
        if answer.status() != 200 {
            return Err(error::refused(&answer, Deed::Read));
        }
        let mut user = match answer.json::<GraphUser>() {
            // Somebody else's number would get this user's pass.
            Ok(user) if user.id == id => User::from(user),
            _ => return Err(error::unreadable(&answer, Deed::Read)),
        };
        if self.reads_roles() {
            user.roles = self.read_roles(id).await?;
        }
        if self.reads_manager() {
            user.manager = self.read_manager(id).await?;
        }
        Ok(user)
    }

    async fn read_roles(&self, id: UserId) -> Result<Roles, GraphError> {
        let answer = self
            .call(Deed::Read, |graph| {
                let path =
                    format!("/v1.0/users/{id}/transitiveMemberOf/microsoft.graph.directoryRole");
                Request::get(graph, &path).with_query("$select", ROLES)
            })
            .await?;
        match answer.status() {
            200 => match answer.json::<RolePage>() {
                // One role is enough to know. An empty page with more behind it says nothing, and its link is
                // not followed: it may lead anywhere.
                Ok(page) if page.value.is_empty() && page.next_link.is_some() => {
                    Ok(Roles::Unreadable)
                }
                Ok(page) => Ok(Roles::Held(
                    page.value
                        .into_iter()
                        .map(|role| filled(role.display_name).unwrap_or(role.id))
                        .collect(),
                )),
                Err(_) => Err(error::unreadable(&answer, Deed::Read)),
            },
            403 if Said::read(&answer).is_some() => Ok(Roles::Unreadable),
            _ => Err(error::refused(&answer, Deed::Read)),
        }
    }

    async fn read_manager(&self, id: UserId) -> Result<Option<Manager>, GraphError> {
        let answer = self
            .call(Deed::Read, |graph| {
                Request::get(graph, &format!("/v1.0/users/{id}/manager"))
                    .with_query("$select", MANAGER)
            })
            .await?;
        match answer.status() {
            200 => match answer.json::<GraphManager>() {
                Ok(manager) => Ok(Some(manager.into())),
                Err(_) => Err(error::unreadable(&answer, Deed::Read)),
            },
            404 if Said::read(&answer).is_some() => Ok(None),
            _ => Err(error::refused(&answer, Deed::Read)),
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
        // Null on old objects; a word that is neither says as little.
        user.kind = of
            .user_type
            .and_then(|kind| kind.to_ascii_lowercase().parse::<UserKind>().ok());
        // For the text only, so that a date of another form is no reason to stop.
        user.hire_date = of
            .employee_hire_date
            .and_then(|date| DateTime::parse_from_rfc3339(&date).ok())
            .map(|date| date.to_utc());
        user
    }
}

#[derive(Deserialize)]
struct RolePage {
    value: Vec<GraphRole>,
    #[serde(rename = "@odata.nextLink")]
    next_link: Option<serde::de::IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct GraphRole {
    id: String,
    display_name: Option<String>,
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

/// As written, unless nothing is.
fn filled(text: Option<String>) -> Option<String> {
    text.filter(|text| !text.trim().is_empty())
}
