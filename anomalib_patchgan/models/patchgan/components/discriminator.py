# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""The patch discriminator: one authenticity logit per patch, from nothing but that patch."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import parametrize
from torch.nn.utils.parametrizations import spectral_norm

# What a logit may judge.
JUDGEMENTS = ("patch", "image", "both")


class SpectralLinear(nn.Linear):
    """A linear layer under spectral normalisation (Miyato et al., 2018) that can be pickled.

    PyTorch refuses to pickle such layers; anomalib's export to PyTorch and distributed training by spawned processes
    pickle the whole model.

    Args:
        inputs: Units in.
        outputs: Units out.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs)
        spectral_norm(self)

    def __reduce_ex__(self, protocol: Any) -> Any:
        """Pickle what the layer is made anew from."""
        if not parametrize.is_parametrized(self):
            return super().__reduce_ex__(protocol)
        return _made_anew, (self.in_features, self.out_features, self.training, self.state_dict())


def _made_anew(inputs: int, outputs: int, training: bool, state: dict[str, Tensor]) -> SpectralLinear:
    layer = SpectralLinear(inputs, outputs).train(training)
    # Assigned and not copied: the weights stay on their device.
    layer.load_state_dict(state, assign=True)
    return layer


class PatchDiscriminator(nn.Module):
    """Judges each patch of a grid by itself.

    A patch is folded into one vector before the first layer, so the receptive field of a logit is its patch exactly.
    Layers are linear on that vector: on patches this small they train several times faster on a CPU than strided
    convolutions. Spectral normalisation (Miyato et al., 2018) bounds the logits' slope.

    Args:
        channels: Image channels C.
        width: Units of both hidden layers.
        features: Length F of the feature vector that each patch's logit is computed from.
        patch_size: Side p of a patch in pixels.
        judgement: What a logit judges: ``patch``, ``image`` (the mean over all patches' features; the same logit for
            every patch) or ``both`` (their sum).
    """

    def __init__(self, channels: int, width: int, features: int, patch_size: int, judgement: str = "patch") -> None:
        super().__init__()
        self.patch_size = patch_size
        self.first = SpectralLinear(channels * patch_size**2, width)
        self.second = SpectralLinear(width, width)
        self.features = SpectralLinear(width, features)
        self.logit = None if judgement == "image" else SpectralLinear(features, 1)
        self.image_logit = None if judgement == "patch" else SpectralLinear(features, 1)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Judge every patch.

        Args:
            image: [N, C, H, W] in [0, 1], H and W multiples of the patch size.

        Returns:
            Logits [N, 1, H/p, W/p], high where the patch (or the image) looks real and intact, and features
            [N, F, H/p, W/p].
        """
        # Centred and spread out, because spectral normalisation keeps every layer's gain at 1.
        patches = functional.pixel_unshuffle(4 * (image - 0.5), self.patch_size).permute(0, 2, 3, 1)
        hidden = functional.leaky_relu(self.first(patches), 0.2)
        features = self.features(functional.leaky_relu(self.second(hidden), 0.2))
        seen = functional.leaky_relu(features, 0.2)
        logits = torch.zeros_like(features[..., :1])
        if self.logit is not None:
            logits = logits + self.logit(seen)
        if self.image_logit is not None:
            logits = logits + self.image_logit(seen.mean(dim=(1, 2), keepdim=True))
        return logits.permute(0, 3, 1, 2), features.permute(0, 3, 1, 2)
