# Runs Open WebUI's own `serve` in this process and ends it when the one who started it is gone, however that one went:
# standard input is a pipe whose other end dies with owui-watch, also when that is killed and can clean up nothing itself.
# Arguments: the port, and the folder to remove at that moment (empty: none). The first line of standard input is JSON:
# `dev`, whether this is a development server; `installs`, whether the server installs what plugins require;
# `requirements`, where to; `pane`, how to tell owui-watch what plugins do.
import importlib.machinery
import json
import os
import secrets
import shutil
import sys
import threading
import types

port, folder = sys.argv[1:]
told = json.loads(sys.stdin.buffer.readline() or b"{}")

# Plugins and their children must neither read the pipe nor keep it open.
lifeline = os.dup(0)
nothing = os.open(os.devnull, os.O_RDONLY)
os.dup2(nothing, 0)
os.close(nothing)


def follow():
    while os.read(lifeline, 1):
        pass
    # The server may write a file while the folder goes, hence the second round.
    for _ in range(2):
        if folder:
            shutil.rmtree(folder, ignore_errors=True)
    if hasattr(os, "killpg") and os.getpgrp() == os.getpid():
        os.killpg(0, 9)
    os._exit(0)


class AfterImport:
    """Finds a module as Python would, and runs a function on it once it is imported."""

    def __init__(self, name, then):
        self.name, self.then = name, then

    def find_spec(self, name, path, target=None):
        if name != self.name:
            return None
        sys.meta_path.remove(self)
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        load, then = spec.loader.exec_module, self.then

        def exec_module(module):
            load(module)
            then(module)

        spec.loader.exec_module = exec_module
        return spec


def make_global(module):
    """New filters and actions take part in every chat, as if an admin had set them to."""
    from sqlalchemy import event

    @event.listens_for(module.Function, "before_insert")
    def before_insert(mapper, connection, function):
        if function.type in ("filter", "action"):
            function.is_global = True


threading.Thread(target=follow, daemon=True).start()
os.environ.setdefault("WEBUI_SECRET_KEY", secrets.token_hex(32))
if told.get("installs"):
    os.makedirs(told["requirements"], exist_ok=True)
if os.path.isdir(told.get("requirements", "")):
    # At the end: what the server brings itself comes first.
    sys.path.append(told["requirements"])
if told.get("dev"):
    sys.meta_path.insert(0, AfterImport("open_webui.models.functions", make_global))
if told.get("pane"):
    module = types.ModuleType("owui_watch_pane")
    module.__file__ = "<owui-watch>"
    exec(compile(told["pane"].pop("source"), module.__file__, "exec"), module.__dict__)
    sys.meta_path.insert(0, AfterImport("open_webui.utils.plugin", module.start(**told["pane"]).watch))

    def stand_before(main):
        main.app.add_middleware(module.Trials)
        main.app.add_middleware(module.Deploys)

    sys.meta_path.insert(0, AfterImport("open_webui.main", stand_before))
sys.argv = ["open-webui", "serve", "--host", "127.0.0.1", "--port", port]

from open_webui import app  # noqa: E402

app()
