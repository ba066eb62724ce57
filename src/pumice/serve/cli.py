"""``python -m pumice.serve.cli``: the original's terminal chat, with its flags, defaults and manners.

An alias kept for scripts written for ``python -m llava.serve.cli``; everything happens in ``pumice.cli``.
"""

from __future__ import annotations

import sys

from pumice.cli.main import main

# The original samples a little unless told otherwise. A flag given twice counts the last time.
DEFAULTS = ("--temperature", "0.2", "--max-tokens", "512")

if __name__ == "__main__":
    sys.exit(main(["llava-chat", *DEFAULTS, *sys.argv[1:]]))
