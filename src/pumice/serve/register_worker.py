"""``python -m pumice.serve.register_worker``: registers a worker from elsewhere, with the original's flags.

An alias kept for scripts written for the original's module of that name; ``original.flags`` says what its flags became.
"""

from __future__ import annotations

import sys

from pumice.cli.main import main
from pumice.serve.original.flags import REGISTER_WORKER, translated

if __name__ == "__main__":
    sys.exit(main(translated(REGISTER_WORKER, sys.argv[1:])))
