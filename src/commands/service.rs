//! owui-watch as a systemd user service, one per project: install, uninstall, status.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use secrecy::ExposeSecret as _;

use super::print_warnings;
use super::trust::keep;
use crate::cli::{Args, ServiceAction};
use crate::config::{self, CREDENTIAL, Config, ConfigError, Request, Settings, World};
use crate::engine::Code;
use crate::error::Error;
use crate::notice::{Notice, Report, ServiceEvent, ServiceStatus, Subject};
use crate::output::{Screen, unified};
use crate::paths::canonical;
use crate::systemd::control;
use crate::systemd::unit::{self, OLDEST, Service};

/// How many lines of the log `status` shows.
const LAST_LINES: usize = 8;

/// Installs or uninstalls the service of this project, or prints its status.
pub fn service(action: &ServiceAction, args: &Args, world: &World, screen: &Screen) -> Result<Code, Error> {
    let project = Project::of(args, world)?;
    match action {
        ServiceAction::Install { hardened, .. } => install(&project, *hardened, args, world, screen),
        ServiceAction::Uninstall { .. } => uninstall(&project, world, args.yes, screen),
        ServiceAction::Status => status(&project, world, screen),
    }
}

/// The project, and where its unit is.
struct Project {
    folder: PathBuf,
    unit: String,
    file: PathBuf,
}

impl Project {
    fn of(args: &Args, world: &World) -> Result<Self, Error> {
        let folder = world
            .cwd
            .join(args.config.as_deref().map_or(&*world.project, |file| file.parent().unwrap_or(Path::new(""))));
        let folder = canonical(&folder).with_context(|| format!("cannot use `{}`", folder.display()))?;
        let unit = unit::name(&folder);
        let home = world.config_home.as_ref().context("cannot find your configuration folder")?;
        let file = home.join("systemd").join("user").join(&unit);
        Ok(Self { folder, unit, file })
    }

    fn notice(&self, event: ServiceEvent) -> Notice {
        Notice::report(Subject::default(), Report::Service { unit: self.unit.clone(), event })
    }
}

/// Writes the unit, and starts the service now and at each login.
fn install(project: &Project, hardened: bool, args: &Args, world: &World, screen: &Screen) -> Result<Code, Error> {
    reachable(true, world)?;
    let (config, requests) = of_service(args, world)?;
    let credential = config.key_origin.as_ref().is_some_and(|origin| origin == CREDENTIAL);
    let (program, arguments) = (control::program()?, arguments(args, &world.cwd)?);
    let service = Service { folder: &project.folder, program: &program, arguments: &arguments, credential };
    let text = unit::text(&service).map_err(cannot_install)?;
    let drop_in = unit::drop_in(&project.file);
    let hardening = if hardened {
        let writable = writable(project, &config, world)?;
        let visible: Vec<_> = config.roots.iter().map(|root| world.cwd.join(root)).chain([program.clone()]).collect();
        Some(unit::hardened(&project.folder, &writable, &visible).map_err(cannot_install)?)
    } else {
        None
    };

    let was_there = control::read(&project.file)?.is_some();
    // Write nothing before both files are checked.
    let wanted = [(&project.file, Some(&text)), (&drop_in, hardening.as_ref())];
    for (file, new) in wanted {
        check_edited(project, file, new, args.yes, screen)?;
    }
    // A service cannot ask the user.
    for request in &requests {
        keep(request, world, screen)?;
    }
    print_warnings(&config, screen);
    let mut changed = false;
    for (file, new) in wanted {
        changed |= put(project, file, new, screen)?;
    }
    let not_started = |error: anyhow::Error| not_started(project, hardened, &error);
    control::ask(&["daemon-reload"])?;
    if changed && was_there {
        control::ask(&["try-restart", &project.unit]).map_err(not_started)?;
    }
    control::ask(&["enable", "--now", &project.unit]).map_err(not_started)?;

    screen.say(&project.notice(ServiceEvent::Started { folder: project.folder.clone() }));
    screen.say(&project.notice(ServiceEvent::Log));
    if control::lingers() == Some(false) {
        screen.aside(&project.notice(ServiceEvent::NoLinger));
    }
    Ok(Code::Fine)
}

/// Refuses to replace or remove a unit that someone edited, and shows the difference.
fn check_edited(project: &Project, file: &Path, new: Option<&String>, yes: bool, screen: &Screen) -> Result<(), Error> {
    let Some(old) = control::read(file)?.filter(|old| Some(old) != new && !unit::is_ours(old) && !yes) else {
        return Ok(());
    };
    let does = if new.is_some() { "replaces" } else { "removes" };
    if let Some(new) = new {
        let diff = unified((&file.display().to_string(), &old), ("the new unit", new));
        screen.difference(&project.notice(ServiceEvent::Edited { file: file.to_owned(), diff }));
    }
    Err(edited(project, file, does))
}

/// Writes a unit file, or removes it. Returns whether it changed.
fn put(project: &Project, file: &Path, new: Option<&String>, screen: &Screen) -> Result<bool, Error> {
    let old = control::read(file)?;
    let changed = old.as_ref() != new;
    match new {
        Some(new) if changed => {
            control::write(file, new)?;
            screen.say(&project.notice(ServiceEvent::Written(file.to_owned())));
        }
        Some(_) => screen.say(&project.notice(ServiceEvent::Unchanged(file.to_owned()))),
        None if changed => {
            control::remove_drop_in(file)?;
            screen.say(&project.notice(ServiceEvent::HardeningRemoved(file.to_owned())));
        }
        None => {}
    }
    Ok(changed)
}

/// The folders that a hardened service may write to: the project, and its state folder if that is elsewhere.
fn writable(project: &Project, config: &Config, world: &World) -> Result<Vec<PathBuf>, Error> {
    let state = world.cwd.join(&config.state);
    let above = state.parent().and_then(|folder| canonical(folder).ok());
    if above.is_some_and(|folder| folder.starts_with(&project.folder)) {
        return Ok(vec![project.folder.clone()]);
    }
    let there = canonical(&state).map_err(|error| {
        let shown = state.display();
        cannot_install(format!("its state folder `{shown}` cannot be used: {error}"))
            .hinted(format!("create it first: mkdir -m 700 -p '{shown}'"))
    })?;
    Ok(vec![project.folder.clone(), there])
}

/// Stops the service, and removes our unit.
fn uninstall(project: &Project, world: &World, yes: bool, screen: &Screen) -> Result<Code, Error> {
    reachable(false, world)?;
    if control::read(&project.file)?.is_none() {
        screen.say(&project.notice(ServiceEvent::Missing { folder: project.folder.clone(), hinted: false }));
        return Ok(Code::Fine);
    }
    let drop_in = unit::drop_in(&project.file);
    for file in [&project.file, &drop_in] {
        check_edited(project, file, None, yes, screen)?;
    }
    control::ask(&["disable", "--now", &project.unit])?;
    control::remove(&project.file)?;
    put(project, &drop_in, None, screen)?;
    control::ask(&["daemon-reload"])?;
    screen.say(&project.notice(ServiceEvent::Removed(project.file.clone())));
    Ok(Code::Fine)
}

/// Prints the state of the service and the end of its log.
fn status(project: &Project, world: &World, screen: &Screen) -> Result<Code, Error> {
    reachable(false, world)?;
    let names =
        ["LoadState", "UnitFileState", "ActiveState", "SubState", "StateChangeTimestamp", "StatusText", "NRestarts"];
    let mut properties = control::properties(&project.unit, &names)?;
    let mut property = |name: &str| properties.remove(name).filter(|value| !value.is_empty());
    if property("LoadState").is_none_or(|state| state == "not-found") {
        screen.say(&project.notice(ServiceEvent::Missing { folder: project.folder.clone(), hinted: true }));
        return Ok(Code::NotDeployed);
    }
    let state = property("ActiveState").unwrap_or_default();
    let runs = matches!(state.as_str(), "active" | "reloading");
    let status = ServiceStatus {
        state,
        sub_state: property("SubState").unwrap_or_default(),
        enabled: property("UnitFileState").unwrap_or_default(),
        since: property("StateChangeTimestamp"),
        restarts: property("NRestarts").and_then(|n| n.parse().ok()),
        // A stopped service still has its last status text.
        status: property("StatusText").filter(|_| runs),
        log: control::log(&project.unit, LAST_LINES),
    };
    let below =
        status.status.iter().cloned().chain(status.log.iter().map(|line| format!("  {line}"))).collect::<Vec<_>>();
    let notice = project.notice(ServiceEvent::Status(status));
    screen.say_with(&notice, &below);
    screen.say(&project.notice(ServiceEvent::Log));
    Ok(if runs { Code::Fine } else { Code::NotDeployed })
}

/// Checks that there is a service manager. `new` also checks that it is recent enough for a new unit.
fn reachable(new: bool, world: &World) -> Result<(), Error> {
    let runtime = world.env.get("XDG_RUNTIME_DIR").map(Path::new);
    let version = control::version(runtime)?;
    if new && version < OLDEST {
        let cause = format!("this is systemd {version}; the service needs {OLDEST} or later");
        return Err(cannot_install(cause));
    }
    Ok(())
}

/// The settings as the service will read them. They must equal those of this shell, where the user tried them.
fn of_service(args: &Args, world: &World) -> Result<(Config, Vec<Request>), Error> {
    let (here, _) = consenting(args, world)?;
    let project = here.project.join(".env").display().to_string();
    let unseen = |what: &str, from: &str| {
        cannot_install(format!("{what} from {from} of this shell, which a service does not see"))
    };
    let (there, requests) = consenting(args, &world.of_service())
        .map_err(|error| unseen("settings come", "variables").hinted(format!("without them: {error}")))?;
    let key = |config: &Config| config.key.as_ref().map(|key| key.expose_secret().to_owned());
    if here.key.is_some() && key(&here) != key(&there) {
        let from = here.key_origin.clone().unwrap_or_default();
        let hint = match &there.key_origin {
            None => format!(
                "write OPENWEBUI_API_KEY=… into `{project}`, or the key alone into a file that `api_key_file` in \
                 watch.toml names, or into `{}`",
                credential(world)
            ),
            Some(other) => {
                format!("the service would use the key from {other}: unset the variable, or correct the key there")
            }
        };
        return Err(unseen("the API key comes", &from).hinted(hint));
    }
    if here.url != there.url {
        return Err(unseen("the server comes", here.url_origin.as_deref().unwrap_or("the default"))
            .hinted(format!("add --url {}, or write `url` into watch.toml or `{project}`", here.url)));
    }
    if plain(&here) != plain(&there) {
        let names = world.env.keys().filter(|name| name.starts_with("OWUI_WATCH_"));
        let names = names.map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
        return Err(
            unseen("settings come", &names).hinted(format!("write them into watch.toml or `{project}`, or unset them"))
        );
    }
    Ok((there, requests))
}

/// The settings as if the user agreed to everything, and the requests for consent that they need.
fn consenting(args: &Args, world: &World) -> Result<(Config, Vec<Request>), ConfigError> {
    let mut world = world.clone();
    loop {
        match config::load(args, &world) {
            Ok(config) => return Ok((config, world.agreed)),
            Err(error) => match error.request() {
                Some(request) => world.agreed.push(request.clone()),
                None => return Err(error),
            },
        }
    }
}

/// The settings without the key, the origins and the warnings, for comparison.
fn plain(config: &Config) -> String {
    let bare = Config {
        settings: Settings { api_key_file: None, ..config.settings.clone() },
        key: None,
        key_origin: None,
        key_files: Vec::new(),
        url_origin: None,
        warnings: Vec::new(),
        ..config.clone()
    };
    format!("{bare:?}")
}

fn credential(world: &World) -> String {
    let home = world.config_home.clone().unwrap_or_default();
    home.join("owui-watch").join("openwebui_api_key").display().to_string()
}

/// The flags of this run that the service gets too, with absolute paths.
fn arguments(args: &Args, cwd: &Path) -> Result<Vec<String>, Error> {
    let path = |path: &Path| {
        let full: PathBuf = cwd.join(path).components().collect();
        let text = full.to_str().map(str::to_owned);
        text.ok_or_else(|| cannot_install(format!("`{}` is not UTF-8", full.display())))
    };
    let mut arguments = Vec::new();
    if let Some(config) = &args.config {
        arguments.extend(["--config".to_owned(), path(config)?]);
    }
    for root in &args.root {
        arguments.extend(["--root".to_owned(), path(root)?]);
    }
    if let Some(url) = &args.url {
        arguments.extend(["--url".to_owned(), url.clone()]);
    }
    arguments.extend(args.tries.then(|| "--try".to_owned()));
    Ok(arguments)
}

fn cannot_install(cause: impl std::fmt::Display) -> Error {
    Error::new("cannot install the service").because(cause)
}

fn edited(project: &Project, file: &Path, does: &str) -> Error {
    Error::failed(format!("`{}` was edited and is left alone", file.display()))
        .hinted(format!("`--yes` {does} it; changes in a drop-in are safe: systemctl --user edit {}", project.unit))
}

fn not_started(project: &Project, hardened: bool, error: &anyhow::Error) -> Error {
    Error::failed(format!("the service does not start: {error:#}")).hinted(if hardened {
        "install it without `--hardened` if user namespaces are forbidden here".to_owned()
    } else {
        format!("its log says why: journalctl --user -u {} -n 20", project.unit)
    })
}
