//! What it costs while nothing happens, and before anything does.

use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use crate::figures::{Line, Table, Times, shown};
use crate::process::{busy, resident, sleeps};
use crate::scene::{self, Beside, USUAL};

use super::start::{deployed, timed};

pub(crate) fn idle(table: &mut Table) {
    const SECONDS: u64 = 10;
    let (server, project) = deployed(1000, USUAL);
    let mut watch = project.watch();
    let floor = Beside::start(&["watch", project.path("plugins").to_str().unwrap(), &server.address.to_string()]);
    // Whatever the start has left to do is done by then, the connection closed, and the threads of the scan have ended,
    // which tokio keeps for ten seconds.
    sleep(Duration::from_secs(15));
    let before = (sleeps(watch.pid()), busy(watch.pid()));
    sleep(Duration::from_secs(SECONDS));
    let (woken, ran) = (sleeps(watch.pid()) - before.0, busy(watch.pid()).saturating_sub(before.1));
    let memory = resident(watch.pid());
    table.push(Line {
        what: "idle, 1,000 plugins: wake-ups in 10 s",
        goal: "0",
        measured: woken.to_string(),
        floor: "0".to_owned(),
        reached: woken == 0,
        ..Line::default()
    });
    table.push(Line {
        what: "idle: CPU time in 10 s",
        goal: "0.0 %",
        measured: shown(ran),
        floor: "0".to_owned(),
        reached: ran < Duration::from_millis(5),
        ..Line::default()
    });
    table.push(Line {
        what: "idle: resident memory",
        goal: "< 12 MB",
        measured: megabytes(memory),
        floor: megabytes(resident(floor.pid())),
        reached: memory * 1024 < 12_000_000,
        ..Line::default()
    });
    watch.stop();
}

pub(crate) fn binary(table: &mut Table) {
    let binary = env!("CARGO_BIN_EXE_owui-watch");
    let size = std::fs::metadata(binary).unwrap().len();
    table.push(Line {
        what: "binary, stripped",
        goal: "< 10 MB",
        measured: megabytes(size / 1024),
        reached: size < 10_000_000,
        ..Line::default()
    });
    let (mut ours, mut bare) = (Times::default(), Times::default());
    let run = |command: &mut Command| timed(|| assert!(command.stdout(Stdio::null()).status().unwrap().success()));
    for _ in 0..100 {
        bare.push(run(&mut scene::ours(&["nothing"])));
        ours.push(run(Command::new(binary).arg("--version")));
    }
    let what = ("--version; floor: a program that does nothing", "< 5 ms");
    table.compare(what, &ours, &bare, |median, _, _| median < Duration::from_millis(5));
}

/// KiB as the SI's megabytes, in which the goals are.
pub(crate) fn megabytes(kib: u64) -> String {
    let tenths = kib * 1024 / 100_000;
    format!("{}.{} MB", tenths / 10, tenths % 10)
}
