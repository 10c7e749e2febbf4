//! Tracebacks in a log that names no plugin.

use super::*;

/// The log names no plugin for what a task of its own raises, nor for a stream.
#[test]
fn an_exception_without_raise_has_its_place() {
    let text = "class Pipe:\n    def pipe(self, body):\n        # unset\n        return body.uper()\n";
    let other = "class Filter:\n    def inlet(self, body):\n        return body\n\n    def pipe(self):\n        pass\n";
    let source = |id, text| Source::new(key(Kind::Function, id), Some(text));
    let told = |line: usize, error: &str, sources: &[Source]| {
        let start = "Traceback (most recent call last):";
        told(&format!("{start}\n  File \"<string>\", line {line}, in pipe\n{error}\n"), sources)
    };
    let mine = source("mine", text);
    for (error, likely) in [
        ("AttributeError: 'dict' object has no attribute 'uper'", ""),
        ("NameError: name 'body' is not defined", ""),
        ("TypeError: Body.uper() missing 1 required positional argument: 'x'", ""),
        ("function_mine.Odd: an exception of its own", ""),
        ("ZeroDivisionError: division by zero", " (likely)"),
        ("IndexError", " (likely)"),
    ] {
        let bare = error.trim_start_matches("function_mine.");
        let expected =
            format!("function mine pipe RAISED {bare}\n    at function mine:4 `return body.uper()`{likely}\n");
        assert_eq!(told(4, error, &[mine.clone(), source("other", other)]), expected);
    }
    let unknown = |line| format!("? pipe RAISED IndexError\n    0 below, at <string>:{line}\n");
    assert_eq!(told(4, "IndexError", &[mine.clone(), source("copy", text)]), unknown(4), "either may be it");
    for line in [2, 3] {
        assert_eq!(told(line, "IndexError", std::slice::from_ref(&mine)), unknown(line), "nothing is raised there");
    }
}
