"""Records a real run in tmux as a picture: docs/run.svg, which the README shows.

    python3 tools/record_run.py target/release/owui-watch

It starts a sandbox on a small plugin, chats with it, saves a mistake, and mends it. It needs tmux, and what
the sandbox needs. The picture is what tmux holds at the end: text, colours and order are the program's own.
"""

import json
import os
import re
import shlex
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from html import escape
from pathlib import Path

COLUMNS, ROWS = 100, 40
# In pixels, for a monospaced font of 14.
CELL_WIDTH, CELL_HEIGHT, MARGIN = 8.43, 19, 16
PATIENCE = 120

PLUGIN = '''"""
title: Shout
version: {version}
"""


class Filter:
    def inlet(self, body: dict) -> dict:
        message = body["messages"][-1]
        message["content"] = message["content"].{method}()
        return body
'''

# A palette that is readable on light and dark pages alike, since the picture brings its background.
BACKGROUND, FOREGROUND = "#1d2021", "#d5d0c4"
COLOURS = {
    30: "#504945", 31: "#fb6a5a", 32: "#b0c04a", 33: "#f0bd4f", 34: "#83a598", 35: "#d3869b", 36: "#8ec07c",
    37: "#d5d0c4", 90: "#928374", 91: "#fb6a5a", 92: "#b0c04a", 93: "#f0bd4f", 94: "#83a598", 95: "#d3869b",
    96: "#8ec07c", 97: "#fbf1c7",
}


def tmux(*arguments: str) -> str:
    """Runs a command of the recording's own tmux server."""
    command = ["tmux", "-L", "owui-watch-recording", "-f", os.devnull, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def screen(*options: str) -> str:
    """Returns the scrollback and the screen."""
    return tmux("capture-pane", "-p", "-S", "-", "-t", "run", *options)


def wait_for(text: str, times: int = 1) -> str:
    """Waits until the screen shows a text so many times."""
    deadline = time.monotonic() + PATIENCE
    while (shown := screen("-J")).count(text) < times:
        if time.monotonic() > deadline:
            sys.exit(f"the screen never showed {text!r}:\n{shown}")
        time.sleep(0.1)
    return shown


def chat(server: str, message: str) -> None:
    """Says something to the sandbox's model, as the browser does."""

    def post(path: str, body: dict, token: str = "") -> dict:
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {token}"}
        request = urllib.request.Request(server + path, json.dumps(body).encode(), headers)
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            # A filter that raises fails the chat. The watch shows why.
            return json.load(error)

    token = post("/api/v1/auths/signin", {"email": "", "password": ""})["token"]
    post("/api/chat/completions", {"model": "echo-model", "messages": [{"role": "user", "content": message}]}, token)


def record(program: Path) -> str:
    """Plays the run, and returns the screen with its colours."""
    with tempfile.TemporaryDirectory() as folder:
        plugin = Path(folder) / "plugins" / "shout.py"
        plugin.parent.mkdir()
        save = lambda version, method: plugin.write_text(PLUGIN.format(version=version, method=method))
        save("1.0", "upper")
        shell = "env PS1='$ ' bash --norc --noprofile"
        tmux("new-session", "-d", "-s", "run", "-x", str(COLUMNS), "-y", str(ROWS), "-c", folder, shell)
        try:
            bin_folder = Path(folder) / "bin"
            bin_folder.mkdir()
            (bin_folder / "owui-watch").symlink_to(program)
            tmux("send-keys", "-t", "run", f" PATH={shlex.quote(str(bin_folder))}:$PATH; cd {folder}; clear", "Enter")
            time.sleep(0.5)
            tmux("clear-history", "-t", "run")
            tmux("send-keys", "-t", "run", "owui-watch sandbox --try", "Enter")
            shown = wait_for("1 plugin deployed")
            server = re.search(r"http://127\.0\.0\.1:\d+", shown)[0]
            chat(server, "hello")
            wait_for("works")
            wait_for("HELLO", 2)
            save("1.1", "uper")
            wait_for("fails on")
            save("1.2", "upper")
            wait_for("works", 2)
            time.sleep(1)
            return screen("-e")
        finally:
            tmux("kill-server")


def runs(line: str, style: dict):
    """Splits a line into texts with their styles. A style lasts until it is changed, also in the next line."""
    at = 0
    for match in re.finditer(r"\x1b\[([0-9;]*)m", line):
        if text := line[at : match.start()]:
            yield text, dict(style)
        at = match.end()
        for code in (int(code or 0) for code in match[1].split(";")):
            if code == 0:
                style.clear()
            elif code == 1:
                style["font-weight"] = "bold"
            elif code == 2:
                style["opacity"] = "0.6"
            elif code == 22:
                style.pop("font-weight", None)
                style.pop("opacity", None)
            elif code == 39:
                style.pop("fill", None)
            elif code in COLOURS:
                style["fill"] = COLOURS[code]
    if text := line[at:]:
        yield text, dict(style)


def svg(shown: str) -> str:
    """Draws a screen."""
    lines = [line.rstrip() for line in shown.rstrip().split("\n")]
    width, height = round(COLUMNS * CELL_WIDTH + 2 * MARGIN), len(lines) * CELL_HEIGHT + 2 * MARGIN
    drawn = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
        ' role="img" aria-label="A run of owui-watch sandbox">',
        f'<rect width="100%" height="100%" rx="8" fill="{BACKGROUND}"/>',
        f'<g font-family="ui-monospace, SFMono-Regular, Menlo, Consolas, monospace" font-size="14" fill="{FOREGROUND}"'
        ' style="white-space: pre">',
    ]
    lasting = {}
    for row, line in enumerate(lines):
        column = 0
        for text, style in runs(line, lasting):
            attributes = "".join(f' {name}="{value}"' for name, value in style.items())
            words = text.strip()
            before = len(text) - len(text.lstrip())
            x, y = MARGIN + (column + before) * CELL_WIDTH, MARGIN + (row + 0.75) * CELL_HEIGHT
            # The length keeps columns aligned whichever font the reader has.
            length = f' textLength="{len(words) * CELL_WIDTH:.1f}"'
            if words:
                drawn.append(f'<text x="{x:.1f}" y="{y:.1f}"{length}{attributes}>{escape(words)}</text>')
            column += len(text)
    return "\n".join([*drawn, "</g>", "</svg>"]) + "\n"


if __name__ == "__main__":
    program = Path(sys.argv[1]).resolve()
    shown = re.sub(r"/tmp/owui-watch-sandbox-\w+", "/tmp/owui-watch-sandbox-x", record(program))
    picture = Path(__file__).parent.parent / "docs" / "run.svg"
    picture.write_text(svg(shown), encoding="utf-8")
    plain = re.sub(r"\x1b\[[0-9;]*m", "", shown)
    print(f"{picture} shows:\n{plain}")
