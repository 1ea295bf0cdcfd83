# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""What is computed in full precision whatever the precision of training."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def full_precision(device: torch.device) -> Iterator[None]:
    """Compute in 32 bits, as the exported graph does, even under a trainer of mixed precision.

    Autocast reaches every product of matrices, so that even the grid by which an image is turned is rounded to eight
    bits. On CUDA 32 bits are not said by that alone: PyTorch's convolutions round their input to TF32, which has as few
    digits as FP16, unless it is forbidden (0.8 % of the spread of the scores of random images on an H100).

    Args:
        device: Where it is computed.
    """
    products = (torch.backends.cudnn.conv, torch.backends.cuda.matmul)  # type: ignore[attr-defined]
    allowed = [product.fp32_precision for product in products]
    for product in products:
        product.fp32_precision = "ieee"
    try:
        with torch.autocast(device.type, enabled=False):
            yield
    finally:
        for product, before in zip(products, allowed, strict=True):
            product.fp32_precision = before
