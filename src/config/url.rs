//! Checks and normalises the server's address, and tells whether others can eavesdrop on the way to it.

use std::net::Ipv4Addr;

use ::url::{Host, Url};

use super::secret::looks_secret;

/// Checks a server's URL, and normalises it so that paths can be appended. The error is a problem and its remedy.
pub(super) fn plain(text: &str) -> Result<String, (String, Option<String>)> {
    let text = text.trim();
    if looks_secret(text) {
        return Err(("`url` seems to be an API key".to_owned(), None));
    }
    if !text.contains("://") {
        let scheme = if text.contains('.') && !text.contains(':') { "https" } else { "http" };
        let meant = plain(&format!("{scheme}://{text}")).ok().filter(|_| !text.starts_with('/'));
        return Err((
            "`url` must begin with http:// or https://".to_owned(),
            meant.map(|meant| format!("did you mean `{meant}`?")),
        ));
    }
    let url = Url::parse(text).map_err(|error| (format!("`url` is not a URL: {error}"), None))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err((format!("`url` must begin with http:// or https://, not {}://", url.scheme()), None));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err((
            "`url` must not hold a name or a password".to_owned(),
            Some("set OPENWEBUI_API_KEY to an API key or login token, for example in `.env`".to_owned()),
        ));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(("`url` must end before the `?` or `#`".to_owned(), None));
    }
    // Users copy `/api` from the API's documentation.
    let bare = url.as_str().trim_end_matches('/');
    let bare = bare.strip_suffix("/api/v1").or(bare.strip_suffix("/api")).unwrap_or(bare);
    Ok(bare.trim_end_matches('/').to_owned())
}

/// Whether others can read the traffic: plain HTTP that leaves this machine and private networks.
pub(super) fn is_overheard(url: &str) -> bool {
    Url::parse(url).is_ok_and(|url| url.scheme() == "http" && !url.host().is_some_and(|host| is_near(&host)))
}

/// Whether a host is this machine or in a private network.
fn is_near(host: &Host<&str>) -> bool {
    let v4 = |it: Ipv4Addr| it.is_loopback() || it.is_private() || it.is_link_local() || it.is_unspecified();
    match host {
        Host::Ipv4(address) => v4(*address),
        Host::Ipv6(address) => {
            let own = address.is_loopback() || address.is_unspecified();
            own || address.is_unique_local()
                || address.is_unicast_link_local()
                || address.to_ipv4_mapped().is_some_and(v4)
        }
        Host::Domain(name) => {
            let name = name.trim_end_matches('.');
            // A name without a dot resolves only in a private network, for example to a container.
            let home = [".localhost", ".local", ".internal", ".lan", ".home.arpa"];
            !name.contains('.') || home.iter().any(|end| name.ends_with(end))
        }
    }
}
