//! What `check` says of a plugin, and what a real server of each version makes of it: an error is told where the plugin
//! fails in a chat, and none where it works. And whether there are newer servers than it knows.
#![cfg(target_os = "linux")]

use std::process::Command;

use owui_watch::sandbox::default_cache;
use owui_watch::server_version::ServerVersion;

use crate::real::User;
use crate::support::command::{Project, said_outright};

/// Pipes that answer `works` where they work. Each has its rule; the last ones break none.
const PIPES: &[(&str, &str, &str)] = &[
    (
        "awaited",
        "missing-await",
        "from open_webui.models.users import Users\n\nclass Pipe:\n    async def pipe(self, body, __user__):\n        \
         user = Users.get_user_by_id(__user__['id'])\n        return 'works for ' + user.email\n",
    ),
    (
        "helped",
        "missing-await",
        "from open_webui.models.users import Users\n\nclass Pipe:\n    def user(self, of):\n        return Users.get_user_by_id(of)\n\n    \
         async def pipe(self, body, __user__):\n        return 'works for ' + self.user(__user__['id']).email\n",
    ),
    (
        "awaits_half",
        "missing-await",
        "from open_webui.models.users import Users\n\nclass Pipe:\n    async def user(self, of):\n        return Users.get_user_by_id(of)\n\n    \
         async def pipe(self, body, __user__):\n        user = await self.user(__user__['id'])\n        \
         return 'works for ' + user.email\n",
    ),
    (
        "handed_on",
        "missing-await",
        "from open_webui.models.users import Users\n\ndef show(user):\n    return 'works for ' + user.email\n\nclass Pipe:\n    \
         async def pipe(self, body, __user__):\n        return show(Users.get_user_by_id(__user__['id']))\n",
    ),
    (
        "kept",
        "missing-await",
        "from open_webui.models.users import Users\n\nclass Pipe:\n    def __init__(self):\n        self.owner = None\n\n    \
         async def pipe(self, body, __user__):\n        self.owner = Users.get_user_by_id(__user__['id'])\n        \
         return 'works for ' + self.owner.email\n",
    ),
    (
        "in_thread",
        "missing-await",
        "import asyncio\nfrom open_webui.models.users import Users\n\nclass Pipe:\n    async def pipe(self, body, __user__):\n        \
         user = await asyncio.to_thread(Users.get_user_by_id, __user__['id'])\n        return 'works for ' + user.email\n",
    ),
    (
        "asked",
        "missing-await",
        "from open_webui.models.users import Users\nfrom open_webui.utils.chat import generate_chat_completion\n\nclass Pipe:\n    \
         async def pipe(self, body, __user__, __request__):\n        user = Users.get_user_by_id(__user__['id'])\n        \
         form = {'model': 'echo-model', 'messages': body['messages'], 'stream': False}\n        \
         await generate_chat_completion(__request__, form, user)\n        return 'works'\n",
    ),
    ("misnamed", "undefined-name", "class Pipe:\n    def pipe(self, body):\n        return 'works' + sufix\n"),
    (
        "of_later",
        "name-gone",
        "from open_webui.utils.chat_id import is_saved_chat_id\n\nclass Pipe:\n    def pipe(self, body):\n        return 'works'\n",
    ),
    (
        "of_before",
        "name-gone",
        "from open_webui.utils.chat import Functions\n\nclass Pipe:\n    def pipe(self, body):\n        return 'works'\n",
    ),
    (
        "packed",
        "not-shipped",
        "class Pipe:\n    def pipe(self, body):\n        import aiosqlite\n        return 'works'\n",
    ),
    (
        "unpacked",
        "not-shipped",
        "import no_such_package\n\nclass Pipe:\n    def pipe(self, body):\n        return 'works'\n",
    ),
    ("unhooked", "hook-shape", "class Pipe:\n    def pip(self, body):\n        return 'works'\n"),
    ("not_given", "argument-not-given", "class Pipe:\n    def pipe(self, body, __model__):\n        return 'works'\n"),
    (
        "valved",
        "valves-unused",
        "from pydantic import BaseModel\n\nclass Pipe:\n    class Valves(BaseModel):\n        word: str = 'works'\n\n    \
         def pipe(self, body):\n        return self.valves.word\n",
    ),
    ("plain", "", "class Pipe:\n    def pipe(self, body):\n        return 'works'\n"),
    (
        "tested",
        "",
        "import inspect\nfrom open_webui.models.users import Users\n\nclass Pipe:\n    async def pipe(self, body, __user__):\n        \
         user = Users.get_user_by_id(__user__['id'])\n        if inspect.isawaitable(user):\n            user = await user\n        \
         return 'works for ' + user.email\n",
    ),
];

async fn errors_are_failures(version: &str) {
    let cache = default_cache().unwrap();
    let project = Project::new()
        .with("XDG_CACHE_HOME", cache.parent().unwrap().to_str().unwrap())
        .with("PATH", &std::env::var("PATH").unwrap());
    for (id, _, text) in PIPES {
        project.write(&format!("plugins/{id}.py"), &format!("\"\"\"\ntitle: {id}\n\"\"\"\n{text}"));
    }
    let checked = project.run(&["check", "--json", "--server-version", version]).notices();
    let mut watch = project.watch_with(&["sandbox", "--openwebui", version]);
    let ready = watch.wait_long("ready", None).pop().unwrap();
    watch.wait_long("summary", None);
    let user = User::of(ready["server"].as_str().unwrap()).await;
    let mut wrong = Vec::new();
    for (id, rule, _) in PIPES {
        let path = format!("plugins/{id}.py");
        let told: Vec<_> = checked
            .iter()
            .filter(|found| found["path"] == path.as_str() && found["level"] == "error")
            .map(|found| found["rule"].as_str().unwrap())
            .collect();
        let answer = user.chat(id, "Hello", false).await;
        let works = answer.contains("\"works");
        let is_right = if works { told.is_empty() } else { told == [*rule] };
        if !is_right {
            wrong.push(format!("{id}: {told:?}: {answer}"));
        }
    }
    watch.signal("INT");
    assert!(watch.ended().success());
    assert!(wrong.is_empty(), "{version}: {wrong:#?}");
}

#[tokio::test]
#[ignore = "starts a real Open WebUI"]
async fn errors_are_failures_on_0_12_4() {
    errors_are_failures("0.12.4").await;
}

#[tokio::test]
#[ignore = "starts a real Open WebUI"]
async fn errors_are_failures_on_0_11_4() {
    errors_are_failures("0.11.4").await;
}

#[tokio::test]
#[ignore = "starts a real Open WebUI"]
async fn errors_are_failures_on_0_9_6() {
    errors_are_failures("0.9.6").await;
}

#[tokio::test]
#[ignore = "starts a real Open WebUI"]
async fn errors_are_failures_on_0_6_43() {
    errors_are_failures("0.6.43").await;
}

/// What there is to say if the package index, as pip shows it, has a later minor version than the tables of `check`.
fn news(listed: &str) -> Option<String> {
    let rest = listed.lines().find_map(|line| line.strip_prefix("open-webui ("))?;
    let newest = rest.split(')').next().and_then(ServerVersion::parse)?;
    let known = ServerVersion::newest();
    let parts = |version: ServerVersion| -> Vec<u32> {
        version.minor().split('.').filter_map(|part| part.parse().ok()).collect()
    };
    (parts(newest) > parts(known)).then(|| {
        format!(
            "warning: Open WebUI {newest} is out, and `check` knows versions up to {known}: run tools/server_tables.py"
        )
    })
}

#[test]
fn only_a_later_minor_version_is_news() {
    let of = |version: &str| {
        news(&format!("WARNING: experimental\nopen-webui ({version})\nAvailable versions: {version}\n"))
    };
    assert_eq!((of("0.12.4"), of("0.12.99"), of("0.6.43"), news("no network")), (None, None, None, None));
    for later in ["0.13.0", "1.0.0"] {
        assert!(of(later).unwrap().starts_with(&format!("warning: Open WebUI {later} is out, ")));
    }
}

/// A warning, and never a failure: somebody else released it.
#[test]
#[ignore = "asks the package index"]
fn a_newer_open_webui_than_the_tables_is_told() {
    let asked = Command::new("python3").args(["-m", "pip", "index", "versions", "open-webui"]).output();
    match asked {
        Ok(output) if output.status.success() => {
            let listed = String::from_utf8_lossy(&output.stdout).into_owned();
            let known =
                format!("`check` knows the newest minor version of Open WebUI, {}", ServerVersion::newest().minor());
            said_outright(&news(&listed).unwrap_or(known));
        }
        Ok(_) | Err(_) => said_outright("skipped: pip cannot tell which versions of Open WebUI there are"),
    }
}
