"""The secret that controller, workers and API of one cluster share."""

from __future__ import annotations

import hmac
import os
import re
import secrets
from pathlib import Path

from pumice.errors import UsageError
from pumice.serve.guard.secret_files import data_folder, kept_secret

VARIABLE = "PUMICE_CLUSTER_TOKEN"
_FILE = "cluster-token"
_ACCEPTABLE = re.compile(r"[\x21-\x7e]{16,256}")


def cluster_token(folder: Path | None = None) -> str:
    """The variable's token, else the one in the file ``cluster-token``, which is made at first use.

    folder: instead of ``data_folder()``.

    Raises:
        UsageError: the token is too short to be a secret, or the file cannot be read or written.
    """
    named = os.environ.get(VARIABLE)
    file = (folder or data_folder()) / _FILE
    token = named or kept_secret(file, lambda: f"pumice-cluster-{secrets.token_urlsafe(32)}")
    if _ACCEPTABLE.fullmatch(token) is None:
        place = VARIABLE if named else str(file)
        raise UsageError(
            f"a cluster token is 16 to 256 printable characters without spaces, which {place} is not",
            hint="make one with: python -c 'import secrets; print(secrets.token_urlsafe(32))'",
        )
    return token


def proof(token: str, nonce: str) -> str:
    """What shows the holder of a nonce that one has the token, without showing the token: HMAC-SHA256 in hex."""
    return hmac.new(token.encode("utf-8"), nonce.encode("utf-8", "surrogatepass"), "sha256").hexdigest()
