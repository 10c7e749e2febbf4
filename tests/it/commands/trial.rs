//! `try`: against the fake server with made-up answers, and against real ones.

use super::*;

const PIPE: &str = "class Pipe:\n    def pipe(self, body):\n        return body['messages'][-1]['content'].upper()\n";

/// What a server says that has these models.
const MODELS: &str = r#"{"data": [
    {"id": "shout", "pipe": {"type": "pipe"}, "info": {"meta": {"filterIds": ["brief"]}}},
    {"id": "other", "info": {"meta": {}}},
    {"id": "many.one", "pipe": {"type": "pipe"}}, {"id": "many.two", "pipe": {"type": "pipe"}}
]}"#;

const SANDBOX: &str = "`owui-watch sandbox` shows the line that raises it\n";

const WHETHER: &str = "`owui-watch sandbox` shows whether it raises an exception\n";

const LISTING: &str = "GET /api/v1/functions/export";

const CHAT: &str = "POST /api/chat/completions";

/// A server with pipes, a filter, an action and a tool, all switched on.
fn stocked(server: &FakeServer) -> Project {
    let project = Project::on(server);
    project.put("watch.toml", "activate_new = true\n");
    project.put("plugins/shout.py", PIPE);
    project.put("plugins/many.py", PIPE);
    project.put("plugins/brief.py", filter("1"));
    project.put("plugins/count.py", "class Action:\n    def action(self, body):\n        return body\n");
    project.put("plugins/sums.py", tool("1"));
    check(&project.run(&["--once"]), 0);
    project
}

/// Runs `try` where the server's models are these and the next chat ends like this.
fn tried(server: &FakeServer, project: &Project, arguments: &[&str], status: u16, said: &'static str) -> Ran {
    server.fail_next_of("GET /api/models", 2, Fault::Says(200, MODELS));
    server.fail_next_of(CHAT, 9, Fault::Says(status, said));
    server.fail_next_of("POST /api/chat/actions", 9, Fault::Says(status, said));
    let ran = project.run(&[&["try"], arguments].concat());
    server.recover();
    ran
}

#[test]
fn a_pipe_works_or_fails_in_the_words_of_the_server() {
    let server = FakeServer::start();
    let project = stocked(&server);
    let hello = "data: {\"choices\": [{\"delta\": {\"content\": \"HELLO\"}}]}\n\ndata: [DONE]\n\n";
    for (status, said, code, result) in [
        (200, hello, 0, Ok("HELLO")),
        (200, r#"{"choices": [{"message": {"content": "HELLO"}}]}"#, 0, Ok("HELLO")),
        (200, r#"{"error": {"detail": "'nope'"}}"#, 1, Err("'nope'")),
        (200, "data: {\"error\": {\"detail\": \"'nope'\"}}\n\n", 1, Err("'nope'")),
        (400, r#"{"detail": "half way"}"#, 1, Err("half way")),
        (200, "\n", 1, Err("the answer breaks off before its first word")),
        (500, "Internal Server Error", 1, Err("the server failed and gave no reason (Internal Server Error)")),
    ] {
        let ran = tried(&server, &project, &["shout"], status, said);
        check(&ran, code);
        let told = tried(&server, &project, &["shout", "--json"], status, said).notices();
        let [told] = told.as_slice() else { panic!("{told:?}") };
        assert_eq!((&told["model"], &told["id"]), (&json!("shout"), &json!("shout")));
        assert!(told["ms"].is_number(), "{told}");
        match result {
            Ok(answer) => {
                assert!(ran.stdout.starts_with("`plugins/shout.py` works: model `shout`, "), "{}", ran.stdout);
                assert!(ran.stdout.ends_with(&format!("\n  {answer}\n")), "{}", ran.stdout);
                assert_eq!((&told["event"], &told["answer"]), (&json!("works"), &json!(answer)));
            }
            Err(words) => {
                // Where the pipe did not surely raise it, the filter that is on for the model may have.
                let (fails, others) = if words == "'nope'" {
                    ("`plugins/shout.py` fails", "")
                } else {
                    (
                        "the trial of `plugins/shout.py` failed",
                        "the server does not say what failed: it may also be filter `brief`\nhint: ",
                    )
                };
                assert!(ran.stderr.starts_with(&format!("error: {fails}: model `shout`, ")), "{}", ran.stderr);
                let hint = if words.contains("breaks off") { WHETHER } else { SANDBOX };
                assert!(ran.stderr.ends_with(&format!(": {words}\nhint: {others}{hint}")), "{}", ran.stderr);
                assert_eq!((&told["event"], &told["words"]), (&json!("fails"), &json!(words)));
            }
        }
    }
    let sent = server.requests().into_iter().rfind(|request| request.path == "/api/chat/completions").unwrap();
    assert_eq!(
        sent.body,
        json!({ "model": "shout", "messages": [{ "role": "user", "content": "hello" }], "stream": true }),
        "without a chat or a session, nothing is saved"
    );
}

#[test]
fn a_manifold_is_tried_by_all_its_models_or_by_one() {
    let server = FakeServer::start();
    let project = stocked(&server);
    let said = r#"{"choices": [{"message": {"content": "HELLO"}}]}"#;
    let models = |arguments: &[&str]| {
        let told = tried(&server, &project, &[arguments, &["--json"]].concat(), 200, said).notices();
        told.iter().map(|told| told["model"].as_str().unwrap_or("-").to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(models(&["many"]), ["many.one", "many.two"]);
    assert_eq!(models(&["plugins/many.py", "--model", "two"]), ["many.two"]);
    assert_eq!(models(&["many", "--model", "many.one"]), ["many.one"]);
    let raised = r#"{"error": {"detail": "'nope'"}}"#;
    let ran = tried(&server, &project, &["many"], 200, raised);
    check(&ran, 1);
    let says = "error: `plugins/many.py` fails: models `many.one`, `many.two`, ";
    assert!(ran.stderr.starts_with(says) && ran.stderr.matches("'nope'").count() == 1, "{}", ran.stderr);
    assert_eq!(tried(&server, &project, &["many", "--json"], 200, raised).notices().len(), 2);
    let ran = tried(&server, &project, &["many", "--model", "three"], 200, said);
    check(&ran, 2);
    assert!(ran.stderr.contains("\nhint: it has `many.one`, `many.two`\n"), "{}", ran.stderr);
}

/// The sandbox tells once what it has seen.
#[test]
fn a_pipe_without_models_is_judged_by_what_the_sandbox_saw() {
    let server = FakeServer::start();
    let project = stocked(&server);
    let tried = |models, seen| {
        server.fail_next_of("GET /api/models", 2, Fault::Says(200, models));
        server.fail_next_of("GET /owui-watch/trial/", 1, Fault::Says(200, seen));
        let ran = project.run(&["try", "shout"]);
        server.recover();
        check(&ran, 1);
        ran.stderr
    };
    let (sandbox, own) = (r#"{"data": [{"id": "echo", "owned_by": "owui-watch"}]}"#, r#"{"data": [{"id": "echo"}]}"#);
    let empty = r#"[{"kind": "function", "id": "shout", "hook": "pipes", "nothing": false,
        "error": "`pipes` returned an empty list", "frame": null}]"#;
    assert!(tried(sandbox, empty).ends_with(": `pipes` returned an empty list\n"));
    let unseen = tried(sandbox, "[]");
    assert!(unseen.contains(": the server lists no model of it\nhint: check that its saved valves"), "{unseen}");
    let unknown = tried(own, "[]");
    assert!(unknown.contains(" its `pipes` raised, or returned no list") && unknown.ends_with(WHETHER), "{unknown}");
}

#[test]
fn what_cannot_be_tried_says_why_and_changes_nothing() {
    let server = FakeServer::start();
    let project = stocked(&server);
    let before = writes(&server);
    let (said, attach) = (r#"{"choices": []}"#, "attach it to a model in Open WebUI");
    for (arguments, code, message, hint) in [
        (&["brief", "--model", "other"][..], 1, "it is neither global nor attached to the model `other`", attach),
        (&["count"], 2, "it takes a model, and the server has several", "`shout`, `other`, `many.one`, `many.two`"),
        (&["count", "--model", "gone"], 2, "the server has no model `gone`", "it has `shout`"),
        (&["shout", "--tool", "add"], 2, "`--tool` is for tools, and function shout is none", ""),
        (&["sums", "--tool", "no_such", "--model", "other"], 2, "tool sums has no function `no_such`", "it has"),
    ] {
        let ran = tried(&server, &project, arguments, 200, said);
        check(&ran, code);
        assert!(ran.stderr.contains(message) && ran.stderr.contains(hint), "{arguments:?} {}", ran.stderr);
    }
    server.edit_row(Kind::Function, "shout", |row| row.is_active = false);
    let told = tried(&server, &project, &["shout", "--json"], 200, said).notices();
    assert_eq!(of(&told, "not_tried")["message"], "cannot try `plugins/shout.py`: it is switched off on the server");
    project.put("plugins/new.py", PIPE);
    let told = tried(&server, &project, &["new", "--json"], 200, said).notices();
    assert_eq!(told[0]["event"], "not_on_server");
    let chats = |line: &String| line.contains("/api/chat");
    assert_eq!(writes(&server).into_iter().filter(|line| !chats(line)).collect::<Vec<_>>(), before);
    assert!(!server.lines().iter().any(chats), "{:?}", server.lines());
}

#[test]
fn an_action_gets_the_message_in_a_chat_that_is_not_saved() {
    let server = FakeServer::start();
    let project = stocked(&server);
    let ran = tried(&server, &project, &["count", "Bye", "--model", "other"], 200, r#"{"content": "3 letters"}"#);
    check(&ran, 0);
    assert!(ran.stdout.contains("works: the action, ") && ran.stdout.contains("3 letters"), "{}", ran.stdout);
    let sent = server.requests().into_iter().rfind(|request| request.path == "/api/chat/actions/count").unwrap().body;
    assert_eq!((&sent["chat_id"], &sent["model"]), (&json!("local:owui-watch"), &json!("other")));
    assert_eq!(sent["messages"][1], json!({ "id": sent["id"], "role": "assistant", "content": "Bye" }));
    let ran = tried(&server, &project, &["count", "--model", "other"], 400, r#"{"detail": "Error: 'nope'"}"#);
    check(&ran, 1);
    assert!(
        ran.stderr.contains("fails: the action, ")
            && ran.stderr.ends_with(&format!(": Error: 'nope'\nhint: {SANDBOX}")),
        "{}",
        ran.stderr
    );
}

/// The server gives the words of an exception, and not whose it is.
#[test]
fn a_failed_chat_names_all_that_took_part() {
    let server = FakeServer::start();
    let project = stocked(&server);
    for id in ["brief", "censor", "idle"] {
        let text = "class Filter:\n    def inlet(self, body):\n        return body\n";
        project.put(&format!("plugins/{id}.py"), text);
    }
    check(&project.run(&["--once"]), 0);
    server.edit_row(Kind::Function, "censor", |row| row.is_global = true);
    let inlet = (400, r#"{"detail": "'nope'"}"#);
    let pipe = (200, "data: {\"error\": {\"detail\": \"'nope'\"}}\n\n");
    for (plugin, (status, said), says, others) in [
        (
            "shout",
            inlet,
            "error: the trial of `plugins/shout.py` failed: model `shout`, ",
            "filter `brief` or filter `censor`",
        ),
        ("brief", inlet, "error: the trial of `plugins/brief.py` failed: inlet, ", "filter `censor` or pipe `shout`"),
        ("shout", pipe, "error: `plugins/shout.py` fails: model `shout`, ", ""),
        ("brief", pipe, "is inconclusive: pipe `shout`, which answers there, failed: 'nope'\n", ""),
    ] {
        let ran = tried(&server, &project, &[plugin], status, said);
        check(&ran, 1);
        assert!(ran.stderr.contains(says), "{}", ran.stderr);
        let hint = format!("\nhint: the server does not say what failed: it may also be {others}\n");
        assert_eq!(ran.stderr.contains("it may also be"), !others.is_empty(), "{}", ran.stderr);
        assert!(others.is_empty() || ran.stderr.contains(&hint), "{}", ran.stderr);
    }
    let told = tried(&server, &project, &["brief", "--json"], inlet.0, inlet.1).notices();
    assert_eq!(of(&told, "fails")["others"], json!(["filter `censor`", "pipe `shout`"]));
    let listings = |plugin: &str| {
        let count = || server.lines().iter().filter(|line| line.contains(LISTING)).count();
        let before = count();
        check(&tried(&server, &project, &[plugin], inlet.0, inlet.1), 1);
        count() - before
    };
    assert_eq!(listings("many"), listings("shout"), "one for all models of a pipe");
    server.fail_next_of(LISTING, 9, Fault::Says(500, "no"));
    let told = tried(&server, &project, &["shout", "--json"], inlet.0, inlet.1).notices();
    assert_eq!(of(&told, "fails")["others"], json!(["any filter (the server did not list them)"]));
}

#[test]
fn a_model_that_calls_no_tool_raises_nothing() {
    let server = FakeServer::start();
    let project = stocked(&server);
    let said = r#"{"choices": [{"message": {"content": "no"}}]}"#;
    let ran = tried(&server, &project, &["sums", "--model", "other"], 200, said);
    check(&ran, 1);
    assert!(ran.stderr.contains("no result: `other` called no tool"), "{}", ran.stderr);
    assert!(!ran.stderr.contains("owui-watch sandbox"), "{}", ran.stderr);
}

#[test]
fn a_filter_whose_hook_is_misspelt_does_not_work() {
    let server = FakeServer::start();
    let project = stocked(&server);
    let body = r#"{"messages": [{"role": "user", "content": "hello"}]}"#;
    let outlets = || server.fail_next_of("POST /api/chat/completed", 9, Fault::Says(200, body));
    let hello = r#"{"choices": [{"message": {"content": "hello"}}]}"#;
    for (method, code, says) in [
        ("def inlet(self, body):\n        return body", 0, ""),
        (
            "def inlte(self, body):\n        return body",
            1,
            ": none of its hooks ran\nhint: the server calls `inlet`, `stream`",
        ),
        ("toggle = True", 1, ": it has no hook: all it does is add a switch to the chat\n"),
    ] {
        project.put("plugins/brief.py", format!("class Filter:\n    {method}\n"));
        check(&project.run(&["--once"]), 0);
        outlets();
        let ran = tried(&server, &project, &["brief"], 200, hello);
        check(&ran, code);
        assert!(ran.stderr.contains(says), "{}", ran.stderr);
    }
}

#[test]
fn a_late_answer_fails() {
    let server = FakeServer::start();
    let project = stocked(&server);
    server.fail_next_of("GET /api/models", 1, Fault::Says(200, MODELS));
    server.fail_next_of(CHAT, 1, Fault::Delay);
    let ran = project.run(&["try", "shout", "--within", "1"]);
    server.release();
    check(&ran, 1);
    assert!(ran.stderr.contains(": no answer within 1 s\n"), "{}", ran.stderr);
    assert!(ran.stderr.ends_with("\nhint: `--within` waits longer\n"), "{}", ran.stderr);
}

#[test]
fn another_text_on_the_server_is_told() {
    let server = FakeServer::start();
    let project = stocked(&server);
    project.put("plugins/shout.py", PIPE.replace("upper", "lower"));
    let ran = tried(&server, &project, &["shout"], 200, r#"{"choices": []}"#);
    check(&ran, 0);
    let warning = "warning: `plugins/shout.py` differs from the server's text; the server's text is tried\n";
    assert!(ran.stderr.starts_with(warning), "{}", ran.stderr);
}

#[test]
fn an_answer_cannot_control_the_terminal() {
    let server = FakeServer::start();
    let project = stocked(&server);
    let answer = json!({ "choices": [{ "message": { "content": HOSTILE } }] }).to_string().leak();
    let error = json!({ "error": { "detail": HOSTILE } }).to_string().leak();
    let page = format!("<html><head><title>{HOSTILE}</title></head></html>").leak();
    for (code, status, said) in [(0, 200, &*answer), (1, 200, error), (3, 200, page)] {
        for format in [&[][..], &["--json"], &["-vv"]] {
            let ran = tried(&server, &project, &[&["shout"], format].concat(), status, said);
            check(&ran, code);
            steers_nothing(&ran);
        }
    }
}

#[test]
fn arguments_of_a_tool_are_an_object() {
    let project = Project::new();
    for arguments in [
        &["try", "sums", "--tool", "add", "--args", "[1]"][..],
        &["try", "sums", "--tool", "add", "--args", "{"],
        &["try", "sums", "--args", "{}"],
        &["try", "sums", "hello", "--tool", "add"],
        &["try", "sums", "--within", "0"],
        &["try"],
        &["--once", "try", "sums"],
    ] {
        check(&project.run(arguments), 2);
    }
}

// ---- on real servers ------------------------------------------------------------------------------------------------

#[cfg(unix)]
const REAL: [(&str, &str); 7] = [
    ("shout", PIPE),
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
    ),
    ("broken", "class Pipe:\n    def pipe(self, body):\n        return {}['nope']\n"),
    (
        "slow",
        "import asyncio


class Pipe:
    async def pipe(self, body):
        await asyncio.sleep(5)
        return 'late'
",
    ),
    (
        "brief",
        "class Filter:
    def inlet(self, body):
        if 'boom' in body['messages'][-1]['content']:
            raise ValueError('inlet broke')
        body['messages'].insert(0, {'role': 'system', 'content': 'Be brief.'})
        return body

    def outlet(self, body):
        if 'bang' in body['messages'][-1]['content']:
            raise ValueError('outlet broke')
        body['messages'][-1]['content'] += ' (brief)'
        return body
",
    ),
    (
        "count",
        "class Action:
    async def action(self, body):
        text = body['messages'][-1]['content']
        if 'boom' in text:
            raise ValueError('action broke')
        return {'content': f'{len(text)} letters'}
",
    ),
    (
        "sums",
        "class Tools:
    def add(self, a: int, b: int) -> str:
        \"\"\"Add two numbers.\"\"\"
        return str(a + b)

    def divide(self, a: int, b: int) -> str:
        \"\"\"Divide two numbers.\"\"\"
        return str(a / b)
",
    ),
];

#[cfg(unix)]
const INLET: &str = "inlet:
--- sent
+++ what the model got after inlet
@@ -1 +1,2 @@
+system: Be brief.
 user: hello
";

#[cfg(unix)]
const OUTLET: &str = "outlet:
--- answered
+++ the answer after outlet
@@ -1,2 +1,2 @@
 user: hello
-assistant: hello
+assistant: hello (brief)
";

#[cfg(unix)]
async fn every_kind_is_tried(version: Version) {
    use crate::support::{Server, development_server};
    use secrecy::ExposeSecret as _;
    use std::sync::Arc;

    let sandbox = development_server(version).await;
    let server = Server::real(&sandbox);
    let secret = server.key.as_ref().unwrap().expose_secret();
    let project = Project::new().with("OPENWEBUI_URL", &server.url).with("OPENWEBUI_API_KEY", secret);
    project.put("watch.toml", "activate_new = true\n");
    for (id, text) in REAL {
        project.put(&format!("plugins/{id}.py"), text);
    }
    check(&project.run(&["--once"]), 0);
    let holds = async || {
        let mut all = Vec::new();
        for path in ["/api/v1/functions/export", "/api/v1/tools/export", "/api/v1/chats/", "/api/v1/files/"] {
            all.push(server.get(path).await);
        }
        all
    };
    let before = holds().await;
    let project = Arc::new(project);
    // The sandbox's model answers from this thread.
    let run = async |arguments: &[&str]| {
        let (project, arguments) = (Arc::clone(&project), [&["try"], arguments].concat().join("\n"));
        let run = move || project.run(&arguments.split('\n').collect::<Vec<_>>());
        tokio::task::spawn_blocking(run).await.unwrap()
    };
    let tried = async |arguments: &[&str], code| {
        let ran = run(&[arguments, &["--json"]].concat()).await;
        check(&ran, code);
        ran.notices()
    };
    let one = async |arguments: &[&str], code| {
        let told = tried(arguments, code).await;
        let [told] = told.as_slice() else { panic!("{arguments:?} {told:#?}") };
        (told["event"].as_str().unwrap().to_owned(), told.clone())
    };
    let works = async |arguments: &[&str]| {
        let (event, told) = one(arguments, 0).await;
        assert_eq!(event, "works", "{arguments:?} {told}");
        told
    };
    let fails = async |arguments: &[&str], words: &str| {
        let (event, told) = one(arguments, 1).await;
        assert_eq!((event.as_str(), &told["words"]), ("fails", &json!(words)), "{arguments:?} {told}");
    };
    let is_oldest = version == Version::V0_6_43;
    // Before 0.9 the server hides what an action or a filter raises.
    let hidden = owui_watch::client::HIDDEN;
    let or_hidden = |words: &'static str| if is_oldest { hidden } else { words };

    assert_eq!(works(&["shout", "Who is there?"]).await["answer"], "WHO IS THERE?");
    assert_eq!(works(&["plugins/shout.py"]).await["answer"], "HELLO");
    let both = tried(&["many"], i32::from(!is_oldest)).await;
    let expected = if is_oldest { ["answered", "answered"] } else { ["works", "fails"] };
    assert_eq!([&both[0]["event"], &both[1]["event"]], expected, "{both:#?}");
    assert_eq!(one(&["many", "--model", "one"], 0).await.1["answer"], "first second");
    fails(&["broken"], "'nope'").await;
    fails(&["slow", "--within", "1"], "no answer within 1 s").await;

    assert_eq!(works(&["brief"]).await["diff"], format!("{INLET}{OUTLET}"));
    let other = works(&["brief", "--model", "shout"]).await;
    assert_eq!((&other["answer"], &other["diff"]), (&json!("HELLO"), &json!(OUTLET)));
    fails(&["brief", "boom"], or_hidden("inlet broke")).await;
    fails(&["brief", "bang"], or_hidden("Error: outlet broke")).await;

    assert!(works(&["count"]).await["answer"].as_str().unwrap().contains("5 letters"));
    fails(&["count", "boom"], or_hidden("Error: action broke")).await;

    let add = ["sums", "--tool", "add", "--args", r#"{"a": 2, "b": 3}"#];
    let divide = ["sums", "--tool", "divide", "--args", r#"{"a": 2, "b": 0}"#];
    if [Version::V0_6_43, Version::V0_9_6].contains(&version) {
        let (event, told) = one(&add, 0).await;
        assert_eq!((event.as_str(), &told["answer"]), ("answered", &json!("5")));
        let (event, told) = one(&divide, 0).await;
        assert_eq!((event.as_str(), &told["answer"]), ("answered", &json!("division by zero")));
    } else {
        assert_eq!(works(&add).await["answer"], "5");
        fails(&divide, "division by zero").await;
    }
    let ran = run(&["sums", "--tool", "add", "--model", "shout"]).await;
    check(&ran, 1);
    assert!(ran.stderr.contains("no route of the server calls `add`"), "{}", ran.stderr);
    assert_eq!(holds().await, before, "nothing is saved, and nothing is changed");

    // As on a server that is not ours to change.
    assert_eq!(server.post("/api/v1/functions/id/brief/toggle/global", &Value::Null).await.0, 200);
    let (event, told) = one(&["brief"], 1).await;
    assert_eq!(event, "not_tried");
    assert!(told["message"].as_str().unwrap().contains("neither global nor attached to a model"), "{told}");
    assert_eq!(server.post("/api/v1/functions/id/shout/toggle", &Value::Null).await.0, 200);
    assert_eq!(one(&["shout"], 1).await.0, "not_tried");
    sandbox.stop();
}

#[cfg(unix)]
#[tokio::test]
#[ignore = "starts a real Open WebUI"]
async fn every_kind_is_tried_on_0_12_4() {
    every_kind_is_tried(Version::V0_12_4).await;
}

#[cfg(unix)]
#[tokio::test]
#[ignore = "starts a real Open WebUI"]
async fn every_kind_is_tried_on_0_11_4() {
    every_kind_is_tried(Version::V0_11_4).await;
}

#[cfg(unix)]
#[tokio::test]
#[ignore = "starts a real Open WebUI"]
async fn every_kind_is_tried_on_0_9_6() {
    every_kind_is_tried(Version::V0_9_6).await;
}

#[cfg(unix)]
#[tokio::test]
#[ignore = "starts a real Open WebUI"]
async fn every_kind_is_tried_on_0_6_43() {
    every_kind_is_tried(Version::V0_6_43).await;
}
