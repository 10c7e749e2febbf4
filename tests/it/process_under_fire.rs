//! The built binary when it is killed, when its disk fails, and when it runs for long.
//!
//! The number of kills and saves and the random seed can be set; see CONTRIBUTING.

#![cfg(target_os = "linux")]

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::str::FromStr;
use std::time::{Duration, Instant, SystemTime};

use owui_watch::disk::Folder;
use owui_watch::engine::ledger::Ledger;
use owui_watch::plugin::{Digest, Kind};
use serde_json::json;

use crate::support::command::{Project, Watch, check, filter, is_whole, names};
use crate::support::fake_server::{FakeServer, Fault, Version};
use crate::support::sentences::STATE_ERROR;

const A: &str = "plugins/a.py";
/// The prefix of temporary files.
const UNFINISHED: &str = ".owui-watch-";

/// A number from a variable, for a longer or repeated run.
fn set<T: FromStr>(variable: &str, otherwise: T) -> T {
    std::env::var(variable).ok().map_or(otherwise, |value| value.parse().ok().expect("a number"))
}

/// A project with `a` on the server, and on.
fn running(server: &FakeServer) -> Project {
    let project = Project::on(server);
    project.put(A, filter("1"));
    assert_eq!(project.run(&["--once"]).code, Some(0));
    server.edit_row(Kind::Function, "a", |row| row.is_active = true);
    project
}

fn text(server: &FakeServer) -> String {
    server.row(Kind::Function, "a").unwrap().content
}

fn count(watch: &Watch, event: &str) -> usize {
    watch.said().iter().filter(|said| **said == event).count()
}

/// The files in a folder and below it.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

fn file_name(path: &Path) -> &str {
    path.file_name().unwrap().to_str().unwrap()
}

// ---- the end --------------------------------------------------------------------------------------------------------

/// It waits ten seconds for a silent server.
#[test]
fn a_stop_waits_for_a_silent_server_but_not_forever() {
    let server = FakeServer::start();
    let project = running(&server);
    let mut watch = project.watch();
    server.hold("/update");
    project.write(A, &filter("2"));
    server.wait_for("/update", 1);
    let asked = Instant::now();
    watch.signal("TERM");
    assert_eq!(watch.ended().code(), Some(0));
    let took = asked.elapsed();
    assert!((Duration::from_secs(9)..Duration::from_secs(20)).contains(&took), "{took:?}");
    assert_eq!(count(&watch, "stopped"), 1);
    server.release();
}

// ---- killed ---------------------------------------------------------------------------------------------------------

/// A text that every server refuses.
fn refused(n: u64) -> String {
    format!("import no_such_thing\n\n{}", filter(&n.to_string()))
}

/// No file in the state folder is incomplete, whenever its writer was killed.
#[track_caller]
fn assert_state_is_whole(project: &Project, server: &FakeServer) {
    let state = project.path(".owui-watch");
    let mut notes = BTreeMap::from([("rollbacks", 0), ("under-way", 0)]);
    for path in files(&state) {
        let name = file_name(&path);
        let within = path.strip_prefix(&state).unwrap().iter().next().unwrap().to_str().unwrap();
        let read = || fs::read_to_string(&path).unwrap();
        if name.starts_with(UNFINISHED) {
            continue;
        }
        let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
        match (within, extension) {
            ("backups" | "deployed", _) => {
                let digest = Digest::of_text(&read()).short();
                assert!(name.ends_with(&format!("-{digest}.py")), "{} is not what its name says", path.display());
            }
            ("rollbacks" | "under-way", _) => *notes.get_mut(within).unwrap() += 1,
            ("logs", _) => assert!(read().ends_with('\n'), "{}", path.display()),
            (".gitignore", _) => assert_eq!(read(), "*\n"),
            (name, "json") if name.starts_with("ledger-") => {
                Ledger::from_json(&read()).unwrap_or_else(|error| panic!("{name}: {error}"));
            }
            (name, _) if name.starts_with("version-") => assert!(read().starts_with("0."), "{}", read()),
            // Each request is taken.
            ("requests", _) => assert_eq!(name, "bell"),
            (_, "lock") | ("seen.json" | "identity", _) => {}
            (other, _) => panic!("{other} was left there"),
        }
    }
    let folder = Folder::new(state, &server.url());
    assert_eq!(BTreeMap::from([("rollbacks", folder.rollbacks().len()), ("under-way", folder.intents().len())]), notes);
}

/// Kills it repeatedly and checks the state; then lets it finish.
#[expect(clippy::print_stdout, reason = "what was random is shown when the test fails")]
fn check_kills(version: Version, kills: usize) {
    let seed = set("UNDER_FIRE_SEED", fastrand::u64(..));
    println!("UNDER_FIRE_SEED={seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let server = FakeServer::of(version);
    let project = Project::on(&server);
    let ids = ["a", "b", "c"];
    let path = |id: &str| format!("plugins/{id}.py");
    // There are no other writers: every text on the server must count as ours.
    project.put("watch.toml", "on_remote_edit = \"hold\"\n");
    for id in ids {
        project.put(&path(id), filter("0"));
    }
    assert_eq!(project.run(&["--once"]).code, Some(0));
    for id in ids {
        server.edit_row(Kind::Function, id, |row| row.is_active = true);
    }
    let mut n = 0;
    for _ in 0..kills {
        let mut watch = project.watch_with(&[]);
        // Also before it is ready.
        if random.u8(..4) > 0 {
            watch.wait("ready", None);
        }
        for _ in 0..random.usize(1..4) {
            n += 1;
            let text = if random.u8(..3) == 0 { refused(n) } else { filter(&n.to_string()) };
            project.write(&path(ids[random.usize(..ids.len())]), &text);
            std::thread::sleep(Duration::from_micros(random.u64(..12_000)));
        }
        watch.kill();
        assert_state_is_whole(&project, &server);
        for id in ids {
            let row = server.row(Kind::Function, id).unwrap();
            assert!(is_whole(&row.content) && !row.content.contains("no_such_thing"), "{id}: {}", row.content);
        }
    }
    // A refusal left the function as it was, even if the repair was interrupted by a kill.
    let once = |code: i32| {
        let ran = project.run(&["--once", "--json"]);
        let notices = ran.notices();
        assert_eq!(ran.code, Some(code), "{notices:#?}");
        assert!(!notices.iter().any(|notice| notice["event"] == "trouble"), "{notices:#?}");
        notices
    };
    let is_refused = |id: &str| project.read(&path(id)).contains("no_such_thing");
    once(i32::from(ids.iter().any(|id| is_refused(id))));
    for id in ids {
        let row = server.row(Kind::Function, id).unwrap();
        assert!(row.is_active, "{id} was on");
        assert!(is_refused(id) || row.content == project.read(&path(id)), "{id}: {}", row.content);
    }
    let leftovers =
        || files(&project.path(".owui-watch")).into_iter().filter(|path| file_name(path).starts_with(UNFINISHED));
    assert!(leftovers().count() <= kills);
    for path in leftovers() {
        let file = File::options().write(true).open(path).unwrap();
        file.set_modified(SystemTime::now() - Duration::from_mins(5)).unwrap();
    }
    for id in ids {
        project.put(&path(id), filter("last"));
    }
    once(0);
    for id in ids {
        let row = server.row(Kind::Function, id).unwrap();
        assert_eq!((row.content, row.is_active), (filter("last"), true), "{id}");
    }
    assert_eq!(leftovers().count(), 0);
    let summary = once(0).pop().unwrap();
    assert_eq!(summary["unchanged"], ids.len(), "{summary}");
}

#[test]
fn a_kill_at_any_moment_leaves_nothing_half_done() {
    check_kills(Version::V0_12_4, 20);
}

#[test]
fn a_killed_update_leaves_no_function_off_on_older_servers() {
    check_kills(Version::V0_11_4, 20);
}

#[test]
#[ignore = "takes a minute; UNDER_FIRE_KILLS says how often each"]
fn hundreds_of_killed_runs_leave_nothing_half_done() {
    for version in [Version::V0_12_4, Version::V0_11_4] {
        check_kills(version, set("UNDER_FIRE_KILLS", 200));
    }
}

// ---- the disk -------------------------------------------------------------------------------------------------------

/// A state folder that can be full: on a small file system if one can be mounted, else by a limit on file sizes.
struct Disk {
    mounted: Option<PathBuf>,
}

impl Disk {
    /// A mounted one, if permitted.
    fn at(path: PathBuf, options: &str) -> Self {
        fs::create_dir_all(&path).unwrap();
        let mount = Command::new("mount").args(["-t", "tmpfs", "-o", options, "none"]).arg(&path).output();
        Self { mounted: mount.is_ok_and(|mount| mount.status.success()).then_some(path) }
    }

    fn fill(&self, watch: &Watch) {
        match &self.mounted {
            Some(path) => {
                let full = fs::write(path.join("filler"), vec![0; 1 << 22]);
                assert_eq!(full.unwrap_err().kind(), std::io::ErrorKind::StorageFull);
            }
            None => limit(watch, "0"),
        }
    }

    fn free(&self, watch: &Watch) {
        match &self.mounted {
            Some(path) => fs::remove_file(path.join("filler")).unwrap(),
            None => limit(watch, "unlimited"),
        }
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        if let Some(path) = &self.mounted {
            Command::new("umount").arg("-l").arg(path).status().ok();
        }
    }
}

/// Only the soft limit: it can be raised again.
fn limit(watch: &Watch, bytes: &str) {
    let limits = [format!("--pid={}", watch.pid()), format!("--fsize={bytes}:")];
    assert!(Command::new("prlimit").args(limits).status().unwrap().success());
}

/// A watch prepared by a shell.
fn watch_after(project: &Project, preparation: &str) -> Watch {
    let plain = project.command(&["--json"]);
    let mut shell = Command::new("/bin/sh");
    shell.arg("-c").arg(format!("{preparation}; exec \"$0\" \"$@\"")).arg(plain.get_program()).args(plain.get_args());
    shell.current_dir(plain.get_current_dir().unwrap()).env_clear();
    let environment: Vec<(OsString, OsString)> =
        plain.get_envs().filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned()))).collect();
    shell.envs(environment);
    let mut watch = Watch::start(&mut shell);
    watch.wait("ready", None);
    watch.wait("summary", None);
    watch
}

/// A project with its state perhaps on another disk, and its watch.
fn on_a_small_disk(server: &FakeServer) -> (Project, Disk, Watch) {
    let project = Project::on(server);
    let disk = Disk::at(project.path(".owui-watch"), "size=1m,mode=0700");
    project.put(A, filter("1"));
    assert_eq!(project.run(&["--once"]).code, Some(0));
    server.edit_row(Kind::Function, "a", |row| row.is_active = true);
    // Otherwise the first byte beyond the limit kills it.
    let watch = watch_after(&project, "trap '' XFSZ");
    (project, disk, watch)
}

/// Checks that the newest text arrives, then stops, and checks that the next start finds everything in order.
fn assert_all_is_well(project: &Project, server: &FakeServer, watch: &mut Watch, version: &str) {
    assert!(watch.stop().success());
    assert_eq!((text(server), server.row(Kind::Function, "a").unwrap().is_active), (filter(version), true));
    assert_state_is_whole(project, server);
    // It knows its own text.
    project.put(A, filter("next"));
    let notices = project.run(&["--once", "--json"]).notices();
    let updated = notices.iter().find(|notice| notice["event"] == "updated").unwrap();
    assert_eq!(updated.get("backup"), None, "{updated}");
    assert!(!notices.iter().any(|notice| notice["event"] == "trouble"), "{notices:#?}");
}

#[test]
fn a_full_disk_is_reported_once_and_loses_no_text() {
    let server = FakeServer::start();
    let (project, disk, mut watch) = on_a_small_disk(&server);
    disk.fill(&watch);
    for version in ["2", "3", "4", "5"] {
        project.write(A, &filter(version));
        watch.wait("updated", Some("a"));
    }
    // The ledger, and other records of a deploy.
    assert!((1..=3).contains(&count(&watch, "trouble")), "{:?}", watch.said());
    // Without a copy nothing is replaced.
    server.edit_row(Kind::Function, "a", |row| row.content = filter("theirs"));
    project.write(A, &filter("6"));
    let failed = watch.wait("failed", Some("a")).pop().unwrap();
    assert_eq!((&failed["reason"], text(&server)), (&json!("backup_failed"), filter("theirs")));
    disk.free(&watch);
    // No further save is needed.
    let updated = watch.wait("updated", Some("a")).pop().unwrap();
    let backup = project.read(updated["backup"].as_str().unwrap());
    assert_eq!((backup, text(&server)), (filter("theirs"), filter("6")));
    project.write(A, &filter("7"));
    watch.wait("updated", Some("a"));
    if let Some(path) = &disk.mounted {
        assert!(!path.join("filler").exists());
    }
    assert_all_is_well(&project, &server, &mut watch, "7");
}

/// There is room again just before the end, for the writes that failed.
#[test]
fn writes_that_failed_on_a_full_disk_are_retried() {
    let server = FakeServer::start();
    let (project, disk, mut watch) = on_a_small_disk(&server);
    disk.fill(&watch);
    project.write(A, &filter("2"));
    watch.wait("updated", Some("a"));
    watch.wait("trouble", None);
    disk.free(&watch);
    assert_all_is_well(&project, &server, &mut watch, "2");
}

/// It could not repair what that server does on a refusal.
#[test]
fn a_full_disk_blocks_updates_on_servers_that_switch_off() {
    let server = FakeServer::of(Version::V0_11_4);
    let (project, disk, mut watch) = on_a_small_disk(&server);
    disk.fill(&watch);
    for text in [filter("2"), refused(3)] {
        project.write(A, &text);
        watch.wait("failed", Some("a"));
    }
    let row = server.row(Kind::Function, "a").unwrap();
    assert_eq!((row.content, row.is_active), (filter("1"), true));
    disk.free(&watch);
    project.write(A, &filter("4"));
    watch.wait("updated", Some("a"));
    assert_all_is_well(&project, &server, &mut watch, "4");
}

#[test]
fn a_read_only_state_folder_stops_all_but_dry_runs() {
    let server = FakeServer::start();
    let project = Project::on(&server);
    project.put(A, filter("1"));
    let state = project.path(".owui-watch");
    let disk = Disk::at(state.clone(), "ro,mode=0700");
    if disk.mounted.is_none() {
        fs::set_permissions(&state, fs::Permissions::from_mode(0o500)).unwrap();
    }
    let ran = project.run(&["--once"]);
    assert_eq!(ran.code, Some(2), "{}", ran.stderr);
    assert!(ran.stderr.starts_with(&format!("error: {STATE_ERROR} `.owui-watch`: ")), "{}", ran.stderr);
    assert!(
        ran.stderr.contains("hint: set `OWUI_WATCH_STATE` in the environment to a folder that you may write to"),
        "{}",
        ran.stderr
    );
    assert_eq!(server.lines(), Vec::<String>::new());
    assert_eq!(project.run(&["--once", "--dry-run"]).code, Some(0));
    if disk.mounted.is_none() {
        fs::set_permissions(&state, fs::Permissions::from_mode(0o700)).unwrap();
    }
}

/// A user may go back to an older owui-watch for a day, and lose nothing.
#[test]
fn a_newer_ledger_is_set_aside_and_kept() {
    let server = FakeServer::start();
    let project = running(&server);
    let state = project.path(".owui-watch");
    let ledger = files(&state).into_iter().find(|path| path.extension().is_some_and(|end| end == "json")).unwrap();
    let newer = "{\"format\": 2, \"function\": [\"of another kind\"]}";
    for (n, damaged) in [newer.as_bytes(), b"\xff\xfe", b"{"].into_iter().enumerate() {
        fs::write(&ledger, damaged).unwrap();
        let notices = project.run(&["--once", "--json"]).notices();
        let trouble = notices.iter().find(|notice| notice["event"] == "trouble").unwrap();
        let aside =
            ledger.with_extension(if n == 0 { "json.unusable".into() } else { format!("json.unusable-{}", n + 1) });
        assert!(trouble["message"].as_str().unwrap().contains(file_name(&aside)), "{trouble}");
        assert_eq!(fs::read(&aside).unwrap(), damaged);
        assert!(Ledger::from_json(&fs::read_to_string(&ledger).unwrap()).is_ok());
    }
    assert_eq!(fs::read_to_string(ledger.with_extension("json.unusable")).unwrap(), newer);
}

#[test]
fn a_lost_logs_folder_is_created_again() {
    let server = FakeServer::start();
    let project = running(&server);
    let mut watch = project.watch();
    project.remove_beside_a_watch(".owui-watch/logs");
    project.write(A, &filter("2"));
    watch.wait("updated", Some("a"));
    assert!(watch.stop().success());
    assert!(project.read(".owui-watch/logs/function-a.log").contains(" updated "));
    assert_eq!(count(&watch, "trouble"), 0);
}

#[test]
fn a_lost_state_folder_is_created_again() {
    let server = FakeServer::start();
    let project = running(&server);
    let mut watch = project.watch();
    project.remove_beside_a_watch(".owui-watch");
    project.write(A, &filter("2"));
    watch.wait("updated", Some("a"));
    check(&project.run(&["deploy", "a"]), 0);
    assert_eq!(count(&watch, "trouble"), 0);
    assert_all_is_well(&project, &server, &mut watch, "2");
}

/// Each entry is removed by itself, as by a careless cleanup.
#[test]
fn a_half_removed_state_folder_is_completed() {
    let server = FakeServer::start();
    let project = running(&server);
    let mut watch = project.watch();
    let mut entries = names(&project.path(".owui-watch"));
    // It takes all others with it.
    entries.sort_by_key(|name| name == "identity");
    let mut version = 1;
    for name in entries {
        let path = format!(".owui-watch/{name}");
        if project.path(&path).is_dir() {
            project.remove_beside_a_watch(&path);
        } else {
            fs::remove_file(project.path(&path)).unwrap();
        }
        version += 1;
        project.write(A, &filter(&version.to_string()));
        watch.wait("updated", Some("a"));
    }
    check(&project.run(&["deploy", "a"]), 0);
    assert_eq!(count(&watch, "trouble"), 0);
    // What nothing vouched for once the identity was gone.
    fs::remove_dir_all(project.path(".owui-watch/unusable")).unwrap();
    assert_all_is_well(&project, &server, &mut watch, &version.to_string());
}

/// Whatever the umask.
#[test]
fn written_files_are_private() {
    let server = FakeServer::of(Version::V0_11_4);
    let project = running(&server);
    fs::remove_dir_all(project.path(".owui-watch")).unwrap();
    let mut watch = watch_after(&project, "umask 0");
    server.edit_row(Kind::Function, "a", |row| row.content = filter("theirs"));
    server.hold("/update");
    project.write(A, &filter("2"));
    server.wait_for("/update", 1);
    let state = project.path(".owui-watch");
    let mut seen: Vec<_> = names(&state);
    // The ledger exists, perhaps incomplete; a log follows each deploy.
    let begins = |name: &str| ["ledger-", "version-", ".owui-watch-"].iter().any(|begin| name.starts_with(begin));
    seen.retain(|name| !begins(name) && name != "logs");
    assert_eq!(seen, [".gitignore", "backups", "deployed", "identity", "requests", "under-way"]);
    server.release();
    watch.wait("updated", Some("a"));
    assert!(watch.stop().success());
    assert!(state.join("logs").is_dir());
    let mut paths = vec![state];
    while let Some(path) = paths.pop() {
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o077, 0, "{}", path.display());
        paths.extend(fs::read_dir(&path).into_iter().flatten().map(|entry| entry.unwrap().path()));
    }
}

// ---- for long -------------------------------------------------------------------------------------------------------

/// A process's heap and stacks in KiB, and its number of open files.
fn sample(watch: &Watch) -> (f64, usize) {
    let folder = PathBuf::from(format!("/proc/{}", watch.pid()));
    let status = fs::read_to_string(folder.join("status")).unwrap();
    let anonymous = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
    (anonymous.trim().trim_end_matches(" kB").parse().unwrap(), fs::read_dir(folder.join("fd")).unwrap().count())
}

/// The peak memory of a watch after its first pass, in KiB, with this list of functions.
fn peak_for_a_list(list: &'static str) -> usize {
    let server = FakeServer::start();
    let project = Project::on(&server);
    project.put(A, filter("1"));
    server.fail_next_of("functions/export", 1, Fault::Says(200, list));
    let mut watch = project.watch();
    let status = fs::read_to_string(format!("/proc/{}/status", watch.pid())).unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    assert!(watch.stop().success());
    peak.trim().trim_end_matches(" kB").parse().unwrap()
}

#[test]
fn a_list_needs_less_memory_than_four_times_its_size() {
    const SIZE: usize = 8 << 20;
    let without = peak_for_a_list("[]");
    for (head, part, tail) in [
        (r#"[{"id": "b", "content": ""#, r"x = 1\n", r#""}]"#),
        (r#"[{"id": "b", "meta": {"icon": ["#, "0,", "0]}}]"),
        (r#"[{"id": "b", "meta": {"manifest": {"x": ["#, "[],", "0]}}}]"),
        ("[", r#"{"id":"b","content":"x = 1\n","meta":{"manifest":{"title":"B"}}},"#, "0]"),
    ] {
        let list = format!("{head}{}{tail}", part.repeat(SIZE / part.len()));
        let peak = peak_for_a_list(list.leak()) - without;
        assert!(peak < 4 * SIZE / 1024, "{peak} KiB for {} KiB of `{part}`", SIZE / 1024);
    }
}

/// Saves so often, each plugin in turn, and samples the process after each turn.
fn soak(saves: usize, plugins: usize) -> Vec<(f64, usize)> {
    let server = FakeServer::start();
    // With an arena for each thread, it is chance how much unused memory glibc keeps.
    let project = Project::on(&server).with("MALLOC_ARENA_MAX", "1");
    let path = |id: usize| format!("plugins/p{id}.py");
    for id in 0..plugins {
        project.put(&path(id), filter("0"));
    }
    assert_eq!(project.run(&["--once"]).code, Some(0));
    let mut watch = project.watch();
    let mut samples = Vec::new();
    for turn in 1..=saves.div_ceil(plugins) {
        for id in 0..plugins {
            project.write(&path(id), &filter(&turn.to_string()));
        }
        for _ in 0..plugins {
            watch.wait("updated", None);
        }
        samples.push(sample(&watch));
        for id in [0, plugins - 1] {
            assert_eq!(server.row(Kind::Function, &format!("p{id}")).unwrap().content, filter(&turn.to_string()));
        }
        watch.forget();
        server.forget();
    }
    assert!(watch.stop().success());
    samples
}

#[track_caller]
fn assert_no_handles_leak(samples: &[(f64, usize)]) {
    let quarter = samples.len().div_ceil(4);
    let most = |part: &[(f64, usize)]| part.iter().map(|(_, fds)| *fds).max().unwrap();
    let (first, last) = (most(&samples[..quarter]), most(&samples[samples.len() - quarter..]));
    // The number of connections varies.
    assert!(last <= first + 2, "{first} open files became {last}");
}

#[test]
fn hundreds_of_saves_leave_no_file_open() {
    assert_no_handles_leak(&soak(200, 20));
}

/// The heap approaches its final size ever more slowly: after some thousand saves, it still grows by some 40 bytes a
/// save, after some ten thousand by 5. Beside other tests, saves come in larger bunches, and then it takes up to a
/// megabyte more. So the more saves, the smaller the leak that is found: with 100,000 one of 80 bytes a save.
#[test]
#[ignore = "takes several minutes; UNDER_FIRE_SAVES says how many, 10,000 or more"]
fn a_hundred_thousand_saves_need_no_more_memory() {
    const BUNCHES: f64 = 1536.0;
    const BYTES_A_SAVE: f64 = 20.0;
    let saves = set("UNDER_FIRE_SAVES", 100_000).max(10_000);
    let samples = soak(saves, 50);
    assert_no_handles_leak(&samples);
    let quarter = samples.len() / 4;
    #[expect(clippy::cast_precision_loss, reason = "there are hundreds")]
    let mean = |part: &[(f64, usize)]| part.iter().map(|(heap, _)| heap).sum::<f64>() / part.len() as f64;
    let means: Vec<f64> = samples.chunks_exact(quarter).map(mean).collect();
    #[expect(clippy::cast_precision_loss, reason = "there are thousands")]
    let allowed = BUNCHES + BYTES_A_SAVE * (saves / 4) as f64 / 1024.0;
    println!("in KiB by quarters: {means:.0?}");
    assert!(means[3] - means[2] < allowed, "in KiB by quarters: {means:.0?}; allowed at the end: {allowed:.0}");
}
