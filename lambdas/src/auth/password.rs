//! Passwords, kept as argon2id hashes with the parameters that OWASP's Password Storage Cheat Sheet names: 19 MiB of memory, two
//! passes, one lane. They are the crate's default.

use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{Error, PasswordHasher, PasswordVerifier};

/// A hash of `password` with a salt of its own, in PHC format.
pub fn hash(password: &str) -> Result<String, Error> {
    Ok(Argon2::default()
        .hash_password(password.as_bytes())?
        .to_string())
}

/// Whether `password` is the one that `stored` was made of. For nobody (`None`) the same work is done for nothing, so that
/// the time tells no stranger who has an account.
pub fn matches(password: &str, stored: Option<&str>) -> Result<bool, Error> {
    let Some(stored) = stored else {
        hash(password)?;
        return Ok(false);
    };
    let stored = PasswordHash::new(stored)?;
    match Argon2::default().verify_password(password.as_bytes(), &stored) {
        Ok(()) => Ok(true),
        Err(Error::PasswordInvalid) => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[test]
    fn a_password_matches_its_own_hash_only() {
        let stored = hash("correct horse").unwrap();
        assert!(
            stored.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"),
            "{stored}"
        );
        assert_ne!(stored, hash("correct horse").unwrap(), "salted");
        assert_eq!(matches("correct horse", Some(&stored)), Ok(true));
        assert_eq!(matches("correct horsf", Some(&stored)), Ok(false));
        assert_eq!(matches("correct horse", None), Ok(false));
        assert!(matches("correct horse", Some("garbage")).is_err());
    }

    /// The quickest of several, because a busy machine only makes things slower.
    #[test]
    fn nobody_takes_as_long_as_somebody() {
        let stored = hash("x").unwrap();
        let quickest = |stored: Option<&str>| {
            (0..7)
                .map(|_| {
                    let began = Instant::now();
                    assert_eq!(matches("wrong", stored), Ok(false));
                    began.elapsed()
                })
                .min()
                .unwrap()
        };
        let (somebody, nobody) = (quickest(Some(&stored)), quickest(None));
        let ratio = nobody.as_secs_f64() / somebody.as_secs_f64();
        assert!((0.5..2.0).contains(&ratio), "{nobody:?} and {somebody:?}");
    }
}
