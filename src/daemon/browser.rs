//! Opens the server in the user's browser.

use std::process::Stdio;

use tokio::process::Command;

/// What opens an address on this system.
const OPENER: &str = if cfg!(target_os = "macos") { "open" } else { "xdg-open" };

/// Opens an `http` or `https` address. The browser gets neither the terminal nor its signals.
///
/// # Errors
///
/// The system has no browser for it.
pub(super) async fn open(url: &str) -> Result<(), String> {
    if !["http://", "https://"].iter().any(|scheme| url.starts_with(scheme)) {
        return Err("its address is not one of a web page".to_owned());
    }
    let mut command = Command::new(OPENER);
    command.arg(url).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.env_remove("OPENWEBUI_API_KEY");
    #[cfg(unix)]
    command.process_group(0);
    match command.status().await {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("{OPENER} failed with {status}")),
        Err(error) => Err(format!("{OPENER}: {error}")),
    }
}
