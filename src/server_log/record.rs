//! One record of the log, as text or as JSON (`LOG_FORMAT=json`, since 0.8.4).

use serde_json::Value;

use crate::plugin::id::PluginId;
use crate::plugin::{Key, Kind};

/// The shape of the time at the beginning of a record: `0` is a digit.
const TIME: &str = "0000-00-00 00:00:00.000 | ";
/// The beginning of a record in JSON.
const JSON: &str = "{\"ts\": ";
/// How many digits stand behind the id in the name of a module, since 0.12.
const RANDOM_DIGITS: usize = 32;

/// A record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Record {
    /// In lower case, in Python's words.
    pub(super) level: String,
    /// The Python module that logged it.
    pub(super) module: String,
    pub(super) function: String,
    pub(super) line: usize,
    /// As text, only the first line of it.
    pub(super) message: String,
    /// The traceback in a JSON record.
    pub(super) stack: String,
}

impl Record {
    /// Reads the beginning of a record, as in `2026-01-02 03:04:05.678 | INFO     | module:function:16 - message`. Also
    /// answers the text before it.
    pub(super) fn text(line: &str) -> Option<(&str, Self)> {
        let at = time(line)?;
        let (level, rest) = line[at + TIME.len()..].split_once(" | ")?;
        let (place, message) = rest.split_once(" - ").or_else(|| Some((rest.strip_suffix(" -")?, "")))?;
        let (module, function, number) = split_place(place)?;
        let record = Self {
            level: python_level(level.trim()),
            module,
            function,
            line: number,
            message: message.to_owned(),
            stack: String::new(),
        };
        Some((&line[..at], record))
    }

    /// Reads a record that is one line of JSON. Also answers the text before it.
    pub(super) fn json(line: &str) -> Option<(&str, Self)> {
        let at = line.find(JSON)?;
        let value: Value = serde_json::from_str(&line[at..]).ok()?;
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let (module, function, number) = split_place(value.get("caller")?.as_str()?)?;
        let record = Self {
            level: python_level(value.get("level")?.as_str()?),
            module,
            function,
            line: number,
            message: value.get("msg").and_then(text).unwrap_or_default(),
            stack: value.pointer("/error/stacktrace").and_then(text).unwrap_or_default(),
        };
        Some((&line[..at], record))
    }

    /// The plugin that logged it.
    pub(super) fn plugin(&self) -> Option<Key> {
        plugin(&self.module)
    }

    /// Whether it tells of a failure.
    pub(super) fn is_error(&self) -> bool {
        matches!(self.level.as_str(), "error" | "critical")
    }

    /// The filter that the server says it has failed at.
    pub(super) fn failed_filter(&self) -> Option<Key> {
        let words = self.message.strip_prefix("Error in ")?;
        let id = words.split_once(" filter ")?.1.split([':', ' ']).next()?;
        let is_servers = self.module.starts_with("open_webui.utils.");
        is_servers.then(|| plugin(&format!("function_{id}")))?
    }
}

/// Where a record's time begins.
fn time(line: &str) -> Option<usize> {
    let is_time = |at: &usize| {
        let shape = line.as_bytes().get(*at..at + TIME.len());
        let fits = |(byte, shape): (&u8, u8)| if shape == b'0' { byte.is_ascii_digit() } else { *byte == shape };
        shape.is_some_and(|bytes| bytes.iter().zip(TIME.bytes()).all(fits))
    };
    let bars = line.match_indices(" | ").filter_map(|(bar, _)| (bar + 3).checked_sub(TIME.len()));
    bars.filter(|at| line.is_char_boundary(*at)).find(is_time)
}

/// Splits `module:function:16`.
fn split_place(place: &str) -> Option<(String, String, usize)> {
    let mut parts = place.rsplitn(3, ':');
    let (line, function, module) = (parts.next()?.parse().ok()?, parts.next()?, parts.next()?);
    Some((module.to_owned(), function.to_owned(), line))
}

/// A level in Python's words, in lower case. The server's JSON has others.
fn python_level(level: &str) -> String {
    match level.to_lowercase().as_str() {
        "warn" => "warning".to_owned(),
        "fatal" => "critical".to_owned(),
        level => level.to_owned(),
    }
}

/// The plugin that was loaded as a module of this name.
pub(super) fn plugin(module: &str) -> Option<Key> {
    let (kind, id) = Kind::ALL.into_iter().find_map(|kind| {
        let id = module.strip_prefix(kind.word())?.strip_prefix('_')?;
        Some((kind, id))
    })?;
    let is_random = |digits: &str| {
        digits.len() == RANDOM_DIGITS && digits.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    };
    let bare = id.rsplit_once('_').filter(|(_, digits)| is_random(digits)).map(|(bare, _)| bare);
    Some(Key { kind, id: PluginId::new(bare.unwrap_or(id))? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_names_its_plugin() {
        for (module, expected) in [
            ("function_shout", Some("function shout")),
            ("function_shout_44667402781f407690453220cfaec88f", Some("function shout")),
            ("tool_my_tool_2_44667402781f407690453220cfaec88f", Some("tool my_tool_2")),
            ("function_größe", Some("function größe")),
            ("tool_a4667402781f407690453220cfaec88f", Some("tool a4667402781f407690453220cfaec88f")),
            ("function_shout.inner", None),
            ("functions", None),
            ("function_", None),
            ("open_webui.functions", None),
        ] {
            assert_eq!(plugin(module).map(|key| key.to_string()).as_deref(), expected, "{module}");
        }
    }

    #[test]
    fn a_record_begins_with_its_time() {
        let brief = |line: &str| {
            let (prefix, record) = Record::text(line).or_else(|| Record::json(line))?;
            let Record { level, module, function, line, message, .. } = record;
            Some(format!("[{prefix}] {level} {module} {function} {line}: {message}"))
        };
        let record = "2026-11-22 00:36:02.914 | WARNING  | function_shout:pipe:27 - one | two - three";
        let json = r#"{"ts": "2026-11-22T00:38:34.892+00:00", "level": "warn", "msg": "a\nb", "caller": "tool_a:b:1"}"#;
        for (line, expected) in [
            (record.to_owned(), Some("[] warning function_shout pipe 27: one | two - three")),
            (format!("web-1  | {record}"), Some("[web-1  | ] warning function_shout pipe 27: one | two - three")),
            (
                format!("2026-11-22T00:36:02.914000000Z {record}"),
                Some("[2026-11-22T00:36:02.914000000Z ] warning function_shout pipe 27: one | two - three"),
            ),
            ("2026-11-22 00:36:02.914 | Level 15 | a.b:<lambda>:3 -".to_owned(), Some("[] level 15 a.b <lambda> 3: ")),
            (json.to_owned(), Some("[] warning tool_a b 1: a\nb")),
            (format!("web | {json}"), Some("[web | ] warning tool_a b 1: a\nb")),
            ("2026-11-22 00:36:02 | INFO | a:b:1 - no milliseconds".to_owned(), None),
            ("2026-11-22 00:36:02.914 | INFO | no place".to_owned(), None),
            ("größe | größe größe größe größe | x".to_owned(), None),
            (r#"{"ts": "broken"#.to_owned(), None),
            (r#"{"ts": 1, "level": "info", "caller": 3}"#.to_owned(), None),
            ("printed".to_owned(), None),
            (" | ".to_owned(), None),
        ] {
            assert_eq!(brief(&line).as_deref(), expected, "{line}");
        }
    }

    #[test]
    fn the_server_names_a_filter_that_failed() {
        let named = |module: &str, message: &str| {
            let line = format!("2026-11-22 00:36:02.914 | ERROR    | {module}:x:1 - {message}");
            Record::text(&line).unwrap().1.failed_filter().map(|key| key.to_string())
        };
        let filter = "open_webui.utils.filter";
        assert_eq!(named(filter, "Error in outlet filter shout").as_deref(), Some("function shout"));
        assert_eq!(named(filter, "Error in inlet filter shout: no").as_deref(), Some("function shout"));
        assert_eq!(named("function_other", "Error in inlet filter shout"), None);
        assert_eq!(named(filter, "something else"), None);
    }
}
