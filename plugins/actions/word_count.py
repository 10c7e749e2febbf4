"""
title: Word Count
author: owui-watch contributors
version: 1.0.0
description: A button under each answer: how many words it has, and how long it takes to read.
license: MIT
icon_url: data:image/svg+xml;base64,PHN2ZyB4bWxucz0iaHR0cDovL3d3dy53My5vcmcvMjAwMC9zdmciIHZpZXdCb3g9IjAgMCAyNCAyNCIgZmlsbD0ibm9uZSIgc3Ryb2tlPSJibGFjayIgc3Ryb2tlLXdpZHRoPSIyIiBzdHJva2UtbGluZWNhcD0icm91bmQiPjxwYXRoIGQ9Ik00IDZoMTZNNCAxMmgxNk00IDE4aDkiLz48L3N2Zz4=
"""

import re
from collections.abc import Awaitable, Callable

from pydantic import BaseModel, Field

# Reasoning and tool calls are kept inside the message, in <details>; code is looked at, not read.
NOT_PROSE = re.compile(r"<details\b.*?</details>|^```.*?^```", re.DOTALL | re.MULTILINE)
WORD = re.compile(r"\w+(?:[’'-]\w+)*")


def plural(count: int, one: str) -> str:
    """Returns "1 word", "2 words"."""
    return f"{count:,} {one}" if count == 1 else f"{count:,} {one}s"


def sentence_about(text: str, words_per_minute: int) -> str:
    """Returns what the button tells about a text."""
    prose = NOT_PROSE.sub("", text).strip()
    words = len(WORD.findall(prose))
    minutes = words / words_per_minute
    reading = (
        "less than a minute"
        if minutes < 1
        else f"about {plural(round(minutes), 'minute')}"
    )
    # Characters as well: they are the measure in languages that put no spaces between words.
    return (
        f"{plural(words, 'word')}, {plural(len(prose), 'character')}, {reading} to read"
    )


class Action:
    """Shows up as a button under each answer."""

    class Valves(BaseModel):
        """What an admin can set."""

        words_per_minute: int = Field(
            default=230, ge=1, description="How fast your people read."
        )

    def __init__(self) -> None:
        self.valves = self.Valves()

    async def action(
        self, body: dict, __event_emitter__: Callable[[dict], Awaitable[None]]
    ) -> None:
        """Tells the numbers in a passing notification, so that the chat stays as it was."""
        # The browser sends the chat up to the answer whose button was pressed, and that answer's id.
        messages = body.get("messages") or [{}]
        pressed = next(
            (message for message in messages if message.get("id") == body.get("id")),
            messages[-1],
        )
        told = sentence_about(
            pressed.get("content") or "", self.valves.words_per_minute
        )
        await __event_emitter__(
            {"type": "notification", "data": {"type": "info", "content": told}}
        )
