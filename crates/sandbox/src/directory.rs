//! The directory's users, and those that Graph does not show yet.

use std::collections::HashMap;

use serde_json::{Value, json};

use crate::{
    error::SandboxError,
    guid, random,
    users::{self, Cast},
};

/// The users as Graph objects, [`Cast`] first.
///
/// Besides properties an object may hold two of Graph's relations: `manager`, an object with
/// the `id` of another user, and `transitiveMemberOf`, a list of directory roles.
#[derive(Debug)]
pub(crate) struct Directory {
    users: Vec<Value>,
    /// How many more reads do not find a user, by id.
    hidden: HashMap<String, u32>,
}

impl Directory {
    /// The most users that the directory holds.
    const MAX_USERS: usize = 100_000;

    pub(crate) fn users(&self) -> &[Value] {
        &self.users
    }

    /// Finds a user by object id or user principal name, in any case.
    pub(crate) fn find(&self, id: &str) -> Option<&Value> {
        self.known(id).filter(|user| {
            !user["id"]
                .as_str()
                .is_some_and(|id| self.hidden.contains_key(id))
        })
    }

    /// Finds a user as [`Self::find`], even one that Graph does not show yet.
    pub(crate) fn known(&self, id: &str) -> Option<&Value> {
        self.users
            .iter()
            .find(|user| is(user, "id", id) || is(user, "userPrincipalName", id))
    }

    /// Finds a user as [`Self::find`], and counts as a read after which a late user appears.
    pub(crate) fn read(&mut self, id: &str) -> Option<&Value> {
        let id = id.to_ascii_lowercase();
        if let Some(left) = self.hidden.get_mut(&id) {
            if *left > 0 {
                *left -= 1;
                return None;
            }
            self.hidden.remove(&id);
        }
        self.find(&id)
    }

    /// Adds a user, or replaces the one with its id, and returns the id.
    pub(crate) fn put(&mut self, mut user: Value) -> Result<String, SandboxError> {
        let Some(members) = user.as_object_mut() else {
            return Err(SandboxError::new(
                "invalid user: expected a JSON object as in Graph",
            ));
        };
        let id = match members.get("id") {
            None => random::guid(),
            Some(id) => id
                .as_str()
                .filter(|id| guid::is(id))
                .map(str::to_ascii_lowercase)
                .ok_or_else(|| SandboxError::new("invalid \"id\" of a user: expected a GUID"))?,
        };
        members.insert("id".into(), json!(id));
        self.hidden.remove(&id);
        match self.users.iter().position(|other| is(other, "id", &id)) {
            Some(at) => self.users[at] = user,
            None if self.users.len() < Self::MAX_USERS => self.users.push(user),
            None => {
                return Err(SandboxError::new(format!(
                    "the directory is full: it holds {} users",
                    Self::MAX_USERS
                )));
            }
        }
        Ok(id)
    }
}

impl Default for Directory {
    fn default() -> Self {
        Self {
            users: users::directory(),
            hidden: HashMap::from([(Cast::LATE.into(), users::LATE_READS)]),
        }
    }
}

fn is(user: &Value, property: &str, value: &str) -> bool {
    user[property]
        .as_str()
        .is_some_and(|other| other.eq_ignore_ascii_case(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_late_user_appears_at_the_third_read() {
        let mut directory = Directory::default();
        assert!(directory.read(Cast::LATE).is_none());
        assert!(directory.find(Cast::LATE).is_none());
        assert!(directory.read(Cast::LATE).is_none());
        assert!(directory.read(Cast::LATE).is_some());
        assert!(directory.find(Cast::LATE).is_some());
    }

    #[test]
    fn a_user_is_found_by_either_name_without_case() {
        let directory = Directory::default();
        let by_name = directory.find("SANNE.devries@postduif.example").unwrap();
        assert_eq!(by_name["id"], Cast::JOINER);
    }

    #[test]
    fn a_user_with_the_same_id_is_replaced_at_its_index() {
        let mut directory = Directory::default();
        let user = json!({"id": Cast::JOINER, "mobilePhone": "+31600000000"});
        assert_eq!(directory.put(user.clone()).unwrap(), Cast::JOINER);
        assert_eq!(directory.users()[0], user);
        assert!(directory.put(json!({"id": "me"})).is_err());
        assert!(directory.put(json!([])).is_err());
    }
}
