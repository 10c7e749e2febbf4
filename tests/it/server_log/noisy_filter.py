"""
title: Noisy filter
version: 1.0.0
"""

import logging

log = logging.getLogger(__name__)


class Filter:
    def inlet(self, body):
        log.info("inlet")
        if body["messages"][-1]["content"] == "inlet":
            raise KeyError("inlet broke")
        return body

    async def outlet(self, body):
        log.info("outlet")
        if body["messages"][-1]["content"] == "outlet":
            raise ValueError("outlet broke")
        return body
