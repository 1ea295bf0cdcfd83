# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""Whether two results are of the very same test images, which the split does not say: it lists subjects alone."""

import hashlib
import json

from anomalib_patchgan.report.cells import leaves
from anomalib_patchgan.report.findings import DataResult

_PARAMETERS = ("protocol_parameters", "phantom_parameters", "image_size")
_COLUMNS = ["sample_id", "subject_id", "label"]


def image_parameters(data: DataResult) -> dict[str, str]:
    """What made the images of a data set, such as the modality and the phantoms' level, by its name in the card."""
    return dict(leaves({name: data.card.get(name) for name in _PARAMETERS}))


def images_digest(data: DataResult) -> str | None:
    """SHA-256 of what made the test images, of the samples and of their labels; None where they are not known."""
    if data.record is None:
        return None
    content = [image_parameters(data), data.record.samples[_COLUMNS].astype(str).to_dict("list")]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
