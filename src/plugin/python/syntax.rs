//! Parsing: Python's syntax, and its limits on nesting.

use ruff_python_ast::token::{Token, TokenKind};
use ruff_python_ast::{Expr, Identifier, ModModule, Pattern, Stmt, StmtClassDef};
use ruff_python_parser::{Mode, Parsed, lexer, parse_module};

use super::wording;
use crate::plugin::diagnostic::{Rule, Span};

/// Python's own limits, with a margin where they differ between versions or our count is generous. (Of 28,000 files of
/// Python's library and of popular packages, the deepest counts 6,800, and the next one 1,600.) Within them, the syntax
/// tree, which is dropped by recursion, fits on the stack of any thread.
const MAX_BRACKETS: usize = 200;
const MAX_INDENTS: usize = 100;
const MAX_DEPTH: usize = 8_000;

/// Python's words for going beyond these limits.
const TOO_MANY_BRACKETS: &str = "too many nested parentheses";
const TOO_MANY_INDENTS: &str = "too many levels of indentation";

/// The nesting in one pair of brackets, or in one statement, as far as [`nesting`] has come.
#[derive(Default)]
struct Level {
    /// The greatest depth of the current element from its own tokens: each operator, dot or call may add a layer.
    own: usize,
    /// The depth of the deepest bracket in the current element.
    inner: usize,
    /// The depth of the deepest element before.
    before: usize,
    /// A `lambda` continues past a comma, and may hold another in a default.
    lambda: bool,
}

impl Level {
    fn element(&self) -> usize {
        self.own + self.inner
    }

    fn deepest(&self) -> usize {
        self.before.max(self.element())
    }
}

/// Parses a text that nests no deeper than Python accepts. Ruff's parser would accept more, by growing its stack, and
/// then leave a tree too deep to be dropped.
pub(super) fn parsed(text: &str) -> Result<Parsed<ModModule>, (Rule, Option<Span>)> {
    let nested = |words: &str| (Rule::Syntax(words.to_owned()), None);
    // Only a long text can be too deep, and is scanned first. For others, the parser's own tokens are enough.
    if may_be_too_deep(text) {
        nesting(lexed(text), MAX_DEPTH).map_or(Ok(()), |words| Err(nested(words)))?;
    }
    match parse_module(text) {
        Ok(parsed) => match closed_nesting(parsed.tokens().iter().map(Token::kind)) {
            Some(words) => Err(nested(words)),
            None => Ok(parsed),
        },
        // Endless nesting is seldom closed, so it fails to parse.
        Err(error) => Err(nesting(lexed(text), MAX_DEPTH).map_or_else(
            || {
                let (words, place) = wording::told(text, &error);
                (Rule::Syntax(words), Some(Span::new(text, place)))
            },
            nested,
        )),
    }
}

/// Whether a text may be deeper than [`MAX_DEPTH`]: each layer takes a word, or a visible character outside of words.
/// Stops once enough of the other characters were seen.
fn may_be_too_deep(text: &str) -> bool {
    // Counting spaces alone is fast, and often enough.
    if text.len() - memchr::memchr_iter(b' ', text.as_bytes()).count() <= MAX_DEPTH {
        return false;
    }
    let mut before = false;
    let mut adds_none = |byte: u8| {
        let is_word = byte.is_ascii_alphanumeric() || byte == b'_';
        let continues = std::mem::replace(&mut before, is_word) && is_word;
        continues || byte.is_ascii_whitespace()
    };
    let enough = text.len().saturating_sub(MAX_DEPTH);
    text.bytes().filter(|byte| adds_none(*byte)).take(enough).count() < enough
}

/// Like [`nesting`], for the brackets and blocks of a text that parses, where all of them are closed. Has no branch,
/// since a processor cannot predict the order of tokens.
fn closed_nesting(tokens: impl Iterator<Item = TokenKind>) -> Option<&'static str> {
    let (mut brackets, mut indents, mut most_brackets, mut most_indents) = (0_i32, 0_i32, 0, 0);
    for token in tokens {
        brackets += i32::from(matches!(token, TokenKind::Lpar | TokenKind::Lsqb | TokenKind::Lbrace))
            - i32::from(matches!(token, TokenKind::Rpar | TokenKind::Rsqb | TokenKind::Rbrace));
        indents += i32::from(token == TokenKind::Indent) - i32::from(token == TokenKind::Dedent);
        most_brackets = most_brackets.max(brackets);
        most_indents = most_indents.max(indents);
    }
    let beyond = |most: i32, limit: usize| usize::try_from(most).is_ok_and(|most| most > limit);
    if beyond(most_brackets, MAX_BRACKETS) {
        Some(TOO_MANY_BRACKETS)
    } else {
        beyond(most_indents, MAX_INDENTS).then_some(TOO_MANY_INDENTS)
    }
}

fn lexed(text: &str) -> impl Iterator<Item = TokenKind> {
    let mut lexer = lexer::lex(text, Mode::Module);
    std::iter::from_fn(move || Some(lexer.next_token()).filter(|kind| *kind != TokenKind::EndOfFile))
}

/// Scans tokens for nesting that Python would not accept, or for an expression that may be deeper than `deepest`, and
/// returns Python's words for it.
#[expect(clippy::wildcard_enum_match_arm, reason = "all other tokens are equal here, whatever Python adds to them")]
pub(super) fn nesting(tokens: impl Iterator<Item = TokenKind>, deepest: usize) -> Option<&'static str> {
    let mut statement = Level::default();
    let mut brackets = Vec::<Level>::new();
    let mut indents = 0_usize;
    for token in tokens {
        let level = brackets.last_mut().unwrap_or(&mut statement);
        match token {
            TokenKind::Indent => indents += 1,
            TokenKind::Dedent => indents = indents.saturating_sub(1),
            TokenKind::Newline => {
                statement = Level::default();
                brackets.clear();
            }
            TokenKind::Lpar | TokenKind::Lsqb | TokenKind::Lbrace => brackets.push(Level::default()),
            TokenKind::Rpar | TokenKind::Rsqb | TokenKind::Rbrace => {
                if let Some(closed) = brackets.pop() {
                    let level = brackets.last_mut().unwrap_or(&mut statement);
                    level.own += 1;
                    level.inner = level.inner.max(closed.deepest());
                }
            }
            TokenKind::Comma if !level.lambda => *level = Level { before: level.deepest(), ..Level::default() },
            TokenKind::Lambda => {
                level.own += 1;
                level.lambda = true;
            }
            // However many of these stand in a row, they add no layer.
            TokenKind::Name
            | TokenKind::Int
            | TokenKind::Float
            | TokenKind::Complex
            | TokenKind::String
            | TokenKind::FStringStart
            | TokenKind::FStringMiddle
            | TokenKind::FStringEnd
            | TokenKind::Comment
            | TokenKind::NonLogicalNewline
            | TokenKind::And
            | TokenKind::Or => {}
            _ => level.own += 1,
        }
        if brackets.len() > MAX_BRACKETS {
            return Some(TOO_MANY_BRACKETS);
        }
        if indents > MAX_INDENTS {
            return Some(TOO_MANY_INDENTS);
        }
        if statement.element() + brackets.iter().map(Level::element).sum::<usize>() > deepest {
            return Some("expression nested too deeply");
        }
    }
    None
}

/// Whether an expression is this name.
pub(crate) fn is_name(expr: &Expr, name: &str) -> bool {
    expr.as_name_expr().is_some_and(|it| it.id.as_str() == name)
}

/// Whether a class has no base but `object`, and no metaclass.
pub(crate) fn is_plain(class: &StmtClassDef) -> bool {
    class.arguments.as_ref().is_none_or(|arguments| {
        arguments.keywords.is_empty() && arguments.args.iter().all(|base| is_name(base, "object"))
    })
}

/// Whether a module has annotations that are not evaluated.
pub(crate) fn has_lazy_annotations(module: &[Stmt]) -> bool {
    module.iter().filter_map(Stmt::as_import_from_stmt).any(|import| {
        import.module.as_deref() == Some("__future__")
            && import.names.iter().any(|alias| alias.name.as_str() == "annotations")
    })
}

/// The name that a pattern itself binds, without those of its inner patterns.
pub(crate) fn bound_by(pattern: &Pattern) -> Option<&Identifier> {
    match pattern {
        Pattern::MatchAs(it) => it.name.as_ref(),
        Pattern::MatchStar(it) => it.name.as_ref(),
        Pattern::MatchMapping(it) => it.rest.as_ref(),
        Pattern::MatchValue(_)
        | Pattern::MatchSingleton(_)
        | Pattern::MatchSequence(_)
        | Pattern::MatchClass(_)
        | Pattern::MatchOr(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{DECLARED, UNDECLARED, check, diagnostic, verdict};
    use super::*;
    use crate::plugin::diagnostic::Diagnostic;

    #[test]
    fn invalid_python_is_refused_with_its_place() {
        check(
            UNDECLARED,
            &[
                ("class Pipe:\n    def f(self)\n        pass\n", "syntax 2:16+1"),
                ("x = = 1\n", "syntax 1:5+1"),
                ("é = 'ü' ü\n", "syntax 1:9+1"),
                ("print 'x'\n", "syntax 1:1+5"),
                ("\tx = '\n", "syntax 1:1+1"),
                ("def f(", "syntax 1:6+1"),
                ("def f(\n\n\n", "syntax 1:6+1"),
                // What is missing is missing behind the last character.
                ("class Pipe:\n", "syntax 1:12+1"),
                ("x = '''\nabc\n", "syntax 1:5+3"),
                ("class Pipe: pass\nreturn 1\n", "syntax 2:1+8"),
                ("class Pipe:\n    return 1\n", "syntax 2:5+8"),
                ("../elsewhere/pipe.py", "syntax 1:1+1"),
                ("<<<<<<< HEAD\nclass Pipe: pass\n", "syntax 1:1+7"),
            ],
        );
        let Diagnostic { rule, span, .. } = diagnostic("if a\n    pass");
        assert_eq!(rule, Rule::Syntax("expected `:`, found newline".to_owned()));
        assert_eq!(span.unwrap().source, "if a");
        assert_eq!(diagnostic("f'{x'").rule, Rule::Syntax("f-string: expecting `}`".to_owned()));
    }

    /// A server may run a later Python, so its syntax is not refused.
    #[test]
    fn syntax_of_later_versions_is_left_to_the_server() {
        check(
            UNDECLARED,
            &[
                ("type X = int\nclass Pipe[T]: pass", "pipe"),
                ("x = f'{'a' + f'{1}'}'\nclass Pipe: pass", "pipe"),
                ("x = t'{1}'\nclass Pipe: pass", "pipe"),
                ("match = case = type = 1\nclass Pipe: pass", "pipe"),
            ],
        );
    }

    /// Text that nests `n` times, of `before…core…after`.
    fn nested(way: &str, n: usize) -> String {
        let parts: Vec<_> = way.split('…').collect();
        parts[0].repeat(n) + parts[1] + &parts[2].repeat(n)
    }

    const CHAINS: &[&str] =
        &["a+…a…", "a**…a…", "…a….a", "…a…()", "…a…[0]", "-…a…", "not …a…", "lambda: …a…", "1 if 1 else …1…"];

    fn chains(n: usize) -> Vec<String> {
        CHAINS.iter().map(|way| nested(way, n)).collect()
    }

    const BRACKETS: &[&str] = &["(…1…)", "[…1…]", "{1: …1…}", "f(…1…)", "a[…1…]", "-(…1…)", "f(a, b=…1…)", "[*a, …1…]"];

    fn brackets(n: usize) -> Vec<String> {
        BRACKETS.iter().map(|way| nested(way, n)).collect()
    }

    fn blocks(n: usize) -> Vec<String> {
        let line = |depth: usize, head: &str| format!("{}{head}\n", " ".repeat(depth));
        let heads = ["if 1:", "def f():", "class C:", "while 1:"];
        heads.map(|head| (0..n).map(|depth| line(depth, head)).collect::<String>() + &line(n, "pass")).into()
    }

    /// Not valid Python, or not when repeated so often.
    const ODDITIES: &[&str] = &[
        "f(……",
        "……)",
        "(a, ……",
        "f'{…1…}'",
        "await …a…",
        "async …a…",
        "if a: …a…",
        "@…a…",
        "a := …a…",
        "*…a…",
        "x = yield …a…",
        "lambda a, b=lambda: 1, c=…a…: 1",
    ];

    fn oddities(n: usize) -> Vec<String> {
        ODDITIES.iter().map(|way| nested(way, n)).collect()
    }

    /// Runs on less than the 2 MiB that a thread gets, with the fat frames of a build without optimisation.
    #[track_caller]
    fn on_a_small_stack(check: impl FnOnce() + Send + 'static) {
        std::thread::Builder::new().stack_size(3 << 19).spawn(check).unwrap().join().unwrap();
    }

    #[test]
    fn nesting_without_end_is_a_syntax_error_and_no_crash() {
        on_a_small_stack(|| {
            for text in [chains(10_000), brackets(10_000), oddities(10_000), blocks(500)].concat() {
                assert!(verdict(&text, UNDECLARED).starts_with("syntax "), "{}…", &text[..40]);
            }
        });
        // The deepest texts that the parser gets to see.
        on_a_small_stack(|| {
            let unclosed = ["[……", "{……", "f(……", "a[……", "{1: ……", "lambda: [……", "f'{……", "[x for x in ……"];
            for way in [CHAINS, BRACKETS, &unclosed].concat() {
                let mut texts = (1..).map(|part| nested(way, MAX_DEPTH / part));
                let _verdict = verdict(&texts.find(|text| !may_be_too_deep(text)).unwrap(), UNDECLARED);
            }
        });
        let words = |text: &str| diagnostic(text).rule;
        let syntax = |words: &str| Rule::Syntax(words.to_owned());
        assert_eq!(words(&brackets(201)[0]), syntax("too many nested parentheses"));
        assert_eq!(words(&blocks(101)[0]), syntax("too many levels of indentation"));
        assert_eq!(words(&chains(8_001)[0]), syntax("expression nested too deeply"));
    }

    /// Python 3.11 and 3.12 take 200 brackets, 99 blocks, and chains of somewhat less than 3,000.
    #[test]
    fn nesting_within_pythons_limits_is_read() {
        on_a_small_stack(|| {
            for text in [brackets(100), blocks(99), chains(2_999), chains(1), brackets(1), blocks(1)].concat() {
                assert_eq!(verdict(&text, UNDECLARED), "-", "{}…", &text[..text.len().min(40)]);
            }
            // The deepest trees that are ever built must also be dropped.
            for way in ["-…a…", "a+…a…", "…a….a", "…a…()", "not …a…"] {
                assert_eq!(verdict(&nested(way, MAX_DEPTH), UNDECLARED), "-", "{way}");
            }
            assert_eq!(verdict(&nested("-(…1…)", 200), UNDECLARED), "-");
        });
    }

    /// Long is not deep.
    #[test]
    fn length_is_no_nesting() {
        for text in [
            format!("x = [{}]", "-f(a.b) + 1, ".repeat(20_000)),
            format!("x = {{{}}}", "'key': ['a', {'b': 1}],\n".repeat(20_000)),
            format!("x = ({})", "'text'\n".repeat(20_000)),
            "x = a.b(c) + d\n".repeat(20_000),
            format!("x = {}True", "a or b and ".repeat(20_000)),
        ] {
            assert_eq!(verdict(&text, UNDECLARED), "-", "{}…", &text[..40]);
        }
    }

    /// Half-typed text is what a watcher reads all day.
    #[test]
    fn no_text_makes_it_panic() {
        let pieces = [
            "class Pipe",
            ":",
            "\n",
            "    ",
            "(",
            ")",
            "[",
            "{",
            "}",
            "'",
            "\"\"\"",
            "f'",
            "{",
            "!r",
            "=",
            "from ",
            ".",
            "import ",
            "x",
            "é",
            "🦀",
            "1",
            "if ",
            "else",
            "del ",
            "try",
            "except ",
            "with ",
            " as ",
            "match ",
            "case ",
            "lambda",
            "*",
            "@",
            "\\",
            "#",
            ",",
            "return ",
            "async ",
            "await ",
            "\t",
            "\u{c}",
            "type ",
            "$",
            "?",
        ];
        let mut random = fastrand::Rng::with_seed(7);
        for _ in 0..5_000 {
            let length = random.usize(..40);
            let text: String = (0..length).map(|_| pieces[random.usize(..pieces.len())]).collect();
            let _verdict = verdict(&text, DECLARED);
        }
    }
}
