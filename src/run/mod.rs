//! From flags to an end: settings, logging, and then a watch, a pass, or a sandbox with a watch.

mod address;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use tokio::sync::mpsc::{self, UnboundedReceiver, unbounded_channel};

use anyhow::Context as _;
use tracing_subscriber::field::MakeExt as _;
use tracing_subscriber::fmt::format::debug_fn;
use tracing_subscriber::prelude::*;

use crate::cli::{Args, CheckFormat, Command, OnOff};
use crate::client::{self, Authorities, Client, Timeouts};
use crate::commands::{self, Agreed, CheckRequest, CommandContext, DeployRequest, MayCreate, RequestProgress, Scope};
use crate::config::{self, Config, ConfigError, Reading, Sources, Warning, World};
use crate::daemon::{self, End, KeyPrograms, Plan, Setup, Signal};
use crate::engine::deploy::{Adopt, DeployPolicy};
use crate::engine::switch::Switch;
use crate::engine::{Code, Policy, ServerHabits, TrialPolicy};
use crate::error::Error;
use crate::notice::{Commands, Level, Notice, Report, Subject};
use crate::output::{Console, DiagnosticLine, Format, Screen, Steps, Terminal};
use crate::paths::{canonical, slashed};
use crate::printable;
use crate::sandbox::{self, Pane, Port, Running, Sandbox};
use crate::systemd::supervisor::Supervisor;
use crate::trial::Wish;
use address::{Addressed, located, name_sandbox, names_server, of_pass, on_sandbox, project};

/// How many notices of the sandbox may wait for the daemon.
const NOTICES: usize = 1000;
/// The pause before looking again for a file of a running watch.
const ANSWER_PAUSE: Duration = Duration::from_millis(20);
/// How many looks a rollback waits for the end of a deploy.
const BLOCKED_LOOKS: u32 = 50;

/// Does what the command line asks for, and says how it ended.
#[must_use]
pub fn run(args: &Args, world: &World) -> ExitCode {
    logging(args.verbose);
    keep_out_of_core_dumps();
    let end = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Error::new("cannot start").because(error))
        .and_then(|runtime| {
            let end = runtime.block_on(start(args, world));
            // A scan of a dead network folder may never end.
            runtime.shutdown_background();
            end
        });
    match end {
        Ok(End::Done(code)) => code.into(),
        Ok(End::Interrupted(signal)) => ExitCode::from(128 + signal),
        Err(error) => {
            commands::report(&error, format(args));
            error.code().into()
        }
    }
}

async fn start(args: &Args, world: &World) -> Result<End, Error> {
    let screen = screen(args);
    if args.config.is_none() && !world.project.as_os_str().is_empty() {
        let folder = world.cwd.join(&world.project);
        let folder = canonical(&folder).unwrap_or(folder);
        screen.aside(&Notice::report(Subject::default(), Report::FoundProject { folder }));
    }
    let code = match &args.command {
        None => {
            let mut world = world.clone();
            let (config, sources) = agreed(args, &mut world)?;
            let config = if args.one_pass() { of_pass(args, config, &world)? } else { config };
            let read = || config::read(args, &world);
            // Nobody but the daemon has notices.
            let (_, notices) = mpsc::channel(1);
            return watch(args, (config, sources), &world, &read, signals()?, notices, commands(args, None)).await;
        }
        Some(Command::Sandbox { openwebui, port, data, keep, install_requirements, quiet_calls, log, .. }) => {
            let (send, notices) = mpsc::channel(NOTICES);
            let wish = |options: &mut sandbox::Options| {
                options.openwebui = openwebui.clone().unwrap_or_else(|| sandbox::OPEN_WEBUI.to_owned());
                options.port = port.map_or(Port::From(sandbox::PORT), Port::Exactly);
                options.data = data.as_ref().map(|data| world.cwd.join(data));
                (options.keep, options.requirements, options.dev) = (*keep, *install_requirements, true);
                options.pane = Some(Pane { calls: !quiet_calls, log: *log, notices: send.clone() });
            };
            return play(args, agreed(args, &mut world.clone())?, world, &wish, notices).await;
        }
        Some(Command::Check { plugins, format, strict, fix, yes, server_version, explain, .. }) => {
            let request = CheckRequest {
                words: plugins.clone(),
                format: if args.json { CheckFormat::Json } else { *format },
                strict: *strict,
                fix: fix.then_some(*yes),
                version: server_version.clone(),
                explain: explain.clone(),
            };
            commands::check(args, world, &screen, &request)?
        }
        Some(Command::Doctor { .. }) => doctor(args, world).await,
        // A service can be stopped even if its settings have become invalid.
        Some(Command::Service { action }) => commands::service(action, args, world, &screen)?,
        Some(Command::Trust { .. }) => commands::trust(args, world, &screen)?,
        Some(Command::Status { plugins, .. }) => commands::status(context(args, world).await?, plugins).await?,
        Some(Command::Deploy { plugins, .. }) => return deploy(args, world, plugins).await,
        Some(Command::On { functions, .. }) => switch(args, world, functions, Switch::Active, true).await?,
        Some(Command::Off { functions, .. }) => switch(args, world, functions, Switch::Active, false).await?,
        Some(Command::Global { is, functions, .. }) => {
            switch(args, world, functions, Switch::Global, *is == OnOff::On).await?
        }
        Some(Command::History { plugins, all, .. }) => {
            commands::history(&context(args, world).await?, plugins, *all).await?
        }
        Some(Command::Diff { plugins, stat, .. }) => {
            commands::diff(&context(args, world).await?, plugins, *stat).await?
        }
        Some(Command::Try { plugin, message, model, tool, args: arguments, within, .. }) => {
            let wish = Wish {
                message: message.clone(),
                model: model.clone(),
                tool: tool.clone(),
                // clap has checked it.
                arguments: arguments.as_deref().and_then(|arguments| serde_json::from_str(arguments).ok()),
                within: within.map(Duration::from_secs),
                ..Wish::default()
            };
            commands::try_out(&context(args, world).await?, plugin, wish).await?
        }
        Some(Command::Pull { plugins, all, .. }) => commands::pull(&context(args, world).await?, plugins, *all).await?,
        Some(Command::Delete { plugins, .. }) => commands::delete(&context(args, world).await?, plugins).await?,
        Some(Command::Rollback { plugin, version, .. }) => {
            return roll_back(&context(args, world).await?, plugin, version.as_deref()).await;
        }
    };
    Ok(End::Done(code))
}

/// Reads the settings. Asks for the user's consent where that is missing and somebody can answer. What the user
/// declines is left out, if the program can do without it.
fn agreed(args: &Args, world: &mut World) -> Result<(Config, Sources), ConfigError> {
    loop {
        let Reading { config, sources } = config::read(args, world);
        match config {
            Ok(config) => return Ok((config, sources)),
            Err(error) => match error.request().filter(|_| !args.json) {
                Some(request) if commands::confirm(request) => request.allow(world)?,
                Some(request) if request.is_optional() && commands::somebody_answers() => {
                    world.declined.push(request.clone());
                }
                _ if !commands::somebody_answers() => return Err(error.unattended()),
                Some(_) | None => return Err(error),
            },
        }
    }
}

/// Like [`agreed`], for a command. If the server is a running sandbox, the settings are those of its watch. Without a
/// configured server, it is the sandbox of this project, if one runs.
fn addressed(args: &Args, world: &World) -> Result<Addressed, ConfigError> {
    Ok(located(agreed(args, &mut world.clone())?.0, world))
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

async fn context(args: &Args, world: &World) -> Result<CommandContext, Error> {
    context_of(args, world, addressed(args, world)?).await
}

async fn context_of(args: &Args, world: &World, addressed: Addressed) -> Result<CommandContext, Error> {
    daemon::refuse_tracked(&addressed.config.state).await?;
    name_sandbox(args, &addressed);
    let Addressed { config, project_state, .. } = addressed;
    let client = client(&config)?;
    Ok(CommandContext::new(config, project_state, world.cwd.clone(), client, screen(args), args.yes))
}

/// Looks for what is wrong. It asks for no consent: that something needs one is a finding.
async fn doctor(args: &Args, world: &World) -> Code {
    let mut world = world.clone();
    let config = loop {
        match config::read(args, &world).config {
            Ok(config) => break config,
            Err(error) => match error.request().filter(|request| request.is_optional()) {
                // The rest is worth looking at, too.
                Some(request) => world.declined.push(request.clone()),
                None => return commands::doctor_without_settings(&error.into(), &screen(args)),
            },
        }
    };
    let world = &world;
    let addressed = located(config, world);
    name_sandbox(args, &addressed);
    let config = addressed.config;
    commands::doctor(&config, client(&config), world, &screen(args)).await
}

/// Deploys plugins: by way of the running watch if there is one, else in a pass.
#[expect(
    clippy::disallowed_methods,
    reason = "the answer is a file of another process, which is looked for again and again"
)]
async fn deploy(args: &Args, world: &World, plugins: &[String]) -> Result<End, Error> {
    let addressed = addressed(args, world)?;
    let sandbox = addressed.sandbox.clone();
    let context = context_of(args, world, addressed).await?;
    let creates = if args.yes { MayCreate::Yes } else { commands::may_create(&context, plugins).await? };
    match &creates {
        MayCreate::No => return Ok(End::Done(Code::NotDeployed)),
        // A watch would create what it is asked for.
        MayCreate::Unknown(error) if context.folder.holder().is_some() => return Err(error.clone()),
        MayCreate::Yes | MayCreate::Unknown(_) => {}
    }
    if let Some(mut request) = DeployRequest::send(&context, plugins).await? {
        loop {
            match request.poll()? {
                RequestProgress::Answered(code) => return Ok(End::Done(code)),
                RequestProgress::WatchGone => break,
                RequestProgress::Open => tokio::time::sleep(ANSWER_PAUSE).await,
            }
        }
    }
    if let Some(sandbox) = sandbox {
        return Err(Error::failed(format!("nothing was deployed: the sandbox at {} has ended", sandbox.url)));
    }
    let yes = matches!(creates, MayCreate::Yes);
    let args = Args { plugins: plugins.to_vec(), once: true, force: true, yes, command: None, ..args.clone() };
    let read = || config::read(&args, world);
    // Nobody but the daemon has notices.
    let (_, notices) = mpsc::channel(1);
    let (config, sources) = agreed(&args, &mut world.clone())?;
    // Warnings are already printed.
    let config = Config { warnings: Vec::new(), ..config };
    watch(&args, (config, sources), world, &read, signals()?, notices, commands(&args, None)).await
}

async fn switch(args: &Args, world: &World, functions: &[String], switch: Switch, is: bool) -> Result<Code, Error> {
    commands::switch(&context(args, world).await?, functions, switch, is).await
}

/// Carries out a rollback. The first signal lets it finish; the second interrupts it.
#[expect(clippy::disallowed_methods, reason = "waits for a file of another process")]
async fn roll_back(context: &CommandContext, plugin: &str, version: Option<&str>) -> Result<End, Error> {
    let rollback = match commands::agree(context, plugin, version).await? {
        Agreed::Over(code) => return Ok(End::Done(code)),
        Agreed::On(rollback) => rollback,
    };
    // A refusal follows if that takes long.
    for _ in 0..BLOCKED_LOOKS {
        if !rollback.is_blocked() {
            break;
        }
        tokio::time::sleep(ANSWER_PAUSE).await;
    }
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

fn client(config: &Config) -> Result<Client, Error> {
    let timeouts = Timeouts { deploy: config.timeout, ..Timeouts::default() };
    let authorities = match &config.certificates {
        Some(file) => Authorities::read(&file.pem)
            .with_context(|| format!("cannot use the certificates in `{}`", slashed(&file.path)))?,
        None => Authorities::default(),
    };
    Client::new(&client::Options { url: config.url.clone(), key: config.key.clone(), authorities, timeouts })
}

/// Watches, or makes one pass. `read` reads the settings again. `commands`: the flags for hints.
async fn watch(
    args: &Args,
    (config, sources): (Config, Sources),
    world: &World,
    read: &dyn Fn() -> Reading,
    signals: UnboundedReceiver<Signal>,
    notices: mpsc::Receiver<Notice>,
    commands: Commands,
) -> Result<End, Error> {
    let config = warned(args, config);
    let scope = Scope::read(&args.plugins, &config, &world.cwd)?;
    let plan = |config| plan(args, config, &scope);
    // Developers' diagnostics go to the terminal from anywhere.
    let terminal = Terminal::find(&world.env).filter(|_| !args.no_live && args.verbose < 2);
    // A sandbox's are said to be for it.
    let keys = key_programs(args, world, is_sandbox(args).then_some(&*config.url));
    let console = Console::new(format(args), least(args), commands).live(terminal, args.one_pass());
    let supervisor = Supervisor::new(&world.env);
    let setup = Setup { config, sources, read, plan: &plan, wait: args.wait, keys };
    daemon::run(setup, console, supervisor, signals, notices).await
}

/// The programs that keys run. The commands find the settings of this watch.
fn key_programs(args: &Args, world: &World, url: Option<&str>) -> KeyPrograms {
    let mut owui_watch: Vec<OsString> = std::env::current_exe().into_iter().map(Into::into).collect();
    for (flag, value) in [("--config", args.config.as_deref()), ("--url", url.or(args.url.as_deref()).map(Path::new))] {
        owui_watch.extend(value.into_iter().flat_map(|value| [flag.into(), value.into()]));
    }
    owui_watch.extend(args.root.iter().flat_map(|root| ["--root".into(), root.into()]));
    let named = |name: &str| world.env.get(name).filter(|value| !value.trim().is_empty()).cloned();
    KeyPrograms { owui_watch, editor: named("VISUAL").or_else(|| named("EDITOR")) }
}

/// Warns if there is nothing to try.
fn warned(args: &Args, mut config: Config) -> Config {
    let warning = Warning {
        message: "`--try` tries nothing: no plugin has a `try` table in watch.toml".to_owned(),
        hint: "write `[plugins.\"PATH\".try]` with a `message`".to_owned(),
    };
    if args.tries && !is_sandbox(args) && config.trials.is_empty() && !config.warnings.contains(&warning) {
        config.warnings.push(warning);
    }
    config
}

fn is_sandbox(args: &Args) -> bool {
    matches!(args.command, Some(Command::Sandbox { .. }))
}

fn plan(args: &Args, config: Config, scope: &Scope) -> Result<Plan, Error> {
    let (config, is_sandbox) = (warned(args, config), is_sandbox(args));
    let policy = Policy {
        roots: config.roots.clone(),
        server: config.url.clone(),
        configured: config.has_address(),
        key: config.key_origin.clone(),
        concurrency: config.concurrency,
        once: args.one_pass().then_some(config.once_patience),
        deploy: DeployPolicy {
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
        checks: config.checks.clone(),
        trials: args.tries.then(|| TrialPolicy {
            tables: config.trials.iter().map(|(path, table)| (path.clone(), format!("{table:?}"))).collect(),
            plain: is_sandbox,
        }),
        habits: ServerHabits {
            new_is_global: is_sandbox,
            installs_nothing: matches!(args.command, Some(Command::Sandbox { install_requirements: false, .. })),
        },
        only: scope.only(&config),
    };
    let trial_client = args.tries.then(|| client(&config)).transpose()?;
    Ok(Plan { client: client(&config)?, policy, config, trial_client })
}

/// A server of our own, and a watch that deploys to it. Its state is as short-lived as the server.
async fn play(
    args: &Args,
    (config, sources): (Config, Sources),
    world: &World,
    wish: &dyn Fn(&mut sandbox::Options),
    notices: mpsc::Receiver<Notice>,
) -> Result<End, Error> {
    // From here on: Ctrl-C ends what asked the user before.
    let mut signals = signals()?;
    // Installers and plugins have no business with another server's key.
    let environment = world.env.iter().filter(|(name, _)| !daemon::is_ours_alone(name));
    let environment = environment.map(|(name, value)| (name.into(), value.into()));
    let mut options = sandbox::Options::new(sandbox::default_cache()?, environment);
    wish(&mut options);
    let steps = Steps::new(format(args));
    steps.begin(&format!("starting Open WebUI {} …", options.openwebui));
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
    if let (Port::From(wanted), port) = (options.port, sandbox.port())
        && wanted != port
    {
        steps.done(&format!("port {wanted} is taken: it listens on {port} this time"));
    }
    steps.done(&format!("its log is {}", slashed(&sandbox.log())));
    steps.finish();
    let running = Running {
        project: project(&config, world).unwrap_or_default(),
        url: sandbox.url().to_owned(),
        state: sandbox.data().join("owui-watch"),
    };
    let here = |config: Config| on_sandbox(config, &running);
    let announced =
        running.clone().announce(&options.cache).inspect_err(|error| tracing::debug!(%error, "not announced"));
    let is_found = announced.is_ok() && !names_server(&config);
    let commands = commands(args, (!is_found).then_some(&*running.url));
    let read = || {
        let Reading { config, sources } = config::read(args, world);
        Reading { config: config.map(here), sources }
    };
    let end = tokio::select! {
        end = watch(args, (here(config), sources), world, &read, signals, notices, commands) => end,
        why = sandbox.ended() => Err(why),
    };
    drop(announced);
    if let Some(folder) = sandbox.stop()? {
        Steps::new(format(args)).done(&format!("the sandbox's data is in {}", slashed(&folder)));
    }
    end
}

/// Waits for a signal to stop.
async fn stop(signals: &mut UnboundedReceiver<Signal>) -> u8 {
    loop {
        match signals.recv().await {
            Some(Signal::Stop(number)) => return number,
            Some(Signal::Rescan | Signal::Key(_) | Signal::Choose(_)) => {}
            None => std::future::pending().await,
        }
    }
}

fn screen(args: &Args) -> Screen {
    Screen { format: format(args), least: least(args), commands: commands(args, None) }
}

/// The flags for commands in hints. `url` overrides the settings' server.
fn commands(args: &Args, url: Option<&str>) -> Commands {
    Commands::new(args.config.as_deref(), url.or(args.url.as_deref()), &args.root)
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
        .with_writer(DiagnosticLine::default)
        .with_target(false)
        .fmt_fields(fields.delimited(" "));
    tracing_subscriber::registry().with(lines.with_filter(targets)).init();
}

/// Listens to the signals from the first moment on.
#[cfg(unix)]
fn signals() -> Result<UnboundedReceiver<Signal>, Error> {
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
        let mut stream = signal(kind).map_err(|error| Error::new("cannot listen to signals").because(error))?;
        let send = send.clone();
        tokio::spawn(async move { while stream.recv().await.is_some() && send.send(meaning).is_ok() {} });
    }
    Ok(receive)
}

/// Listens to Ctrl-C, Ctrl-Break, and the end of the console or the session from the first moment on.
#[cfg(windows)]
fn signals() -> Result<UnboundedReceiver<Signal>, Error> {
    use tokio::signal::windows::{ctrl_break, ctrl_c, ctrl_close, ctrl_shutdown};

    let cannot = |error| Error::new("cannot listen to signals").because(error);
    let (mut interrupt, mut terminate) = (ctrl_c().map_err(cannot)?, ctrl_break().map_err(cannot)?);
    let (mut hangup, mut shutdown) = (ctrl_close().map_err(cannot)?, ctrl_shutdown().map_err(cannot)?);
    let (send, receive) = unbounded_channel();
    tokio::spawn(async move {
        loop {
            let number = tokio::select! {
                Some(()) = interrupt.recv() => 2,
                Some(()) = terminate.recv() => 15,
                Some(()) = hangup.recv() => 1,
                Some(()) = shutdown.recv() => 15,
                else => return,
            };
            if send.send(Signal::Stop(number)).is_err() {
                return;
            }
        }
    });
    Ok(receive)
}

impl From<Code> for ExitCode {
    fn from(code: Code) -> Self {
        ExitCode::from(code as u8)
    }
}
