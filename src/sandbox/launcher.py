# Runs Open WebUI's own `serve` in this process and ends it when the one who started it is gone, however that one went:
# standard input is a pipe whose other end dies with owui-watch, also when that is killed and can clean up nothing itself.
# Arguments: the port, and the folder to remove at that moment (empty: none).
import os
import secrets
import shutil
import sys
import threading

port, folder = sys.argv[1:]

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


threading.Thread(target=follow, daemon=True).start()
os.environ.setdefault("WEBUI_SECRET_KEY", secrets.token_hex(32))
sys.argv = ["open-webui", "serve", "--host", "127.0.0.1", "--port", port]

from open_webui import app  # noqa: E402

app()
