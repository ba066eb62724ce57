"""The bot's log on stderr: one line for each event, without tokens, addresses with tickets in them, or pictures."""

from __future__ import annotations

import logging
import re
import sys

# Slack's tokens in all their kinds, whatever follows Bearer, API keys, one-time addresses of the socket, base64.
_SECRET = re.compile(
    r"xox[a-z]-[\w-]+|xapp-[\w-]+|(?<=Bearer )\S+|\b(?:pumice|sk)-[\w-]{16,}|(?<=wss://)\S+|(?<=ws://)\S+"
    r"|[A-Za-z0-9+/]{200,}={0,2}"
)
_LOUD = ("slack_bolt", "slack_sdk", "aiohttp")
_OURS = "pumice.serve.slack"


def redacted(text: str) -> str:
    """``text`` with every secret that can be told by its shape replaced."""
    return _SECRET.sub("[secret]", text)


class OneLine(logging.Formatter):
    """Time, level and message. Tracebacks are kept, secrets are not."""

    def format(self, record: logging.LogRecord) -> str:
        """One record."""
        return redacted(super().format(record))


def start_logging() -> logging.Logger:
    """Sends our lines, and the libraries' warnings, to stderr. Returns the libraries' logger."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(OneLine("%(asctime)s %(levelname)s %(message)s", "%Y-%m-%dT%H:%M:%S%z"))
    for name, level in ((_OURS, logging.INFO), *((each, logging.WARNING) for each in _LOUD)):
        logger = logging.getLogger(name)
        logger.handlers[:] = [handler]
        logger.propagate = False
        logger.setLevel(level)
    # Bolt's warnings quote whole events: what people have written is none of the log's business.
    bolt = logging.getLogger("slack_bolt")
    bolt.setLevel(logging.ERROR)
    return bolt
