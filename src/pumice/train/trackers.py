"""Figures for other programs' pages: TensorBoard, Weights & Biases, Trackio, each only where it is installed."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from pumice.errors import UsageError
from pumice.train.recipe import Recipe

PROJECT = "pumice"


class Tracker(Protocol):
    """A place that figures go to."""

    def log(self, step: int, figures: Mapping[str, float]) -> None: ...

    def close(self) -> None: ...


class _TensorBoard:
    def __init__(self, recipe: Recipe) -> None:
        _wanted("tensorboard")
        writer = _wanted("torch.utils.tensorboard", package="tensorboard").SummaryWriter
        self._writer = writer(str(recipe.output / "tensorboard"))

    def log(self, step: int, figures: Mapping[str, float]) -> None:
        for name, value in figures.items():
            self._writer.add_scalar(name, value, step)

    def close(self) -> None:
        self._writer.close()


class _Run:
    """Weights & Biases, and Trackio, which has the same interface."""

    def __init__(self, module: Any, recipe: Recipe, **options: Any) -> None:
        name = recipe.output.name or None
        self._module = module
        module.init(project=PROJECT, name=name, config=recipe.model_dump(mode="json"), **options)

    def log(self, step: int, figures: Mapping[str, float]) -> None:
        self._module.log(dict(figures), step=step)

    def close(self) -> None:
        self._module.finish()


def _wandb(recipe: Recipe) -> Tracker:
    recipe.output.mkdir(parents=True, exist_ok=True)
    return _Run(_wanted("wandb"), recipe, dir=str(recipe.output))


def _trackio(recipe: Recipe) -> Tracker:
    return _Run(_wanted("trackio"), recipe)


_MAKERS: Mapping[str, Callable[[Recipe], Tracker]] = {"tensorboard": _TensorBoard, "wandb": _wandb, "trackio": _trackio}


def require_trackers(recipe: Recipe) -> None:
    """Raises: UsageError for a tracker of ``recipe`` that is not installed."""
    for name in recipe.trackers:
        _wanted(name)


def open_trackers(recipe: Recipe) -> list[Tracker]:
    """Those that ``recipe`` names. Raises: UsageError for one that is not installed."""
    return [_MAKERS[name](recipe) for name in recipe.trackers]


def _wanted(name: str, package: str | None = None) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        package = package or name
        raise UsageError(
            f"the recipe asks for the tracker {package}, which is not installed",
            hint=f"pip install {package}, or take it out of trackers",
        ) from error
