"""
title: Activity Log
author: owui-watch contributors
version: 1.0.0
description: Writes one line to the server's log for what happens on it: who did what, and how often since it was deployed.
license: MIT
required_open_webui_version: 0.10.0
"""

import logging
from collections import Counter
from fnmatch import fnmatchcase

from pydantic import BaseModel, Field

log = logging.getLogger("activity_log")


def matches(name: str, patterns: str) -> bool:
    """Says whether an event's name fits one of the patterns, which are separated by commas."""
    return any(fnmatchcase(name, pattern.strip()) for pattern in patterns.split(","))


def one_line(text: object) -> str:
    """Returns the text on one line: names are chosen by users, and must not forge lines of a log."""
    return " ".join(str(text).split())


class Event:
    """Is told of everything that happens on the server, from 0.10 on."""

    class Valves(BaseModel):
        """What an admin can set."""

        watch: str = Field(
            default="*", description="What to log, for example `auth.*, user.*`."
        )
        ignore: str = Field(
            default="function.*, tool.*",
            description="What not to log although it is watched, for example deploys.",
        )

    def __init__(self) -> None:
        self.valves = self.Valves()
        self.counts: Counter[str] = Counter()

    async def event(self, event: dict) -> None:
        """Logs one event. The server has already removed secrets from it."""
        name = event["event"]
        if not matches(name, self.valves.watch) or matches(name, self.valves.ignore):
            return

        self.counts[name] += 1
        # The name and not the e-mail address: logs travel further than one thinks.
        actor = (event.get("actor") or {}).get("name") or "the server"
        subject = event.get("subject") or {}
        about = f"{subject.get('type') or ''} {subject.get('id') or ''}".strip()
        log.info(
            "%s #%d by %s%s",
            name,
            self.counts[name],
            one_line(actor),
            f": {one_line(about)}" if about else "",
        )
