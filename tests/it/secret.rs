//! The built binary never prints, writes or passes on the API key, whatever the server answers and whatever the
//! settings.

#![cfg(target_os = "linux")]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use owui_watch::plugin::Kind;
use serde_json::json;

use crate::support::command::{Project, filter};
use crate::support::fake_server::{FakeServer, Fault};

const SECRET: &str = "sk-5ec2e7f0c0ffee5ec2e7f0c0ffee5ec2";

/// The parts of the key that would reveal it, plain and in Base64.
fn parts() -> Vec<String> {
    let in_base64 = ["", "a", "ab"].map(|before| STANDARD.encode(format!("{before}{SECRET}")));
    let spellings = std::iter::once(SECRET.to_owned()).chain(in_base64.map(|text| text[4..44].to_owned()));
    spellings.flat_map(|text| (0..text.len() - 12).map(|at| text[at..at + 12].to_owned()).collect::<Vec<_>>()).collect()
}

#[track_caller]
fn assert_silent(text: &[u8], whose: &str) {
    let text = String::from_utf8_lossy(text);
    let found = parts().into_iter().find(|part| text.contains(part));
    assert!(found.is_none(), "{whose} holds `{}`:\n{text}", found.unwrap_or_default());
}

/// Every file below a folder.
fn files(folder: &Path) -> Vec<std::path::PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

#[track_caller]
fn assert_silent_state(project: &Project) {
    let files = files(&project.path(".owui-watch"));
    assert!(files.len() > 3, "{files:?}");
    for file in files {
        assert_silent(&fs::read(&file).unwrap(), &file.display().to_string());
    }
}

/// A server that accepts the secret key, and a project with a deployed plugin. The key is in `.env`.
fn scene() -> (FakeServer, Project) {
    let server = FakeServer::start();
    server.set_key(SECRET);
    let project = Project::new().with("OPENWEBUI_URL", &server.url());
    project.put(".env", format!("OPENWEBUI_API_KEY={SECRET}\n"));
    project.put("watch.toml", "once_patience = \"0s\"\n");
    project.put("plugins/a.py", filter("1"));
    (server, project)
}

/// Runs with full verbosity, and returns the output.
#[track_caller]
fn silent(project: &Project, arguments: &[&str]) -> String {
    let ran = project.run(arguments);
    let said = ran.stdout + &ran.stderr;
    assert_silent(said.as_bytes(), &format!("{arguments:?}"));
    said
}

const RUNS: [&[&str]; 6] = [
    &["--once", "-vvv"],
    &["--once", "-vvv", "--json", "--force"],
    &["history", "a", "-vvv"],
    &["diff", "--json", "-vvv"],
    &["pull", "-vvv"],
    &["rollback", "a", "--yes", "-vvv"],
];

#[test]
fn when_all_is_well() {
    let (server, project) = scene();
    for version in ["1", "2", "3"] {
        project.put("plugins/a.py", filter(version));
        for run in RUNS {
            silent(&project, run);
        }
    }
    server.edit_row(Kind::Function, "a", |row| row.content = filter("theirs"));
    silent(&project, &["--once", "--force", "-vvv"]);
    assert_silent_state(&project);
}

/// Others cannot read any of the state.
#[test]
fn the_state_is_the_user_s_own() {
    let (server, project) = scene();
    silent(&project, &["--once"]);
    server.edit_row(Kind::Function, "a", |row| row.content = filter("theirs"));
    silent(&project, &["--once", "--force"]);
    silent(&project, &["rollback", "a", "--yes"]);
    let mut paths = vec![project.path(".owui-watch")];
    paths.extend(files(&paths[0]));
    paths.extend(["backups", "logs"].map(|folder| project.path(".owui-watch").join(folder)));
    for path in paths {
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o077, 0, "{}", path.display());
    }
}

#[test]
fn when_the_server_sends_it_back() {
    let in_base64 = STANDARD.encode(format!("Bearer {SECRET}"));
    let far = "x".repeat(180);
    let detail = |words: &str| json!({ "detail": words }).to_string();
    let page = format!("<html><head><title>no {SECRET}</title></head><body>{SECRET}</body></html>");
    let input = json!({ "detail": [{ "loc": ["header", SECRET], "msg": format!("bad {SECRET}"), "input": SECRET }] });
    let answers = [
        (401, detail(&format!("the key {SECRET} is unknown"))),
        (401, page.clone()),
        (403, detail(&format!("authorization: {in_base64}"))),
        (403, detail(&format!("{far} {SECRET}"))),
        (400, detail(&format!("[ERROR: {SECRET}]"))),
        (422, input.to_string()),
        (404, detail(SECRET)),
        (404, format!("{far} {SECRET}")),
        (500, format!("Traceback: headers = {{'authorization': 'Bearer {SECRET}'}}")),
        (502, page.clone()),
        (503, detail(SECRET)),
        (200, page),
        (200, json!({ "version": SECRET }).to_string()),
        (200, format!("{{\"version\": \"\\u0073{}\"}}", &SECRET[1..])),
    ];
    for (status, body) in answers {
        let (server, project) = scene();
        silent(&project, &["--once"]);
        project.put("plugins/a.py", filter("2"));
        let body: &'static str = body.leak();
        let mut said = String::new();
        // Only for requests about the plugin, but for all of them.
        for of in ["/id/a", ""] {
            server.fail_next_of(of, 1000, Fault::Says(status, body));
            for run in RUNS {
                said += &silent(&project, run);
            }
        }
        // For a failing proxy only the status is shown; other answers are not shown at all.
        assert!(said.contains("[key]") || status == 502 || body.contains("version"), "{status} {body}: {said}");
        assert_silent_state(&project);
    }
}

/// In the server's history, in a plugin's header there, and with invisible characters in it.
#[test]
fn when_the_server_lists_it() {
    for between in ["", "\0", "\u{200b}", "\u{1b}[0m", "\u{9d}0;x\u{9c}"] {
        let (server, project) = scene();
        silent(&project, &["--once"]);
        let (one, other) = SECRET.split_at(17);
        let secret = format!("{one}{between}{other}");
        let listed = json!([{
            "id": "v", "parent_id": secret, "created_at": 5, "commit_message": format!("by {secret}"),
            "user": { "name": format!("Ada {secret}") },
        }]);
        server.fail_next_of("/history?page=1", 1000, Fault::Says(200, listed.to_string().leak()));
        let snapshot = json!({ "id": "v", "snapshot": { "name": "A", "content": filter("0"), "meta": {} } });
        server.fail_next_of("/history/", 1000, Fault::Says(200, snapshot.to_string().leak()));
        let manifest = json!({ "version": format!("v{secret}"), "title": secret, "author": secret });
        server.edit_row(Kind::Function, "a", |row| {
            row.content = filter("theirs");
            row.meta = json!({ "manifest": manifest }).as_object().unwrap().clone();
        });
        project.put("plugins/a.py", filter("2"));
        let said: String =
            [RUNS[2], &["history", "a", "--json"], RUNS[3], RUNS[0]].map(|run| silent(&project, run)).concat();
        assert!(said.contains("by [key]") && said.contains("Ada [key]"), "{between:?}: {said}");
        assert_eq!(server.row(Kind::Function, "a").unwrap().content, filter("2"));
        for text in [said.as_str(), &project.read(".owui-watch/logs/function-a.log")] {
            let visible: String = text.chars().filter(char::is_ascii_graphic).collect();
            assert!(!visible.contains(&SECRET[3..]), "{between:?}: {text}");
        }
        assert_silent_state(&project);
    }
}

#[test]
fn when_a_redirect_leads_elsewhere() {
    let (server, project) = scene();
    silent(&project, &["--once"]);
    let other = FakeServer::start();
    other.set_key(SECRET);
    for path in ["", &format!("/{SECRET}"), &format!("/api/version?token={SECRET}")] {
        let location: &'static str = format!("{}{path}", other.url()).leak();
        for of in ["POST", "/id/a", ""] {
            server.fail_next_of(of, 1000, Fault::Redirect(location));
            project.put("plugins/a.py", filter(&format!("2{}", path.len() + of.len())));
            for run in RUNS {
                silent(&project, run);
            }
        }
    }
    assert_eq!(other.lines(), [""; 0]);
    assert_silent_state(&project);
}

#[test]
fn when_it_is_in_the_wrong_place() {
    for watch_toml in [
        format!("api_key = \"{SECRET}\"\n"),
        format!("url = \"{SECRET}\"\n"),
        format!("url = \"https://{SECRET}@chat.example.org\"\n"),
        format!("url = \"https://chat.example.org?key={SECRET}\"\n"),
        format!("root = \"{SECRET}\"\n"),
        format!("root = \"keys/{SECRET}\"\n"),
        format!("exclude = [\"[{SECRET}\"]\n"),
        format!("concurrency = \"{SECRET}\"\n"),
        format!("api_key_file = \"{SECRET}\"\n"),
        format!("ca_file = \"{SECRET}\"\n"),
        format!("timeout = [\"{SECRET}\"]\n"),
        format!("{SECRET} = 1\n"),
        format!("{SECRET}\n"),
        format!("url = {SECRET}\n"),
        format!("[plugins.\"{SECRET}\"]\nkind = 1\n"),
        format!("[plugins.{SECRET}]\nx = 1\n"),
        format!("[plugins.\"a.py\"]\nkind = \"{SECRET}\"\n"),
    ] {
        let project = Project::new();
        project.put("watch.toml", &watch_toml);
        assert_eq!(project.run(&["--once"]).code, Some(2), "{watch_toml}");
        silent(&project, &["--once", "-vvv"]);
        silent(&project, &["diff"]);
    }
    for dotenv in [
        format!("OPENWEBUI_API_KEY='{SECRET}\n"),
        format!("OPENWEBUI_API_KEY={SECRET} {SECRET}\n"),
        format!("OPENWEBUI_API_KEY=\"Bearer {SECRET}\"\n"),
        format!("OWUI_WATCH_API_KEY={SECRET}\n"),
        format!("OPENWEBUI_URL={SECRET}\n"),
        format!("OWUI_WATCH_POLL={SECRET}\n"),
    ] {
        let project = Project::new();
        project.put(".env", &dotenv);
        assert_eq!(project.run(&["--once"]).code, Some(2), "{dotenv}");
        silent(&project, &["--once", "-vvv"]);
    }
    for line in [["--api-key", SECRET], ["--url", SECRET], ["--root", SECRET], ["--config", SECRET]] {
        assert_eq!(Project::new().run(&[&["--once"], &line[..]].concat()).code, Some(2), "{line:?}");
        silent(&Project::new(), &[&["--once"], &line[..]].concat());
    }
}

#[test]
fn while_watching_and_when_the_settings_change() {
    let (server, project) = scene();
    let mut watch = project.watch_with(&["-vvv"]);
    watch.wait("summary", None);
    let process = format!("/proc/{}", watch.pid());
    for file in ["cmdline", "environ"] {
        assert_silent(&fs::read(format!("{process}/{file}")).unwrap(), file);
    }
    project.write(".env", &format!("OPENWEBUI_API_KEY='{SECRET}\n"));
    watch.wait("trouble", None);
    server.set_key("sk-another");
    project.write(".env", &format!("OPENWEBUI_API_KEY={SECRET}\nOTHER={SECRET}\n"));
    watch.wait("reloaded", None);
    project.write("watch.toml", &format!("root = \"{SECRET}\"\n"));
    watch.wait("trouble", None);
    project.write("watch.toml", "api_key_file = \"key\"\n");
    project.write("key", SECRET);
    project.write(".env", "");
    watch.wait("not_allowed", None);
    assert!(watch.stop().success());
    assert_silent(watch.all_said().as_bytes(), "stdout");
    assert_silent(watch.stderr().as_bytes(), "stderr");
    assert_silent_state(&project);
}

/// Child processes do not get a key from the environment.
#[test]
fn other_programs_do_not_get_the_key() {
    let server = FakeServer::start();
    server.set_key(SECRET);
    let project = Project::new();
    let path = format!("{}:/usr/bin:/bin", project.path("bin").display());
    let project = project.with("OPENWEBUI_URL", &server.url()).with("OPENWEBUI_API_KEY", SECRET).with("PATH", &path);
    project.put("bin/git", "#!/bin/sh\ntr '\\0' '\\n' < /proc/$$/environ >> seen\necho \"$@\" >> seen\nexit 1\n");
    fs::set_permissions(project.path("bin/git"), fs::Permissions::from_mode(0o700)).unwrap();
    fs::create_dir(project.path(".git")).unwrap();
    project.put("plugins/a.py", filter("1"));
    silent(&project, &["--once", "-vvv"]);
    let seen = project.read("seen");
    assert!(seen.contains("PATH=") && seen.contains("--no-pager"), "{seen}");
    assert_silent(seen.as_bytes(), "git");
}
