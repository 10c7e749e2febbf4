//! What the files, the variables and the flags come to, and what is said when they come to nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use clap::CommandFactory as _;
use expect_test::{Expect, expect};
use owui_watch::cli::Args;
use owui_watch::config::{self, Config, ConfigError, Form, KEYS, KeyRow, World};
use owui_watch::engine::OnDelete;
use owui_watch::engine::deploy::{Adopt, OnRemoteEdit};
use owui_watch::engine::files::Links;
use secrecy::ExposeSecret as _;
use tempfile::TempDir;

/// A folder with `plugins/`, and a world that is nothing else.
struct Project {
    folder: TempDir,
    world: World,
}

impl Project {
    fn new() -> Self {
        let folder = TempDir::new().expect("a temporary folder");
        let top = folder.path().canonicalize().expect("it is there");
        let at = |part: &str| top.join(part);
        let world = World {
            env: BTreeMap::new(),
            cwd: at("work"),
            config_home: Some(at("home/.config")),
            home: Some(at("home")),
            agreed: Vec::new(),
        };
        Self { folder, world }.with_folder("plugins")
    }

    fn with_folder(self, path: &str) -> Self {
        fs::create_dir_all(self.world.cwd.join(path)).expect("a folder");
        self
    }

    fn with(self, path: &str, text: &str) -> Self {
        let path = self.world.cwd.join(path);
        fs::create_dir_all(path.parent().expect("a file is in a folder")).expect("a folder");
        fs::write(&path, text).expect("a file");
        // Nobody else may read a key.
        #[cfg(unix)]
        fs::set_permissions(&path, <fs::Permissions as std::os::unix::fs::PermissionsExt>::from_mode(0o600)).unwrap();
        self
    }

    /// Adds a link.
    #[cfg(unix)]
    fn with_link(self, path: &str, target: &str) -> Self {
        std::os::unix::fs::symlink(target, self.world.cwd.join(path)).expect("a link");
        self
    }

    /// Trusts the folder with everything that it asks for, and hands out what that is.
    fn trust(&self, line: &str) -> Vec<String> {
        let mut questions = Vec::new();
        while let Err(error) = self.load(line) {
            let request = error.request().unwrap_or_else(|| panic!("{}", self.said(&error)));
            request.allow(&self.world).expect("the answer is kept");
            questions.push(self.sealed(request.question()));
        }
        questions
    }

    /// What the user would be asked first.
    fn asks(&self, line: &str) -> Option<String> {
        let error = self.load(line).err()?;
        let request = error.request().unwrap_or_else(|| panic!("{}", self.said(&error)));
        Some(self.sealed(request.question()))
    }

    fn with_user(self, path: &str, text: &str) -> Self {
        let path = format!("../home/.config/owui-watch/{path}");
        self.with(&path, text)
    }

    fn with_env(mut self, name: &str, value: &str) -> Self {
        self.world.env.insert(name.to_owned(), value.to_owned());
        self
    }

    fn load(&self, line: &str) -> Result<Config, ConfigError> {
        let args = Args::read(["owui-watch"].into_iter().chain(line.split_whitespace())).expect("a good command line");
        config::load(&args, &self.world)
    }

    fn good(&self, line: &str) -> Config {
        self.load(line).unwrap_or_else(|error| panic!("{}", self.said(&error)))
    }

    /// The error as `main` prints it.
    fn said(&self, error: &ConfigError) -> String {
        let hint = error.hint().map(|hint| format!("hint: {hint}\n")).unwrap_or_default();
        self.sealed(&format!("error: {error}\n{hint}"))
    }

    fn sealed(&self, text: &str) -> String {
        text.replace(&self.folder.path().canonicalize().expect("it is there").display().to_string(), "/tmp")
    }

    #[track_caller]
    fn refusal(&self, line: &str) -> Refusal {
        let said = self.said(&self.load(line).map(drop).expect_err("should be refused"));
        assert!(!said.contains("5ecre7"), "a secret is shown: {said}");
        Refusal(said)
    }
}

/// An error, as it is printed. The secret `5ecre7` is not in it.
struct Refusal(String);

impl Refusal {
    #[track_caller]
    fn says(&self, expected: &Expect) {
        expected.assert_eq(&self.0);
    }
}

fn key(config: &Config) -> Option<(&str, String)> {
    let origin = config.key_origin.as_ref().map(ToString::to_string).unwrap_or_default();
    config.key.as_ref().map(|key| (key.expose_secret(), origin))
}

fn data(folder: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/config").join(folder)
}

fn example(name: &str) -> String {
    let path = data(&format!("{name}.toml"));
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// What the settings take for certificates; the client looks closer.
const PEM: &str = "-----BEGIN CERTIFICATE-----";

fn valid(name: &str) -> String {
    let text = example(&format!("valid/{name}"));
    let project = Project::new().with_folder("more").with("watch.toml", &text).with("secrets/key", "sk-file\n");
    let project = project.with("ca.pem", PEM);
    project.trust("");
    format!("{:#?}\n", project.good(""))
}

#[track_caller]
fn invalid(name: &str) -> Refusal {
    let text = example(&format!("invalid/{name}"));
    Project::new().with_folder("plugins/pipes").with("plugins/a.py", "").with("watch.toml", &text).refusal("--once")
}

#[test]
fn every_example_is_tested() {
    for kind in ["valid", "invalid"] {
        for file in fs::read_dir(data(kind)).unwrap() {
            let path = file.unwrap().path();
            let call = format!("{kind}(\"{}\")", path.file_stem().unwrap().to_string_lossy());
            assert!(include_str!("config.rs").contains(&call), "{call} is missing");
        }
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "every key, twice")]
fn files_that_are_fine() {
    expect![[r#"
        Config {
            settings: Settings {
                root: [
                    "plugins",
                ],
                exclude: [
                    "tests/",
                    "backups/",
                    "archived/",
                    "build/",
                    "dist/",
                    "node_modules/",
                    "venv/",
                    "__pycache__/",
                    "*.backup.py",
                ],
                follow_links: Inside,
                url: "http://localhost:8080",
                api_key_file: None,
                ca_file: None,
                state: ".owui-watch",
                activate_new: false,
                on_remote_edit: Backup,
                on_delete: Keep,
                gone_after: 30s,
                adopt: Ask,
                keep_versions: None,
                concurrency: 4,
                debounce: 100ms,
                poll: None,
                timeout: 300s,
                once_patience: 30s,
                plugins: {},
            },
            project: "",
            roots: [
                "plugins",
            ],
            root_bounds: [
                "",
            ],
            url_origin: Default,
            key: None,
            key_origin: None,
            certificates: None,
            files: {},
            adopt_files: {},
            key_files: [],
            warnings: [],
        }
    "#]]
    .assert_eq(&valid("empty"));
    expect![[r#"
        Config {
            settings: Settings {
                root: [
                    "plugins",
                    "more",
                ],
                exclude: [
                    "*_cn.py",
                    "!keep_cn.py",
                ],
                follow_links: Anywhere,
                url: "https://chat.example.com",
                api_key_file: Some(
                    "secrets/key",
                ),
                ca_file: Some(
                    "ca.pem",
                ),
                state: "/var/lib/owui-watch",
                activate_new: true,
                on_remote_edit: Hold,
                on_delete: Deactivate,
                gone_after: 5s,
                adopt: Never,
                keep_versions: Some(
                    3,
                ),
                concurrency: 1,
                debounce: 1s,
                poll: Some(
                    2s,
                ),
                timeout: 90s,
                once_patience: 0ns,
                plugins: {
                    "more/old.py": PluginSettings {
                        id: None,
                        kind: None,
                        enabled: Some(
                            false,
                        ),
                        adopt: None,
                    },
                    "plugins/tools/both.py": PluginSettings {
                        id: Some(
                            "both_of_them",
                        ),
                        kind: Some(
                            Tool,
                        ),
                        enabled: None,
                        adopt: None,
                    },
                },
            },
            project: "",
            roots: [
                "plugins",
                "more",
            ],
            root_bounds: [
                "",
            ],
            url_origin: Set(
                "`watch.toml`",
            ),
            key: Some(
                SecretBox<str>([REDACTED]),
            ),
            key_origin: Some(
                Set(
                    "`secrets/key`",
                ),
            ),
            certificates: Some(
                CaFile {
                    path: "ca.pem",
                    pem: "-----BEGIN CERTIFICATE-----",
                },
            ),
            files: {
                "more/old.py": FileSettings {
                    id: None,
                    kind: None,
                    enabled: Some(
                        false,
                    ),
                },
                "plugins/tools/both.py": FileSettings {
                    id: Some(
                        "both_of_them",
                    ),
                    kind: Some(
                        Tool,
                    ),
                    enabled: None,
                },
            },
            adopt_files: {},
            key_files: [
                "secrets/key",
            ],
            warnings: [],
        }
    "#]]
    .assert_eq(&valid("everything"));
}

#[test]
fn a_key_has_no_place_in_the_file() {
    invalid("api_key").says(&expect![[r#"
        error: cannot use `watch.toml:1:1`: `api_key` does not belong in a file that is easily shared
        hint: put OPENWEBUI_API_KEY=… into `.env` beside it, or name a file with `api_key_file`
    "#]]);
    invalid("api_key_dashed").says(&expect![[r#"
        error: cannot use `watch.toml:1:1`: `OpenWebUI-API-Key` does not belong in a file that is easily shared
        hint: put OPENWEBUI_API_KEY=… into `.env` beside it, or name a file with `api_key_file`
    "#]]);
    invalid("api_key_unquoted").says(&expect![[r#"
        error: cannot use `watch.toml:1:11`: it is not TOML (the line is not shown, since it may hold a key)
        hint: put OPENWEBUI_API_KEY=… into `.env` beside it, or name a file with `api_key_file`
    "#]]);
}

#[test]
fn values_that_do_not_fit() {
    invalid("follow_links_bool").says(&expect![[r#"
        error: cannot use `watch.toml:1:1`: `follow_links` must be "inside" or "anywhere", not true
    "#]]);
    invalid("adopt_bool").says(&expect![[r#"
        error: cannot use `watch.toml:1:1`: `adopt` must be "ask" or "never", not true
    "#]]);
    invalid("concurrency_fraction").says(&expect![[r#"
        error: cannot use `watch.toml:1:1`: `concurrency` must be a whole number from 1 to 32, not 4.7
    "#]]);
    invalid("concurrency_zero").says(&expect![[r#"
        error: cannot use `watch.toml:1:1`: `concurrency` must be a whole number from 1 to 32, not 0
    "#]]);
    invalid("duration_negative").says(&expect![[r#"
        error: cannot use `watch.toml:1:1`: `timeout` must be a duration such as "5m", from "1s" to "24h", not "-1s"
    "#]]);
    invalid("duration_number").says(&expect![[r#"
        error: cannot use `watch.toml:1:1`: `debounce` must be a duration such as "100ms", from "1ms" to "1m", not 100
    "#]]);
    invalid("duration_too_long").says(&expect![[r#"
        error: cannot use `watch.toml:1:1`: `debounce` must be a duration such as "100ms", from "1ms" to "1m", not "2h"
    "#]]);
    invalid("exclude_not_a_glob").says(&expect![[r#"
        error: cannot use `watch.toml:1:1`: `a{b` is not a glob: unclosed alternate group; missing '}' (maybe escape '{' with '[{]'?)
    "#]]);
    invalid("exclude_text").says(&expect![[r#"
        error: cannot use `watch.toml:1:1`: `exclude` must be a list of globs, not "tests/"
    "#]]);
    invalid("keep_versions_many").says(&expect![[r#"
        error: cannot use `watch.toml:1:1`: `keep_versions` must be "all", or a whole number from 1 to 1000, not 1001
    "#]]);
    invalid("keep_versions_word").says(&expect![[r#"
        error: cannot use `watch.toml:1:1`: `keep_versions` must be "all", or a whole number from 1 to 1000, not "none"
    "#]]);
    invalid("keep_versions_zero").says(&expect![[r#"
        error: cannot use `watch.toml:1:1`: `keep_versions` must be "all", or a whole number from 1 to 1000, not 0
    "#]]);
    invalid("on_delete_list").says(&expect![[r#"
        error: cannot use `watch.toml:1:1`: `on_delete` must be "keep", "deactivate" or "delete", not a list
    "#]]);
    invalid("on_delete_word").says(&expect![[r#"
        error: cannot use `watch.toml:1:1`: `on_delete` must be "keep", "deactivate" or "delete", not "remove"
    "#]]);
    invalid("on_remote_edit_case").says(&expect![[r#"
        error: cannot use `watch.toml:1:1`: `on_remote_edit` must be "backup", "hold" or "overwrite", not "Backup"
    "#]]);
    invalid("poll_bool").says(&expect![[r#"
        error: cannot use `watch.toml:1:1`: `poll` must be "off", or a duration such as "2s", from "100ms" to "1h", not false
    "#]]);
    invalid("root_empty").says(&expect![[r#"
        error: cannot use `watch.toml:1:1`: `root` names no folder
    "#]]);
    invalid("root_missing").says(&expect![[r#"
        error: cannot watch `functions`: there is no such folder
        hint: create it, or set `root` in watch.toml (or --root) to the folder with the plugins
    "#]]);
    invalid("root_table").says(&expect![[r#"
        error: cannot use `watch.toml:1:1`: `root` must be a folder, or a list of folders, not a table
    "#]]);
    invalid("switch").says(&expect![[r#"
        error: cannot use `watch.toml:1:1`: `activate_new` must be true or false, not "maybe"
    "#]]);
    invalid("url_name").says(&expect![[r#"
        error: cannot use `watch.toml:1:1`: `url` must not hold a name or a password
        hint: set OPENWEBUI_API_KEY to an API key or login token, for example in `.env`
    "#]]);
}

#[test]
fn tables_about_files() {
    invalid("file_enabled").says(&expect![[r#"
        error: cannot use `watch.toml:2:1`: `enabled` in `[plugins."plugins/a.py"]` must be true or false, not "perhaps"
    "#]]);
    invalid("file_from_root").says(&expect![[r#"
        error: cannot use `watch.toml:1:10`: `[plugins."a.py"]` is about a file that is not below a root
        hint: a path starts at the folder of watch.toml: [plugins."plugins/a.py"]
    "#]]);
    invalid("file_is_folder").says(&expect![[r#"
        error: cannot use `watch.toml:1:10`: `[plugins."plugins/pipes/"]` is about a folder
        hint: leave a folder out with `exclude`, or name its files one by one
    "#]]);
    invalid("file_kind").says(&expect![[r#"
        error: cannot use `watch.toml:2:1`: `kind` in `[plugins."plugins/a.py"]` must be "function" or "tool", not "pipe"
    "#]]);
    invalid("file_twice").says(&expect![[r#"
        error: cannot use `watch.toml:1:10`: more than one table is about `plugins/a.py`
    "#]]);
    invalid("file_unknown_key").says(&expect![[r#"
        error: cannot use `watch.toml:2:1`: unknown key `enable` in `[plugins."plugins/a.py"]`
        hint: did you mean `enabled`?
    "#]]);
    invalid("file_unquoted").says(&expect![[r#"
        error: cannot use `watch.toml:1:16`: unknown key `py` in `[plugins."shout"]`
        hint: put the path in quotes: [plugins."shout.py"]
    "#]]);
    invalid("file_without_plugins").says(&expect![[r#"
        error: cannot use `watch.toml:1:2`: unknown key `plugins/a.py`
        hint: settings of one file stand under [plugins."plugins/a.py"]
    "#]]);
    invalid("plugins_folder").says(&expect![[r#"
        error: cannot use `watch.toml:1:1`: `plugins` must be made of tables such as [plugins."plugins/shout.py"], not "plugins"
        hint: the folder with the plugins is `root`
    "#]]);
}

#[test]
fn text_that_is_not_toml() {
    invalid("syntax").says(&expect![[r#"
        error: cannot use `watch.toml:2:12`: string values must be quoted, expected literal string
          |
        2 | debounce = 100ms
          |            ^
    "#]]);
    invalid("syntax_end").says(&expect![[r#"
        error: cannot use `watch.toml:1:20`: unclosed array, expected `]`
          |
        1 | exclude = ["tests/"
          |                    ^
    "#]]);
    invalid("duplicate_key").says(&expect![[r#"
        error: cannot use `watch.toml:2:1`: duplicate key
          |
        2 | root = "plugins"
          | ^
    "#]]);
}

#[test]
fn unknown_keys() {
    invalid("on_remote_edit_typo").says(&expect![[r#"
        error: cannot use `watch.toml:1:1`: unknown key `on_remote_edits`
        hint: did you mean `on_remote_edit`?
    "#]]);
    invalid("unknown_key").says(&expect![[r#"
        error: cannot use `watch.toml:1:1`: unknown key `debounce_mss`
        hint: did you mean `debounce`?
    "#]]);
    invalid("unknown_key_far").says(&expect![[r#"
        error: cannot use `watch.toml:1:1`: unknown key `workers`
        hint: the keys are `root`, `exclude`, `follow_links`, `url`, `api_key_file`, `ca_file`, `state`, `activate_new`, `on_remote_edit`, `on_delete`, `gone_after`, `adopt`, `keep_versions`, `concurrency`, `debounce`, `poll`, `timeout`, `once_patience`, `plugins`
    "#]]);
}

#[test]
fn no_file_is_needed() {
    let config = Project::new().good("");
    assert_eq!(config.project, Path::new(""));
    assert_eq!(config.roots, [Path::new("plugins")]);
    assert_eq!(config.state, Path::new(".owui-watch"));
    assert_eq!(config.url_origin.to_string(), "the default");
    assert_eq!(key(&config), None);
}

#[test]
fn each_layer_covers_the_one_before() {
    #[track_caller]
    fn check(project: &Project, line: &str, url: &str, origin: &str) {
        let config = project.good(line);
        let said = project.sealed(&config.url_origin.to_string());
        assert_eq!((config.url.as_str(), said.as_str()), (url, origin));
    }

    let p = Project::new();
    check(&p, "", "http://localhost:8080", "the default");
    let p = p.with_user("watch.toml", "url = 'http://user'");
    check(&p, "", "http://user", "`/tmp/home/.config/owui-watch/watch.toml`");
    let p = p.with("watch.toml", "url = 'http://project'");
    check(&p, "", "http://project", "`watch.toml`");
    let p = p.with(".env", "url=http://script");
    check(&p, "", "http://script", "`url` in `.env`");
    let p = p.with(".env", "url=http://script\nOPENWEBUI_BASE_URL=http://base");
    check(&p, "", "http://base", "`OPENWEBUI_BASE_URL` in `.env`");
    let p = p.with(".env", "url=http://script\nOPENWEBUI_BASE_URL=http://base\nOPENWEBUI_URL=http://dotenv");
    check(&p, "", "http://dotenv", "`OPENWEBUI_URL` in `.env`");
    let p = p.with_env("OPENWEBUI_BASE_URL", "http://base");
    check(&p, "", "http://base", "`OPENWEBUI_BASE_URL`");
    let p = p.with_env("OPENWEBUI_URL", "http://env");
    check(&p, "", "http://env", "`OPENWEBUI_URL`");
    let p = p.with_env("OWUI_WATCH_URL", "http://own");
    check(&p, "", "http://own", "`OWUI_WATCH_URL`");
    check(&p, "--url http://flag", "http://flag", "`--url`");
}

#[test]
fn names_of_deploy_scripts_are_for_dotenv_alone() {
    let config = Project::new().with_env("url", "http://elsewhere").with_env("api_key", "sk-elsewhere").good("");
    assert_eq!((config.url.as_str(), key(&config)), ("http://localhost:8080", None));
}

#[test]
fn keys_that_a_higher_layer_leaves_out_stay() {
    let config = Project::new()
        .with_user("watch.toml", "concurrency = 2\npoll = '2s'\n[plugins.'/abs/a.py']\nid = 'a'\nenabled = false")
        .with("watch.toml", "poll = 'off'\n[plugins.'/abs/a.py']\nenabled = true")
        .good("");
    assert_eq!((config.concurrency.get(), config.poll), (2, None));
    let settings = &config.files[Path::new("/abs/a.py")];
    assert_eq!((settings.id.as_deref(), settings.enabled), (Some("a"), Some(true)));
}

#[test]
fn every_key_but_plugins_has_a_variable() {
    let project = Project::new()
        .with_folder("a")
        .with_folder("b")
        .with("k", "sk-1")
        .with("c", PEM)
        .with_env("OWUI_WATCH_ROOT", "a, b/")
        .with_env("OWUI_WATCH_EXCLUDE", "old/,*_cn.py")
        .with_env("OWUI_WATCH_FOLLOW_LINKS", "anywhere")
        .with_env("OWUI_WATCH_API_KEY_FILE", "./k")
        .with_env("OWUI_WATCH_CA_FILE", "c")
        .with_env("OWUI_WATCH_STATE", "/var/lib/w")
        .with_env("OWUI_WATCH_ACTIVATE_NEW", "true")
        .with_env("OWUI_WATCH_ON_REMOTE_EDIT", "overwrite")
        .with_env("OWUI_WATCH_ON_DELETE", "delete")
        .with_env("OWUI_WATCH_GONE_AFTER", "90s")
        .with_env("OWUI_WATCH_ADOPT", "never")
        .with_env("OWUI_WATCH_KEEP_VERSIONS", "1000")
        .with_env("OWUI_WATCH_CONCURRENCY", "32")
        .with_env("OWUI_WATCH_DEBOUNCE", "1s")
        .with_env("OWUI_WATCH_POLL", "1m 30s")
        .with_env("OWUI_WATCH_TIMEOUT", "1 hour")
        .with_env("OWUI_WATCH_ONCE_PATIENCE", "0s");
    let config = project.good("");
    // The tests about layers set the server in all ways.
    let variables = KEYS.iter().filter(|key| key.name != "url").filter_map(KeyRow::variable);
    assert!(project.world.env.keys().cloned().eq(variables.collect::<BTreeSet<_>>()));
    expect![[r#"
        Config {
            settings: Settings {
                root: [
                    "a",
                    "b",
                ],
                exclude: [
                    "old/",
                    "*_cn.py",
                ],
                follow_links: Anywhere,
                url: "http://localhost:8080",
                api_key_file: Some(
                    "k",
                ),
                ca_file: Some(
                    "c",
                ),
                state: "/var/lib/w",
                activate_new: true,
                on_remote_edit: Overwrite,
                on_delete: Delete,
                gone_after: 90s,
                adopt: Never,
                keep_versions: Some(
                    1000,
                ),
                concurrency: 32,
                debounce: 1s,
                poll: Some(
                    90s,
                ),
                timeout: 3600s,
                once_patience: 0ns,
                plugins: {},
            },
            project: "",
            roots: [
                "a",
                "b",
            ],
            root_bounds: [],
            url_origin: Default,
            key: Some(
                SecretBox<str>([REDACTED]),
            ),
            key_origin: Some(
                Set(
                    "`k`",
                ),
            ),
            certificates: Some(
                CaFile {
                    path: "c",
                    pem: "-----BEGIN CERTIFICATE-----",
                },
            ),
            files: {},
            adopt_files: {},
            key_files: [
                "k",
            ],
            warnings: [],
        }
    "#]]
    .assert_eq(&format!("{config:#?}\n"));
}

#[test]
fn help_names_the_key_that_a_flag_sets() {
    let command = Args::command();
    let mentions = |arg: &clap::Arg, key: &KeyRow| {
        arg.get_help().is_some_and(|help| help.to_string().contains(&format!("`{}` in watch.toml", key.name)))
    };
    for key in KEYS {
        let flags = command.get_arguments().filter(|arg| mentions(arg, key)).filter_map(clap::Arg::get_long);
        let flags: Vec<_> = flags.map(|long| format!("--{long}")).collect();
        assert_eq!(flags.first().map(String::as_str), key.flag, "{}", key.name);
        if let Some(flag) = key.flag {
            let value = if key.form == Form::Plain { "http://it" } else { "plugins" };
            Project::new().with_env(&key.variable().unwrap(), "http://no").good(&format!("{flag} {value}"));
        }
    }
}

#[test]
fn words_and_what_they_mean() {
    let file = |line: &str| {
        let project = Project::new().with("watch.toml", line);
        project.trust("");
        project.good("")
    };
    let variable = |name: &str, word: &str| Project::new().with_env(name, word).good("");
    for (word, meaning) in
        [("backup", OnRemoteEdit::Backup), ("hold", OnRemoteEdit::Hold), ("overwrite", OnRemoteEdit::Overwrite)]
    {
        assert_eq!(file(&format!("on_remote_edit = '{word}'")).on_remote_edit, meaning);
        assert_eq!(variable("OWUI_WATCH_ON_REMOTE_EDIT", word).on_remote_edit, meaning);
    }
    for (word, meaning) in
        [("keep", OnDelete::Keep), ("deactivate", OnDelete::Deactivate), ("delete", OnDelete::Delete)]
    {
        assert_eq!(file(&format!("on_delete = '{word}'")).on_delete, meaning);
        assert_eq!(variable("OWUI_WATCH_ON_DELETE", word).on_delete, meaning);
    }
    for (word, meaning) in [("inside", Links::Inside), ("anywhere", Links::Anywhere)] {
        assert_eq!(file(&format!("follow_links = '{word}'")).follow_links, meaning);
        assert_eq!(variable("OWUI_WATCH_FOLLOW_LINKS", word).follow_links, meaning);
    }
    for (word, meaning) in [("ask", Adopt::Ask), ("never", Adopt::Never)] {
        assert_eq!(file(&format!("adopt = '{word}'")).adopt, meaning);
        assert_eq!(variable("OWUI_WATCH_ADOPT", word).adopt, meaning);
    }
    for (word, meaning) in [("'all'", None), ("1", Some(1)), ("1000", Some(1000)), ("'7'", Some(7))] {
        let meaning = meaning.and_then(NonZeroUsize::new);
        assert_eq!(file(&format!("keep_versions = {word}")).keep_versions, meaning);
        assert_eq!(variable("OWUI_WATCH_KEEP_VERSIONS", word.trim_matches('\'')).keep_versions, meaning);
    }
}

#[test]
fn a_word_of_a_higher_layer_covers_the_one_below() {
    let project = Project::new()
        .with_user("watch.toml", "on_delete = 'delete'\nadopt = 'never'\nkeep_versions = 2\non_remote_edit = 'hold'")
        .with("watch.toml", "on_delete = 'deactivate'\nkeep_versions = 'all'")
        .with(".env", "OWUI_WATCH_ON_REMOTE_EDIT=overwrite\n")
        .with_env("OWUI_WATCH_ON_DELETE", "keep");
    let config = project.good("");
    assert_eq!((config.on_delete, config.adopt), (OnDelete::Keep, Adopt::Never));
    assert_eq!((config.keep_versions, config.on_remote_edit), (None, OnRemoteEdit::Overwrite));
}

/// `--yes` is said for one run: no file or variable says it, and it changes no setting.
#[test]
fn yes_is_no_setting() {
    assert_eq!(Project::new().good("--yes").adopt, Adopt::Ask);
    Project::new().with_env("OWUI_WATCH_YES", "true").refusal("").says(&expect![[r#"
        error: cannot use `OWUI_WATCH_YES`: there is no such variable
    "#]]);
}

#[test]
fn an_empty_variable_is_not_set() {
    let config = Project::new()
        .with_env("OPENWEBUI_URL", "")
        .with_env("OWUI_WATCH_DEBOUNCE", " ")
        .with_env("OPENWEBUI_API_KEY", "")
        .with(".env", "url=http://script\napi_key=\n")
        .good("");
    assert_eq!((config.url.as_str(), key(&config)), ("http://script", None));
}

#[test]
fn errors_name_the_variable_or_flag() {
    let project = Project::new();
    let with = |name: &str, value: &str| Project::new().with_env(name, value);
    with("OWUI_WATCH_DEBOUNCE", "fast").refusal("").says(&expect![[r#"
        error: cannot use `OWUI_WATCH_DEBOUNCE`: `debounce` must be a duration such as "100ms", from "1ms" to "1m", not "fast"
    "#]]);
    with("OWUI_WATCH_CONCURRENCY", "33").refusal("").says(&expect![[r#"
        error: cannot use `OWUI_WATCH_CONCURRENCY`: `concurrency` must be a whole number from 1 to 32, not "33"
    "#]]);
    with("OWUI_WATCH_ON_REMOTE_EDIT", "keep").refusal("").says(&expect![[r#"
        error: cannot use `OWUI_WATCH_ON_REMOTE_EDIT`: `on_remote_edit` must be "backup", "hold" or "overwrite", not "keep"
    "#]]);
    with("OWUI_WATCH_ON_DELETE", "true").refusal("").says(&expect![[r#"
        error: cannot use `OWUI_WATCH_ON_DELETE`: `on_delete` must be "keep", "deactivate" or "delete", not "true"
    "#]]);
    with("OWUI_WATCH_ADOPT", "yes").refusal("").says(&expect![[r#"
        error: cannot use `OWUI_WATCH_ADOPT`: `adopt` must be "ask" or "never", not "yes"
    "#]]);
    with("OWUI_WATCH_KEEP_VERSIONS", "1.5").refusal("").says(&expect![[r#"
        error: cannot use `OWUI_WATCH_KEEP_VERSIONS`: `keep_versions` must be "all", or a whole number from 1 to 1000, not "1.5"
    "#]]);
    with("OWUI_WATCH_ON_DELTE", "keep").refusal("").says(&expect![[r#"
        error: cannot use `OWUI_WATCH_ON_DELTE`: there is no such variable
        hint: did you mean `OWUI_WATCH_ON_DELETE`?
    "#]]);
    with("OWUI_WATCH_DEBOUNC", "1s").refusal("").says(&expect![[r#"
        error: cannot use `OWUI_WATCH_DEBOUNC`: there is no such variable
        hint: did you mean `OWUI_WATCH_DEBOUNCE`?
    "#]]);
    with("OWUI_WATCH_PLUGINS", "a").refusal("").says(&expect![[r#"
        error: cannot use `OWUI_WATCH_PLUGINS`: there is no such variable
    "#]]);
    with("OWUI_WATCH_API_KEY", "5ecre7").refusal("").says(&expect![[r#"
        error: cannot use `OWUI_WATCH_API_KEY`: there is no such variable
        hint: the variable for the API key is OPENWEBUI_API_KEY
    "#]]);
    with("OPENWEBUI_URL", "localhost:3000").refusal("").says(&expect![[r#"
        error: cannot use `OPENWEBUI_URL`: `url` must begin with http:// or https://
        hint: did you mean `http://localhost:3000`?
    "#]]);
    with("OPENWEBUI_URL", "sk-5ecre7").refusal("").says(&expect![[r#"
        error: cannot use `OPENWEBUI_URL`: `url` seems to be an API key
    "#]]);
    project.refusal("--url ftp://there").says(&expect![[r#"
        error: cannot use `--url`: `url` must begin with http:// or https://, not ftp://
    "#]]);
    project.refusal("--once --root nowhere").says(&expect![[r#"
        error: cannot watch `nowhere`: there is no such folder
        hint: create it, or set `root` in watch.toml (or --root) to the folder with the plugins
    "#]]);
    project.refusal("--config nowhere.toml").says(&expect![[r#"
        error: cannot read `nowhere.toml`: no such file
    "#]]);
    project.refusal("--config plugins").says(&expect![[r#"
        error: cannot read `plugins`: it is a folder
    "#]]);
    Project::new().with(".env", "OWUI_WATCH_KEEP_VERSIONS=-1").refusal("").says(&expect![[r#"
        error: cannot use `OWUI_WATCH_KEEP_VERSIONS` in `.env`: `keep_versions` must be "all", or a whole number from 1 to 1000, not "-1"
    "#]]);
    Project::new().with(".env", "OWUI_WATCH_POLL=1ms").refusal("").says(&expect![[r#"
        error: cannot use `OWUI_WATCH_POLL` in `.env`: `poll` must be "off", or a duration such as "2s", from "100ms" to "1h", not "1ms"
    "#]]);
}

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
    assert_eq!(project.trust(""), ["let `api_key_file` lead outside the folder, to `/tmp/home/k`"]);
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
        error: cannot use `sub/watch.toml:1:10`: `[plugins."a.py"]` is about a file that is not below a root
        hint: a path starts at the folder of watch.toml: [plugins."plugins/a.py"]
    "#]]);
}

#[test]
fn an_error_in_a_table_names_the_file_with_the_table() {
    let project = Project::new()
        .with("plugins/a.py", "")
        .with_user("watch.toml", "[plugins.'/abs/a.py']\nid = 'x'")
        .with("watch.toml", "[plugins.'a.py']\nid = 'x'");
    project.refusal("").says(&expect![[r#"
        error: cannot use `watch.toml:1:10`: `[plugins."a.py"]` is about a file that is not below a root
        hint: a path starts at the folder of watch.toml: [plugins."plugins/a.py"]
    "#]]);
}

#[test]
fn file_settings_outside_the_root_of_this_run_are_no_error() {
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
        hint: `root` is the folder around it; to limit a run to this plugin: owui-watch plugins/a.py
    "#]]);
    fs::remove_dir(project.world.cwd.join("b")).unwrap();
    project.refusal("--once --root b").says(&expect![[r#"
        error: cannot watch `b`: there is no such folder
        hint: create it, or set `root` in watch.toml (or --root) to the folder with the plugins
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
fn urls_are_made_plain() {
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
fn urls_that_cannot_be_a_server() {
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
fn a_credentials_folder_without_ours_is_no_error() {
    assert_eq!(key(&Project::new().with_env("CREDENTIALS_DIRECTORY", "nowhere").good("")), None);
}

#[test]
fn keys_that_cannot_be_used_are_not_shown() {
    let key = |key: &str| Project::new().with_env("OPENWEBUI_API_KEY", key).refusal("");
    key("Bearer sk-5ecre7").says(&expect![[r#"
        error: cannot use the API key from `OPENWEBUI_API_KEY`: it contains a space, a line break or a control character
        hint: leave out the word `Bearer`
    "#]]);
    key("sk 5ecre7").says(&expect![[r#"
        error: cannot use the API key from `OPENWEBUI_API_KEY`: it contains a space, a line break or a control character
    "#]]);
    key("sk-\u{7}5ecre7").says(&expect![[r#"
        error: cannot use the API key from `OPENWEBUI_API_KEY`: it contains a space, a line break or a control character
    "#]]);
    key("sk-5ecre7…").says(&expect![[r#"
        error: cannot use the API key from `OPENWEBUI_API_KEY`: it contains a character that is not ASCII
    "#]]);
    let file = || Project::new().with("watch.toml", "api_key_file = 'k'");
    file().refusal("").says(&expect![[r#"
        error: cannot read the API key: `api_key_file` is `k`, and there is no such file
    "#]]);
    file().with("k", " \n").refusal("").says(&expect![[r#"
        error: cannot use the API key from `k`: it is empty
    "#]]);
    file().with("k", "sk-1\nsk-2\n").refusal("").says(&expect![[r#"
        error: cannot use the API key from `k`: it contains a space, a line break or a control character
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
fn who_can_listen() {
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
fn a_line_of_dotenv_that_is_ours_and_broken_is_not_shown() {
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

// ---- what a folder's own files may decide ---------------------------------------------------------------------------

/// Adds one way to set something.
type Set = fn(Project) -> Project;

/// Who may have written what: the user, or the author of the folder.
#[test]
fn a_key_of_the_users_goes_to_no_address_of_the_folders() {
    let keys: [(&str, bool, Set); 7] = [
        ("`OPENWEBUI_API_KEY`", true, |p| p.with_env("OPENWEBUI_API_KEY", "sk-5ecre7")),
        ("`/tmp/home/.config/owui-watch/k`", true, |p| {
            p.with_user("watch.toml", "api_key_file = 'k'").with_user("k", "sk-5ecre7")
        }),
        ("`mine`", true, |p| p.with_env("OWUI_WATCH_API_KEY_FILE", "mine").with("mine", "sk-5ecre7")),
        ("the credential `openwebui_api_key`", true, |p| {
            p.with("c/openwebui_api_key", "sk-5ecre7").with_env("CREDENTIALS_DIRECTORY", "c")
        }),
        ("", false, |p| p.with(".env", "OPENWEBUI_API_KEY=sk-5ecre7\n")),
        ("", false, |p| p.with(".env", "OWUI_WATCH_API_KEY_FILE=k\n").with("k", "sk-5ecre7")),
        ("", false, |p| p),
    ];
    let urls: [(bool, &str, Set); 8] = [
        (false, "", |p| p),
        (false, "", |p| p.with_env("OPENWEBUI_URL", "https://it")),
        (false, "", |p| p.with_env("OWUI_WATCH_URL", "https://it").with("watch.toml", "url = 'https://evil'")),
        (false, "--url https://it", |p| p.with("watch.toml", "url = 'https://evil'")),
        (false, "", |p| p.with("watch.toml", "url = 'http://localhost:8080/'")),
        (true, "", |p| p.with("watch.toml", "url = 'https://it'")),
        (true, "", |p| {
            let text = fs::read_to_string(p.world.cwd.join(".env")).unwrap_or_default();
            p.with(".env", &format!("{text}OPENWEBUI_URL=https://it\n"))
        }),
        (true, "--root plugins", |p| p.with("watch.toml", "url = 'https://it/api/v1'")),
    ];
    for (from, is_users, with_key) in keys {
        for (is_folders, line, with_url) in urls {
            let project = with_url(with_key(Project::new()));
            let expected = (is_users && is_folders).then(|| format!("send your API key from {from} to https://it"));
            assert_eq!(project.asks(line), expected, "{line}");
            // The sandbox is another server, without a key.
            assert_eq!(project.asks("sandbox"), None);
        }
    }
    // The user's own file is the user's, in whatever way it is named.
    let project = Project::new()
        .with_user("watch.toml", "url = 'https://it'\nroot = '/tmp'")
        .with_env("OPENWEBUI_API_KEY", "sk-1");
    assert_eq!(project.asks(""), None);
    assert_eq!(project.asks("--config ../home/.config/owui-watch/watch.toml"), None);
}

/// Otherwise a folder could send the key of the user's server to a program on this machine.
#[test]
fn the_default_address_is_the_users_only_where_they_set_no_other() {
    let project = || {
        let project = Project::new().with_user("k", "sk-1");
        project.with_user("watch.toml", "url = 'https://chat.mine.example/'\napi_key_file = 'k'")
    };
    let asks = |url: &str| project().with("watch.toml", &format!("url = '{url}'")).asks("");
    let question = "send your API key from `/tmp/home/.config/owui-watch/k` to http://localhost:8080";
    assert_eq!(asks("http://localhost:8080").as_deref(), Some(question));
    assert_eq!(project().with(".env", "url=http://localhost:8080\n").asks("").as_deref(), Some(question));
    // Saying what the user says changes nothing.
    assert_eq!(asks("https://chat.mine.example/api/v1"), None);
    assert_eq!(project().asks(""), None);
}

/// The folder's author may have made it for other programs' secrets.
#[test]
fn an_api_key_file_holds_nothing_but_a_key() {
    let file = |name: &str, text: &str| {
        Project::new().with("watch.toml", &format!("api_key_file = '{name}'")).with(name, text)
    };
    for text in [
        "OPENAI_API_KEY=sk-5ecre7",
        "//registry.npmjs.org/:_authToken=5ecre7",
        "https://me:5ecre7@git.example",
        "5ecre7+5ecre7==",
        "$5ecre7",
        "\"sk-5ecre7\"",
        "5ecre7/5ecre7",
    ] {
        assert_eq!(file(".npmrc", text).refusal("").0, "error: `.npmrc` does not hold an API key or token\n");
    }
    Project::new().with_env("OPENWEBUI_API_KEY", "KEY=5ecre7").refusal("").says(&expect![[r#"
        error: `OPENWEBUI_API_KEY` does not hold an API key or token
    "#]]);
    assert!(file("k", "sk-0.9-_+~Az").good("").key.is_some());

    file(".env.local", "sk-5ecre7").refusal("").says(&expect![[r#"
        error: cannot use `watch.toml:1:1`: `.env.local` may hold other programs' keys
        hint: put the key alone into a file with another name
    "#]]);
    file("sub/.ENV", "sk-5ecre7").refusal("").says(&expect![[r#"
        error: cannot use `watch.toml:1:1`: `sub/.ENV` may hold other programs' keys
        hint: put the key alone into a file with another name
    "#]]);
    #[cfg(unix)]
    {
        let link = Project::new().with("watch.toml", "api_key_file = 'k'").with("sub/.env", "sk-5ecre7");
        assert!(link.with_link("k", "sub/.env").refusal("").0.contains("may hold other programs' keys"));
    }
    // The user may name any file.
    let named = Project::new().with("sub/.env", "sk-1").with_env("OWUI_WATCH_API_KEY_FILE", "sub/.env");
    assert!(named.good("").key.is_some());
}

/// Its paths are relative to the folder, whatever the file is.
#[cfg(unix)]
#[test]
fn a_link_to_the_users_settings_is_the_folders() {
    let project = Project::new().with_user("watch.toml", "state = '../state'").with_user(".env", "");
    assert_eq!(project.asks("--config ../home/.config/owui-watch/watch.toml"), None);
    let project = project.with_link("watch.toml", "../home/.config/owui-watch/watch.toml");
    assert_eq!(project.asks("").as_deref(), Some("let `state` lead outside the folder, to `/tmp/state`"));
}

#[test]
fn consent_shows_the_whole_host() {
    let secret = "a".repeat(32);
    let asks = |url: &str| {
        let project = Project::new().with_env("OPENWEBUI_API_KEY", "sk-1");
        let project = project.with("watch.toml", &format!("url = \"{url}\""));
        let said = project.refusal("").0;
        let question = project.asks("").unwrap();
        let shown = question.strip_prefix("send your API key from `OPENWEBUI_API_KEY` to ").unwrap().to_owned();
        assert!(said.contains(&format!(" to {shown}: `watch.toml:1:1` sets")), "{said}");
        shown
    };
    for (url, shown) in [
        (format!("http://sk-{secret}.evil.example"), format!("http://sk-{secret}.evil.example")),
        (format!("https://eyJ{secret}:8443/chat"), format!("https://eyj{secret}:8443/chat")),
        (format!("https://evil/sk-{secret}/x"), "https://evil/[key]/x".to_owned()),
        ("https://\u{430}pple.example".to_owned(), "https://xn--pple-43d.example".to_owned()),
        ("https://a\\u200bb.example/\\u202e".to_owned(), "https://ab.example/%E2%80%AE".to_owned()),
    ] {
        assert_eq!(asks(&url), shown, "{url}");
    }
    let project = Project::new().with_env("OPENWEBUI_API_KEY", "sk-1");
    assert!(project.with("watch.toml", "url = \"https://a\\u001b[2Jb\"").load("").is_err());
}

/// A script is told what it can do: nobody is there to be asked.
#[test]
fn without_a_terminal_the_hint_names_yes_and_the_variable() {
    for (line, variable, value) in [
        ("url = 'https://it'", "OPENWEBUI_URL", "https://it"),
        ("root = '../plugins'", "OWUI_WATCH_ROOT", "plugins"),
        ("state = '../state'", "OWUI_WATCH_STATE", "state"),
        ("follow_links = 'anywhere'", "OWUI_WATCH_FOLLOW_LINKS", "anywhere"),
        ("ca_file = '../ca.pem'", "OWUI_WATCH_CA_FILE", "ca.pem"),
    ] {
        let project = Project::new().with_env("OPENWEBUI_API_KEY", "sk-1").with("ca.pem", PEM);
        let project = project.with_folder("sub/plugins").with("sub/watch.toml", line);
        let hint = |error: ConfigError| error.unattended().hint().map(str::to_owned);
        let expected = format!(
            "if you trust this folder, run `owui-watch trust --yes --config sub/watch.toml`\n\
             or set {variable} in the environment"
        );
        assert_eq!(hint(project.load("--config sub/watch.toml").unwrap_err()), Some(expected), "{line}");
        // Either is enough.
        assert_eq!(project.with_env(variable, value).asks("--config sub/watch.toml"), None, "{line}");
    }
    let other = Project::new().with("watch.toml", "state = 'a").load("").unwrap_err();
    assert_eq!(other.hint().map(str::to_owned), other.unattended().hint().map(str::to_owned));
}

/// A container may run us as a user without a home.
#[cfg(unix)]
#[test]
fn a_home_that_cannot_be_read_matters_only_for_consent() {
    let mut project = Project::new().with("watch.toml", "state = 'here'").with_env("OPENWEBUI_API_KEY", "sk-1");
    for home in [Some("/dev/null/.config"), None] {
        project.world.config_home = home.map(PathBuf::from);
        project = project.with("watch.toml", "state = 'here'");
        assert_eq!(project.asks(""), None);
        project = project.with("watch.toml", "url = 'https://it'");
        project.refusal("").says(&expect![[r#"
            error: cannot send your API key from `OPENWEBUI_API_KEY` to https://it: `watch.toml:1:1` sets that address, and you have not agreed to it
            hint: set HOME or XDG_CONFIG_HOME to a folder of yours, which keeps your answer
        "#]]);
        let error = project.load("").unwrap_err();
        let cannot_keep = error.request().unwrap().allow(&project.world).unwrap_err();
        let hint = "set HOME or XDG_CONFIG_HOME to a folder of yours, which keeps your answer";
        assert_eq!(cannot_keep.hint(), Some(hint));
        let expected = format!("{hint}\nor set OPENWEBUI_URL in the environment");
        assert_eq!(error.unattended().hint(), Some(&*expected));
    }
}

#[test]
fn consent_is_asked_for_in_these_words() {
    let project =
        Project::new().with_env("OPENWEBUI_API_KEY", "sk-5ecre7").with("watch.toml", "\nurl = 'https://evil'");
    project.refusal("--once").says(&expect![[r#"
        error: cannot send your API key from `OPENWEBUI_API_KEY` to https://evil: `watch.toml:2:1` sets that address, and you have not agreed to it
        hint: if you trust this folder, run `owui-watch trust` in it
    "#]]);
    let project = project.with("sub/watch.toml", "root = '../plugins'");
    project.refusal("--config sub/watch.toml").says(&expect![[r#"
        error: cannot use `sub/watch.toml:1:1`: `root` leads outside the folder, to `/tmp/work/plugins`
        hint: if you trust this folder, run `owui-watch trust --config sub/watch.toml`
    "#]]);
    let project = project.with("watch.toml", "follow_links = 'anywhere'");
    project.refusal("").says(&expect![[r#"
        error: cannot use `watch.toml:1:1`: links to anywhere may lead outside the folder
        hint: if you trust this folder, run `owui-watch trust` in it
    "#]]);
    let project =
        project.with("watch.toml", "ca_file = 'ca.pem'").with("ca.pem", PEM).with_env("OPENWEBUI_URL", "https://it");
    project.refusal("").says(&expect![[r#"
        error: cannot send your API key from `OPENWEBUI_API_KEY` to https://it: `watch.toml:1:1` trusts the certificates in `ca.pem`, and you have not agreed to them
        hint: if you trust this folder, run `owui-watch trust` in it
    "#]]);
}

#[test]
fn consent_is_for_one_folder_and_one_address() {
    let asks = |project: &Project, line| project.asks(line).is_some();
    let project = Project::new().with_env("OPENWEBUI_API_KEY", "sk-1").with("watch.toml", "url = 'https://one'");
    assert_eq!(project.trust(""), ["send your API key from `OPENWEBUI_API_KEY` to https://one"]);
    // With another key as well, and by every command.
    let project = project.with_env("OPENWEBUI_API_KEY", "sk-2");
    for line in ["", "--once", "--dry-run", "history a", "diff", "pull", "rollback a", "service status"] {
        assert!(!asks(&project, line), "{line}");
    }
    let project = project.with("other/watch.toml", "url = 'https://one'").with_folder("other/plugins");
    assert!(asks(&project, "--config other/watch.toml"), "another folder");
    let project = project.with("watch.toml", "url = 'https://two'");
    for line in ["", "--once", "--dry-run", "history a", "diff", "pull", "rollback a", "service install"] {
        assert!(asks(&project, line), "{line}");
    }
    project.trust("");
    let project = project.with("watch.toml", "url = 'https://one'");
    assert!(!asks(&project, ""), "the first one is remembered");
}

/// Before a service is started by hand, nobody sees the key that it will have.
#[test]
fn trust_can_be_given_before_there_is_a_key() {
    let project = Project::new().with("watch.toml", "url = 'https://it'");
    assert_eq!(project.asks(""), None);
    assert_eq!(project.trust("trust"), ["send your API key to https://it"]);
    assert_eq!(project.with_env("OPENWEBUI_API_KEY", "sk-1").asks(""), None);
    let own = Project::new().with("watch.toml", "url = 'https://it'").with(".env", "api_key=sk-1\n");
    assert_eq!(own.asks("trust"), None);
}

/// Whoever has a certificate that is trusted can pretend to be the user's server.
#[test]
fn certificates_of_the_folders_are_agreed_to_one_by_one() {
    let project = Project::new().with_env("OPENWEBUI_API_KEY", "sk-1").with("ca.pem", PEM);
    let project = project.with("watch.toml", "ca_file = 'ca.pem'");
    assert_eq!(project.asks(""), None, "the default is not encrypted");
    let project = project.with_env("OPENWEBUI_URL", "https://it");
    let question = "send your API key from `OPENWEBUI_API_KEY` to whoever has a certificate from `ca.pem`";
    assert_eq!(project.trust(""), [question]);
    let project = project.with("ca.pem", &format!("{PEM}another"));
    assert_eq!(project.asks("").as_deref(), Some(question));
    assert_eq!(project.with_env("OWUI_WATCH_CA_FILE", "ca.pem").asks(""), None);
}

#[test]
fn paths_of_the_folders_files_stay_inside() {
    let project = || {
        let project = Project::new().with_folder("../home/plugins").with_folder("sub").with("inside.pem", PEM);
        project.with("../home/ca.pem", PEM).with("../home/k", "sk-1").with("inside", "sk-1")
    };
    let inside = ["root = 'sub'", "root = ['./sub', 'plugins/../plugins']", "root = '../work/sub'", "state = 'sub'"];
    let more = ["api_key_file = './inside'", "ca_file = 'sub/../inside.pem'", "follow_links = 'inside'"];
    for line in inside.into_iter().chain(more) {
        assert_eq!(project().with("watch.toml", line).asks(""), None, "{line}");
    }
    for (line, leads) in [
        ("root = '~/plugins'", "let `root` lead outside the folder, to `/tmp/home/plugins`"),
        ("root = '~/'", "let `root` lead outside the folder, to `/tmp/home`"),
        ("root = ['plugins', '../home']", "let `root` lead outside the folder, to `/tmp/home`"),
        ("root = '..'", "let `root` lead outside the folder, to `/tmp`"),
        ("root = '/not/there'", "let `root` lead outside the folder, to `/not/there`"),
        ("state = '../home/state'", "let `state` lead outside the folder, to `/tmp/home/state`"),
        ("state = '/var/lib/w'", "let `state` lead outside the folder, to `/var/lib/w`"),
        ("api_key_file = '~/k'", "let `api_key_file` lead outside the folder, to `/tmp/home/k`"),
        ("ca_file = '../home/ca.pem'", "let `ca_file` lead outside the folder, to `/tmp/home/ca.pem`"),
        ("follow_links = 'anywhere'", "follow links to files outside the folder"),
    ] {
        let asked = project().with("watch.toml", line);
        assert_eq!(asked.asks("").as_deref(), Some(leads), "{line}");
        assert_eq!(asked.asks("sandbox").as_deref(), Some(leads), "{line}");
        // As a variable in .env it is the folder's, and in the environment the user's.
        let (key, value) = line.split_once(" = ").unwrap();
        let value = value.replace(['\'', '[', ']'], "");
        let name = format!("OWUI_WATCH_{}", key.to_uppercase());
        assert_eq!(project().with(".env", &format!("{name}='{value}'\n")).asks("").as_deref(), Some(leads), "{line}");
        let full = value.replace('~', "../home");
        if !value.starts_with("/not") && key != "api_key_file" {
            assert_eq!(project().with_env(&name, &full).asks(""), None, "{line}");
        }
        // The user may say otherwise.
        assert_eq!(asked.trust("trust"), [leads], "{line}");
        assert_eq!(asked.asks(""), None, "{line}");
    }
}

#[cfg(unix)]
#[test]
fn links_in_the_folder_lead_out_of_it_no_more_than_paths() {
    let asks = |project: Project| project.asks("");
    let project = || {
        let project = Project::new().with_folder("../home/plugins").with("../home/.env", "OPENWEBUI_API_KEY=sk-1\n");
        project.with_link("out", "../home").with_link("in", "plugins")
    };
    assert_eq!(asks(project().with("watch.toml", "root = 'in'")), None);
    let to_home = Some("let `root` lead outside the folder, to `/tmp/home/plugins`".to_owned());
    assert_eq!(asks(project().with("watch.toml", "root = 'out/plugins'")), to_home);
    // Up from where the link leads.
    let to_top = Some("let `root` lead outside the folder, to `/tmp`".to_owned());
    assert_eq!(asks(project().with("watch.toml", "root = 'out/..'")), to_top);
    // The default is a name that the folder's author may have made a link; also one that leads nowhere yet.
    for target in ["../home/plugins", "../later"] {
        let project = project();
        fs::remove_dir(project.world.cwd.join("plugins")).unwrap();
        let leads = format!("outside the folder, to `/tmp{}`", &target[2..]);
        let project = project.with_link("plugins", target);
        assert_eq!(project.asks(""), Some(format!("let the link `plugins` lead {leads}")));
        let said = project.refusal("").0;
        assert!(said.starts_with(&format!("error: cannot use `plugins`: it is a link that leads {leads}\n")), "{said}");
    }
    let key = project().with("watch.toml", "api_key_file = 'out/.env'");
    assert_eq!(asks(key), Some("let `api_key_file` lead outside the folder, to `/tmp/home/.env`".to_owned()));
}

/// Otherwise a folder could send the key of another folder to an address of its own.
#[cfg(unix)]
#[test]
fn a_key_from_outside_the_folder_is_the_users() {
    let url = "send your API key from";
    let project =
        Project::new().with("watch.toml", "url = 'https://it'\napi_key_file = '~/k'").with("../home/k", "sk-1");
    assert_eq!(
        project.trust(""),
        ["let `api_key_file` lead outside the folder, to `/tmp/home/k`", &format!("{url} `/tmp/home/k` to https://it")]
    );
    let project = Project::new().with("watch.toml", "url = 'https://it'").with("../other/.env", "api_key=sk-1\n");
    let project = project.with_link(".env", "../other/.env");
    assert_eq!(
        project.trust(""),
        [
            "let `.env` lead outside the folder, to `/tmp/other/.env`",
            &format!("{url} `api_key` in `.env` to https://it")
        ]
    );
    // Inside, a link is as good as a file.
    let project = Project::new().with("watch.toml", "url = 'https://it'").with("env/.env", "api_key=sk-1\n");
    assert_eq!(project.with_link(".env", "env/.env").asks(""), None);
}

/// It would put what the process knows into an address.
#[test]
fn a_dotenv_is_not_expanded() {
    let (name, value) = std::env::vars().find(|(name, _)| name.eq_ignore_ascii_case("path")).unwrap();
    let excluded = |text: &str| {
        let project = Project::new().with(".env", &format!("OWUI_WATCH_EXCLUDE={text}\n"));
        project.load("").map(|config| config.exclude.join(",")).map_err(|error| error.to_string())
    };
    for text in [format!("${name}"), format!("${{{name}}}"), format!("\"x${name}\""), "'x'$A".to_owned()] {
        let said = excluded(&text).unwrap_err();
        assert!(!said.contains(&value), "{said}");
        assert_eq!(said, "cannot use `.env:1`: `OWUI_WATCH_EXCLUDE` names another variable with `$`", "{text}");
    }
    for (text, expected) in
        [("'$A'", "$A"), (" '${A}/b' # c", "${A}/b"), (r"\$A", "$A"), ("'*$py.class'", "*$py.class"), ("x$1", "x$1")]
    {
        assert_eq!(excluded(text).as_deref(), Ok(expected), "{text}");
    }
    let refused = |text: &str| Project::new().with(".env", text).refusal("");
    refused("OPENWEBUI_URL=https://evil/${AWS_SECRET_ACCESS_KEY}\n").says(&expect![[r#"
        error: cannot use `.env:1`: `OPENWEBUI_URL` names another variable with `$`
        hint: write its value: owui-watch replaces no variables
        keep a `$` by putting the value in '…'
    "#]]);
    refused("OWUI_WATCH_STATE=${HOME}/st\n").says(&expect![[r#"
        error: cannot use `.env:1`: `OWUI_WATCH_STATE` names another variable with `$`
        hint: write its value: owui-watch replaces no variables
        keep a `$` by putting the value in '…'
    "#]]);
    refused("A=1\napi_key=$MY_KEY\n").says(&expect![[r#"
        error: cannot use `.env:2`: `api_key` names another variable with `$`
        hint: write its value: owui-watch replaces no variables
        keep a `$` by putting the value in '…'
    "#]]);
}

// ---- files that are none, and warnings ------------------------------------------------------------------------------

#[cfg(unix)]
#[test]
fn settings_are_regular_files_of_bounded_size() {
    let fifo = |project: Project, path: &str| {
        let made = std::process::Command::new("mkfifo").arg(project.world.cwd.join(path)).status();
        assert!(made.is_ok_and(|status| status.success()), "the system has no mkfifo");
        project
    };
    let large = "#".repeat(1024 * 1024 + 1);
    let key = || Project::new().with("watch.toml", "api_key_file = 'f'");
    let ca = || Project::new().with("watch.toml", "ca_file = 'f'");
    for (project, path) in [
        (Project::new(), "watch.toml"),
        (Project::new(), ".env"),
        (Project::new().with_folder("../home/.config/owui-watch"), "../home/.config/owui-watch/watch.toml"),
        (key(), "f"),
        (ca(), "f"),
    ] {
        let name = path.replace("..", "/tmp");
        let project = fifo(project, path);
        let said = project.refusal("").0;
        assert_eq!(said, format!("error: cannot read `{name}`: it is not a regular file\n"));
        fs::remove_file(project.world.cwd.join(path)).unwrap();
        let said = project.with(path, &large).refusal("").0;
        assert_eq!(said, format!("error: cannot read `{name}`: it is larger than 1 MiB\n"));
    }
    Project::new().with_link("zero.toml", "/dev/zero").refusal("--config zero.toml").says(&expect![[r#"
        error: cannot read `zero.toml`: it is not a regular file
    "#]]);
    Project::new().with_folder("watch.toml").refusal("").says(&expect![[r#"
        error: cannot read `watch.toml`: it is a folder
    "#]]);
}

#[cfg(unix)]
#[test]
fn a_key_that_others_can_read_is_warned_about() {
    use std::os::unix::fs::PermissionsExt as _;
    let warned = |mode: u32, project: Project, path: &str| {
        fs::set_permissions(project.world.cwd.join(path), fs::Permissions::from_mode(mode)).unwrap();
        let config = project.good("");
        config.warnings.into_iter().map(|warning| (warning.message, warning.hint)).collect::<Vec<_>>()
    };
    let dotenv = || Project::new().with(".env", "OPENWEBUI_API_KEY=sk-1\n");
    let told = |file: &str| {
        vec![(format!("other users can read `{file}`, which holds an API key"), format!("chmod 600 {file}"))]
    };
    for mode in [0o644, 0o640, 0o604] {
        assert_eq!(warned(mode, dotenv(), ".env"), told(".env"), "{mode:o}");
    }
    assert_eq!(warned(0o600, dotenv(), ".env"), []);
    let key = Project::new().with("watch.toml", "api_key_file = 'k'").with("k", "sk-1");
    assert_eq!(warned(0o644, key, "k"), told("k"));
    // Without a key it is no secret.
    assert_eq!(warned(0o644, Project::new().with(".env", "OPENWEBUI_URL=http://it\n"), ".env"), []);
    // It holds one, whichever is used.
    assert_eq!(warned(0o644, dotenv().with_env("OPENWEBUI_API_KEY", "sk-2"), ".env"), told(".env"));
}

#[test]
fn a_variable_that_is_almost_ours_is_named() {
    let warned = |project: Project| {
        let warnings = project.good("").warnings;
        warnings.into_iter().map(|warning| format!("{} | {}", warning.message, warning.hint)).collect::<Vec<_>>()
    };
    assert_eq!(
        warned(Project::new().with(".env", "OPENWEBUI_ULR=http://it\nOPENWEBUI_PORT=1\n")),
        ["owui-watch does not know `OPENWEBUI_ULR` in `.env` | did you mean `OPENWEBUI_URL`?"]
    );
    assert_eq!(
        warned(Project::new().with_env("OPENWEBUI_APIKEY", "sk-5ecre7")),
        ["owui-watch does not know `OPENWEBUI_APIKEY` in the environment | did you mean `OPENWEBUI_API_KEY`?"]
    );
    // Other programs have variables too: ours is set elsewhere.
    let project = Project::new().with_env("OPEN_WEBUI_URL", "http://no").with_env("OPENWEBUI_PASSWORD", "5ecre7");
    let project = project.with_env("OWUI_WACTH_POLL", "1s");
    assert_eq!(warned(project).len(), 3);
    let project = Project::new().with_env("OPEN_WEBUI_URL", "http://no").with_env("OPENWEBUI_PASSWORD", "5ecre7");
    let project = project.with_env("OWUI_WACTH_POLL", "1s").with("watch.toml", "url = 'http://it'\npoll = '2s'");
    assert_eq!(warned(project.with(".env", "api_key=sk-1\n")), [""; 0]);
    // The right one is there as well.
    assert_eq!(warned(Project::new().with(".env", "OPENWEBUI_ULR=a\nOPENWEBUI_URL=http://it\n")), [""; 0]);
}

#[test]
fn globs_that_never_match_are_refused() {
    let exclude = |globs: &str| Project::new().with("watch.toml", &format!("exclude = [{globs}]"));
    for globs in ["", "'a'", "'/a'", "'a/b'", "'a/'", "'**/x/*.py'", "'*.py', '!b.py'", "'a', '!/b/'", r"'\#a'"] {
        assert_eq!(exclude(globs).good("").exclude.len(), globs.matches('\'').count() / 2, "{globs}");
    }
    for (globs, cause) in [
        ("'./tests/'", "it has an empty part, `.` or `..` between the slashes"),
        ("'../tests'", "it has an empty part, `.` or `..` between the slashes"),
        ("'a//b'", "it has an empty part, `.` or `..` between the slashes"),
        ("'a/./b'", "it has an empty part, `.` or `..` between the slashes"),
        ("'a//'", "it has an empty part, `.` or `..` between the slashes"),
        ("''", "it names nothing"),
        ("'  '", "it names nothing"),
        ("'/'", "it names nothing"),
        ("'a', '!'", "it names nothing"),
        ("'#a'", "`#` begins a comment; write `\\#`"),
        ("'!tests/'", "`!` takes back an earlier pattern, and there is none"),
    ] {
        let said = exclude(globs).refusal("").0;
        let glob = globs.rsplit('\'').nth(1).unwrap();
        assert_eq!(said, format!("error: cannot use `watch.toml:1:1`: `{glob}` never matches: {cause}\n"));
    }
    exclude("'plugins/old/'").refusal("").says(&expect![[r#"
        error: cannot use `watch.toml:1:1`: `plugins/old/` never matches: a path in it starts at the root
        hint: did you mean `/old/`?
    "#]]);
    // There may be one in the other.
    let nested = exclude("'plugins/old/'").with_folder("plugins/plugins");
    assert_eq!(nested.good("").exclude, ["plugins/old/"]);
    // The user's patterns are for all folders.
    assert_eq!(Project::new().with_user("watch.toml", "exclude = ['plugins/old']").good("").exclude, ["plugins/old"]);
}

#[test]
fn a_single_file_has_its_own_adopt() {
    let config = Project::new()
        .with_user("watch.toml", "[plugins.'/abs/a.py']\nid = 'a'\nadopt = 'never'")
        .with(
            "watch.toml",
            "adopt = 'never'\n[plugins.'./plugins/b.py']\nadopt = 'ask'\n[plugins.'plugins/c.py']\nid = 'c'",
        )
        .good("");
    let expected = [(PathBuf::from("/abs/a.py"), Adopt::Never), (PathBuf::from("plugins/b.py"), Adopt::Ask)];
    assert_eq!(config.adopt_files, BTreeMap::from(expected));
    let refused = Project::new().with("watch.toml", "[plugins.'plugins/b.py']\nadopt = 'yes'").refusal("");
    refused.says(&expect![[r#"
        error: cannot use `watch.toml:2:1`: `adopt` in `[plugins."plugins/b.py"]` must be "ask" or "never", not "yes"
    "#]]);
}

#[test]
fn the_real_world_has_a_folder() {
    assert!(World::real().cwd.is_absolute());
}
