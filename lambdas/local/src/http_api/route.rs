//! Which route a request takes (API Gateway developer guide, "Create routes for HTTP APIs").

use std::collections::BTreeMap;

use crate::percent;

/// A route and the function behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// An HTTP method in capitals, or `ANY`.
    pub method: String,
    /// `/tasks/{taskId}`; a last `{name+}` takes the rest of the path.
    pub path: String,
    /// Name of the function.
    pub function: String,
}

impl Route {
    /// `GET /tasks/{taskId}`.
    #[must_use]
    pub fn key(&self) -> String {
        format!("{} {}", self.method, self.path)
    }
}

/// Greedy routes come last, then those with `ANY`; among equals the one with more literal segments comes first.
type Rank = (bool, usize, bool);

/// The route for a request and its path parameters, decoded.
#[must_use]
pub fn choose<'a>(
    routes: &'a [Route],
    method: &str,
    path: &str,
) -> Option<(&'a Route, BTreeMap<String, String>)> {
    routes
        .iter()
        .filter(|route| route.method == method || route.method == "ANY")
        .filter_map(|route| {
            let (greedy, parameters) = capture(&route.path, path)?;
            let rank: Rank = (greedy, parameters.len(), route.method == "ANY");
            Some((rank, route, parameters))
        })
        .min_by_key(|(rank, _, _)| *rank)
        .map(|(_, route, parameters)| (route, parameters))
}

fn capture(pattern: &str, path: &str) -> Option<(bool, BTreeMap<String, String>)> {
    let mut parameters = BTreeMap::new();
    let mut patterns = pattern.split('/').peekable();
    let mut segments = path.split('/');
    while let Some(pattern) = patterns.next() {
        let segment = segments.next()?;
        let Some(name) = pattern
            .strip_prefix('{')
            .and_then(|rest| rest.strip_suffix('}'))
        else {
            if percent::decode(segment) != pattern {
                return None;
            }
            continue;
        };
        if segment.is_empty() {
            return None;
        }
        if let Some(name) = name.strip_suffix('+')
            && patterns.peek().is_none()
        {
            let mut rest = segment.to_owned();
            for segment in segments {
                rest.push('/');
                rest.push_str(segment);
            }
            parameters.insert(name.to_owned(), percent::decode(&rest));
            return Some((true, parameters));
        }
        parameters.insert(name.to_owned(), percent::decode(segment));
    }
    segments.next().is_none().then_some((false, parameters))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]

    use super::*;

    fn routes(keys: &[&str]) -> Vec<Route> {
        keys.iter()
            .map(|key| {
                let (method, path) = key.split_once(' ').unwrap();
                Route {
                    method: method.to_owned(),
                    path: path.to_owned(),
                    function: String::new(),
                }
            })
            .collect()
    }

    fn chosen(keys: &[&str], method: &str, path: &str) -> Option<String> {
        choose(&routes(keys), method, path).map(|(route, _)| route.key())
    }

    #[test]
    fn a_parameter_takes_one_decoded_segment() {
        let routes = routes(&["GET /tasks/{taskId}"]);
        let (_, parameters) = choose(&routes, "GET", "/tasks/a%2Fb%20c").unwrap();
        assert_eq!(parameters["taskId"], "a/b c");
        for path in ["/tasks", "/tasks/", "/tasks/1/2", "/other/1"] {
            assert!(choose(&routes, "GET", path).is_none(), "{path}");
        }
        assert!(choose(&routes, "PUT", "/tasks/1").is_none());
    }

    #[test]
    fn the_most_specific_route_wins() {
        let keys = [
            "ANY /{all+}",
            "GET /tasks/{id}",
            "ANY /tasks/{id}",
            "GET /tasks/recent",
        ];
        assert_eq!(
            chosen(&keys, "GET", "/tasks/recent").unwrap(),
            "GET /tasks/recent"
        );
        assert_eq!(chosen(&keys, "GET", "/tasks/7").unwrap(), "GET /tasks/{id}");
        assert_eq!(chosen(&keys, "PUT", "/tasks/7").unwrap(), "ANY /tasks/{id}");
        assert_eq!(chosen(&keys, "PUT", "/a/b/c").unwrap(), "ANY /{all+}");
        assert_eq!(chosen(&keys, "GET", "/"), None);
    }
}
