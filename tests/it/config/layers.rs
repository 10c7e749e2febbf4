//! The layers of settings: which one wins, and which variables and flags there are.

use super::*;

#[test]
fn no_file_is_needed() {
    let config = Project::new().good("");
    assert_eq!(config.project, Path::new(""));
    assert_eq!(config.roots, [Path::new("plugins")]);
    assert_eq!(config.state, Path::new(".owui-watch"));
    assert_eq!(config.url_origin, None);
    assert_eq!(key(&config), None);
}

#[test]
fn each_layer_covers_the_one_before() {
    #[track_caller]
    fn check(project: &Project, line: &str, url: &str, origin: &str) {
        let config = project.good(line);
        let said = project.sealed(config.url_origin.as_deref().unwrap_or("the default"));
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
fn names_of_deploy_scripts_count_only_in_dotenv() {
    let config = Project::new().with_env("url", "http://elsewhere").with_env("api_key", "sk-elsewhere").good("");
    assert_eq!((config.url.as_str(), key(&config)), ("http://localhost:8080", None));
}

#[test]
fn keys_missing_in_a_higher_layer_stay() {
    let file = from_top("/abs/a.py");
    let users = format!("concurrency = 2\npoll = '2s'\n[plugins.'{file}']\nid = 'a'\nenabled = false");
    let own = format!("poll = 'off'\n[plugins.'{file}']\nenabled = true");
    let config = Project::new().with_user("watch.toml", &users).with("watch.toml", &own).good("");
    assert_eq!((config.concurrency.get(), config.poll), (2, None));
    let settings = &config.files[Path::new(&file)];
    assert_eq!((settings.id.as_deref(), settings.enabled), (Some("a"), Some(true)));
}

#[test]
#[expect(clippy::too_many_lines, reason = "one table")]
fn every_key_that_is_no_table_has_a_variable() {
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
        .with_env("OWUI_WATCH_LOG_COMMAND", "tail -F 'my log'")
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
                log_command: Some(
                    [
                        "tail",
                        "-F",
                        "my log",
                    ],
                ),
                timeout: 3600s,
                once_patience: 0ns,
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
            log_folder: "/tmp/home",
            roots: [
                "a",
                "b",
            ],
            root_bounds: [],
            url_origin: None,
            key: Some(
                SecretBox<str>([REDACTED]),
            ),
            key_origin: Some(
                "`k`",
            ),
            certificates: Some(
                CaFile {
                    path: "c",
                    pem: "-----BEGIN CERTIFICATE-----",
                },
            ),
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
            key_files: [
                "k",
            ],
            warnings: [],
        }
    "#]]
    .assert_eq(&project.sealed(&format!("{config:#?}\n")));
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
fn setting_words_map_to_values() {
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

/// `--yes` is for one run: no file or variable sets it, and it changes no setting.
#[test]
fn yes_is_not_a_setting() {
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
