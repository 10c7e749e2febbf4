//! The reports of `service`.

use std::path::{Path, PathBuf};

use serde_json::json;

use super::Said;
use crate::paths::slashed;

/// What happened to the systemd service.
#[derive(Clone, Debug, PartialEq)]
pub enum ServiceEvent {
    /// A unit file was written.
    Written(PathBuf),
    /// A unit file was already as it should be.
    Unchanged(PathBuf),
    /// Someone edited a unit file that would be replaced.
    Edited {
        /// The file.
        file: PathBuf,
        /// As `diff -u` shows it.
        diff: String,
    },
    /// The service was stopped and its unit file removed.
    Removed(PathBuf),
    /// The drop-in that hardened it was removed.
    HardeningRemoved(PathBuf),
    /// It runs.
    Started {
        /// Its project.
        folder: PathBuf,
    },
    /// How to follow its log.
    Log,
    /// It ends when the user logs out.
    NoLinger,
    /// Its state.
    Status(ServiceStatus),
    /// There is none.
    Missing {
        /// The project.
        folder: PathBuf,
        /// Whether to say how to install it.
        hinted: bool,
    },
}

/// The state of a service, in systemd's words.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServiceStatus {
    /// `ActiveState`.
    pub state: String,
    /// `SubState`.
    pub sub_state: String,
    /// `UnitFileState`.
    pub enabled: String,
    /// `StateChangeTimestamp`.
    pub since: Option<String>,
    /// `NRestarts`.
    pub restarts: Option<u64>,
    /// `StatusText`, while it runs.
    pub status: Option<String>,
    /// The end of its log.
    pub log: Vec<String>,
}

impl ServiceEvent {
    pub(super) fn said(&self, unit: &str) -> Said {
        let of_file = |word, done: &str, file: &Path| {
            let file = slashed(file);
            Said::info(word, format!("{done} `{file}`")).with("file", json!(file))
        };
        match self {
            ServiceEvent::Written(file) => of_file("unit_written", "wrote", file),
            ServiceEvent::Unchanged(file) => of_file("unit_unchanged", "nothing has changed in", file),
            ServiceEvent::Edited { file, diff } => {
                of_file("unit_edited", "someone has edited", file).with("diff", json!(diff))
            }
            ServiceEvent::Removed(file) => of_file("unit_removed", "stopped the service and removed", file),
            ServiceEvent::HardeningRemoved(file) => of_file("hardening_removed", "removed", file),
            ServiceEvent::Started { folder } => {
                Said::info("service_started", format!("{unit} runs, now and after each login"))
                    .with("folder", json!(slashed(folder)))
            }
            ServiceEvent::Log => {
                let command = format!("journalctl --user -u {unit} -f");
                Said::info("service_log", format!("its log: {command}")).with("command", json!(command))
            }
            ServiceEvent::NoLinger => {
                let hint = "`loginctl enable-linger` keeps your services running while you are not logged in";
                Said::info("no_linger", "it ends when you log out").hinted(hint)
            }
            ServiceEvent::Status(ServiceStatus { state, sub_state, enabled, since, restarts, status, log }) => {
                let since_when = since.as_ref().map(|since| format!(" since {since}")).unwrap_or_default();
                let often = restarts.filter(|n| *n > 0).map(|n| format!(", restarts: {n}")).unwrap_or_default();
                let message = format!("{unit}: {state} ({sub_state}){since_when}, {enabled}{often}");
                Said::info("service_status", message)
                    .with("state", json!(state))
                    .with("sub_state", json!(sub_state))
                    .with("enabled", json!(enabled))
                    .with("since", json!(since))
                    .with("restarts", json!(restarts))
                    .with("status", json!(status))
                    .with("log", json!(log))
            }
            ServiceEvent::Missing { folder, hinted } => {
                let said = Said::info("no_service", format!("there is no service for `{}`", slashed(&folder)));
                if *hinted { said.hinted("`owui-watch service install` installs one") } else { said }
            }
        }
    }
}
