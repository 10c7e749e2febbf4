"""
title: Rubber Duck
author: owui-watch contributors
version: 1.0.0
description: A model that never answers. It asks the next question a good colleague would ask about your bug.
license: MIT
"""

import asyncio
import re
from collections.abc import AsyncIterator

from pydantic import BaseModel, Field

# In the order in which they help: first what is wrong, then where, then why.
QUESTIONS = (
    "What should happen, and what happens instead? Say both in one sentence each.",
    "What is the smallest input that still shows it?",
    "When did it last work, and what has changed since then?",
    "Which line is the last one you know to be right? How do you know?",
    "What is the value there? Did you look, or do you believe it?",
    "Which of your assumptions would explain everything if it were wrong?",
    "How would you tell that it is fixed, and what would fail if it came back?",
)

# The last line of a Python traceback, such as `KeyError: 'id'` or `json.decoder.JSONDecodeError: …`.
ERROR_LINE = re.compile(r"^\s*((?:\w+\.)*\w*(?:Error|Exception)\b.*)$", re.MULTILINE)


def text_of(message: dict) -> str:
    """Returns a message's text; a message with pictures carries a list of parts instead of a string."""
    content = message.get("content") or ""
    if isinstance(content, str):
        return content
    return "\n".join(
        part.get("text", "") for part in content if part.get("type") == "text"
    )


def next_question(messages: list[dict]) -> str:
    """Chooses what to ask: about the error if one was just pasted, else the next question of the list."""
    said = [text_of(message) for message in messages if message.get("role") == "user"]
    errors = ERROR_LINE.findall(said[-1]) if said else []
    if errors:
        return f"Read this aloud, slowly: `{errors[-1].strip()}` What does it say about the line it names?"
    return QUESTIONS[max(len(said) - 1, 0) % len(QUESTIONS)]


class Pipe:
    """Shows up as a model of its own in the list of models."""

    class Valves(BaseModel):
        """What an admin can set."""

        pause: float = Field(
            default=0.03,
            ge=0,
            le=1,
            description="Seconds between two words. A duck takes its time.",
        )

    def __init__(self) -> None:
        self.valves = self.Valves()

    async def pipe(self, body: dict, __task__: str | None = None) -> AsyncIterator[str]:
        """Streams the next question, word by word."""
        # The server asks the chat's model for a title, tags and follow-ups too. A duck has none.
        if __task__:
            return

        # Without streaming nobody sees the words come, so nobody is made to wait for them.
        pause = self.valves.pause if body.get("stream") else 0
        for word in re.findall(r"\S+\s*", next_question(body.get("messages", []))):
            yield word
            await asyncio.sleep(pause)
