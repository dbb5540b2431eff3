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
    /// Reads the roles with the first query that Graph supports.
    ///
    /// # Errors
    ///
    /// The error of the first query, if none succeeds.
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
                // Graph does not support this query, or failed at it.
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
            // One role is enough.
            if !held.is_empty() {
                break;
            }
            next = match page.next_link {
                None => break,
                // Links are never requested, so a link without a token ends the reading.
                Some(link) => match skip_token(&link) {
                    Some(token) => Some(token),
                    None => return Ok(RolesResponse::Read(Roles::Unreadable)),
                },
            };
        }
        // The rest may contain a role.
        Ok(RolesResponse::Read(match next {
            Some(_) if held.is_empty() => Roles::Unreadable,
            _ => Roles::Held(held),
        }))
    }
}

/// A query for the roles among a user's memberships.
#[derive(Clone, Copy)]
enum RoleQuery {
    /// With an OData cast.
    Cast,
    /// With the cast and what Microsoft's pages require for it.
    CastCounted,
    /// All memberships without a cast. The roles are selected here.
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
        let request = request.with_messages(PAGE_ROOM);
        match page {
            Some(token) => request.with_query("$skiptoken", token),
            None => request,
        }
    }

    fn is_role(self, of: &GraphRole) -> bool {
        let is = |kind: &String| kind.eq_ignore_ascii_case("#microsoft.graph.directoryRole");
        match self {
            Self::Cast | Self::CastCounted => true,
            // A membership without a type may be a role.
            Self::Filtered => of.kind.as_ref().is_none_or(is),
        }
    }
}

/// The result of one query.
enum RolesResponse {
    /// Graph does not support the query, or failed.
    Failed(GraphError),
    Read(Roles),
}

/// Returns the token of the next page from its link. The link itself is never requested.
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

/// Returns the decoded text. `None` if it is not valid UTF-8, or contains control characters.
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

/// The number of memberships of a page.
const PAGE: &str = "100";
/// The room for the response, in responses to one message: 100 names of 256 characters in any script.
const PAGE_ROOM: usize = 50;
/// The maximum number of pages. No user has that many memberships.
const MAX_PAGES: usize = 50;
/// The maximum length of a page's token.
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
