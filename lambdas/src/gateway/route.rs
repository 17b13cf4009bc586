//! Which service a request goes to: the one whose name is the first segment of the path. The path stays whole.

use std::time::Duration;

use crate::target::{EXPECTED, Target};

/// A service has so long to answer, unless its route says otherwise.
pub const TIMEOUT: Duration = Duration::from_secs(3);

/// A service behind the gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// Its name: `auth` serves `/auth` and everything below.
    pub service: String,
    /// Where it is.
    pub target: Target,
    /// How long it may take.
    pub timeout: Duration,
}

/// Paths of the gateway's own.
const RESERVED: [&str; 2] = ["api", "health"];

/// Routes from a text such as `auth=lambda://stack-auth notifications=http://10.0.0.7:3002;5000`: the number is the timeout in
/// milliseconds, for a service that itself waits for others. All that is wrong is reported.
pub fn parse(text: &str) -> Result<Vec<Route>, Vec<String>> {
    let mut routes: Vec<Route> = Vec::new();
    let mut wrong = Vec::new();
    for entry in text.split_whitespace() {
        match route(entry) {
            Ok(route) if routes.iter().any(|other| other.service == route.service) => {
                wrong.push(format!("{} is given twice", route.service));
            }
            Ok(route) => routes.push(route),
            Err(what) => wrong.push(what),
        }
    }
    if routes.is_empty() && wrong.is_empty() {
        wrong.push(format!("no service is given as <name>={EXPECTED}"));
    }
    if wrong.is_empty() {
        Ok(routes)
    } else {
        Err(wrong)
    }
}

fn route(entry: &str) -> Result<Route, String> {
    let (service, target) = entry
        .split_once('=')
        .ok_or_else(|| format!("{entry:?} is not <name>={EXPECTED}"))?;
    let named = !service.is_empty()
        && service
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    if !named || RESERVED.contains(&service) {
        return Err(format!(
            "{service:?} cannot be a service's name: it must be of a-z, 0-9 and -, and not api or health"
        ));
    }
    let (target, timeout) = match target.rsplit_once(';') {
        None => (target, TIMEOUT),
        Some((target, ms)) => {
            let ms = ms.parse().ok().filter(|ms| (1..=29_000).contains(ms));
            let ms =
                ms.ok_or_else(|| format!("{service} needs a timeout from 1 to 29000 ms after ;"))?;
            (target, Duration::from_millis(ms))
        }
    };
    Ok(Route {
        service: service.to_owned(),
        target: target.parse()?,
        timeout,
    })
}

/// The route for `path`. A path with `.` or `..` segments has none: what it means is for each server to say, and it could
/// mean something else than what was allowed.
pub fn choose<'a>(routes: &'a [Route], path: &str) -> Option<&'a Route> {
    let mut segments = path.strip_prefix('/')?.split('/');
    let first = segments.next()?;
    if segments.any(|segment| {
        let dots = segment.to_ascii_lowercase().replace("%2e", ".");
        dots == "." || dots == ".."
    }) {
        return None;
    }
    routes.iter().find(|route| route.service == first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routes_are_read_with_everything_that_is_wrong() {
        let routes = parse("auth=lambda://a\n notifications=http://127.0.0.1:1;5000").unwrap();
        assert_eq!(routes[0].timeout, TIMEOUT);
        assert_eq!(routes[1].timeout, Duration::from_secs(5));
        assert_eq!(routes[1].service, "notifications");
        let wrong =
            parse("auth health=lambda://a x=ftp://y b=lambda://b;0 c=lambda://c c=lambda://d");
        assert_eq!(wrong.unwrap_err().len(), 5);
        assert_eq!(parse(" ").unwrap_err().len(), 1);
    }

    #[test]
    fn the_first_segment_decides() {
        let routes = parse("auth=lambda://a notifications=lambda://n").unwrap();
        let chosen = |path: &str| choose(&routes, path).map(|route| route.service.as_str());
        assert_eq!(chosen("/auth"), Some("auth"));
        assert_eq!(chosen("/auth/login"), Some("auth"));
        assert_eq!(chosen("/notifications/status/a%2Fb"), Some("notifications"));
        for nowhere in [
            "/",
            "",
            "/authority",
            "/AUTH/login",
            "//auth/login",
            "/auth/../notifications/send",
            "/auth/%2E%2e/x",
            "/auth/./x",
        ] {
            assert_eq!(chosen(nowhere), None, "{nowhere}");
        }
    }
}
