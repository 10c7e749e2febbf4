//! The models, which may use filters and actions.

use axum::http::Method;
use serde_json::Value;

use super::State;
use super::answer::Answer;
use super::version::Version;

/// One list has all models since 0.11 only.
pub(super) fn is_an_endpoint(version: Version, method: &Method, list: &str) -> bool {
    match list {
        "create" => method == Method::POST,
        "all" => method == Method::GET && version >= Version::V0_11_4,
        _ => method == Method::GET,
    }
}

impl State {
    pub(super) fn models(&mut self, list: &str, body: Value) -> Answer {
        if list == "create" {
            self.models.push(body.clone());
            return Answer::json(body);
        }
        // A model of a provider has no base.
        let is_listed = |model: &&Value| match list {
            "base" => model["base_model_id"].is_null(),
            "export" => !model["base_model_id"].is_null(),
            _ => true,
        };
        Answer::json(self.models.iter().filter(is_listed).cloned().collect())
    }
}
