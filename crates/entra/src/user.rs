use chrono::DateTime;
use postduif_core::directory::{
    GraphError, GraphErrorKind, Manager, Roles, User, UserId, UserKind,
};
use postduif_http::{BaseUrl, Request};
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

    /// Reads the roles in the first way that Graph answers.
    ///
    /// # Errors
    ///
    /// What the first way met, where no way led to an answer.
    async fn read_roles(&self, id: UserId) -> Result<Roles, GraphError> {
        let mut first: Option<GraphError> = None;
        for way in [Way::Cast, Way::CastCounted, Way::Filtered] {
            let error = match self.read_roles_by(id, way).await {
                Ok(Asked::Told(roles)) => return Ok(roles),
                Ok(Asked::Failed(error)) => error,
                Err(error) => return Err(first.unwrap_or(error)),
            };
            first = first.or(Some(error));
        }
        Err(first.unwrap_or_else(|| {
            GraphError::not_accepted(GraphErrorKind::Protocol, "the roles could not be read")
        }))
    }

    async fn read_roles_by(&self, id: UserId, way: Way) -> Result<Asked, GraphError> {
        let mut held = Vec::new();
        let mut next: Option<String> = None;
        for _ in 0..MOST_PAGES {
            let answer = self
                .call(Deed::Read, |graph| way.request(graph, id, next.as_deref()))
                .await?;
            match answer.status() {
                200 => {}
                403 if Said::read(&answer).is_some() => return Ok(Asked::Told(Roles::Unreadable)),
                // Refused as a query that Graph does not support so, or broken at.
                400 | 500.. => {
                    return Ok(Asked::Failed(error::refused(&answer, Deed::Read)));
                }
                _ => return Err(error::refused(&answer, Deed::Read)),
            }
            let Ok(page) = answer.json::<RolePage>() else {
                return Err(error::unreadable(&answer, Deed::Read));
            };
            let found = page.value.into_iter().filter(|of| way.is_role(of));
            held.extend(found.map(|role| filled(role.display_name).unwrap_or(role.id)));
            // One role is enough to know.
            if !held.is_empty() {
                break;
            }
            next = match page.next_link {
                None => break,
                // A link that holds no token of a page leads nowhere that we would go.
                Some(link) => match skip_token(&link) {
                    Some(token) => Some(token),
                    None => return Ok(Asked::Told(Roles::Unreadable)),
                },
            };
        }
        // More pages than anybody has memberships: what was not read may hold a role.
        Ok(Asked::Told(match next {
            Some(_) if held.is_empty() => Roles::Unreadable,
            _ => Roles::Held(held),
        }))
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

/// How the roles among a user's memberships are asked for.
#[derive(Clone, Copy)]
enum Way {
    /// With an OData cast.
    Cast,
    /// As Microsoft's pages say that a cast needs it.
    CastCounted,
    /// Without a cast: all memberships, of which the roles are picked here.
    Filtered,
}

impl Way {
    fn request(self, graph: &BaseUrl, user: UserId, page: Option<&str>) -> Request {
        let all = format!("/v1.0/users/{user}/transitiveMemberOf");
        let cast = format!("{all}/microsoft.graph.directoryRole");
        let request = match self {
            Self::Cast => Request::get(graph, &cast).with_query("$select", ROLES),
            Self::CastCounted => Request::get(graph, &cast)
                .with_query("$select", ROLES)
                .with_query("$count", "true")
                .with_header("consistencylevel", "eventual"),
            Self::Filtered => Request::get(graph, &all)
                .with_query("$select", ROLES)
                .with_query("$top", PAGE),
        };
        let request = request.with_messages(ROOM);
        match page {
            Some(token) => request.with_query("$skiptoken", token),
            None => request,
        }
    }

    fn is_role(self, of: &GraphRole) -> bool {
        let is = |kind: &String| kind.eq_ignore_ascii_case("#microsoft.graph.directoryRole");
        match self {
            Self::Cast | Self::CastCounted => true,
            // What does not say what it is may be a role.
            Self::Filtered => of.kind.as_ref().is_none_or(is),
        }
    }
}

/// What came of asking in one way.
enum Asked {
    /// Graph cannot be asked in this way, or not now.
    Failed(GraphError),
    Told(Roles),
}

/// The token of the next page, out of the link to it. The link itself is never requested.
fn skip_token(link: &str) -> Option<String> {
    let (_, query) = link.split_once('?')?;
    let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    let (_, token) = pairs.find(|(name, _)| {
        ["$skiptoken", "%24skiptoken"]
            .iter()
            .any(|known| known.eq_ignore_ascii_case(name))
    })?;
    let token = percent_decoded(token)?;
    (1..=LONGEST_TOKEN).contains(&token.len()).then_some(token)
}

/// `None` where it is not text, or holds what no query does.
fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte == b'%' {
            let (digits, after) = rest.split_at_checked(2)?;
            bytes.push(u8::from_str_radix(str::from_utf8(digits).ok()?, 16).ok()?);
            rest = after;
        } else {
            bytes.push(byte);
        }
    }
    let text = String::from_utf8(bytes).ok()?;
    (!text.contains(char::is_control)).then_some(text)
}

/// How many memberships a page has.
const PAGE: &str = "100";
/// Room for the answer, counted as answers to messages are: 100 names of 256 characters of any script.
const ROOM: usize = 50;
/// More pages than anybody has memberships.
const MOST_PAGES: usize = 50;
/// The longest token of a page that is sent back.
const LONGEST_TOKEN: usize = 4096;

#[derive(Deserialize)]
struct RolePage {
    value: Vec<GraphRole>,
    #[serde(rename = "@odata.nextLink")]
    next_link: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct GraphRole {
    #[serde(rename = "@odata.type")]
    kind: Option<String>,
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
