//! The server's lists of models. Only the functions attached to a model are kept.

use serde::Deserialize;
use serde_json::Value;

use crate::client::list::Listed;
use crate::engine::deploy::{Attached, Reply};

/// A model as a list has it. Its icon and its parameters are skipped.
#[derive(Deserialize)]
struct WireModel {
    meta: Option<WireMeta>,
}

#[derive(Deserialize)]
struct WireMeta {
    #[serde(rename = "filterIds")]
    filters: Option<Vec<Value>>,
    #[serde(rename = "actionIds")]
    actions: Option<Vec<Value>>,
}

/// The functions of one model.
pub(super) fn listed_model(bytes: &[u8]) -> Option<Attached> {
    let model: WireModel = serde_json::from_slice(bytes).ok()?;
    let (filters, actions) = model.meta.map(|meta| (meta.filters, meta.actions)).unwrap_or_default();
    let ids = |ids: Option<Vec<Value>>| {
        ids.unwrap_or_default().iter().filter_map(|id| id.as_str().map(str::to_owned)).collect()
    };
    Some(Attached { filters: ids(filters), actions: ids(actions) })
}

/// Interprets a list of models. A model that cannot be read may use any function.
pub(super) fn attached(listed: Listed<Attached>) -> Reply {
    if listed.is_too_long() || listed.elements.len() < listed.n {
        return Reply::Unusable { words: "models that cannot be read".to_owned() };
    }
    Reply::Attached(listed.elements.into_iter().fold(Attached::default(), |mut all, model| {
        all.filters.extend(model.filters);
        all.actions.extend(model.actions);
        all
    }))
}

#[cfg(test)]
mod tests {
    use super::super::Asked;
    use super::super::Models::All;
    use super::super::tests::answered;
    use super::*;

    #[test]
    fn models_tell_the_functions_that_they_use() {
        let ids = |ids: &[&str]| ids.iter().map(|id| (*id).to_owned()).collect();
        for (body, filters, actions) in [
            ("[]", &[][..], &[][..]),
            (r#"[{"id": "a", "meta": null}, {"id": "b"}, {"id": "c", "meta": {"filterIds": null}}]"#, &[], &[]),
            (
                r#"[{"id": "a", "meta": {"filterIds": ["x", "y"], "profile_image_url": "data:"}, "params": {}},
                    {"id": "b", "base_model_id": null, "meta": {"filterIds": ["x", 7], "actionIds": ["z"]}}]"#,
                &["x", "y"],
                &["z"],
            ),
        ] {
            let expected = Attached { filters: ids(filters), actions: ids(actions) };
            assert_eq!(
                answered(Asked::Models(All), 200, "application/json", body),
                Reply::Attached(expected),
                "{body}"
            );
        }
        let odd = r#"[{"id": "a", "meta": {"filterIds": "x"}}, {"id": "b"}]"#;
        let reply = answered(Asked::Models(All), 200, "application/json", odd);
        assert!(matches!(reply, Reply::Unusable { .. }), "{reply:?}");
    }
}
