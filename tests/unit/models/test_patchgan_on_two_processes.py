# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""A step of Patch-GAN on two processes equals the step of one process on the same images."""

from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import pytest
import torch
from torch import distributed, multiprocessing, nn
from torch.nn.parallel import DistributedDataParallel

from anomalib_patchgan.models.patchgan import lightning_model, torch_model
from anomalib_patchgan.models.patchgan.lightning_model import PatchGan

PER_PROCESS = 6
INTACT = 2  # a third of them, the first


class OneStep(nn.Module):
    """Makes the training step what distributed training wraps."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.module = PatchGan(
            image_size=32,
            channels=1,
            width=8,
            ranker_width=8,
            discriminator_width=16,
            movement=0.0,
            lighting=0.0,
            visualizer=False,
            evaluator=False,
        )
        self.module.log_dict = lambda *_, **__: None

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.module.training_step(SimpleNamespace(image=image))


def images() -> torch.Tensor:
    return torch.rand(2 * PER_PROCESS, 3, 32, 32, generator=torch.Generator().manual_seed(1))


def fixed_masks(count: int, rows: int, columns: int, share: float, device: torch.device) -> torch.Tensor:
    hidden = (torch.arange(rows * columns, device=device) % round(1 / share) == 0).float()
    return hidden.view(1, 1, rows, columns).expand(count, -1, -1, -1)


def fixed_corruption(image: torch.Tensor, whole_share: float) -> tuple[torch.Tensor, torch.Tensor]:
    """As large as the image's first pixel is bright, so that images differ in how many patches it changes."""
    columns = torch.arange(image.shape[-1]).view(1, 1, 1, -1)
    changed = (columns < 8 + 20 * image[:, :, :1, :1]).float().expand_as(image)
    return (image + 0.3 * changed).clamp(0, 1), changed


def gradients_of_one_step(rank: int, processes: int, folder: str) -> None:
    """Write the gradients of the first step; with one process, on all images in the order that joins the two halves."""
    torch.set_num_threads(1)
    step: nn.Module = OneStep()
    if processes == 1:
        halves = images().split(PER_PROCESS)
        batch = torch.cat([*(half[:INTACT] for half in halves), *(half[INTACT:] for half in halves)])
    else:
        distributed.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=processes)
        batch, step = images().split(PER_PROCESS)[rank], DistributedDataParallel(step)
    with (
        mock.patch.object(torch_model, "random_masks", fixed_masks),
        mock.patch.object(lightning_model, "corrupt", fixed_corruption),
    ):
        step(batch).backward()
    gradients = {
        name.removeprefix("module."): parameter.grad
        for name, parameter in step.named_parameters()
        if parameter.grad is not None
    }
    torch.save(
        {name.removeprefix("module."): gradient for name, gradient in gradients.items()},
        f"{folder}/{processes}-{rank}.pt",
    )
    if processes > 1:
        distributed.destroy_process_group()


@pytest.mark.slow
def test_gradients_of_two_processes_equal_those_of_one(tmp_path: Path) -> None:
    gradients_of_one_step(0, 1, str(tmp_path))
    multiprocessing.spawn(gradients_of_one_step, args=(2, str(tmp_path)), nprocs=2)
    one, two = (torch.load(tmp_path / name) for name in ("1-0.pt", "2-0.pt"))
    assert one.keys() == two.keys()
    assert len(one) > 50
    for name, gradient in one.items():
        assert torch.allclose(gradient, two[name], rtol=0, atol=1e-5), name
    assert max(gradient.abs().max() for gradient in one.values()) > 1e-2
