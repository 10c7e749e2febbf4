//! A server's address as a part of file names: all names of one server give the same part, and no two servers share
//! one.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::paths::unreserved;
use crate::plugin::Digest;

/// The server's part in names of files.
pub(super) fn file_name(server: &str) -> String {
    unreserved(&slug(&normal_address(server)))
}

/// One form for all names of a server: the host in lower case without a final dot, `localhost` for this machine, and no
/// port where it is the scheme's own.
fn normal_address(server: &str) -> String {
    let Some((scheme, rest)) = server.split_once("://") else { return server.to_owned() };
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let is_port = |port: &str| port.bytes().all(|byte| byte.is_ascii_digit());
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if is_port(port) => (host, port),
        Some(_) | None => (authority, ""),
    };
    let host = host.to_ascii_lowercase();
    let host = host.strip_suffix('.').filter(|host| !host.is_empty() && !host.ends_with('.')).unwrap_or(&host);
    let address =
        host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>().map(|address| address.to_canonical());
    let is_this_machine = address.is_ok_and(|address| {
        address.is_unspecified() || address == Ipv4Addr::LOCALHOST || address == Ipv6Addr::LOCALHOST
    });
    let host = if is_this_machine { "localhost" } else { host };
    let is_default =
        matches!((scheme.to_ascii_lowercase().as_str(), port), (_, "") | ("http", "80") | ("https", "443"));
    let port = if is_default { String::new() } else { format!(":{port}") };
    format!("{scheme}://{host}{port}{path}")
}

/// A server's address as a part of a file name: `http://localhost:8080` becomes `localhost-8080`. It is never `..`, and
/// short enough for a prefix and a suffix. Where addresses would share a name, a digest tells them apart. Only http and
/// https share one: a server may move between them.
fn slug(server: &str) -> String {
    const LONGEST: usize = 150;
    let address = server.split_once("://").map_or(server, |(_, address)| address).trim_end_matches('/');
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '.' { c.to_ascii_lowercase() } else { '-' };
    let mut slug: String = address.chars().map(plain).collect();
    if slug.is_empty() || slug.starts_with('.') {
        slug.insert(0, '-');
    }
    let is_port = |port: &str| !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    let read_back = match slug.rsplit_once('-') {
        Some((host, port)) if is_port(port) => format!("{host}:{port}"),
        Some(_) | None => slug.clone(),
    };
    // The case of a host does not matter, and a path is never read back.
    if read_back != address.to_ascii_lowercase() || slug.len() > LONGEST {
        // All of it is ASCII.
        slug.truncate(LONGEST);
        slug.push('-');
        slug.push_str(&Digest::of(address.as_bytes()).short());
    }
    slug
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::super::{Folder, State};
    use super::*;

    #[test]
    fn a_server_has_a_file_name() {
        for (server, expected) in [
            ("http://localhost:8080", "localhost-8080"),
            ("http://192.168.0.7:3000/", "192.168.0.7-3000"),
            ("https://chat.example.org", "chat.example.org"),
            ("https://my-chat.example.org:8443", "my-chat.example.org-8443"),
            ("http://Localhost:8080", "localhost-8080"),
        ] {
            assert_eq!(slug(server), expected);
        }
        for (server, start) in [
            ("https://chat.example.org/Open WebUI/", "chat.example.org-open-webui-"),
            ("http://[::2]:3000", "---2--3000-"),
            // As the name of a folder, these would be another one.
            ("http://..", "-..-"),
            ("http://./", "-.-"),
            ("", "--"),
            ("http://", "--"),
        ] {
            let slug = slug(server);
            let digest = slug.strip_prefix(start).unwrap();
            assert!(digest.len() == 12 && digest.bytes().all(|byte| byte.is_ascii_hexdigit()), "{slug}");
        }
    }

    #[test]
    fn no_two_servers_have_one_file_name() {
        let servers = [
            "https://h/a-b",
            "https://h/a/b",
            "http://h/A-B",
            "https://h/a:1",
            "https://h/a-1",
            "https://h-a-b",
            "https://h-a/b",
            "https://h:1",
            "https://h-1",
            "https://h/1",
            "https://h-1:1",
            "https://h-1-1",
            "https://h_1",
        ];
        let names: std::collections::BTreeSet<_> = servers.into_iter().map(slug).collect();
        assert_eq!(names.len(), servers.len(), "{names:#?}");
        assert_eq!(slug("http://h"), slug("https://h/"), "it has a certificate now");
    }

    #[test]
    fn all_names_of_a_server_share_its_state() {
        let name = |server: &str| Folder::new(PathBuf::new(), server).server;
        for (server, expected) in [
            ("http://localhost:8080", "localhost-8080"),
            ("http://LocalHost.:8080/", "localhost-8080"),
            ("http://127.0.0.1:8080", "localhost-8080"),
            ("http://[::1]:8080", "localhost-8080"),
            ("http://[::ffff:127.0.0.1]:8080", "localhost-8080"),
            ("http://0.0.0.0:8080", "localhost-8080"),
            ("http://[::]:8080", "localhost-8080"),
            ("http://127.0.0.1", "localhost"),
            ("http://127.0.0.2:8080", "127.0.0.2-8080"),
            ("https://Chat.Example.org.", "chat.example.org"),
            ("https://chat.example.org:443/", "chat.example.org"),
            ("http://chat.example.org:80", "chat.example.org"),
            ("http://chat.example.org:443", "chat.example.org-443"),
        ] {
            assert_eq!(name(server), expected, "{server}");
        }
        assert_eq!(name("http://127.0.0.1:1/a/"), name("http://localhost:1/a"));
        assert_ne!(name("http://localhost:1/a"), name("http://localhost:1/A"));
        let folder = tempfile::tempdir().unwrap();
        let first = State::open(folder.path().to_owned(), "http://localhost:1").unwrap();
        assert!(State::open(folder.path().to_owned(), "http://127.0.0.1:1").err().unwrap().other().is_some());
        assert!(first.is_of(folder.path(), "http://[::1]:1/"));
    }

    #[test]
    fn a_long_address_is_a_file_name_and_its_own() {
        let long = |end: &str| slug(&format!("https://example.org/{}/{end}", "deep/".repeat(100)));
        assert!(long("a").len() < 170 && long("a").starts_with("example.org-deep-"));
        assert_ne!(long("a"), long("b"));
        let folder = tempfile::tempdir().unwrap();
        State::open(folder.path().to_owned(), &format!("http://h/{}", "x".repeat(1000))).unwrap();
    }
}
