//! From flags to an end: settings, logging, and then a watch, a pass, or a sandbox with a watch.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use anyhow::Context as _;
use tracing_subscriber::field::MakeExt as _;
use tracing_subscriber::fmt::format::debug_fn;
use tracing_subscriber::prelude::*;

use crate::cli::{Args, Command};
use crate::client::{self, Authorities, Client, Timeouts, UnusableProxy};
use crate::commands::{self, Agreed, CommandContext, CommandError, Word};
use crate::config::{self, Config, ConfigError, DEFAULT_URL, Origin, Reading, Sources, World};
use crate::daemon::{self, End, Plan, Setup, Signal};
use crate::disk::StateError;
use crate::engine::deploy::{Adopt, DeployPolicy};
use crate::engine::{Code, Policy};
use crate::notice::Level;
use crate::output::{self, Console, Format, Steps};
use crate::sandbox::{self, Sandbox, SandboxError};
use crate::systemd::supervisor::{self, Supervisor};
use crate::{git, printable};

/// Does what the command line asks for, and says how it ended.
#[must_use]
pub fn run(args: &Args, world: &World) -> ExitCode {
    logging(args.verbose);
    keep_out_of_core_dumps();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let end = runtime.context("cannot start").and_then(|runtime| runtime.block_on(start(args, world)));
    match end {
        Ok(End::Done(code)) => code.into(),
        Ok(End::Interrupted(signal)) => ExitCode::from(128 + signal),
        Err(error) => {
            let (message, hint) = (format!("{error:#}"), remedy(&error));
            match format(args) {
                Format::Lines => output::fatal(&message, hint.as_deref()),
                Format::Json => commands::failed(&message, hint),
            }
            error.downcast_ref().map_or(Code::Usage, CommandError::code).into()
        }
    }
}

/// What can be done about an error, where the edge that it comes from knows.
pub(crate) fn remedy(error: &anyhow::Error) -> Option<String> {
    error.chain().find_map(|cause| {
        let config = || Some(cause.downcast_ref::<ConfigError>()?.hint()?.to_owned());
        let sandbox = || cause.downcast_ref::<SandboxError>()?.remedy().map(str::to_owned);
        let state = || Some(cause.downcast_ref::<StateError>()?.hint().to_owned());
        let command = || cause.downcast_ref::<CommandError>()?.hint().map(str::to_owned);
        let proxy = || Some(cause.downcast_ref::<UnusableProxy>()?.hint());
        config().or_else(sandbox).or_else(state).or_else(command).or_else(proxy)
    })
}

async fn start(args: &Args, world: &World) -> anyhow::Result<End> {
    let config = || agreed(args, world).map(|(config, _)| config);
    match &args.command {
        None => {
            let read = || config::read(args, world);
            watch(args, agreed(args, world)?, world, &read, signals()?).await
        }
        Some(Command::Sandbox { openwebui, keep, .. }) => {
            play(args, agreed(args, world)?, world, openwebui.as_deref(), *keep).await
        }
        // A service can be stopped also where the settings cannot be used any more.
        Some(Command::Service { action }) => {
            commands::service(action, args, world, format(args), least(args)).map(End::Done)
        }
        Some(Command::Trust { .. }) => commands::trust(args, world, format(args), least(args)).map(End::Done),
        Some(Command::History { plugin, .. }) => {
            let config = config()?;
            let scene = scene(args, &config).await?;
            Ok(End::Done(commands::history(&scene, &from_here(plugin, &config, world)).await?))
        }
        Some(Command::Diff { plugin, .. }) => {
            let config = config()?;
            let plugins: Vec<_> = plugin.iter().map(|plugin| from_here(plugin, &config, world)).collect();
            Ok(End::Done(commands::diff(&scene(args, &config).await?, &plugins).await?))
        }
        Some(Command::Pull { plugins, all, .. }) => {
            let config = config()?;
            let plugins: Vec<_> = plugins.iter().map(|plugin| from_here(plugin, &config, world)).collect();
            Ok(End::Done(commands::pull(&scene(args, &config).await?, &plugins, *all).await?))
        }
        Some(Command::Rollback { plugin, version, .. }) => {
            let config = config()?;
            let plugin = from_here(plugin, &config, world);
            roll_back(&scene(args, &config).await?, &plugin, version.as_deref()).await
        }
    }
}

/// Reads the settings. What only lacks the user's consent is asked for, where somebody can answer.
fn agreed(args: &Args, world: &World) -> Result<(Config, Sources), ConfigError> {
    loop {
        let Reading { config, sources } = config::read(args, world);
        match config {
            Ok(config) => return Ok((config, sources)),
            Err(error) => match error.request().filter(|_| !args.json) {
                Some(request) if commands::confirm(request) => request.allow(world)?,
                _ if !commands::somebody_answers() => return Err(error.unattended()),
                Some(_) | None => return Err(error),
            },
        }
    }
}

/// A state folder in git would travel with every clone, and so would planted state.
pub(crate) async fn refuse_tracked(state: &Path) -> Result<(), StateError> {
    if git::tracks(state).await { Err(StateError::tracked(state)) } else { Ok(()) }
}

/// The API key is in memory. A process that may not be dumped can't be read by a debugger of the same user either.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn keep_out_of_core_dumps() {
    use rustix::process::{DumpableBehavior, set_dumpable_behavior};
    // A limit of size alone would not count where a program takes the dumps.
    if let Err(error) = set_dumpable_behavior(DumpableBehavior::NotDumpable) {
        tracing::debug!(%error, "core dumps stay possible");
    }
}

#[cfg(all(unix, not(any(target_os = "linux", target_os = "android"))))]
fn keep_out_of_core_dumps() {
    use rustix::process::{Resource, Rlimit, setrlimit};
    if let Err(error) = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) }) {
        tracing::debug!(%error, "core dumps stay possible");
    }
}

#[cfg(not(unix))]
fn keep_out_of_core_dumps() {}

async fn scene<'a>(args: &Args, config: &'a Config) -> anyhow::Result<CommandContext<'a>> {
    refuse_tracked(&config.state).await?;
    Ok(CommandContext::new(config, client(config)?, format(args), least(args), args.yes))
}

/// What has begun on the server is finished, unless somebody says stop twice.
async fn roll_back(scene: &CommandContext<'_>, plugin: &str, version: Option<&str>) -> anyhow::Result<End> {
    let rollback = match commands::agree(scene, plugin, version).await? {
        Agreed::Over(code) => return Ok(End::Done(code)),
        Agreed::On(rollback) => rollback,
    };
    let mut signals = signals()?;
    let twice = async {
        stop(&mut signals).await;
        stop(&mut signals).await
    };
    tokio::select! {
        code = rollback.carry_out() => Ok(End::Done(code?)),
        number = twice => Ok(End::Interrupted(number)),
    }
}

fn client(config: &Config) -> anyhow::Result<Client> {
    let timeouts = Timeouts { deploy: config.timeout, ..Timeouts::default() };
    let authorities = match &config.ca_file {
        Some(file) => Authorities::read(&file.pem)
            .with_context(|| format!("cannot use the certificates in `{}`", file.path.display()))?,
        None => Authorities::default(),
    };
    Client::new(&client::Options { url: config.url.clone(), key: config.key.clone(), authorities, timeouts })
}

/// Watches, or makes one pass. `read` reads the settings again.
async fn watch(
    args: &Args,
    (config, sources): (Config, Sources),
    world: &World,
    read: &dyn Fn() -> Reading,
    signals: UnboundedReceiver<Signal>,
) -> anyhow::Result<End> {
    let words: Vec<_> = (args.plugins.iter())
        .map(|typed| Word { typed: typed.clone(), spelled: from_here(typed, &config, world) })
        .collect();
    let broken = commands::check_words(&words, &config)?;
    let plan = |config| plan(args, config, world, &broken);
    let (console, supervisor) = (Console::new(format(args), least(args)), Supervisor::new(&world.env));
    daemon::run(Setup { config, sources, read, plan: &plan, wait: args.wait }, console, supervisor, signals).await
}

fn plan(args: &Args, config: Config, world: &World, broken: &Broken) -> anyhow::Result<Plan> {
    let policy = Policy {
        roots: config.roots.clone(),
        server: config.url.clone(),
        // The reference file says where a server usually is, which is no more than the default does.
        configured: config.url_origin != Origin::Default && config.url != DEFAULT_URL,
        key: config.key_origin.as_ref().map(ToString::to_string),
        concurrency: config.concurrency,
        once: args.one_pass().then_some(config.once_patience),
        terms: DeployPolicy {
            force: args.force,
            dry_run: args.dry_run,
            activate_new: config.activate_new,
            on_remote_edit: config.on_remote_edit,
            adopt: if args.yes { Adopt::Never } else { config.adopt },
        },
        on_delete: config.on_delete,
        gone_after: config.gone_after,
        keep_versions: config.keep_versions,
        named: config.files.keys().cloned().collect(),
        adopt_files: if args.yes { BTreeMap::new() } else { config.adopt_files.clone() },
        only: only(args, &config, world, broken),
    };
    Ok(Plan { client: client(&config)?.with_digests(), policy, config })
}

/// The paths of files that cannot be deployed right now and were named by these ids.
type Broken = BTreeMap<String, Vec<PathBuf>>;

/// The plugins that the run is limited to; none, if one of the arguments means all of them.
fn only(args: &Args, config: &Config, world: &World, broken: &Broken) -> Vec<String> {
    let only: Vec<_> = args.plugins.iter().map(|name| from_here(name, config, world)).collect();
    if only.iter().any(String::is_empty) {
        return Vec::new();
    }
    let paths = |name: String| match broken.get(&name) {
        Some(paths) => paths.iter().map(|path| path.to_string_lossy().into_owned()).collect(),
        None => vec![name],
    };
    only.into_iter().flat_map(paths).collect()
}

/// An argument in the words that files are named by. Whoever works inside a root names files from there, and editors and
/// hooks hand over whole paths. A plain word may be an id, which has neither slash nor dot. The folder around all roots
/// is the empty path.
fn from_here(name: &str, config: &Config, world: &World) -> String {
    let path = Path::new(name);
    let may_be_id = !name.contains(['/', '.']);
    let spelled = if may_be_id { None } else { config.spelled(path, &world.cwd) };
    spelled.as_deref().and_then(Path::to_str).unwrap_or(name).to_owned()
}

/// A server of our own, and a watch that deploys to it. Its state is as short-lived as the server.
async fn play(
    args: &Args,
    (config, sources): (Config, Sources),
    world: &World,
    version: Option<&str>,
    keep: bool,
) -> anyhow::Result<End> {
    // From here on: Ctrl-C ends what asked the user before.
    let mut signals = signals()?;
    // Installers and plugins have no business with another server's key.
    let ours_alone = |name: &str| name == "OPENWEBUI_API_KEY" || supervisor::VARIABLES.contains(&name);
    let environment = world.env.iter().filter(|(name, _)| !ours_alone(name));
    let environment = environment.map(|(name, value)| (name.into(), value.into()));
    let mut options = sandbox::Options::new(sandbox::default_cache()?, environment);
    options.keep = keep;
    if let Some(version) = version {
        version.clone_into(&mut options.openwebui);
    }
    let steps = Steps::new(format(args));
    let starting = Sandbox::start(&options, |progress| steps.doing(&progress.to_string()));
    let mut sandbox = tokio::select! {
        sandbox = starting => sandbox?,
        number = stop(&mut signals) => return Ok(End::Interrupted(number)),
    };
    steps.done(&format!(
        "Open WebUI {} runs at {} (no login needed; Ctrl-C ends it)",
        options.openwebui,
        sandbox.url()
    ));
    steps.finish();
    let (url, state) = (sandbox.url().to_owned(), sandbox.data().join("owui-watch"));
    let here = |config| Config {
        url: url.clone(),
        url_origin: Origin::Set("the sandbox".to_owned()),
        key: None,
        key_origin: None,
        state: state.clone(),
        // Nobody uses it but who is trying things out.
        activate_new: true,
        ..config
    };
    let read = || {
        let Reading { config, sources } = config::read(args, world);
        Reading { config: config.map(here), sources }
    };
    let end = tokio::select! {
        end = watch(args, (here(config), sources), world, &read, signals) => end,
        why = sandbox.ended() => Err(why.into()),
    };
    if let Some(folder) = sandbox.stop()? {
        Steps::new(format(args)).done(&format!("the sandbox's data is kept in {}", folder.display()));
    }
    end
}

/// Waits for a signal to stop.
async fn stop(signals: &mut UnboundedReceiver<Signal>) -> u8 {
    loop {
        match signals.recv().await {
            Some(Signal::Stop(number)) => return number,
            Some(Signal::Rescan) => {}
            None => std::future::pending().await,
        }
    }
}

fn format(args: &Args) -> Format {
    if args.json { Format::Json } else { Format::Lines }
}

fn least(args: &Args) -> Level {
    match (args.quiet, args.verbose) {
        (true, _) => Level::Warning,
        (false, 0) => Level::Info,
        (false, _) => Level::Detail,
    }
}

/// Developers' diagnostics, apart from what users are told: on stderr, and only when asked for.
fn logging(verbose: u8) {
    let level = match verbose {
        0 | 1 => tracing::Level::ERROR,
        2 => tracing::Level::DEBUG,
        _ => tracing::Level::TRACE,
    };
    let targets = tracing_subscriber::filter::Targets::new().with_target("owui_watch", level);
    let fields = debug_fn(|writer, field, value| {
        let value = format!("{value:?}");
        let value = printable::line(&value);
        if field.name() == "message" { write!(writer, "{value}") } else { write!(writer, "{field}={value}") }
    });
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(anstream::stderr)
        .with_target(false)
        .fmt_fields(fields.delimited(" "));
    tracing_subscriber::registry().with(lines.with_filter(targets)).init();
}

/// Listens to the signals from the first moment on.
#[cfg(unix)]
fn signals() -> anyhow::Result<UnboundedReceiver<Signal>> {
    use std::io::IsTerminal as _;

    use tokio::signal::unix::{SignalKind, signal};
    let (send, receive) = unbounded_channel();
    // A terminal that is closed takes its programs with it; a service has none, and is told to look again.
    let hangup = if std::io::stdin().is_terminal() { Signal::Stop(1) } else { Signal::Rescan };
    let kinds = [
        (SignalKind::interrupt(), Signal::Stop(2)),
        (SignalKind::terminate(), Signal::Stop(15)),
        (SignalKind::hangup(), hangup),
    ];
    for (kind, meaning) in kinds {
        let mut stream = signal(kind)?;
        let send: UnboundedSender<Signal> = send.clone();
        tokio::spawn(async move { while stream.recv().await.is_some() && send.send(meaning).is_ok() {} });
    }
    Ok(receive)
}

/// Listens to Ctrl-C from the first moment on.
#[cfg(not(unix))]
fn signals() -> anyhow::Result<UnboundedReceiver<Signal>> {
    let (send, receive): (UnboundedSender<Signal>, _) = unbounded_channel();
    tokio::spawn(async move { while tokio::signal::ctrl_c().await.is_ok() && send.send(Signal::Stop(2)).is_ok() {} });
    Ok(receive)
}

impl From<Code> for ExitCode {
    fn from(code: Code) -> Self {
        ExitCode::from(code as u8)
    }
}
