# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""What a step on several processes needs so that it equals the step of one process on all of their images."""

import torch
from torch import Tensor, distributed
from torch.distributed.nn.functional import all_gather


def process_count() -> int:
    """Number of processes that train together; 1 without distributed training."""
    return distributed.get_world_size() if distributed.is_available() and distributed.is_initialized() else 1


def from_all(values: Tensor) -> Tensor:
    """Join a batch [n, ...] of every process along the first axis, in the processes' order.

    Gradients flow back to the process that a value came from. Each process then computes the same loss from the same
    values, and the mean of gradients that distributed training takes is the gradient of that loss.
    """
    return values if process_count() == 1 else torch.cat(all_gather(values.contiguous()))


@torch.no_grad()
def mean_over_processes(values: Tensor) -> Tensor:
    """Average a tensor over the processes; the gradient does not flow through it."""
    if process_count() == 1:
        return values
    total = values.clone()
    distributed.all_reduce(total)
    return total / process_count()
