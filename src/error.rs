//! Why something could not be done: one type for the daemon and for every command.
//!
//! It is not a [`std::error::Error`], so nothing can wrap it and lose its hint on the way. Edges whose errors have no
//! hint use `anyhow`, which becomes an [`Error`] where the daemon or a command takes it.

use std::fmt;

use crate::engine::Code;

/// What could not be done, its cause, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    message: String,
    cause: Option<String>,
    /// What a foreign program said about it.
    quoted: String,
    hint: Option<String>,
    code: Code,
}

impl Error {
    /// An error of usage, configuration or the system: exit code 2.
    #[must_use]
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), cause: None, quoted: String::new(), hint: None, code: Code::Usage }
    }

    /// A command that makes sense and cannot be carried out: exit code 1.
    #[must_use]
    pub fn failed(message: impl Into<String>) -> Self {
        Self { code: Code::NotDeployed, ..Self::new(message) }
    }

    /// The server cannot be reached, or denied access: exit code 3.
    #[must_use]
    pub fn no_server(message: impl Into<String>) -> Self {
        Self { code: Code::NoServer, ..Self::new(message) }
    }

    /// Names the cause.
    #[must_use]
    pub fn because(self, cause: impl fmt::Display) -> Self {
        Self { cause: Some(format!("{cause:#}")), ..self }
    }

    /// Quotes what a foreign program said, in lines of their own.
    #[must_use]
    pub fn quoting(self, said: &str) -> Self {
        Self { quoted: said.to_owned(), ..self }
    }

    /// Adds what to do about it; each line is a remedy of its own.
    #[must_use]
    pub fn hinted(self, hint: impl Into<String>) -> Self {
        self.hinted_if(Some(hint.into()))
    }

    /// Adds what to do about it, where that is known.
    #[must_use]
    pub fn hinted_if(self, hint: Option<String>) -> Self {
        Self { hint, ..self }
    }

    /// What to do about it, where that is known.
    #[must_use]
    pub fn hint(&self) -> Option<&str> {
        self.hint.as_deref()
    }

    /// The exit code, if the program ends because of it.
    #[must_use]
    pub fn code(&self) -> Code {
        self.code
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        if let Some(cause) = &self.cause {
            write!(f, ": {cause}")?;
        }
        self.quoted.lines().try_for_each(|line| write!(f, "\n  | {line}"))
    }
}

impl From<anyhow::Error> for Error {
    fn from(error: anyhow::Error) -> Self {
        Self::new(format!("{error:#}"))
    }
}

#[cfg(test)]
mod tests {
    use anyhow::Context as _;

    use super::*;

    #[test]
    fn quoted_output_gets_its_own_lines() {
        let error = Error::new("cannot install Open WebUI 0.12.4").because("uv ended with exit status: 2");
        assert_eq!(error.to_string(), "cannot install Open WebUI 0.12.4: uv ended with exit status: 2");
        let error = error.quoting("error: Failed to fetch\n  Caused by: dns error").hinted("check the network");
        let expected = "cannot install Open WebUI 0.12.4: uv ended with exit status: 2\
                        \n  | error: Failed to fetch\n  |   Caused by: dns error";
        assert_eq!(error.to_string(), expected);
        assert_eq!((error.hint(), error.code()), (Some("check the network"), Code::Usage));
    }

    #[test]
    fn every_cause_is_named() {
        let chain = || Err::<(), _>(std::fmt::Error).context("locking").context("cannot keep state").unwrap_err();
        let expected = format!("cannot keep state: locking: {}", std::fmt::Error);
        assert_eq!(Error::from(chain()).to_string(), expected);
        assert_eq!(Error::failed("no rollback").because(chain()).to_string(), format!("no rollback: {expected}"));
    }
}
