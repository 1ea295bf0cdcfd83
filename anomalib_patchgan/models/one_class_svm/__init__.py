# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""One-class SVM on pixels."""

from anomalib_patchgan.models.one_class_svm.lightning_model import OneClassSvm

__all__ = ["OneClassSvm"]
