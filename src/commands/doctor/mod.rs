//! `doctor`: says what keeps plugins from being deployed, or soon will. This file looks; `judge` decides what it means.
//! It changes nothing, and may run beside a watch.

mod judge;

use std::collections::BTreeSet;
use std::path::PathBuf;

use super::now;
use super::server::Server;
use super::target::{no_folder, plugins};
use crate::client::Client;
use crate::config::{Config, Warning, World};
use crate::disk::{Folder, ScanCache, StateError, Trust, network_file_system};
use crate::engine::Code;
use crate::engine::deploy::{Call, Reply};
use crate::engine::files::Loaded;
use crate::error::Error;
use crate::git;
use crate::notice::{Area, Examination, Finding, Level, Notice, NoticeKind, Report, Subject, Verdict};
use crate::output::Screen;
use crate::plugin::{Key, Kind, Parsed};
use crate::watcher;
use judge::{Answers, Connection, Rows};

/// How many plugins that no list shows are asked for by their ids.
const MOST_ASKED: usize = 3;

/// The files under the roots, as far as they matter here.
#[derive(Default)]
struct Here {
    plugins: BTreeSet<Key>,
    folders: Vec<PathBuf>,
    missing: Vec<PathBuf>,
}

/// Looks at everything, and prints how it is.
pub async fn doctor(config: &Config, client: Result<Client, Error>, world: &World, screen: &Screen) -> Code {
    let here = Here::look(config);
    let mut findings = settings(config, world);
    match client {
        Ok(client) => findings.extend(server(config, &client, &here).await),
        Err(error) => findings.push(judge::error(Area::Server, &error)),
    }
    findings.extend(key_files(config, world).await);
    findings.extend(roots(config, &here));
    findings.push(events(config, &here));
    findings.push(state(config).await);
    findings.push(judge::watch(Folder::new(config.state.clone(), &config.url).holder()));
    tell(screen, findings)
}

/// The settings cannot be read, so it is not known what else to look at.
#[must_use]
pub fn doctor_without_settings(error: &Error, screen: &Screen) -> Code {
    tell(screen, vec![judge::error(Area::Settings, error)])
}

fn tell(screen: &Screen, findings: Vec<Finding>) -> Code {
    let width = findings.iter().map(|finding| finding.area.label().len()).max().unwrap_or_default();
    let problems = findings.iter().filter(|finding| finding.is_wrong()).count();
    for finding in findings {
        let Finding { area, verdict, ref message, .. } = finding;
        let row = format!("{} {:width$}  {}", verdict.sign(), area.label(), crate::printable::line(message));
        let notice = Notice::report(Subject::default(), Report::Doctor(Examination::Finding(finding)));
        // With `--quiet` only what is wrong.
        if screen.least <= Level::Info || notice.level() >= screen.least {
            screen.row_with_hint(&notice, verdict.sign(), &row);
        }
    }
    screen.say(&Notice::report(Subject::default(), Report::Doctor(Examination::Diagnosis { problems })));
    if problems == 0 { Code::Fine } else { Code::NotDeployed }
}

/// The warnings about the settings; those about key files have a line of their own.
fn settings(config: &Config, world: &World) -> Vec<Finding> {
    let of_keys: Vec<_> = config.exposed_keys(world).map(|(_, warning)| warning).collect();
    let warnings = config.warnings.iter().filter(|warning| !of_keys.contains(warning));
    judge::settings(&world.cwd.join(&config.project), warnings)
}

impl Here {
    /// Reads the files. `check` and `status` report what is wrong with them.
    fn look(config: &Config) -> Result<Self, Error> {
        let mut here = Self::default();
        let mut plugins = plugins(config)?.within(&config.root_bounds);
        let mut on_folder = |folder: &std::path::Path| here.folders.push(folder.to_owned());
        let scan = plugins.scan(Trust::Closed, &mut ScanCache::default(), &mut on_folder);
        here.missing = scan.missing;
        here.plugins = (scan.files.into_iter())
            .filter_map(|(_, loaded)| match loaded {
                Loaded::Parsed(Parsed::Plugin(plugin)) => Some(plugin.key.clone()),
                _ => None,
            })
            .collect();
        Ok(here)
    }
}

fn roots(config: &Config, here: &Result<Here, Error>) -> Vec<Finding> {
    match here {
        Err(error) => vec![judge::error(Area::Roots, error)],
        Ok(here) if here.missing.is_empty() => vec![judge::roots(&config.roots, here.plugins.len())],
        Ok(here) => here.missing.iter().map(|root| judge::error(Area::Roots, &no_folder(root, ""))).collect(),
    }
}

/// Tries whether saves will be noticed, as a watch does.
fn events(config: &Config, here: &Result<Here, Error>) -> Finding {
    let folders = here.as_ref().map_or(&[][..], |here| &here.folders);
    let network = config.roots.iter().find_map(|root| Some((root.clone(), network_file_system(root)?)));
    let blind = match config.poll {
        Some(_) => Ok(None),
        None => watcher::without_events(&config.roots, folders, config.debounce),
    };
    match blind {
        Ok(blind) => judge::events(config.poll, network, blind, folders.len()),
        Err(error) => judge::error(Area::Events, &error.into()),
    }
}

async fn key_files(config: &Config, world: &World) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (_, Warning { message, hint }) in config.exposed_keys(world) {
        findings.push(Finding::new(Area::KeyFiles, Verdict::Risk, message).hinted(hint));
    }
    let mut git_answers = true;
    for file in &config.key_files {
        match git::leak(&world.cwd.join(file)).await {
            Ok(Some(leak)) => {
                let (message, hint) = leak.words(file);
                findings.push(Finding::new(Area::KeyFiles, Verdict::Risk, message).hinted(hint));
            }
            Ok(None) => {}
            Err(git::NoAnswer) => git_answers = false,
        }
    }
    if findings.is_empty() && !config.key_files.is_empty() {
        findings.push(judge::private(&config.key_files, cfg!(unix), git_answers));
    }
    findings
}

async fn state(config: &Config) -> Finding {
    let folder = Folder::new(config.state.clone(), &config.url);
    let tracked = git::tracks(&config.state).await.then(|| StateError::tracked(&config.state));
    match tracked.map_or_else(|| folder.check(), Err) {
        Ok(()) => judge::state(&config.state, folder.unused()),
        Err(error) => judge::error(Area::State, &error.into()),
    }
}

/// Asks the server, and judges its answers.
async fn server(config: &Config, client: &Client, here: &Result<Here, Error>) -> Vec<Finding> {
    let server = Server::new(client, config);
    let connection = Connection {
        url: config.url.clone(),
        proxy: client.proxy().map(str::to_owned),
        authority: config.certificates.as_ref().map(|file| file.path.clone()),
        insecure: is_insecure(config, client),
        key: config.key_origin.clone(),
    };
    let asked = now();
    let reply = client.call(Call::Connect).await;
    let took = now().duration_since(asked);
    let version = match reply {
        Reply::Connected { version } => version,
        Reply::Unreachable { ref cause, .. } if cause.untrusted => {
            return judge::untrusted(&connection, &server.refusal(reply));
        }
        // The server has answered before it asked for a key.
        Reply::NotAllowed { .. } => return judge::denied(&connection, &server.refusal(reply)),
        reply => return judge::no_answer(&server.refusal(reply)),
    };
    let sent = now();
    let probe = client.probe().await;
    let received = now();
    let mut lists = Vec::new();
    for kind in Kind::ALL {
        let rows = match client.call(Call::Overview(kind)).await {
            Reply::Rows(rows) => Rows::Listed(rows.len()),
            Reply::Unusable { .. } => Rows::TooLarge,
            reply @ Reply::NotAllowed { .. } => Rows::Refused(server.refusal(reply)),
            reply => Rows::Failed(server.refusal(reply)),
        };
        lists.push((kind, rows));
    }
    let plugins = here.as_ref().map(|here| here.plugins.clone()).unwrap_or_default();
    let mut hidden = None;
    for (kind, rows) in &lists {
        let of_kind = plugins.iter().filter(|key| key.kind == *kind && matches!(rows, Rows::Listed(0)));
        for key in of_kind.take(MOST_ASKED) {
            if matches!(client.call(Call::Get(key.clone())).await, Reply::Row(_)) {
                hidden = Some(key.clone());
            }
        }
    }
    judge::server(&connection, &Answers { version, took, probe, sent, received, lists, plugins, hidden })
}

/// The warning about a connection that others can read.
fn is_insecure(config: &Config, client: &Client) -> Option<Notice> {
    let (server, proxy) = (config.url.clone(), client.proxy().map(str::to_owned));
    let is_insecure = config.is_overheard() || proxy.is_some() && server.starts_with("http://");
    is_insecure.then(|| Notice::general(NoticeKind::Insecure { server, proxy }))
}
