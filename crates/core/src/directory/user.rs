use std::fmt;

use chrono::{DateTime, Utc};

use super::UserId;

/// A user of the directory. Everything but the id may be missing.
///
/// `Debug` shows the id and the flags, never a name, a number or an address.
#[derive(Clone, Eq, PartialEq)]
#[non_exhaustive]
pub struct User {
    /// The object id.
    pub id: UserId,
    /// The display name, in any script, up to 256 characters.
    pub display_name: Option<String>,
    /// The given name.
    pub given_name: Option<String>,
    /// The family name.
    pub surname: Option<String>,
    /// The sign-in name.
    pub user_principal_name: Option<String>,
    /// The mail address. It may differ from the sign-in name, or not exist yet.
    pub mail: Option<String>,
    /// The mobile number, as free text.
    pub mobile: Option<String>,
    /// The preferred language as a BCP 47 tag, such as `nl-NL`.
    pub preferred_language: Option<String>,
    /// The region in ISO 3166 alpha-2, from `usageLocation`: the best default for a national number.
    pub region: Option<String>,
    /// Whether the account may sign in.
    pub enabled: Option<bool>,
    /// Whether the user is a member or a guest.
    pub kind: Option<UserKind>,
    /// Whether the account comes from another tenant.
    pub external: bool,
    /// The directory roles.
    pub roles: Roles,
    /// When the user starts work.
    pub hire_date: Option<DateTime<Utc>>,
    /// The manager.
    pub manager: Option<Manager>,
}

impl User {
    /// Creates a user of whom only the id is known.
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

crate::string_enum::string_enum! {
    /// The kind of an account.
    #[non_exhaustive]
    pub enum UserKind("a kind of user") {
        /// Invited from another organisation, or treated as such.
        Guest = "guest",
        /// A member of this organisation.
        Member = "member",
    }
}

/// The directory roles of a user.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Roles {
    /// The active roles, by display name. Empty for an ordinary user. Eligible roles are not included.
    Held(Vec<String>),
    /// The roles were not requested.
    NotAsked,
    /// The roles could not be read: the permission is missing.
    Unreadable,
}

/// A user's manager. `Debug` shows the id only.
#[derive(Clone, Eq, PartialEq)]
#[non_exhaustive]
pub struct Manager {
    /// The object id.
    pub id: UserId,
    /// The display name.
    pub display_name: Option<String>,
    /// The mail address.
    pub mail: Option<String>,
}

impl Manager {
    /// Creates a manager of whom only the id is known.
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
    fn debug_shows_no_personal_data() {
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
