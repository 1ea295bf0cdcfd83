# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""Pictures of other anatomies than brain and skin, drawn from simple shapes: no method was tuned on them."""

from anomalib_patchgan.data.phantoms.pictures import chest, fundus, tissue
from anomalib_patchgan.data.phantoms.pictures.canvas import Anatomy

ANATOMIES: dict[str, Anatomy] = {
    "chest": Anatomy(chest.KINDS, chest.draw_healthy, chest.add_lesion),
    "fundus": Anatomy(fundus.KINDS, fundus.draw_healthy, fundus.add_lesion),
    "tissue": Anatomy(tissue.KINDS, tissue.draw_healthy, tissue.add_lesion),
}
"""Name -> how it is drawn."""
