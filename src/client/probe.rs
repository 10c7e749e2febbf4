//! What only `doctor` asks for: the server's clock, which plugins it runs, and how many tools it lists.

use jiff::Timestamp;
use serde::Deserialize;

use super::classify::Asked;
use super::endpoints::{self, Names};
use super::{Client, Request};
use crate::engine::deploy::Reply;
use crate::plugin::Kind;

/// What the server tells beside its plugins. Each part may be missing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Probe {
    /// Its time, in whole seconds.
    pub time: Option<Timestamp>,
    /// Which plugins it runs. It does not tell that to an API key.
    pub switches: Switches,
    /// How many tools it lists to users.
    pub listed_tools: Option<usize>,
}

/// Which plugins a server runs, where it tells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Switches {
    /// `ENABLE_PLUGINS`, since 0.11.
    #[serde(default)]
    pub enable_plugins: Option<bool>,
    /// `ENABLE_FUNCTIONS`, since 0.12.
    #[serde(default)]
    pub enable_functions: Option<bool>,
    /// `ENABLE_TOOLS`, since 0.12.
    #[serde(default)]
    pub enable_tools: Option<bool>,
}

/// The part of `/api/config` with these switches.
#[derive(Deserialize)]
struct Config {
    features: Switches,
}

impl Client {
    /// Asks a server that has answered before.
    pub async fn probe(&self) -> Probe {
        let mut probe = Probe::default();
        let token = match &self.0.key {
            Some(key) => Some(key.clone()),
            None => self.0.session.lock().await.clone(),
        };
        if let Ok(received) = self.fetch(&Request::new(Asked::Config, Names::default()), token.as_ref()).await {
            probe.time = received.answer().date.and_then(time);
            probe.switches = received.read::<Config>(Asked::Config).map(|config| config.features).unwrap_or_default();
        }
        if let Some(path) = endpoints::list(Kind::Tool) {
            let names = Names { kind: Some(Kind::Tool), ..Names::default() };
            let request = Request { path: names.fill(path), ..Request::new(Asked::Overview(Kind::Tool), names) };
            if let Reply::Rows(rows) = self.ask(&request, token.as_ref()).await {
                probe.listed_tools = Some(rows.len());
            }
        }
        probe
    }
}

/// The time of a `Date` header.
fn time(date: &str) -> Option<Timestamp> {
    jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(date.trim()).ok()
}
