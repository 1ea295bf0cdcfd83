# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""Losses of Patch-GAN, all on logits or plain differences, each a mean so that no weight depends on the image size."""

from torch import Tensor
from torch.nn import functional

from anomalib_patchgan.models.patchgan.components.processes import mean_over_processes


def masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    """Mean of values [N, 1, h, w] where the mask of the same shape is 1; 0 where the mask is empty.

    The number of ones is averaged over processes, so that the mean over their losses is the mean over all values.
    """
    return (values * mask).sum() / mean_over_processes(mask.sum()).clamp_min(1e-6)


def discriminator_loss(
    real: Tensor,
    reconstructed: Tensor,
    hidden: Tensor,
    corrupted: Tensor,
    changed: Tensor,
) -> Tensor:
    """Hinge loss (Lim and Ye, 2017): real patches above 1, reconstructed and corrupted patches below -1.

    A discriminator that only sees reconstructions as fakes learns the generator's fingerprints; the corrupted patches
    teach it what a departure from normal looks like.

    Args:
        real: Logits [N, 1, h, w] of intact patches.
        reconstructed: Logits [N, 1, h, w] of reconstructed patches.
        hidden: [N, 1, h, w], 1 for patches that the reconstructor did not see.
        corrupted: Logits [M, 1, h, w] of corrupted images.
        changed: [M, 1, h, w], 1 for patches that the corruption changed.

    Returns:
        Scalar.
    """
    on_real = functional.relu(1 - real).mean()
    on_reconstructed = masked_mean(functional.relu(1 + reconstructed), hidden)
    on_corrupted = masked_mean(functional.relu(1 + corrupted), changed)
    return on_real + 0.5 * (on_reconstructed + on_corrupted)


def adversarial_loss(reconstructed: Tensor, hidden: Tensor) -> Tensor:
    """What the reconstructor pays where its hidden patches look unreal: the negative logit, averaged."""
    return masked_mean(-reconstructed, hidden)


def pairwise_ranking_loss(importance: Tensor, changed: Tensor, intact: Tensor) -> Tensor:
    """Logistic pairwise ranking loss (Burges et al., 2005) over all pairs of a changed and an intact patch.

    Args:
        importance: Logits [n] of patches, from as many images as there are.
        changed: [n] bool, patches that should rank first.
        intact: [n] bool, patches that should rank last; patches in neither are left out.

    Returns:
        Scalar: mean of log(1 + exp(intact - changed)) over the pairs; 0 where there is no pair.
    """
    first, last = importance[changed], importance[intact]
    if not len(first) or not len(last):
        return importance.sum() * 0
    return functional.softplus(last.unsqueeze(0) - first.unsqueeze(1)).mean()
