//! Tracebacks in a log that names no plugin.

use super::*;

const TEXT: &str = "class Pipe:\n    def pipe(self, body):\n        # unset\n        return body.uper(x[\"y\"])\n";

fn source(id: &str, text: Option<&str>) -> Source {
    Source::new(key(Kind::Function, id), text)
}

fn raised(line: usize, error: &str, sources: &[Source]) -> String {
    let start = "Traceback (most recent call last):";
    told(&format!("{start}\n  File \"<string>\", line {line}, in pipe\n{error}\n"), sources)
}

fn unknown(line: usize, error: &str) -> String {
    format!("? pipe RAISED {error}\n    0 below, at <string>:{line}\n")
}

/// The log names no plugin for what a task of its own raises, nor for a stream.
#[test]
fn a_place_needs_a_line_that_tells_of_the_exception() {
    let other = "class Filter:\n    def inlet(self, body):\n        return body\n\n    def pipe(self):\n        pass\n";
    let sources = [source("mine", Some(TEXT)), source("other", Some(other))];
    for error in [
        "AttributeError: 'dict' object has no attribute 'uper'",
        "NameError: name 'x' is not defined",
        "KeyError: 'y'",
        "TypeError: Body.uper() missing 1 required positional argument: 'x'",
        "function_mine.Odd: an exception of its own",
    ] {
        let bare = error.trim_start_matches("function_mine.");
        let place = "at function mine:4 `return body.uper(x[\"y\"])`";
        assert_eq!(raised(4, error, &sources), format!("function mine pipe RAISED {bare}\n    {place}\n"));
    }
    for (line, error) in [
        (4, "IndexError"),
        (4, "KeyError: 'x'"),
        (4, "KeyError: 'body'"),
        (4, "NameError: name 'body' is not defined"),
        (2, "NameError: name 'x' is not defined"),
        (3, "KeyError: 'y'"),
    ] {
        assert_eq!(raised(line, error, &sources), unknown(line, error));
    }
}

/// As that of a file that was broken after its deploy.
#[test]
fn a_plugin_of_unknown_text_may_have_raised_it() {
    let (innocent, unknown_text) = (source("innocent", Some(TEXT)), source("shout", None));
    for error in ["KeyError: 'y'", "AttributeError: 'dict' object has no attribute 'uper'", "IndexError"] {
        let copy = source("copy", Some(TEXT));
        assert_eq!(raised(4, error, &[innocent.clone(), unknown_text.clone()]), unknown(4, error));
        assert_eq!(raised(4, error, &[innocent.clone(), copy]), unknown(4, error), "either may be it");
    }
    let named = "function_innocent.Odd: words";
    let told = raised(4, named, &[innocent, unknown_text]);
    assert!(told.starts_with("function innocent pipe RAISED Odd: words\n    at function innocent:4"), "{told}");
}
