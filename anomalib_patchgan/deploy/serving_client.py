# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""Asks an OpenVINO Model Server for the scores of images: python client.py http://localhost:8000 NAME IMAGE.png ...

Speaks the KServe v2 protocol over REST, with the tensors as raw bytes behind the JSON (its binary data extension).
Needs numpy and Pillow only. Images of eight bits are brought to [0, 1] and to the model's size; use the predictor of
anomalib-patchgan for volumes and for images of 16 bits.
"""

import argparse
import json
import sys
import urllib.request
from typing import Any

import numpy as np
from PIL import Image

_TYPES = {"FP32": np.float32, "BOOL": np.bool_}
_HEADER_LENGTH = "Inference-Header-Content-Length"


def infer(server: str, model: str, images: np.ndarray, outputs: tuple[str, ...]) -> dict[str, np.ndarray]:
    """Ask for outputs of a model.

    Args:
        server: Address, for instance ``http://localhost:8000``.
        model: Name of the model.
        images: In [0, 1], float32 ``[N, 3, height, width]``.
        outputs: Names of the outputs.

    Returns:
        The outputs by name.
    """
    images = np.ascontiguousarray(images, dtype=np.float32)
    tensor = {"name": "input", "shape": images.shape, "datatype": "FP32"}
    description = {
        "inputs": [tensor | {"parameters": {"binary_data_size": images.nbytes}}],
        "outputs": [{"name": name, "parameters": {"binary_data": True}} for name in outputs],
    }
    header = json.dumps(description).encode()
    request = urllib.request.Request(  # noqa: S310 - the user names the server
        f"{server}/v2/models/{model}/infer",
        data=header + images.tobytes(),
        headers={_HEADER_LENGTH: str(len(header)), "Content-Type": "application/octet-stream"},
    )
    with urllib.request.urlopen(request) as response:  # noqa: S310
        content = response.read()
        length = int(response.headers[_HEADER_LENGTH])
    found: dict[str, np.ndarray] = {}
    start = length
    for output in json.loads(content[:length])["outputs"]:
        size = int(output["parameters"]["binary_data_size"])
        values: np.ndarray = np.frombuffer(content[start : start + size], dtype=_TYPES[output["datatype"]])
        found[output["name"]] = values.reshape(output["shape"])
        start += size
    return found


def input_size(server: str, model: str) -> tuple[int, int]:
    """Height and width that a model takes, as the server tells.

    Args:
        server: Address.
        model: Name of the model.
    """
    with urllib.request.urlopen(f"{server}/v2/models/{model}") as response:  # noqa: S310
        description: dict[str, Any] = json.loads(response.read())
    _, _, height, width = description["inputs"][0]["shape"]
    return int(height), int(width)


def _read(path: str, height: int, width: int) -> np.ndarray:
    picture = Image.open(path)
    if picture.mode.startswith(("I", "F")):
        sys.exit(f"error: {path}: found more than eight bits, expected eight; `anomalib-patchgan predict` reads it.")
    resized = picture.convert("RGB").resize((width, height), Image.Resampling.BILINEAR)
    return np.asarray(resized, dtype=np.float32).transpose(2, 0, 1) / 255


def main() -> None:
    """Print the score and the label of each image."""
    parser = argparse.ArgumentParser(description="Ask an OpenVINO Model Server for the scores of images.")
    parser.add_argument("server")
    parser.add_argument("model")
    parser.add_argument("images", nargs="+")
    options = parser.parse_args()
    try:
        height, width = input_size(options.server, options.model)
        batch = np.stack([_read(path, height, width) for path in options.images])
        found = infer(options.server, options.model, batch, ("pred_score", "pred_label"))
    except OSError as error:  # of the network and of files, Pillow's too
        sys.exit(f"error: {options.server}, {options.model}: {error}")
    for path, score, label in zip(options.images, found["pred_score"], found["pred_label"], strict=True):
        sys.stdout.write(f"{path}\t{score:.4f}\t{'abnormal' if label else 'normal'}\n")


if __name__ == "__main__":
    main()
