//! The command line: its help and its arguments.

use std::path::PathBuf;

use clap::CommandFactory as _;
use expect_test::{Expect, expect};
use owui_watch::cli::{Args, Command, ServiceAction};

use crate::support::command::{Project, filter, tool};

fn read(line: &str) -> Result<Args, String> {
    Args::read(["owui-watch"].into_iter().chain(line.split_whitespace())).map_err(|error| error.to_string())
}

/// clap's error for an invalid line.
struct Refusal(String);

impl Refusal {
    #[track_caller]
    fn says(&self, expected: &Expect) {
        expected.assert_eq(&self.0);
    }
}

fn refusal(line: &str) -> Refusal {
    Refusal(read(line).expect_err("should be refused"))
}

#[test]
fn the_definition_is_sound() {
    Args::command().debug_assert();
}

#[test]
fn help() {
    let help = Args::command().term_width(100).render_help().to_string();
    expect![[r#"
        Watches a folder of Open WebUI plugins and deploys every save to the server

        Usage: owui-watch [OPTIONS] [PLUGINS]... [COMMAND]

        Commands:
          status    Show each plugin's state: file, server, and switch
          deploy    Deploy plugins now, even if they are unchanged, held back or were refused
          on        Switch functions on
          off       Switch functions off
          global    Set whether all models use a filter or action
          history   List the deployed and replaced texts of plugins
          rollback  Restore an earlier text of a plugin on the server, after showing the difference
          diff      Show how files and server differ
          pull      Write the server's texts to the files
          delete    Delete plugins on the server that have no file here, after asking
          try       Run a plugin once on the server, as a user would, and show the answer
          check     Find mistakes in plugins, without a server
          doctor    Find what prevents deploys: server, key, files, this system
          service   Run the watch as a systemd user service: install, uninstall, status
          trust     Let this folder's settings use your API key, paths outside the folder, and a log command
          sandbox   Start a throw-away Open WebUI on this machine, and watch the plugins for it
          help      Print this message or the help of the given subcommand(s)

        Arguments:
          [PLUGINS]...  Only these plugins, by path or id (by path if the id is also a command)

        Options:
              --once           Deploy what differs (one pass over all plugins), and exit
              --dry-run        Show what one pass would deploy, and exit; change nothing
              --force          In the first pass, also send plugins that are unchanged, held back or were
                               refused
              --wait           If another owui-watch runs for this project and server, wait until it exits
              --yes            Create a plugin even if the server seems to have it under another id
              --try            Try each plugin after its deploy, as its `try` table in watch.toml says
              --url <URL>      The server's address [default: `OPENWEBUI_URL`, or `url` in watch.toml]
              --root <DIR>     The folder with the plugins; repeatable [default: `root` in watch.toml]
              --config <FILE>  The settings file [default: watch.toml, if it exists]
              --json           Print one JSON object per line
              --no-live        Print plain lines: no live view below the log, and no keys
          -v, --verbose...     Print more details and reasons (-vv: everything)
          -q, --quiet          Print only warnings and errors
          -h, --help           Print help
          -V, --version        Print version

        Examples:
          owui-watch                           watch the plugins, deploy each save
          owui-watch sandbox                   the same, with a throw-away server on this machine
          owui-watch --once --dry-run          show what would be deployed
          owui-watch plugins/shout.py          watch only this file
          owui-watch deploy shout              deploy a plugin now, even if it was held back
          owui-watch diff                      show how files and server differ
          owui-watch check                     find mistakes in the plugins, without a server
          owui-watch try shout                 run a plugin on the server, and show the answer
          owui-watch rollback shout            restore a plugin's previous text on the server
          owui-watch doctor                    find what prevents deploys: server, key, files

        In a terminal, a watch shows the state of all plugins below its log. Press ? there to see its keys.

        The API key (or login token) has no flag, since a process list would show it. It is read from
        OPENWEBUI_API_KEY, in the environment or in `.env`, from the file that `api_key_file` names, or from
        a systemd credential.
    "#]]
    .assert_eq(&help);
    assert_eq!(read("-h").unwrap_err(), read("--help").unwrap_err());
}

#[test]
fn help_of_sandbox() {
    let mut command = Args::command().term_width(100);
    command.build();
    let sandbox = command.find_subcommand_mut("sandbox").expect("sandbox is a subcommand");
    expect![[r#"
        Start a throw-away Open WebUI on this machine, and watch the plugins for it

        Usage: owui-watch sandbox [OPTIONS]

        Options:
              --openwebui <VERSION>   The release of Open WebUI to run [default: 0.12.4]
              --port <PORT>           The server's port [default: 8470, or the next free one]
              --data <DIR>            Keep chats, valves and accounts in this folder, for the next start
              --keep                  Keep the server's temporary folder afterwards
              --no-live               Print plain lines: no live view below the log, and no keys
              --install-requirements  Let the server install what plugins ask for with `requirements:`
              --quiet-calls           Leave out plugin calls that succeed
              --log                   Show the server's log
              --config <FILE>         The settings file [default: watch.toml, if it exists]
              --try                   Try each plugin after its deploy: as its `try` table in watch.toml
                                      says, or with `hello` if it cannot act outside the chat
              --json                  Print one JSON object per line
              --root <DIR>            The folder with the plugins; repeatable [default: `root` in
                                      watch.toml]
          -v, --verbose...            Print more details and reasons (-vv: everything)
          -q, --quiet                 Print only warnings and errors
          -h, --help                  Print help (see more with '--help')
    "#]]
    .assert_eq(&sandbox.render_help().to_string());
    assert!(sandbox.render_help().to_string().contains(owui_watch::sandbox::OPEN_WEBUI), "the default is what is run");
}

#[test]
fn help_of_rollback() {
    let mut command = Args::command().term_width(100);
    command.build();
    let rollback = command.find_subcommand_mut("rollback").expect("rollback is a subcommand");
    expect![[r#"
        Restore an earlier text of a plugin on the server, after showing the difference

        The file stays as it is, and is not deployed again until it changes. `owui-watch pull` writes the
        server's text to it.

        Usage: owui-watch rollback [OPTIONS] <PLUGIN> [VERSION]

        Arguments:
          <PLUGIN>
                  Id or path; `function:ID` or `tool:ID` if a function and a tool have this id

          [VERSION]
                  A version, or the beginning of a digest or of a server's version id, as `history` prints
                  them [default: the newest text other than the current one]

        Options:
              --url <URL>
                  The server's address [default: `OPENWEBUI_URL`, or `url` in watch.toml]

              --root <DIR>
                  The folder with the plugins; repeatable [default: `root` in watch.toml]

              --yes
                  Restore it without asking

              --config <FILE>
                  The settings file [default: watch.toml, if it exists]

              --json
                  Print one JSON object per line

          -v, --verbose...
                  Print more details and reasons (-vv: everything)

          -q, --quiet
                  Print only warnings and errors

          -h, --help
                  Print help (see a summary with '-h')
    "#]]
    .assert_eq(&rollback.render_long_help().to_string());
}

#[test]
fn a_shell_is_told_commands_flags_and_plugins() {
    let project = Project::new();
    project.put("plugins/shout.py", filter("1"));
    project.put("plugins/shy.py", filter("1"));
    let complete = |words: &[&str]| {
        let mut command = project.command(&[&["--", "owui-watch"], words].concat());
        command.env("COMPLETE", "bash").env("_CLAP_COMPLETE_INDEX", words.len().to_string());
        command.env("_CLAP_IFS", "\n").env("_CLAP_COMPLETE_COMP_TYPE", "9").env("_CLAP_COMPLETE_SPACE", "true");
        String::from_utf8(command.output().unwrap().stdout).unwrap()
    };
    assert!(complete(&["roll"]).starts_with("rollback"), "{}", complete(&["roll"]));
    assert_eq!(complete(&["history", "sh"]).lines().collect::<Vec<_>>(), ["shout", "shy"]);
    assert_eq!(complete(&["on", "plugins/sho"]).lines().collect::<Vec<_>>(), ["plugins/shout.py"]);
    project.put("plugins/shed.py", tool("1"));
    assert_eq!(complete(&["history", "sh"]).lines().count(), 3);
    assert_eq!(complete(&["off", "sh"]).lines().collect::<Vec<_>>(), ["shout", "shy"], "a tool has no switch");
    assert!(!complete(&["delete", ""]).contains("sh"), "what has a file here is not deleted");
    // Bash would run what is in these names.
    let names = ["$(touch pwned)", "`touch pwned`", "s p", "a;b", "a&b", "~", "a'b"];
    // Windows has no files with these names.
    let unix_names = if cfg!(unix) { &["*", "a\nb", "a\"b", "a\\b", "-f\t"][..] } else { &[] };
    for (n, name) in names.iter().chain(unix_names).enumerate() {
        let text = filter("1").replacen("\"\"\"", &format!("\"\"\"\nid: zz{n}"), 1);
        project.put(&format!("plugins/{name}.py"), text);
    }
    let told = complete(&["on", ""]);
    let paths: Vec<_> = told.lines().filter(|line| line.contains(|c: char| !c.is_alphanumeric() && c != '_')).collect();
    assert_eq!(
        paths.iter().filter(|line| !line.starts_with('-')).collect::<Vec<_>>(),
        [&"plugins/shout.py", &"plugins/shy.py"]
    );
    assert!(!told.contains("touch pwned") && told.contains("shout"), "{told}");
    assert_eq!(complete(&["sandbox", "--quiet-c"]).trim(), "--quiet-calls");
}

#[test]
fn a_command_takes_the_shared_options_on_either_side() {
    for line in [
        "--json --root a --config c.toml --yes -v --url http://h:1 rollback shout 1.0",
        "rollback shout 1.0 --json --root a --config c.toml --yes -v --url http://h:1",
        "--url http://other:1 rollback --url http://h:1 shout --yes --json 1.0 --root a -v --config c.toml",
    ] {
        let args = read(line).unwrap();
        let Some(Command::Rollback { plugin, version, .. }) = args.command else { panic!("{line}") };
        assert_eq!((plugin.as_str(), version.as_deref()), ("shout", Some("1.0")), "{line}");
        assert_eq!((args.url.as_deref(), args.root), (Some("http://h:1"), vec![PathBuf::from("a")]), "{line}");
        assert_eq!(args.config, Some(PathBuf::from("c.toml")), "{line}");
        assert!(args.json && args.yes && args.verbose == 1, "{line}");
    }
    for (line, named) in [("diff", &[][..]), ("diff shout", &["shout"]), ("diff a b", &["a", "b"])] {
        let Some(Command::Diff { plugins, .. }) = read(line).unwrap().command else { panic!("{line}") };
        assert_eq!(plugins, named, "{line}");
    }
    for (line, named) in
        [("pull", &[][..]), ("pull plugins/shout.py", &["plugins/shout.py"]), ("pull a b", &["a", "b"])]
    {
        let Some(Command::Pull { plugins, all: false, .. }) = read(line).unwrap().command else { panic!("{line}") };
        assert_eq!(plugins, named, "{line}");
    }
    for line in ["pull --all --yes", "--yes pull --all"] {
        let args = read(line).unwrap();
        assert!(args.yes && matches!(args.command, Some(Command::Pull { all: true, .. })), "{line}");
    }
    for line in ["history", "delete", "rollback", "rollback a b c", "pull --all a", "pull a --yes"] {
        assert!(read(line).is_err(), "{line}");
    }
    assert!(Args::read(["owui-watch", "pull", ""]).is_err(), "an unset variable is not everything");
}

#[test]
fn a_command_does_not_silently_drop_a_flag() {
    for (line, other) in [
        ("--once diff", "--once"),
        ("--dry-run pull", "--dry-run"),
        ("--force rollback shout", "--force"),
        ("--wait diff", "--wait"),
        ("--dry-run history shout", "--dry-run"),
    ] {
        let refused = read(line).unwrap_err();
        let name = line.split(' ').nth(1).unwrap();
        let expected = format!("error: '{other}' cannot be used with '{name}', which makes no pass\n");
        assert!(refused.starts_with(&expected), "{line}: {refused}");
    }
}

#[test]
fn a_command_refuses_flags_that_it_ignores() {
    for line in ["history shout", "diff", "pull", "service status", "sandbox"] {
        let name = line.split(' ').next().unwrap();
        let refused = read(&format!("--yes {line}")).unwrap_err();
        let expected = format!("error: '--yes' cannot be used with '{name}', which asks nothing\n");
        assert!(refused.starts_with(&expected), "{line}: {refused}");
        read(&format!("{line} --yes")).expect_err(line);
    }
    for flag in ["--url http://localhost:8080", "--root a"] {
        let refused = read(&format!("{flag} trust")).unwrap_err();
        let name = flag.split(' ').next().unwrap();
        let expected = format!("error: '{name}' cannot be used with 'trust', which is about the settings in files\n");
        assert!(refused.starts_with(&expected), "{flag}: {refused}");
        read(&format!("trust {flag}")).expect_err(flag);
    }
    for line in ["rollback shout", "service install", "service uninstall", "trust"] {
        for line in [format!("--yes {line}"), format!("{line} --yes")] {
            assert!(read(&line).unwrap().yes, "{line}");
        }
    }
    for line in ["service uninstall", "service status"] {
        let refused = read(&format!("--root a {line}")).unwrap_err();
        let expected = "error: '--root' cannot be used with 'service', which takes it only after `install`\n";
        assert!(refused.starts_with(expected), "{line}: {refused}");
        read(&format!("{line} --root a")).expect_err(line);
    }
    assert_eq!(read("--root a diff --root b").unwrap().root, [PathBuf::from("a"), PathBuf::from("b")]);
}

#[test]
fn help_of_service_install() {
    let mut command = Args::command().term_width(100);
    command.build();
    let service = command.find_subcommand_mut("service").expect("service is a subcommand");
    let install = service.find_subcommand_mut("install").expect("install is one of it");
    expect![[r#"
        Write the unit for this folder; start it now and at each login

        The service runs this program with the given --root, --config, --url and --try. It does not see this
        shell's environment: the API key must be in `.env`, in the file that `api_key_file` names, or in
        ~/.config/owui-watch/openwebui_api_key.

        Usage: owui-watch service install [OPTIONS]

        Options:
              --url <URL>
                  The server's address [default: `OPENWEBUI_URL`, or `url` in watch.toml]

              --root <DIR>
                  The folder with the plugins; repeatable [default: `root` in watch.toml]

              --hardened
                  Let the service write only to this folder and its state, and see no devices; needs user
                  namespaces

              --try
                  Try each plugin after its deploy, as its `try` table in watch.toml says

              --yes
                  Replace the unit even if someone edited it

              --config <FILE>
                  The settings file [default: watch.toml, if it exists]

              --json
                  Print one JSON object per line

          -v, --verbose...
                  Print more details and reasons (-vv: everything)

          -q, --quiet
                  Print only warnings and errors

          -h, --help
                  Print help (see a summary with '-h')
    "#]]
    .assert_eq(&install.render_long_help().to_string());
}

#[test]
fn a_service_gets_its_flags_at_installation() {
    let action = |line| match read(line).unwrap().command {
        Some(Command::Service { action }) => action,
        other => panic!("{other:?}"),
    };
    let args = read("service --json install --url http://h:1 --root a").unwrap();
    assert_eq!((args.url.as_deref(), args.root, args.json), (Some("http://h:1"), vec![PathBuf::from("a")], true));
    assert_eq!(action("--config a/b.toml service uninstall"), ServiceAction::Uninstall { yes: false });
    assert_eq!(action("service status"), ServiceAction::Status);
    for line in ["service", "service start", "service install shout", "service status --url http://h:1"] {
        read(line).expect_err(line);
    }
    refusal("--url http://h:1 service status").says(&expect![[r#"
        error: '--url' cannot be used with 'service', which takes it only after `install`

        Usage: owui-watch [OPTIONS] [PLUGINS]... [COMMAND]

        For more information, try '--help'.
    "#]]);
    refusal("--once service install").says(&expect![[r#"
        error: '--once' cannot be used with 'service', which makes no pass

        Usage: owui-watch [OPTIONS] [PLUGINS]... [COMMAND]

        For more information, try '--help'.
    "#]]);
}

#[test]
fn there_is_no_flag_for_the_key() {
    for name in ["key", "api-key", "token"] {
        assert!(Args::command().get_arguments().all(|arg| arg.get_long() != Some(name)));
    }
}

#[test]
fn plugins_are_named_by_path_or_id() {
    let args = read("shout plugins/pipes/echo.py --once").unwrap();
    assert_eq!(args.plugins, ["shout", "plugins/pipes/echo.py"]);
    assert!(args.once && args.one_pass() && !args.dry_run);
    assert_eq!(args.command, None);
}

#[test]
fn a_dry_run_is_one_pass() {
    let args = read("--dry-run").unwrap();
    assert!(args.one_pass() && !args.once);
    assert!(!read("").unwrap().one_pass());
}

#[test]
fn yes_is_off_by_default() {
    assert!(read("--yes --once shout").unwrap().yes);
    assert!(!read("--once --force shout").unwrap().yes);
    refusal("--yes=no").says(&expect![[r#"
        error: unexpected value 'no' for '--yes' found; no more were expected

        Usage: owui-watch --yes [PLUGINS]...

        For more information, try '--help'.
    "#]]);
}

#[test]
fn sandbox_takes_the_shared_options_on_either_side() {
    for line in [
        "--json --root a --root b --config c.toml -vv sandbox --openwebui 0.9.6 --keep",
        "sandbox --openwebui 0.9.6 --keep --json --root a --root b --config c.toml -vv",
    ] {
        let args = read(line).unwrap();
        assert!(
            matches!(&args.command, Some(Command::Sandbox { openwebui: Some(version), keep: true, .. }) if version == "0.9.6"),
            "{line}"
        );
        assert_eq!(args.root, [PathBuf::from("a"), PathBuf::from("b")], "{line}");
        assert_eq!(args.config, Some(PathBuf::from("c.toml")), "{line}");
        assert!(args.json && args.verbose == 2, "{line}");
    }
}

#[test]
fn a_plugin_called_sandbox_is_named_by_its_path() {
    let args = read("plugins/sandbox.py").unwrap();
    assert_eq!((args.plugins.as_slice(), args.command), (&["plugins/sandbox.py".to_owned()][..], None));
}

#[test]
fn sandbox_is_a_plugin_after_a_plugin() {
    let args = read("shout sandbox").unwrap();
    assert_eq!((args.plugins.as_slice(), args.command), (&["shout".to_owned(), "sandbox".to_owned()][..], None));
}

#[test]
fn sandbox_does_not_silently_drop_a_flag() {
    refusal("--once sandbox").says(&expect![[r#"
        error: '--once' cannot be used with 'sandbox', which watches against a server of its own

        Usage: owui-watch [OPTIONS] [PLUGINS]... [COMMAND]

        For more information, try '--help'.
    "#]]);
    refusal("--url http://localhost:8080 sandbox").says(&expect![[r#"
        error: '--url' cannot be used with 'sandbox', which watches against a server of its own

        Usage: owui-watch [OPTIONS] [PLUGINS]... [COMMAND]

        For more information, try '--help'.
    "#]]);
    refusal("sandbox --once").says(&expect![[r#"
        error: unexpected argument '--once' found

        Usage: owui-watch sandbox [OPTIONS]

        For more information, try '--help'.
    "#]]);
    refusal("sandbox shout").says(&expect![[r#"
        error: unexpected argument 'shout' found

        Usage: owui-watch sandbox [OPTIONS]

        For more information, try '--help'.
    "#]]);
}

#[test]
fn verbose_and_quiet_exclude_each_other() {
    refusal("-v -q").says(&expect![[r#"
        error: the argument '--verbose...' cannot be used with '--quiet'

        Usage: owui-watch --verbose... [PLUGINS]...

        For more information, try '--help'.
    "#]]);
    refusal("sandbox -q -v").says(&expect![[r#"
        error: the argument '--quiet' cannot be used with '--verbose...'

        Usage: owui-watch sandbox --quiet

        For more information, try '--help'.
    "#]]);
}

#[test]
fn a_mistyped_flag_is_suggested() {
    refusal("--dryrun").says(&expect![[r#"
        error: unexpected argument '--dryrun' found

          tip: a similar argument exists: '--dry-run'

        Usage: owui-watch --dry-run [PLUGINS]...

        For more information, try '--help'.
    "#]]);
}
