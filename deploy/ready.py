"""Whether the server on this machine takes questions: exit code 0 if ``/ready`` says so, else 1 and a line why.

    python ready.py [http://127.0.0.1:8000]

For health checks of containers and services. It needs nothing but Python, and shows the cluster's token, which servers
on one machine share: PUMICE_CLUSTER_TOKEN, or the file in PUMICE_DATA_DIR.
"""

from __future__ import annotations

import os
import sys
import urllib.error
import urllib.request
from pathlib import Path

PATIENCE_S = 5.0


def token() -> str:
    """Empty if there is none: then the server may not need one."""
    named = os.environ.get("PUMICE_CLUSTER_TOKEN")
    if named:
        return named
    file = Path(os.environ.get("PUMICE_DATA_DIR", "/data")) / "cluster-token"
    return file.read_text(encoding="utf-8").strip() if file.is_file() else ""


def main(words: list[str]) -> int:
    address = words[0] if words else "http://127.0.0.1:8000"
    secret = token()
    headers = {"Authorization": f"Bearer {secret}"} if secret else {}
    request = urllib.request.Request(f"{address.rstrip('/')}/ready", headers=headers)
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # the token goes nowhere else
    try:
        with direct.open(request, timeout=PATIENCE_S) as answer:
            return 0 if answer.status == 200 else 1
    except (urllib.error.URLError, OSError) as error:
        sys.stderr.write(f"not ready: {error}\n")
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
