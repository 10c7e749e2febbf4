//! What the user can do about a trial that failed or was not made.

use super::refusal::{INSTALLS, NAME_IT};
use super::{Commands, switches_on};
use crate::notice::format::{few, named};
use crate::notice::{Subject, Suspect, TrialFailure, TrialRemedy, Untried};

/// What the user can do about a failed trial.
pub(in crate::notice) fn of_trial(failure: &TrialFailure, about: &Subject, commands: &Commands) -> Option<String> {
    let others = few(failure.others.iter().map(Suspect::words), " or ");
    let others = (!others.is_empty()).then(|| format!("the server does not say what failed: it may also be {others}"));
    let remedies: Vec<_> =
        others.into_iter().chain(failure.remedy.as_ref().map(|remedy| remedy.words(about, commands))).collect();
    (!remedies.is_empty()).then(|| remedies.join("\n"))
}

/// What the user can do to have a plugin tried.
pub(super) fn of_untried(why: &Untried, about: &Subject, commands: &Commands) -> Option<String> {
    let table = |keys: &str| Some(format!("{} with {keys} in watch.toml tries it", about.table(".try")));
    match why {
        Untried::Off => Some(switches_on(about, commands)),
        Untried::ActsOutside { .. } => table("a `message`"),
        Untried::NoFunction => table("`tool` and `args`"),
        Untried::Impossible { remedy, .. } => Some(remedy.as_ref()?.words(about, commands)),
        Untried::OtherText
        | Untried::Event
        | Untried::NoServer { .. }
        | Untried::Disturbed { .. }
        | Untried::NoTable => None,
    }
}

impl TrialRemedy {
    /// The remedies, one a line. `about` is the plugin that was to be tried.
    #[must_use]
    pub fn words(&self, about: &Subject, commands: &Commands) -> String {
        match self {
            TrialRemedy::SwitchOn => switches_on(about, commands),
            TrialRemedy::Attach => {
                format!("{} runs it in every chat\nattach it to a model in Open WebUI", commands.on(about, "global on"))
            }
            TrialRemedy::FindLine => "`owui-watch sandbox` shows the line that raises it".to_owned(),
            TrialRemedy::FindException => "`owui-watch sandbox` shows whether it raises an exception".to_owned(),
            TrialRemedy::NamePackage => format!("{NAME_IT}\n{INSTALLS}"),
            TrialRemedy::AllowModel => "check in Open WebUI that the model is on and that you may use it".to_owned(),
            TrialRemedy::ConnectModel => "connect a model in Open WebUI, or try it in `owui-watch sandbox`".to_owned(),
            TrialRemedy::NameModel { models, in_table } => {
                format!("name one with {}: {}", trial_setting("model", *in_table), named(models))
            }
            TrialRemedy::OneOf(names) => format!("it has {}", named(names)),
            TrialRemedy::WaitLonger { in_table } => format!("{} waits longer", trial_setting("within", *in_table)),
            TrialRemedy::AskModel { in_table: true } => {
                "add a `message` to its table that makes the model call it".to_owned()
            }
            TrialRemedy::AskModel { in_table: false } => "leave out --tool, and ask for it in the message".to_owned(),
            TrialRemedy::CheckValves => {
                "check that its saved valves still fit, and that `pipes` returns a list".to_owned()
            }
            TrialRemedy::CheckPipes => {
                "check `pipes` in each pipe: a `name` that is no text can hide all models".to_owned()
            }
            TrialRemedy::CheckHooks(entry) => match entry.hooks() {
                [hook] => format!("the server calls `{}` by its method `{hook}`: check the name", entry.class()),
                hooks => {
                    let hooks: Vec<_> = hooks.iter().map(|hook| format!("`{hook}`")).collect();
                    format!("the server calls {}: check the names of its methods", hooks.join(", "))
                }
            },
            TrialRemedy::Return(value) => format!("end it with `return {value}`"),
        }
    }
}

/// A setting of a trial as the user wrote it, or would.
#[must_use]
pub fn trial_setting(name: &str, in_table: bool) -> String {
    if in_table { format!("`{name}` in its table in watch.toml") } else { format!("`--{name}`") }
}
