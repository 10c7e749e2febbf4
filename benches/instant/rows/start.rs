//! Passes, and the start of a watch.

use std::fs;
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::figures::{Line, Table, Times, shown};
use crate::responder::{KEEP_ALIVE, Responder};
use crate::scene::{self, Beside, USUAL, id};
use crate::support::command::Project;

const PLUGINS: usize = 1000;
const RUNS: usize = 15;

pub(crate) fn once(table: &mut Table) {
    let (server, project) = deployed(PLUGINS, USUAL);
    let (folder, address) = (project.path("plugins"), server.address.to_string());
    remember(&project);
    let (mut ours, mut bare, mut requests) = (Times::default(), Times::default(), 0);
    for _ in 0..RUNS {
        bare.push(timed(|| {
            let floor = scene::ours(&["requests", folder.to_str().unwrap(), &address]).status().unwrap();
            assert!(floor.success());
        }));
        server.take();
        ours.push(timed(|| pass(&project)));
        requests = requests.max(server.take().len());
    }
    let what = ("--once, 1,000 plugins of 10 KB, nothing changed", "< 150 ms");
    table.compare(what, &ours, &bare, |median, _, _| median < Duration::from_millis(150));
    table.push(Line {
        what: "its requests",
        goal: "about 2",
        measured: requests.to_string(),
        floor: "2".to_owned(),
        reached: requests <= 3,
        ..Line::default()
    });
}

pub(crate) fn known(table: &mut Table) {
    let (server, project) = deployed(PLUGINS, USUAL);
    more_files(&project, 9 * PLUGINS);
    remember(&project);
    let (mut ours, mut compared, mut bare) = (Times::default(), Times::default(), Times::default());
    for _ in 0..RUNS {
        let folder = project.path("plugins");
        bare.push(timed(|| {
            drop(Beside::start(&["watch", folder.to_str().unwrap(), &server.address.to_string()]));
        }));
        let started = Instant::now();
        let mut watch = project.watch_with(&[]);
        watch.wait("ready", None);
        ours.push(started.elapsed());
        watch.wait("summary", None);
        compared.push(started.elapsed());
        watch.stop();
    }
    let what = ("watch, 1,000 plugins deployed before in 10,000 files → ready", "< 200 ms");
    table.compare(what, &ours, &bare, |median, _, _| median < Duration::from_millis(200));
    table.push(Line {
        what: "the same → compared with the server",
        measured: shown(compared.median()),
        p99: shown(compared.p99()),
        reached: true,
        ..Line::default()
    });
}

pub(crate) fn first(table: &mut Table) {
    let (server, project) = deployed(PLUGINS, USUAL);
    let (mut ours, mut bare) = (Times::default(), Times::default());
    for _ in 0..RUNS {
        let folder = project.path("plugins");
        bare.push(timed(|| drop(Beside::start(&["parser", folder.to_str().unwrap()]))));
        fs::remove_dir_all(project.path(".owui-watch")).unwrap();
        let started = Instant::now();
        let mut watch = project.watch_with(&[]);
        watch.wait("ready", None);
        ours.push(started.elapsed());
        drop(watch);
        assert!(server.take().iter().all(|seen| seen.updates().is_none()));
    }
    let what = ("the very first start, 1,000 plugins → ready; floor: parsing alone", "ratio ≤ 1.25");
    table.compare(what, &ours, &bare, |_, _, ratio| ratio <= 1.25);
}

/// So many plugins that the server holds, and that an earlier run knows of.
pub(crate) fn deployed(n: usize, size: usize) -> (Responder, Project) {
    let server = Responder::start(Some(KEEP_ALIVE));
    scene::seed(&server, n, size);
    let project = scene::project(&server, n, size);
    pass(&project);
    assert_eq!(server.text(&id(n - 1)), scene::plugin(&id(n - 1), "1.0.0", size));
    (server, project)
}

/// Lets a pass see the files when they have been as they are for a while, as they usually are: what was written within the
/// last two seconds may still change unseen, and is read again.
fn remember(project: &Project) {
    sleep(Duration::from_secs(4));
    pass(project);
}

/// Files that are no plugins, half of them Python.
fn more_files(project: &Project, n: usize) {
    for n in 0..n {
        let ending = if n % 2 == 0 { "py" } else { "md" };
        project.put(&format!("plugins/g{:03}/other{n}.{ending}", n / 100), scene::script(n));
    }
    scene::age(project);
}

/// A pass that finds everything as it is.
pub(crate) fn pass(project: &Project) {
    let ran = project.run(&["--once", "--quiet"]);
    assert_eq!(ran.code, Some(0), "{}{}", ran.stdout, ran.stderr);
}

pub(crate) fn timed(what: impl FnOnce()) -> Duration {
    let started = Instant::now();
    what();
    started.elapsed()
}
