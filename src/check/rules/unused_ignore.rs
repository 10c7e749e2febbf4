//! A comment that ignores nothing. It hides the next mistake in its line. `check/ignores.rs` finds it.

use super::CheckRule;
use crate::check::ignores::UNUSED;
use crate::plugin::Severity;

pub(super) const RULE: CheckRule = CheckRule {
    id: UNUSED,
    severity: Severity::Warning,
    title: "a comment `# owui: ignore[…]` that ignores nothing",
    page: "
`# owui: ignore[rule]` at the end of a line accepts what the rule found there. Commas separate
several rules. A comment that ignores nothing now would hide the next mistake on its line. This rule
reports names of rules that find nothing there, misspelled names, comments without a name in
brackets, and comments on a line of their own.",
    wrong: "
class Pipe:
    def pipe(self, body):  # owui: ignore[missing-await]
        return \"done\"
",
    right: "
import time

class Pipe:
    def pipe(self, body):
        time.sleep(0.1)  # owui: ignore[blocking-call]
        return \"done\"
",
    check: |_, _| (),
};

#[cfg(test)]
mod tests {
    use super::super::tests::plugin;
    use crate::check::{Options, check};
    use crate::plugin::Diagnostic;

    #[test]
    fn an_ignore_counts_for_its_line_and_rule() {
        for (comment, expected) in [
            ("", "blocking-call"),
            ("# owui: ignore[blocking-call]", ""),
            ("# because. # owui: ignore[blocking-call]", ""),
            ("# see owui: docs # owui: ignore[blocking-call]", ""),
            ("# owui: ignored # owui: ignore[blocking-call]", ""),
            ("# owui: ignore[missing-await] # owui: ignore[blocking-call]", "unused-ignore"),
            ("# owui: ignore[missing-await, blocking-call]", "unused-ignore"),
            ("# owui: ignore[missing-await]", "blocking-call, unused-ignore"),
            ("# owui: ignore[no-such-rule]", "blocking-call, unused-ignore"),
            ("# owui: ignore", "blocking-call, unused-ignore"),
            ("#owui:ignore [ blocking-call ]", ""),
            ("\n        # owui: ignore[blocking-call]", "blocking-call, unused-ignore"),
            ("; x = '# owui: ignore[blocking-call]'", "blocking-call"),
        ] {
            let text =
                format!("import time\nclass Pipe:\n    def pipe(self, body):\n        time.sleep(1) {comment}\n");
            let found = check(&plugin("a.py", &text), &text, &Options::default());
            let rules: Vec<_> = found.iter().map(|diagnostic| diagnostic.rule.word()).collect();
            assert_eq!(rules.join(", "), expected, "{comment}");
        }
    }

    #[test]
    fn no_hint_moves_a_comment_into_a_string() {
        let pipe = "class Pipe:  # owui: ignore[header-unknown]\n    def pipe(self, body):\n";
        for (text, rule, hint) in [
            (format!("\"\"\"\nid: x\nauther: y\n\"\"\"\n{pipe}        pass\n"), "header-unknown", "delete the comment"),
            (
                format!("import time\n{pipe}        x = time.sleep(1), \"\"\"\n        \"\"\"\n")
                    .replace("header-unknown", "blocking-call"),
                "blocking-call",
                "delete the comment",
            ),
            (
                format!("import time\n{pipe}        x = f'''{{time.sleep(1)\n        }}'''\n")
                    .replace("header-unknown", "blocking-call"),
                "blocking-call",
                "delete the comment",
            ),
            (
                format!("import time\n{pipe}        time.sleep(1) \\\n            + 1\n")
                    .replace("header-unknown", "blocking-call"),
                "blocking-call",
                "delete the comment",
            ),
            (
                format!("import time\n{pipe}        time.sleep(1)").replace("header-unknown", "blocking-call"),
                "blocking-call",
                "move it to the end of line 4",
            ),
        ] {
            let found = check(&plugin("a.py", &text), &text, &Options::default());
            let hint_of = |rule: &str| found.iter().find(|it| it.rule.word() == rule).and_then(Diagnostic::hint);
            assert!(hint_of(rule).is_some(), "{text}");
            assert_eq!(hint_of("unused-ignore").as_deref(), Some(hint), "{text}");
        }
    }

    #[test]
    fn an_ignore_in_vain_is_told_with_its_remedy() {
        let told = |lines: &str| {
            let text = format!("import time\nclass Pipe:\n    def pipe(self, body):\n        {lines}\n");
            let found = check(&plugin("a.py", &text), &text, &Options::default());
            let told = found.iter().filter(|it| it.rule.word() == "unused-ignore").map(|it| {
                let span = it.span.as_ref().unwrap();
                format!("{}:{}+{} {} ({})", span.line, span.column, span.width, it.message(), it.hint().unwrap())
            });
            told.collect::<Vec<_>>().join("\n")
        };
        let all = [
            "return 1  # owui: ignore[blocking-call]",
            "time.sleep(1)  # owui: ignore[blocking-call, missing-await]",
            "# owui: ignore[blocking-call]\n        time.sleep(1)",
            "time.sleep(\n            1\n        )  # owui: ignore[blocking-call]",
            "time.sleep(1)  # owui: ignore",
            "time.sleep(1)  # owui: ignore[]",
            "return 1  # owui: ignore missing-await",
            "time.sleep(1)  # owui: ignore[bloking-call]",
            "return 1  # owui: ignore[syntax]",
            "time.sleep(1)  # owui: ignored by all\n        return 1  # the owui: ignore",
        ];
        expect_test::expect![[r"
            4:34+13 `blocking-call` finds nothing on this line (delete the comment)
            4:54+13 `missing-await` finds nothing on this line (take `missing-await` out of the brackets)
            4:24+13 `blocking-call` finds nothing here: an ignore applies only to its own line (move it to the end of line 5)
            6:27+13 `blocking-call` finds nothing on this line (move it to the end of line 4)
            4:24+14 `# owui: ignore` without a rule ignores nothing (write `# owui: ignore[blocking-call]`)
            4:24+16 `# owui: ignore` without a rule ignores nothing (write `# owui: ignore[blocking-call]`)
            4:19+28 `# owui: ignore` without a rule ignores nothing (name the rule in brackets, as in `# owui: ignore[blocking-call]`)
            4:39+12 there is no rule `bloking-call` (did you mean `blocking-call`?)
            4:34+6 `syntax` cannot be ignored (this rule holds for every file: it cannot be chosen or ignored)
        "]].assert_eq(&all.map(told).join("\n"));
    }
}
