# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""The distribution of a patch's evidence over normal images, and how far a patch lies outside it."""

import torch
from torch import Tensor, nn

from anomalib_patchgan.models.patchgan.components.processes import mean_over_processes

# How many normal images a grid position's own mean weighs against the mean over all positions.
POSITION_PRIOR = 16.0
# Added to the covariance's diagonal, relative to its mean, so that it can always be inverted.
RIDGE = 1e-3
# Weight of the newest batch in the moving averages of training.
MOMENTUM = 0.05


def whitening(covariance: Tensor) -> Tensor:
    """Symmetric whitening matrix of a covariance (ZCA).

    The symmetric root keeps each whitened component closest to the one it came from (Kessy et al., 2018), so a large
    positive component still means what it meant before.

    Args:
        covariance: [D, D].

    Returns:
        A symmetric matrix A [D, D] with ``A cov A = I``.
    """
    covariance = covariance.double()
    ridge = RIDGE * covariance.diagonal().mean() + 1e-8
    values, vectors = torch.linalg.eigh(covariance + ridge * torch.eye(len(covariance), device=covariance.device))
    return (vectors / values.sqrt() @ vectors.T).float()


def covariance(centred: Tensor) -> Tensor:
    """Second moment [D, D] of centred samples [n, D]."""
    centred = centred.double()
    return (centred.T @ centred / max(1, len(centred) - 1)).float()


class NoveltyDistribution(nn.Module):
    """A Gaussian per grid position with a covariance common to all, kept in buffers and so part of the export.

    The mean of a position is drawn towards the mean over all positions (shrinkage), by as much as fewer normal images
    have been seen, so it serves aligned anatomy and unaligned patches alike.

    Args:
        dimensions: Length D of a patch's vector.
        rows: Patches down the image.
        columns: Patches across the image.
    """

    mean: Tensor
    whiten: Tensor
    running_mean: Tensor
    running_covariance: Tensor
    running_steps: Tensor

    def __init__(self, dimensions: int, rows: int, columns: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(dimensions, rows, columns))
        self.register_buffer("whiten", torch.eye(dimensions))
        self.register_buffer("running_mean", torch.zeros(dimensions))
        self.register_buffer("running_covariance", torch.eye(dimensions))
        self.register_buffer("running_steps", torch.zeros(()))

    @torch.no_grad()
    def fit(self, vectors: Tensor) -> None:
        """Fit to vectors [n, D, rows, columns] of n normal images."""
        vectors = vectors.float()
        overall = vectors.mean(dim=(0, 2, 3), keepdim=True)[0]
        weight = len(vectors) / (len(vectors) + POSITION_PRIOR)
        self.mean.copy_(overall + weight * (vectors.mean(dim=0) - overall))
        residual = (vectors - self.mean).permute(0, 2, 3, 1).flatten(end_dim=2)
        self.whiten.copy_(whitening(covariance(residual)))

    @torch.no_grad()
    def track(self, normal: Tensor) -> None:
        """Follow the distribution while the networks still change: moving averages over batches of normal images.

        A batch whitened by its own statistics would look more normal than an unseen one ever does.

        Args:
            normal: [M, D, rows, columns] of intact normal images.
        """
        samples = normal.float().permute(0, 2, 3, 1).flatten(end_dim=2)
        weight = (1 / (self.running_steps + 1)).clamp_min(MOMENTUM)
        mean = mean_over_processes(samples.mean(dim=0))
        self.running_covariance.lerp_(mean_over_processes(covariance(samples - mean)), weight)
        self.running_mean.lerp_(mean, weight)
        self.running_steps.add_(1)

    def whiten_in_training(self, vectors: Tensor) -> Tensor:
        """Whiten [N, D, rows, columns] by the moving averages."""
        matrix = whitening(self.running_covariance)
        return torch.einsum("de,nehw->ndhw", matrix, vectors.float() - self.running_mean.view(1, -1, 1, 1))

    def standardise(self, vectors: Tensor) -> Tensor:
        """Bring each component of [N, D, rows, columns] to mean 0 and variance 1 by the moving averages.

        Unlike the fitted distribution these are the same in training and after it, which a network that was trained on
        what comes out needs.
        """
        scale = (self.running_covariance.diagonal() + 1e-6).sqrt()
        return (vectors - self.running_mean.view(1, -1, 1, 1)) / scale.view(1, -1, 1, 1)

    def forward(self, vectors: Tensor) -> Tensor:
        """Whiten vectors [N, D, rows, columns]: over normal images each component has mean 0 and variance 1."""
        return torch.einsum("de,nehw->ndhw", self.whiten, vectors - self.mean)
