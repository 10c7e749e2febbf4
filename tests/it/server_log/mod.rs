//! Logs of real servers, read as the watch reads them. They were recorded with the plugins in this folder; long lines were
//! cut, frames of web libraries left out, and the server's folder renamed as in its container.

mod unnamed;

use std::fmt::Write as _;

use expect_test::{Expect, expect};
use owui_watch::notice::{Frame, Notice, NoticeKind, Raised};
use owui_watch::plugin::id::PluginId;
use owui_watch::plugin::{Key, Kind};
use owui_watch::server_log::{Entry, LogReader, Source};

const PLUGINS: [(Kind, &str, &str); 4] = [
    (Kind::Function, "noisy_pipe", include_str!("noisy_pipe.py")),
    (Kind::Function, "noisy_filter", include_str!("noisy_filter.py")),
    (Kind::Function, "noisy_action", include_str!("noisy_action.py")),
    (Kind::Tool, "noisy_tool", include_str!("noisy_tool.py")),
];

fn key(kind: Kind, id: &str) -> Key {
    Key { kind, id: PluginId::new(id).unwrap() }
}

fn sources() -> Vec<Source> {
    PLUGINS.map(|(kind, id, text)| Source::new(key(kind, id), Some(text))).into()
}

fn entries(log: &str) -> Vec<Entry> {
    let mut reader = LogReader::default();
    let mut entries: Vec<_> = log.lines().flat_map(|line| reader.line(line)).collect();
    entries.extend(reader.pause());
    entries
}

fn brief(notice: &Notice) -> String {
    let who = notice.about.key.as_ref().map_or_else(|| "?".to_owned(), ToString::to_string);
    match &notice.what {
        NoticeKind::Printed { text, log_level, line } => {
            format!("{who}:{} {} {text}", line.unwrap_or_default(), log_level.as_deref().unwrap_or("-"))
        }
        NoticeKind::Raised(raised) => {
            let Raised { hook, error, frames, outside, at, causes, .. } = &**raised;
            let place = |frame: &Frame| format!("{}:{} `{}`", frame.key, frame.span.line, frame.span.source.trim());
            let mut text = format!("{who} {hook} RAISED {error}");
            for frame in frames {
                write!(text, "\n    at {}", place(frame)).unwrap();
            }
            if let Some(at) = at {
                write!(text, "\n    {outside} below, at {at}").unwrap();
            }
            for (error, frame) in causes {
                write!(text, "\n    from {error} {}", frame.as_ref().map_or_else(String::new, place)).unwrap();
            }
            text
        }
        what => panic!("{what:?}"),
    }
}

fn told(log: &str, sources: &[Source]) -> String {
    let told = entries(log).into_iter().filter_map(|entry| match entry {
        Entry::Logged(notice) => Some(notice),
        Entry::Raised(traceback) => traceback.notice(sources),
    });
    told.map(|notice| brief(&notice) + "\n").collect()
}

#[track_caller]
fn check(log: &str, expected: &Expect) {
    expected.assert_eq(&told(log, &sources()));
}

#[test]
fn a_long_line_is_cut_and_measured() {
    let line = include_str!("0.12.4.log").lines().find(|line| line.contains("answering hello")).unwrap();
    let told = told(&line.replace("hello", &"x".repeat(1000)), &sources());
    assert!(told.ends_with("xxx… (710 more characters)\n") && told.len() < 400, "{told}");
}

#[test]
fn the_log_of_0_6_43() {
    check(
        include_str!("0.6.43.log"),
        &expect![[r#"
        function noisy_filter:13 info inlet
        function noisy_pipe:26 info answering hello
        function noisy_pipe:27 warning one
        function noisy_pipe:28 error named otherwise
        function noisy_filter:13 info inlet
        function noisy_pipe:26 info answering exception
        function noisy_pipe:27 warning one
        function noisy_pipe:28 error named otherwise
        function noisy_pipe:35 error cannot parse
        function noisy_pipe pipe RAISED json.decoder.JSONDecodeError: Expecting property name enclosed in double quotes: line 1 column 2 (char 1)
            at function noisy_pipe:16 `return json.loads(text)`
            at function noisy_pipe:33 `parse("{")`
            3 below, at json/decoder.py:353
        function noisy_filter:13 info inlet
        function noisy_pipe:26 info answering format_exc
        function noisy_pipe:27 warning one
        function noisy_pipe:28 error named otherwise
        function noisy_pipe pipe RAISED json.decoder.JSONDecodeError: Expecting property name enclosed in double quotes: line 1 column 2 (char 1)
            at function noisy_pipe:16 `return json.loads(text)`
            at function noisy_pipe:38 `parse("{")`
            3 below, at json/decoder.py:353
        function noisy_pipe:41 error failed:
        function noisy_pipe pipe RAISED json.decoder.JSONDecodeError: Expecting property name enclosed in double quotes: line 1 column 2 (char 1)
            at function noisy_pipe:16 `return json.loads(text)`
            at function noisy_pipe:38 `parse("{")`
            3 below, at json/decoder.py:353
        function noisy_filter:13 info inlet
        function noisy_pipe:26 info answering raise
        function noisy_pipe:27 warning one
        function noisy_pipe:28 error named otherwise
        function noisy_filter:13 info inlet
        function noisy_pipe:26 info answering cause
        function noisy_pipe:27 warning one
        function noisy_pipe:28 error named otherwise
        function noisy_filter:13 info inlet
        function noisy_pipe:26 info answering task
        function noisy_pipe:27 warning one
        function noisy_pipe:28 error named otherwise
        function noisy_pipe later RAISED KeyError: 'in a task'
            at function noisy_pipe:52 `raise KeyError("in a task")`
        function noisy_filter:13 info inlet
        function noisy_pipe:26 info answering Query: tool
        function noisy_pipe:27 warning one
        function noisy_pipe:28 error named otherwise
        function noisy_pipe:26 info answering tool
        function noisy_pipe:27 warning one
        function noisy_pipe:28 error named otherwise
        tool noisy_tool:18 info dividing
        tool noisy_tool:22 error cannot divide
        tool noisy_tool divide RAISED ZeroDivisionError: division by zero
            at tool noisy_tool:20 `return a / b`
            at function noisy_pipe:57 `return str(await __tools__["divide"]["callable"](a=1, b=0))`
        function noisy_filter:13 info inlet
        function noisy_pipe:26 info answering stream
        function noisy_pipe:27 warning one
        function noisy_pipe:28 error named otherwise
        function noisy_pipe pieces RAISED OSError: half way
            at function noisy_pipe:62 `raise OSError("half way")`
        function noisy_filter:13 info inlet
        function noisy_filter:19 info outlet
        function noisy_action:13 info action
    "#]],
    );
}

#[test]
fn the_log_of_0_9_6() {
    check(
        include_str!("0.9.6.log"),
        &expect![[r#"
        function noisy_filter:13 info inlet
        function noisy_pipe:26 info answering hello
        function noisy_pipe:27 warning one
        function noisy_pipe:28 error named otherwise
        function noisy_filter:13 info inlet
        function noisy_pipe:26 info answering exception
        function noisy_pipe:27 warning one
        function noisy_pipe:28 error named otherwise
        function noisy_pipe:35 error cannot parse
        function noisy_pipe pipe RAISED json.decoder.JSONDecodeError: Expecting property name enclosed in double quotes: line 1 column 2 (char 1)
            at function noisy_pipe:16 `return json.loads(text)`
            at function noisy_pipe:33 `parse("{")`
            3 below, at json/decoder.py:353
        function noisy_filter:13 info inlet
        function noisy_pipe:26 info answering format_exc
        function noisy_pipe:27 warning one
        function noisy_pipe:28 error named otherwise
        function noisy_pipe pipe RAISED json.decoder.JSONDecodeError: Expecting property name enclosed in double quotes: line 1 column 2 (char 1)
            at function noisy_pipe:16 `return json.loads(text)`
            at function noisy_pipe:38 `parse("{")`
            3 below, at json/decoder.py:353
        function noisy_pipe:41 error failed:
        function noisy_pipe pipe RAISED json.decoder.JSONDecodeError: Expecting property name enclosed in double quotes: line 1 column 2 (char 1)
            at function noisy_pipe:16 `return json.loads(text)`
            at function noisy_pipe:38 `parse("{")`
            3 below, at json/decoder.py:353
        function noisy_filter:13 info inlet
        function noisy_pipe:26 info answering raise
        function noisy_pipe:27 warning one
        function noisy_pipe:28 error named otherwise
        function noisy_filter:13 info inlet
        function noisy_pipe:26 info answering cause
        function noisy_pipe:27 warning one
        function noisy_pipe:28 error named otherwise
        function noisy_filter:13 info inlet
        function noisy_pipe:26 info answering task
        function noisy_pipe:27 warning one
        function noisy_pipe:28 error named otherwise
        function noisy_pipe later RAISED KeyError: 'in a task'
            at function noisy_pipe:52 `raise KeyError("in a task")`
        function noisy_filter:13 info inlet
        function noisy_pipe:26 info answering Query: tool
        function noisy_pipe:27 warning one
        function noisy_pipe:28 error named otherwise
        function noisy_pipe:26 info answering tool
        function noisy_pipe:27 warning one
        function noisy_pipe:28 error named otherwise
        tool noisy_tool:18 info dividing
        tool noisy_tool:22 error cannot divide
        tool noisy_tool divide RAISED ZeroDivisionError: division by zero
            at tool noisy_tool:20 `return a / b`
            at function noisy_pipe:57 `return str(await __tools__["divide"]["callable"](a=1, b=0))`
        function noisy_filter:13 info inlet
        function noisy_pipe:26 info answering stream
        function noisy_pipe:27 warning one
        function noisy_pipe:28 error named otherwise
        function noisy_pipe pieces RAISED OSError: half way
            at function noisy_pipe:62 `raise OSError("half way")`
        function noisy_filter:13 info inlet
        function noisy_filter:19 info outlet
        function noisy_action:13 info action
    "#]],
    );
}

#[test]
fn the_log_of_0_11_4() {
    check(
        include_str!("0.11.4.log"),
        &expect![[r#"
        function noisy_filter:13 info inlet
        function noisy_pipe:26 info answering hello
        function noisy_pipe:27 warning one
        function noisy_pipe:28 error named otherwise
        function noisy_filter:19 info outlet
        function noisy_filter:13 info inlet
        function noisy_pipe:26 info answering exception
        function noisy_pipe:27 warning one
        function noisy_pipe:28 error named otherwise
        function noisy_pipe:35 error cannot parse
        function noisy_pipe pipe RAISED json.decoder.JSONDecodeError: Expecting property name enclosed in double quotes: line 1 column 2 (char 1)
            at function noisy_pipe:16 `return json.loads(text)`
            at function noisy_pipe:33 `parse("{")`
            3 below, at json/decoder.py:353
        function noisy_filter:19 info outlet
        function noisy_filter:13 info inlet
        function noisy_pipe:26 info answering format_exc
        function noisy_pipe:27 warning one
        function noisy_pipe:28 error named otherwise
        function noisy_pipe pipe RAISED json.decoder.JSONDecodeError: Expecting property name enclosed in double quotes: line 1 column 2 (char 1)
            at function noisy_pipe:16 `return json.loads(text)`
            at function noisy_pipe:38 `parse("{")`
            3 below, at json/decoder.py:353
        function noisy_pipe:41 error failed:
        function noisy_pipe pipe RAISED json.decoder.JSONDecodeError: Expecting property name enclosed in double quotes: line 1 column 2 (char 1)
            at function noisy_pipe:16 `return json.loads(text)`
            at function noisy_pipe:38 `parse("{")`
            3 below, at json/decoder.py:353
        function noisy_filter:19 info outlet
        function noisy_filter:13 info inlet
        function noisy_pipe:26 info answering raise
        function noisy_pipe:27 warning one
        function noisy_pipe:28 error named otherwise
        function noisy_filter:13 info inlet
        function noisy_pipe:26 info answering cause
        function noisy_pipe:27 warning one
        function noisy_pipe:28 error named otherwise
        function noisy_filter:13 info inlet
        function noisy_pipe:26 info answering task
        function noisy_pipe:27 warning one
        function noisy_pipe:28 error named otherwise
        function noisy_pipe later RAISED KeyError: 'in a task'
            at function noisy_pipe:52 `raise KeyError("in a task")`
        function noisy_filter:19 info outlet
        function noisy_filter:13 info inlet
        function noisy_pipe:26 info answering tool
        function noisy_pipe:27 warning one
        function noisy_pipe:28 error named otherwise
        tool noisy_tool:18 info dividing
        tool noisy_tool:22 error cannot divide
        tool noisy_tool divide RAISED ZeroDivisionError: division by zero
            at tool noisy_tool:20 `return a / b`
        function noisy_filter:13 info inlet
        function noisy_pipe:26 info answering stream
        function noisy_pipe:27 warning one
        function noisy_pipe:28 error named otherwise
        function noisy_pipe pieces RAISED OSError: half way
            at function noisy_pipe:62 `raise OSError("half way")`
        function noisy_filter:13 info inlet
        function noisy_filter:19 info outlet
        function noisy_filter outlet RAISED ValueError: outlet broke
            at function noisy_filter:21 `raise ValueError("outlet broke")`
        function noisy_action:13 info action
    "#]],
    );
}

#[test]
fn the_log_of_0_12_4() {
    check(
        include_str!("0.12.4.log"),
        &expect![[r#"
        function noisy_filter:13 info inlet
        function noisy_pipe:26 info answering hello
        function noisy_pipe:27 warning one
        function noisy_pipe:28 error named otherwise
        function noisy_filter:19 info outlet
        function noisy_filter:13 info inlet
        function noisy_pipe:26 info answering exception
        function noisy_pipe:27 warning one
        function noisy_pipe:28 error named otherwise
        function noisy_pipe:35 error cannot parse
        function noisy_pipe pipe RAISED json.decoder.JSONDecodeError: Expecting property name enclosed in double quotes: line 1 column 2 (char 1)
            at function noisy_pipe:16 `return json.loads(text)`
            at function noisy_pipe:33 `parse("{")`
            3 below, at json/decoder.py:353
        function noisy_filter:19 info outlet
        function noisy_filter:13 info inlet
        function noisy_pipe:26 info answering format_exc
        function noisy_pipe:27 warning one
        function noisy_pipe:28 error named otherwise
        function noisy_pipe pipe RAISED json.decoder.JSONDecodeError: Expecting property name enclosed in double quotes: line 1 column 2 (char 1)
            at function noisy_pipe:16 `return json.loads(text)`
            at function noisy_pipe:38 `parse("{")`
            3 below, at json/decoder.py:353
        function noisy_pipe:41 error failed:
        function noisy_pipe pipe RAISED json.decoder.JSONDecodeError: Expecting property name enclosed in double quotes: line 1 column 2 (char 1)
            at function noisy_pipe:16 `return json.loads(text)`
            at function noisy_pipe:38 `parse("{")`
            3 below, at json/decoder.py:353
        function noisy_filter:19 info outlet
        function noisy_filter:13 info inlet
        function noisy_pipe:26 info answering raise
        function noisy_pipe:27 warning one
        function noisy_pipe:28 error named otherwise
        function noisy_filter:13 info inlet
        function noisy_pipe:26 info answering cause
        function noisy_pipe:27 warning one
        function noisy_pipe:28 error named otherwise
        function noisy_filter:13 info inlet
        function noisy_pipe:26 info answering task
        function noisy_pipe:27 warning one
        function noisy_pipe:28 error named otherwise
        function noisy_pipe later RAISED KeyError: 'in a task'
            at function noisy_pipe:52 `raise KeyError("in a task")`
        function noisy_filter:19 info outlet
        function noisy_filter:13 info inlet
        function noisy_pipe:26 info answering tool
        function noisy_pipe:27 warning one
        function noisy_pipe:28 error named otherwise
        tool noisy_tool:18 info dividing
        tool noisy_tool:22 error cannot divide
        tool noisy_tool divide RAISED ZeroDivisionError: division by zero
            at tool noisy_tool:20 `return a / b`
        function noisy_filter:13 info inlet
        function noisy_pipe:26 info answering stream
        function noisy_pipe:27 warning one
        function noisy_pipe:28 error named otherwise
        function noisy_pipe pieces RAISED OSError: half way
            at function noisy_pipe:62 `raise OSError("half way")`
        function noisy_filter:13 info inlet
        function noisy_filter:19 info outlet
        function noisy_filter outlet RAISED ValueError: outlet broke
            at function noisy_filter:21 `raise ValueError("outlet broke")`
        function noisy_action:13 info action
    "#]],
    );
}

#[test]
fn the_log_of_0_12_4_as_json() {
    check(
        include_str!("0.12.4-json.log"),
        &expect![[r#"
        function noisy_filter:13 info inlet
        function noisy_pipe:26 info answering hello
        function noisy_pipe:27 warning one
        function noisy_pipe:27 warning two
        function noisy_pipe:28 error named otherwise
        function noisy_filter:19 info outlet
        function noisy_filter:13 info inlet
        function noisy_pipe:26 info answering exception
        function noisy_pipe:27 warning one
        function noisy_pipe:27 warning two
        function noisy_pipe:28 error named otherwise
        function noisy_pipe:35 error cannot parse
        function noisy_pipe pipe RAISED json.decoder.JSONDecodeError: Expecting property name enclosed in double quotes: line 1 column 2 (char 1)
            at function noisy_pipe:16 `return json.loads(text)`
            at function noisy_pipe:33 `parse("{")`
            3 below, at json/decoder.py:353
        function noisy_filter:19 info outlet
        function noisy_filter:13 info inlet
        function noisy_pipe:26 info answering format_exc
        function noisy_pipe:27 warning one
        function noisy_pipe:27 warning two
        function noisy_pipe:28 error named otherwise
        function noisy_pipe pipe RAISED json.decoder.JSONDecodeError: Expecting property name enclosed in double quotes: line 1 column 2 (char 1)
            at function noisy_pipe:16 `return json.loads(text)`
            at function noisy_pipe:38 `parse("{")`
            3 below, at json/decoder.py:353
        function noisy_pipe:41 error failed:
        function noisy_pipe pipe RAISED json.decoder.JSONDecodeError: Expecting property name enclosed in double quotes: line 1 column 2 (char 1)
            at function noisy_pipe:16 `return json.loads(text)`
            at function noisy_pipe:38 `parse("{")`
            3 below, at json/decoder.py:353
        function noisy_filter:19 info outlet
        function noisy_filter:13 info inlet
        function noisy_pipe:26 info answering raise
        function noisy_pipe:27 warning one
        function noisy_pipe:27 warning two
        function noisy_pipe:28 error named otherwise
        function noisy_filter:13 info inlet
        function noisy_pipe:26 info answering cause
        function noisy_pipe:27 warning one
        function noisy_pipe:27 warning two
        function noisy_pipe:28 error named otherwise
        function noisy_filter:13 info inlet
        function noisy_pipe:26 info answering task
        function noisy_pipe:27 warning one
        function noisy_pipe:27 warning two
        function noisy_pipe:28 error named otherwise
        function noisy_pipe later RAISED KeyError: 'in a task'
            at function noisy_pipe:52 `raise KeyError("in a task")`
        function noisy_filter:19 info outlet
        function noisy_filter:13 info inlet
        function noisy_pipe:26 info answering tool
        function noisy_pipe:27 warning one
        function noisy_pipe:27 warning two
        function noisy_pipe:28 error named otherwise
        tool noisy_tool:18 info dividing
        tool noisy_tool:22 error cannot divide
        tool noisy_tool divide RAISED ZeroDivisionError: division by zero
            at tool noisy_tool:20 `return a / b`
        function noisy_filter:13 info inlet
        function noisy_pipe:26 info answering stream
        function noisy_pipe:27 warning one
        function noisy_pipe:27 warning two
        function noisy_pipe:28 error named otherwise
        function noisy_pipe pieces RAISED OSError: half way
            at function noisy_pipe:62 `raise OSError("half way")`
        function noisy_filter:13 info inlet
        function noisy_filter:19 info outlet
        function noisy_filter outlet RAISED ValueError: outlet broke
            at function noisy_filter:21 `raise ValueError("outlet broke")`
        function noisy_action:13 info action
    "#]],
    );
}

/// Prefixes of a container's tools change nothing, nor do colours.
#[test]
fn a_log_may_have_prefixes_and_colours() {
    let log = include_str!("0.12.4.log");
    let plain = told(log, &sources());
    let with = |prefix: fn(usize) -> String| {
        let lines = log.lines().enumerate().map(|(n, line)| format!("{}{line}\r\n", prefix(n)));
        told(&lines.collect::<String>(), &sources())
    };
    assert_eq!(with(|_| "open-webui-1  | ".to_owned()), plain);
    assert_eq!(with(|n| format!("2026-11-22T00:36:02.{n:09}Z ")), plain);
    assert_eq!(with(|n| format!("Nov 22 00:36:{:02} host open-webui[123]: ", n % 60)), plain);
    let coloured = log.replace("| ERROR    |", "| \x1b[31m\x1b[1mERROR   \x1b[0m |").replace("2026", "\x1b[32m2026");
    assert_eq!(told(&coloured, &sources()), plain);
}

/// The log of 0.12.4, with only its tracebacks.
fn raised(sources: &[Source]) -> Vec<String> {
    let told = told(include_str!("0.12.4.log"), sources);
    let lines = told.lines().filter(|line| line.contains("RAISED") || line.starts_with(' '));
    lines.map(|line| line.trim().chars().take(60).collect()).collect()
}

#[test]
fn what_is_not_certain_is_not_guessed() {
    // No plugin is here. Where the log names one, it is another project's.
    let unknown = ["? later RAISED KeyError: 'in a task'", "0 below, at <string>:52"];
    let stream = ["? pieces RAISED OSError: half way", "0 below, at <string>:62"];
    assert_eq!(raised(&[]), [unknown, stream].concat());

    // A copy of the pipe may be the one that raised. Where the log names the pipe, it is not.
    let copy = Source::new(key(Kind::Function, "copy"), Some(PLUGINS[0].2));
    let all = raised(&[sources(), vec![copy]].concat());
    assert!(all.contains(&unknown[0].to_owned()) && all.contains(&stream[0].to_owned()), "{all:?}");
    assert_eq!(all.iter().filter(|line| line.starts_with("function noisy_pipe pipe RAISED")).count(), 3, "{all:?}");

    // The server has another text than the file: only what the plugin itself caught and logged is certain.
    let names = PLUGINS.map(|(kind, id, _)| Source::new(key(kind, id), None));
    assert_eq!(
        raised(&names),
        [
            "function noisy_pipe pipe RAISED json.decoder.JSONDecodeError",
            "at function noisy_pipe:33 ``",
            "4 below, at json/decoder.py:353",
            "? parse RAISED json.decoder.JSONDecodeError: Expecting prope",
            "0 below, at <string>:16",
            "? parse RAISED json.decoder.JSONDecodeError: Expecting prope",
            "0 below, at <string>:16",
            "? later RAISED KeyError: 'in a task'",
            "0 below, at <string>:52",
            "tool noisy_tool divide RAISED ZeroDivisionError: division by",
            "at tool noisy_tool:20 ``",
            "? pieces RAISED OSError: half way",
            "0 below, at <string>:62",
            "? outlet RAISED ValueError: outlet broke",
            "0 below, at <string>:21",
        ]
    );
}

#[test]
fn causes_and_words_of_several_lines_are_read() {
    let log = r#"
Traceback (most recent call last):
  File "<string>", line 33, in pipe
  File "<string>", line 16, in parse
  File "/usr/local/lib/python3.11/json/__init__.py", line 346, in loads
    return _default_decoder.decode(s)
           ^^^^^^^^^^^^^^^^^^^^^^^^^^
json.decoder.JSONDecodeError: Expecting value

The above exception was the direct cause of the following exception:

Traceback (most recent call last):
  File "/app/backend/open_webui/functions.py", line 160, in execute_pipe
    return await pipe(**params)
  File "<string>", line 48, in pipe
function_noisy_pipe_44667402781f407690453220cfaec88f.RuntimeError: 1 validation error for Valves
key
  Field required [type=missing]
printed by someone else
and more
Traceback (most recent call last):
  File "<string>", line 3, in __init__
TypeError: a dataclass of the server
Traceback (most recent call last):
  File "<string>", line 1, in <module>
SystemExit: python -c
Traceback (most recent call last):
  File "/app/backend/open_webui/main.py", line 1, in main
ValueError: the server's own
Traceback (most recent call last):
  File "<string>", line 47, in pi"#;
    check(
        log,
        &expect![[r#"
            function noisy_pipe pipe RAISED RuntimeError: 1 validation error for Valves
            key
              Field required [type=missing]
                at function noisy_pipe:48 `raise RuntimeError("no answer") from error`
                from json.decoder.JSONDecodeError: Expecting value function noisy_pipe:16 `return json.loads(text)`
        "#]],
    );
}

/// An exception of a group stands in the group, and again for the whole group.
#[test]
fn a_group_of_exceptions_is_told_once() {
    let log = include_str!("0.6.43.log");
    assert_eq!(log.matches("OSError: half way").count(), 2);
    assert_eq!(told(log, &sources()).matches("OSError: half way").count(), 1);
}

#[test]
fn any_lines_can_be_read() {
    use proptest::prelude::*;

    let lines: Vec<&str> = [include_str!("0.6.43.log"), include_str!("0.12.4-json.log")]
        .into_iter()
        .flat_map(str::lines)
        .chain(["", "größe", "{\"ts\": ", "  File \"", "Traceback (most recent call last):", "\u{9b}31m"])
        .collect();
    let piece = (proptest::sample::select(lines), 0..300_usize, 0..300_usize);
    proptest!(|(pieces in proptest::collection::vec(piece, 0..40))| {
        let sources = sources();
        let mut reader = LogReader::default();
        for (line, from, length) in pieces {
            let part: String = line.chars().skip(from % 40).take(length).collect();
            for entry in reader.line(&part) {
                if let Entry::Raised(traceback) = entry {
                    drop(traceback.notice(&sources));
                }
            }
        }
        reader.pause();
        prop_assert!(!reader.is_waiting());
    });
}
