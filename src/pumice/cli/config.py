"""``pumice config``: what is set, where, and the file to set it in."""

from __future__ import annotations

import json
import sys
from typing import Annotated

from typer import Option

from pumice.cli.preferences import Chosen, Setting, settings_of, user_file
from pumice.cli.settings import Config, Debug, Settings, chosen_settings
from pumice.cli.user_file import write_fresh


def config() -> None:
    """See what is set and where, and write a file to set it in.

    A flag comes first, then the environment (PUMICE_ and the key in capitals), then the user's file, then the default.
    """


def show(
    config: Config = None,
    as_json: Annotated[bool, Option("--json", help="Print one JSON object instead of text.")] = False,
    debug: Debug = False,
) -> None:
    """Print every setting, its value and where that comes from.

    \b
    pumice config show
    PUMICE_DEVICE=cpu pumice config show --json
    """
    chosen = chosen_settings({}, config)
    told = [each for each in settings_of(Settings) if not each.flag_only]
    if as_json:
        about = {each.key: _about(each, chosen) for each in told}
        print(json.dumps({"file": str(chosen.file), "exists": chosen.file.is_file(), "settings": about}))
        return
    print(
        f"{chosen.file}{'' if chosen.file.is_file() else ' (does not exist; `pumice config init` writes it)'}",
        end="\n\n",
    )
    width = max(len(each.key) for each in told)
    values = {each.key: json.dumps(_value(each, chosen), ensure_ascii=False) for each in told}
    column = max(map(len, values.values()))
    for each in told:
        print(f"{each.key:{width}}  {values[each.key]:{column}}  {chosen.origins[each.field].place}")


def init(
    config: Config = None,
    overwrite: Annotated[bool, Option("--overwrite", help="Replace the file if it exists.")] = False,
    debug: Debug = False,
) -> None:
    """Write a file in which every setting is explained and none is set, and print its path.

    \b
    pumice config init
    """
    print(write_fresh(config, overwrite=overwrite))


def path(config: Config = None, debug: Debug = False) -> None:
    """Print which file of settings is read.

    \b
    "${EDITOR:-vi}" "$(pumice config path)"
    """
    file = user_file(config)
    print(file)
    if not file.is_file():
        print("it does not exist; `pumice config init` writes it", file=sys.stderr)


def _value(setting: Setting, chosen: Chosen[Settings]) -> object:
    return setting.shown(getattr(chosen.settings, setting.field))


def _about(setting: Setting, chosen: Chosen[Settings]) -> dict[str, object]:
    origin = chosen.origins[setting.field]
    return {
        "value": _value(setting, chosen),
        "origin": origin.layer,
        "place": origin.place,
        "variable": setting.variable,
        "flags": list(setting.flags),
    }
