"""The processes that train together, one for each device; usually there is only this one.

`torchrun` starts them and says by the environment which is which. The first of them writes the
files; what it decides, the others are told.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from types import TracebackType
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from vfxmatte.errors import TrainingError

NetworkT = TypeVar("NetworkT", bound=nn.Module)


class Group:
    """This process among those that train together."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.rank = int(os.environ.get("RANK", "0"))
        self.size = int(os.environ.get("WORLD_SIZE", "1"))

    @property
    def is_first(self) -> bool:
        return self.rank == 0

    def __enter__(self) -> Group:
        if self.size > 1:
            dist.init_process_group("nccl" if self.device.type == "cuda" else "gloo")
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        if self.size > 1:
            dist.destroy_process_group()

    def share_of(self, batch: int) -> int:
        """How many samples of a batch are this process's.

        Raises:
            TrainingError: the batch does not divide evenly.
        """
        if batch % self.size:
            raise TrainingError(
                f"batch {batch} does not divide over {self.size} processes",
                hint=f"--set batch={-(-batch // self.size) * self.size}",
            )
        return batch // self.size

    def prepare(self, network: NetworkT) -> NetworkT:
        """Batch-norms that take their statistics over all GPUs; parameter names stay the same."""
        if self.size > 1 and self.device.type == "cuda":
            network = nn.SyncBatchNorm.convert_sync_batchnorm(network)  # type: ignore[no-untyped-call]
        return network

    def wrap(self, network: nn.Module) -> nn.Module:
        """Averages gradients over the processes; to be made anew when what is trained changes."""
        if self.size == 1:
            return network
        devices = [self.device] if self.device.type == "cuda" else None
        return DistributedDataParallel(network, device_ids=devices)

    def any(self, flag: bool) -> bool:
        """Whether it is so in any of the processes."""
        if self.size == 1:
            return flag
        found = torch.tensor([float(flag)], device=self.device)
        dist.all_reduce(found, dist.ReduceOp.MAX)
        return bool(found.item())

    def mean(self, values: Sequence[float]) -> list[float]:
        """Each value averaged over the processes."""
        if self.size == 1:
            return list(values)
        sums = torch.tensor(values, dtype=torch.float64, device=self.device)
        dist.all_reduce(sums)
        return [float(value) / self.size for value in sums]

    def from_first(self, values: Sequence[float]) -> list[float]:
        """What the first process has here."""
        if self.size == 1:
            return list(values)
        told = torch.tensor(values, dtype=torch.float64, device=self.device)
        dist.broadcast(told, 0)
        return [float(value) for value in told]

    def object_from_first(self, thing: Any) -> Any:
        """What the first process has here, whatever it is; the others need no files for it."""
        if self.size == 1:
            return thing
        told = [thing]
        dist.broadcast_object_list(told, 0, device=self.device)
        return told[0]

    def wait(self) -> None:
        """Until all are here."""
        if self.size > 1:
            dist.barrier()
