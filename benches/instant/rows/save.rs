//! From a save to the last byte of the request.

use std::thread::sleep;
use std::time::Duration;

use crate::figures::{Table, Times};
use crate::responder::{KEEP_ALIVE, Responder};
use crate::scene::{self, Beside, Style, USUAL, id, path, plugin};
use crate::support::command::{Project, Watch};

/// So many plugins, so that each has been left alone for longer than a second when its turn comes: what was deployed a
/// moment ago waits for its formatter.
const PLUGINS: usize = 60;
const PAUSE: Duration = Duration::from_millis(20);
const SAVES: usize = 300;

pub(crate) fn save(table: &mut Table) {
    let server = Responder::start(Some(KEEP_ALIVE));
    scene::seed(&server, PLUGINS, USUAL);
    let project = scene::project(&server, PLUGINS, USUAL);
    scene::commit(&project);
    let _watch = project.watch();
    let floor = Floor::start(&server);
    for (style, what) in [
        (Style::InPlace, "save in place → request at the server"),
        (Style::Rename, "save by rename → request at the server"),
    ] {
        let (mut ours, mut bare) = (Times::default(), Times::default());
        for n in 0..SAVES {
            let text = plugin(&id(n % PLUGINS), &format!("2.{style:?}.{n}"), USUAL);
            bare.push(floor.save(&server, n % PLUGINS, &text, style));
            sleep(PAUSE / 2);
            ours.push(saved(&server, &project, n % PLUGINS, &text, style));
            sleep(PAUSE / 2);
        }
        table.compare((what, "median < 3 ms, p99 < 15 ms, ratio ≤ 3"), &ours, &bare, |median, p99, ratio| {
            median < Duration::from_millis(3) && p99 < Duration::from_millis(15) && ratio <= 3.0
        });
    }
}

/// Several watches side by side, since each has to wait until the server has closed its connection.
pub(crate) fn save_after_a_while(table: &mut Table) {
    const WATCHES: usize = 12;
    const ROUNDS: usize = 4;
    let (server, kept) = (Responder::start(Some(KEEP_ALIVE)), Responder::start(None));
    scene::seed(&server, 1, USUAL);
    let watches: Vec<(Project, Watch)> = (0..WATCHES)
        .map(|_| {
            let project = scene::project(&server, 1, USUAL);
            scene::commit(&project);
            let watch = project.watch();
            (project, watch)
        })
        .collect();
    let floor = Floor::start(&kept);
    let (mut ours, mut bare) = (Times::default(), Times::default());
    for round in 0..ROUNDS {
        sleep(KEEP_ALIVE + Duration::from_millis(500));
        for (n, (project, _)) in watches.iter().enumerate() {
            let text = plugin(&id(0), &format!("2.{round}.{n}"), USUAL);
            bare.push(floor.save(&kept, 0, &text, Style::InPlace));
            sleep(PAUSE);
            ours.push(saved(&server, project, 0, &text, Style::InPlace));
            sleep(PAUSE);
        }
    }
    let what = ("the same after the server has closed the connection", "median < 5 ms");
    table.compare(what, &ours, &bare, |median, _, _| median < Duration::from_millis(5));
}

fn saved(server: &Responder, project: &Project, n: usize, text: &str, style: Style) -> Duration {
    server.take();
    let at = scene::save(&project.path(&path(n)), text, style);
    server.wait_for(&format!("POST /api/v1/functions/id/{}/update", id(n))).saturating_duration_since(at)
}

/// The bare sender and its folder.
struct Floor {
    folder: tempfile::TempDir,
    _sender: Beside,
}

impl Floor {
    fn start(server: &Responder) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let sender = Beside::start(&["sender", folder.path().to_str().unwrap(), &server.address.to_string()]);
        Self { folder, _sender: sender }
    }

    fn save(&self, server: &Responder, n: usize, text: &str, style: Style) -> Duration {
        let id = format!("bare{n}");
        server.take();
        let at = scene::save(&self.folder.path().join(format!("{id}.py")), text, style);
        server.wait_for(&format!("POST /api/v1/functions/id/{id}/update")).saturating_duration_since(at)
    }
}
