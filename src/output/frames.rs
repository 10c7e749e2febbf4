//! The source line that a notice is about, with the place underlined.

use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{AnnotationKind, Group, Level as Label, Renderer, Snippet};

use crate::plugin::Span;
use crate::printable;

/// The source line with the place underlined. A place that the line does not have is moved to its end.
pub(super) fn frame(span: &Span, label: Label<'static>, columns: Option<u16>) -> String {
    let source = printable::source(&span.source);
    let offset = |chars: usize| source.char_indices().nth(chars).map_or(source.len(), |(at, _)| at);
    let before = span.column.saturating_sub(1);
    let marked = offset(before)..offset(before.saturating_add(span.width));
    let snippet = Snippet::source(&*source).line_start(span.line).annotation(AnnotationKind::Primary.span(marked));
    let renderer = Renderer::styled().decor_style(DecorStyle::Ascii);
    let renderer = match columns {
        Some(columns) => renderer.term_width(columns.into()),
        None => renderer,
    };
    renderer.render(&[Group::with_level(label).element(snippet)])
}

#[cfg(test)]
mod tests {
    #![expect(clippy::needless_raw_string_hashes, reason = "expect-test writes every snapshot with them")]
    #![expect(clippy::needless_pass_by_value, reason = "a snapshot is written where it is handed in")]

    use expect_test::{Expect, expect};

    use super::*;

    fn span(line: usize, column: usize, width: usize, source: &str) -> Span {
        Span { line, column, width, source: source.to_owned() }
    }

    #[track_caller]
    fn check_frame(span: &Span, columns: Option<u16>, expected: Expect) {
        expected.assert_eq(&console::strip_ansi_codes(&frame(span, Label::ERROR, columns)));
    }

    #[test]
    fn the_place_is_underlined() {
        check_frame(
            &span(12, 7, 6, "class Filter(:"),
            None,
            expect![[r#"
               |
            12 | class Filter(:
               |       ^^^^^^"#]],
        );
        check_frame(
            &span(2, 2, 3, "\tdef f(:"),
            None,
            expect![[r#"
              |
            2 |     def f(:
              |     ^^^"#]],
        );
        check_frame(
            &span(2, 7, 2, "名前 = \"問題\" +"),
            None,
            expect![[r#"
              |
            2 | 名前 = "問題" +
              |         ^^^^"#]],
        );
        check_frame(
            &span(3, 1, 9, "esc = \x1b[31m\x07"),
            None,
            expect![[r#"
              |
            3 | esc = ␛[31m␇
              | ^^^^^^^^^"#]],
        );
    }

    #[test]
    fn a_place_that_the_line_does_not_have_is_its_end() {
        check_frame(
            &span(2, 5, 1, "f(1,"),
            None,
            expect![[r#"
              |
            2 | f(1,
              |     ^"#]],
        );
        check_frame(
            &span(2, 99, 4, "f(1,"),
            None,
            expect![[r#"
              |
            2 | f(1,
              |     ^"#]],
        );
        check_frame(
            &span(2, 3, 99, "f(1,"),
            None,
            expect![[r#"
              |
            2 | f(1,
              |   ^^"#]],
        );
        check_frame(
            &span(2, 1, 1, ""),
            None,
            expect![[r#"
              |
            2 |
              | ^"#]],
        );
        check_frame(
            &span(2, 9, 9, ""),
            None,
            expect![[r#"
              |
            2 |
              | ^"#]],
        );
        check_frame(
            &span(usize::MAX, 0, usize::MAX, "x"),
            None,
            expect![[r#"
                                 |
            18446744073709551615 | x
                                 | ^"#]],
        );
    }

    #[test]
    fn a_long_line_is_cut_around_the_place() {
        let long = format!("x = [{}", "'0123456789', ".repeat(40));
        check_frame(
            &span(2, 300, 5, &long),
            Some(60),
            expect![[r#"
              |
            2 | ...56789', '0123456789', '0123456789', '0123456789', ...
              |                          ^^^^^"#]],
        );
        let shortest = frame(&span(2, 300, 5, &long), Label::ERROR, Some(1));
        assert!(shortest.len() < 600, "{shortest}");
    }

    /// No place in no line makes it panic.
    #[test]
    fn any_place_has_a_frame() {
        for source in ["", " ", "\t", "a", "名前", "e\u{301}", "a\rb", "\u{202e}x", "\0", "👩‍👩‍👧"] {
            for column in 0..6 {
                for width in 0..6 {
                    for columns in [None, Some(0), Some(7), Some(80)] {
                        assert!(!frame(&span(1, column, width, source), Label::ERROR, columns).is_empty());
                    }
                }
            }
        }
    }
}
