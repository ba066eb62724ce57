"""The original's two small helpers for its servers. They are no part of the help: ``pumice.serve`` has their doors."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from typer import Option

from pumice.cli.settings import Debug
from pumice.errors import UsageError

_CONTROLLER = "http://localhost:21001"
ControllerUrl: TypeAlias = Annotated[str, Option("--controller", metavar="URL", help="Of the controller.")]


def register_worker(
    controller: ControllerUrl = _CONTROLLER,
    name: Annotated[str | None, Option("--name", metavar="URL", help="Of the worker.")] = None,
    check_heart_beat: Annotated[bool, Option("--check-heart-beat", help="Forget it when it falls silent.")] = False,
    debug: Debug = False,
) -> None:
    """Register a worker that does not do so itself."""
    from pumice.serve.cluster.token import cluster_token
    from pumice.serve.original.client import OriginalClient

    if name is None:
        raise UsageError("which worker is it?", hint="name it by its URL: --worker-name http://localhost:21002")
    OriginalClient(cluster_token()).register(controller.rstrip("/"), name, beats=check_heart_beat)


def test_message(
    controller: ControllerUrl = _CONTROLLER,
    worker: Annotated[str | None, Option("--worker", metavar="URL", help="Default: the controller chooses.")] = None,
    model: Annotated[str, Option("--model", metavar="NAME", help="As `list_models` names it.")] = "pumice-tiny",
    max_tokens: Annotated[int, Option("--max-tokens", help="Longest answer.")] = 32,
    message: Annotated[str, Option("--message", help="The question.")] = "Tell me a story with more than 1000 words.",
    debug: Debug = False,
) -> None:
    """Ask a worker one question, as the original's clients do."""
    from pumice.prompts.conversation import Conversation
    from pumice.prompts.templates import get_template, prompt_text, render
    from pumice.serve.cluster.token import cluster_token
    from pumice.serve.original.client import OriginalClient

    client = OriginalClient(cluster_token())
    address = worker or client.address(controller.rstrip("/"), model)
    prompt = prompt_text(render(get_template("vicuna_v1"), Conversation.ask(message)))
    payload: dict[str, object] = {
        "model": model,
        "prompt": prompt,
        "temperature": 0.7,
        "max_new_tokens": max_tokens,
        "stop": "</s>",
    }
    for piece in client.stream(address.rstrip("/"), payload):
        print(piece, end="", flush=True)
    print()
