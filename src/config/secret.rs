//! Recognises API keys and tokens. People put them in place of a path, a flag's value or an unknown key, and no message
//! may repeat them.

use super::ConfigError;

/// The remedy for a key in a file that is easily shared.
pub(super) const KEY_ELSEWHERE: &str =
    "put OPENWEBUI_API_KEY=… into `.env` beside it, or name a file with `api_key_file`";

/// Refuses an API key in a file that is probably in git.
pub(super) fn refuse_secret(place: &str, key: &str) -> Result<(), ConfigError> {
    if names_secret(key) {
        Err(ConfigError::at(place, format!("`{key}` does not belong in a file that is easily shared"))
            .hinted(KEY_ELSEWHERE))
    } else {
        Ok(())
    }
}

/// Whether a name suggests a secret.
pub(super) fn names_secret(key: &str) -> bool {
    let plain: String = key.to_lowercase().chars().filter(char::is_ascii_alphanumeric).collect();
    let plain = plain.strip_prefix("openwebui").or(plain.strip_prefix("owui")).unwrap_or(&plain);
    ["apikey", "key", "token", "apitoken", "jwt", "bearer", "secret", "password"].contains(&plain)
}

/// Whether a line may hold a secret, by its name or its form.
pub(super) fn holds_secret(line: &str) -> bool {
    let head = line.split(['=', ':']).next().unwrap_or_default();
    names_secret(head) || line.split(|c: char| !c.is_ascii_alphanumeric() && c != '-').any(looks_secret)
}

/// Whether a word has the prefix of the server's API keys or login tokens.
pub(super) fn looks_secret(word: &str) -> bool {
    word.starts_with("sk-") || word.starts_with("eyJ")
}

/// Replaces each key and token with `[key]`.
pub(super) fn masked(text: &str) -> String {
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let words = text.split_inclusive(|c| !is_part(c));
    words
        .map(|word| {
            let bare = word.trim_end_matches(|c| !is_part(c));
            // The server's keys have 35 characters, its tokens more. Shorter words are names.
            if looks_secret(bare) && bare.len() >= 30 { word.replace(bare, "[key]") } else { word.to_owned() }
        })
        .collect()
}

/// A URL with keys masked, but with its whole host, which the user agrees to. Parsing has converted the host to ASCII.
pub(super) fn with_host(url: &str) -> String {
    let start = url.find("://").map_or(0, |at| at + 3);
    let end = url[start..].find('/').map_or(url.len(), |at| start + at);
    format!("{}{}", &url[..end], masked(&url[end..]))
}
