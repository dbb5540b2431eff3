use std::fmt;

use chrono::{DateTime, Utc};

use crate::UserId;

/// What Graph told about a person. All of it may be missing but the id.
///
/// `Debug` shows the id and the flags, never a name, a number or an address.
#[derive(Clone, Eq, PartialEq)]
#[non_exhaustive]
pub struct User {
    /// The object id.
    pub id: UserId,
    /// The name to show; any script, up to 256 characters.
    pub display_name: Option<String>,
    /// The given name.
    pub given_name: Option<String>,
    /// The family name.
    pub surname: Option<String>,
    /// The name to sign in with.
    pub user_principal_name: Option<String>,
    /// The mail address. It may differ from the sign-in name, or not exist yet.
    pub mail: Option<String>,
    /// The mobile number as somebody wrote it: free text.
    pub mobile: Option<String>,
    /// A BCP 47 language tag, such as `nl-NL`.
    pub preferred_language: Option<String>,
    /// ISO 3166 alpha-2, from `usageLocation`: the best default region for a national number.
    pub region: Option<String>,
    /// Whether the account may sign in.
    pub enabled: Option<bool>,
    /// Member or guest.
    pub kind: Option<UserKind>,
    /// Whether the account comes from another tenant.
    pub external: bool,
    /// The directory roles, where they were asked for.
    pub roles: Roles,
    /// When the person starts.
    pub hire_date: Option<DateTime<Utc>>,
    /// Whom they report to.
    pub manager: Option<Manager>,
}

impl User {
    /// A user of whom nothing is known but the id.
    #[must_use]
    pub const fn new(id: UserId) -> Self {
        Self {
            id,
            display_name: None,
            given_name: None,
            surname: None,
            user_principal_name: None,
            mail: None,
            mobile: None,
            preferred_language: None,
            region: None,
            enabled: None,
            kind: None,
            external: false,
            roles: Roles::NotAsked,
            hire_date: None,
            manager: None,
        }
    }
}

impl fmt::Debug for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("User")
            .field("id", &self.id)
            .field("enabled", &self.enabled)
            .field("kind", &self.kind)
            .field("external", &self.external)
            .field("roles", &self.roles)
            .finish_non_exhaustive()
    }
}

crate::words::words! {
    /// What the directory says that an account is.
    #[non_exhaustive]
    pub enum UserKind("a kind of user") {
        /// Invited from elsewhere, or treated so.
        Guest = "guest",
        /// Of this organisation.
        Member = "member",
    }
}

/// The directory roles of a user.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Roles {
    /// These, by display name; empty is an ordinary user. Roles that somebody could only activate do not
    /// show.
    Held(Vec<String>),
    /// Nobody asked.
    NotAsked,
    /// Graph would not say: the permission is missing.
    Unreadable,
}

/// Whom a user reports to. `Debug` shows the id only.
#[derive(Clone, Eq, PartialEq)]
#[non_exhaustive]
pub struct Manager {
    /// The object id.
    pub id: UserId,
    /// The name to show.
    pub display_name: Option<String>,
    /// The mail address.
    pub mail: Option<String>,
}

impl Manager {
    /// A manager of whom nothing is known but the id.
    #[must_use]
    pub const fn new(id: UserId) -> Self {
        Self {
            id,
            display_name: None,
            mail: None,
        }
    }
}

impl fmt::Debug for Manager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Manager")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Guid;

    #[test]
    fn debug_tells_no_personal_data() {
        let mut user = User::new(Guid::random().into());
        for field in [
            &mut user.display_name,
            &mut user.given_name,
            &mut user.surname,
            &mut user.mail,
        ] {
            *field = Some("personal".into());
        }
        user.user_principal_name = Some("personal".into());
        user.mobile = Some("personal".into());
        let mut manager = Manager::new(Guid::random().into());
        manager.display_name = Some("personal".into());
        manager.mail = Some("personal".into());
        user.manager = Some(manager.clone());
        assert!(!format!("{user:?}{user:#?}{manager:?}").contains("personal"));
    }
}
