use postduif_core::directory::{GraphError, GraphErrorKind, Roles, UserId};
use postduif_http::{BaseUrl, Request};
use serde::Deserialize;

use crate::{
    Entra,
    error::{self, ErrorBody, Operation},
    graph::filled,
};

const ROLES: &str = "id,displayName";

impl Entra {
    /// Reads the roles in the first way that Graph answers.
    ///
    /// # Errors
    ///
    /// What the first way met, where no way led to an response.
    pub(crate) async fn read_roles(&self, id: UserId) -> Result<Roles, GraphError> {
        let mut first: Option<GraphError> = None;
        for query in [RoleQuery::Cast, RoleQuery::CastCounted, RoleQuery::Filtered] {
            let error = match self.read_roles_by(id, query).await {
                Ok(RolesResponse::Read(roles)) => return Ok(roles),
                Ok(RolesResponse::Failed(error)) => error,
                Err(error) => return Err(first.unwrap_or(error)),
            };
            first = first.or(Some(error));
        }
        Err(first.unwrap_or_else(|| {
            GraphError::not_accepted(GraphErrorKind::Protocol, "the roles could not be read")
        }))
    }

    async fn read_roles_by(
        &self,
        id: UserId,
        query: RoleQuery,
    ) -> Result<RolesResponse, GraphError> {
        let mut held = Vec::new();
        let mut next: Option<String> = None;
        for _ in 0..MAX_PAGES {
            let response = self
                .call(Operation::Read, |graph| {
                    query.request(graph, id, next.as_deref())
                })
                .await?;
            match response.status() {
                200 => {}
                403 if ErrorBody::read(&response).is_some() => {
                    return Ok(RolesResponse::Read(Roles::Unreadable));
                }
                // Refused as a query that Graph does not support so, or broken at.
                400 | 500.. => {
                    return Ok(RolesResponse::Failed(error::refused(
                        &response,
                        Operation::Read,
                    )));
                }
                _ => return Err(error::refused(&response, Operation::Read)),
            }
            let Ok(page) = response.json::<RolePage>() else {
                return Err(error::unreadable(&response, Operation::Read));
            };
            let found = page.value.into_iter().filter(|of| query.is_role(of));
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
                    None => return Ok(RolesResponse::Read(Roles::Unreadable)),
                },
            };
        }
        // More pages than anybody has memberships: what was not read may hold a role.
        Ok(RolesResponse::Read(match next {
            Some(_) if held.is_empty() => Roles::Unreadable,
            _ => Roles::Held(held),
        }))
    }
}

/// How the roles among a user's memberships are asked for.
#[derive(Clone, Copy)]
enum RoleQuery {
    /// With an OData cast.
    Cast,
    /// As Microsoft's pages say that a cast needs it.
    CastCounted,
    /// Without a cast: all memberships, of which the roles are picked here.
    Filtered,
}

impl RoleQuery {
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

/// What came of asking in one query.
enum RolesResponse {
    /// Graph cannot be asked in this query, or not now.
    Failed(GraphError),
    Read(Roles),
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
    (1..=MAX_TOKEN).contains(&token.len()).then_some(token)
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
/// Room for the response, counted as answers to messages are: 100 names of 256 characters of any script.
const ROOM: usize = 50;
/// More pages than anybody has memberships.
const MAX_PAGES: usize = 50;
/// The longest token of a page that is sent back.
const MAX_TOKEN: usize = 4096;

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
