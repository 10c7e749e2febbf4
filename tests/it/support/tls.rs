//! TLS in front of a fake server, with a certificate that no system trusts.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rcgen::{
    BasicConstraints, Certificate, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    date_time_ymd,
};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

use super::fake_server::FakeServer;

/// A test's own authority, and a certificate signed by it.
pub(crate) struct Certified {
    authority: Certificate,
    certificate: Certificate,
    key: KeyPair,
}

/// What kind of certificate a server has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Valid, and signed by an authority.
    Signed,
    Expired,
    OtherName,
    /// Signed by itself.
    SelfSigned,
    /// Self-signed, and may sign others: the default of `openssl req -x509`.
    Authority,
}

static AUTHORITIES: AtomicUsize = AtomicUsize::new(0);

impl Certified {
    pub(crate) fn new(kind: Kind) -> Self {
        let mut params = named("127.0.0.1");
        // Two authorities with the same name would be confused.
        let nth = AUTHORITIES.fetch_add(1, Ordering::Relaxed);
        params.distinguished_name.push(DnType::CommonName, format!("authority {nth}"));
        if kind != Kind::SelfSigned {
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        }
        let key = KeyPair::generate().unwrap();
        let authority = params.self_signed(&key).unwrap();
        if matches!(kind, Kind::SelfSigned | Kind::Authority) {
            return Self { certificate: authority.clone(), authority, key };
        }

        let issuer = Issuer::new(params, key);
        let mut params = named(if kind == Kind::OtherName { "chat.example.org" } else { "127.0.0.1" });
        if kind == Kind::Expired {
            (params.not_before, params.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(2021, 1, 1));
        }
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &issuer).unwrap();
        Self { authority, certificate, key }
    }

    /// The authority's certificate as PEM.
    pub(crate) fn authority_pem(&self) -> String {
        self.authority.pem()
    }

    pub(crate) fn key_pem(&self) -> String {
        self.key.serialize_pem()
    }
}

/// A certificate for a year and for servers alone: macOS trusts no other.
fn named(name: &str) -> CertificateParams {
    let mut params = CertificateParams::new([name.to_owned()]).unwrap();
    let today = jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).date();
    let day = |date: jiff::civil::Date| {
        date_time_ymd(date.year().into(), date.month().unsigned_abs(), date.day().unsigned_abs())
    };
    (params.not_before, params.not_after) = (day(today.yesterday().unwrap()), day(today + jiff::Span::new().years(1)));
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params
}

/// A front for a fake server, until it is dropped.
pub(crate) struct TlsFront {
    address: SocketAddr,
    _stop: oneshot::Sender<()>,
}

impl TlsFront {
    pub(crate) fn of(server: &FakeServer, certified: &Certified) -> Self {
        let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
        let key = PrivateKeyDer::try_from(certified.key.serialize_der()).unwrap();
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certified.certificate.der().clone()], key)
            .unwrap();
        let behind = server.url().trim_start_matches("http://").to_owned();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        std::thread::spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    () = forward(TcpListener::from_std(listener).unwrap(), TlsAcceptor::from(Arc::new(config)), behind) => {}
                    _ = stopped => {}
                }
            });
        });
        Self { address, _stop: stop }
    }

    pub(crate) fn url(&self) -> String {
        format!("https://{}", self.address)
    }
}

async fn forward(listener: TcpListener, acceptor: TlsAcceptor, behind: String) {
    while let Ok((stream, _)) = listener.accept().await {
        let (acceptor, behind) = (acceptor.clone(), behind.clone());
        tokio::spawn(async move {
            // A client that does not trust the certificate ends it here.
            let mut outside = acceptor.accept(stream).await.ok()?;
            let mut inside = TcpStream::connect(behind).await.ok()?;
            tokio::io::copy_bidirectional(&mut outside, &mut inside).await.ok()
        });
    }
}
