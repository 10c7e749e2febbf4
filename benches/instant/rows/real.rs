//! Against a real Open WebUI.

use std::net::SocketAddr;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use secrecy::ExposeSecret as _;
use tokio::runtime::Runtime;

use crate::figures::{Table, Times};
use crate::scene::{self, Style, USUAL, id, path, plugin};
use crate::support::command::Project;
use crate::support::fake_server::Version;
use crate::support::{Login, RealServer, real_server};
use crate::wire::{Wire, form};

use super::start::timed;

pub(crate) fn save(table: &mut Table) {
    const PLUGINS: usize = 30;
    const ROUNDS: usize = 60;
    let real = Real::start();
    let project = real.project(2 * PLUGINS);
    let mut watch = project.watch();
    let mut wire = real.wire();
    for n in 0..PLUGINS {
        assert_eq!(wire.post("/api/v1/functions/create", &form(&bare(n), &plugin(&bare(n), "1.0.0", USUAL))).0, 200);
    }
    let (mut update, mut both) = (Times::default(), Times::default());
    let (mut ours, mut synced) = (Times::default(), Times::default());
    for round in 0..ROUNDS {
        let n = round % PLUGINS;
        let bare = bare(n);
        let row = format!("/api/v1/functions/id/{bare}");
        let change = |wire: &mut Wire, version: &str| {
            let form = form(&bare, &plugin(&bare, version, USUAL));
            assert_eq!(wire.post(&format!("{row}/update"), &form).0, 200);
        };
        update.push(timed(|| change(&mut wire, &format!("2.{round}"))));
        // On the connection that is there, as ours.
        both.push(timed(|| {
            assert_eq!(wire.get(&row).0, 200);
            change(&mut wire, &format!("3.{round}"));
        }));
        for (style, times) in [(Style::InPlace, &mut ours), (Style::Synced, &mut synced)] {
            let n = if style == Style::Synced { PLUGINS + n } else { n };
            let text = plugin(&id(n), &format!("2.{style:?}.{round}"), USUAL);
            let at = scene::save(&project.path(&path(n)), &text, style);
            watch.wait("updated", Some(&id(n)));
            times.push(at.elapsed());
        }
    }
    watch.stop();
    let what = ("save → answer of a real server; floor: bare read + update", "ratio ≤ 1.15");
    table.compare(what, &ours, &both, |_, _, ratio| ratio <= 1.15);
    let what = ("the same; floor: bare update", "ratio ≤ 1.15, a later goal");
    table.compare(what, &ours, &update, |_, _, ratio| ratio <= 1.15);
    let what = ("the same, by an editor that syncs; floor: bare update", "ratio ≤ 1.15, a later goal");
    table.compare(what, &synced, &update, |_, _, ratio| ratio <= 1.15);
}

pub(crate) fn once(table: &mut Table) {
    const PLUGINS: usize = 200;
    const ROUNDS: usize = 3;
    let real = Real::start();
    let (mut ours, mut bare) = (Times::default(), Times::default());
    for _ in 0..ROUNDS {
        // How many at once are best is the load generator's to find out.
        let load = [1, 2, 4, 8].map(|at_once| {
            let took = real.create(PLUGINS, at_once);
            real.clear(PLUGINS);
            took
        });
        bare.push(load.into_iter().min().unwrap());
        let project = real.project(PLUGINS);
        ours.push(timed(|| {
            let ran = project.run(&["--once", "--quiet"]);
            assert_eq!(ran.code, Some(0), "{}{}", ran.stdout, ran.stderr);
        }));
        real.clear(PLUGINS);
    }
    let what = ("--once, 200 new plugins to a real server; floor: creates", "ratio ≤ 1.05");
    table.compare(what, &ours, &bare, |_, _, ratio| ratio <= 1.05);
}

fn bare(n: usize) -> String {
    format!("bare{n}")
}

struct Real {
    server: RealServer,
    address: SocketAddr,
    key: String,
    _runtime: Runtime,
}

impl Real {
    fn start() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let server = runtime.block_on(real_server(Version::V0_12_4, Login::Asked));
        let address = server.url().strip_prefix("http://").unwrap().parse().unwrap();
        let key = server.admin().api_key.as_ref().unwrap().expose_secret().to_owned();
        Self { server, address, key, _runtime: runtime }
    }

    fn wire(&self) -> Wire {
        Wire::with_key(self.address, &self.key)
    }

    fn project(&self, n: usize) -> Project {
        let project = Project::new().with("OPENWEBUI_URL", self.server.url()).with("OPENWEBUI_API_KEY", &self.key);
        for n in 0..n {
            project.put(&path(n), plugin(&id(n), "1.0.0", USUAL));
        }
        project
    }

    /// Creates plugins as fast as that can be done with so many connections.
    fn create(&self, n: usize, at_once: usize) -> Duration {
        let bodies: Vec<_> = (0..n).map(|n| form(&id(n), &plugin(&id(n), "1.0.0", USUAL))).collect();
        let bodies = Mutex::new(bodies);
        let started = Instant::now();
        std::thread::scope(|scope| {
            for _ in 0..at_once {
                scope.spawn(|| {
                    let mut wire = self.wire();
                    while let Some(body) = { bodies.lock().unwrap().pop() } {
                        assert_eq!(wire.post("/api/v1/functions/create", &body).0, 200);
                    }
                });
            }
        });
        started.elapsed()
    }

    fn clear(&self, n: usize) {
        let mut wire = self.wire();
        for n in 0..n {
            assert_eq!(wire.ask("DELETE", &format!("/api/v1/functions/id/{}/delete", id(n)), &[]).0, 200);
        }
    }
}
