//! What starts when the file is loaded, and never ends. The server loads a plugin anew with each save, and has no hook for
//! the end of the old one. Nine published plugins.

use ruff_python_ast::{Expr, Stmt};
use ruff_text_size::Ranged as _;

use super::{CheckRule, Context, Report};
use crate::check::semantics::{Node, NodeId};
use crate::plugin::Severity;

pub(super) const RULE: CheckRule = CheckRule {
    id: "leaks-per-save",
    severity: Severity::Warning,
    title: "a task, thread or log handler that each save starts again",
    page: "
The server loads the file and makes an object of its class with each save, and with each restart
of a worker. It never tells the old one to stop: tasks and threads that `__init__` or the module
starts go on, and log handlers print each line twice, then three times. Start such things in the
first call, keep one for the process, or look before you add: `if not logger.handlers:`.",
    wrong: "
import logging

logger = logging.getLogger(__name__)
logger.addHandler(logging.StreamHandler())

class Pipe:
    def pipe(self, body):
        return \"done\"
",
    right: "
import logging

logger = logging.getLogger(__name__)
if not logger.handlers:
    logger.addHandler(logging.StreamHandler())

class Pipe:
    def pipe(self, body):
        return \"done\"
",
    check,
};

fn check(context: &Context<'_>, report: &mut Report) {
    let semantics = &context.semantics;
    let constructors = context.methods().into_iter().filter(|method| method.name.as_str() == "__init__");
    let loaders = semantics.calls.iter().filter_map(|id| {
        // Functions that the module calls itself.
        let Expr::Call(call) = semantics.expr(*id)? else { return None };
        let scope = semantics.scope(*id);
        if semantics.is_called(scope) || semantics.is_guarded(*id, &[]) {
            return None;
        }
        match semantics.bindings(&call.func.as_name_expr()?.id, scope)? {
            [crate::check::semantics::Binding::Function(function)] => Some(*function),
            _ => None,
        }
    });
    let at_load = context.reachable(constructors.chain(loaders));
    for id in &semantics.calls {
        let Some(Expr::Call(call)) = semantics.expr(*id) else { continue };
        let scope = semantics.scope(*id);
        let runs = match semantics.function(scope) {
            Some(function) => at_load.iter().any(|it| std::ptr::eq(*it, function)),
            None => !semantics.is_called(scope) && !under_main(context, *id),
        };
        let Some(what) = started(context, *id, call).filter(|_| runs) else { continue };
        if !is_guarded(context, *id) {
            let message = format!("each save of the plugin {what} again");
            report.add(call.func.range(), message, "start it in the first call, or only if there is none yet");
        }
    }
}

/// What a call starts for good.
fn started(context: &Context<'_>, id: NodeId, call: &ruff_python_ast::ExprCall) -> Option<&'static str> {
    let semantics = &context.semantics;
    let path = semantics.path(&call.func, semantics.scope(id)).unwrap_or_default();
    if matches!(path.as_str(), "asyncio.create_task" | "asyncio.ensure_future") {
        return Some("starts this task");
    }
    let attribute = call.func.as_attribute_expr()?;
    match attribute.attr.as_str() {
        "addHandler" => Some("adds this log handler"),
        "create_task" => {
            let owner = context.source(attribute.value.range());
            (owner.ends_with("loop") || owner.ends_with("loop()")).then_some("starts this task")
        }
        "start" => {
            // `Thread(…).start()`, or a name that was given one.
            let is_thread = |expr: &Expr| {
                expr.as_call_expr().is_some_and(|made| {
                    let path = semantics.path(&made.func, semantics.scope(id)).unwrap_or_default();
                    matches!(path.as_str(), "threading.Thread" | "threading.Timer")
                })
            };
            let name = context.source(attribute.value.range());
            let made_before = semantics.calls.iter().any(|other| {
                let Some(Expr::Call(made)) = semantics.expr(*other) else { return false };
                let path = semantics.path(&made.func, semantics.scope(*other)).unwrap_or_default();
                let is_thread = matches!(path.as_str(), "threading.Thread" | "threading.Timer");
                let assigned = match context.parent(*other) {
                    Some((_, Node::Stmt(Stmt::Assign(assign)))) => {
                        assign.targets.iter().any(|target| context.source(target.range()) == name)
                    }
                    Some(_) | None => false,
                };
                is_thread && assigned
            });
            (is_thread(&attribute.value) || made_before).then_some("starts this thread")
        }
        _ => None,
    }
}

/// Whether somebody looked before: any `if` around, or a clean-up of handlers in the file.
fn is_guarded(context: &Context<'_>, id: NodeId) -> bool {
    let is_choice = |node: &Node<'_>| matches!(node, Node::Stmt(Stmt::If(_)) | Node::Expr(Expr::If(_)));
    let early_return = context.semantics.function(context.semantics.scope(id)).is_some_and(|function| {
        let body = context.source(function.range());
        body.contains("hasHandlers()") || body.contains(".handlers")
    });
    let text = context.text;
    context.semantics.around(id).any(|(_, node)| is_choice(&node))
        || early_return
        || text.contains("removeHandler(")
        || text.contains("handlers.clear()")
        || text.contains("handlers = []")
}

/// Whether it is under `if __name__ == "__main__"`.
fn under_main(context: &Context<'_>, id: NodeId) -> bool {
    context.semantics.around(id).any(|(_, node)| {
        matches!(node, Node::Stmt(Stmt::If(branch)) if crate::check::semantics::mentions(&branch.test, "__name__"))
    })
}

#[cfg(test)]
mod tests {
    use super::super::tests::table;

    #[test]
    fn what_starts_with_the_file_is_told() {
        let head = "import asyncio, logging, threading\nlog = logging.getLogger(__name__)\n";
        for (rest, expected) in [
            ("log.addHandler(h)\nclass Pipe: pass", "warning 3"),
            ("if not log.handlers:\n    log.addHandler(h)\nclass Pipe: pass", ""),
            ("def setup():\n    log.addHandler(h)\nsetup()\nclass Pipe: pass", "warning 4"),
            ("def setup():\n    if log.handlers: return\n    log.addHandler(h)\nsetup()\nclass Pipe: pass", ""),
            ("def setup():\n    log.addHandler(h)\nclass Pipe: pass", ""),
            ("class Pipe:\n    def __init__(self): asyncio.create_task(self.run())", "warning 4"),
            (
                "class Pipe:\n    def __init__(self): self.start()\n    def start(self): asyncio.create_task(self.run())",
                "warning 5",
            ),
            ("class Pipe:\n    async def pipe(self, body): asyncio.create_task(self.run())", ""),
            ("class Pipe:\n    def __init__(self): threading.Thread(target=f).start()", "warning 4"),
            (
                "class Pipe:\n    def __init__(self):\n        self.t = threading.Thread(target=f)\n        self.t.start()",
                "warning 6",
            ),
            ("class Pipe:\n    def __init__(self): self.timer.start()", ""),
            ("logging.basicConfig()\nclass Pipe: pass", ""),
            ("if __name__ == '__main__':\n    asyncio.create_task(f())\nclass Pipe: pass", ""),
        ] {
            table("leaks-per-save", "0.12.4", &[(&format!("{head}{rest}\n"), expected)]);
        }
    }
}
