# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""Models of anomalib that need an adapter before they run without a download."""

from anomalib_patchgan.models.adapted.cfa import Cfa
from anomalib_patchgan.models.adapted.draem import Draem
from anomalib_patchgan.models.adapted.fastflow import Fastflow
from anomalib_patchgan.models.adapted.reverse_distillation import ReverseDistillation

__all__ = ["Cfa", "Draem", "Fastflow", "ReverseDistillation"]
