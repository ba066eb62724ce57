"""``python -m pumice.serve.test_message``: asks a worker one question, with the original's flags.

An alias kept for scripts written for the original's module of that name; ``original.flags`` says what its flags became.
"""

from __future__ import annotations

import sys

from pumice.cli.main import main
from pumice.serve.original.flags import TEST_MESSAGE, translated

if __name__ == "__main__":
    sys.exit(main(translated(TEST_MESSAGE, sys.argv[1:])))
