//! Where the log goes besides the ledger: a syslog receiver.

use std::fmt;
use std::path::PathBuf;

use reqwest::Url;

/// A syslog receiver, as the configuration names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SyslogTarget {
    /// A stream with counted messages.
    Tcp { host: String, port: u16 },
    /// Datagrams; what is lost on the way is not sent again.
    Udp { host: String, port: u16 },
    /// A datagram socket of this computer.
    Unix(PathBuf),
}

impl fmt::Display for SyslogTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port } => write!(f, "tcp://{host}:{port}"),
            Self::Udp { host, port } => write!(f, "udp://{host}:{port}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// Reads `tcp://HOST:PORT`, `udp://HOST:PORT` or `unix:/PATH`; an empty text is no receiver.
///
/// # Errors
/// What is wrong with it, for people.
pub fn parse_syslog(text: &str) -> Result<Option<SyslogTarget>, String> {
    let shown: String = text.chars().take(200).collect();
    let form = format!("{shown:?} is not tcp://HOST:PORT, udp://HOST:PORT or unix:/PATH");
    if text.is_empty() {
        return Ok(None);
    }
    if let Some(path) = text.strip_prefix("unix:") {
        let path = PathBuf::from(path);
        return if path.is_absolute() { Ok(Some(SyslogTarget::Unix(path))) } else { Err(form) };
    }
    let url = Url::parse(text).map_err(|_| form.clone())?;
    let is_bare = matches!(url.path(), "" | "/")
        && url.query().is_none()
        && url.fragment().is_none()
        && url.username().is_empty()
        && url.password().is_none();
    match (url.scheme(), url.host_str(), url.port()) {
        ("tcp", Some(host), Some(port)) if is_bare && !host.is_empty() => {
            Ok(Some(SyslogTarget::Tcp { host: host.to_owned(), port }))
        }
        ("udp", Some(host), Some(port)) if is_bare && !host.is_empty() => {
            Ok(Some(SyslogTarget::Udp { host: host.to_owned(), port }))
        }
        _ => Err(form),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receiver_is_named_by_its_way_host_and_port_or_by_a_path() {
        for good in
            ["tcp://siem.example:601", "udp://192.0.2.7:514", "tcp://[2001:db8::1]:601", "unix:/dev/log"]
        {
            assert_eq!(parse_syslog(good).unwrap().unwrap().to_string(), good);
        }
        assert_eq!(parse_syslog("").unwrap(), None);
        for bad in [
            "siem.example:601",
            "tcp://siem.example",
            "tls://siem.example:6514",
            "unix:dev/log",
            "tcp://me@siem.example:601",
            "udp://siem.example:514/path",
            "tcp://:601",
            "tcp://siem.example:99999",
        ] {
            assert!(parse_syslog(bad).unwrap_err().contains("tcp://HOST:PORT"), "{bad}");
        }
    }
}
