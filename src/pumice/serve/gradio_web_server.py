"""``python -m pumice.serve.gradio_web_server``: the original's web page, with its flags.

An alias kept for scripts written for the original's module of that name; ``original.flags`` says what its flags became.
"""

from __future__ import annotations

import sys

from pumice.cli.main import main
from pumice.serve.original.flags import GRADIO_WEB_SERVER, translated

if __name__ == "__main__":
    sys.exit(main(translated(GRADIO_WEB_SERVER, sys.argv[1:])))
