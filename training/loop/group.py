"""The processes that train together, one for each device; usually there is only one.

`torchrun` starts them and sets RANK and WORLD_SIZE. The first one writes the files and broadcasts
its decisions.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from types import TracebackType
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from vfxmatte.errors import TrainingError

NetworkT = TypeVar("NetworkT", bound=nn.Module)
ValueT = TypeVar("ValueT")


class Group:
    """This process's place among those that train together."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.rank = int(os.environ.get("RANK", "0"))
        self.size = int(os.environ.get("WORLD_SIZE", "1"))

    @property
    def is_first(self) -> bool:
        """Return True if this process writes the files."""
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
        """Return the number of this process's samples in a batch.

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
        """Make batch-norms take their statistics over all GPUs; parameter names stay the same."""
        if self.size > 1 and self.device.type == "cuda":
            network = nn.SyncBatchNorm.convert_sync_batchnorm(network)  # type: ignore[no-untyped-call]
        return network

    def wrap(self, network: nn.Module) -> nn.Module:
        """Average gradients over the processes; call again when the trained parameters change."""
        if self.size == 1:
            return network
        devices = [self.device] if self.device.type == "cuda" else None
        return DistributedDataParallel(network, device_ids=devices)

    def any(self, flag: bool) -> bool:
        """Return True if `flag` is set in any of the processes."""
        if self.size == 1:
            return flag
        flags = torch.tensor([float(flag)], device=self.device)
        dist.all_reduce(flags, dist.ReduceOp.MAX)
        return bool(flags.item())

    def mean(self, values: Sequence[float]) -> list[float]:
        """Average each value over the processes."""
        if self.size == 1:
            return list(values)
        sums = torch.tensor(values, dtype=torch.float64, device=self.device)
        dist.all_reduce(sums)
        return [float(value) / self.size for value in sums]

    def from_first(self, value: ValueT) -> ValueT:
        """Return the first process's value, of any picklable type, in all processes."""
        if self.size == 1:
            return value
        values = [value]
        dist.broadcast_object_list(values, 0, device=self.device)
        return values[0]

    def wait(self) -> None:
        """Wait until all processes get here."""
        if self.size > 1:
            dist.barrier()
