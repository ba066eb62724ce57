"""``pumice completion``: what a shell needs to complete commands, options and the names of models."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from typer import Argument, Option

from pumice.cli.settings import Debug

Shell: TypeAlias = Literal["bash", "zsh", "fish", "powershell", "pwsh"]


def completion(
    shell: Annotated[Shell, Argument(help="The shell that completes.")],
    install: Annotated[bool, Option("--install", help="Also change the shell's own files, for good.")] = False,
    debug: Debug = False,
) -> None:
    """Print the script that makes a shell complete commands, options, models, templates and files.

    \b
    eval "$(pumice completion bash)"      # for this shell
    pumice completion zsh --install       # for every one from now on
    """
    from typer._completion_shared import get_completion_script
    from typer._completion_shared import install as write

    if install:
        _, file = write(shell, "pumice")
        print(file)
        return
    print(get_completion_script(prog_name="pumice", complete_var="_PUMICE_COMPLETE", shell=shell))
