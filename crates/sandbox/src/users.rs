use serde_json::{Value, json};

/// The ids of the users in the sandbox's directory, by what is special about them.
///
/// The ids are fixed, so that a test or a command line can name one.
/// [`Sandbox::put_user`](crate::Sandbox::put_user) changes the directory; a reset restores these users.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Cast;

impl Cast {
    /// An ordinary joiner with a Dutch mobile number, in international form.
    pub const JOINER: &str = "11111111-1111-4111-8111-111111111111";
    /// A member whose `mobilePhone` is null.
    pub const NO_MOBILE: &str = "22222222-2222-4222-8222-222222222222";
    /// A member whose number is written as people type it.
    pub const AS_TYPED: &str = "33333333-3333-4333-8333-333333333333";
    /// A member whose account is disabled.
    pub const DISABLED: &str = "44444444-4444-4444-8444-444444444444";
    /// A guest from another tenant, who cannot get a pass.
    pub const GUEST: &str = "55555555-5555-4555-8555-555555555555";
    /// A member with a directory role, whom the sandbox's identity may not manage.
    pub const ADMINISTRATOR: &str = "66666666-6666-4666-8666-666666666666";
    /// A member who already has a usable pass, which another program created.
    pub const HAS_PASS: &str = "77777777-7777-4777-8777-777777777777";
    /// A member who is not found (404) by the first two reads, and is by the third.
    pub const LATE: &str = "88888888-8888-4888-8888-888888888888";
    /// A member whose language is English, and whose name does not fit in the GSM alphabet.
    pub const ENGLISH: &str = "99999999-9999-4999-8999-999999999999";

    /// All users in the directory's order: the id, and what is special about the user.
    pub const ALL: [(&str, &str); 9] = [
        (Self::JOINER, "an ordinary joiner with a Dutch mobile"),
        (Self::NO_MOBILE, "has no mobile"),
        (Self::AS_TYPED, "has a number as people type it"),
        (Self::DISABLED, "is disabled"),
        (Self::GUEST, "is a guest"),
        (Self::ADMINISTRATOR, "is an administrator"),
        (Self::HAS_PASS, "already has a pass"),
        (Self::LATE, "appears only at the third read"),
        (Self::ENGLISH, "reads English, display name outside GSM"),
    ];
}

/// How many reads do not find [`Cast::LATE`].
pub(crate) const LATE_READS: u32 = 2;

/// Returns the users of a new directory.
pub(crate) fn directory() -> Vec<Value> {
    let mut joiner = member(Cast::JOINER, "Sanne", "de Vries", Some("+31612345678"));
    joiner["manager"] = json!({"id": Cast::ENGLISH});

    let mut disabled = member(Cast::DISABLED, "Daan", "Smit", Some("+31614725836"));
    disabled["accountEnabled"] = json!(false);

    let mut guest = member(Cast::GUEST, "Noor", "Visser", Some("+31625814736"));
    guest["userType"] = json!("Guest");
    guest["externalUserState"] = json!("Accepted");
    guest["userPrincipalName"] =
        json!("noor.visser_partner.example#EXT#@postduif.onmicrosoft.example");
    guest["mail"] = json!("noor.visser@partner.example");

    let mut administrator = member(Cast::ADMINISTRATOR, "Bram", "Mulder", Some("+31636925814"));
    administrator["transitiveMemberOf"] = json!([{
        "@odata.type": "#microsoft.graph.directoryRole",
        "id": "6a0c0000-0000-4000-8000-000000000001",
        "displayName": "User Administrator",
        "roleTemplateId": "fe930be7-5e62-47db-91af-98c3a49a38b1",
    }]);

    let mut english = member(Cast::ENGLISH, "Zoë", "Łukaszewska", Some("+31658123456"));
    english["displayName"] = json!("Zoë Łukaszewska 🌷");
    english["userPrincipalName"] = json!("zoe.lukaszewska@postduif.example");
    english["mail"] = json!("zoe.lukaszewska@postduif.example");
    english["preferredLanguage"] = json!("en-GB");

    vec![
        joiner,
        member(Cast::NO_MOBILE, "Thijs", "Bakker", None),
        member(Cast::AS_TYPED, "Fleur", "Jansen", Some("06 - 43 21 87 65")),
        disabled,
        guest,
        administrator,
        member(Cast::HAS_PASS, "Lotte", "Meijer", Some("+31647036925")),
        member(Cast::LATE, "Sem", "Dekker", Some("+31658147036")),
        english,
    ]
}

fn member(id: &str, given: &str, surname: &str, mobile: Option<&str>) -> Value {
    let name = format!("{given} {surname}");
    let address = format!(
        "{}@postduif.example",
        name.to_lowercase().replacen(' ', ".", 1).replace(' ', "")
    );
    json!({
        "id": id,
        "displayName": name,
        "givenName": given,
        "surname": surname,
        "userPrincipalName": address,
        "mail": address,
        "mobilePhone": mobile,
        "businessPhones": [],
        "preferredLanguage": "nl-NL",
        "usageLocation": "NL",
        "country": "Netherlands",
        "userType": "Member",
        "accountEnabled": true,
        "externalUserState": null,
        "employeeHireDate": "2026-11-23T00:00:00Z",
        "onPremisesSyncEnabled": null,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_directory_has_all_users_in_their_order() {
        let ids: Vec<_> = directory()
            .iter()
            .map(|user| user["id"].as_str().unwrap().to_owned())
            .collect();
        assert_eq!(ids, Cast::ALL.map(|(id, _)| id));
    }
}
