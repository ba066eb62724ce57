"""``pumice keys``: who may use the servers of this machine."""

from __future__ import annotations

import json
import sys
from typing import Annotated, TypeAlias

from typer import Argument, Option

from pumice.cli.settings import Debug

Name: TypeAlias = Annotated[str, Argument(help="Whom or what the key is for: letters, digits, '.', '_', '-'.")]


def keys() -> None:
    """Make, see and end the API keys of the servers. A change holds at once, without a restart.

    While there is no key, a server answers this machine alone. Once there is one, every caller needs one.
    """


def create(
    name: Name,
    scope: Annotated[
        str, Option("--scope", metavar="SCOPE", help="infer: ask questions. admin: also controllers and workers.")
    ] = "infer",
    debug: Debug = False,
) -> None:
    """Make a key and print it. It is shown this once.

    \b
    pumice keys create phone
    export OPENAI_API_KEY=$(pumice keys create laptop)
    """
    from pumice.serve.guard.keys import Keys

    store = Keys()
    print(store.create(name, scope))
    print(f"written to {store.file} as a hash; the key itself is not shown again", file=sys.stderr)


def list_keys(
    as_json: Annotated[bool, Option("--json", help="Print one JSON object instead of text.")] = False,
    debug: Debug = False,
) -> None:
    """List the keys: name, scope, when made, when revoked.

    \b
    pumice keys list
    """
    from pumice.serve.guard.keys import Keys

    store = Keys()
    found = store.all()
    if as_json:
        facts = [
            {"name": each.name, "scopes": each.scopes, "created": each.created, "revoked": each.revoked}
            for each in found
        ]
        print(json.dumps({"file": str(store.file), "keys": facts}))
        return
    width = max((len(each.name) for each in found), default=0)
    for each in found:
        state = f"revoked {each.revoked}" if each.revoked else "in use"
        print(f"{each.name:{width}}  {','.join(each.scopes):5}  created {each.created}  {state}")
    if not found:
        print("there is no key yet: `pumice keys create NAME` makes one", file=sys.stderr)


def revoke(name: Name, debug: Debug = False) -> None:
    """End a key. Running servers refuse it within a second.

    \b
    pumice keys revoke phone
    """
    from pumice.serve.guard.keys import Keys

    print(Keys().revoke(name).name)
