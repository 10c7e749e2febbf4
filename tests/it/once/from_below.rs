//! A pass from a folder below the one with the settings.

use owui_watch::paths::{canonical, slashed};
use owui_watch::plugin::Kind;

use crate::support::command::{Project, filter, tool};
use crate::support::fake_server::FakeServer;

#[test]
fn the_project_is_found_from_below() {
    let server = FakeServer::start();
    let project = Project::on(&server);
    project.put("bot/watch.toml", "");
    project.put("bot/plugins/pipes/a.py", filter("1"));
    project.put("bot/plugins/b.py", filter("1"));
    let below = canonical(&project.path("bot/plugins/pipes")).unwrap();
    let ran = project.command(&["--once", "a.py"]).current_dir(&below).output().unwrap();
    let said = String::from_utf8(ran.stderr).unwrap();
    assert!(ran.status.success(), "{said}");
    let bot = canonical(&project.path("bot")).unwrap();
    assert!(said.starts_with(&format!("the project is `{}`\n", slashed(&bot))), "{said}");
    assert!(server.row(Kind::Function, "a").is_some() && server.row(Kind::Function, "b").is_none());
    assert!(bot.join(".owui-watch").is_dir() && !below.join(".owui-watch").exists());
}

#[test]
fn from_below_tables_are_named_as_the_settings_spell_them() {
    let server = FakeServer::start();
    let project = Project::on(&server);
    project.put("bot/watch.toml", "");
    let signed = filter("1").replace("title: A filter", "title: Mine\nauthor: me");
    server.seed(Kind::Function, "old_id", &signed);
    server.seed(Kind::Tool, "old_name", &tool("1").replace("title", "id: new_name\ntitle"));
    project.put("bot/plugins/two/new_id.py", signed.replace("version: 1", "version: 2"));
    let below = canonical(&project.path("bot/plugins/two")).unwrap();
    for (arguments, file, table) in [
        (&["--once"][..], "../../plugins/two/new_id.py", "under `[plugins.\"plugins/two/new_id.py\"]` in watch.toml"),
        (&["status"], "../../plugins/two/new_id.py", "under `[plugins.\"plugins/two/new_id.py\"]` in watch.toml"),
        (&["deploy", "new_id.py"], "new_id", "under `[plugins.\"plugins/two/new_id.py\"]` in watch.toml"),
        (&["pull", "old_name"], "../../plugins/old_name.py", "under `[plugins.\"plugins/old_name.py\"]` in watch.toml"),
    ] {
        let ran = project.command(arguments).current_dir(&below).output().unwrap();
        let said = String::from_utf8([ran.stdout, ran.stderr].concat()).unwrap();
        assert!(said.contains(file) && said.contains(table), "{said}");
    }
}
