//! The built binary against a real Open WebUI: an author's first day.
#![cfg(unix)]

use std::fs;
use std::net::TcpStream;
use std::path::Path;

use owui_watch::engine::deploy::{Call, Reply, Row};
use owui_watch::plugin::{Key, Kind, id::PluginId};
use owui_watch::sandbox::default_cache;
use secrecy::ExposeSecret as _;

use crate::support::command::{Project, Watch};
use crate::support::fake_server::Version;
use crate::support::{Login, Server, real_server};

const EXAMPLES: [(&str, Kind, &str); 5] = [
    ("pipes/rubber_duck.py", Kind::Function, "rubber_duck"),
    ("filters/today.py", Kind::Function, "today"),
    ("actions/word_count.py", Kind::Function, "word_count"),
    ("events/activity_log.py", Kind::Function, "activity_log"),
    ("tools/date_math.py", Kind::Tool, "date_math"),
];

/// A project with the repository's own plugins.
fn project() -> Project {
    let project = Project::new();
    for (path, _, _) in EXAMPLES {
        let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("plugins").join(path)).unwrap();
        project.write(&format!("plugins/{path}"), &text);
    }
    project
}

fn wait_for_all(watch: &mut Watch) {
    let notices = watch.wait("summary", None);
    let mut created: Vec<_> = notices
        .iter()
        .filter(|notice| notice["event"] == "created")
        .map(|notice| notice["id"].as_str().unwrap())
        .collect();
    created.sort_unstable();
    assert_eq!(created, ["activity_log", "date_math", "rubber_duck", "today", "word_count"], "{notices:#?}");
}

async fn row(server: &Server, kind: Kind, id: &str) -> Row {
    let key = Key { kind, id: PluginId::new(id).unwrap() };
    match server.client().call(Call::Get(key)).await {
        Reply::Row(row) => *row,
        reply => panic!("{reply:?}"),
    }
}

#[tokio::test]
#[ignore = "starts a real Open WebUI"]
async fn a_save_is_live_on_a_real_server() {
    let sandbox = real_server(Version::V0_12_4, Login::Asked).await;
    let server = Server::real(&sandbox);
    let key = server.key.as_ref().unwrap().expose_secret();
    let project = project().with("OPENWEBUI_URL", &server.url).with("OPENWEBUI_API_KEY", key);
    let mut watch = project.watch_with(&[]);
    wait_for_all(&mut watch);
    for (path, kind, id) in EXAMPLES {
        let row = row(&server, kind, id).await;
        assert_eq!(row.content, Some(project.read(&format!("plugins/{path}"))), "{id}");
        assert_eq!(row.is_active, (kind == Kind::Function).then_some(false), "new functions are off: {id}");
    }

    // A save.
    let old = project.read("plugins/pipes/rubber_duck.py");
    let new = old.replace("version: 1.0.0", "version: 1.1.0");
    project.write("plugins/pipes/rubber_duck.py", &new);
    let updated = watch.wait("updated", Some("rubber_duck")).pop().unwrap();
    assert_eq!((&updated["from_version"], &updated["version"]), (&"1.0.0".into(), &"1.1.0".into()));
    assert_eq!(row(&server, Kind::Function, "rubber_duck").await.content, Some(new.clone()));

    // A save without a change.
    project.write("plugins/pipes/rubber_duck.py", &new);
    watch.wait("unchanged", Some("rubber_duck"));

    // The server refuses a save in its own words, and keeps the old text.
    project.write("plugins/pipes/rubber_duck.py", &format!("{new}\nimport no_such_module\n"));
    let refused = watch.wait("refused", Some("rubber_duck")).pop().unwrap();
    assert_eq!(refused["words"], "No module named 'no_such_module'");
    assert_eq!(row(&server, Kind::Function, "rubber_duck").await.content, Some(new));

    // A save that does not parse is not sent, and its place is named.
    project.write("plugins/tools/date_math.py", "class Tools:\n    def broken(:\n        pass\n");
    let flawed = watch.wait("flawed", Some("date_math")).pop().unwrap();
    assert_eq!((&flawed["reason"], &flawed["line"]), (&"syntax".into(), &2.into()));

    // Valves, the switch and a new name on the server stay.
    let path = "/api/v1/functions/id/today/valves/update";
    assert_eq!(server.post(path, &serde_json::json!({"priority": 7})).await.0, 200);
    assert_eq!(server.post("/api/v1/functions/id/today/toggle", &serde_json::Value::Null).await.0, 200);
    let text = project.read("plugins/filters/today.py").replace("version: 1.0.0", "version: 1.0.1");
    project.write("plugins/filters/today.py", &text);
    watch.wait("updated", Some("today"));
    assert_eq!(row(&server, Kind::Function, "today").await.is_active, Some(true));
    let valves = server.get("/api/v1/functions/id/today/valves").await.1;
    assert_eq!(valves["priority"], 7);

    assert!(watch.stop().success());
    let ran = project.run(&["--once"]);
    assert_eq!(ran.code, Some(1), "two files are not as they are on the server: {}{}", ran.stdout, ran.stderr);
}

#[test]
#[ignore = "starts a real Open WebUI"]
fn the_sandbox_command_deploys_watches_and_leaves_nothing_behind() {
    let cache = default_cache().unwrap();
    let project = project()
        .with("XDG_CACHE_HOME", cache.parent().unwrap().to_str().unwrap())
        .with("PATH", &std::env::var("PATH").unwrap());
    let temporary = project.path("tmp");
    fs::create_dir(&temporary).unwrap();
    let project = project.with("TMPDIR", temporary.to_str().unwrap());
    let mut watch = project.watch_with(&["sandbox"]);
    let ready = watch.wait_long("ready", None).pop().unwrap();
    wait_for_all(&mut watch);
    let text = project.read("plugins/filters/today.py").replace("version: 1.0.0", "version: 1.0.1");
    project.write("plugins/filters/today.py", &text);
    watch.wait("updated", Some("today"));

    let address = ready["server"].as_str().unwrap().strip_prefix("http://").unwrap();
    assert!(TcpStream::connect(address).is_ok());
    watch.signal("INT");
    assert!(watch.ended().success());
    assert!(TcpStream::connect(address).is_err(), "the server is gone");
    assert_eq!(fs::read_dir(temporary).unwrap().count(), 0, "its data is gone");
    assert!(!project.path(".owui-watch").exists(), "its state is not the project's");
}
