//! Requests without an answer: what went wrong on the wire, and why.

use std::io;

/// What went wrong on the wire.
#[derive(Debug)]
pub(super) enum Broken {
    /// There was no connection: the request was not sent.
    NotSent(Cause),
    /// The connection broke after the request was sent.
    Off(Cause),
    /// The request timed out after it was sent.
    Late(Cause),
    /// The answer exceeded the size limit.
    TooLong { status: u16 },
}

impl Broken {
    pub(super) fn before(error: &reqwest::Error) -> Self {
        let cause = Cause::of(error);
        if error.is_connect() || error.is_builder() {
            Self::NotSent(cause)
        } else if error.is_timeout() {
            Self::Late(cause)
        } else {
            Self::Off(cause)
        }
    }

    pub(super) fn within(error: &reqwest::Error) -> Self {
        let cause = Cause::of(error);
        if error.is_timeout() { Self::Late(cause) } else { Self::Off(cause) }
    }
}

/// Kinds of error whose names tell the user nothing.
const VAGUE: [io::ErrorKind; 3] = [io::ErrorKind::Other, io::ErrorKind::UnexpectedEof, io::ErrorKind::BrokenPipe];

/// The innermost reason for a network error: the only useful part of it.
#[derive(Debug, PartialEq)]
pub(super) enum Cause {
    NameNotFound,
    Untrusted(String),
    Tls(String),
    TimedOut,
    Io(io::ErrorKind),
    Closed,
    Other(String),
}

impl Cause {
    fn of(error: &reqwest::Error) -> Self {
        let chain = chain(error);
        let tls = chain.iter().find_map(|error| error.downcast_ref::<rustls::Error>());
        let io = chain.iter().rev().find_map(|error| error.downcast_ref::<io::Error>());
        let last = chain.last().map(ToString::to_string).unwrap_or_default();
        if let Some(error) = tls {
            tls_cause(error)
        } else if error.is_dns() {
            Self::NameNotFound
        } else if error.is_timeout() {
            Self::TimedOut
        } else if let Some(kind) = io.map(io::Error::kind).filter(|kind| !VAGUE.contains(kind)) {
            Self::Io(kind)
        } else if !error.is_connect() && !error.is_builder() {
            Self::Closed
        } else {
            Self::Other(last)
        }
    }

    pub(super) fn words(&self, host: &str) -> String {
        match self {
            Self::NameNotFound => format!("name not found: {host}"),
            Self::Tls(words) | Self::Untrusted(words) => words.clone(),
            Self::TimedOut => "timed out".to_owned(),
            // The standard library's own words for a kind: `connection refused`, `host unreachable`.
            Self::Io(kind) => kind.to_string(),
            Self::Closed => "the connection was closed before the whole answer came".to_owned(),
            Self::Other(words) => words.clone(),
        }
    }
}

/// An error and its sources, outermost first. An [`io::Error`] does not report the error that it wraps as its `source`.
fn chain(error: &reqwest::Error) -> Vec<&(dyn std::error::Error + 'static)> {
    let mut chain: Vec<&(dyn std::error::Error + 'static)> = vec![error];
    let mut next = std::error::Error::source(error);
    while let Some(error) = next {
        chain.push(error);
        let wrapped = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        next = wrapped.map(|error| error as &(dyn std::error::Error + 'static)).or_else(|| error.source());
    }
    chain
}

fn tls_cause(error: &rustls::Error) -> Cause {
    use rustls::{CertificateError as Bad, Error};
    Cause::Tls(if let Error::InvalidCertificate(bad) = error {
        if matches!(bad, Bad::Expired | Bad::ExpiredContext { .. }) {
            "certificate expired".to_owned()
        } else if matches!(bad, Bad::NotValidForName | Bad::NotValidForNameContext { .. }) {
            "certificate is for another name".to_owned()
        } else if matches!(bad, Bad::UnknownIssuer) {
            return Cause::Untrusted("certificate not trusted".to_owned());
        } else if let Bad::Other(other) = bad
            && other.to_string().contains("CaUsedAsEndEntity")
        {
            // The result of a simple self-signing command. Naming it in `ca_file` does not help.
            "the certificate belongs to a CA (CA:TRUE), not to a server".to_owned()
        } else if let Bad::Other(other) = bad {
            return Cause::Untrusted(format!("certificate not trusted: {other}"));
        } else {
            return Cause::Untrusted(format!("certificate not trusted: {bad}"));
        }
    } else if matches!(error, Error::InvalidMessage(_)) {
        "the server does not speak TLS, perhaps plain http".to_owned()
    } else {
        format!("TLS failed: {error}")
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn certificate_errors_are_explained() {
        use rustls::{AlertDescription, CertificateError as Bad, Error, InvalidMessage, OtherError};
        let other = OtherError(Arc::new(io::Error::other("CaUsedAsEndEntity")));
        for (error, words) in [
            (Error::InvalidCertificate(Bad::UnknownIssuer), "certificate not trusted"),
            (Error::InvalidCertificate(Bad::Expired), "certificate expired"),
            (Error::InvalidCertificate(Bad::NotValidForName), "certificate is for another name"),
            (
                Error::InvalidCertificate(Bad::Other(other)),
                "the certificate belongs to a CA (CA:TRUE), not to a server",
            ),
            (Error::InvalidCertificate(Bad::Revoked), "certificate not trusted: Revoked"),
            (
                Error::InvalidMessage(InvalidMessage::InvalidContentType),
                "the server does not speak TLS, perhaps plain http",
            ),
            (
                Error::AlertReceived(AlertDescription::HandshakeFailure),
                "TLS failed: received fatal alert: HandshakeFailure",
            ),
        ] {
            assert_eq!(tls_cause(&error).words(""), words);
        }
    }
}
