//! A deploy cannot hurt: single promises that the built binary keeps on every version of Open WebUI, or that are known
//! to be impossible there. The same scenarios run against fake and real servers, and define the table of
//! `docs/server-versions.md`.
//!
//! The scenarios act as an admin over the server's own HTTP. Between owui-watch and the server is a [`Relay`] that can
//! lose requests. On a real server they run side by side, so each has its own ids.
//!
//! Long because that table is made of this one list of promises.

use std::fmt::Write as _;
use std::fs;

use owui_watch::engine::TESTED;
use owui_watch::plugin::Kind;
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};

use crate::git;
use crate::pages::assert_made;
use crate::support::command::{Project, copies, names};
use crate::support::fake_server::{FakeServer, Version};
use crate::support::relay::{Cut, Relay};
use crate::support::{Login, Server, real_server};

const VERSIONS: [Version; 4] = [Version::V0_6_43, Version::V0_9_6, Version::V0_11_4, Version::V0_12_4];

/// Kept.
const YES: &str = "yes";
/// Kept by repairing at once what the server does.
const REPAIRED: &str = "repaired";
/// Impossible: the server hides the reason.
const HIDDEN: &str = "hidden";
/// Impossible: the server accepts everything.
const UNCHECKED: &str = "not checked";
/// Impossible: the server keeps no history.
const NO_HISTORY: &str = "no history";

const ALWAYS: [&str; 4] = [YES; 4];
const SINCE_0_12_UNHURT: [&str; 4] = [REPAIRED, REPAIRED, REPAIRED, YES];

/// Lists the promises once: the scenario, the words of the table, and the result on each version.
macro_rules! promises {
    ($($scenario:ident, $name:literal, $cells:expr;)+) => {
        const PROMISES: &[(&str, [&str; 4])] = &[$(($name, $cells)),+];

        mod promises_on_the_fakes {
            use super::*;
            $(
                #[test]
                fn $scenario() {
                    on_the_fakes(super::$scenario, $cells);
                }
            )+
        }

        /// Tries every promise, even after a failure, and names the broken ones.
        async fn every_promise(server: &Server) {
            let place = VERSIONS.iter().position(|version| *version == server.version).unwrap();
            let mut broken = Vec::new();
            $(
                let came = tokio::spawn($scenario(Scene::new(server.clone(), true))).await;
                if came.as_ref().ok() != Some(&$cells[place]) {
                    broken.push((stringify!($scenario), came.ok()));
                }
            )+
            assert!(broken.is_empty(), "broken on {}: {broken:#?}", server.version.name());
        }
    };
}

promises! {
    a_refused_save_leaves_the_plugin_as_it_was,
        "a refused save leaves the running plugin as it was", SINCE_0_12_UNHURT;
    a_lost_answer_changes_nothing_of_it,
        "the same if the server's answer is lost; a success is never reported as a failure", SINCE_0_12_UNHURT;
    a_kill_in_between_is_made_good,
        "the same after owui-watch is killed, at its next start", SINCE_0_12_UNHURT;
    a_deploy_that_takes_too_long_is_looked_up,
        "after a timeout, the server's text is read before anything is sent again", ALWAYS;
    valves_stay, "valves and user valves stay", ALWAYS;
    sharing_stays, "who may use a tool stays", ALWAYS;
    icons_and_translations_stay, "icons and translations stay, as far as the server stores them", ALWAYS;
    names_stay, "a name or description changed on the server stays; others follow the file", ALWAYS;
    what_is_new_is_private, "a new tool is private, a new function off", ALWAYS;
    an_edit_on_the_server_is_kept, "a text edited on the server is copied before it is replaced", ALWAYS;
    an_edit_on_the_server_is_left, "with `on_remote_edit = \"hold\"`, it is not replaced", ALWAYS;
    a_deleted_file_deletes_nothing, "a deleted file deletes nothing", ALWAYS;
    a_deleted_file_takes_along_what_was_asked_for,
        "with `on_delete`, the function is switched off, or the plugin deleted after a copy", ALWAYS;
    nothing_is_created_twice, "a plugin that the server has under another id is not created again", ALWAYS;
    an_earlier_text_can_be_put_back, "a text deployed earlier can be restored, and stays", ALWAYS;
    a_version_of_the_server_can_be_put_back,
        "so can a text that only the server has", [NO_HISTORY, NO_HISTORY, NO_HISTORY, YES];
    the_reason_of_a_refused_update_is_told,
        "a refused save is reported with the server's reason, and its line", [YES, YES, HIDDEN, YES];
    the_reason_of_a_refused_create_is_told, "the same for a new plugin", [YES, YES, HIDDEN, YES];
    valves_that_do_not_fit_are_named,
        "valves that do not fit the new text are named", [UNCHECKED, UNCHECKED, UNCHECKED, YES];
    the_history_names_the_commit,
        "the server's history names version and commit", [NO_HISTORY, NO_HISTORY, NO_HISTORY, YES];
    the_history_stays_short,
        "the history keeps only `keep_versions` versions of a session", [NO_HISTORY, NO_HISTORY, NO_HISTORY, YES];
}

/// The versions side by side, since some scenarios have to wait.
fn on_the_fakes<F: Future<Output = &'static str>>(scenario: fn(Scene) -> F, cells: [&str; 4]) {
    let run = |version| {
        let fake = FakeServer::of(version);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(scenario(Scene::new(Server::fake(&fake), false)))
    };
    std::thread::scope(|scope| {
        let runs = VERSIONS.map(|version| scope.spawn(move || run(version)));
        for ((version, cell), run) in VERSIONS.into_iter().zip(cells).zip(runs) {
            assert_eq!(run.join().ok(), Some(cell), "on {}", version.name());
        }
    });
}

// ---- the scene ------------------------------------------------------------------------------------------------------

/// A project with a server of some version, and a relay in between.
struct Scene {
    server: Server,
    relay: Relay,
    project: Project,
    /// It runs the plugins.
    is_real: bool,
}

/// One plugin in it.
struct It {
    kind: Kind,
    id: String,
}

impl It {
    fn new(kind: Kind, name: &str) -> Self {
        Self { kind, id: format!("{name}_{}", kind.word()) }
    }

    fn both(name: &str) -> [Self; 2] {
        [Self::new(Kind::Function, name), Self::new(Kind::Tool, name)]
    }

    fn file(&self) -> String {
        format!("plugins/{}.py", self.id)
    }

    /// A text of the plugin. Its valves and its answer tell which text the server runs.
    fn text(&self, version: u32) -> String {
        let (class, method) = match self.kind {
            Kind::Function => ("Pipe", "pipe(self, body: dict)"),
            Kind::Tool => ("Tools", "say(self)"),
        };
        format!(
            "\"\"\"\ntitle: Parrot {version}\nversion: {version}\ndescription: Says {version}\n\"\"\"\n\n\
             from pydantic import BaseModel\n\n\n\
             class {class}:\n    class Valves(BaseModel):\n        n: int = 1\n        of_{version}: int = 0\n\n    \
             class UserValves(BaseModel):\n        own: int = 1\n\n    \
             def __init__(self):\n        self.valves = self.Valves()\n\n    \
             def {method} -> str:\n        \"\"\"Says which one it is.\"\"\"\n        return \"{version}\"\n"
        )
    }

    /// A text that only the server refuses, and the line at fault.
    fn refused(&self, version: u32) -> (String, usize) {
        let text = self.text(version) + "\n\nimport no_such_module\n";
        let line = text.lines().count();
        (text, line)
    }
}

impl Scene {
    fn new(server: Server, is_real: bool) -> Self {
        let relay = Relay::to(&server.url);
        let key = server.key.as_ref().unwrap().expose_secret();
        let project = Project::new().with("OPENWEBUI_URL", &relay.url()).with("OPENWEBUI_API_KEY", key);
        Self { server, relay, project, is_real }
    }

    /// Whether a refused update leaves everything alone, and versions are kept.
    fn is_transactional(&self) -> bool {
        self.server.version >= Version::V0_12_4
    }

    /// Since 0.8.
    fn has_grants(&self) -> bool {
        self.server.version >= Version::V0_9_6
    }

    fn put(&self, it: &It, text: impl AsRef<[u8]>) {
        self.project.put(&it.file(), text);
    }

    fn remove(&self, it: &It) {
        fs::remove_file(self.project.path(&it.file())).unwrap();
    }

    /// Runs with these arguments, checks the exit code, and returns the notices.
    #[track_caller]
    fn run(&self, arguments: &[&str], code: i32) -> Vec<Value> {
        let ran = self.project.run(&[&["--json"], arguments].concat());
        assert_eq!(ran.code, Some(code), "{arguments:?}\nstdout: {}\nstderr: {}", ran.stdout, ran.stderr);
        ran.notices()
    }

    #[track_caller]
    fn once(&self, code: i32) -> Vec<Value> {
        self.run(&["--once"], code)
    }

    /// Starts a pass, and kills it when the relay is cut.
    fn kill_where_cut(&self) {
        let mut run = self.project.watch_with(&["--once"]);
        self.relay.wait_until_shut();
        run.kill();
        self.relay.open();
    }

    /// The copies of texts that were replaced.
    fn backups(&self, it: &It) -> Vec<String> {
        let folder = self.project.path(&copies("backups", &self.relay.url(), &format!("{}/{}", it.kind.word(), it.id)));
        if !folder.exists() {
            return Vec::new();
        }
        names(&folder).into_iter().map(|name| fs::read_to_string(folder.join(name)).unwrap()).collect()
    }

    fn forget_everything(&self) {
        fs::remove_dir_all(self.project.path(".owui-watch")).unwrap();
    }

    // ---- the server, as an admin has it ----

    async fn get(&self, it: &It, of_it: &str) -> Value {
        let path = format!("/api/v1/{}s/id/{}{of_it}", it.kind.word(), it.id);
        let (status, answer) = self.server.get(&path).await;
        assert_eq!(status, 200, "{path}: {answer}");
        answer
    }

    async fn post(&self, it: &It, of_it: &str, body: &Value) -> Value {
        let path = format!("/api/v1/{}s/id/{}{of_it}", it.kind.word(), it.id);
        let (status, answer) = self.server.post(&path, body).await;
        assert_eq!(status, 200, "{path}: {answer}");
        answer
    }

    async fn is_there(&self, it: &It) -> bool {
        let (_, rows) = self.server.get(&format!("/api/v1/{}s/export", it.kind.word())).await;
        rows.as_array().unwrap().iter().any(|row| row["id"] == it.id)
    }

    /// Everything that the server returns for it, except the time of the last change; with the valve fields and the
    /// answer of the running text.
    async fn everything(&self, it: &It) -> Value {
        let mut row = self.get(it, "").await;
        row.as_object_mut().unwrap().remove("updated_at");
        row["valves"] = self.get(it, "/valves").await;
        row["valves/user"] = self.get(it, "/valves/user").await;
        let spec = self.get(it, "/valves/spec").await;
        row["runs"] = spec["properties"].as_object().unwrap().keys().cloned().collect();
        if self.is_real && it.kind == Kind::Function && row["is_active"] == true {
            row["says"] = self.says(it).await;
        }
        row
    }

    /// What a pipe answers in a chat.
    async fn says(&self, it: &It) -> Value {
        let (status, models) = self.server.get("/api/models").await;
        assert_eq!(status, 200, "{models}");
        let chat = json!({"model": it.id, "stream": false, "messages": [{"role": "user", "content": "?"}]});
        let (status, mut answer) = self.server.post("/api/chat/completions", &chat).await;
        assert_eq!(status, 200, "{answer}");
        answer["choices"][0]["message"]["content"].take()
    }

    /// Edits it like the web UI, which sends all other fields back unchanged.
    async fn edit(&self, it: &It, change: impl FnOnce(&mut Value)) {
        let row = self.get(it, "").await;
        let mut form = json!({});
        for field in ["id", "name", "content", "meta", "access_control"] {
            if let Some(value) = row.get(field) {
                form[field] = value.clone();
            }
        }
        change(&mut form);
        self.post(it, "/update", &form).await;
    }

    /// Deploys it, sets it up as an admin and a user do, and returns the result.
    async fn in_use(&self, it: &It) -> Value {
        self.put(it, it.text(1));
        self.once(0);
        self.edit(it, |form| {
            form["meta"]["i18n"] = json!({"de-DE": {"name": "Papagei"}});
            form["meta"]["profile_image_url"] = json!("data:image/png;base64,AAAA");
        })
        .await;
        if it.kind == Kind::Function {
            self.post(it, "/toggle", &Value::Null).await;
            self.post(it, "/toggle/global", &Value::Null).await;
        }
        self.post(it, "/valves/update", &json!({"n": 7})).await;
        self.post(it, "/valves/user/update", &json!({"own": 5})).await;
        let everything = self.everything(it).await;
        assert_eq!(everything["runs"], json!(["n", "of_1"]));
        assert!(!self.is_real || it.kind == Kind::Tool || everything["says"] == "1", "{everything}");
        everything
    }
}

/// The only notice of this kind.
#[track_caller]
fn the<'a>(notices: &'a [Value], event: &str) -> &'a Value {
    let found: Vec<_> = notices.iter().filter(|notice| notice["event"] == event).collect();
    assert_eq!(found.len(), 1, "`{event}` in {notices:#?}");
    found[0]
}

fn says(notices: &[Value], event: &str) -> bool {
    notices.iter().any(|notice| notice["event"] == event)
}

// ---- what is refused ------------------------------------------------------------------------------------------------

async fn a_refused_save_leaves_the_plugin_as_it_was(scene: Scene) -> &'static str {
    let both = It::both("refused");
    let mut before = Vec::new();
    for it in &both {
        before.push(scene.in_use(it).await);
    }
    // An exception that the server catches, one that it does not, and an error after a tool was loaded.
    let odd = "class Own:\n    pass\n\n\ndef odd(self, own: Own):\n    pass\n\n\nTools.odd = odd\n";
    let endings = [("import no_such_module\n", true), ("raise GeneratorExit()\n", true), (odd, false)];
    for (ending, of_both) in endings.into_iter().filter(|(_, of_both)| *of_both || scene.is_real) {
        let is_sent = |it: &It| of_both || it.kind == Kind::Tool;
        for it in both.iter().filter(|it| is_sent(it)) {
            scene.put(it, it.text(2) + "\n\n" + ending);
        }
        let notices = scene.once(1);
        let told = |event: &str, it: &It| {
            notices.iter().filter(|notice| notice["event"] == event && notice["id"] == it.id.as_str()).count()
        };
        for (it, before) in both.iter().zip(&before) {
            assert_eq!(told("refused", it), usize::from(is_sent(it)), "{ending}: {notices:#?}");
            let was_off = it.kind == Kind::Function && ending.starts_with("import") && !scene.is_transactional();
            assert_eq!(told("restored", it), usize::from(was_off), "{ending}");
            assert_eq!(scene.everything(it).await, *before, "{ending}");
        }
        // The next round uses its own text.
        for it in both.iter().filter(|it| is_sent(it)) {
            scene.put(it, it.text(1));
        }
        scene.once(0);
    }
    for it in &both {
        scene.remove(it);
    }
    if scene.is_transactional() { YES } else { REPAIRED }
}

async fn a_lost_answer_changes_nothing_of_it(scene: Scene) -> &'static str {
    let it = It::new(Kind::Function, "lost");
    let before = scene.in_use(&it).await;
    scene.put(&it, it.refused(2).0);
    scene.relay.cut("/update", Cut::Answer);
    let notices = scene.once(1);
    assert_eq!(the(&notices, "refused")["id"], it.id);
    assert_eq!(says(&notices, "restored"), !scene.is_transactional());
    assert_eq!(scene.everything(&it).await, before);

    for (version, cut) in [(3, Cut::Answer), (4, Cut::Request)] {
        scene.put(&it, it.text(version));
        scene.relay.cut("/update", cut);
        let notices = scene.once(0);
        assert_eq!(the(&notices, "updated")["id"], it.id);
        assert!(!says(&notices, "failed") && !says(&notices, "refused"), "{notices:#?}");
        let after = scene.everything(&it).await;
        assert_eq!((&after["content"], &after["is_active"]), (&json!(it.text(version)), &json!(true)));
        assert_eq!((&after["is_global"], &after["valves"]), (&json!(true), &before["valves"]));
    }
    if scene.is_transactional() { YES } else { REPAIRED }
}

async fn a_kill_in_between_is_made_good(scene: Scene) -> &'static str {
    let it = It::new(Kind::Function, "killed");
    let before = scene.in_use(&it).await;
    // Before the repair, and during it.
    let mut cuts = vec![("/update", Cut::After)];
    if !scene.is_transactional() {
        cuts.push(("/toggle", Cut::Before));
    }
    for (n, (of, cut)) in cuts.into_iter().enumerate() {
        scene.put(&it, it.refused(2).0 + &"#".repeat(n));
        scene.relay.cut(of, cut);
        scene.kill_where_cut();
        assert_eq!(scene.get(&it, "").await["is_active"], scene.is_transactional());
        // The file is restored, so that no deploy can repair it in passing.
        scene.put(&it, it.text(1));
        let notices = scene.once(0);
        assert_eq!(says(&notices, "restored"), !scene.is_transactional());
        assert_eq!(scene.everything(&it).await, before);
        scene.relay.requests();
        scene.once(0);
        assert_eq!(scene.relay.writes(), Vec::<String>::new(), "once is enough");
    }

    // A text that the server accepted is not someone else's edit.
    scene.put(&it, it.text(3));
    scene.relay.cut("/update", Cut::After);
    scene.kill_where_cut();
    scene.relay.requests();
    scene.once(0);
    assert_eq!((scene.relay.writes(), scene.backups(&it)), (Vec::new(), Vec::new()));
    assert_eq!(scene.get(&it, "").await["is_active"], true);
    if scene.is_transactional() { YES } else { REPAIRED }
}

async fn a_deploy_that_takes_too_long_is_looked_up(scene: Scene) -> &'static str {
    scene.project.write("watch.toml", "timeout = \"1s\"\n");
    for it in It::both("slow") {
        for (version, request) in [(1, "/create"), (2, "/update")] {
            // A fake does not sleep, so its answer is held.
            scene.put(&it, it.text(version) + "\n\nimport time\n\ntime.sleep(1.5)\n");
            scene.relay.cut(request, Cut::Late);
            scene.relay.requests();
            // The read may find it done at once, or after another pause.
            scene.once(0);
            // The first time, a list without it is enough.
            let mut looked = version == 1;
            for request in scene.relay.requests() {
                assert!(looked || request.method == "GET", "{} is sent without a look", request.line());
                looked &= request.method == "GET";
                looked |= request.line() == format!("GET /api/v1/{}s/id/{}", it.kind.word(), it.id);
            }
            let text = scene.get(&it, "").await["content"].take();
            assert!(text.as_str().unwrap().contains(&format!("of_{version}")), "{text}");
        }
        if scene.is_transactional() {
            assert_eq!(scene.get(&it, "/history").await.as_array().unwrap().len(), 2, "each was sent once");
        }
    }
    YES
}

async fn the_reason_of_a_refused_update_is_told(scene: Scene) -> &'static str {
    let its = It::both("reason");
    for it in &its {
        scene.put(it, it.text(1));
    }
    scene.once(0);
    reasons(&scene, &its)
}

async fn the_reason_of_a_refused_create_is_told(scene: Scene) -> &'static str {
    let its = It::both("stillborn");
    let came = reasons(&scene, &its);
    for it in &its {
        assert!(!scene.is_there(it).await, "what it took to learn the reason is gone");
    }
    came
}

/// The notices when the server refuses these texts.
fn reasons(scene: &Scene, its: &[It]) -> &'static str {
    for it in its {
        scene.put(it, it.refused(2).0);
    }
    let notices = scene.once(1);
    let came = its.iter().map(|it| {
        let refused = notices.iter().find(|notice| notice["event"] == "refused" && notice["id"] == it.id).unwrap();
        if refused["words"] == "No module named 'no_such_module'" {
            let line = it.refused(2).1;
            assert_eq!((&refused["path"], &refused["line"]), (&json!(it.file()), &json!(line)));
            return YES;
        }
        assert!(refused["words"].as_str().unwrap().contains("[ERROR: Error "), "{refused}");
        assert!(refused["hint"].as_str().unwrap().contains("hides the reason"), "{refused}");
        HIDDEN
    });
    same(came)
}

/// The results of several.
fn same(cells: impl IntoIterator<Item = &'static str>) -> &'static str {
    let cells: Vec<_> = cells.into_iter().collect();
    assert!(cells.windows(2).all(|two| two[0] == two[1]), "{cells:?}");
    cells[0]
}

async fn valves_that_do_not_fit_are_named(scene: Scene) -> &'static str {
    let mut came = YES;
    for it in It::both("misfit") {
        let before = scene.in_use(&it).await;
        let text = it.text(2).replace("n: int = 1", "n: list = []");
        scene.put(&it, &text);
        if scene.is_transactional() {
            let notices = scene.once(1);
            let words = the(&notices, "refused")["words"].as_str().unwrap();
            assert!(words.starts_with("Current Valves are incompatible with this code: n: "), "{words}");
            assert_eq!(scene.everything(&it).await, before);
        } else {
            scene.once(0);
            assert_eq!(scene.get(&it, "").await["content"], text);
            assert_eq!(scene.get(&it, "/valves").await, before["valves"]);
            came = UNCHECKED;
        }
        scene.remove(&it);
    }
    came
}

// ---- what stays -----------------------------------------------------------------------------------------------------

async fn valves_stay(scene: Scene) -> &'static str {
    for it in It::both("valves") {
        let before = scene.in_use(&it).await;
        scene.put(&it, it.text(2));
        scene.once(0);
        let after = scene.everything(&it).await;
        assert_eq!(after["runs"], json!(["n", "of_2"]));
        assert_eq!((&after["valves"], &after["valves/user"]), (&json!({"n": 7}), &json!({"own": 5})));
        assert_eq!((&after["valves"], &after["valves/user"]), (&before["valves"], &before["valves/user"]));
    }
    YES
}

async fn sharing_stays(scene: Scene) -> &'static str {
    let it = It::new(Kind::Tool, "shared");
    scene.put(&it, it.text(1));
    scene.once(0);
    let grant = |who: &str, what: &str| json!({"principal_type": "user", "principal_id": who, "permission": what});
    let shared = if scene.has_grants() {
        vec![json!([grant("*", "read"), grant("someone", "write")]), json!([grant("*", "read")]), json!([])]
    } else {
        let nobody = json!({"group_ids": [], "user_ids": []});
        vec![json!({"read": {"group_ids": ["g"], "user_ids": ["u"]}, "write": nobody}), Value::Null, json!({})]
    };
    for (version, shared) in (2..).zip(shared) {
        if scene.has_grants() {
            scene.post(&it, "/access/update", &json!({"access_grants": shared})).await;
        } else {
            scene.edit(&it, |form| form["access_control"] = shared.clone()).await;
        }
        let told = |row: &Value| (row.get("access_grants").cloned(), row.get("access_control").cloned());
        let before = told(&scene.get(&it, "").await);
        let n_grants = before.0.as_ref().and_then(Value::as_array).map(Vec::len);
        assert!(n_grants == shared.as_array().map(Vec::len) && before.1.as_ref().is_none_or(|told| *told == shared));
        scene.put(&it, it.text(version));
        scene.once(0);
        assert_eq!(scene.get(&it, "").await["content"], it.text(version));
        assert_eq!(told(&scene.get(&it, "").await), before);
        // A refusal and its repair do not change it either.
        scene.put(&it, it.refused(99).0 + &"#".repeat(version as usize));
        scene.once(1);
        assert_eq!(told(&scene.get(&it, "").await), before);
    }
    YES
}

async fn icons_and_translations_stay(scene: Scene) -> &'static str {
    for it in It::both("icons") {
        let before = scene.in_use(&it).await["meta"].clone();
        if it.kind == Kind::Function || scene.is_transactional() {
            assert!(before["i18n"].is_object() && before["profile_image_url"].is_string(), "{before}");
        }
        scene.put(&it, it.text(2));
        scene.once(0);
        let after = scene.get(&it, "").await["meta"].take();
        assert_eq!(after["manifest"]["version"], "2");
        for field in ["i18n", "profile_image_url"] {
            assert_eq!(after.get(field), before.get(field), "{field}");
        }
    }
    YES
}

async fn names_stay(scene: Scene) -> &'static str {
    for it in It::both("names") {
        let named = async || {
            let row = scene.get(&it, "").await;
            (row["name"].clone(), row["meta"]["description"].clone())
        };
        let deploy = |version| {
            scene.put(&it, it.text(version));
            scene.once(0);
        };
        deploy(1);
        assert_eq!(named().await, (json!("Parrot 1"), json!("Says 1")));
        deploy(2);
        assert_eq!(named().await, (json!("Parrot 2"), json!("Says 2")));
        scene.edit(&it, |form| form["name"] = json!("Polly")).await;
        deploy(3);
        assert_eq!(named().await, (json!("Polly"), json!("Says 3")));
        scene.edit(&it, |form| form["meta"]["description"] = json!("Wants a cracker")).await;
        deploy(4);
        assert_eq!(named().await, (json!("Polly"), json!("Wants a cracker")));
    }
    YES
}

async fn what_is_new_is_private(scene: Scene) -> &'static str {
    for it in It::both("new") {
        scene.put(&it, it.text(1));
        scene.once(0);
        let row = scene.get(&it, "").await;
        match it.kind {
            Kind::Function => assert_eq!((&row["is_active"], &row["is_global"]), (&json!(false), &json!(false))),
            Kind::Tool if scene.has_grants() => assert_eq!(row["access_grants"], json!([])),
            Kind::Tool => assert_eq!(row["access_control"], json!({})),
        }
    }
    YES
}

async fn an_edit_on_the_server_is_kept(scene: Scene) -> &'static str {
    for it in It::both("edited") {
        scene.put(&it, it.text(1));
        scene.once(0);
        let theirs = it.text(1) + "\n# theirs\n";
        scene.edit(&it, |form| form["content"] = json!(theirs)).await;
        scene.put(&it, it.text(2));
        scene.relay.cut("/update", Cut::Before);
        scene.kill_where_cut();
        assert_eq!(scene.get(&it, "").await["content"], theirs, "nothing has been sent");
        assert_eq!(scene.backups(&it), [theirs.as_str()]);

        let notices = scene.once(0);
        let backup = the(&notices, "updated")["backup"].as_str().unwrap();
        assert_eq!(scene.project.read(backup), theirs);
        assert_eq!(scene.get(&it, "").await["content"], it.text(2));

        // Without a ledger every text may be someone else's.
        scene.forget_everything();
        scene.put(&it, it.text(3));
        assert!(the(&scene.once(0), "updated")["backup"].is_string());
        assert_eq!(scene.backups(&it), [it.text(2)]);
    }
    YES
}

async fn an_edit_on_the_server_is_left(scene: Scene) -> &'static str {
    scene.project.write("watch.toml", "on_remote_edit = \"hold\"\n");
    for it in It::both("left") {
        scene.put(&it, it.text(1));
        scene.once(0);
        let theirs = it.text(1) + "\n# theirs\n";
        scene.edit(&it, |form| form["content"] = json!(theirs)).await;
        scene.relay.requests();
        // A file that has not changed, and one that has.
        assert_eq!(the(&scene.once(1), "remote_edit")["id"], it.id);
        scene.put(&it, it.text(2));
        assert_eq!(the(&scene.once(1), "remote_edit")["id"], it.id);
        // A start, and a save.
        let mut watch = scene.project.watch_with(&[]);
        watch.wait("remote_edit", Some(&it.id));
        watch.wait("summary", None);
        scene.project.write(&it.file(), &it.text(3));
        watch.wait("remote_edit", Some(&it.id));
        drop(watch);
        scene.put(&it, it.text(3));
        // Without a ledger.
        scene.forget_everything();
        assert_eq!(the(&scene.once(1), "remote_edit")["id"], it.id);
        assert_eq!(scene.relay.writes(), Vec::<String>::new());
        assert_eq!(scene.get(&it, "").await["content"], theirs);

        let notices = scene.run(&["--once", "--force", &it.id], 0);
        assert!(the(&notices, "updated")["backup"].is_string());
        assert_eq!((scene.get(&it, "").await["content"].take(), scene.backups(&it)), (json!(it.text(3)), vec![theirs]));
        scene.remove(&it);
    }
    YES
}

async fn a_deleted_file_deletes_nothing(scene: Scene) -> &'static str {
    let another = It::new(Kind::Function, "another");
    scene.put(&another, another.text(1));
    for it in It::both("deleted") {
        let before = scene.in_use(&it).await;
        let mut watch = scene.project.watch();
        scene.remove(&it);
        let removed = watch.wait("removed", Some(&it.id)).pop().unwrap();
        assert!(removed["message"].as_str().unwrap().contains("the server keeps it"), "{removed}");
        drop(watch);
        // `on_delete` applies only to files deleted during a watch.
        scene.relay.requests();
        scene.project.write("watch.toml", "on_delete = \"delete\"\n");
        scene.once(0);
        drop(scene.project.watch());
        assert_eq!(scene.relay.writes(), Vec::<String>::new());
        assert_eq!(scene.everything(&it).await, before);
        scene.project.write("watch.toml", "");
    }
    YES
}

async fn a_deleted_file_takes_along_what_was_asked_for(scene: Scene) -> &'static str {
    // If no plugin is left, all are kept.
    let beside = [It::new(Kind::Function, "beside"), It::new(Kind::Tool, "beside")];
    for it in &beside {
        scene.put(it, it.text(1));
    }
    for it in It::both("leaving") {
        let before = scene.in_use(&it).await;
        for (word, event) in [("keep", "removed"), ("deactivate", "deactivated"), ("delete", "deleted")] {
            scene.project.write("watch.toml", &format!("on_delete = \"{word}\"\ngone_after = \"1s\"\n"));
            let event = if word == "deactivate" && it.kind == Kind::Tool { "removed" } else { event };
            let mut watch = scene.project.watch();
            scene.relay.requests();
            scene.remove(&it);
            watch.wait(event, Some(&it.id));
            match event {
                "removed" => {
                    assert_eq!((scene.relay.writes(), scene.everything(&it).await), (Vec::new(), before.clone()));
                }
                "deactivated" => {
                    let mut off = before.clone();
                    off["is_active"] = json!(false);
                    off.as_object_mut().unwrap().remove("says");
                    assert_eq!(scene.everything(&it).await, off);
                    scene.put(&it, it.text(1));
                    watch.wait("left_off", Some(&it.id));
                    watch.wait("unchanged", Some(&it.id));
                    assert_eq!(scene.everything(&it).await, off);
                    scene.post(&it, "/toggle", &Value::Null).await;
                }
                _ => {
                    assert!(!scene.is_there(&it).await);
                    assert_eq!(scene.backups(&it), vec![it.text(1)]);
                }
            }
            drop(watch);
            scene.put(&it, it.text(1));
        }
        scene.remove(&it);
    }
    for it in &beside {
        assert!(scene.is_there(it).await);
    }
    YES
}

async fn nothing_is_created_twice(scene: Scene) -> &'static str {
    for kind in [Kind::Function, Kind::Tool] {
        let signs = [("title: Parrot {id}\nauthor: A", "same"), ("openwebui_id: parrot_{id}", "known")];
        for (header, name) in signs {
            let (there, here) = (It::new(kind, &format!("{name}_there")), It::new(kind, &format!("{name}_here")));
            let header = header.replace("{id}", &there.id);
            let text = |version| {
                let text = there.text(version);
                let (_, rest) = text.split_once("version:").unwrap();
                format!("\"\"\"\n{header}\nversion:{rest}")
            };
            scene.put(&there, text(1));
            scene.once(0);
            scene.remove(&there);
            scene.forget_everything();

            scene.put(&here, text(2));
            scene.relay.requests();
            let notices = scene.once(1);
            assert_eq!(the(&notices, "twin")["other_id"], there.id);
            // Nor when it is saved during a watch.
            let mut watch = scene.project.watch();
            scene.project.write(&here.file(), &text(3));
            watch.wait("twin", Some(&here.id));
            drop(watch);
            assert_eq!(scene.relay.writes(), Vec::<String>::new());
            assert!(!scene.is_there(&here).await);

            // The user decides which plugin it is.
            let adopt = format!("[plugins.\"{}\"]\nid = \"{}\"\n", here.file(), there.id);
            scene.project.write("watch.toml", &adopt);
            scene.put(&here, text(4));
            assert_eq!(the(&scene.once(0), "updated")["id"], there.id);
            scene.project.write("watch.toml", "");
            assert_eq!(the(&scene.run(&["--once", "--yes"], 0), "created")["id"], here.id);
            scene.remove(&here);
        }
    }
    YES
}

// ---- going back -----------------------------------------------------------------------------------------------------

async fn an_earlier_text_can_be_put_back(scene: Scene) -> &'static str {
    for it in It::both("back") {
        let before = scene.in_use(&it).await;
        scene.put(&it, it.text(2));
        scene.once(0);
        scene.run(&["rollback", &it.id, "--yes"], 0);
        let mut after = scene.everything(&it).await;
        if scene.is_transactional() {
            // It is a new version with an old text.
            after["version_id"] = before["version_id"].clone();
        }
        assert_eq!(after, before);

        // It stays until the file changes.
        scene.relay.requests();
        the(&scene.once(1), "rolled_back");
        let mut watch = scene.project.watch_with(&[]);
        watch.wait("rolled_back", Some(&it.id));
        watch.wait("summary", None);
        assert_eq!(scene.relay.writes(), Vec::<String>::new());
        scene.project.write(&it.file(), &it.text(3));
        watch.wait("updated", Some(&it.id));
        drop(watch);
        assert_eq!(scene.get(&it, "").await["content"], it.text(3));
        assert_eq!(scene.backups(&it), Vec::<String>::new(), "no text was anybody else's");
        scene.remove(&it);
    }
    YES
}

async fn a_version_of_the_server_can_be_put_back(scene: Scene) -> &'static str {
    let mut came = YES;
    for it in It::both("theirs") {
        scene.put(&it, it.text(1));
        scene.once(0);
        let theirs = it.text(2) + "\n# theirs\n";
        scene.edit(&it, |form| form["content"] = json!(theirs)).await;
        scene.edit(&it, |form| form["content"] = json!(it.text(3))).await;
        scene.forget_everything();
        if scene.is_transactional() {
            scene.run(&["rollback", &it.id, "--yes"], 0);
            assert_eq!(scene.get(&it, "").await["content"], theirs);
            the(&scene.once(1), "rolled_back");
            assert_eq!(scene.get(&it, "").await["content"], theirs);
        } else {
            let ran = scene.project.run(&["rollback", &it.id, "--yes"]);
            assert!(ran.code == Some(2) && ran.stderr.contains("no other text"), "{:?} {}", ran.code, ran.stderr);
            came = NO_HISTORY;
        }
        scene.remove(&it);
    }
    came
}

async fn the_history_names_the_commit(scene: Scene) -> &'static str {
    let scene = Scene { project: scene.project.with("PATH", &git::path()), ..scene };
    let folder = scene.project.path("");
    git::git(&folder, "init --quiet");
    let its = It::both("commit");
    for it in &its {
        scene.put(it, it.text(1));
    }
    git::git(&folder, "add plugins");
    git::git(&folder, "commit --quiet -m words");
    let commit = git::at(&folder);
    scene.once(0);
    for it in &its {
        scene.put(it, it.text(2));
    }
    scene.once(0);
    for it in &its {
        if !scene.is_transactional() {
            assert!(scene.get(it, "/history").await.is_string(), "the web app");
            continue;
        }
        let history = scene.get(it, "/history").await;
        let mut messages: Vec<_> = history.as_array().unwrap().iter().map(|entry| &entry["commit_message"]).collect();
        messages.sort_by_key(|message| message.as_str());
        let first = format!("owui-watch: 1, commit {commit}");
        let second = format!("owui-watch: 2, commit {commit} with uncommitted changes");
        assert_eq!(messages, [&json!(first), &json!(second)]);
    }
    if scene.is_transactional() { YES } else { NO_HISTORY }
}

async fn the_history_stays_short(scene: Scene) -> &'static str {
    scene.project.write("watch.toml", "keep_versions = 2\n");
    let it = It::new(Kind::Function, "short");
    scene.put(&it, it.text(1));
    scene.once(0);
    scene.edit(&it, |form| form["name"] = json!("Polly")).await;
    let mut watch = scene.project.watch();
    for version in 2..6 {
        scene.project.write(&it.file(), &it.text(version));
        watch.wait("updated", Some(&it.id));
        if scene.is_transactional() && version > 3 {
            watch.wait("pruned", Some(&it.id));
        }
    }
    drop(watch);
    assert_eq!(scene.get(&it, "").await["content"], it.text(5));
    if !scene.is_transactional() {
        return NO_HISTORY;
    }
    let history = scene.get(&it, "/history").await;
    let mut messages: Vec<_> =
        history.as_array().unwrap().iter().map(|entry| entry["commit_message"].clone()).collect();
    messages.sort_by_key(|message| message.as_str().map(str::to_owned));
    // Older versions and those of others are not pruned.
    assert_eq!(json!(messages), json!([null, "owui-watch: 1", "owui-watch: 4", "owui-watch: 5"]));
    YES
}

// ---- other versions -------------------------------------------------------------------------------------------------

#[tokio::test]
#[cfg(unix)]
async fn an_untested_version_is_reported_once_and_used() {
    let fake = FakeServer::start();
    fake.claim_to_be("0.13.0");
    let scene = Scene::new(Server::fake(&fake), false);
    let it = It::new(Kind::Function, "untested");
    scene.put(&it, it.text(1));
    let notices = scene.once(0);
    assert_eq!(the(&notices, "untested")["server_version"], "0.13.0");
    the(&notices, "created");

    let mut watch = scene.project.watch();
    for version in 2..4 {
        scene.put(&it, it.text(version));
        watch.signal("HUP");
        watch.wait("updated", Some(&it.id));
        watch.wait("summary", None);
    }
    assert_eq!(watch.said().iter().filter(|event| **event == "untested").count(), 1);
    // An update of the server during a watch is reported.
    fake.claim_to_be("0.13.1");
    watch.signal("HUP");
    assert_eq!(watch.wait("untested", None).pop().unwrap()["server_version"], "0.13.1");
}

// ---- on real servers, and in the docs -------------------------------------------------------------------------------

async fn on_a_real(version: Version) {
    let real = real_server(version, Login::Asked).await;
    every_promise(&Server::real(&real)).await;
    real.stop();
}

#[tokio::test]
#[ignore = "starts a real Open WebUI"]
async fn on_open_webui_0_6_43() {
    on_a_real(Version::V0_6_43).await;
}

#[tokio::test]
#[ignore = "starts a real Open WebUI"]
async fn on_open_webui_0_9_6() {
    on_a_real(Version::V0_9_6).await;
}

#[tokio::test]
#[ignore = "starts a real Open WebUI"]
async fn on_open_webui_0_11_4() {
    on_a_real(Version::V0_11_4).await;
}

#[tokio::test]
#[ignore = "starts a real Open WebUI"]
async fn on_open_webui_0_12_4() {
    on_a_real(Version::V0_12_4).await;
}

#[test]
fn the_docs_have_the_table() {
    assert_eq!(VERSIONS.map(Version::name), TESTED);
    let mut table = format!("| promise | {} |\n| --- | --- | --- | --- | --- |\n", TESTED.join(" | "));
    for (name, cells) in PROMISES {
        writeln!(table, "| {name} | {} |", cells.join(" | ")).unwrap();
    }
    assert_made("server-versions.md", "promises", &table);
}
