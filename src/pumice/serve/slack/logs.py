"""What Slack's libraries may say in the log: errors only, since their warnings quote what people have written."""

from __future__ import annotations

import logging
import re

# A socket's address opens it for whoever reads it.
_TICKET = re.compile(r"(?<=wss://)\S+|(?<=ws://)\S+")


class Discreet(logging.Filter):
    """Takes addresses of sockets out of a record, and the traceback, which holds them again."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Changes the record; it is never left out."""
        record.msg, record.args = _TICKET.sub("(an address)", record.getMessage()), None
        record.exc_info = None
        return True


def libraries_logger() -> logging.Logger:
    """The logger to hand to Slack's libraries."""
    logger = logging.getLogger("slack_bolt")
    logger.setLevel(logging.ERROR)
    logger.filters[:] = [Discreet()]
    return logger
