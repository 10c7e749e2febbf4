//! The line of a notice in the log of its plugin.

use jiff::Timestamp;

use super::{Notice, NoticeKind, duration, format_place};

impl Notice {
    /// Whether it is worth a line in the plugin's log. A plugin found unchanged in a pass is not: each start with a
    /// thousand plugins would write a thousand lines.
    #[must_use]
    pub fn is_logged(&self) -> bool {
        !matches!(self.what, NoticeKind::Unchanged { in_pass: true, good_again: false, .. })
    }

    /// One line for the plugin's log.
    #[must_use]
    pub fn log_line(&self, time: Timestamp) -> String {
        let fields = [
            ("version", self.version().map(|version| version.replace(' ', ""))),
            ("digest", self.about.digest.map(|digest| digest.short())),
            ("took", self.took().map(|took| duration(took).replace(' ', ""))),
            ("at", self.file().zip(self.span()).map(|(path, span)| format_place(path, span))),
        ];
        let fields: String =
            fields.into_iter().filter_map(|(name, value)| Some(format!(" {name}={}", value?))).collect();
        let time = time.strftime("%Y-%m-%dT%H:%M:%SZ");
        let line = format!("{time} {}{fields}: {}", self.word(), self.sentence());
        // A log is read line by line: the line breaks of the server's words, and of a file's name, stay visible without
        // breaking it.
        line.replace('\r', "").replace('\n', "\\n")
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::needless_raw_string_hashes, reason = "expect-test writes every snapshot with them")]

    use expect_test::expect;

    use super::*;
    use crate::engine::ledger::Refusal;
    use crate::notice::samples::{ms, samples, shout, span};

    #[test]
    fn a_log_has_one_line_for_each_notice() {
        let lines = [
            NoticeKind::Updated { from: Some("1.0".to_owned()), kept: None, active: None, took: ms(34) },
            NoticeKind::Refused {
                refusal: Refusal::said("Traceback:\r\n  no\nTypeError"),
                span: Some(span()),
                requirements: None,
                installs: true,
                old_version: None,
                took: ms(34),
            },
            NoticeKind::Superseded,
        ]
        .map(|what| shout(what).log_line("2026-01-02T03:04:05.6Z".parse().unwrap()));
        expect![[r#"
            2026-01-02T03:04:05Z updated version=1.0→1.1 digest=3bfc269594ef took=34ms: updated
            2026-01-02T03:04:05Z refused version=1.1 digest=3bfc269594ef took=34ms at=plugins/shout.py:2:7: refused by the server: Traceback:\n  no\nTypeError
            2026-01-02T03:04:05Z superseded version=1.1 digest=3bfc269594ef: replaced by a newer save"#]].assert_eq(&lines.join("\n"));
        for notice in samples() {
            assert!(!notice.log_line(Timestamp::UNIX_EPOCH).contains(['\n', '\r']), "{}", notice.word());
        }
    }
}
