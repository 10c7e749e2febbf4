"""
title: Today
author: owui-watch contributors
version: 1.0.0
description: Tells every model what day it is, so that "last Friday" means last Friday.
license: MIT
"""

from datetime import datetime
from zoneinfo import ZoneInfo

from pydantic import BaseModel, Field, field_validator


def zone(name: str) -> ZoneInfo | None:
    """Returns the time zone of that name; None stands for the server's own."""
    try:
        return ZoneInfo(name) if name else None
    # An unknown name is a KeyError, a malformed one a ValueError, one that is a folder (`Europe`) an OSError.
    except (KeyError, ValueError, OSError):
        return None


class Filter:
    """Switch it on for one model, or for all of them with "Global"."""

    class Valves(BaseModel):
        """What an admin can set."""

        priority: int = Field(
            default=0, description="Filters with a lower number run first."
        )
        time_zone: str = Field(
            default="",
            description="For example Europe/Berlin. Empty: the user's browser decides, and the server where it is silent.",
        )
        with_time: bool = Field(
            default=False,
            # A text that differs every minute can't be served out of a provider's prompt cache.
            description="Also tell the time. Costs providers' prompt caches.",
        )

        @field_validator("time_zone")
        @classmethod
        def must_exist(cls, name: str) -> str:
            """Refuses a misspelt name where it is typed, not in the middle of a chat."""
            if name and zone(name) is None:
                raise ValueError(f"there is no time zone {name!r}")
            return name

    def __init__(self) -> None:
        self.valves = self.Valves()

    def inlet(self, body: dict, __metadata__: dict | None = None) -> dict:
        """Adds one sentence to the end of the system message, before the model sees the chat."""
        variables = (__metadata__ or {}).get("variables") or {}
        there = zone(
            self.valves.time_zone or str(variables.get("{{CURRENT_TIMEZONE}}", ""))
        )
        now = datetime.now(there) if there else datetime.now().astimezone()

        sentence = f"Today is {now:%A, %Y-%m-%d}."
        if self.valves.with_time:
            sentence += f" It is {now:%H:%M} ({there or now.tzname()})."

        messages = body.setdefault("messages", [])
        system = next(
            (message for message in messages if message.get("role") == "system"), None
        )
        if system is None:
            messages.insert(0, {"role": "system", "content": sentence})
        elif isinstance(system.get("content"), list):
            system["content"].append({"type": "text", "text": sentence})
        else:
            # At the end: what comes before it stays the same from day to day, and so stays cached.
            system["content"] = f"{system.get('content') or ''}\n\n{sentence}".strip()
        return body
