//! What an account may hold.

use patterns_core::task::InvalidField;
use serde::{Deserialize, Serialize};

/// Somebody with an account, as the table keeps it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct User {
    /// A UUID.
    pub id: String,
    /// As it was given. No two accounts have the same but for upper and lower case.
    pub email: String,
    /// As it was given.
    pub name: String,
    /// In PHC format.
    pub password_hash: String,
}

impl User {
    /// What callers see.
    #[must_use]
    pub fn public(&self) -> serde_json::Value {
        serde_json::json!({"id": self.id, "email": self.email, "name": self.name})
    }
}

/// The form in which e-mail addresses are compared.
#[must_use]
pub fn canonical(email: &str) -> String {
    email.trim().to_lowercase()
}

/// What is wrong with an e-mail address, if anything. Whether it exists is for the first mail to show.
#[must_use]
pub fn invalid_email(email: &str) -> Option<InvalidField> {
    let well_formed = email.split_once('@').is_some_and(|(local, domain)| {
        !local.is_empty() && !domain.is_empty() && !domain.contains('@')
    });
    // RFC 5321: a path has at most 256 characters, `<` and `>` among them.
    let usable = well_formed
        && email.len() <= 254
        && !email
            .chars()
            .any(|character| character.is_whitespace() || character.is_control());
    (!usable).then(|| invalid("email", "must be an e-mail address"))
}

/// What is wrong with a name, if anything.
#[must_use]
pub fn invalid_name(name: &str) -> Option<InvalidField> {
    let length = name.trim().chars().count();
    let usable = (1..=100).contains(&length) && !name.chars().any(char::is_control);
    (!usable).then(|| invalid("name", "must have 1 to 100 characters"))
}

/// What is wrong with a new password, if anything. The bounds are NIST SP 800-63B's: at least 8, and long ones are welcome.
#[must_use]
pub fn invalid_password(password: &str) -> Option<InvalidField> {
    let usable = (8..=128).contains(&password.chars().count());
    (!usable).then(|| invalid("password", "must have 8 to 128 characters"))
}

fn invalid(field: &str, message: &str) -> InvalidField {
    InvalidField {
        field: field.to_owned(),
        message: message.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_checked() {
        for good in ["a@b", "A.B+c@Example.com", "ä@ö.example"] {
            assert_eq!(invalid_email(good), None, "{good}");
        }
        let long = format!("{}@b.example", "a".repeat(250));
        for bad in ["", "a", "@", "a@", "@b", "a b@c", "a@b@c", "a@b\n", &long] {
            assert!(invalid_email(bad).is_some(), "{bad}");
        }
        assert!(invalid_name(" ").is_some() && invalid_name(&"x".repeat(101)).is_some());
        assert_eq!(invalid_name("Ada Lovelace"), None);
        assert!(invalid_password("1234567").is_some());
        assert!(invalid_password(&"x".repeat(129)).is_some());
        assert_eq!(invalid_password("12345678"), None);
        assert_eq!(canonical(" Ada@Example.COM "), "ada@example.com");
    }
}
