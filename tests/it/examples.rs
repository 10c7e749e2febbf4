//! The plugins in this repository are good examples, and they deploy.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use owui_watch::paths::slashed;
use owui_watch::plugin::{self, Entry, FileSettings, Kind, Parsed, normal};

use crate::support::command::Project;
use crate::support::fake_server::FakeServer;

const EXAMPLES: [(&str, Entry, &str, &str); 5] = [
    ("actions/word_count.py", Entry::Action, "word_count", "Word Count"),
    ("events/activity_log.py", Entry::Event, "activity_log", "Activity Log"),
    ("filters/today.py", Entry::Filter, "today", "Today"),
    ("pipes/rubber_duck.py", Entry::Pipe, "rubber_duck", "Rubber Duck"),
    ("tools/date_math.py", Entry::Tools, "date_math", "Date Math"),
];

fn folder() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/plugins"))
}

fn text(path: &str) -> String {
    fs::read_to_string(folder().join(path)).unwrap()
}

#[test]
fn every_example_is_valid() {
    for (path, entry, id, title) in EXAMPLES {
        let bytes = fs::read(folder().join(path)).unwrap();
        let parsed = plugin::parse(&Arc::from(Path::new(path)), &bytes, &FileSettings::default());
        let Parsed::Plugin(plugin) = parsed else { panic!("{path}: {parsed:?}") };
        assert_eq!((plugin.entry, plugin.key.id.as_str()), (entry, id), "{path}");
        let field = |name| plugin.frontmatter.get(name);
        assert_eq!(field("title"), Some(title), "{path}");
        assert_eq!(field("version"), Some("1.0.0"), "{path}");
        assert_eq!(field("license"), Some("MIT"), "{path}");
        assert_eq!(field("author"), Some("owui-watch contributors"), "{path}");
        // No packages that a server would have to install.
        assert_eq!(field("requirements"), None, "{path}");
        assert_eq!(plugin.warnings, [], "{path}");
        // The server stores it exactly as in the file.
        assert_eq!(normal::normal(&plugin.text).as_bytes(), bytes, "{path}");
    }
}

/// No leftovers of editors or experiments.
#[test]
fn the_plugins_folder_holds_only_the_examples() {
    let folders = fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path());
    let mut found: Vec<_> = folders
        .flat_map(|folder| fs::read_dir(folder).unwrap())
        .map(|entry| slashed(entry.unwrap().path().strip_prefix(folder()).unwrap()))
        .filter(|path| !path.ends_with("__pycache__"))
        .collect();
    found.sort();
    assert_eq!(found, EXAMPLES.map(|(path, ..)| path));
}

#[test]
fn the_examples_are_deployed() {
    let server = FakeServer::start();
    let project = Project::on(&server);
    for (path, ..) in EXAMPLES {
        project.write(&format!("plugins/{path}"), &text(path));
    }
    let ran = project.run(&["--once", "--json"]);
    assert_eq!(ran.code, Some(0), "{}{}", ran.stdout, ran.stderr);
    assert_eq!(ran.notices().last().unwrap()["created"], 5);
    for (path, entry, id, title) in EXAMPLES {
        let row = server.row(entry.kind(), id).unwrap();
        assert_eq!((row.name.as_str(), row.entry.as_str()), (title, entry.word()));
        assert_eq!(row.content, text(path));
        assert_eq!(row.meta["manifest"]["version"], "1.0.0");
    }
    assert!(server.row(Kind::Tool, "date_math").unwrap().specs.as_array().is_some_and(|specs| specs.len() == 3));
}
