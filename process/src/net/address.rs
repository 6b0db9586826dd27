//! Where a server listens that isn't one of ours.

use std::{fmt, net::IpAddr, path::PathBuf};

/// Bytes of a Unix socket's path: what `sockaddr_un` holds, less the terminating zero (unix(7)).
const PATH_BYTES: usize = 107;

/// A TCP or a Unix address, as its URL says it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Address {
    /// `tcp://host:port`, without the scheme.
    Tcp(String),
    /// `unix:///path`, without the scheme.
    Unix(PathBuf),
}

impl Address {
    /// Reads a URL: `tcp://host:port` or `unix:///path`.
    pub fn parse(url: &str) -> Option<Self> {
        if let Some(path) = url.strip_prefix("unix://") {
            // A comma separates addresses.
            let fits = path.starts_with('/') && !path.contains(['\0', ',']) && path.len() <= PATH_BYTES;
            return fits.then(|| Self::Unix(path.into()));
        }
        url.strip_prefix("tcp://").filter(|text| is_host_and_port(text)).map(|text| Self::Tcp(text.into()))
    }

    /// The IP address, where it's written as one.
    pub fn ip(&self) -> Option<IpAddr> {
        let Self::Tcp(text) = self else { return None };
        let (host, _) = text.rsplit_once(':')?;
        host.trim_start_matches('[').trim_end_matches(']').parse().ok()
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(text) => write!(f, "tcp://{text}"),
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
        }
    }
}

/// Whether this is `host:port` to dial: a name, an IPv4 address, or an IPv6 address in brackets.
pub(crate) fn is_host_and_port(text: &str) -> bool {
    let Some((host, port)) = text.rsplit_once(':') else { return false };
    let port_fits = port.parse::<u16>().is_ok_and(|port| port > 0);
    let bracketed = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let host_fits = match bracketed {
        Some(inner) => inner.parse::<IpAddr>().is_ok(),
        None => !host.is_empty() && host.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_')),
    };
    port_fits && host_fits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_read_and_shown() {
        let long = format!("unix:///{}", "x".repeat(PATH_BYTES - 1));
        for url in
            ["tcp://127.0.0.1:1883", "tcp://broker.example:1884", "tcp://[::1]:1883", "unix:///run/m.sock", &long]
        {
            assert_eq!(Address::parse(url).map(|address| address.to_string()).as_deref(), Some(url));
        }
        let longer = format!("{long}x");
        for url in
            ["127.0.0.1:1883", "ssl://a:8883", "tcp://a", "tcp://", "tcp://a:0", "unix:run/m", "unix://m", &longer]
        {
            assert_eq!(Address::parse(url), None, "{url}");
        }
    }

    #[test]
    fn an_ip_address_is_known_as_one() {
        let ip = |url| Address::parse(url).and_then(|address| address.ip());
        assert_eq!(ip("tcp://127.0.0.1:1"), Some([127, 0, 0, 1].into()));
        assert_eq!(ip("tcp://[::1]:1"), Some(std::net::Ipv6Addr::LOCALHOST.into()));
        assert_eq!([ip("tcp://broker:1"), ip("unix:///m")], [None, None]);
    }
}
