"""The rooms inside serve, as docs/architecture.md draws them: who may import whom, and what comes without torch."""

from __future__ import annotations

from pathlib import Path

from test_architecture import behind, edges, first_heavy

# Inside serve: room -> the other rooms of serve that it may import. The modules beside them are the original's names.
SERVE_ROOMS: dict[str, set[str]] = {
    "guard": set(),
    "cluster": {"guard", "original"},
    "web": {"guard"},
    "slack": {"guard"},
    "api": {"guard", "cluster"},
    "worker": {"guard", "cluster", "api", "original"},
    "original": {"guard", "cluster"},
}
#: What an answer is, in plain values.
VALUES = "pumice.engine.answer"
# Modules that bring their own heavy library, but not torch.
TORCH_FREE = tuple(f"pumice.serve.{room}" for room in ("guard", "cluster", "web", "slack", "api", "original"))


def test_rooms_of_the_servers() -> None:
    """Only the worker knows the engine; web and Slack know nothing but the API's protocol."""
    wrong = []
    for module, target, node in edges():
        mine, theirs = module.name.split(".")[2:3], [*target.split("."), ""]
        if module.room != "serve" or not mine or mine[0] not in SERVE_ROOMS:
            continue
        if theirs[1] == "engine" and target != VALUES and mine != ["worker"]:
            wrong.append(f"{module.place(node)} imports {target}: only serve/worker may")
        if theirs[1] == "serve" and theirs[2:3] != mine and not set(theirs[2:3]) - {""} <= SERVE_ROOMS[mine[0]]:
            wrong.append(f"{module.place(node)} imports {target}; of serve, only {sorted(SERVE_ROOMS[mine[0]])}")
    assert not wrong, "\n".join(wrong)


def test_servers_are_torch_free(tmp_path: Path) -> None:
    doors = behind(TORCH_FREE)
    assert "pumice.serve.guard.run" in doors
    heavy = first_heavy(doors, ("torch", "transformers", "ray"), tmp_path)
    assert not heavy, f"{heavy} at import (the first module that does so is shown)"
