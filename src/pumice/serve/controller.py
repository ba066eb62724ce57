"""``python -m pumice.serve.controller``: the original's controller, with its flags and routes.

An alias kept for scripts written for the original's module of that name; ``original.flags`` says what its flags became.
"""

from __future__ import annotations

import sys

from pumice.cli.main import main
from pumice.serve.original.flags import CONTROLLER, translated

if __name__ == "__main__":
    sys.exit(main(translated(CONTROLLER, sys.argv[1:])))
