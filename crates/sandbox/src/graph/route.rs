use hyper::Method;

use crate::http::Head;

/// The operation of a request. Graph reads paths in any case, including the ids in them.
pub(super) enum Route {
    Assignment(String),
    Lifecycle([String; 3]),
    Manager(String),
    Memberships(String),
    Nothing,
    Roles(String),
    TapCreate(String),
    TapList(String),
    TapPolicy,
    TapRead(String, String),
    TapRevoke(String, String),
    User(String),
    WrongMethod,
}

impl Route {
    pub(super) fn of(head: &Head) -> Self {
        let path: Vec<_> = head.path().iter().map(|one| one.to_lowercase()).collect();
        let path: Vec<_> = path.iter().map(String::as_str).collect();
        let ("graph", ["v1.0", rest @ ..]) = (head.service(), path.as_slice()) else {
            return Self::Nothing;
        };
        let owned = |id: &str| id.to_owned();
        let route = match (&head.method, rest) {
            (&Method::GET, ["users", id]) => Self::User(owned(id)),
            (&Method::GET, ["users", id, "manager"]) => Self::Manager(owned(id)),
            (&Method::GET, ["users", id, "transitivememberof"]) => Self::Memberships(owned(id)),
            (
                &Method::GET,
                [
                    "users",
                    id,
                    "transitivememberof",
                    "microsoft.graph.directoryrole",
                ],
            ) => Self::Roles(owned(id)),
            (&Method::POST, ["users", id, "authentication", "temporaryaccesspassmethods"]) => {
                Self::TapCreate(owned(id))
            }
            (&Method::GET, ["users", id, "authentication", "temporaryaccesspassmethods"]) => {
                Self::TapList(owned(id))
            }
            (
                &Method::GET,
                [
                    "users",
                    id,
                    "authentication",
                    "temporaryaccesspassmethods",
                    tap,
                ],
            ) => Self::TapRead(owned(id), owned(tap)),
            (
                &Method::DELETE,
                [
                    "users",
                    id,
                    "authentication",
                    "temporaryaccesspassmethods",
                    tap,
                ],
            ) => Self::TapRevoke(owned(id), owned(tap)),
            (
                &Method::GET,
                [
                    "policies",
                    "authenticationmethodspolicy",
                    "authenticationmethodconfigurations",
                    "temporaryaccesspass",
                ],
            ) => Self::TapPolicy,
            (
                &Method::POST,
                [
                    "identitygovernance",
                    "lifecycleworkflows",
                    "workflows",
                    workflow,
                    "tasks",
                    task,
                    "taskprocessingresults",
                    result,
                    "resume" | "microsoft.graph.identitygovernance.resume",
                ],
            ) => Self::Lifecycle([owned(workflow), owned(task), owned(result)]),
            (
                &Method::POST,
                [
                    "identitygovernance",
                    "entitlementmanagement",
                    "assignmentrequests",
                    id,
                    "resume",
                ],
            ) => Self::Assignment(owned(id)),
            _ => Self::Nothing,
        };
        let known = matches!(
            rest,
            ["users", _]
                | ["users", _, "manager"]
                | [
                    "users",
                    _,
                    "authentication",
                    "temporaryaccesspassmethods",
                    ..
                ]
                | ["identitygovernance", .., "resume"]
        );
        match route {
            Self::Nothing if known => Self::WrongMethod,
            route => route,
        }
    }

    /// Returns the point at which faults strike this request.
    pub(super) fn fault_point(&self) -> Option<&'static str> {
        match self {
            Self::User(_) => Some(super::USER),
            Self::Memberships(_) | Self::Roles(_) => Some(super::ROLES),
            Self::TapCreate(_) => Some(super::TAP),
            Self::TapList(_) | Self::TapRead(..) => Some(super::TAP_LIST),
            Self::TapRevoke(..) => Some(super::TAP_REVOKE),
            Self::Lifecycle(_) | Self::Assignment(_) => Some(super::RESUME),
            Self::Manager(_) | Self::Nothing | Self::TapPolicy | Self::WrongMethod => None,
        }
    }
}
