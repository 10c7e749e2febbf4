//! Puts the parser's errors into words that say what to look for: Python's own, where these are plainer.

use std::ops::Range;

use ruff_python_ast::token::{Token, TokenKind};
use ruff_python_parser::{LexicalErrorType, Mode, ParseError, ParseErrorType, ParseOptions, parse_unchecked};
use ruff_text_size::Ranged as _;

/// The longest piece of the text that is quoted.
const LONGEST_QUOTE: usize = 40;

/// The words about an error, and its place.
pub(super) fn told(text: &str, error: &ParseError) -> (String, Range<usize>) {
    let place: Range<usize> = error.location.into();
    let own = special(text, error, &place).or_else(|| of_brackets(text, error, &place));
    own.unwrap_or_else(|| (sentence(&error.error.to_string()), place))
}

/// Better words for common mistakes.
#[expect(clippy::wildcard_enum_match_arm, reason = "of the parser's many errors these few have better words")]
fn special(text: &str, error: &ParseError, place: &Range<usize>) -> Option<(String, Range<usize>)> {
    let (before, after) = (text.get(..place.start)?, text.get(place.start..)?);
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let line = text.get(line_start..)?.lines().next()?;
    let first_word = line.split_whitespace().next().unwrap_or_default();
    let is_marked =
        |line: &str, mark| line.strip_prefix(mark).is_some_and(|rest| rest.is_empty() || rest.starts_with(' '));
    // Such a line may also underline a title whose `#` is missing.
    let is_left =
        |mark| is_marked(line, mark) && (mark != "=======" || before.lines().any(|line| is_marked(line, "<<<<<<<")));
    if let Some(mark) = ["<<<<<<<", "=======", ">>>>>>>"].into_iter().find(|mark| is_left(mark)) {
        return Some((format!("`{mark}`, a leftover merge conflict marker"), line_start..line_start + mark.len()));
    }
    let words = match &error.error {
        ParseErrorType::SimpleStatementsOnSameLine => {
            let word = before.trim_end().rsplit(|c: char| !(c.is_alphanumeric() || c == '_')).next()?;
            if matches!(word, "print" | "exec") && before.len() > before.trim_end().len() {
                let start = before.trim_end().len() - word.len();
                return Some((format!("`{word}` without parentheses: write `{word}(…)`"), start..start + word.len()));
            }
            match quoted(text, place) {
                Some(found) => format!("expected the end of the line, found {found}"),
                None => "expected the end of the line".to_owned(),
            }
        }
        ParseErrorType::ExpectedToken { expected: TokenKind::Colon, found: TokenKind::Equal }
            if matches!(first_word, "if" | "elif" | "while") =>
        {
            "`=` in a condition: write `==` to compare".to_owned()
        }
        ParseErrorType::ExpectedToken { expected: TokenKind::Colon, found: TokenKind::If } if first_word == "else" => {
            "`else if` is written `elif`".to_owned()
        }
        ParseErrorType::ExpectedExpression if after.starts_with('}') && before.trim_end().ends_with('{') => {
            "empty braces in an f-string".to_owned()
        }
        ParseErrorType::ExpectedExpression => {
            let doubled = [("&", "&&", "and"), ("|", "||", "or")].into_iter();
            let mut doubled = doubled.filter(|(one, ..)| before.ends_with(one) && after.starts_with(one));
            if let Some((_, both, word)) = doubled.next() {
                return Some((
                    format!("`{both}` is not a Python operator: write `{word}`"),
                    place.start - 1..place.start + 1,
                ));
            }
            if !after.starts_with('!') || after.starts_with("!=") {
                return None;
            }
            "`!` is not a Python operator: write `not`".to_owned()
        }
        ParseErrorType::InvalidAssignmentTarget => format!("cannot assign to {}", quoted(text, place)?),
        ParseErrorType::Lexical(LexicalErrorType::UnrecognizedToken { tok }) => {
            let code = u32::from(*tok);
            // `escape_debug` writes an invisible character as its code.
            match tok.escape_debug().count() {
                1 if *tok == '`' => format!("invalid character U+{code:04X}, a backtick"),
                1 => format!("invalid character `{tok}` (U+{code:04X})"),
                _ => format!("invalid character U+{code:04X}, which is invisible"),
            }
        }
        ParseErrorType::Lexical(LexicalErrorType::UnclosedStringError) => {
            let literal = after.trim_start_matches(|c: char| c.is_ascii_alphabetic());
            let quotes = ["\"\"\"", "'''", "\"", "'"].into_iter().find(|quotes| literal.starts_with(quotes))?;
            format!("unterminated string: missing `{quotes}`")
        }
        ParseErrorType::UnexpectedIndentation | ParseErrorType::Lexical(LexicalErrorType::IndentationError) => {
            let own = indentation(line);
            let differs = |other: &str| !(own.starts_with(other) || other.starts_with(own));
            let is_mixed = indentations(text, line_start).into_iter().any(differs);
            is_mixed.then(|| "tabs and spaces are mixed in the indentation".to_owned())?
        }
        ParseErrorType::Lexical(LexicalErrorType::OtherError(_))
            if after.starts_with('0') && after[1..].starts_with(|c: char| c.is_ascii_digit()) =>
        {
            "a leading zero, which Python does not allow".to_owned()
        }
        _ => return None,
    };
    Some((words, place.clone()))
}

/// The spaces and tabs that a line begins with.
fn indentation(line: &str) -> &str {
    &line[..line.len() - line.trim_start_matches([' ', '\t']).len()]
}

/// The indentations of the statements in the block before a place: of those since the last one without indentation.
/// Lines within strings or brackets are not statements.
fn indentations(text: &str, place: usize) -> Vec<&str> {
    let parsed = parse_unchecked(text, ParseOptions::from(Mode::Module));
    let statements = parsed.tokens().split(|token| token.kind() == TokenKind::Newline);
    let is_code =
        |token: &&Token| !(token.kind().is_trivia() || matches!(token.kind(), TokenKind::Indent | TokenKind::Dedent));
    let starts = statements.filter_map(|tokens| Some(usize::from(tokens.iter().find(is_code)?.start())));
    let indents = starts.take_while(|start| *start < place).map(|start| {
        let line_start = text[..start].rfind('\n').map_or(0, |newline| newline + 1);
        indentation(&text[line_start..start])
    });
    let mut block = Vec::new();
    for indent in indents {
        if indent.is_empty() {
            block.clear();
        }
        block.push(indent);
    }
    block
}

/// Better words for an error that a bracket explains: one that is never closed, or closed by another kind.
fn of_brackets(text: &str, error: &ParseError, place: &Range<usize>) -> Option<(String, Range<usize>)> {
    match &error.error {
        ParseErrorType::FStringError(_) | ParseErrorType::TStringError(_) => return None,
        ParseErrorType::Lexical(lexical) if *lexical != LexicalErrorType::Eof => return None,
        _ => {}
    }
    let mut open: Vec<Range<usize>> = Vec::new();
    for token in parse_unchecked(text, ParseOptions::from(Mode::Module)).tokens() {
        let range: Range<usize> = token.range().into();
        let bracket = match token.kind() {
            TokenKind::Lpar | TokenKind::Lsqb | TokenKind::Lbrace => {
                open.push(range);
                continue;
            }
            TokenKind::Rpar => "(",
            TokenKind::Rsqb => "[",
            TokenKind::Rbrace => "{",
            // At the end of the text, it only marks what is missing. Elsewhere, the tokens after it are unreliable.
            TokenKind::Unknown if range.start >= text.trim_end().len() => break,
            TokenKind::Unknown => return None,
            _ => continue,
        };
        let closer = &text[range.clone()];
        match open.pop() {
            Some(opened) if text[opened.clone()] == *bracket => {}
            Some(opened) => {
                let line = text[..opened.start].matches('\n').count() + 1;
                let words = format!("`{closer}` does not match the `{}` of line {line}", &text[opened.clone()]);
                return (opened.start < place.start && place.start <= range.start).then_some((words, range));
            }
            None => {
                return (range.start == place.start).then(|| (format!("unmatched `{closer}`"), range));
            }
        }
    }
    // The innermost one that is open where the parser stopped. In its own line, the parser's words are plainer.
    let is_at_end = place.start >= text.trim_end().len();
    let explains = |opened: &Range<usize>| {
        opened.start < place.start && (is_at_end || text[opened.start..place.start].contains('\n'))
    };
    let unclosed = open.into_iter().rfind(explains)?;
    Some((format!("`{}` was never closed", &text[unclosed.clone()]), unclosed))
}

/// A piece of the text, if it is short.
fn quoted(text: &str, place: &Range<usize>) -> Option<String> {
    let piece = text.get(place.clone())?;
    let is_short = !piece.is_empty() && piece.chars().count() <= LONGEST_QUOTE;
    (is_short && !piece.contains(['\n', '`'])).then(|| format!("`{piece}`"))
}

/// The parser's words as a part of our sentence: without the capital at their beginning, and with our quotes.
pub(super) fn sentence(words: &str) -> String {
    let words = &words.replace('"', "`");
    let mut rest = words.chars();
    match rest.next() {
        Some(first) if rest.clone().next().is_none_or(|second| !second.is_uppercase()) => {
            first.to_lowercase().chain(rest).collect()
        }
        Some(_) | None => words.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::diagnostic;
    use crate::plugin::diagnostic::Rule;

    const TEXTS: [&str; 42] = [
        "class Pipe\n    pass\n",
        "x = foo(1,\n    y = 2\nreturn x\n",
        "x = foo(1, 2\n",
        "x = [1, 2\ny = 3\n",
        "x = {'a': foo(1,\n    'b': 2,\n}\n",
        "x = (1, 2]\n",
        "x = (1, 2))\n",
        "f(a b)\n",
        "def f():\nreturn 1\n",
        "if a:\n        x = 1\n    y = 2\n",
        "if a:\n        x = 1\n\ty = 2\n",
        "x = f'{a'\n",
        "x = f'{}'\n",
        "x = f'a}'\n",
        "print x\n",
        "print 'x'\n",
        "return_ x y\n",
        "x = \"abc\ny = 1\n",
        "x = '''abc\ny = 1\n",
        "if x = 1:\n    pass\n",
        "f() = 1\n",
        "else if x:\n    pass\n",
        "if x:\n    pass\nelse if y:\n    pass\n",
        "x = a && b\n",
        "x = a || b\n",
        "x = !a\n",
        "x = 012\n",
        "x = \u{201c}a\u{201d}\n",
        "x =\u{a0}1\n",
        "x\u{200b} = 1\n",
        "x = \u{202e}1\n",
        "x = 1\n\u{feff}y = 1\n",
        "x = `a`\n",
        "<<<<<<< HEAD\nx = 1\n",
        "x = 1\n=======\ny = 1\n",
        "x = 1\n==========\ny = 1\n",
        "'''\n<<<<<<< HEAD\n'''\n=======\ny = 1\n",
        "x = 1\n>>>>>>> other\n",
        "x = 1\n>>>>>>>>\n",
        "def f(a, a): pass\nx = (\n",
        "class Filter(:\n    pass\n",
        "f(a=1, 2)\n",
    ];

    #[test]
    fn mistakes_are_told_in_plain_words() {
        let told = TEXTS.map(|text| {
            let found = diagnostic(text);
            let (Rule::Syntax(words), Some(span)) = (found.rule, found.span) else { panic!("{text}") };
            format!("{text:?}\n    {}:{}+{} {words}", span.line, span.column, span.width)
        });
        expect_test::expect![[r#"
            "class Pipe\n    pass\n"
                1:11+1 expected `:`, found newline
            "x = foo(1,\n    y = 2\nreturn x\n"
                1:8+1 `(` was never closed
            "x = foo(1, 2\n"
                1:8+1 `(` was never closed
            "x = [1, 2\ny = 3\n"
                1:5+1 `[` was never closed
            "x = {'a': foo(1,\n    'b': 2,\n}\n"
                3:1+1 `}` does not match the `(` of line 1
            "x = (1, 2]\n"
                1:10+1 `]` does not match the `(` of line 1
            "x = (1, 2))\n"
                1:11+1 unmatched `)`
            "f(a b)\n"
                1:5+1 expected `,`, found name
            "def f():\nreturn 1\n"
                2:1+6 expected an indented block after function definition
            "if a:\n        x = 1\n    y = 2\n"
                3:1+4 unindent does not match any outer indentation level
            "if a:\n        x = 1\n\ty = 2\n"
                3:1+1 tabs and spaces are mixed in the indentation
            "x = f'{a'\n"
                1:9+1 f-string: expecting `}`
            "x = f'{}'\n"
                1:8+1 empty braces in an f-string
            "x = f'a}'\n"
                1:8+1 f-string: single `}` is not allowed
            "print x\n"
                1:1+5 `print` without parentheses: write `print(…)`
            "print 'x'\n"
                1:1+5 `print` without parentheses: write `print(…)`
            "return_ x y\n"
                1:9+1 expected the end of the line, found `x`
            "x = \"abc\ny = 1\n"
                1:5+4 unterminated string: missing `"`
            "x = '''abc\ny = 1\n"
                1:5+6 unterminated string: missing `'''`
            "if x = 1:\n    pass\n"
                1:6+1 `=` in a condition: write `==` to compare
            "f() = 1\n"
                1:1+3 cannot assign to `f()`
            "else if x:\n    pass\n"
                1:1+4 expected a statement
            "if x:\n    pass\nelse if y:\n    pass\n"
                3:6+2 `else if` is written `elif`
            "x = a && b\n"
                1:7+2 `&&` is not a Python operator: write `and`
            "x = a || b\n"
                1:7+2 `||` is not a Python operator: write `or`
            "x = !a\n"
                1:5+1 `!` is not a Python operator: write `not`
            "x = 012\n"
                1:5+3 a leading zero, which Python does not allow
            "x = “a”\n"
                1:5+1 invalid character `“` (U+201C)
            "x =\u{a0}1\n"
                1:4+1 invalid character U+00A0, which is invisible
            "x\u{200b} = 1\n"
                1:2+1 invalid character U+200B, which is invisible
            "x = \u{202e}1\n"
                1:5+1 invalid character U+202E, which is invisible
            "x = 1\n\u{feff}y = 1\n"
                2:1+1 invalid character U+FEFF, which is invisible
            "x = `a`\n"
                1:5+1 invalid character U+0060, a backtick
            "<<<<<<< HEAD\nx = 1\n"
                1:1+7 `<<<<<<<`, a leftover merge conflict marker
            "x = 1\n=======\ny = 1\n"
                2:1+2 expected a statement
            "x = 1\n==========\ny = 1\n"
                2:1+2 expected a statement
            "'''\n<<<<<<< HEAD\n'''\n=======\ny = 1\n"
                4:1+7 `=======`, a leftover merge conflict marker
            "x = 1\n>>>>>>> other\n"
                2:1+7 `>>>>>>>`, a leftover merge conflict marker
            "x = 1\n>>>>>>>>\n"
                2:1+2 expected a statement
            "def f(a, a): pass\nx = (\n"
                2:5+1 `(` was never closed
            "class Filter(:\n    pass\n"
                1:14+1 expected an expression or a ')'
            "f(a=1, 2)\n"
                1:8+1 positional argument cannot follow keyword argument"#]]
        .assert_eq(&told.join("\n"));
    }

    #[test]
    fn strings_and_brackets_do_not_mix_the_indentation() {
        for (text, expected) in [
            ("if a:\n    x = 1\n\ty = 2\n", true),
            ("if a:\n\tx = 1\n        y = 2\n", true),
            ("class A:\n    def f():\n        x = 1\n\treturn x\n", true),
            ("if a:\n    '''\n\tText.\n    '''\n        x = 1\n", false),
            ("if a:\n    '''\n\tText.\n    '''\n    if b:\n            x = 1\n        y = 2\n", false),
            ("if a:\n        x = (\n\t1)\n    y = 2\n", false),
            ("if a:\n\tx = 1\nif b:\n        # Text.\n\n        x = 1\n    y = 2\n", false),
            ("if a:\n\tx = (\n    1)\n    y = 2\n", true),
        ] {
            let Rule::Syntax(words) = diagnostic(text).rule else { panic!("{text}") };
            assert_eq!(words == "tabs and spaces are mixed in the indentation", expected, "{text:?}: {words}");
        }
    }
}
