"""
title: Noisy action
version: 1.0.0
"""

import logging

log = logging.getLogger(__name__)


class Action:
    async def action(self, body):
        log.info("action")
        raise ValueError("action broke")
