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
several rules. A comment that ignores nothing now would hide the next mistake on its line.",
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

    #[test]
    fn an_ignore_counts_for_its_line_and_rule() {
        for (comment, expected) in [
            ("", "blocking-call"),
            ("# owui: ignore[blocking-call]", ""),
            ("# because. # owui: ignore[blocking-call]", ""),
            ("# owui: ignore[missing-await, blocking-call]", "unused-ignore"),
            ("# owui: ignore[missing-await]", "blocking-call, unused-ignore"),
            ("# owui: ignore[no-such-rule]", "blocking-call, unused-ignore"),
            ("# owui: ignore", "blocking-call"),
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
}
