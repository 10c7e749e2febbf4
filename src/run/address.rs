//! Which server a command or a pass is for: the configured one, or the sandbox of this project while it runs.

use std::path::PathBuf;

use super::screen;
use crate::cli::Args;
use crate::config::{Config, Settings, World};
use crate::disk::Folder;
use crate::error::Error;
use crate::notice::{Notice, Report, Subject};
use crate::paths::canonical;
use crate::sandbox::{self, Running};

/// The settings of a command, for the sandbox if they are for that.
pub(super) fn located(config: Config, world: &World) -> Addressed {
    let is_named = names_server(&config);
    let find = |cache: PathBuf| {
        let mut running = Running::of(&cache, &project(&config, world)?).into_iter();
        let is_meant = |it: &Running| !is_named || it.url == config.url;
        running.find(|it| is_meant(it) && Folder::new(it.state.clone(), &it.url).holder().is_some())
    };
    let running = sandbox::default_cache().ok().and_then(find);
    let project_state = config.state.clone();
    match running {
        Some(running) => {
            Addressed { config: on_sandbox(config, &running), project_state, sandbox: Some(running), is_named }
        }
        None => Addressed { config, project_state, sandbox: None, is_named },
    }
}

/// The settings of a command.
pub(super) struct Addressed {
    pub(super) config: Config,
    /// The project's own state folder.
    pub(super) project_state: PathBuf,
    /// The sandbox, if they are for one.
    pub(super) sandbox: Option<Running>,
    /// Whether the user has named the server.
    pub(super) is_named: bool,
}

/// The settings of a single pass. It compares with the sandbox of this project as the commands do, and leaves deploys
/// to the sandbox's own watch.
pub(super) fn of_pass(args: &Args, config: Config, world: &World) -> Result<Config, Error> {
    let addressed = located(config, world);
    name_sandbox(args, &addressed);
    match addressed.sandbox {
        Some(sandbox) if !args.dry_run => {
            Err(Error::new(format!("the sandbox at {} deploys each save already", sandbox.url)).hinted(
                "`owui-watch --once --dry-run` compares everything with it\n\
                 `owui-watch deploy ID` sends a plugin again",
            ))
        }
        Some(_) | None => Ok(addressed.config),
    }
}

/// The settings of a sandbox's watch. Another server's key is not for it.
pub(super) fn on_sandbox(config: Config, running: &Running) -> Config {
    let Running { url, state, .. } = running.clone();
    Config {
        // The sandbox is single-user, and tells what plugins do by itself.
        settings: Settings { url, state, activate_new: true, log_command: None, ..config.settings },
        url_origin: Some("the sandbox".to_owned()),
        key: None,
        key_origin: None,
        ..config
    }
}

/// The folder of the settings, absolute and without links.
pub(super) fn project(config: &Config, world: &World) -> Option<PathBuf> {
    canonical(&world.cwd.join(&config.project)).ok()
}

/// Whether the settings are for a server, be it the default one.
pub(super) fn names_server(config: &Config) -> bool {
    config.has_address() || config.key.is_some()
}

/// Says that a command is about the sandbox, if nobody named that.
pub(super) fn name_sandbox(args: &Args, addressed: &Addressed) {
    if let (Some(sandbox), false) = (&addressed.sandbox, addressed.is_named) {
        let report = Report::OnSandbox { server: sandbox.url.clone() };
        screen(args).aside(&Notice::report(Subject::default(), report));
    }
}
