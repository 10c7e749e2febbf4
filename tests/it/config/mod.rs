//! The settings from files, variables and flags, and the errors of invalid ones.
//!
//! Long because all settings are shown, as they are by default and as they are with every key.

mod consent;
mod files;
mod layers;
mod values;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::support::sentences::trusts;
use clap::CommandFactory as _;
use expect_test::{Expect, expect};
use owui_watch::cli::Args;
use owui_watch::config::{self, Config, ConfigError, Form, KEYS, KeyRow, World};
use owui_watch::engine::OnDelete;
use owui_watch::engine::deploy::{Adopt, OnRemoteEdit};
use owui_watch::engine::files::Links;
use owui_watch::paths::{canonical, slashed};
use secrecy::ExposeSecret as _;
use tempfile::TempDir;

/// A folder with `plugins/`, and a world without anything else.
struct Project {
    folder: TempDir,
    world: World,
}

impl Project {
    fn new() -> Self {
        let folder = TempDir::new().expect("a temporary folder");
        let top = canonical(folder.path()).expect("it is there");
        let at = |part: &str| top.join(part);
        let world = World {
            env: BTreeMap::new(),
            cwd: at("work"),
            project: PathBuf::new(),
            config_home: Some(at("home/.config")),
            home: Some(at("home")),
            agreed: Vec::new(),
            declined: Vec::new(),
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
        // A key's file must be private.
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

    /// Agrees to everything that the folder asks for, and returns the requests.
    fn trust(&self, line: &str) -> Vec<String> {
        let mut questions = Vec::new();
        while let Err(error) = self.load(line) {
            let request = error.request().unwrap_or_else(|| panic!("{}", self.said(&error)));
            request.allow(&self.world).expect("the answer is kept");
            questions.push(self.sealed(request.question()));
        }
        questions
    }

    /// The first question to the user.
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

    /// The text with this project below `/tmp`, and with slashes.
    fn sealed(&self, text: &str) -> String {
        let top = slashed(&canonical(self.folder.path()).expect("it is there"));
        if cfg!(windows) {
            // Some paths are quoted, with two backslashes for one. Others begin with the drive.
            let text = text.replace("\\\\", "/").replace(&top, "/tmp");
            text.replace(&format!("`{}", &top[..2]), "`")
        } else {
            text.replace(&top, "/tmp")
        }
    }

    #[track_caller]
    fn refusal(&self, line: &str) -> Refusal {
        let said = self.said(&self.load(line).map(drop).expect_err("should be refused"));
        assert!(!said.contains("5ecre7"), "a secret is shown: {said}");
        Refusal(said)
    }
}

/// An error as it is printed, without the secret `5ecre7`.
struct Refusal(String);

impl Refusal {
    /// The hint that sends the user to `trust` is shortened to that word.
    #[track_caller]
    fn says(&self, expected: &Expect) {
        expected.assert_eq(&self.0.replace(&format!("{} in it", trusts("")), "trust"));
    }
}

/// A path from the top.
fn from_top(path: &str) -> String {
    if cfg!(windows) { format!("C:{path}") } else { path.to_owned() }
}

fn key(config: &Config) -> Option<(&str, String)> {
    let origin = config.key_origin.clone().unwrap_or_default();
    config.key.as_ref().map(|key| (key.expose_secret(), origin))
}

fn data(folder: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/config").join(folder)
}

fn example(name: &str) -> String {
    let path = data(&format!("{name}.toml"));
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A text that the settings accept as certificates; the client checks more.
const PEM: &str = "-----BEGIN CERTIFICATE-----";

fn valid(name: &str) -> String {
    let text = example(&format!("valid/{name}"));
    let project = Project::new().with_folder("more").with("watch.toml", &text).with("secrets/key", "sk-file\n");
    let project = project.with("ca.pem", PEM);
    project.trust("");
    project.sealed(&format!("{:#?}\n", project.good("")))
}

#[track_caller]
fn invalid(name: &str) -> Refusal {
    let text = example(&format!("invalid/{name}"));
    Project::new().with_folder("plugins/pipes").with("plugins/a.py", "").with("watch.toml", &text).refusal("--once")
}

#[test]
fn every_example_is_tested() {
    let sources =
        [include_str!("mod.rs"), include_str!("layers.rs"), include_str!("values.rs"), include_str!("consent.rs")];
    for kind in ["valid", "invalid"] {
        for file in fs::read_dir(data(kind)).unwrap() {
            let path = file.unwrap().path();
            let call = format!("{kind}(\"{}\")", path.file_stem().unwrap().to_string_lossy());
            assert!(sources.iter().any(|source| source.contains(&call)), "{call} is missing");
        }
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "every key, twice")]
fn valid_files_are_accepted() {
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
                log_command: None,
                timeout: 300s,
                once_patience: 30s,
                check: CheckSettings {
                    select: Some(
                        [],
                    ),
                    ignore: Some(
                        [],
                    ),
                    block: Some(
                        false,
                    ),
                },
                plugins: {},
            },
            project: "",
            log_folder: "",
            roots: [
                "plugins",
            ],
            root_bounds: [
                "",
            ],
            url_origin: None,
            key: None,
            key_origin: None,
            certificates: None,
            files: {},
            adopt_files: {},
            trials: {},
            checks: Choices {
                all: Choice {
                    select: [],
                    ignore: [],
                    block: false,
                },
                files: {},
            },
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
                log_command: None,
                timeout: 90s,
                once_patience: 0ns,
                check: CheckSettings {
                    select: Some(
                        [
                            "missing-await",
                            "hook-shape",
                        ],
                    ),
                    ignore: Some(
                        [
                            "hook-shape",
                        ],
                    ),
                    block: Some(
                        true,
                    ),
                },
                plugins: {
                    "more/old.py": PluginSettings {
                        id: None,
                        kind: None,
                        enabled: Some(
                            false,
                        ),
                        adopt: None,
                        check: None,
                        trial: None,
                    },
                    "more/tried.py": PluginSettings {
                        id: None,
                        kind: None,
                        enabled: None,
                        adopt: None,
                        check: None,
                        trial: Some(
                            TrySettings {
                                message: Some(
                                    "hi",
                                ),
                                expect: Some(
                                    Pattern(
                                        Regex(
                                            "^HI$",
                                        ),
                                    ),
                                ),
                                tool: Some(
                                    "add",
                                ),
                                args: Some(
                                    {
                                        "a": Number(1),
                                    },
                                ),
                                model: Some(
                                    "echo-model",
                                ),
                                within: Some(
                                    5s,
                                ),
                            },
                        ),
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
                        check: None,
                        trial: None,
                    },
                },
            },
            project: "",
            log_folder: "",
            roots: [
                "plugins",
                "more",
            ],
            root_bounds: [
                "",
            ],
            url_origin: Some(
                "`watch.toml`",
            ),
            key: Some(
                SecretBox<str>([REDACTED]),
            ),
            key_origin: Some(
                "`secrets/key`",
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
                "more/tried.py": FileSettings {
                    id: None,
                    kind: None,
                    enabled: None,
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
            trials: {
                "more/tried.py": TrySettings {
                    message: Some(
                        "hi",
                    ),
                    expect: Some(
                        Pattern(
                            Regex(
                                "^HI$",
                            ),
                        ),
                    ),
                    tool: Some(
                        "add",
                    ),
                    args: Some(
                        {
                            "a": Number(1),
                        },
                    ),
                    model: Some(
                        "echo-model",
                    ),
                    within: Some(
                        5s,
                    ),
                },
            },
            checks: Choices {
                all: Choice {
                    select: [
                        "missing-await",
                        "hook-shape",
                    ],
                    ignore: [
                        "hook-shape",
                    ],
                    block: true,
                },
                files: {},
            },
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
fn invalid_values_are_refused() {
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
    invalid("switch_quoted").says(&expect![[r#"
        error: cannot use `watch.toml:1:1`: `activate_new` must be true or false, not "yes"
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
        error: cannot use `watch.toml:1:10`: `[plugins."a.py"]` is for a file that is not below a root
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
        error: cannot use `watch.toml:1:10`: more than one table is for `plugins/a.py`
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
        hint: settings for one file go under [plugins."plugins/a.py"]
    "#]]);
    invalid("plugins_folder").says(&expect![[r#"
        error: cannot use `watch.toml:1:1`: `plugins` must be made of tables such as [plugins."plugins/shout.py"], not "plugins"
        hint: the folder with the plugins is `root`
    "#]]);
}

#[test]
fn invalid_toml_is_refused() {
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
        hint: the keys are `root`, `exclude`, `follow_links`, `url`, `api_key_file`, `ca_file`, `state`, `activate_new`, `on_remote_edit`, `on_delete`, `gone_after`, `adopt`, `keep_versions`, `concurrency`, `debounce`, `poll`, `log_command`, `timeout`, `once_patience`, `check`, `plugins`
    "#]]);
}
