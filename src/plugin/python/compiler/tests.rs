use super::super::syntax;
use super::*;

/// Texts that `CPython` 3.11 and 3.12 accept or refuse: the ignored tests in `tests/it/python_compiler.rs` verify this.
const CASES: &str = include_str!("../../../../tests/data/compiler-cases.txt");

fn refusal(text: &str) -> Option<String> {
    match syntax::parsed(text) {
        Ok(syntax) => errors(text, &syntax).into_iter().next().map(|(words, _)| words),
        Err((rule, _)) => Some(rule.message()),
    }
}

/// Python 3.14 accepts the first, and only 3.14 refuses the second everywhere. No known plugin has either.
const LEFT_TO_THE_SERVER: [&str; 2] =
    ["refused: except of Python 2", "refused: an annotated variable with yield that is not evaluated"];

#[test]
fn what_the_compiler_refuses_is_refused() {
    let cases: Vec<_> = CASES.split("--- ").skip(1).map(|case| case.split_once('\n').unwrap()).collect();
    assert!(cases.len() >= 120);
    let mut wrong = Vec::new();
    for (title, text) in cases {
        let refusal = refusal(text);
        let is_left = LEFT_TO_THE_SERVER.contains(&title);
        if refusal.is_some() != (title.starts_with("refused") && !is_left) {
            wrong.push(format!("{title}: {refusal:?}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
