//! Calls in the words of the tests' logs and scripts.

use owui_watch::engine::deploy::Call;

pub(crate) trait CallWord {
    fn word(&self) -> &'static str;
}

impl CallWord for Call {
    fn word(&self) -> &'static str {
        match self {
            Call::Connect => "connect",
            Call::Overview(_) => "overview",
            Call::Get(_) => "get",
            Call::Create(..) => "create",
            Call::Update(..) => "update",
            Call::Toggle(_) => "toggle",
            Call::ToggleGlobal(_) => "toggle global",
            Call::Attached => "attached",
            Call::Delete(_) => "delete",
            Call::Versions(_) => "versions",
            Call::Version(..) => "version",
            Call::Prune(..) => "prune",
        }
    }
}
