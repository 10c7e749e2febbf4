"""
title: Noisy pipe
version: 1.0.0
"""

import asyncio
import json
import logging
import sys
import traceback

log = logging.getLogger(__name__)


def parse(text):
    return json.loads(text)


class Pipe:
    def __init__(self):
        log.info("loaded")

    async def pipe(self, body, __tools__=None, __user__=None):
        words = body["messages"][-1]["content"]
        log.debug("hidden by the level")
        log.info("answering %s", words)
        log.warning("one\ntwo")
        logging.getLogger("my_logger").error("named otherwise")
        print("printed by the pipe", flush=True)
        print("to stderr", file=sys.stderr, flush=True)
        if words == "exception":
            try:
                parse("{")
            except ValueError:
                log.exception("cannot parse")
        if words == "format_exc":
            try:
                parse("{")
            except ValueError:
                print(traceback.format_exc(), flush=True)
                log.error(f"failed:\n{traceback.format_exc()}")
        if words == "raise":
            return parse("{")
        if words == "cause":
            try:
                parse("{")
            except ValueError as error:
                raise RuntimeError("no answer") from error
        if words == "task":

            async def later():
                raise KeyError("in a task")

            asyncio.create_task(later())
            await asyncio.sleep(0.1)
        if words == "tool":
            return str(await __tools__["divide"]["callable"](a=1, b=0))
        if words == "stream":

            async def pieces():
                yield "one"
                raise OSError("half way")

            return pieces()
        return "fine"
