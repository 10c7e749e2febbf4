//! Many saves at once, many saves of one file, and many plugins.

use std::collections::BTreeMap;
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::figures::{Line, Table, Times, shown};
use crate::process::{busy, resident};
use crate::responder::{KEEP_ALIVE, Responder};
use crate::scene::{self, Style, USUAL, id, path, plugin};
use crate::support::command::{Project, Watch};

use super::idle::megabytes;
use super::start::{deployed, pass, timed};

pub(crate) fn checkout(table: &mut Table) {
    const PLUGINS: usize = 1000;
    let server = Responder::start(Some(KEEP_ALIVE));
    scene::seed(&server, PLUGINS, USUAL);
    let project = scene::project(&server, PLUGINS, USUAL);
    scene::commit(&project);
    project.sh("git", &["checkout", "--quiet", "-b", "other"]);
    for n in 0..PLUGINS {
        // Git looks no further than at the size of what was written in the same second.
        project.put(&path(n), plugin(&id(n), "2.0.10", USUAL));
    }
    project.sh("git", &["commit", "--quiet", "--all", "--message", "others"]);
    project.sh("git", &["checkout", "--quiet", "main"]);
    let mut watch = project.watch();
    let (mut first, mut last, mut once) = (Times::default(), Times::default(), true);
    for branch in ["other", "main", "other", "main", "other"] {
        server.take();
        project.sh("git", &["checkout", "--quiet", branch]);
        let ended = Instant::now();
        server.wait_for_updates(PLUGINS);
        // What is to be sent twice is sent by now; and no plugin waits for its formatter the next time.
        sleep(Duration::from_millis(1500));
        let seen = server.take();
        let updates: Vec<_> = seen.iter().filter(|seen| seen.updates().is_some()).collect();
        first.push(updates[0].at.saturating_duration_since(ended));
        last.push(updates[updates.len() - 1].at.saturating_duration_since(ended));
        let mut times = BTreeMap::new();
        for update in updates {
            *times.entry(update.updates().unwrap().to_owned()).or_insert(0) += 1;
        }
        once &= times.len() == PLUGINS && times.values().all(|times| *times == 1);
    }
    watch.stop();
    table.push(Line {
        what: "git checkout of 1,000 plugins: its end → the first request at the server",
        goal: "< 250 ms",
        measured: shown(first.median()),
        p99: shown(first.p99()),
        reached: first.p99() < Duration::from_millis(250),
        ..Line::default()
    });
    table.push(Line {
        what: "the same → the last one",
        measured: shown(last.median()),
        p99: shown(last.p99()),
        reached: true,
        ..Line::default()
    });
    table.push(Line {
        what: "each sent once",
        goal: "yes",
        measured: if once { "yes" } else { "no" }.to_owned(),
        reached: once,
        ..Line::default()
    });
}

pub(crate) fn storm(table: &mut Table) {
    const SAVES: u32 = 10_000;
    let (server, project) = deployed(10, USUAL);
    let mut watch = project.watch();
    let before = resident(watch.pid());
    server.take();
    let started = Instant::now();
    let mut most = before;
    for n in 0..SAVES {
        let next = started + Duration::from_secs(10) * n / SAVES;
        sleep(next.saturating_duration_since(Instant::now()));
        scene::save(&project.path(&path(0)), &plugin(&id(0), &format!("3.{n:05}"), USUAL), Style::InPlace);
        if n % 100 == 0 {
            most = most.max(resident(watch.pid()));
        }
    }
    let took = started.elapsed();
    let last = format!("3.{:05}", SAVES - 1);
    let wanted = plugin(&id(0), &last, USUAL);
    while server.text(&id(0)) != wanted {
        watch.wait("updated", Some(&id(0)));
    }
    let after = started.elapsed().saturating_sub(took);
    let sent = server.take().iter().filter(|seen| seen.updates().is_some()).count();
    table.push(Line {
        what: "10,000 saves of one file in 10 s: sent",
        goal: "as often as the server can, one at a time",
        measured: format!("{sent}, {} at a time", server.most_under_way()),
        reached: server.most_under_way() == 1,
        ..Line::default()
    });
    table.push(Line {
        what: "the last save → its text at the server",
        measured: shown(after),
        reached: true,
        ..Line::default()
    });
    table.push(Line {
        what: "memory before, and its peak",
        goal: "flat",
        measured: megabytes(most),
        floor: megabytes(before),
        reached: most < before + 2048,
        ..Line::default()
    });
}

pub(crate) fn growth(table: &mut Table) {
    const SMALL: usize = 2 * 1024;
    const SAVES: usize = 100;
    let mut few = Growing::of(10, SMALL);
    let mut many = Growing::of(10_000, SMALL);
    for n in 0..SAVES {
        few.save(n, SMALL);
        many.save(n, SMALL);
        // None of the ten may have been deployed a moment ago.
        sleep(Duration::from_millis(110));
    }
    table.compare(
        ("a save among 10,000 plugins → request; floor: among 10", "ratio ≤ 1.2"),
        &many.times,
        &few.times,
        |_, _, ratio| ratio <= 1.2,
    );
    let (cost, floor) = (many.cost(), few.cost());
    let ratio = cost.div_duration_f64(floor);
    table.push(Line {
        what: "the same: CPU time per save",
        goal: "ratio ≤ 1.2",
        measured: shown(cost),
        floor: shown(floor),
        ratio: format!("{ratio:.2}"),
        reached: ratio <= 1.2,
        ..Line::default()
    });
    let (mut large, mut small) = (Times::default(), Times::default());
    let (_server, project) = deployed(1000, SMALL);
    many.watch.stop();
    for _ in 0..5 {
        small.push(timed(|| pass(&project)));
        large.push(timed(|| pass(&many.project)));
    }
    let ratio = large.median().div_duration_f64(small.median());
    table.push(Line {
        what: "--once on 10,000 plugins; floor: on 1,000",
        goal: "ratio ≤ 11",
        measured: shown(large.median()),
        p99: shown(large.p99()),
        floor: shown(small.median()),
        ratio: format!("{ratio:.2}"),
        reached: ratio <= 11.0,
    });
}

/// A watch, and what saves cost it.
struct Growing {
    server: Responder,
    project: Project,
    watch: Watch,
    times: Times,
    busy: Duration,
    saves: u32,
}

impl Growing {
    fn of(n: usize, size: usize) -> Self {
        let (server, project) = deployed(n, size);
        let watch = project.watch();
        // What the start has left to do is not a save's.
        sleep(Duration::from_secs(2));
        let busy = busy(watch.pid());
        Self { server, project, watch, times: Times::default(), busy, saves: 0 }
    }

    fn save(&mut self, n: usize, size: usize) {
        self.saves += 1;
        self.server.take();
        let text = plugin(&id(n % 10), &format!("4.{n}"), size);
        let at = scene::save(&self.project.path(&path(n % 10)), &text, Style::InPlace);
        let arrived = self.server.wait_for(&format!("POST /api/v1/functions/id/{}/update", id(n % 10)));
        self.times.push(arrived.saturating_duration_since(at));
        self.watch.wait("updated", None);
    }

    fn cost(&self) -> Duration {
        busy(self.watch.pid()).saturating_sub(self.busy) / self.saves
    }
}
