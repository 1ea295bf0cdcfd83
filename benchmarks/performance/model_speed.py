# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""Compares Patch-GAN with anomalib's GANomaly and PaDiM, and with variants of itself: speed and peak memory.

    python benchmarks/performance/model_speed.py --size 128

A training step is one of every network on a batch. Inference is that of the torch module on one image at the model's
size (test-time masks included). Both are in 32 bits, on the CPU, in rounds that take turns. PaDiM reads
EfficientNet-Lite0 as in the suites and has no training step. Peak memory is that of a process of its own (Linux) that
builds a model, fits PaDiM to four batches, and scores 32 images one by one, less that of a process that only imports.
"""

from __future__ import annotations

import argparse
import multiprocessing
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import torch
from anomalib.models import Ganomaly, Padim
from anomalib.pre_processing import PreProcessor
from measuring import interleaved, publish, ratios
from torchvision.transforms.v2 import Compose, Resize

import anomalib_patchgan.models.backbones  # noqa: F401 - registers efficientnet_lite0_wheel
from anomalib_patchgan.deploy.latency_child import peak_mib
from anomalib_patchgan.models import PatchGan

if TYPE_CHECKING:
    from collections.abc import Callable

_BATCH, _IMAGES = 32, 32
_REFERENCE = "Patch-GAN"
_PATCH_GANS: dict[str, dict[str, Any]] = {
    _REFERENCE: {"channels": 1},
    "Patch-GAN, three channels": {"channels": 3},
    "Patch-GAN, three channels and ImageNet features": {"channels": 3, "perceptual": True},
}


def build(name: str, size: int) -> Any:
    """Build a model for images of a size; PaDiM is fitted to noise, for its time does not depend on what it fits."""
    plain = {"evaluator": False, "visualizer": False}
    if name == "nothing":
        return None
    if name in _PATCH_GANS:
        model: Any = PatchGan(image_size=size, **_PATCH_GANS[name], **plain)
        model.log_dict = lambda *_, **__: None
        return model
    sized = PreProcessor(transform=Compose([Resize((size, size))]))
    if name == "GANomaly":
        model = Ganomaly(pre_processor=sized, **plain)
        model.log_dict = lambda *_, **__: None
        return model
    model = Padim(
        backbone="efficientnet_lite0_wheel",
        layers=["blocks.1", "blocks.2", "blocks.4"],
        n_features=100,
        pre_processor=sized,
        **plain,
    )
    model.model.train()
    for _ in range(4):
        model.model(torch.rand(_BATCH, 3, size, size))
    model.model.fit()
    return model


def training_step(name: str, model: Any, images: torch.Tensor) -> Callable[[], None]:
    """One step of every network of a model on a batch."""
    batch = SimpleNamespace(image=images)
    if name in _PATCH_GANS:
        optimizer = torch.optim.Adam(model.model.parameters(), lr=1e-4)

        def patchgan() -> None:
            optimizer.zero_grad()
            model.training_step(batch).backward()
            model.on_before_optimizer_step(optimizer)
            optimizer.step()

        return patchgan
    optimizers = model.configure_optimizers()
    # What its manual optimisation asks of a trainer.
    model.optimizers = lambda: optimizers
    model.manual_backward = lambda loss, **options: loss.backward(**options)
    return lambda: model.training_step(batch, 0)


def score(model: Any, image: torch.Tensor) -> None:
    """Score one image."""
    with torch.inference_mode():
        model(image)


def peak_memory(name: str, size: int, answer: Any) -> None:
    """Send the peak memory of this process in MiB after scoring with a model."""
    torch.set_num_threads(1)
    model = build(name, size)
    if model is not None:
        model.model.eval()
        for image in torch.rand(_IMAGES, 1, 3, size, size):
            score(model.model, image)
    answer.send(peak_mib())


def measure_memory(name: str, size: int) -> float:
    """Peak memory in MiB of a process of its own."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=peak_memory, args=(name, size, there))
    process.start()
    result = float(here.recv())
    process.join()
    return result


def main() -> None:
    """Measure and publish."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=128, help="rows and columns of an image")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--out", type=Path, help="Markdown file to write the table to")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    names = (*_PATCH_GANS, "PaDiM", "GANomaly")
    models = {name: build(name, options.size) for name in names}
    images = torch.rand(_BATCH, 3, options.size, options.size)
    trained = [name for name in names if name != "PaDiM"]
    steps = interleaved(max(3, options.rounds // 5), *(training_step(name, models[name], images) for name in trained))
    networks = {name: models[name].model.eval() for name in names}
    times = interleaved(
        options.rounds, *(lambda net=net: [score(net, images[:1]) for _ in range(5)] for net in networks.values())
    )
    base = measure_memory("nothing", options.size)
    rows = []
    for name, timing in zip(names, times, strict=True):
        step = "none"
        if name in trained:
            low, middle, high = ratios(steps[trained.index(name)].seconds, steps[0].seconds)
            step = f"{middle:.2f} ({low:.2f} to {high:.2f})"
        low, middle, high = ratios(timing.seconds, times[0].seconds)
        parameters = sum(parameter.numel() for parameter in models[name].parameters())
        memory = measure_memory(name, options.size) - base
        inference = f"{middle:.2f} ({low:.2f} to {high:.2f})"
        rows.append([name, f"{parameters / 1e6:.2f} M", step, inference, f"{memory:.0f} MiB"])
    header = ["model", "parameters", "training step", "inference", "peak memory above imports"]
    notes = (
        f"Times relative to {_REFERENCE}'s (below 1 is faster), median of {options.rounds} interleaved rounds, "
        f"{options.size} x {options.size} pixels, {options.threads} threads; a step is of {_BATCH} images, inference "
        "of one."
    )
    publish("Patch-GAN beside GANomaly and PaDiM", header, rows, notes, options.out)


if __name__ == "__main__":
    main()
