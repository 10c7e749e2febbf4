//! A command in one line, as `log_command` has it: split into words, and shown. A shell's quotes group words on every
//! system. On Windows a backslash is part of a path, and elsewhere it takes the next character as it is.

/// The words of a line; `None` if a quote has no end.
pub(super) fn split(line: &str) -> Option<Vec<String>> {
    if cfg!(windows) { split_by_quotes(line) } else { shlex::split(line) }
}

/// A command so that [`split`] reads the same words again. The user agrees to it.
pub(super) fn join(words: &[String]) -> String {
    let quoted = |word: &String| {
        if cfg!(windows) {
            quoted_without_escapes(word)
        } else {
            shlex::try_quote(word).map_or_else(|_| word.clone(), std::borrow::Cow::into_owned)
        }
    };
    words.iter().map(quoted).collect::<Vec<_>>().join(" ")
}

fn split_by_quotes(line: &str) -> Option<Vec<String>> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        match quote {
            Some(open) if open == c => quote = None,
            None if matches!(c, '"' | '\'') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            None if c.is_whitespace() => words.extend(word.take()),
            // A comment.
            None if c == '#' && word.is_none() => drop(chars.find(|c| *c == '\n')),
            Some(_) | None => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    quote.is_none().then_some(words)
}

fn quoted_without_escapes(word: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || "\\/:._-+=@,%".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        word.to_owned()
    } else {
        // A single quote is between double ones.
        format!("'{}'", word.replace('\'', "'\"'\"'"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn on_windows_a_backslash_is_a_part_of_a_path() {
        for (line, expected) in [
            (r"C:\bin\docker.exe logs  -f", Some(&[r"C:\bin\docker.exe", "logs", "-f"][..])),
            (r#""C:\Program Files\docker.exe" 'a b'c"#, Some(&[r"C:\Program Files\docker.exe", "a bc"])),
            (r#"echo "" "it's" '"'"#, Some(&["echo", "", "it's", "\""])),
            (r#""C:\folder\" x"#, Some(&[r"C:\folder\", "x"])),
            (" \t", Some(&[])),
            ("a#b # c\nd '#'", Some(&["a#b", "d", "#"])),
            ("docker 'logs", None),
        ] {
            let expected = expected.map(|words| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>());
            assert_eq!(split_by_quotes(line), expected, "{line}");
        }
    }

    #[test]
    fn a_command_is_shown_so_that_it_reads_the_same() {
        let words = [r"C:\bin\a.exe", "", "a b", "it's", "say \"so\"", "#", "$x", r"both ' and \ and", "ä"];
        let words: Vec<_> = words.iter().map(|word| (*word).to_owned()).collect();
        assert_eq!(split(&join(&words)).as_ref(), Some(&words));
        let windows: Vec<_> = words.iter().map(|word| quoted_without_escapes(word)).collect();
        assert_eq!(split_by_quotes(&windows.join(" ")), Some(words));
        assert_eq!(windows[..3], [r"C:\bin\a.exe", "''", "'a b'"]);
    }
}
