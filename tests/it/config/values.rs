//! Values of settings: paths, addresses, keys and certificates.

use owui_watch::check::Choice;

use super::*;
use crate::support::sentences::leads_out;

#[test]
fn paths_are_relative_to_where_they_are_written() {
    let project = Project::new()
        .with_folder("sub/mine")
        .with_folder("sub/dot")
        .with("sub/watch.toml", "root = './mine/'\nstate = 'kept'\n[plugins.'./mine//a.py']\nid = 'a'")
        .with_user("watch.toml", "api_key_file = 'key'")
        .with_user("key", "sk-user");
    let config = project.good("--config sub/watch.toml");
    assert_eq!(config.project, Path::new("sub"));
    assert_eq!(config.roots, [Path::new("sub/mine")]);
    assert_eq!(config.state, Path::new("sub/kept"));
    assert_eq!(config.files.keys().collect::<Vec<_>>(), [Path::new("sub/mine/a.py")]);
    assert_eq!(key(&config).unwrap().0, "sk-user");

    let project = project.with("sub/.env", "OWUI_WATCH_ROOT=dot");
    assert_eq!(project.good("--config sub/watch.toml").roots, [Path::new("sub/dot")]);
    assert_eq!(project.good("--config ./sub/watch.toml --root ./plugins/").roots, [Path::new("plugins")]);

    let sub = project.world.cwd.join("sub");
    let config = project.good(&format!("--config {0}/watch.toml --root {0}/mine", sub.display()));
    assert_eq!(config.roots, [sub.join("mine")]);
    assert_eq!(config.files.keys().collect::<Vec<_>>(), [&sub.join("mine/a.py")]);
}

#[test]
fn a_tilde_is_the_home() {
    let project = Project::new().with("watch.toml", "api_key_file = '~/k'").with("../home/k", "sk-home");
    assert_eq!(project.trust(""), [leads_out("api_key_file", "/tmp/home/k")]);
    assert_eq!(key(&project.good("")).unwrap().0, "sk-home");
}

#[test]
fn the_current_folder_can_be_the_root() {
    let config = Project::new().with("watch.toml", "root = '.'\n[plugins.'a.py']\nid = 'x'").good("");
    assert_eq!(config.roots, [Path::new(".")]);
    assert_eq!(config.files.keys().collect::<Vec<_>>(), [Path::new("a.py")]);
}

#[test]
fn file_settings_are_spelled_like_the_files_below_the_root() {
    let project = Project::new().with("watch.toml", "[plugins.'plugins/a.py']\nid = 'x'");
    let root = project.world.cwd.join("plugins");
    let config = project.good(&format!("--root {}", root.display()));
    assert_eq!(config.files.keys().collect::<Vec<_>>(), [&root.join("a.py")]);
}

#[test]
fn file_settings_written_from_the_root_are_told() {
    let project = Project::new().with("sub/plugins/a.py", "").with("sub/watch.toml", "[plugins.'a.py']\nid = 'x'");
    project.refusal("--config sub/watch.toml").says(&expect![[r#"
        error: cannot use `sub/watch.toml:1:10`: `[plugins."a.py"]` is for a file that is not below a root
        hint: a path starts at the folder of watch.toml: [plugins."plugins/a.py"]
    "#]]);
}

#[test]
fn a_table_error_names_its_file() {
    let project = Project::new()
        .with("plugins/a.py", "")
        .with_user("watch.toml", "[plugins.'/abs/a.py']\nid = 'x'")
        .with("watch.toml", "[plugins.'a.py']\nid = 'x'");
    project.refusal("").says(&expect![[r#"
        error: cannot use `watch.toml:1:10`: `[plugins."a.py"]` is for a file that is not below a root
        hint: a path starts at the folder of watch.toml: [plugins."plugins/a.py"]
    "#]]);
}

#[test]
fn file_settings_outside_this_runs_root_are_fine() {
    let project = Project::new().with_folder("other").with("watch.toml", "[plugins.'plugins/a.py']\nid = 'x'");
    assert_eq!(project.good("--root other").files.len(), 1);
}

#[test]
fn roots() {
    let project = Project::new().with_folder("plugins/pipes").with("plugins/a.py", "").with_folder("b");
    assert_eq!(project.good("--root b --root plugins --root ./b/").roots, [Path::new("b"), Path::new("plugins")]);
    project.refusal("--root plugins/pipes --root plugins").says(&expect![[r#"
        error: cannot use `--root`: `plugins/pipes` and `plugins` hold the same files
        hint: a root covers the folders below it: name only the outer one
    "#]]);
    project.refusal("--root plugins/a.py").says(&expect![[r#"
        error: cannot watch `plugins/a.py`: it is not a folder
        hint: `root` is the folder around it
        `owui-watch plugins/a.py` limits a run to this plugin
    "#]]);
    fs::remove_dir(project.world.cwd.join("b")).unwrap();
    project.refusal("--once --root b").says(&expect![[r#"
        error: cannot watch `b`: there is no such folder
        hint: create it, or set `root` in watch.toml (or --root) to the folder with the plugins
    "#]]);
}

#[test]
fn inside_the_root_the_error_names_the_folder_to_run_in() {
    let mut project = Project::new().with_folder("plugins/pipes");
    project.world.cwd = project.world.cwd.join("plugins/pipes");
    project.refusal("--once").says(&expect![[r#"
        error: cannot watch `plugins`: there is no such folder
        hint: you are inside such a folder: run owui-watch in `/tmp/work`
    "#]]);
}

#[cfg(unix)]
#[test]
fn a_link_to_another_root_is_that_root() {
    let project = Project::new();
    std::os::unix::fs::symlink("plugins", project.world.cwd.join("link")).unwrap();
    assert_eq!(project.good("--root link").roots, [Path::new("link")]);
    project.refusal("--root plugins --root link").says(&expect![[r#"
        error: cannot use `--root`: `plugins` and `link` hold the same files
        hint: a root covers the folders below it: name only the outer one
    "#]]);
}

#[test]
fn urls_are_normalised() {
    for (written, plain) in [
        ("http://localhost:8080/", "http://localhost:8080"),
        ("HTTPS://Chat.Example.com:443", "https://chat.example.com"),
        ("http://localhost:8080/api", "http://localhost:8080"),
        ("http://localhost:8080/api/v1/", "http://localhost:8080"),
        ("https://example.com/chat//", "https://example.com/chat"),
        ("https://example.com/chat/api/v1", "https://example.com/chat"),
        ("https://example.com/myapi", "https://example.com/myapi"),
        ("http://[::1]:8080", "http://[::1]:8080"),
    ] {
        assert_eq!(Project::new().good(&format!("--url {written}")).url, plain, "{written}");
    }
}

#[test]
fn invalid_urls_are_refused() {
    let url = |url: &str| Project::new().refusal(&format!("--url {url}"));
    url("localhost:8080").says(&expect![[r#"
        error: cannot use `--url`: `url` must begin with http:// or https://
        hint: did you mean `http://localhost:8080`?
    "#]]);
    url("chat.example.com").says(&expect![[r#"
        error: cannot use `--url`: `url` must begin with http:// or https://
        hint: did you mean `https://chat.example.com`?
    "#]]);
    url("/tmp/socket").says(&expect![[r#"
        error: cannot use `--url`: `url` must begin with http:// or https://
    "#]]);
    url("ftp://example.com").says(&expect![[r#"
        error: cannot use `--url`: `url` must begin with http:// or https://, not ftp://
    "#]]);
    url("http://").says(&expect![[r#"
        error: cannot use `--url`: `url` is not a URL: empty host
    "#]]);
    url("http://localhost:99999").says(&expect![[r#"
        error: cannot use `--url`: `url` is not a URL: invalid port number
    "#]]);
    url("http://me:5ecre7@example.com").says(&expect![[r#"
        error: cannot use `--url`: `url` must not hold a name or a password
        hint: set OPENWEBUI_API_KEY to an API key or login token, for example in `.env`
    "#]]);
    url("me:5ecre7@example.com").says(&expect![[r#"
        error: cannot use `--url`: `url` must begin with http:// or https://
    "#]]);
    url("http://example.com/?token=5ecre7").says(&expect![[r#"
        error: cannot use `--url`: `url` must end before the `?` or `#`
    "#]]);
    url("http://example.com/#/admin").says(&expect![[r#"
        error: cannot use `--url`: `url` must end before the `?` or `#`
    "#]]);
}

#[test]
fn the_key_comes_from_the_first_place_that_has_it() {
    let project = Project::new();
    assert_eq!(key(&project.good("")), None);

    let project = project
        .with("credentials/openwebui_api_key", "sk-credential\n")
        .with_env("CREDENTIALS_DIRECTORY", "credentials");
    let expected = ("sk-credential", "the credential `openwebui_api_key`".to_owned());
    assert_eq!(key(&project.good("")), Some(expected));

    let project = project.with("watch.toml", "api_key_file = 'k'").with("k", "\u{feff} sk-file \r\n\n");
    assert_eq!(key(&project.good("")), Some(("sk-file", "`k`".to_owned())));

    let project = project.with(".env", "api_key='sk-script' # mine");
    assert_eq!(key(&project.good("")), Some(("sk-script", "`api_key` in `.env`".to_owned())));

    let project = project.with(".env", "api_key=sk-script\nexport OPENWEBUI_API_KEY=\"sk-dotenv\"  ");
    assert_eq!(key(&project.good("")), Some(("sk-dotenv", "`OPENWEBUI_API_KEY` in `.env`".to_owned())));

    let token = "eyJhbGciOiJIUzI1NiJ9.eyJpZCI6IjEifQ.x-_y";
    let project = project.with_env("OPENWEBUI_API_KEY", token);
    assert_eq!(key(&project.good("")), Some((token, "`OPENWEBUI_API_KEY`".to_owned())));
}

#[test]
fn a_credentials_folder_without_our_key_is_fine() {
    assert_eq!(key(&Project::new().with_env("CREDENTIALS_DIRECTORY", "nowhere").good("")), None);
}

#[test]
fn unusable_keys_are_not_shown() {
    let key = |key: &str| Project::new().with_env("OPENWEBUI_API_KEY", key).refusal("");
    key("Bearer sk-5ecre7").says(&expect![[r#"
        error: cannot use the API key from `OPENWEBUI_API_KEY`: it contains a space, a line break or a control character
        hint: leave out the word `Bearer`
    "#]]);
    key("sk 5ecre7").says(&expect![[r#"
        error: cannot use the API key from `OPENWEBUI_API_KEY`: it contains a space, a line break or a control character
        hint: copy the key from Open WebUI: Settings > Account > API keys
    "#]]);
    key("sk-\u{7}5ecre7").says(&expect![[r#"
        error: cannot use the API key from `OPENWEBUI_API_KEY`: it contains a space, a line break or a control character
        hint: copy the key from Open WebUI: Settings > Account > API keys
    "#]]);
    key("sk-5ecre7…").says(&expect![[r#"
        error: cannot use the API key from `OPENWEBUI_API_KEY`: it contains a character that is not ASCII
        hint: copy the key from Open WebUI: Settings > Account > API keys
    "#]]);
    let file = || Project::new().with("watch.toml", "api_key_file = 'k'");
    file().refusal("").says(&expect![[r#"
        error: cannot read the API key: `api_key_file` is `k`, and there is no such file
    "#]]);
    file().with("k", " \n").refusal("").says(&expect![[r#"
        error: cannot use the API key from `k`: it is empty
        hint: copy the key from Open WebUI: Settings > Account > API keys
    "#]]);
    file().with("k", "sk-1\nsk-2\n").refusal("").says(&expect![[r#"
        error: cannot use the API key from `k`: it contains a space, a line break or a control character
        hint: copy the key from Open WebUI: Settings > Account > API keys
    "#]]);
    file().with_folder("k").refusal("").says(&expect![[r#"
        error: cannot read `k`: it is a folder
    "#]]);
    Project::new().with("watch.toml", "api_key_file = 'sk-5ecre7'").refusal("").says(&expect![[r#"
        error: cannot read the API key: `api_key_file` seems to be the key itself
        hint: put the key into a file of its own, and name that file
    "#]]);
}

#[test]
fn plain_http_beyond_private_networks_is_overheard() {
    for (url, overheard) in [
        ("http://localhost:8080", false),
        ("http://chat.localhost", false),
        ("http://127.0.0.1:3000", false),
        ("http://127.1.2.3", false),
        ("http://[::1]", false),
        ("http://0.0.0.0:8080", false),
        ("http://10.1.2.3", false),
        ("http://172.16.0.1", false),
        ("http://172.31.255.255", false),
        ("http://172.32.0.1", true),
        ("http://192.168.1.2:8080", false),
        ("http://192.169.1.2", true),
        ("http://169.254.1.1", false),
        ("http://[fd12:3456::1]", false),
        ("http://[fe80::1]", false),
        ("http://[::ffff:10.0.0.1]", false),
        ("http://[::ffff:8.8.8.8]", true),
        ("http://[2001:db8::1]", true),
        ("http://8.8.8.8", true),
        ("http://openwebui:8080", false),
        ("http://nas.local", false),
        ("http://nas.local.", false),
        ("http://chat.corp.internal", false),
        ("http://nas.lan", false),
        ("http://nas.home.arpa", false),
        ("http://chat.example.org", true),
        ("http://local.example.org", true),
        ("http://notlocal", false),
        ("http://my.notlocal", true),
        ("HTTP://CHAT.EXAMPLE.ORG", true),
        ("https://chat.example.org", false),
        ("https://8.8.8.8", false),
    ] {
        assert_eq!(Project::new().good(&format!("--url {url}")).is_overheard(), overheard, "{url}");
    }
}

#[test]
fn certificates_that_cannot_be_used() {
    let file = || Project::new().with("watch.toml", "ca_file = 'c.pem'");
    file().refusal("").says(&expect![[r#"
        error: cannot use `watch.toml:1:1`: `ca_file` is `c.pem`, and there is no such file
    "#]]);
    file().with("c.pem", "").refusal("").says(&expect![[r#"
        error: cannot use `watch.toml:1:1`: `ca_file` is `c.pem`, and that is empty
    "#]]);
    file().with("c.pem", "5ecre7").refusal("").says(&expect![[r#"
        error: cannot use `watch.toml:1:1`: `ca_file` is `c.pem`, and there is no certificate in it that begins with -----BEGIN CERTIFICATE-----
        hint: `openssl x509 -inform der -in FILE -out FILE.pem` converts a .cer or .der file
    "#]]);
    file().with("c.pem", "-----BEGIN EC PRIVATE KEY-----\n5ecre7").refusal("").says(&expect![[r#"
        error: cannot use `watch.toml:1:1`: `ca_file` is `c.pem`, and that is a private key
        hint: name the file with the certificate, which is no secret
    "#]]);
    file().with_folder("c.pem").refusal("").says(&expect![[r#"
        error: cannot read `c.pem`: it is a folder
    "#]]);
    let der = file();
    fs::write(der.world.cwd.join("c.pem"), [0x30, 0x82, 0xff]).unwrap();
    der.refusal("").says(&expect![[r#"
        error: cannot use `watch.toml:1:1`: `ca_file` is `c.pem`, and there is no certificate in it that begins with -----BEGIN CERTIFICATE-----
        hint: `openssl x509 -inform der -in FILE -out FILE.pem` converts a .cer or .der file
    "#]]);
}

#[test]
fn the_key_is_not_in_debug() {
    let config = Project::new().with_env("OPENWEBUI_API_KEY", "sk-5ecre7").good("");
    assert!(!format!("{config:?}").contains("5ecre7"));
}

#[test]
fn a_dotenv_is_shared_with_other_programs() {
    let text = "\u{feff}GREETING=a b c\r\n%%% nonsense\r\n# api_key=no\r\nWEBUI_URL=http://no\r\nurl=http://yes\r\n";
    assert_eq!(Project::new().with(".env", text).good("").url, "http://yes");
}

#[test]
fn an_invalid_line_of_ours_in_dotenv_is_not_shown() {
    let dotenv = |text: &str| Project::new().with(".env", text).refusal("");
    dotenv("A=1\nOPENWEBUI_API_KEY sk-5ecre7\n").says(&expect![[r#"
        error: cannot use `.env:2`: the value of `OPENWEBUI_API_KEY` cannot be read
        hint: write NAME=value, in single quotes where it has blanks, and close the quotes above it
    "#]]);
    dotenv("api_key=sk-5ecre7 and more\n").says(&expect![[r#"
        error: cannot use `.env:1`: the value of `api_key` cannot be read
        hint: write NAME=value, in single quotes where it has blanks, and close the quotes above it
    "#]]);
    dotenv("export api_key='sk-5ecre7\n").says(&expect![[r#"
        error: cannot use `.env:1`: the value of `api_key` cannot be read
        hint: write NAME=value, in single quotes where it has blanks, and close the quotes above it
    "#]]);
    dotenv("GREETING=don't\napi_key=sk-5ecre7\n").says(&expect![[r#"
        error: cannot use `.env:2`: the value of `api_key` cannot be read
        hint: write NAME=value, in single quotes where it has blanks, and close the quotes above it
    "#]]);
    dotenv("api_key=sk-1\napi_key=\"sk-5ecre7\n").says(&expect![[r#"
        error: cannot use `.env:2`: the value of `api_key` cannot be read
        hint: write NAME=value, in single quotes where it has blanks, and close the quotes above it
    "#]]);
    dotenv("OWUI_WATCH_API_KEY=sk-5ecre7\n").says(&expect![[r#"
        error: cannot use `OWUI_WATCH_API_KEY` in `.env`: there is no such variable
        hint: the variable for the API key is OPENWEBUI_API_KEY
    "#]]);
    dotenv("api_key=Bearer\\ sk-5ecre7\n").says(&expect![[r#"
        error: cannot use the API key from `api_key` in `.env`: it contains a space, a line break or a control character
        hint: leave out the word `Bearer`
    "#]]);
}

#[test]
fn tables_of_check_are_checked() {
    invalid("check_text").says(&expect![[r#"
        error: cannot use `watch.toml:1:1`: `check` must be a table with `select`, `ignore` or `block`, not "strict"
    "#]]);
    invalid("check_unknown_key").says(&expect![[r#"
        error: cannot use `watch.toml:2:1`: unknown key `ignroe` in `[check]`
        hint: did you mean `ignore`?
    "#]]);
    invalid("check_rule").says(&expect![[r#"
        error: cannot use `watch.toml:2:1`: `select` in `[check]` names `no-such-rule`, which is no rule
        hint: `owui-watch check --explain all` lists the rules
    "#]]);
    invalid("check_block").says(&expect![[r#"
        error: cannot use `watch.toml:1:7`: `block` in `[check]` must be true or false, not "maybe"
    "#]]);
    invalid("check_of_file").says(&expect![[r#"
        error: cannot use `watch.toml:3:1`: unknown key `selects` in `[plugins."plugins/a.py".check]`
        hint: did you mean `select`?
    "#]]);
}

#[test]
fn a_file_adds_to_the_rules_of_all() {
    let text = "[check]\nignore = ['native-test']\nblock = true\n[plugins.'plugins/a.py'.check]\nignore = ['hook-shape']\n\
                [plugins.'plugins/b.py'.check]\nselect = ['missing-await']\nblock = false\n";
    let config = Project::new().with_folder("plugins").with("watch.toml", text).good("");
    let of = |path: &str| {
        let Choice { select, ignore, block } = config.checks.of(Path::new(path)).clone();
        (select.join(" "), ignore.join(" "), block)
    };
    let expected = |select: &str, ignore: &str, block| (select.to_owned(), ignore.to_owned(), block);
    assert_eq!(of("plugins/a.py"), expected("", "native-test hook-shape", true));
    assert_eq!(of("plugins/b.py"), expected("missing-await", "native-test", false));
    assert_eq!(of("plugins/c.py"), expected("", "native-test", true));
}

#[test]
fn tables_of_trials_are_checked() {
    invalid("try_text").says(&expect![[r#"
        error: cannot use `watch.toml:2:1`: `try` in `[plugins."plugins/a.py"]` must be a table with a `message` or a `tool`, not "hello"
    "#]]);
    invalid("try_unknown_key").says(&expect![[r#"
        error: cannot use `watch.toml:2:1`: unknown key `mesage` in `[plugins."plugins/a.py".try]`
        hint: did you mean `message`?
    "#]]);
    invalid("try_misspelled").says(&expect![[r#"
        error: cannot use `watch.toml:1:25`: unknown key `tyr` in `[plugins."plugins/a.py"]`
        hint: the keys are `id`, `kind`, `enabled`, `adopt`, `check`, `try`
    "#]]);
    invalid("try_empty").says(&expect![[r#"
        error: cannot use `watch.toml:1:25`: `[plugins."plugins/a.py".try]` has neither a `message` nor a `tool`
    "#]]);
    invalid("try_args_alone").says(&expect![[r#"
        error: cannot use `watch.toml:1:25`: `[plugins."plugins/a.py".try]` has `args`, and no `tool`
    "#]]);
    invalid("try_regex").says(&expect![[r#"
        error: cannot use `watch.toml:3:1`: `expect` in `[plugins."plugins/a.py".try]` is not a regular expression: unclosed group
    "#]]);
    invalid("try_regex_large").says(&expect![[r#"
        error: cannot use `watch.toml:3:1`: `expect` in `[plugins."plugins/a.py".try]` is not a regular expression: it is too large
    "#]]);
    invalid("try_within").says(&expect![[r#"
        error: cannot use `watch.toml:3:1`: `within` in `[plugins."plugins/a.py".try]` must be a duration such as "30s", from "1s" to "1h", not "2h"
    "#]]);
    invalid("try_within_number").says(&expect![[r#"
        error: cannot use `watch.toml:3:1`: `within` in `[plugins."plugins/a.py".try]` must be a duration such as "30s", from "1s" to "1h", not 30
    "#]]);
    invalid("try_args_text").says(&expect![[r#"
        error: cannot use `watch.toml:3:1`: `args` in `[plugins."plugins/a.py".try]` must be a table such as { day = 1 }, not "{}"
    "#]]);
    invalid("try_tool_empty").says(&expect![[r#"
        error: cannot use `watch.toml:2:1`: `tool` in `[plugins."plugins/a.py".try]` must be a name, not " "
    "#]]);
}

#[test]
fn a_trial_is_read_with_its_arguments() {
    let text = "[plugins.'plugins/a.py'.try]\nmessage = 'hi'\ntool = 'add'\nargs = { a = 1, b = [1.5, true], c = { d = 'x' } }\n\
                expect = '(?i)^hi$'\nmodel = 'm'\nwithin = '90s'\n[plugins.'plugins/a.py']\nid = 'it'\n";
    let config = Project::new().with("watch.toml", text).good("");
    let table = &config.trials[Path::new("plugins/a.py")];
    assert_eq!((table.message.as_deref(), table.tool.as_deref()), (Some("hi"), Some("add")));
    let arguments = serde_json::json!({ "a": 1, "b": [1.5, true], "c": { "d": "x" } });
    assert_eq!(table.args.clone().map(serde_json::Value::from), Some(arguments));
    assert!(table.expect.as_ref().is_some_and(|expect| expect.matches("HI")));
    assert_eq!((table.model.as_deref(), table.within), (Some("m"), Some(Duration::from_secs(90))));
    assert_eq!(config.files[Path::new("plugins/a.py")].id.as_deref(), Some("it"));

    let other = Project::new().with("watch.toml", &text.replace("'90s'", "'91s'")).good("");
    assert_eq!(config.changes(&other), ["plugins"]);
}
