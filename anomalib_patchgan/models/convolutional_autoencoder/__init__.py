# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""A convolutional autoencoder."""

from anomalib_patchgan.models.convolutional_autoencoder.lightning_model import ConvolutionalAutoencoder

__all__ = ["ConvolutionalAutoencoder"]
