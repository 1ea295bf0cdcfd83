# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""Images are brought to a model's size in an exported graph as they are in training."""

from typing import Any

import torch
from anomalib.pre_processing import PreProcessor
from torch import Tensor, nn
from torch.fx.experimental.symbolic_shapes import statically_known_true
from torchvision.transforms.v2 import Compose, Resize

from anomalib_patchgan.models.components.precision import full_precision


class ResizingPreProcessor(PreProcessor):
    """Resizes images, antialiased, and does so in an exported graph too.

    anomalib's own pre-processor leaves antialiasing out of what it exports, since ONNX has no such operation in
    PyTorch's exporter; of pictures larger than the model's images the graph would then see others than in training.

    Args:
        size: Height and width in pixels.
    """

    def __init__(self, size: tuple[int, int]) -> None:
        super().__init__(Compose([Resize(size, antialias=True)]))
        self._make_exportable()

    def load_checkpoint_config(self, config: dict[str, Any]) -> None:
        """Restore what a checkpoint says; one of before resizes without antialiasing, and goes on to."""
        super().load_checkpoint_config(config)
        self._make_exportable()

    def _make_exportable(self) -> None:
        # What is exported has the same steps, but with antialiasing turned off.
        for index, step in enumerate(getattr(self.transform, "transforms", ())):
            if isinstance(step, Resize) and step.antialias:
                self.export_transform.transforms[index] = ExportableResize(tuple(step.size))


class ExportableResize(nn.Module):
    """Bilinear resizing with antialiasing, as PyTorch's, by two products of matrices that ONNX has.

    Args:
        size: Height and width in pixels.
    """

    def __init__(self, size: tuple[int, int]) -> None:
        super().__init__()
        self.size = size

    def forward(self, images: Tensor) -> Tensor:
        """Resize images ``[N, C, H, W]`` of any height and width, which a graph may leave open."""
        (height, width), (rows, columns) = self.size, images.shape[-2:]
        if statically_known_true(rows == height) and statically_known_true(columns == width):
            return images
        with full_precision(images.device):
            return _weights(rows, height, images) @ images @ _weights(columns, width, images).mT


def _weights(length: int, wanted: int, like: Tensor) -> Tensor:
    """How much each of ``length`` pixels counts in each of ``wanted`` ones, [wanted, length]: a triangle's share."""
    scale = length / wanted
    centres = (torch.arange(wanted, device=like.device, dtype=like.dtype) + 0.5) * scale
    places = torch.arange(length, device=like.device, dtype=like.dtype) + 0.5
    # A number, or in a graph what stands for one.
    reach: Any = torch.sym_max(scale, 1.0)
    weights = (1 - (places - centres[:, None]).abs() / reach).clamp(min=0)
    return weights / weights.sum(dim=1, keepdim=True)
