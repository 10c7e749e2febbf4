//! Settings files that may be hostile, and warnings about settings.

use super::*;

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
    // Without a key the file is not secret.
    assert_eq!(warned(0o644, Project::new().with(".env", "OPENWEBUI_URL=http://it\n"), ".env"), []);
    // It holds a key, even if another is used.
    assert_eq!(warned(0o644, dotenv().with_env("OPENWEBUI_API_KEY", "sk-2"), ".env"), told(".env"));
}

#[test]
fn a_misspelled_variable_is_warned_about() {
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
    // A variable of another program, since ours is set elsewhere.
    let project = Project::new().with_env("OPEN_WEBUI_URL", "http://no").with_env("OPENWEBUI_PASSWORD", "5ecre7");
    let project = project.with_env("OWUI_WACTH_POLL", "1s");
    assert_eq!(warned(project).len(), 3);
    let project = Project::new().with_env("OPEN_WEBUI_URL", "http://no").with_env("OPENWEBUI_PASSWORD", "5ecre7");
    let project = project.with_env("OWUI_WACTH_POLL", "1s").with("watch.toml", "url = 'http://it'\npoll = '2s'");
    assert_eq!(warned(project.with(".env", "api_key=sk-1\n")), [""; 0]);
    // The right one is set too.
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
    // A root may contain such a folder.
    let nested = exclude("'plugins/old/'").with_folder("plugins/plugins");
    assert_eq!(nested.good("").exclude, ["plugins/old/"]);
    // The user's patterns apply to all folders.
    assert_eq!(Project::new().with_user("watch.toml", "exclude = ['plugins/old']").good("").exclude, ["plugins/old"]);
}

#[test]
fn a_single_file_has_its_own_adopt() {
    let config = Project::new()
        .with_user("watch.toml", &format!("[plugins.'{}']\nid = 'a'\nadopt = 'never'", from_top("/abs/a.py")))
        .with(
            "watch.toml",
            "adopt = 'never'\n[plugins.'./plugins/b.py']\nadopt = 'ask'\n[plugins.'plugins/c.py']\nid = 'c'",
        )
        .good("");
    let expected = [(PathBuf::from(from_top("/abs/a.py")), Adopt::Never), (PathBuf::from("plugins/b.py"), Adopt::Ask)];
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
