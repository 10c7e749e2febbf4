//! The built binary against a real Open WebUI: an author's first day.
#![cfg(unix)]

use std::fs;
use std::net::TcpStream;
use std::path::Path;

use owui_watch::engine::deploy::{Call, Reply, Row};
use owui_watch::plugin::{Key, Kind, id::PluginId};
use owui_watch::sandbox::default_cache;
use secrecy::ExposeSecret as _;
use serde_json::Value;

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
    assert_eq!(server.post("/api/v1/functions/id/today/toggle", &Value::Null).await.0, 200);
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

    let url = ready["server"].as_str().unwrap();
    let address = url.strip_prefix("http://").unwrap();
    assert!(TcpStream::connect(address).is_ok());
    commands_find_the_sandbox(&project, &mut watch, url);
    watch.signal("INT");
    assert!(watch.ended().success());
    assert!(TcpStream::connect(address).is_err(), "the server is gone");
    assert_eq!(fs::read_dir(temporary).unwrap().count(), 0, "its data is gone");
    let own = fs::read_dir(project.path(".owui-watch")).unwrap().map(|entry| entry.unwrap().file_name());
    assert!(
        !own.into_iter().any(|name| name.to_string_lossy().starts_with("ledger")),
        "its state is not the project's"
    );
    let (_, said) = beside(&project, &[], &["history", "today"]);
    assert!(said.starts_with("error: ") && said.contains(" http://localhost:8080: "), "{said}");
}

/// Runs a command beside the sandbox's watch. Returns its exit code, and all that it printed.
fn beside(project: &Project, variables: &[(&str, &str)], arguments: &[&str]) -> (Option<i32>, String) {
    let output = project.command(arguments).envs(variables.iter().copied()).output().unwrap();
    (output.status.code(), String::from_utf8([output.stderr, output.stdout].concat()).unwrap())
}

fn commands_find_the_sandbox(project: &Project, watch: &mut Watch, url: &str) {
    let (code, said) = beside(project, &[], &["history", "today"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.starts_with(&format!("on the sandbox at {url}\n")), "{said}");
    assert!(said.contains("deployed"), "the state is the sandbox's: {said}");
    let (code, said) = beside(project, &[], &["deploy", "today"]);
    assert_eq!(code, Some(0), "{said}");
    watch.wait("updated", Some("today"));
    // A copy of the user's file outlives the sandbox.
    let text = project.read("plugins/filters/today.py");
    project.write("plugins/filters/today.py", &(text.clone() + "# Not deployed.\n"));
    watch.wait("updated", Some("today"));
    project.write("plugins/filters/today.py", "class Filter(:\n");
    watch.wait("flawed", Some("today"));
    let (code, said) = beside(project, &[], &["pull", "today"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("a copy of the old text is in .owui-watch/backups/"), "{said}");
    project.write("plugins/filters/today.py", &text);
    watch.wait("updated", Some("today"));
    // A configured server comes first.
    let elsewhere = ("OPENWEBUI_URL", "http://127.0.0.1:9");
    let (_, said) = beside(project, &[elsewhere], &["history", "today"]);
    assert!(said.contains(" http://127.0.0.1:9: "), "{said}");
    // Even if it is where a server usually is.
    let (_, said) = beside(project, &[], &["--url", "http://localhost:8080", "history", "today"]);
    assert!(said.contains(" http://localhost:8080: "), "{said}");
    // Its key is not for the sandbox, which would deny it.
    let variables = [elsewhere, ("OPENWEBUI_API_KEY", "sk-theirs")];
    let (code, said) = beside(project, &variables, &["--url", url, "history", "today"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("deployed"), "{said}");
}

const BOOM: &str = r#""""
title: Boom
"""


def lookup(body, key):
    return body[key]


class Pipe:
    async def pipe(self, body: dict, __user__: dict):
        print("called by", __user__["role"])
        yield "so far"
        lookup(body, "nope")
"#;

const CALC: &str = r#""""
title: Calculator
"""


class Tools:
    def add(self, a: int, b: int) -> int:
        """Adds two numbers.
        :param a: the first
        :param b: the second
        """
        return a + b
"#;

const MANNERS: &str = r#""""
title: Manners
"""


class Filter:
    def inlet(self, body: dict) -> dict:
        body["messages"][-1]["content"] += " please"
        return body

    def stream(self, event: dict) -> dict:
        return event
"#;

/// A user of the server that a sandbox runs.
pub(crate) struct User {
    client: reqwest::Client,
    url: String,
    token: String,
}

impl User {
    pub(crate) async fn of(url: &str) -> Self {
        rustls::crypto::ring::default_provider().install_default().ok();
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let mut user = Self { client, url: url.to_owned(), token: String::new() };
        let body = serde_json::json!({ "email": "a@example.com", "password": "x" });
        let answer: Value = serde_json::from_str(&user.post("/api/v1/auths/signin", &body).await).unwrap();
        answer["token"].as_str().unwrap().clone_into(&mut user.token);
        user
    }

    async fn post(&self, path: &str, body: &Value) -> String {
        let request = self.client.post(format!("{}{path}", self.url)).bearer_auth(&self.token).json(body);
        request.send().await.unwrap().text().await.unwrap()
    }

    pub(crate) async fn chat(&self, model: &str, text: &str, stream: bool) -> String {
        // The server knows no model before it was asked for the list.
        let list = self.client.get(format!("{}/api/models", self.url)).bearer_auth(&self.token);
        list.send().await.unwrap();
        let body = serde_json::json!({
            "model": model,
            "messages": [{ "role": "user", "content": text }],
            "stream": stream,
            "tool_ids": text.starts_with("add").then_some(["calc"]),
            "params": { "function_calling": "legacy" },
        });
        self.post("/api/chat/completions", &body).await
    }
}

async fn what_plugins_do_is_shown(version: &str) {
    let cache = default_cache().unwrap();
    let project = Project::new()
        .with("XDG_CACHE_HOME", cache.parent().unwrap().to_str().unwrap())
        .with("PATH", &std::env::var("PATH").unwrap());
    for (id, text) in [("boom", BOOM), ("calc", CALC), ("manners", MANNERS)] {
        project.write(&format!("plugins/{id}.py"), text);
    }
    let mut watch = project.watch_with(&["sandbox", "--openwebui", version]);
    let ready = watch.wait_long("ready", None).pop().unwrap();
    watch.wait("summary", None);
    let user = User::of(ready["server"].as_str().unwrap()).await;

    // The model answers, and a new filter takes part in the chat.
    let answer = user.chat("echo-model", "Hello", false).await;
    assert!(answer.contains("Hello please"), "{answer}");
    let called = watch.wait("called", Some("manners")).pop().unwrap();
    assert_eq!((&called["hook"], &called["result"]), (&"inlet".into(), &"1 message: \"Hello please\"".into()));
    assert!(user.chat("echo-model", "Hello there", true).await.ends_with("[DONE]\n\n"));
    loop {
        let called = watch.wait("called", Some("manners")).pop().unwrap();
        if called["hook"] == "stream" {
            // One line for a whole answer.
            assert!(called["times"].as_u64().unwrap() >= 3, "{called}");
            break;
        }
    }

    // It calls a tool, and answers with its result.
    let answer = user.chat("echo-model", r#"add {"a": 1, "b": 2}"#, false).await;
    let called = watch.wait("called", Some("calc")).pop().unwrap();
    assert_eq!((&called["hook"], &called["result"]), (&"add".into(), &"3".into()));
    let answer: Value = serde_json::from_str(&answer).unwrap();
    assert_eq!(answer["choices"][0]["message"]["content"], "3");

    // An exception half way has its place in the author's file.
    user.chat("boom", "Hello", true).await;
    assert_eq!(watch.wait("printed", Some("boom")).pop().unwrap()["text"], "called by admin");
    let raised = watch.wait("raised", Some("boom")).pop().unwrap();
    assert_eq!(
        (&raised["path"], &raised["line"], &raised["column"]),
        (&"plugins/boom.py".into(), &7.into(), &12.into())
    );
    assert_eq!(raised["error"], "KeyError: 'nope'");
    assert_eq!(raised["trace"], serde_json::json!(["plugins/boom.py:7:12", "plugins/boom.py:14:9"]));

    // A refusal is told in the server's words, as on any server.
    project.write("plugins/calc.py", &format!("{CALC}\nimport no_such_module\n"));
    watch.wait("refused", Some("calc"));
    watch.signal("INT");
    assert!(watch.ended().success());
}

#[tokio::test]
#[ignore = "starts a real Open WebUI"]
async fn what_plugins_do_is_shown_by_0_12_4() {
    what_plugins_do_is_shown("0.12.4").await;
}

#[tokio::test]
#[ignore = "starts a real Open WebUI"]
async fn what_plugins_do_is_shown_by_0_11_4() {
    what_plugins_do_is_shown("0.11.4").await;
}

#[tokio::test]
#[ignore = "starts a real Open WebUI"]
async fn what_plugins_do_is_shown_by_0_9_6() {
    what_plugins_do_is_shown("0.9.6").await;
}

#[tokio::test]
#[ignore = "starts a real Open WebUI"]
async fn what_plugins_do_is_shown_by_0_6_43() {
    what_plugins_do_is_shown("0.6.43").await;
}

#[test]
#[ignore = "starts a real Open WebUI"]
fn the_data_of_a_sandbox_can_be_kept() {
    let cache = default_cache().unwrap();
    let project = project()
        .with("XDG_CACHE_HOME", cache.parent().unwrap().to_str().unwrap())
        .with("PATH", &std::env::var("PATH").unwrap());
    let run = |expected: &str| {
        let mut watch = project.watch_with(&["sandbox", "--data", "data"]);
        watch.wait_long("ready", None);
        let summary = watch.wait("summary", None).pop().unwrap();
        assert_eq!(summary[expected], 5, "{summary}");
        watch.signal("INT");
        assert!(watch.ended().success());
    };
    run("created");
    run("unchanged");
    assert!(project.path("data/webui.db").is_file());
}
