//! The server's models, and which of them takes part in a trial.

use serde_json::Value;

use super::{Obstacle, Wish, impossible, wrong_wish};
use crate::notice::TrialRemedy;

/// A model that the server offers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Model {
    pub(super) id: String,
    /// Whether a pipe is behind it.
    pub(super) is_pipe: bool,
    /// Whether it is the sandbox's model, which does as it is told.
    pub(super) is_sandbox: bool,
    /// The filters that are attached to it.
    pub(super) filters: Vec<String>,
}

impl Model {
    fn of(value: &Value) -> Option<Self> {
        let filters = value.pointer("/info/meta/filterIds").and_then(Value::as_array).into_iter().flatten();
        let owner = |owner: &str| value.pointer(owner).and_then(Value::as_str) == Some("owui-watch");
        Some(Self {
            id: value.get("id")?.as_str()?.to_owned(),
            is_pipe: value.get("pipe").is_some_and(|pipe| !pipe.is_null()),
            is_sandbox: owner("/owned_by") || owner("/openai/owned_by"),
            filters: filters.filter_map(Value::as_str).map(str::to_owned).collect(),
        })
    }
}

/// The models in the server's answer.
pub(super) fn listed(answer: &Value) -> Vec<Model> {
    let models = answer.get("data").and_then(Value::as_array).into_iter().flatten();
    models.filter_map(Model::of).collect()
}

/// The ids of a pipe's models: its own, or one for each of a manifold's.
pub(super) fn of_pipe(models: &[Model], pipe: &str) -> Vec<String> {
    let is_of_pipe = |id: &str| id.strip_prefix(pipe).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
    models.iter().filter(|model| model.is_pipe && is_of_pipe(&model.id)).map(|model| model.id.clone()).collect()
}

/// The model that the user named; else the sandbox's, else the only one that fits.
pub(super) fn choose<'m>(
    models: &'m [Model],
    wish: &Wish,
    fits: impl Fn(&Model) -> bool,
) -> Result<&'m Model, Obstacle> {
    let ids = |models: &[&Model]| models.iter().map(|model| model.id.clone()).collect();
    if let Some(wanted) = &wish.model {
        return models.iter().find(|model| model.id == *wanted).ok_or_else(|| {
            let error = wrong_wish(format!("the server has no model `{wanted}`"));
            let all: Vec<_> = models.iter().collect();
            if models.is_empty() { error } else { error.remedied(TrialRemedy::OneOf(ids(&all))) }
        });
    }
    let fitting: Vec<_> = models.iter().filter(|model| fits(model)).collect();
    match fitting.as_slice() {
        [] => {
            Err(impossible("the server has no model that it could be tried with").remedied(TrialRemedy::ConnectModel))
        }
        [only] => Ok(only),
        _ => fitting.iter().find(|model| model.is_sandbox).copied().ok_or_else(|| {
            wrong_wish("it takes a model, and the server has several").remedied(wish.name_model(ids(&fitting)))
        }),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::ObstacleKind;
    use super::*;

    fn model(id: &str) -> Model {
        Model { id: id.to_owned(), ..Model::default() }
    }

    #[test]
    fn a_pipe_has_its_own_models_alone() {
        let pipe = |id: &str| Model { is_pipe: true, ..model(id) };
        let models = [pipe("a"), pipe("b.one"), pipe("b.two"), model("b.three"), pipe("bb"), pipe("a.b")];
        assert_eq!(of_pipe(&models, "b"), ["b.one", "b.two"]);
        assert_eq!(of_pipe(&models, "a"), ["a", "a.b"]);
        assert!(of_pipe(&models, "c").is_empty());
    }

    #[test]
    fn the_model_is_named_or_the_sandboxs_or_the_only_one() {
        let echo = Model { is_sandbox: true, ..model("echo") };
        let chosen = |models: &[Model], wanted: Option<&str>| {
            let wish = Wish { model: wanted.map(str::to_owned), ..Wish::default() };
            choose(models, &wish, |_| true).map(|model| model.id.clone())
        };
        assert_eq!(chosen(&[model("a")], None), Ok("a".to_owned()));
        assert_eq!(chosen(&[model("a"), echo.clone()], None), Ok("echo".to_owned()));
        assert_eq!(chosen(&[model("a"), echo], Some("a")), Ok("a".to_owned()));
        let seven = ["a", "b", "c", "d", "e", "f", "g"].map(str::to_owned).to_vec();
        let several = chosen(&["a", "b", "c", "d", "e", "f", "g"].map(model), None).unwrap_err();
        assert_eq!(several.remedy, Some(TrialRemedy::NameModel { models: seven, in_table: false }));
        assert_eq!(
            chosen(&[model("a")], Some("b")).unwrap_err().remedy,
            Some(TrialRemedy::OneOf(vec!["a".to_owned()]))
        );
        assert_eq!(chosen(&[], None).unwrap_err().kind, ObstacleKind::Impossible);
    }

    #[test]
    fn models_are_read_from_any_version() {
        let read = |value: Value| Model::of(&value);
        assert_eq!(read(json!({ "id": "a", "pipe": { "type": "pipe" } })), Some(Model { is_pipe: true, ..model("a") }));
        let attached = json!({ "id": "a", "info": { "meta": { "filterIds": ["f"] } } });
        assert_eq!(read(attached), Some(Model { filters: vec!["f".to_owned()], ..model("a") }));
        let sandbox = json!({ "id": "a", "owned_by": "openai", "openai": { "owned_by": "owui-watch" } });
        assert_eq!(read(sandbox), Some(Model { is_sandbox: true, ..model("a") }));
        assert_eq!(read(json!({ "id": "a", "info": null })), Some(model("a")));
        assert_eq!(read(json!({})), None);
    }
}
