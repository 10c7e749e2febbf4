"""
title: Date Math
author: owui-watch contributors
version: 1.0.0
description: Counts days, moves dates and knows weekdays and holidays, which models are bad at.
license: MIT
"""

import calendar
from datetime import date, timedelta

from pydantic import BaseModel, Field, field_validator


# Helpers live outside the class: each public method of `Tools` becomes a tool that the model may call.
def parse(text: str) -> date:
    """Reads `YYYY-MM-DD` or `today`. The error is written for the model, which reads it and tries again."""
    if text.strip().lower() == "today":
        return date.today()
    try:
        return date.fromisoformat(text.strip())
    except ValueError:
        raise ValueError(
            f"{text!r} is not a date: write YYYY-MM-DD or `today`"
        ) from None


def days_off(text: str) -> set[date]:
    """Reads dates as `YYYY-MM-DD`, separated by commas."""
    return {
        date.fromisoformat(item.strip()) for item in text.split(",") if item.strip()
    }


class Tools:
    """Dates are given and returned as `YYYY-MM-DD`."""

    class Valves(BaseModel):
        """What an admin can set."""

        holidays: str = Field(
            default="",
            description="Days on which nobody works, besides weekends: 2026-12-25, 2026-12-26",
        )

        @field_validator("holidays")
        @classmethod
        def must_be_dates(cls, text: str) -> str:
            """Refuses a misspelt date where it is typed, not in the middle of a chat."""
            days_off(text)
            return text

    def __init__(self) -> None:
        self.valves = self.Valves()

    def days_between(self, start: str, end: str) -> str:
        """
        Count the days and the working days from one date to another. The earlier date itself is not counted.

        :param start: The one date, as YYYY-MM-DD or `today`.
        :param end: The other date, as YYYY-MM-DD or `today`.
        """
        first, last = sorted((parse(start), parse(end)))
        if (last - first).days > 100_000:
            raise ValueError(
                "that is more than 100000 days: choose dates that are closer together"
            )
        holidays = days_off(self.valves.holidays)
        days = [
            first + timedelta(days=count + 1) for count in range((last - first).days)
        ]
        working = [day for day in days if day.weekday() < 5 and day not in holidays]
        return f"{len(days)} days, {len(working)} of them working days, from {first} to {last}"

    def shift_date(
        self, start: str, years: int = 0, months: int = 0, weeks: int = 0, days: int = 0
    ) -> str:
        """
        Move a date forwards, or backwards with negative numbers.

        :param start: The date to start at, as YYYY-MM-DD or `today`.
        :param years: How many years.
        :param months: How many months. January 31 plus one month is the last day of February.
        :param weeks: How many weeks.
        :param days: How many days.
        """
        day = parse(start)
        year, month = divmod(day.year * 12 + day.month - 1 + years * 12 + months, 12)
        if not date.min.year <= year <= date.max.year:
            raise ValueError(f"the year {year} is out of range")
        last_of_month = calendar.monthrange(year, month + 1)[1]
        moved = date(year, month + 1, min(day.day, last_of_month)) + timedelta(
            weeks=weeks, days=days
        )
        return f"{moved:%A}, {moved}"

    def describe_date(self, day: str) -> str:
        """
        Tell the weekday, the ISO week and the day of the year of a date, and whether people work on it.

        :param day: The date, as YYYY-MM-DD or `today`.
        """
        given = parse(day)
        week = given.isocalendar()
        works = given.weekday() < 5 and given not in days_off(self.valves.holidays)
        kind = "a working day" if works else "a day off"
        return f"{given} is a {given:%A}, {kind}, in ISO week {week.year}-W{week.week:02}, day {given:%j} of the year"
