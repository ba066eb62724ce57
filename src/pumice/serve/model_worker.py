"""``python -m pumice.serve.model_worker``: the original's worker, with its flags and stream.

An alias kept for scripts written for the original's module of that name; ``original.flags`` says what its flags became.
"""

from __future__ import annotations

import sys

from pumice.cli.main import main
from pumice.serve.original.flags import MODEL_WORKER, translated

if __name__ == "__main__":
    sys.exit(main(translated(MODEL_WORKER, sys.argv[1:])))
