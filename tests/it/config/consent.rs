//! The limits of a folder's own files, and when the user must agree.

use super::*;
use crate::support::sentences::{LEADS_OUT, leads_out, trusts};

/// Adds one way to set something.
type Set = fn(Project) -> Project;

/// Possible authors of a setting: the user, or the folder's author.
#[test]
fn the_users_key_goes_to_no_address_of_the_folder() {
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
    // The user's own file counts as the user's, however it is named.
    let project = Project::new()
        .with_user("watch.toml", "url = 'https://it'\nroot = '/tmp'")
        .with_env("OPENWEBUI_API_KEY", "sk-1");
    assert_eq!(project.asks(""), None);
    assert_eq!(project.asks("--config ../home/.config/owui-watch/watch.toml"), None);
}

/// Otherwise a folder could send the key of the user's server to a program on this machine.
#[test]
fn the_default_address_counts_as_the_users_unless_overridden() {
    let project = || {
        let project = Project::new().with_user("k", "sk-1");
        project.with_user("watch.toml", "url = 'https://chat.mine.example/'\napi_key_file = 'k'")
    };
    let asks = |url: &str| project().with("watch.toml", &format!("url = '{url}'")).asks("");
    let question = "send your API key from `/tmp/home/.config/owui-watch/k` to http://localhost:8080";
    assert_eq!(asks("http://localhost:8080").as_deref(), Some(question));
    assert_eq!(project().with(".env", "url=http://localhost:8080\n").asks("").as_deref(), Some(question));
    // Repeating the user's setting changes nothing.
    assert_eq!(asks("https://chat.mine.example/api/v1"), None);
    assert_eq!(project().asks(""), None);
}

/// The folder's author may point it at other programs' secrets.
#[test]
fn an_api_key_file_holds_only_a_key() {
    let file = |name: &str, text: &str| {
        Project::new().with("watch.toml", &format!("api_key_file = '{name}'")).with(name, text)
    };
    for text in [
        "OPENAI_API_KEY=sk-5ecre7",
        "//npm.example/:_authToken=5ecre7",
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

/// Its paths are relative to the folder of the link.
#[cfg(unix)]
#[test]
fn a_link_to_the_users_settings_counts_as_the_folders() {
    let project = Project::new().with_user("watch.toml", "state = '../state'").with_user(".env", "");
    assert_eq!(project.asks("--config ../home/.config/owui-watch/watch.toml"), None);
    let project = project.with_link("watch.toml", "../home/.config/owui-watch/watch.toml");
    assert_eq!(project.asks("").as_deref(), Some(&*leads_out("state", "/tmp/state")));
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

/// A script gets remedies without a question: nobody can answer.
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
        let expected = format!("{}\nor set {variable} in the environment", trusts(" --yes --config sub/watch.toml"));
        assert_eq!(hint(project.load("--config sub/watch.toml").unwrap_err()), Some(expected), "{line}");
        // Either variable is enough.
        assert_eq!(project.with_env(variable, value).asks("--config sub/watch.toml"), None, "{line}");
    }
    let other = Project::new().with("watch.toml", "state = 'a").load("").unwrap_err();
    assert_eq!(other.hint().map(str::to_owned), other.unattended().hint().map(str::to_owned));
}

/// A container may run us as a user without a home.
#[cfg(unix)]
#[test]
fn an_unreadable_home_matters_only_for_consent() {
    let mut project = Project::new().with("watch.toml", "state = 'here'").with_env("OPENWEBUI_API_KEY", "sk-1");
    for home in [Some("/dev/null/.config"), None] {
        project.world.config_home = home.map(PathBuf::from);
        project = project.with("watch.toml", "state = 'here'");
        assert_eq!(project.asks(""), None);
        project = project.with("watch.toml", "url = 'https://it'");
        project.refusal("").says(&expect![[r#"
            error: cannot send your API key from `OPENWEBUI_API_KEY` to https://it: `watch.toml:1:1` sets that address, and you have not agreed to it
            hint: set HOME or XDG_CONFIG_HOME to your own folder, which stores your answer
        "#]]);
        let error = project.load("").unwrap_err();
        let cannot_keep = error.request().unwrap().allow(&project.world).unwrap_err();
        let hint = "set HOME or XDG_CONFIG_HOME to your own folder, which stores your answer";
        assert_eq!(cannot_keep.hint(), Some(hint));
        let expected = format!("{hint}\nor set OPENWEBUI_URL in the environment");
        assert_eq!(error.unattended().hint(), Some(&*expected));
    }
}

#[test]
fn consent_questions_are_worded_like_this() {
    let project =
        Project::new().with_env("OPENWEBUI_API_KEY", "sk-5ecre7").with("watch.toml", "\nurl = 'https://evil'");
    project.refusal("--once").says(&expect![[r#"
        error: cannot send your API key from `OPENWEBUI_API_KEY` to https://evil: `watch.toml:2:1` sets that address, and you have not agreed to it
        hint: trust
    "#]]);
    let project = project.with("sub/watch.toml", "root = '../plugins'");
    project.refusal("--config sub/watch.toml").says(&expect![[r#"
        error: cannot use `sub/watch.toml:1:1`: `root` leads outside the folder, to `/tmp/work/plugins`
        hint: if you trust this folder, run `owui-watch trust --config sub/watch.toml`
    "#]]);
    let project = project.with("watch.toml", "follow_links = 'anywhere'");
    project.refusal("").says(&expect![[r#"
        error: cannot use `watch.toml:1:1`: links to anywhere may lead outside the folder
        hint: trust
    "#]]);
    let project =
        project.with("watch.toml", "ca_file = 'ca.pem'").with("ca.pem", PEM).with_env("OPENWEBUI_URL", "https://it");
    project.refusal("").says(&expect![[r#"
        error: cannot send your API key from `OPENWEBUI_API_KEY` to https://it: `watch.toml:1:1` trusts the certificates in `ca.pem`, and you have not agreed to them
        hint: trust
    "#]]);
}

#[test]
fn consent_is_for_one_folder_and_one_address() {
    let asks = |project: &Project, line| project.asks(line).is_some();
    let project = Project::new().with_env("OPENWEBUI_API_KEY", "sk-1").with("watch.toml", "url = 'https://one'");
    assert_eq!(project.trust(""), ["send your API key from `OPENWEBUI_API_KEY` to https://one"]);
    // Also with another key, and for every command.
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

/// A cloned folder must not name commands that are run.
#[test]
fn a_command_of_the_folder_is_run_only_with_consent() {
    let project = |line: &str| Project::new().with("watch.toml", line);
    let command = "docker logs -f open-webui";
    let question = |command: &str| {
        Some(format!(
            "run `{command}` in this folder during each watch, for the server's log; it can run files of this folder, also \
             after they change"
        ))
    };
    let string = project("log_command = 'docker logs  -f \"open-webui\"'");
    assert_eq!(string.asks(""), question(command));
    for line in ["trust", "service install", "--force plugins/a.py"] {
        assert_eq!(string.asks(line), question(command), "{line}");
    }
    // Nothing but a watch runs it.
    for line in ["--once", "--dry-run", "history a", "diff", "status", "deploy a", "sandbox"] {
        assert_eq!(string.asks(line), None, "{line}");
    }
    assert_eq!(Project::new().with(".env", "OWUI_WATCH_LOG_COMMAND='a b'\n").asks(""), question("a b"));
    string.refusal("").says(&expect![[r#"
        error: cannot run `docker logs -f open-webui`: `watch.toml:1:1` names that command, and you have not agreed to it
        hint: trust
    "#]]);
    // A watch goes on without it.
    let mut declined = project("log_command = 'docker logs -f open-webui'");
    declined.world.declined.extend(declined.load("").err().and_then(|error| error.request().cloned()));
    let config = declined.good("");
    assert_eq!((config.log_command.as_ref(), config.warnings.len()), (None, 1));
    assert_eq!(config.warnings[0].message, "`log_command` does not run, since you have not agreed to it");
    let other = declined.with("watch.toml", "log_command = 'docker logs -f other'");
    assert_eq!(other.asks(""), question("docker logs -f other"));
    // The user's own settings need none.
    let own = "log_command = ['tail', '-F', 'my log']";
    assert_eq!(Project::new().with_user("watch.toml", own).good("").log_command.as_ref().map(Vec::len), Some(3));
    let overridden = project(own).with_env("OWUI_WATCH_LOG_COMMAND", "mine 'a, b'");
    assert_eq!(overridden.good("").log_command.as_deref(), Some(&["mine".to_owned(), "a, b".to_owned()][..]));

    // Agreed is exactly this command, in whichever form it is written.
    assert_eq!(string.trust(""), [question(command).unwrap()]);
    let same = string.with("watch.toml", "log_command = ['docker', 'logs', '-f', 'open-webui']");
    assert_eq!(same.asks(""), None);
    for (words, shown) in [
        ("['docker', 'logs', '-f open-webui']", "docker logs '-f open-webui'"),
        ("['docker', 'logs', '-f', 'open-webui', '']", "docker logs -f open-webui ''"),
        ("'docker logs -f open-webui; rm -r .'", "docker logs -f 'open-webui;' rm -r ."),
        ("'sk-5ecre7aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa'", "sk-5ecre7aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"),
    ] {
        assert_eq!(project(&format!("log_command = {words}")).asks(""), question(shown), "{words}");
    }
    for (line, none) in [("log_command = ''", true), ("log_command = []", true), ("log_command = ' # x'", true)] {
        assert_eq!(project(line).good("").log_command.is_none(), none, "{line}");
    }
    for line in ["log_command = \"docker 'x\"", "log_command = ['', 'x']", "log_command = {}", "log_command = [['x']]"]
    {
        let said = project(line).refusal("").0;
        assert!(
            said.contains("`log_command` must be a command such as \"docker logs -f --tail 0 open-webui\""),
            "{said}"
        );
    }
    // What a terminal would not show is no part of a command.
    for hidden in ["\\u001b];touch x\\u0007", "\\n", "\\u202e", "\\u200b", "\\u00a0", "\\u3164"] {
        let words = format!("['sh', '-c', \"echo logs{hidden}\"]");
        for refused in [format!("log_command = {words}"), format!("log_command = \"sh -c 'echo logs{hidden}'\"")] {
            let said = project(&refused).refusal("").0;
            assert!(said.contains("a list of its words, without control or invisible characters, not "), "{said}");
        }
    }
}

/// A command of the user's must not run a program of a cloned folder.
#[test]
fn the_users_own_command_runs_in_their_home() {
    let folder = |project: &Project, line: &str| {
        let folder = project.good(line).log_folder;
        if project.world.home.as_ref() == Some(&folder) { PathBuf::from("home") } else { folder }
    };
    let command = "log_command = './owui-logs'";
    let users = Project::new().with_user("watch.toml", command);
    assert_eq!(folder(&users, ""), Path::new("home"));
    assert_eq!(folder(&Project::new().with_env("OWUI_WATCH_LOG_COMMAND", "./owui-logs"), ""), Path::new("home"));
    let named = users.with("other/watch.toml", "").with_folder("other/plugins");
    assert_eq!(folder(&named, "--config other/watch.toml"), Path::new("home"));
    let own = Project::new().with("other/watch.toml", command).with_folder("other/plugins");
    own.trust("--config other/watch.toml");
    assert_eq!(folder(&own, "--config other/watch.toml"), Path::new("other"));
    let mut homeless = Project::new().with_env("OWUI_WATCH_LOG_COMMAND", "./owui-logs");
    homeless.world.home = None;
    let top = folder(&homeless, "");
    assert!(top.has_root() && top.parent().is_none(), "{}", top.display());

    // The same words elsewhere are another command.
    let (users, none) = (Project::new().with_user("watch.toml", command), Project::new());
    let own = Project::new().with("watch.toml", command);
    own.trust("");
    assert_eq!(users.good("").changes(&own.good("")), ["log_command"]);
    assert_eq!(none.good("").changes(&none.with("watch.toml", "log_command = ''").good("")), [""; 0]);
}

/// A service's key may not be visible before it starts.
#[test]
fn trust_can_be_given_before_there_is_a_key() {
    let project = Project::new().with("watch.toml", "url = 'https://it'");
    assert_eq!(project.asks(""), None);
    assert_eq!(project.trust("trust"), ["send your API key to https://it"]);
    assert_eq!(project.with_env("OPENWEBUI_API_KEY", "sk-1").asks(""), None);
    let own = Project::new().with("watch.toml", "url = 'https://it'").with(".env", "api_key=sk-1\n");
    assert_eq!(own.asks("trust"), None);
}

/// The owner of a trusted certificate can impersonate the user's server.
#[test]
fn each_certificate_of_the_folder_needs_consent() {
    let project = Project::new().with_env("OPENWEBUI_API_KEY", "sk-1").with("ca.pem", PEM);
    let project = project.with("watch.toml", "ca_file = 'ca.pem'");
    assert_eq!(project.asks(""), None, "the default is not encrypted");
    let project = project.with_env("OPENWEBUI_URL", "https://it");
    let question = "send your API key from `OPENWEBUI_API_KEY` to any server with a certificate from `ca.pem`";
    assert_eq!(project.trust(""), [question]);
    let project = project.with("ca.pem", &format!("{PEM}another"));
    assert_eq!(project.asks("").as_deref(), Some(question));
    assert_eq!(project.with_env("OWUI_WATCH_CA_FILE", "ca.pem").asks(""), None);
}

#[test]
fn paths_in_the_folders_files_stay_inside() {
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
        ("root = '~/plugins'", leads_out("root", "/tmp/home/plugins")),
        ("root = '~/'", leads_out("root", "/tmp/home")),
        ("root = ['plugins', '../home']", leads_out("root", "/tmp/home")),
        ("root = '..'", leads_out("root", "/tmp")),
        ("root = '/not/there'", leads_out("root", "/not/there")),
        ("state = '../home/state'", leads_out("state", "/tmp/home/state")),
        ("state = '/var/lib/w'", leads_out("state", "/var/lib/w")),
        ("api_key_file = '~/k'", leads_out("api_key_file", "/tmp/home/k")),
        ("ca_file = '../home/ca.pem'", leads_out("ca_file", "/tmp/home/ca.pem")),
        ("follow_links = 'anywhere'", "follow links to files outside the folder".to_owned()),
    ] {
        let asked = project().with("watch.toml", line);
        assert_eq!(asked.asks("").as_ref(), Some(&leads), "{line}");
        assert_eq!(asked.asks("sandbox").as_ref(), Some(&leads), "{line}");
        // As a variable in .env it is the folder's, and in the environment the user's.
        let (key, value) = line.split_once(" = ").unwrap();
        let value = value.replace(['\'', '[', ']'], "");
        let name = format!("OWUI_WATCH_{}", key.to_uppercase());
        assert_eq!(project().with(".env", &format!("{name}='{value}'\n")).asks("").as_ref(), Some(&leads), "{line}");
        let full = value.replace('~', "../home");
        if !value.starts_with("/not") && key != "api_key_file" {
            assert_eq!(project().with_env(&name, &full).asks(""), None, "{line}");
        }
        // The user may override it.
        assert_eq!(asked.trust("trust"), [leads], "{line}");
        assert_eq!(asked.asks(""), None, "{line}");
    }
}

#[cfg(unix)]
#[test]
fn links_in_the_folder_stay_inside_like_paths() {
    let asks = |project: Project| project.asks("");
    let project = || {
        let project = Project::new().with_folder("../home/plugins").with("../home/.env", "OPENWEBUI_API_KEY=sk-1\n");
        project.with_link("out", "../home").with_link("in", "plugins")
    };
    assert_eq!(asks(project().with("watch.toml", "root = 'in'")), None);
    let to_home = Some(leads_out("root", "/tmp/home/plugins"));
    assert_eq!(asks(project().with("watch.toml", "root = 'out/plugins'")), to_home);
    // `..` applies to the link's target.
    let to_top = Some(leads_out("root", "/tmp"));
    assert_eq!(asks(project().with("watch.toml", "root = 'out/..'")), to_top);
    // The default may be a link, even a dangling one.
    for target in ["../home/plugins", "../later"] {
        let project = project();
        fs::remove_dir(project.world.cwd.join("plugins")).unwrap();
        let leads = format!("{LEADS_OUT} `/tmp{}`", &target[2..]);
        let project = project.with_link("plugins", target);
        assert_eq!(project.asks(""), Some(format!("let the link `plugins` lead {leads}")));
        let said = project.refusal("").0;
        assert!(said.starts_with(&format!("error: cannot use `plugins`: it is a link that leads {leads}\n")), "{said}");
    }
    let key = project().with("watch.toml", "api_key_file = 'out/.env'");
    assert_eq!(asks(key), Some(leads_out("api_key_file", "/tmp/home/.env")));
}

/// Otherwise a folder could send the key of another folder to an address of its own.
#[cfg(unix)]
#[test]
fn a_key_from_outside_the_folder_counts_as_the_users() {
    let url = "send your API key from";
    let project =
        Project::new().with("watch.toml", "url = 'https://it'\napi_key_file = '~/k'").with("../home/k", "sk-1");
    assert_eq!(
        project.trust(""),
        [leads_out("api_key_file", "/tmp/home/k"), format!("{url} `/tmp/home/k` to https://it")]
    );
    let project = Project::new().with("watch.toml", "url = 'https://it'").with("../other/.env", "api_key=sk-1\n");
    let project = project.with_link(".env", "../other/.env");
    assert_eq!(
        project.trust(""),
        [leads_out(".env", "/tmp/other/.env"), format!("{url} `api_key` in `.env` to https://it")]
    );
    // A link that stays inside is fine.
    let project = Project::new().with("watch.toml", "url = 'https://it'").with("env/.env", "api_key=sk-1\n");
    assert_eq!(project.with_link(".env", "env/.env").asks(""), None);
}

/// It would put the process's variables into an address.
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
        hint: write its value: owui-watch does not expand variables
        to keep a `$`, put the value in '…'
    "#]]);
    refused("OWUI_WATCH_STATE=${HOME}/st\n").says(&expect![[r#"
        error: cannot use `.env:1`: `OWUI_WATCH_STATE` names another variable with `$`
        hint: write its value: owui-watch does not expand variables
        to keep a `$`, put the value in '…'
    "#]]);
    refused("A=1\napi_key=$MY_KEY\n").says(&expect![[r#"
        error: cannot use `.env:2`: `api_key` names another variable with `$`
        hint: write its value: owui-watch does not expand variables
        to keep a `$`, put the value in '…'
    "#]]);
}
