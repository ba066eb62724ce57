"""``pumice completion``: what a shell needs to complete commands, options and the names of models."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from typer import Argument, Option
from typer._click.shell_completion import CompletionItem, add_completion_class
from typer._completion_classes import ZshComplete, completion_init

from pumice.cli.settings import Debug

Shell: TypeAlias = Literal["bash", "zsh", "fish", "powershell", "pwsh"]


# An installed script is read when Tab is pressed for the first time, which is to be answered, too.
_ZSH_FIRST = '\n\nif [[ $zsh_eval_context[-1] == loadautofunc ]]; then _pumice_completion "$@"; fi'


class Zsh(ZshComplete):
    """Typer's, with apostrophes that arrive: it doubles them, which within zsh's single quotes makes none."""

    def format_completion(self, item: CompletionItem) -> str:
        return super().format_completion(item).replace("''", r"'\''")


def teach_completion() -> None:
    """Make the process answer what shells ask it when Tab is pressed."""
    completion_init()
    add_completion_class(Zsh, "zsh")


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

    script = get_completion_script(prog_name="pumice", complete_var="_PUMICE_COMPLETE", shell=shell)
    if shell == "zsh":
        script += _ZSH_FIRST
    if not install:
        print(script)
        return
    _, file = write(shell, "pumice")
    if shell == "zsh":
        file.write_text(f"{script}\n", encoding="utf-8")
    print(file)
