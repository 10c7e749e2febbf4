"""
title: Noisy tool
version: 1.0.0
"""

import logging

log = logging.getLogger(__name__)


class Tools:
    async def divide(self, a: int, b: int) -> float:
        """
        Divides.
        :param a: a number
        :param b: another
        """
        log.info("dividing")
        try:
            return a / b
        except ZeroDivisionError:
            log.exception("cannot divide")
            raise
