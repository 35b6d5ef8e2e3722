//! Whether a request came through a reverse proxy, as far as it says so: a request from this computer that a proxy passed
//! on is somebody else's.
//!
//! Left out on purpose: a proxy that adds nothing. It cannot be told from a program of this computer, which the
//! documentation says.

use hyper::HeaderMap;

/// What proxies write, and programs that ask for themselves do not.
const NAMES: [&str; 6] =
    ["forwarded", "via", "x-real-ip", "x-client-ip", "true-client-ip", "cf-connecting-ip"];
/// The beginning of the other names that proxies write.
const PREFIX: &str = "x-forwarded";

/// Whether any header of a proxy is there, whatever it says.
#[must_use]
pub fn is_forwarded(headers: &HeaderMap) -> bool {
    headers.keys().any(|name| name.as_str().starts_with(PREFIX) || NAMES.contains(&name.as_str()))
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderName;

    use super::*;

    #[test]
    fn any_header_of_a_proxy_shows_one_also_an_empty_one() {
        let with = |name: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(HeaderName::from_static(name), "".parse().unwrap());
            is_forwarded(&headers)
        };
        for name in [
            "forwarded",
            "via",
            "x-real-ip",
            "x-client-ip",
            "x-forwarded",
            "x-forwarded-for",
            "x-forwarded-anything",
        ] {
            assert!(with(name), "{name}");
        }
        assert!(!with("host") && !with("x-forward") && !is_forwarded(&HeaderMap::new()));
    }
}
