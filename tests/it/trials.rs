//! `--try`: plugins are tried after their deploys, by the built binary, against the fake server and real ones.
#![cfg(target_os = "linux")]

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use owui_watch::plugin::Kind;
use owui_watch::sandbox::default_cache;
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};

use crate::support::command::{Project, Ran, Watch, check, of};
use crate::support::fake_server::{FakeServer, Fault, Version};
use crate::support::{Server, development_server};

const CHAT: &str = "POST /api/chat/completions";
const MODELS: &str = r#"{"data": [{"id": "shout", "pipe": {"type": "pipe"}}, {"id": "other"}]}"#;
const HELLO: &str = r#"{"choices": [{"message": {"content": "HELLO"}}]}"#;
const NOPE: &str = r#"{"error": {"detail": "'nope'"}}"#;

fn pipe(version: u32) -> String {
    format!(
        "\"\"\"\nversion: {version}\n\"\"\"\n\n\nclass Pipe:\n    def pipe(self, body):\n        return {version}\n"
    )
}

/// A project with the pipe `shout`, which has this table.
fn project(server: &FakeServer, table: &str) -> Project {
    let project = Project::on(server);
    project.put("watch.toml", format!("activate_new = true\n[plugins.\"plugins/shout.py\".try]\n{table}\n"));
    project.put("plugins/shout.py", pipe(1));
    project
}

/// From now on chats end like this.
fn says(server: &FakeServer, said: &'static str) {
    server.recover();
    server.fail_next_of("GET /api/models", 100, Fault::Says(200, MODELS));
    server.fail_next_of(CHAT, 100, Fault::Says(200, said));
}

fn once(project: &Project, code: i32) -> Vec<Value> {
    let ran = project.run(&["--once", "--try", "--json"]);
    check(&ran, code);
    ran.notices()
}

fn words(told: &[Value]) -> Vec<&str> {
    told.iter().map(|told| told["event"].as_str().unwrap()).collect()
}

/// A watch that tries what it deploys.
fn watch(project: &Project) -> Watch {
    let mut watch = project.watch_with(&["--try"]);
    watch.wait("summary", None);
    watch
}

/// The texts of `shout` that were told to work or to fail, by their version.
fn tried(watch: &Watch) -> Vec<String> {
    let told = watch.notices().iter().filter(|told| ["works", "fails"].contains(&told["event"].as_str().unwrap()));
    told.map(|told| format!("{} {}", told["event"].as_str().unwrap(), told["version"].as_str().unwrap())).collect()
}

// ---- a single pass --------------------------------------------------------------------------------------------------

#[test]
fn a_pass_tries_what_it_deploys() {
    let server = FakeServer::start();
    let project = project(&server, "message = 'Hi'\nexpect = '^HEL'");
    says(&server, HELLO);
    let told = once(&project, 0);
    let works = of(&told, "works");
    assert_eq!((&works["id"], &works["answer"], &works["model"]), (&json!("shout"), &json!("HELLO"), &json!("shout")));
    assert_eq!(works["message"], "works: \"Hi\" → \"HELLO\"");
    let sent = server.requests().into_iter().rfind(|request| request.path == "/api/chat/completions").unwrap();
    assert_eq!(sent.body["messages"], json!([{ "role": "user", "content": "Hi" }]));

    // A text that was there before is tried, too.
    let told = once(&project, 0);
    assert_eq!(words(&told), ["connected", "unchanged", "trying", "summary", "works"], "{told:#?}");
}

#[test]
fn a_pass_fails_with_what_it_tries() {
    let server = FakeServer::start();
    let project = project(&server, "message = 'Hi'");
    says(&server, NOPE);
    for _ in ["deployed", "unchanged"] {
        let told = once(&project, 1);
        assert_eq!(of(&told, "fails")["words"], "'nope'");
        assert_eq!(of(&told, "summary")["failed"], 0, "it is deployed");
    }
    let ran = project.run(&["--once", "--try"]);
    check(&ran, 1);
    assert!(ran.stdout.contains("✗ pipe    shout         1  fails on \"Hi\"  "), "{}", ran.stdout);
    assert!(
        ran.stderr.ends_with(
            "plugins/shout.py:1:1: error: 'nope'\nhint: `owui-watch sandbox` shows the line that raises it\n"
        ),
        "{}",
        ran.stderr
    );
    check(&project.run(&["--once"]), 0);
}

#[test]
fn an_answer_other_than_expected_is_shown() {
    let server = FakeServer::start();
    let project = project(&server, "message = 'Hi'\nexpect = '^HALLO$'");
    says(&server, HELLO);
    let fails = of(&once(&project, 1), "fails").clone();
    assert_eq!((&fails["words"], &fails["answer"]), (&json!("expected `^HALLO$`"), &json!("HELLO")));
    assert_eq!(fails["message"], "fails on \"Hi\": expected `^HALLO$`, got \"HELLO\"");

    // The command uses the table, unless it is given a message.
    let ran = project.run(&["try", "shout"]);
    check(&ran, 1);
    assert!(ran.stderr.contains(": expected `^HALLO$`, got:\n  HELLO\n"), "{}", ran.stderr);
    check(&project.run(&["try", "shout", "Hi"]), 0);
}

#[test]
fn a_function_that_is_off_is_no_failure() {
    let server = FakeServer::start();
    let project = project(&server, "message = 'Hi'");
    project.put("watch.toml", "[plugins.\"plugins/shout.py\".try]\nmessage = 'Hi'\n");
    says(&server, HELLO);
    let told = once(&project, 0);
    let off = of(&told, "not_tried");
    assert_eq!((&off["reason"], &off["level"]), (&json!("off"), &json!("info")));
    assert_eq!(off["message"], "not tried: it is switched off");
    // This time only the trial itself sees it.
    assert_eq!(of(&once(&project, 0), "not_tried")["reason"], "off");
    assert!(!server.lines().iter().any(|line| line == CHAT));
}

#[test]
fn what_cannot_be_tried_as_asked_fails() {
    let server = FakeServer::start();
    let project = project(&server, "message = 'Hi'\nmodel = 'gone'");
    says(&server, HELLO);
    let told = once(&project, 1);
    let not_tried = of(&told, "not_tried");
    assert_eq!(not_tried["message"], "not tried: function shout has no model `gone`");
    assert_eq!((&not_tried["hint"], &not_tried["level"]), (&json!("it has `shout`"), &json!("error")));
}

#[test]
fn without_a_table_there_is_nothing_to_try() {
    let server = FakeServer::start();
    let project = Project::on(&server);
    project.put("watch.toml", "activate_new = true\n");
    project.put("plugins/shout.py", pipe(1));
    let told = once(&project, 0);
    assert_eq!(of(&told, "trouble")["message"], "`--try` tries nothing: no plugin has a `try` table in watch.toml");
    assert!(!server.lines().iter().any(|line| line == CHAT));
}

#[test]
fn flags_that_deploy_nothing_try_nothing() {
    let project = Project::new();
    for arguments in [&["--dry-run", "--try"][..], &["--try", "status"], &["--try", "try", "shout"]] {
        check(&project.run(arguments), 2);
    }
}

#[test]
fn an_answer_of_a_trial_cannot_control_the_terminal() {
    let server = FakeServer::start();
    let hostile = "\u{1b}]0;owned\u{7}\u{202e}\u{200b}x";
    let project = project(&server, "message = 'Hi'\nexpect = 'never'");
    let answer = json!({ "choices": [{ "message": { "content": hostile } }] }).to_string().leak();
    let error = json!({ "error": { "detail": hostile } }).to_string().leak();
    for said in [answer, error] {
        says(&server, said);
        for arguments in [&["--once", "--try"][..], &["--once", "--try", "--json"]] {
            let Ran { code, stdout, stderr } = project.run(arguments);
            assert_eq!(code, Some(1), "{stderr}");
            let text = stdout + &stderr;
            assert!(!text.contains(['\u{1b}', '\u{7}', '\u{202e}', '\u{200b}']), "{text:?}");
        }
    }
}

// ---- a watch --------------------------------------------------------------------------------------------------------

#[test]
fn a_watch_tries_each_save() {
    let server = FakeServer::start();
    let project = project(&server, "message = 'Hi'");
    says(&server, HELLO);
    check(&project.run(&["--once"]), 0);
    let mut watch = watch(&project);
    project.write("plugins/shout.py", &pipe(2));
    let told = watch.wait("works", Some("shout"));
    assert!(words(&told).contains(&"updated"), "{told:#?}");
    says(&server, NOPE);
    project.write("plugins/shout.py", &pipe(3));
    watch.wait("fails", Some("shout"));
    // It was mended elsewhere: the same text is tried again.
    says(&server, HELLO);
    std::thread::sleep(Duration::from_millis(1100));
    project.write("plugins/shout.py", &pipe(3));
    let told = watch.wait("works", Some("shout"));
    assert!(words(&told).contains(&"unchanged"), "{told:#?}");
    assert!(watch.stop().success());
    assert_eq!(tried(&watch), ["works 2", "fails 3", "works 3"], "what was deployed before is not tried");
}

#[test]
fn a_watch_hears_what_try_finds() {
    let server = FakeServer::start();
    let project = project(&server, "message = 'Hi'");
    says(&server, HELLO);
    check(&project.run(&["--once"]), 0);
    let mut watch = project.watch_with(&["--try", "-v"]);
    watch.wait("summary", None);
    says(&server, NOPE);
    project.write("plugins/shout.py", &pipe(2));
    assert_eq!(watch.wait("fails", Some("shout")).pop().unwrap()["level"], "error");
    says(&server, HELLO);
    // Another message tells nothing about the one of the table.
    check(&project.run(&["try", "shout", "Bye"]), 0);
    check(&project.run(&["try", "shout"]), 0);
    let works = watch.wait("works", Some("shout")).pop().unwrap();
    assert_eq!((&works["level"], &works["message"]), (&json!("detail"), &json!("works: \"Hi\" → \"HELLO\"")));
    assert!(watch.stop().success());
    assert_eq!(tried(&watch), ["fails 2", "works 2"]);
}

#[test]
fn a_failure_ends_with_its_table() {
    let server = FakeServer::start();
    let project = project(&server, "message = 'Hi'");
    says(&server, HELLO);
    check(&project.run(&["--once"]), 0);
    let mut watch = watch(&project);
    says(&server, NOPE);
    project.write("plugins/shout.py", &pipe(2));
    watch.wait("fails", Some("shout"));
    project.write("watch.toml", "activate_new = true\n");
    assert_eq!(watch.wait("not_tried", Some("shout")).pop().unwrap()["reason"], "no_table");
    assert!(watch.stop().success());
}

#[test]
fn a_newer_save_outdates_a_trial() {
    let server = FakeServer::start();
    let project = project(&server, "message = 'Hi'");
    says(&server, HELLO);
    check(&project.run(&["--once"]), 0);
    let mut watch = watch(&project);
    server.hold(CHAT);
    project.write("plugins/shout.py", &pipe(2));
    watch.wait("updated", Some("shout"));
    server.wait_for(CHAT, 1);
    // The deploy waits for no trial.
    project.write("plugins/shout.py", &pipe(3));
    watch.wait("updated", Some("shout"));
    server.wait_for(CHAT, 2);
    server.release();
    watch.wait("works", Some("shout"));
    assert!(watch.stop().success());
    assert_eq!(tried(&watch), ["works 3"]);
}

#[test]
fn other_deploys_do_not_wait_for_a_trial() {
    let server = FakeServer::start();
    let project = project(&server, "message = 'Hi'");
    project.put("plugins/other.py", pipe(1));
    says(&server, HELLO);
    check(&project.run(&["--once"]), 0);
    let mut watch = watch(&project);
    server.hold(CHAT);
    project.write("plugins/shout.py", &pipe(2));
    server.wait_for(CHAT, 1);
    project.write("plugins/other.py", &pipe(2));
    watch.wait("updated", Some("other"));
    server.release();
    watch.wait("works", Some("shout"));
    assert!(watch.stop().success());
}

#[test]
fn a_stop_ends_trials() {
    let server = FakeServer::start();
    let project = project(&server, "message = 'Hi'");
    says(&server, HELLO);
    check(&project.run(&["--once"]), 0);
    let mut watch = watch(&project);
    server.hold(CHAT);
    project.write("plugins/shout.py", &pipe(2));
    server.wait_for(CHAT, 1);
    let asked = Instant::now();
    assert!(watch.stop().success());
    assert!(asked.elapsed() < Duration::from_secs(5), "{:?}", asked.elapsed());
    server.release();
    assert_eq!(tried(&watch), [""; 0]);
}

#[test]
fn other_settings_start_a_trial_anew() {
    let server = FakeServer::start();
    let project = project(&server, "message = 'Hi'\nexpect = 'HALLO'");
    says(&server, HELLO);
    check(&project.run(&["--once"]), 0);
    let mut watch = watch(&project);
    project.write("plugins/shout.py", &pipe(2));
    watch.wait("fails", Some("shout"));
    project.write("watch.toml", "[plugins.\"plugins/shout.py\".try]\nmessage = 'Hi'\nexpect = 'HELLO'\n");
    watch.wait("reloaded", None);
    watch.wait("works", Some("shout"));
    // Also of what worked.
    project.write("watch.toml", "[plugins.\"plugins/shout.py\".try]\nmessage = 'Hi'\nexpect = 'HALLO'\n");
    watch.wait("fails", Some("shout"));
    assert!(watch.stop().success());
    assert_eq!(server.row(Kind::Function, "shout").unwrap().content, pipe(2));
}

// ---- on real servers ------------------------------------------------------------------------------------------------

/// Each plugin with its table. Filters take part in every chat, so they raise only where they are asked to.
const REAL: [(&str, &str, &str); 14] = [
    ("shout", PIPE, "message = 'Who is there?'\nexpect = '^WHO IS'"),
    ("quiet", PIPE, "message = 'Hi'\nexpect = '^hi$'"),
    (
        "many",
        "class Pipe:
    def pipes(self):
        return [{'id': 'one', 'name': 'One'}, {'id': 'two', 'name': 'Two'}]

    async def pipe(self, body):
        yield 'first '
        if body['model'].endswith('two'):
            raise ValueError('half way')
        yield 'second'
",
        "message = 'Hi'",
    ),
    ("raises", "class Pipe:\n    def pipe(self, body):\n        return {}['nope']\n", "message = 'Hi'"),
    (
        "listless",
        "class Pipe:
    def pipes(self):
        raise ValueError('no models')

    def pipe(self, body):
        return 'never'
",
        "message = 'Hi'",
    ),
    (
        "slow",
        "import asyncio


class Pipe:
    async def pipe(self, body):
        await asyncio.sleep(5)
        return 'late'
",
        "message = 'Hi'\nwithin = '1s'",
    ),
    (
        "brief",
        "class Filter:
    def inlet(self, body):
        if body['messages'][-1]['content'] == 'be brief':
            body['messages'].insert(0, {'role': 'system', 'content': 'Be brief.'})
        return body

    def outlet(self, body):
        if body['messages'][-1]['content'] == 'be brief':
            body['messages'][-1]['content'] += ' (brief)'
        return body
",
        "message = 'be brief'\nexpect = '(?s)^system: Be brief.*assistant: be brief \\(brief\\)'\nmodel = 'echo-model'",
    ),
    (
        "inlet",
        "class Filter:
    def inlet(self, body):
        if body['messages'][-1]['content'] == 'boom':
            raise ValueError('inlet broke')
        return body
",
        "message = 'boom'\nmodel = 'echo-model'",
    ),
    (
        "stream",
        "class Filter:
    def stream(self, event):
        if 'thunder' in str(event):
            raise ValueError('stream broke')
        return event
",
        "message = 'thunder'\nmodel = 'echo-model'",
    ),
    (
        "outlet",
        "class Filter:
    def outlet(self, body):
        if body['messages'][-1]['content'] == 'bang':
            raise ValueError('outlet broke')
        return body
",
        "message = 'bang'\nmodel = 'echo-model'",
    ),
    (
        "count",
        "class Action:
    async def action(self, body):
        return {'content': f\"{len(body['messages'][-1]['content'])} letters\"}
",
        "message = 'Hello'\nexpect = '5 letters'\nmodel = 'echo-model'",
    ),
    (
        "act",
        "class Action:
    async def action(self, body):
        raise ValueError('action broke')
",
        "message = 'Hello'\nmodel = 'echo-model'",
    ),
    ("sums", TOOLS, "tool = 'add'\nargs = { a = 2, b = 3 }\nexpect = '^5$'\nmodel = 'echo-model'"),
    ("divides", TOOLS, "tool = 'divide'\nargs = { a = 2, b = 0 }\nmodel = 'echo-model'"),
];

const PIPE: &str = "class Pipe:\n    def pipe(self, body):\n        return body['messages'][-1]['content'].upper()\n";

const TOOLS: &str = "class Tools:
    def add(self, a: int, b: int) -> str:
        \"\"\"Add two numbers.\"\"\"
        return str(a + b)

    def divide(self, a: int, b: int) -> str:
        \"\"\"Divide two numbers.\"\"\"
        return str(a / b)
";

async fn every_kind_is_tried_after_its_deploy(version: Version) {
    let sandbox = development_server(version).await;
    let server = Server::real(&sandbox);
    let secret = server.key.as_ref().unwrap().expose_secret();
    let project = Project::new().with("OPENWEBUI_URL", &server.url).with("OPENWEBUI_API_KEY", secret);
    let mut settings = "activate_new = true\n".to_owned();
    for (id, text, table) in REAL {
        project.put(&format!("plugins/{id}.py"), text);
        writeln!(settings, "[plugins.'plugins/{id}.py'.try]\n{table}").unwrap();
    }
    project.put("watch.toml", &settings);
    let project = Arc::new(project);
    // The sandbox's model answers from this thread.
    let run = {
        let project = Arc::clone(&project);
        move || project.run(&["--once", "--try", "--json"])
    };
    let ran = tokio::task::spawn_blocking(run).await.unwrap();
    check(&ran, 1);
    let told = ran.notices();
    let of = |id: &str| {
        let is_result =
            |told: &&Value| ["works", "answered", "fails", "not_tried"].contains(&told["event"].as_str().unwrap());
        let found: Vec<_> = told.iter().filter(|told| told["id"] == id).filter(is_result).collect();
        let [told] = found.as_slice() else { panic!("{id}: {found:#?}") };
        let words = told.get("words").or(told.get("answer")).or(told.get("diff")).and_then(Value::as_str);
        (told["event"].as_str().unwrap(), words.unwrap_or_default())
    };
    // Before 0.9 the server hides what a filter or an action raises.
    let is_oldest = version == Version::V0_6_43;
    let or_hidden = |words: &'static str| if is_oldest { owui_watch::client::HIDDEN } else { words };
    assert_eq!(of("shout"), ("works", "WHO IS THERE?"));
    assert_eq!(of("quiet"), ("fails", "expected `^hi$`"));
    assert_eq!(of("many").0, if is_oldest { "answered" } else { "fails" });
    assert_eq!(of("raises"), ("fails", "'nope'"));
    let words = "the server lists no model of it: its `pipes` raised, or returned no list of `id` and `name`";
    assert_eq!(of("listless"), ("fails", words));
    assert_eq!(of("slow"), ("fails", "no answer within 1 s"));
    assert_eq!(of("brief").0, "works");
    assert_eq!(of("inlet"), ("fails", or_hidden("inlet broke")));
    assert_eq!(of("outlet"), ("fails", or_hidden("Error: outlet broke")));
    assert_eq!(of("stream").0, "fails");
    assert_eq!(of("count").0, "works");
    assert_eq!(of("act"), ("fails", or_hidden("Error: action broke")));
    assert_eq!(of("sums"), ("works", "5"), "what is expected is no exception");
    let divided = if [Version::V0_6_43, Version::V0_9_6].contains(&version) { "answered" } else { "fails" };
    assert_eq!(of("divides"), (divided, "division by zero"));

    // A save in a watch, and one that mends it.
    let watched = move || {
        let mut watch = project.watch_with(&["--try"]);
        watch.wait("summary", None);
        project.write("plugins/raises.py", &PIPE.replace("upper", "uper"));
        let told = watch.wait("fails", Some("raises")).pop().unwrap();
        assert_eq!(told["words"], "'str' object has no attribute 'uper'", "{told}");
        project.write("plugins/raises.py", PIPE);
        let told = watch.wait("works", Some("raises")).pop().unwrap();
        assert_eq!(told["answer"], "HI", "{told}");
        assert!(watch.stop().success());
    };
    tokio::task::spawn_blocking(watched).await.unwrap();
    sandbox.stop();
}

#[tokio::test]
#[ignore = "starts a real Open WebUI"]
async fn every_kind_is_tried_after_its_deploy_on_0_12_4() {
    every_kind_is_tried_after_its_deploy(Version::V0_12_4).await;
}

#[tokio::test]
#[ignore = "starts a real Open WebUI"]
async fn every_kind_is_tried_after_its_deploy_on_0_11_4() {
    every_kind_is_tried_after_its_deploy(Version::V0_11_4).await;
}

#[tokio::test]
#[ignore = "starts a real Open WebUI"]
async fn every_kind_is_tried_after_its_deploy_on_0_9_6() {
    every_kind_is_tried_after_its_deploy(Version::V0_9_6).await;
}

#[tokio::test]
#[ignore = "starts a real Open WebUI"]
async fn every_kind_is_tried_after_its_deploy_on_0_6_43() {
    every_kind_is_tried_after_its_deploy(Version::V0_6_43).await;
}

#[test]
#[ignore = "starts a real Open WebUI"]
fn a_sandbox_tries_what_cannot_act_outside() {
    let cache = default_cache().unwrap();
    let project = Project::new()
        .with("XDG_CACHE_HOME", cache.parent().unwrap().to_str().unwrap())
        .with("PATH", &std::env::var("PATH").unwrap());
    project.put("plugins/shout.py", PIPE);
    project.put("plugins/web.py", format!("import httpx\n\n\n{PIPE}"));
    project.put("plugins/sums.py", TOOLS);
    project.put("plugins/brief.py", REAL[6].1);
    project.put("plugins/count.py", REAL[10].1);
    let mut watch = project.watch_with(&["sandbox", "--try", "--quiet-calls"]);
    watch.wait_long("ready", None);
    // It takes no part in the trials of others.
    project.put("plugins/boom.py", "class Filter:\n    def inlet(self, body):\n        return body['nope']\n");
    project.put("plugins/misspelt.py", "class Filter:\n    def inlte(self, body):\n        return body\n");
    for _ in ["shout", "brief", "count"] {
        watch.wait("works", None);
    }
    for (id, words, line) in
        [("boom", "KeyError: 'nope'", json!(3)), ("misspelt", "none of its hooks ran", Value::Null)]
    {
        let is_it = |told: &&Value| told["id"] == id && told["event"] == "fails";
        let fails = watch.notices().iter().find(is_it).cloned();
        let fails = fails.unwrap_or_else(|| watch.wait("fails", Some(id)).pop().unwrap());
        assert_eq!((&fails["words"], &fails["line"]), (&json!(words), &line));
    }
    let about = |watch: &Watch, id: &str| {
        let told = watch.notices().iter().filter(|told| told["id"] == id);
        told.map(|told| told["reason"].as_str().or(told["event"].as_str()).unwrap().to_owned()).collect::<Vec<_>>()
    };
    for id in ["shout", "count", "brief"] {
        assert_eq!(about(&watch, id), ["sending", "created", "trying", "works"]);
    }
    assert_eq!(about(&watch, "web"), ["sending", "created", "acts_outside"]);
    assert_eq!(about(&watch, "sums"), ["sending", "created", "no_function"]);
    let created = watch.notices().iter().find(|told| told["id"] == "brief" && told["event"] == "created").unwrap();
    assert_eq!((&created["global"], &created["hint"]), (&json!(true), &Value::Null));

    project.write("plugins/web.py", &format!("import httpx\n\n\n{PIPE}\n# again\n"));
    project.write("plugins/shout.py", &PIPE.replace("upper", "uper"));
    let fails = watch.wait("fails", Some("shout")).pop().unwrap();
    assert_eq!(fails["words"], "AttributeError: 'str' object has no attribute 'uper'");
    assert!(fails["line"].is_number(), "{fails}");
    watch.signal("INT");
    assert!(watch.ended().success());
    let untried = about(&watch, "web").iter().filter(|told| *told == "acts_outside").count();
    assert_eq!(untried, 1, "it is told once");
}
