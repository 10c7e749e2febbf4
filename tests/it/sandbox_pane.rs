//! What the sandbox adds to the server's process, `src/sandbox/pane.py`: plugins and server must not notice it.
#![cfg(unix)]

use std::path::Path;
use std::process::Command;

/// Open WebUI runs on these. Where none is installed there is nothing to test with.
const PYTHONS: [&str; 3] = ["python3", "python3.12", "python3.11"];

#[test]
fn plugins_are_watched_and_do_not_notice() {
    let top = Path::new(env!("CARGO_MANIFEST_DIR"));
    let fits = |python: &&&str| {
        let asked = Command::new(python).args(["-c", "import sys; sys.exit(sys.version_info < (3, 11))"]).output();
        asked.is_ok_and(|output| output.status.success())
    };
    let Some(python) = PYTHONS.iter().find(fits) else {
        eprintln!("skipped: there is no Python 3.11 or later");
        return;
    };
    let run = Command::new(python)
        .arg("-B")
        .arg(top.join("tests/it/pane_test.py"))
        .arg(top.join("src/sandbox/pane.py"))
        .output()
        .unwrap();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
}
