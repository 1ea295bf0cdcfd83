# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""One small Patch-GAN, exported once in every precision."""

from types import SimpleNamespace

import numpy as np
import pytest
from small_model import NormalImages, make_model

from anomalib_patchgan import PatchGan
from anomalib_patchgan.deploy import quantisation
from anomalib_patchgan.deploy.export import PRECISIONS, export_model


@pytest.fixture(scope="session")
def model() -> PatchGan:
    return make_model()


@pytest.fixture(scope="session")
def datamodule() -> SimpleNamespace:
    return SimpleNamespace(val_data=NormalImages(40, 2, abnormal=False), test_data=NormalImages(40, 3, abnormal=True))


@pytest.fixture(scope="session")
def exported(model, datamodule, tmp_path_factory):
    """The .xml file of each precision."""
    with pytest.MonkeyPatch.context() as patch:
        # A hardly trained model scores all alike, so that images change places by rounding alone.
        patch.setattr(quantisation, "TOLERATED_DISCORDANCE", 0.05)
        return export_model(model, tmp_path_factory.mktemp("exported"), list(PRECISIONS), datamodule)


@pytest.fixture(scope="session")
def images(datamodule) -> np.ndarray:
    return datamodule.test_data.images.numpy()
