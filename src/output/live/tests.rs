//! What the live view shows, as a terminal shows it.
#![expect(clippy::needless_raw_string_hashes, reason = "expect-test writes every snapshot with them")]
#![expect(clippy::needless_pass_by_value, reason = "a snapshot is written where it is handed in")]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use expect_test::{Expect, expect};

use super::super::addition::Repeats;
use super::super::lines::Lines;
use super::*;
use crate::engine::plan::Why;
use crate::notice::board::Name;
use crate::notice::{Commands, Level, NoticeKind, PassSummary, Subject, WaitReason};
use crate::plugin::id::PluginId;
use crate::plugin::{Diagnostic, Entry, Key, Rule, Span};

const RULE: &str = "────────";

/// A watch in a terminal, which wraps anew what it shows when its width changes, as most do.
struct Scene {
    live: Live,
    lines: Lines,
    repeats: Repeats,
    screen: avt::Terminal,
    window: Window,
    /// Milliseconds.
    time: i64,
    written: Vec<String>,
}

impl Scene {
    fn new(columns: u16, rows: u16) -> Self {
        let terminal = Terminal { reflows: true, titled: true, shows_stderr: true };
        Self {
            live: Live::new(terminal, false),
            lines: Lines::new(true, Commands::default()),
            repeats: Repeats::default(),
            screen: avt::Terminal::with_scrollback(columns.into(), rows.into(), None).unwrap(),
            window: Window { rows, columns, is_ours: true },
            time: 0,
            written: Vec::new(),
        }
    }

    fn tell(&mut self, notices: &[Notice]) {
        let mut log = Addition::default();
        for notice in notices {
            if notice.level() >= Level::Info {
                let columns = (self.window.columns, Some(self.window.columns));
                log.add(&mut self.lines, &mut self.repeats, notice, "12:34:56", columns, true);
            }
            self.live.tell(notice, "12:34:56");
        }
        self.time += 10;
        self.draw(&log, !notices.is_empty(), Vec::new());
    }

    fn ask(&mut self, request: Request) {
        self.draw(&Addition::default(), false, vec![request]);
    }

    fn draw(&mut self, log: &Addition, told: bool, requests: Vec<Request>) {
        let time = told.then(|| Timestamp::from_millisecond(self.time).unwrap());
        let (text, _) = self.live.text(log, time, requests, self.window);
        if let Some(text) = text {
            self.screen.feed(text.replace('\n', "\r\n").as_str());
            self.written.push(text);
        }
    }

    fn resize(&mut self, columns: u16, rows: u16) {
        self.screen.resize(columns.into(), rows.into());
        self.window = Window { rows, columns, is_ours: true };
        self.ask(Request::Redraw);
    }

    /// Everything in the scrollback and on the screen, as it is copied.
    fn all(&self) -> String {
        let text = self.screen.primary_screen().text().join("\n");
        text.trim_end().lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
    }

    /// The live view.
    fn view(&self) -> String {
        let all = self.all();
        assert_eq!(all.matches(RULE).count(), 1, "{all}");
        all[all.find(RULE).unwrap()..].to_owned()
    }

    #[track_caller]
    fn check(&self, expected: Expect) {
        let view = self.view();
        assert!(view.lines().count() <= usize::from(self.window.rows / 3), "{view}");
        // The board has the words of the totals.
        let totals = self.live.board.glance().totals;
        let view = (1..).zip(&totals).fold(view, |view, (n, total)| view.replace(&**total, &format!("TOTAL{n}")));
        expected.assert_eq(&(view + "\n"));
    }
}

fn about(entry: Entry, path: &str) -> Subject {
    let id = Path::new(path).file_stem().unwrap().to_str().unwrap();
    Subject {
        key: Some(Key { kind: entry.kind(), id: PluginId::new(id).unwrap() }),
        entry: Some(entry),
        path: Some(Arc::from(Path::new(path))),
        version: None,
        digest: None,
        settings_depth: 0,
    }
}

fn of(path: &str, what: NoticeKind) -> Notice {
    Notice { about: about(Entry::Filter, path), what }
}

fn broken(path: &str, line: usize, words: &str) -> Notice {
    let source = "class Filter(:".to_owned();
    let span = Some(Span { line, column: 14, width: 1, source });
    let diagnostic = Diagnostic { rule: Rule::Syntax(words.to_owned()), file: Arc::from(Path::new(path)), span };
    let what = NoticeKind::Flawed { diagnostic, digest: None, meant: true };
    Notice { about: Subject::file(&Arc::from(Path::new(path))), what }
}

fn updated(path: &str) -> Notice {
    of(path, NoticeKind::Updated { from: None, kept: None, active: None, took: Duration::from_millis(34) })
}

fn sending(path: &str) -> Notice {
    of(path, NoticeKind::Sending { why: Why::Edited })
}

fn waiting(path: &str) -> Notice {
    of(path, NoticeKind::Waiting { reason: WaitReason::Away, again: false })
}

/// A first pass over so many plugins.
fn start(plugins: usize) -> Vec<Notice> {
    let server = || "http://localhost:8080".to_owned();
    let ready = NoticeKind::Ready { roots: vec![PathBuf::from("plugins")], plugins, server: server() };
    let tally = PassSummary { unchanged: plugins, ..PassSummary::default() };
    let summary = NoticeKind::Summary { tally, took: Duration::from_secs(2), dry_run: false };
    let unchanged = NoticeKind::Unchanged { in_pass: true, active: None, good_again: false };
    let each = (0..plugins).map(|n| of(&format!("plugins/p{n}.py"), unchanged.clone()));
    [Notice::general(ready)].into_iter().chain(each).chain([Notice::general(summary)]).collect()
}

fn troubled(scene: &mut Scene) {
    scene.tell(&start(9));
    scene.tell(&[
        broken("plugins/pipes/rubber_duck.py", 75, "unexpected EOF while parsing"),
        broken("plugins/新しいプラグイン.py", 1, "expected an expression or a ')'"),
        waiting("plugins/p3.py"),
        waiting("plugins/p4.py"),
    ]);
    scene.tell(&[sending("plugins/p5.py")]);
    // It takes longer than most.
    scene.tell(&[]);
}

#[test]
fn the_view_at_120_columns() {
    let mut scene = Scene::new(120, 24);
    troubled(&mut scene);
    scene.ask(Request::Keys(Some(Keys { editor: true })));
    scene.check(expect![[r#"
        ────────
          ✗ plugins/pipes/rubber_duck.py:75:14  invalid Python: unexpected EOF while parsing
        ▸ ✗ plugins/新しいプラグイン.py:1:14  invalid Python: expected an expression or a ')'
        … waiting: p3, p4
        ↑ on the way: p5
        TOTAL1 · TOTAL2 · TOTAL3 · TOTAL4 · http://localhost:8080 · ? for keys
    "#]]);
    scene.ask(Request::Help);
    scene.check(expect![[r#"
        ────────
          ✗ plugins/pipes/rubber_duck.py:75:14  invalid Python: unexpected EOF while parsing
        ▸ ✗ plugins/新しいプラグイン.py:1:14  invalid Python: expected an expression or a ')'
        … waiting: p3, p4
        ↑ on the way: p5
        r compare everything with the server · j/k choose a row · d show the difference · e edit the place
        o open in the browser · t try the plugin · q end · ? hide the keys
        TOTAL1 · TOTAL2 · TOTAL3 · TOTAL4 · http://localhost:8080
    "#]]);
}

#[test]
fn every_key_is_explained_in_a_small_window() {
    let mut scene = Scene::new(60, 9);
    scene.tell(&start(3));
    scene.ask(Request::Keys(Some(Keys { editor: true })));
    scene.ask(Request::Help);
    scene.check(expect![[r#"
        ────────
        r compare · d diff · e edit · o open · t try · q end
        TOTAL1 · http://localhost:8080
    "#]]);
}

#[test]
fn the_view_at_80_columns() {
    let mut scene = Scene::new(80, 24);
    troubled(&mut scene);
    scene.check(expect![[r#"
        ────────
        ✗ plugins/pipes/rubber_duck.py:75:14  invalid Python: unexpected EOF while…
        ✗ plugins/新しいプラグイン.py:1:14  invalid Python: expected an expression or a…
        … waiting: p3, p4
        ↑ on the way: p5
        TOTAL1 · TOTAL2 · TOTAL3 · TOTAL4
        http://localhost:8080
    "#]]);
}

#[test]
fn invalid_settings_tell_their_reason_in_40_columns() {
    let mut scene = Scene::new(40, 30);
    scene.tell(&start(9));
    let why = "cannot use `watch.toml:12:8`: `concurrency` must be a number from 1 to 64".to_owned();
    scene.tell(&[Notice::general(NoticeKind::SettingsKept { why, hint: None, holds: false })]);
    scene.check(expect![[r#"
        ────────
        ! invalid settings, not used: cannot use
          `watch.toml:12:8`: `concurrency` must
          be a number from 1 to 64
        TOTAL1
        http://localhost:8080
    "#]]);
    scene.tell(&[Notice::general(NoticeKind::Reloaded { files: Vec::new(), changed: Vec::new() })]);
    assert!(!scene.view().contains("settings"), "{}", scene.view());
}

#[test]
fn a_folder_that_is_gone_is_shown_until_it_is_back() {
    let mut scene = Scene::new(40, 24);
    scene.tell(&start(9));
    let root = || PathBuf::from("plugins");
    scene.tell(&[Notice::general(NoticeKind::RootMissing { root: root() })]);
    scene.tell(&[updated("others/p1.py")]);
    scene.check(expect![[r#"
        ────────
        ! `plugins` does not exist; nothing
          changes on the server
        TOTAL1
        http://localhost:8080
    "#]]);
    scene.tell(&[Notice::general(NoticeKind::RootBack { root: root() })]);
    assert!(!scene.view().contains("exist"), "{}", scene.view());
    // Other settings start anew.
    scene.tell(&[Notice::general(NoticeKind::RootMissing { root: root() })]);
    scene.tell(&start(9));
    assert!(!scene.view().contains("exist"), "{}", scene.view());
}

#[test]
fn a_trial_is_shown_while_it_takes_time() {
    let mut scene = Scene::new(80, 24);
    scene.tell(&start(9));
    scene.tell(&[of("plugins/p5.py", NoticeKind::Trying)]);
    // It takes longer than most.
    scene.time += 200;
    scene.tell(&[waiting("plugins/p3.py")]);
    scene.check(expect![[r#"
        ────────
        … waiting: p3
        ↔ trying: p5
        TOTAL1 · TOTAL2 · http://localhost:8080
    "#]]);
}

#[test]
fn the_view_at_60_columns() {
    let mut scene = Scene::new(60, 30);
    troubled(&mut scene);
    scene.check(expect![[r#"
        ────────
        ✗ plugins/pipes/rubber_duck.py:75:14
          invalid Python: unexpected EOF while parsing
        ✗ plugins/新しいプラグイン.py:1:14
          invalid Python: expected an expression or a ')'
        … waiting: p3, p4
        ↑ on the way: p5
        TOTAL1 · TOTAL2 · TOTAL3
        TOTAL4 · http://localhost:8080
    "#]]);
}

#[test]
fn the_view_at_40_columns() {
    let mut scene = Scene::new(40, 24);
    troubled(&mut scene);
    scene.check(expect![[r#"
        ────────
        ✗ plugins/pipes/rubber_duck.py:75:14
          invalid Python: unexpected EOF while…
        ✗ plugins/新しいプラグイン.py:1:14
          invalid Python: expected an expressio…
        TOTAL1 · TOTAL2
        TOTAL3 · TOTAL4
        http://localhost:8080
    "#]]);
    // Places come before words.
    scene.tell(&[broken("plugins/a_folder_of_some_depth/with_a_long_name.py", 12, "expected `)`")]);
    scene.tell(&[broken("plugins/e.py", 12, "expected `)`"), broken("plugins/f.py", 12, "expected `)`")]);
    scene.check(expect![[r#"
        ────────
        ✗ …_some_depth/with_a_long_name.py:12:14
        ✗ plugins/e.py:12:14
        ✗ plugins/f.py:12:14
          and 2 more
        TOTAL1 · TOTAL2
        TOTAL3 · TOTAL4
        http://localhost:8080
    "#]]);
}

#[test]
fn the_chosen_row_is_marked_and_never_hidden() {
    let mut scene = Scene::new(40, 24);
    scene.tell(&start(2));
    scene.ask(Request::Keys(Some(Keys { editor: true })));
    let path = |n: usize| format!("plugins/file_{n}.py");
    scene.tell(&[broken(&path(0), 1, "expected `)`")]);
    assert!(scene.view().contains("✗ plugins/file_0.py:1:14\n"), "one alone: {}", scene.view());
    let others: Vec<_> = (1..8).map(|n| broken(&path(n), 1, "expected `)`")).collect();
    scene.tell(&others);
    scene.check(expect![[r#"
        ────────
          ✗ plugins/file_4.py:1:14
          ✗ plugins/file_5.py:1:14
          ✗ plugins/file_6.py:1:14
        ▸ ✗ plugins/file_7.py:1:14
            and 4 more
        TOTAL1 · TOTAL2
        http://localhost:8080 · ? for keys
    "#]]);
    scene.ask(Request::Choose(Name::File(Arc::from(Path::new(&path(1))))));
    scene.check(expect![[r#"
        ────────
          ✗ plugins/file_0.py:1:14
        ▸ ✗ plugins/file_1.py:1:14
          ✗ plugins/file_2.py:1:14
          ✗ plugins/file_3.py:1:14
            and 4 more
        TOTAL1 · TOTAL2
        http://localhost:8080 · ? for keys
    "#]]);
    scene.ask(Request::Help);
    scene.check(expect![[r#"
        ────────
        r compare everything with the server
        j/k choose a row · d show the difference
        e edit the place · o open in the browser
        t try the plugin · q end
        ? hide the keys
        TOTAL1 · TOTAL2
        http://localhost:8080
    "#]]);
}

#[test]
fn a_server_that_is_away_is_said_so() {
    let mut scene = Scene::new(60, 24);
    scene.tell(&start(3));
    let away = NoticeKind::Unreachable {
        cause: "connection refused".into(),
        server: "http://localhost:8080".to_owned(),
        next: Duration::from_millis(500),
        waiting: 0,
        configured: true,
    };
    scene.tell(&[Notice::general(away), waiting("plugins/p1.py")]);
    scene.check(expect![[r#"
        ────────
        ! http://localhost:8080 has been away since 12:34:56:
          connection refused
        … waiting: p1
        TOTAL1 · TOTAL2 · http://localhost:8080
    "#]]);
    scene.tell(&[Notice::general(NoticeKind::Back { away: Duration::from_secs(3), waiting: 1 })]);
    scene.tell(&[updated("plugins/p1.py")]);
    scene.check(expect![[r#"
        ────────
        TOTAL1 · http://localhost:8080
    "#]]);
}

#[test]
fn what_is_good_again_leaves_the_view() {
    let mut scene = Scene::new(80, 24);
    troubled(&mut scene);
    scene.tell(&[updated("plugins/p3.py"), updated("plugins/p4.py"), updated("plugins/p5.py")]);
    let good_again = NoticeKind::Unchanged { in_pass: false, active: None, good_again: true };
    scene.tell(&[of("plugins/pipes/rubber_duck.py", good_again)]);
    scene.check(expect![[r#"
        ────────
        ✗ plugins/新しいプラグイン.py:1:14  invalid Python: expected an expression or a…
        TOTAL1 · TOTAL2 · http://localhost:8080
    "#]]);
    assert!(scene.written.last().unwrap().contains("1 problem · owui-watch\x07"));
    let removed = NoticeKind::Removed { file_there: false, on_server: false, next: None };
    scene.tell(&[Notice { what: removed, ..broken("plugins/新しいプラグイン.py", 1, "") }]);
    scene.check(expect![[r#"
        ────────
        TOTAL1 · http://localhost:8080
    "#]]);
    assert!(scene.written.last().unwrap().contains("\x1b]2;owui-watch\x07"));
}

#[test]
fn a_resized_window_keeps_one_view_and_the_whole_log() {
    let mut scene = Scene::new(80, 24);
    troubled(&mut scene);
    let log = |scene: &Scene| scene.all().split(RULE).next().unwrap().replace(['\n', ' '], "");
    for columns in [79, 60, 40, 41, 97, 120, 33, 200, 40, 80] {
        // A screen that is not full is scrolled by this terminal further than by others.
        (0..24).for_each(|n| scene.tell(&[updated(&format!("plugins/p{}.py", n % 2))]));
        let before = log(&scene);
        scene.resize(columns, 24);
        assert_eq!(log(&scene), before, "{columns}");
        assert!(scene.view().lines().all(|line| ::console::measure_text_width(line) <= columns.into()), "{columns}");
    }
    for rows in [12, 9, 40, 24] {
        scene.resize(80, rows);
        assert!(scene.view().lines().count() <= usize::from(rows / 3).max(1), "{rows}");
    }
    scene.resize(19, 24);
    assert!(!scene.all().contains(RULE), "too narrow");
}

#[test]
fn a_storm_leaves_every_line_once() {
    for batch in [1, 7, 64] {
        let mut scene = Scene::new(60, 18);
        scene.tell(&start(50));
        let notices: Vec<_> = (0..1000)
            .map(|n| match n % 10 {
                0 => broken(&format!("plugins/{n}.py"), n + 1, "expected `)`"),
                _ => updated(&format!("plugins/some_plugin_{n}.py")),
            })
            .collect();
        notices.chunks(batch).for_each(|notices| scene.tell(notices));
        let all = scene.all();
        let told = |n: usize| match n % 10 {
            0 => format!("plugins/{n}.py:{}:14: error: ", n + 1),
            _ => format!("✓ filter  some_plugin_{n}  updated"),
        };
        let places: Vec<_> = (0..1000).map(|n| (all.find(&told(n)), all.matches(&told(n)).count())).collect();
        assert!(places.iter().all(|(_, times)| *times == 1), "{all}");
        assert!(places.is_sorted(), "{all}");
        let view = scene.view();
        assert!(view.contains("and 98 more\n950 of 1050 plugins deployed · 100 broken\n"), "{view}");
        assert!(view.lines().count() <= 6, "{view}");
    }
}

#[test]
fn the_same_line_again_is_counted() {
    let mut scene = Scene::new(80, 24);
    scene.tell(&start(3));
    let line = |n: usize| format!("12:34:56 ✓ filter  p1            updated ×{n}  34 ms\n");
    scene.tell(&[updated("plugins/p1.py")]);
    scene.tell(&[updated("plugins/p1.py"), updated("plugins/p1.py")]);
    scene.tell(&[sending("plugins/p2.py")]);
    scene.tell(&[updated("plugins/p1.py")]);
    assert_eq!((scene.all().matches(&line(4)).count(), scene.all().matches("updated").count()), (1, 1));
    // It is found again in a narrower window, and where something else stands between it is not looked for.
    scene.resize(30, 24);
    scene.tell(&[updated("plugins/p1.py")]);
    scene.resize(80, 24);
    scene.tell(&[updated("plugins/p2.py"), updated("plugins/p1.py"), updated("plugins/p1.py")]);
    scene.ask(Request::Suspend(Box::new(())));
    scene.tell(&[updated("plugins/p1.py")]);
    assert_eq!(scene.all().matches("updated").count(), 5, "{}", scene.all());
    assert!(scene.all().contains(&line(3)), "{}", scene.all());
}

#[test]
fn a_quick_deploy_is_one_change() {
    let mut scene = Scene::new(80, 24);
    scene.tell(&start(3));
    let before = scene.written.len();
    scene.tell(&[sending("plugins/p1.py")]);
    assert_eq!((scene.written.len(), scene.live.patience()), (before, Some(CALM)));
    scene.tell(&[updated("plugins/p1.py")]);
    assert_eq!((scene.written.len(), scene.live.patience()), (before + 1, None));
    // A stream of small changes is shown all the same.
    for n in 0..20 {
        scene.tell(&[sending(&format!("plugins/p{n}.py"))]);
    }
    assert_eq!(scene.written.len(), before + 2);
    // Nothing is written where nothing changes.
    scene.tell(&[]);
    scene.tell(&[]);
    assert_eq!(scene.written.len(), before + 3);
}

#[test]
fn each_change_is_one_write() {
    let mut scene = Scene::new(80, 24);
    troubled(&mut scene);
    for text in &scene.written {
        // A line writer hands on at once what ends with a line break.
        assert!(text.ends_with('\n') && text.matches("\x1b[?2026h").count() == 1, "{text:?}");
        assert!(!text.contains("\x1b[?1049h") && !text.contains("\x1b[?1000h"), "{text:?}");
    }
}

#[test]
fn a_suspended_program_leaves_the_log_alone() {
    let mut scene = Scene::new(80, 24);
    troubled(&mut scene);
    scene.ask(Request::Suspend(Box::new(())));
    assert!(!scene.all().contains(RULE) && scene.all().ends_with("waiting: the server is away"), "{}", scene.all());
    assert!(scene.written.last().unwrap().starts_with("\x1b]2;\x07\x1b[23;2t"), "the title goes with it");
    scene.window.is_ours = false;
    scene.tell(&[updated("plugins/p3.py")]);
    assert!(!scene.all().contains(RULE) && scene.all().ends_with("34 ms"), "{}", scene.all());
    scene.window.is_ours = true;
    scene.ask(Request::Redraw);
    assert!(scene.view().contains("rubber_duck"), "{}", scene.view());
}

#[test]
fn a_pass_shows_how_far_it_has_come() {
    for (once, todo, expected) in [(true, 40, "1 of 40 plugins compared"), (false, 2, "1 of 2 plugins compared")] {
        let mut scene = Scene::new(80, 24);
        scene.live.once = once;
        scene.tell(&start(2)[..1]);
        scene.tell(&[Notice::general(NoticeKind::Pass { todo }), updated("plugins/p1.py")]);
        assert!(scene.view().contains(expected), "{}", scene.view());
    }
    let mut scene = Scene::new(80, 24);
    scene.live.once = true;
    scene.tell(&start(2));
    scene.tell(&[updated("plugins/p1.py")]);
    assert!(!scene.all().contains(RULE), "a short one is over at once");
}
