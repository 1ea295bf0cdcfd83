# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""Models of anomalib that need an adapter before they run as their authors meant, and without a download."""

from anomalib_patchgan.models.adapted.cfa import Cfa
from anomalib_patchgan.models.adapted.cflow import Cflow
from anomalib_patchgan.models.adapted.draem import Draem
from anomalib_patchgan.models.adapted.fastflow import Fastflow
from anomalib_patchgan.models.adapted.ganomaly import Ganomaly
from anomalib_patchgan.models.adapted.reverse_distillation import ReverseDistillation
from anomalib_patchgan.models.adapted.stfpm import Stfpm
from anomalib_patchgan.models.adapted.supersimplenet import Supersimplenet

__all__ = ["Cfa", "Cflow", "Draem", "Fastflow", "Ganomaly", "ReverseDistillation", "Stfpm", "Supersimplenet"]
