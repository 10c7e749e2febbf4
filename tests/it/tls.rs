//! Certificates: which ones the client trusts, and its errors for others.

use owui_watch::client::{Authorities, Client, Options, Timeouts};
use owui_watch::engine::deploy::{Call, Reply};

use crate::support::command::{Project, filter};
use crate::support::fake_server::{FakeServer, KEY};
use crate::support::tls::{Certified, Kind, TlsFront};

async fn connect(front: &TlsFront, pem: &str) -> Reply {
    let authorities = Authorities::read(pem).unwrap();
    let options = Options { url: front.url(), key: Some(KEY.into()), authorities, timeouts: Timeouts::default() };
    Client::new(&options).unwrap().call(Call::Connect).await
}

#[tokio::test]
async fn trusted_and_untrusted_certificates() {
    let server = FakeServer::start();
    let good = Certified::new(Kind::Signed);
    let front = TlsFront::of(&server, &good);
    let other = Certified::new(Kind::Signed).authority_pem();
    let away = |cause: &str| Reply::Unreachable { cause: cause.into(), retry_after: None };

    for pem in ["", &other] {
        let Reply::Unreachable { cause, .. } = connect(&front, pem).await else { panic!("{pem}") };
        // Windows and macOS may add their own words.
        assert!(cause.untrusted && cause.words.starts_with("certificate not trusted"), "{cause:?}");
        assert!(cause.words == "certificate not trusted" || !cfg!(target_os = "linux"), "{cause:?}");
    }
    assert_eq!(server.lines(), [""; 0], "nothing is said to whom nobody vouches for");
    for pem in [good.authority_pem(), format!("{other}\n# ours\n{}", good.authority_pem())] {
        assert!(matches!(connect(&front, &pem).await, Reply::Connected { .. }));
    }
    let own = Certified::new(Kind::SelfSigned);
    let front = TlsFront::of(&server, &own);
    assert!(matches!(connect(&front, &own.authority_pem()).await, Reply::Connected { .. }));

    for (kind, cause) in [
        (Kind::Expired, "certificate expired"),
        (Kind::OtherName, "certificate is for another name"),
        (Kind::Authority, "the certificate belongs to a CA (CA:TRUE), not to a server"),
    ] {
        let certified = Certified::new(kind);
        let front = TlsFront::of(&server, &certified);
        // Each system judges certificates itself. Windows and macOS accept the last of these, and have other words.
        if cfg!(target_os = "linux") {
            assert_eq!(connect(&front, &certified.authority_pem()).await, away(cause));
        }
    }
}

#[test]
fn invalid_certificates_are_refused() {
    let pem = Certified::new(Kind::Signed).authority_pem();
    let empty = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let cut = pem.replace("-----END", "");
    for (pem, words) in
        [(format!("{pem}{empty}"), "certificate 2 in it is damaged"), (cut, "certificate 1 in it is damaged")]
    {
        let error = Authorities::read(&pem).unwrap_err();
        assert_eq!(format!("{error:#}"), words);
    }
}

/// As in a small container.
#[cfg(target_os = "linux")]
#[test]
fn a_system_without_certificates_is_named_with_the_remedy() {
    let project = Project::new().with("SSL_CERT_FILE", "none.pem").with("SSL_CERT_DIR", "none");
    project.put("none.pem", "");
    project.put("plugins/a.py", filter("1"));
    let certified = Certified::new(Kind::Signed);
    let ran = project.run(&["--once", "--url", "https://localhost:1"]);
    assert_eq!(ran.code, Some(2));
    assert_eq!(
        ran.stderr,
        "error: cannot use https: this system has no CA certificates\n\
         hint: install them (the package `ca-certificates`), or set `ca_file` in watch.toml\n"
    );
    project.put("ca.pem", certified.authority_pem());
    project.put("watch.toml", "ca_file = \"ca.pem\"\nonce_patience = \"0s\"\n");
    let ran = project.run(&["--once", "--url", "https://localhost:1"]);
    assert!(ran.code == Some(3) && ran.stdout.contains("connection refused"), "{} {}", ran.stdout, ran.stderr);
}

/// From the first error to the first deploy, by following the hints.
#[test]
fn a_self_signed_certificate_can_be_trusted() {
    let server = FakeServer::start();
    let certified = Certified::new(Kind::Signed);
    let front = TlsFront::of(&server, &certified);
    let project = Project::new();
    project.put(".env", format!("OPENWEBUI_API_KEY={KEY}\n"));
    project.put("plugins/a.py", filter("1"));
    let settings = format!("url = \"{}\"\nonce_patience = \"0s\"\n", front.url());
    project.put("watch.toml", &settings);

    let ran = project.run(&["--once"]);
    assert_eq!(ran.code, Some(3));
    assert!(ran.stdout.contains("certificate not trusted"), "{}", ran.stdout);
    assert!(ran.stderr.contains("set `ca_file` in watch.toml"), "{}", ran.stderr);
    let ran = project.run(&["diff"]);
    assert!(ran.stderr.contains("set `ca_file` in watch.toml"), "{}", ran.stderr);

    project.put("watch.toml", format!("{settings}ca_file = \"ca.pem\"\n"));
    let said = |content: Option<&str>| {
        if let Some(content) = content {
            project.put("ca.pem", content);
        }
        let ran = project.run(&["--once"]);
        assert_eq!(ran.code, Some(2));
        ran.stderr.lines().next().unwrap().to_owned()
    };
    let cannot = |cause: &str| format!("error: cannot use `watch.toml:3:1`: `ca_file` is `ca.pem`, and {cause}");
    assert_eq!(said(None), cannot("there is no such file"));
    assert_eq!(said(Some("")), cannot("that is empty"));
    assert_eq!(said(Some(&certified.key_pem())), cannot("that is a private key"));
    let none = cannot("there is no certificate in it that begins with -----BEGIN CERTIFICATE-----");
    assert_eq!(said(Some("certificate")), none);
    let damaged = said(Some(&certified.authority_pem().replace("-----END", "")));
    assert!(damaged.starts_with("error: cannot use the certificates in `ca.pem`: certificate 1"), "{damaged}");

    project.put("ca.pem", certified.authority_pem());
    assert_eq!(project.run(&["--once"]).code, Some(0));
    assert_eq!(project.run(&["diff"]).code, Some(0));
}

/// A renewed certificate or a repaired file takes effect like other settings.
#[cfg(target_os = "linux")]
#[test]
fn a_ca_file_that_changes() {
    let server = FakeServer::start();
    let certified = Certified::new(Kind::Signed);
    let front = TlsFront::of(&server, &certified);
    let project = Project::new();
    project.put(".env", format!("OPENWEBUI_API_KEY={KEY}\n"));
    project.put("plugins/a.py", filter("1"));
    project.put("watch.toml", format!("url = \"{}\"\nca_file = \"ca.pem\"\n", front.url()));
    project.put("ca.pem", Certified::new(Kind::Signed).authority_pem());
    let mut watch = project.watch_with(&[]);
    let away = watch.wait("unreachable", None).pop().unwrap();
    assert_eq!(away["cause"], "certificate not trusted");
    project.write("ca.pem", &certified.authority_pem());
    let reloaded = watch.wait("reloaded", None).pop().unwrap();
    assert_eq!(reloaded["changed"], serde_json::json!(["ca_file"]));
    watch.wait("created", Some("a"));

    project.write("ca.pem", &certified.authority_pem().replace("-----END", ""));
    let trouble = watch.wait("trouble", None).pop().unwrap();
    let message = trouble["message"].as_str().unwrap();
    assert!(message.contains(": cannot use the certificates in `ca.pem`"), "{message}");
    project.write("plugins/a.py", &filter("2"));
    watch.wait("updated", Some("a"));
}
