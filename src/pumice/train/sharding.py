"""A language model whose weights are spread over all processes (FSDP2): each holds its share and borrows the rest.

The tower and the projector stay whole in every process. They are small beside the language model, and a process whose
rows have no pictures never runs them, while weights that are spread need all processes at each layer.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.distributed.tensor import DTensor
from torch.nn.utils import clip_grads_with_norm_, get_total_norm

from pumice.errors import UsageError
from pumice.model.llava import Llava
from pumice.train.ranks import Ranks


@dataclass(frozen=True)
class Sharded:
    """A model that was spread, and its likeness without weights."""

    model: Llava
    likeness: Llava

    def whole(self, ranks: Ranks) -> Llava | None:
        """The model with all its weights, on the CPU of the first process. Every process must call this."""
        weights: dict[str, Tensor] = {}
        self.settle()
        for name, tensor in self.model.state_dict().items():
            full = gathered(tensor)
            if ranks.first:
                weights[name] = full.detach().cpu()
        if not ranks.first:
            return None
        self.likeness.load_state_dict(weights, assign=True)
        learning = {name: parameter.requires_grad for name, parameter in self.model.named_parameters()}
        for name, parameter in self.likeness.named_parameters():
            parameter.requires_grad_(learning[name])
        return self.likeness

    def settle(self) -> None:
        """Give back what the last use has borrowed."""
        assert isinstance(self.model, FSDPModule)
        self.model.reshard()


def shard(model: Llava, ranks: Ranks) -> Sharded:
    """Spread the language model over all processes, layer by layer; tower and projector are moved as they are.

    Raises: UsageError for a model with integers, of which there is nothing to spread.
    """
    if any(not parameter.is_floating_point() for parameter in (*model.parameters(), *model.language.buffers())):
        raise UsageError("shard spreads weights, and integers below adapters are small; leave shard or quantize out")
    likeness = _without_weights(model)
    mesh = init_device_mesh(ranks.device.type, (ranks.count,))
    together = {id(parameter) for parameter in model.language.parameters()}
    beside = {parameter for parameter in model.parameters() if id(parameter) not in together}
    for parameter in beside:
        parameter.data = parameter.data.to(ranks.device)
    for layer in model.language.layers:
        fully_shard(layer, mesh=mesh)
    fully_shard(model, mesh=mesh, ignored_params=beside)
    for part in model.modules():
        if isinstance(part, FSDPModule):
            part.set_gradient_divide_factor(1.0)  # losses are already divided by the predictions of all processes
            part.set_force_sum_reduction_for_comms(True)
    _reach_always(model)
    return Sharded(model, likeness)


def _without_weights(model: Llava) -> Llava:
    """A copy whose parameters have shapes only."""
    known: dict[int, Any] = {
        id(parameter): nn.Parameter(torch.empty_like(parameter, device="meta"), parameter.requires_grad)
        for parameter in model.parameters()
    }
    return copy.deepcopy(model, known)


def _reach_always(model: Llava) -> None:
    """Let gradients go through all layers in every process, also where nothing of its rows needs them.

    Words alone teach nothing to a projector; but the way back through a layer needs all processes.
    """
    anchor = torch.zeros((), requires_grad=True)

    def add(_module: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...]:
        embeddings, *rest = args
        return (embeddings + anchor.to(embeddings), *rest) if torch.is_grad_enabled() else args

    model.language.register_forward_pre_hook(add)


def is_sharded(tensor: Tensor) -> bool:
    """Whether this process holds only a share of it."""
    return isinstance(tensor, DTensor)


def gathered(tensor: Tensor) -> Tensor:
    """All of it, in every process. Every process must call this."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


@torch.no_grad()
def clip_gradients(parameters: Sequence[Tensor], limit: float) -> float:
    """As ``torch.nn.utils.clip_grad_norm_``, for weights of which some are spread and some are whole."""
    spread = [p for p in parameters if is_sharded(p)]
    whole = [p for p in parameters if not is_sharded(p)]
    norms = []
    for some in (spread, whole):
        found = get_total_norm([p.grad for p in some if p.grad is not None])
        norms.append(gathered(found))
    norm = torch.linalg.vector_norm(torch.stack([each.float().cpu() for each in norms]))
    for some in (spread, whole):
        clip_grads_with_norm_(some, limit, norm.to(some[0].device) if some else norm)
    return float(norm)
