//! Why the settings cannot be used: a message without secrets, and a remedy.

use std::path::Path;
use std::{fmt, io};

use super::paths::ticked;
use super::secret::masked;
use super::trust::Request;
use crate::regular_file::Rejection;

/// Why the settings cannot be used. A type of its own, since no message of it holds a key and some ask for consent; the
/// daemon and the commands take it as an [`Error`](crate::error::Error).
#[derive(Debug, PartialEq, Eq)]
pub struct ConfigError {
    message: String,
    hint: Option<String>,
    request: Option<Box<Request>>,
}

impl ConfigError {
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self::verbatim(masked(&message.into()))
    }

    /// An error whose message holds no key.
    pub(super) fn verbatim(message: String) -> Self {
        Self { message, hint: None, request: None }
    }

    /// Rejects the value at `place`.
    pub(super) fn at(place: &str, problem: impl fmt::Display) -> Self {
        Self::new(format!("cannot use {place}: {problem}"))
    }

    pub(super) fn unreadable(path: &Path, error: &io::Error) -> Self {
        Self::new(format!("cannot read {}: {}", ticked(path), why(error)))
    }

    pub(super) fn hinted(self, hint: impl Into<String>) -> Self {
        self.with_hint(Some(hint.into()))
    }

    pub(super) fn with_hint(self, hint: Option<String>) -> Self {
        Self { hint: hint.map(|hint| masked(&hint)), ..self }
    }

    pub(super) fn asking(self, request: Request) -> Self {
        Self { request: Some(Box::new(request)), ..self }
    }

    /// The request for consent, if only that is missing.
    #[must_use]
    pub fn request(&self) -> Option<&Request> {
        self.request.as_deref()
    }

    /// The error for a script: its remedies need no interaction.
    #[must_use]
    pub fn unattended(self) -> Self {
        let hint = self.request.as_ref().map(|request| request.unattended_hint().to_owned()).or(self.hint);
        Self { hint, ..self }
    }

    /// The remedy, where one is known.
    #[must_use]
    pub fn hint(&self) -> Option<&str> {
        self.hint.as_deref()
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl From<ConfigError> for crate::error::Error {
    fn from(error: ConfigError) -> Self {
        Self::new(error.message).hinted_if(error.hint)
    }
}

/// The system's reason, worded for a message.
pub(super) fn why(error: &io::Error) -> String {
    if let Some(rejection) = Rejection::of(error) {
        return format!("it is {rejection}");
    }
    match error.kind() {
        io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        io::ErrorKind::IsADirectory => "it is a folder".to_owned(),
        io::ErrorKind::InvalidData => "it is not UTF-8 text".to_owned(),
        _ => error.to_string(),
    }
}
