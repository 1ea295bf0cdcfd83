# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""One-class SVM by anomalib's model contract."""

from anomalib.metrics import Evaluator
from anomalib.post_processing import PostProcessor
from anomalib.pre_processing import PreProcessor
from anomalib.visualization import Visualizer

from anomalib_patchgan.models.components.fitted_once import FittedOnce
from anomalib_patchgan.models.one_class_svm.torch_model import OneClassSvmModel


class OneClassSvm(FittedOnce):
    """One-class SVM on the pixels of a thumbnail, one of the comparators in the precursor's scripts.

    Args:
        image_size (int): Side of the thumbnail in pixels; 32 is the precursor's patch.
            Defaults to ``32``.
        nu (float): Upper bound on the share of training images left outside, in (0, 1]. Chosen by us.
            Defaults to ``0.1``.
        pre_processor (PreProcessor | bool): Pre-processor, or whether to use the default (resize to the thumbnail).
            Defaults to ``True``.
        post_processor (PostProcessor | bool): Post-processor, or whether to use the default.
            Defaults to ``True``.
        evaluator (Evaluator | bool): Evaluator, or whether to use anomalib's default.
            Defaults to ``True``.
        visualizer (Visualizer | bool): Visualizer, or whether to use anomalib's default.
            Defaults to ``True``.
    """

    def __init__(
        self,
        image_size: int = 32,
        nu: float = 0.1,
        pre_processor: PreProcessor | bool = True,
        post_processor: PostProcessor | bool = True,
        evaluator: Evaluator | bool = True,
        visualizer: Visualizer | bool = True,
    ) -> None:
        super().__init__((image_size, image_size), pre_processor, post_processor, evaluator, visualizer)
        self.model = OneClassSvmModel(nu)
