//! The built binary when its settings change: it uses the new ones, or keeps the old ones and says why.
//!
//! Long because every test runs the program through changing settings.

#![cfg(target_os = "linux")]

use std::fs;
use std::io::Write as _;
use std::time::{Duration, SystemTime};

use owui_watch::plugin::Kind;
use serde_json::{Value, json};

use crate::support::command::{Project, REFUSED, Watch, filter, is_whole, writes};
use crate::support::fake_server::{FakeServer, KEY, Version};

const A: &str = "plugins/a.py";

/// A project that has its settings in files, with one plugin.
fn project(server: &FakeServer) -> Project {
    let project = Project::new();
    project.put("watch.toml", toml(server, ""));
    project.put(".env", dotenv(KEY));
    project.put(A, filter("1"));
    project
}

/// The watched project, and its server.
fn watched() -> (FakeServer, Project, Watch) {
    let server = FakeServer::start();
    let project = project(&server);
    let watch = project.watch();
    (server, project, watch)
}

fn toml(server: &FakeServer, more: &str) -> String {
    format!("url = \"{}\"\n{more}", server.url())
}

fn dotenv(key: &str) -> String {
    format!("OPENWEBUI_API_KEY={key}\n")
}

fn text(server: &FakeServer, id: &str) -> String {
    server.row(Kind::Function, id).unwrap().content
}

/// Waits until new settings are in use, and returns the changed keys.
#[track_caller]
fn reloaded(watch: &mut Watch) -> Value {
    let notice = watch.wait("reloaded", None).pop().unwrap();
    if notice["changed"] != json!([]) {
        watch.wait("ready", None);
    }
    notice["changed"].clone()
}

/// Waits until settings are rejected, and returns the message.
#[track_caller]
fn wrong(watch: &mut Watch) -> (String, Value) {
    let trouble = watch.wait("trouble", None).pop().unwrap();
    let message = trouble["message"].as_str().unwrap();
    let (_, why) = message.split_once(": ").unwrap_or_else(|| panic!("{message}"));
    (why.to_owned(), trouble["hint"].clone())
}

fn count(watch: &Watch, event: &str) -> usize {
    watch.said().iter().filter(|said| **said == event).count()
}

// ---- what can change ------------------------------------------------------------------------------------------------

#[test]
fn another_server() {
    let (old, new) = (FakeServer::start(), FakeServer::start());
    let project = project(&old);
    let mut watch = project.watch();
    project.write("watch.toml", &toml(&new, ""));
    assert_eq!(reloaded(&mut watch), json!(["url"]));
    watch.wait("created", Some("a"));
    let asked = old.lines();
    project.write(A, &filter("2"));
    watch.wait("updated", Some("a"));
    assert_eq!((text(&old, "a"), text(&new, "a"), old.lines()), (filter("1"), filter("2"), asked));

    // The old server's state is unlocked, the new one's is locked.
    assert_eq!(project.run(&["--once", "--url", &old.url()]).code, Some(0));
    let refused = project.run(&["--once"]);
    assert_eq!(refused.code, Some(2));
    assert!(refused.stderr.contains(&format!("another owui-watch (pid {})", watch.pid())), "{}", refused.stderr);
    assert!(watch.stop().success());
    assert_eq!(watch.stderr(), "");
}

/// As after a `git checkout` of a branch for another server.
#[test]
fn a_save_beside_a_change_of_the_settings_follows_the_new_ones() {
    let (old, new) = (FakeServer::start(), FakeServer::start());
    let project = project(&old);
    let mut watch = project.watch();
    let sent = writes(&old);
    project.write("watch.toml", &toml(&new, ""));
    project.write(A, &filter("2"));
    project.write("plugins/b.py", &filter("1"));
    assert_eq!(reloaded(&mut watch), json!(["url"]));
    watch.wait_for_all(&[("created", "a"), ("created", "b")]);
    assert!(watch.stop().success());
    assert_eq!((text(&new, "a"), text(&new, "b")), (filter("2"), filter("1")));
    assert_eq!((writes(&old), text(&old, "a")), (sent, filter("1")));
}

#[test]
fn another_root_and_other_files_in_it() {
    let server = FakeServer::start();
    let project = project(&server);
    project.put("more/b.py", filter("1"));
    project.put("more/drafts/c.py", filter("1"));
    let mut watch = project.watch();
    project.write("watch.toml", &toml(&server, "root = [\"plugins\", \"more\"]\nexclude = [\"drafts\"]\n"));
    assert_eq!(reloaded(&mut watch), json!(["root", "exclude"]));
    watch.wait("created", Some("b"));
    watch.wait("summary", None);
    assert_eq!(server.row(Kind::Function, "c"), None);
    project.write("more/b.py", &filter("2"));
    watch.wait("updated", Some("b"));

    project.write("watch.toml", &toml(&server, "root = [\"plugins\", \"more\"]\nexclude = []\n"));
    assert_eq!(reloaded(&mut watch), json!(["exclude"]));
    watch.wait("created", Some("c"));
}

#[test]
fn a_missing_root_is_waited_for() {
    let (server, project, mut watch) = watched();
    project.write("watch.toml", &toml(&server, "root = [\"plugins\", \"late\"]\n"));
    assert_eq!(reloaded(&mut watch), json!(["root"]));
    watch.wait("root_missing", None);
    project.write("late/b.py", &filter("1"));
    watch.wait("root_back", None);
    watch.wait("created", Some("b"));
    assert_eq!(count(&watch, "root_missing"), 1);
    project.write("late/b.py", &filter("2"));
    watch.wait("updated", Some("b"));
}

#[test]
fn a_reload_applies_follow_links() {
    let server = FakeServer::start();
    let project = project(&server);
    project.put("elsewhere/b.py", filter("1"));
    std::os::unix::fs::symlink("../elsewhere/b.py", project.path("plugins/b.py")).unwrap();
    let mut watch = project.watch();
    // In the folder's own settings it needs consent.
    project.write(".config/owui-watch/watch.toml", "follow_links = \"anywhere\"\n");
    assert_eq!(reloaded(&mut watch), json!(["follow_links"]));
    watch.wait("created", Some("b"));
    // Links are polled once a second.
    project.write("elsewhere/b.py", &filter("2"));
    watch.wait("updated", Some("b"));
}

#[test]
fn the_settings_of_a_file() {
    let (server, project, mut watch) = watched();
    project.write("watch.toml", &toml(&server, "[plugins.\"plugins/a.py\"]\nid = \"other\"\n"));
    assert_eq!(reloaded(&mut watch), json!(["plugins"]));
    watch.wait("created", Some("other"));
}

/// `--force` applies once, not after every change of the settings.
#[test]
fn force_is_for_the_first_pass() {
    let server = FakeServer::start();
    let project = project(&server);
    assert_eq!(project.run(&["--once"]).code, Some(0));
    let mut watch = project.watch_with(&["--force"]);
    watch.wait("updated", Some("a"));
    watch.wait("summary", None);
    project.write("watch.toml", &toml(&server, "concurrency = 2\n"));
    assert_eq!(reloaded(&mut watch), json!(["concurrency"]));
    assert_eq!(watch.wait("summary", None).pop().unwrap()["unchanged"], 1);
}

#[test]
fn a_corrected_key_is_used() {
    let server = FakeServer::start();
    let project = project(&server);
    project.put(".env", dotenv("sk-wrong"));
    let mut watch = project.watch_with(&["--force"]);
    let refused = watch.wait("not_allowed", None).pop().unwrap();
    assert!(refused["hint"].as_str().unwrap().contains("read only at the start"), "{refused}");
    project.write(".env", &dotenv(KEY));
    assert_eq!(reloaded(&mut watch), json!(["api_key"]));
    watch.wait("created", Some("a"));
    // The server was there all the time.
    assert_eq!((count(&watch, "access_granted"), count(&watch, "back")), (1, 0), "{:?}", watch.said());

    // And an invalid key is refused.
    watch.wait("summary", None);
    project.write(".env", &dotenv("sk-spoilt"));
    assert_eq!(reloaded(&mut watch), json!(["api_key"]));
    watch.wait("not_allowed", None);
    assert!(watch.stop().success());
}

#[test]
fn a_key_file_and_what_is_in_it() {
    let server = FakeServer::start();
    let project = project(&server);
    fs::remove_file(project.path(".env")).unwrap();
    project.put("watch.toml", toml(&server, "api_key_file = \"secret/key\"\n"));
    project.put("secret/key", "sk-wrong");
    let mut watch = project.watch_with(&[]);
    watch.wait("not_allowed", None);
    project.write("secret/key", KEY);
    assert_eq!(reloaded(&mut watch), json!(["api_key"]));
    watch.wait("created", Some("a"));

    // Its folder may be replaced.
    project.write("new/key", "sk-wrong");
    fs::rename(project.path("secret"), project.path("old")).unwrap();
    fs::rename(project.path("new"), project.path("secret")).unwrap();
    assert_eq!(reloaded(&mut watch), json!(["api_key"]));
    watch.wait("not_allowed", None);
    fs::write(project.path("secret/key"), KEY).unwrap();
    assert_eq!(reloaded(&mut watch), json!(["api_key"]));
    watch.wait("summary", None);

    // Its path is known before it exists.
    project.write("watch.toml", &toml(&server, "api_key_file = \"late/key\"\n"));
    let (why, _) = wrong(&mut watch);
    assert_eq!(why, "cannot read the API key: `api_key_file` is `late/key`, and there is no such file");
    project.write("late/key", KEY);
    assert_eq!(reloaded(&mut watch), json!(["api_key"]));
    watch.wait("summary", None);
}

// ---- how it is saved ------------------------------------------------------------------------------------------------

#[test]
fn every_way_of_saving() {
    let (server, project, mut watch) = watched();
    let path = project.path("watch.toml");
    let ways: [&dyn Fn(&str); 4] = [
        &|text| project.write("watch.toml", text),
        &|text| {
            project.write(".watch.toml.tmp", text);
            fs::rename(project.path(".watch.toml.tmp"), &path).unwrap();
        },
        &|text| {
            fs::rename(&path, project.path("watch.toml~")).unwrap();
            project.write("watch.toml", text);
            fs::remove_file(project.path("watch.toml~")).unwrap();
        },
        &|text| {
            project.write("elsewhere/settings", text);
            fs::remove_file(&path).unwrap();
            std::os::unix::fs::symlink("elsewhere/settings", &path).unwrap();
        },
    ];
    for (n, save) in ways.iter().enumerate() {
        save(&toml(&server, &format!("concurrency = {}\n", n + 5)));
        assert_eq!(reloaded(&mut watch), json!(["concurrency"]), "{n}");
    }
    // Through the link.
    project.write("elsewhere/settings", &toml(&server, "concurrency = 20\n"));
    assert_eq!(reloaded(&mut watch), json!(["concurrency"]));
    assert_eq!((count(&watch, "reloaded"), count(&watch, "trouble")), (5, 0), "{:?}", watch.said());
}

#[test]
fn created_later_and_deleted_later() {
    let server = FakeServer::start();
    let project = Project::new().with("OPENWEBUI_URL", &server.url());
    project.put(A, filter("1"));
    project.put("more/b.py", filter("1"));
    let mut watch = project.watch_with(&[]);
    watch.wait("not_allowed", None);
    project.write(".env", &dotenv(KEY));
    assert_eq!(reloaded(&mut watch), json!(["api_key"]));
    watch.wait("created", Some("a"));

    project.write("watch.toml", "root = [\"plugins\", \"more\"]\n");
    assert_eq!(reloaded(&mut watch), json!(["root"]));
    watch.wait("created", Some("b"));
    watch.wait("summary", None);
    fs::remove_file(project.path("watch.toml")).unwrap();
    assert_eq!(reloaded(&mut watch), json!(["root"]));
    assert_eq!(watch.wait("summary", None).pop().unwrap()["unchanged"], 1);

    // The user's own file, whose folder does not exist either.
    project.write(".config/owui-watch/watch.toml", "concurrency = 2\n");
    assert_eq!(reloaded(&mut watch), json!(["concurrency"]));
    project.write(".config/owui-watch/watch.toml", "concurrency = 3\n");
    assert_eq!(reloaded(&mut watch), json!(["concurrency"]));
    fs::rename(project.path(".config"), project.path("away")).unwrap();
    assert_eq!(reloaded(&mut watch), json!(["concurrency"]));
    assert!(watch.stop().success());
}

#[test]
fn changes_are_noticed_when_files_are_polled() {
    let server = FakeServer::start();
    let project = project(&server);
    project.put("watch.toml", toml(&server, "poll = \"100ms\"\n"));
    let mut watch = project.watch();
    // Nobody looks at a half written file: on a busy machine it may stay one for longer than the watch waits.
    let save = |text: &str| {
        project.write("new.toml", &toml(&server, text));
        fs::rename(project.path("new.toml"), project.path("watch.toml")).unwrap();
    };
    save("poll = \"100ms\"\nconcurrency = 2\n");
    assert_eq!(reloaded(&mut watch), json!(["concurrency"]));
    save("");
    assert_eq!(reloaded(&mut watch), json!(["concurrency", "poll"]));
    save("concurrency = 2\n");
    assert_eq!(reloaded(&mut watch), json!(["concurrency"]));
}

#[test]
fn an_unchanged_setting_starts_nothing() {
    let (server, project, mut watch) = watched();
    let asked = server.lines();
    project.write("watch.toml", &toml(&server, ""));
    project.write(".env", &format!("{}OTHER=1\n", dotenv(KEY)));
    let notices = watch.wait("reloaded", None);
    let notice = notices.last().unwrap();
    assert_eq!(notices.len(), 1, "{notices:#?}");
    assert_eq!((&notice["files"], &notice["changed"]), (&json!([".env"]), &json!([])));
    assert_eq!(server.lines(), asked);
    assert!(watch.stop().success());
    assert_eq!((count(&watch, "ready"), count(&watch, "summary")), (1, 1));
}

// ---- wrong settings -------------------------------------------------------------------------------------------------

#[test]
fn invalid_settings_keep_the_old_ones_and_say_why() {
    let (server, project, mut watch) = watched();
    for (n, (more, why, hint)) in [
        (
            "concurency = 2\n",
            "cannot use `watch.toml:2:1`: unknown key `concurency`",
            json!("did you mean `concurrency`?"),
        ),
        ("root = \"plugins/a.py\"\n", "cannot watch `plugins/a.py`: it is not a folder", Value::Null),
        ("concurrency = [\n", "cannot use `watch.toml:2:", Value::Null),
    ]
    .into_iter()
    .enumerate()
    {
        project.write("watch.toml", &toml(&server, more));
        let (said, remedy) = wrong(&mut watch);
        assert!(said.starts_with(why), "{said}");
        assert!(hint.is_null() || remedy == hint, "{remedy}");
        project.write(A, &filter(&format!("{n}.1")));
        watch.wait("updated", Some("a"));
    }
    project.write("watch.toml", &toml(&server, "concurrency = 2\n"));
    assert_eq!(reloaded(&mut watch), json!(["concurrency"]));
    watch.wait("summary", None);

    // An undone mistake is not a change.
    project.write(".env", "OPENWEBUI_API_KEY='sk-\n");
    assert_eq!(wrong(&mut watch).0, "cannot use `.env:1`: the value of `OPENWEBUI_API_KEY` cannot be read");
    project.write(".env", &dotenv(KEY));
    assert_eq!(reloaded(&mut watch), json!([]));
    assert!(watch.stop().success());
    assert_eq!(count(&watch, "trouble"), 4);
}

/// Errors that show only on use keep the old settings too.
#[test]
fn settings_of_another_running_owui_watch_are_refused() {
    let (server, other) = (FakeServer::start(), FakeServer::start());
    let project = project(&server);
    let mut first = project.watch();
    let mut second = project.watch_with(&["--url", &other.url()]);
    second.wait("summary", None);
    project.write("watch.toml", &toml(&other, ""));
    let (why, hint) = wrong(&mut first);
    assert_eq!(why, format!("another owui-watch (pid {}) deploys from here to this server already", second.pid()));
    assert!(hint.as_str().unwrap().starts_with("it deploys your saves"), "{hint}");
    project.write(A, &filter("2"));
    first.wait("updated", Some("a"));
    assert_eq!(text(&server, "a"), filter("2"));
    second.stop();
    first.signal("HUP");
    assert_eq!(reloaded(&mut first), json!(["url"]));
}

#[test]
fn a_file_in_place_of_a_root_is_trouble() {
    let server = FakeServer::start();
    let project = project(&server);
    project.put("watch.toml", toml(&server, "root = [\"plugins\", \"more\"]\n"));
    project.put("more/b.py", filter("1"));
    let mut watch = project.watch();
    fs::rename(project.path("more"), project.path("away")).unwrap();
    watch.wait("root_missing", None);
    project.put("more", "a file");
    project.write("watch.toml", &toml(&server, "root = [\"plugins\", \"more\"]\nconcurrency = 2\n"));
    assert_eq!(wrong(&mut watch).0, "cannot watch `more`: it is not a folder");
    fs::remove_file(project.path("more")).unwrap();
    fs::rename(project.path("away"), project.path("more")).unwrap();
    assert_eq!(reloaded(&mut watch), json!(["concurrency"]));
}

// ---- a signal -------------------------------------------------------------------------------------------------------

#[test]
fn a_hangup_reads_the_settings_and_compares_everything() {
    let server = FakeServer::start();
    let project = project(&server);
    // So long that only the signal can be the reason.
    project.put("watch.toml", toml(&server, "poll = \"1h\"\n"));
    let mut watch = project.watch();

    watch.signal("HUP");
    watch.wait("summary", None);
    assert_eq!(count(&watch, "reloaded"), 0);

    project.put(A, filter("2"));
    project.write("watch.toml", &toml(&server, "poll = \"1h\"\nconcurrency = 2\n"));
    watch.signal("HUP");
    assert_eq!(reloaded(&mut watch), json!(["concurrency"]));
    watch.wait("updated", Some("a"));
    watch.wait("summary", None);

    project.put(A, filter("3"));
    project.write("watch.toml", "poll = 1\n");
    watch.signal("HUP");
    assert!(wrong(&mut watch).0.starts_with("cannot use `watch.toml:1:1`: `poll` must be "));
    watch.wait("updated", Some("a"));
    watch.wait("summary", None);
    assert!(watch.stop().success());
}

// ---- the switch -----------------------------------------------------------------------------------------------------

/// The new engine remembers what the user was told last.
#[test]
fn settings_can_end_a_conflict() {
    let server = FakeServer::start();
    let project = project(&server);
    let mut watch = project.watch();
    project.write("plugins/copies/a.py", &filter("2"));
    watch.wait("conflict", Some("a"));
    project.write("watch.toml", &toml(&server, "exclude = [\"copies/\"]\n"));
    reloaded(&mut watch);
    let notices = watch.wait("unchanged", Some("a"));
    assert_eq!(notices.last().unwrap()["good_again"], json!(true));
    assert_eq!(notices.last().unwrap()["level"], json!("info"));
    assert!(watch.stop().success());
}

/// Users delete a plugin's file, and then its settings in watch.toml.
#[test]
fn a_reload_remembers_missing_files() {
    let server = FakeServer::start();
    let project = project(&server);
    let on_delete = |more: &str| toml(&server, &format!("on_delete = \"delete\"\ngone_after = \"1s\"\n{more}"));
    project.put("watch.toml", on_delete(""));
    project.put("plugins/b.py", filter("2"));
    let mut watch = project.watch();
    fs::remove_file(project.path(A)).unwrap();
    watch.wait("removed", Some("a"));
    project.write("watch.toml", &on_delete("concurrency = 2\n"));
    reloaded(&mut watch);
    watch.wait("deleted", Some("a"));
    assert!(server.row(Kind::Function, "a").is_none());
    assert!(watch.stop().success());
}

#[test]
fn an_excluded_file_is_not_taken_for_a_deleted_one() {
    let server = FakeServer::start();
    let project = project(&server);
    let settings = |more: &str| toml(&server, &format!("on_delete = \"delete\"\ngone_after = \"1s\"\n{more}"));
    project.put("watch.toml", settings(""));
    project.put("plugins/b.py", filter("1"));
    let mut watch = project.watch();
    project.write("watch.toml", &settings("exclude = [\"b.py\"]\n"));
    assert_eq!(reloaded(&mut watch), json!(["exclude"]));
    watch.wait("summary", None);
    assert!(watch.stop().success());
    assert_eq!(watch.said_of("b").iter().filter(|said| said.as_str() == "removed").count(), 0);
    assert!(server.row(Kind::Function, "b").is_some());
}

/// As a `git checkout` may do that also changes watch.toml.
#[test]
fn files_deleted_during_a_reload_are_removed() {
    let server = FakeServer::start();
    let project = project(&server);
    let settings = |more: &str| toml(&server, &format!("on_delete = \"delete\"\ngone_after = \"1s\"\n{more}"));
    project.put("watch.toml", settings(""));
    project.put("plugins/b.py", filter("1"));
    project.put("plugins/c.py", filter("1"));
    let mut watch = project.watch();
    hold_a_deploy(&server, &project, &filter("2"));
    project.write("watch.toml", &settings("concurrency = 2\n"));
    watch.wait("settings_wait", None);
    fs::remove_file(project.path("plugins/b.py")).unwrap();
    server.release();
    watch.wait("removed", Some("b"));
    watch.wait("deleted", Some("b"));
    assert!(watch.stop().success());
    assert_eq!(server.row(Kind::Function, "b"), None);
    assert_eq!(text(&server, "a"), filter("2"));
}

#[test]
fn deploys_in_flight_are_finished_first() {
    let (old, new) = (FakeServer::start(), FakeServer::start());
    let project = project(&old);
    let mut watch = project.watch();
    old.hold("/update");
    project.write(A, &filter("2"));
    watch.wait("sending", Some("a"));
    old.wait_for("/update", 1);
    project.write("watch.toml", &toml(&new, ""));
    watch.wait("settings_wait", None);
    // Saves meanwhile go to the new server.
    project.write("plugins/b.py", &filter("1"));
    old.release();
    watch.wait("updated", Some("a"));
    watch.wait("reloaded", None);
    watch.wait("ready", None);
    watch.wait("summary", None);
    assert!(watch.stop().success());
    assert_eq!((text(&old, "a"), text(&new, "a"), text(&new, "b")), (filter("2"), filter("2"), filter("1")));
    assert_eq!(old.row(Kind::Function, "b"), None);
    assert_eq!((count(&watch, "stopping"), count(&watch, "stopped")), (1, 1));

    // It was recorded: the text on the old server counts as ours.
    project.put(A, filter("3"));
    let ran = project.run(&["--once", "--json", "--url", &old.url()]);
    let updated = ran.notices().into_iter().find(|notice| notice["event"] == "updated").unwrap();
    assert_eq!(updated.get("backup"), None);
}

#[test]
fn an_outage_is_reported_again_after_a_connection_change() {
    let mut server = FakeServer::start();
    let project = project(&server);
    let mut watch = project.watch();
    server.go_down();
    project.write(A, &filter("2"));
    watch.wait("unreachable", None);
    project.write("watch.toml", &toml(&server, "concurrency = 2\n"));
    assert_eq!(reloaded(&mut watch), json!(["concurrency"]));
    assert_eq!(watch.wait_any(&["unreachable", "still_unreachable"])["event"], "still_unreachable");
    project.write("watch.toml", &toml(&server, "timeout = \"4m\"\n"));
    assert_eq!(reloaded(&mut watch), json!(["concurrency", "timeout"]));
    assert_eq!(watch.wait_any(&["unreachable", "still_unreachable"])["event"], "unreachable");
    server.come_up();
    watch.wait("back", None);
    watch.wait("updated", Some("a"));
    assert!(watch.stop().success());
    assert_eq!(count(&watch, "back"), 1);
}

/// The other watch has not seen that the writer began.
#[test]
fn a_file_written_during_a_reload_is_sent_when_complete() {
    let server = FakeServer::start();
    let project = project(&server);
    // Only the writer's close makes the file ready during the test.
    let slow = |more: &str| toml(&server, &format!("debounce = \"1m\"\n{more}"));
    project.put("watch.toml", slow(""));
    let mut watch = project.watch();
    let text = filter("2");
    let (half, rest) = text.split_once("\n\nEND").unwrap();
    let mut file = fs::File::create(project.path(A)).unwrap();
    file.write_all(half.as_bytes()).unwrap();
    // By its age alone it would count as complete.
    file.set_modified(SystemTime::now() - Duration::from_hours(1)).unwrap();
    watch.wait("being_written", None);
    project.write("watch.toml", &slow("concurrency = 2\n"));
    watch.signal("HUP");
    watch.wait("reloaded", None);
    assert_eq!(watch.wait_any(&["held", "ready"])["event"], "held");
    write!(file, "\n\nEND{rest}").unwrap();
    drop(file);
    watch.wait("updated", Some("a"));
    assert!(watch.stop().success());
    let sent: Vec<_> =
        server.requests().iter().filter_map(|sent| sent.body["content"].as_str().map(is_whole)).collect();
    assert_eq!((sent, self::text(&server, "a")), (vec![true, true], text));
}

/// Saves a text whose deploy the server leaves without an answer.
fn hold_a_deploy(server: &FakeServer, project: &Project, text: &str) {
    let updates = server.lines().iter().filter(|line| line.contains("/update")).count();
    server.hold("/update");
    project.write(A, text);
    server.wait_for("/update", updates + 1);
}

/// Makes a deploy hang while new settings wait for it.
fn slow_deploy(server: &FakeServer, project: &Project, watch: &mut Watch, text: &str) {
    hold_a_deploy(server, project, text);
    project.write("watch.toml", &toml(server, "concurrency = 2\n"));
    let waits = watch.wait("settings_wait", None).pop().unwrap();
    assert_eq!(waits["ids"], json!(["a"]));
}

/// Its text would arrive after later saves.
#[test]
fn a_long_deploy_is_not_given_up() {
    let (server, project, mut watch) = watched();
    slow_deploy(&server, &project, &mut watch, &filter("2"));
    project.write(A, &filter("3"));
    server.release();
    watch.wait("updated", Some("a"));
    watch.wait("ready", None);
    watch.wait("updated", Some("a"));
    assert!(watch.stop().success());
    assert_eq!(text(&server, "a"), filter("3"));
}

/// A server before 0.12 switches off a refused function, and we switch it on again.
#[test]
fn a_late_refusal_leaves_the_function_on() {
    let server = FakeServer::of(Version::V0_11_4);
    let project = project(&server);
    let mut watch = project.watch();
    server.edit_row(Kind::Function, "a", |row| row.is_active = true);
    slow_deploy(&server, &project, &mut watch, REFUSED);
    server.release();
    watch.wait("refused", Some("a"));
    watch.wait("summary", None);
    assert!(watch.stop().success());
    assert!(server.row(Kind::Function, "a").unwrap().is_active);
}

#[test]
fn a_stop_during_a_reload_stops() {
    let (server, project, mut watch) = watched();
    hold_a_deploy(&server, &project, &filter("2"));
    project.write("watch.toml", &toml(&server, "concurrency = 2\n"));
    watch.wait("settings_wait", None);
    watch.signal("TERM");
    watch.wait("stopping", None);
    server.release();
    watch.wait("updated", Some("a"));
    watch.wait("stopped", None);
    assert!(watch.ended().success());
    assert_eq!((count(&watch, "ready"), count(&watch, "reloaded")), (1, 0));
}

#[test]
fn a_hangup_after_a_stop_starts_nothing() {
    let (server, project, mut watch) = watched();
    hold_a_deploy(&server, &project, &filter("2"));
    watch.signal("TERM");
    watch.wait("stopping", None);
    project.write("watch.toml", &toml(&server, "concurrency = 2\n"));
    watch.signal("HUP");
    server.release();
    watch.wait("stopped", None);
    assert_eq!(count(&watch, "reloaded"), 0);
    assert!(watch.ended().success());
}

/// A save arrives whether it comes before, during or after the reload. The lock is held all the time.
#[test]
fn no_save_is_missed_during_a_reload() {
    let (server, project, mut watch) = watched();
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                let refused = project.run(&["--once"]);
                assert_eq!(refused.code, Some(2), "{}{}", refused.stdout, refused.stderr);
            }
        });
        for n in 1..=8 {
            // Atomically, since the other one reads it too.
            project.write("new.toml", &toml(&server, &format!("concurrency = {n}\ndebounce = \"{n}ms\"\n")));
            fs::rename(project.path("new.toml"), project.path("watch.toml")).unwrap();
            let mut saves = 0;
            while !watch.has_said("ready", n + 1) {
                saves += 1;
                project.write(A, &filter(&format!("{n}.{saves}")));
                std::thread::sleep(std::time::Duration::from_millis(3));
            }
            let last = filter(&format!("{n}.{saves}"));
            while text(&server, "a") != last {
                watch.wait("updated", Some("a"));
            }
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
    });
    assert!(watch.stop().success());
    assert_eq!(count(&watch, "trouble"), 0);
}
