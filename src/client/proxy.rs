//! Names the proxy between us and the server, by the same rules by which reqwest chooses it.

use std::net::{IpAddr, Ipv4Addr};

use anyhow::Context as _;
use http::Uri;
use hyper_util::client::proxy::matcher::Matcher;
use reqwest::Url;
use url::Host;

use crate::error::Error;

/// The address of a proxy.
pub(super) struct Proxy(String);

impl Proxy {
    /// The proxy for this server, from the environment (`HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY`, `NO_PROXY`) or the
    /// system's settings. Servers on this machine are reached directly.
    pub(super) fn of_system(server: &Url) -> Result<Option<Self>, Error> {
        Self::of(server, &Matcher::from_system())
    }

    fn of(server: &Url, rules: &Matcher) -> Result<Option<Self>, Error> {
        let uri: Uri = server.as_str().parse().with_context(|| format!("`{server}` is not a URL"))?;
        let Some(proxy) = rules.intercept(&uri).filter(|_| !is_loopback(server)) else { return Ok(None) };
        // Without user name and password.
        let scheme = proxy.uri().scheme_str().unwrap_or("http");
        let host = proxy.uri().host().unwrap_or_default();
        let port = proxy.uri().port_u16().map(|port| format!(":{port}")).unwrap_or_default();
        let address = format!("{scheme}://{host}{port}");
        if !matches!(scheme, "http" | "https") {
            let server = server.host_str().unwrap_or_default().trim_matches(['[', ']']).to_owned();
            let cause = "only http and https proxies are supported";
            return Err(Error::new(format!("cannot use the proxy {address}"))
                .because(cause)
                .hinted(format!("to reach the server without a proxy, set NO_PROXY={server}")));
        }
        Ok(Some(Self(address)))
    }

    pub(super) fn address(&self) -> &str {
        &self.0
    }
}

/// Whether a server is on this machine.
pub(super) fn is_loopback(server: &Url) -> bool {
    let v4 = |address: Ipv4Addr| address.is_loopback() || address.is_unspecified();
    match server.host() {
        Some(Host::Ipv4(address)) => v4(address),
        Some(Host::Ipv6(address)) => match IpAddr::V6(address).to_canonical() {
            IpAddr::V4(address) => v4(address),
            IpAddr::V6(address) => address.is_loopback() || address.is_unspecified(),
        },
        Some(Host::Domain(name)) => {
            let name = name.strip_suffix('.').unwrap_or(name);
            name == "localhost" || name.ends_with(".localhost")
        }
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    #[test]
    fn loopback_in_every_spelling() {
        for (server, expected) in [
            ("http://localhost:8080", true),
            ("http://LocalHost.", true),
            ("http://chat.localhost", true),
            ("http://chat.localhost.", true),
            ("http://127.0.0.1", true),
            ("http://127.0.0.2", true),
            ("http://127.0.0.1.", true),
            ("http://127.1", true),
            ("http://2130706433", true),
            ("http://0x7f.1", true),
            ("http://0.0.0.0:3000", true),
            ("http://0", true),
            ("http://[::1]:1/x", true),
            ("http://[::]", true),
            ("http://[::ffff:127.0.0.1]", true),
            ("http://[::ffff:7f00:1]", true),
            ("http://[::ffff:0.0.0.0]", true),
            ("http://192.168.0.1", false),
            ("http://[::ffff:192.168.0.1]", false),
            ("http://[fe80::1]", false),
            ("http://localhost.example", false),
            ("http://localhost..", false),
            ("http://notlocalhost", false),
            ("http://127.0.0.1.example", false),
        ] {
            assert_eq!(is_loopback(&url(server)), expected, "{server}");
        }
    }

    #[test]
    fn the_proxy_of_a_server() {
        let rules = Matcher::builder()
            .http("http://me:s3cret@plain.example:3128/x")
            .https("https://me:s3cret@safe.example")
            .no("direct.example, 10.0.0.0/8");
        let rules = rules.build();
        for (server, expected) in [
            ("http://chat.example", Some("http://plain.example:3128")),
            ("https://chat.example:8443/chat/", Some("https://safe.example")),
            ("https://a.direct.example", None),
            ("http://10.1.2.3", None),
            ("http://localhost:8080", None),
            ("http://[::ffff:127.0.0.1]", None),
            ("https://0.0.0.0", None),
        ] {
            let proxy = Proxy::of(&url(server), &rules).unwrap();
            assert_eq!(proxy.as_ref().map(Proxy::address), expected, "{server}");
        }
        for (proxy, expected) in [
            ("plain.example:3128", Some("http://plain.example:3128")),
            ("http://[::1]:8080", Some("http://[::1]:8080")),
            ("http://name@plain.example", Some("http://plain.example")),
            ("http://name:s3@cret@plain.example", Some("http://plain.example")),
            ("nonsense://plain.example", None),
            ("", None),
        ] {
            let rules = Matcher::builder().all(proxy).build();
            let found = Proxy::of(&url("https://chat.example"), &rules).unwrap();
            assert_eq!(found.as_ref().map(Proxy::address), expected, "{proxy}");
        }
        let socks = Matcher::builder().all("socks5://me:s3cret@tunnel.example:1080").build();
        let error = Proxy::of(&url("https://chat.example"), &socks).err().unwrap();
        let expected = "cannot use the proxy socks5://tunnel.example:1080: only http and https proxies are supported";
        assert_eq!(error.to_string(), expected);
        assert_eq!(error.hint(), Some("to reach the server without a proxy, set NO_PROXY=chat.example"));
        // The hint works.
        let socks_but_there = Matcher::builder().all("socks5://tunnel.example:1080").no("chat.example").build();
        assert!(Proxy::of(&url("https://chat.example"), &socks_but_there).unwrap().is_none());
        assert!(Proxy::of(&url("http://localhost"), &socks).unwrap().is_none());
    }
}
