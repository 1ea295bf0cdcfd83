# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""A model repository for OpenVINO Model Server: versioned models, a configuration, and a client."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from anomalib_patchgan.deploy.device import HINTS
from anomalib_patchgan.deploy.identity import ModelIdentity, file_sha256, read_model
from anomalib_patchgan.errors import InputError
from anomalib_patchgan.io import write_whole
from anomalib_patchgan.outputs import not_writable

CONFIGURATION, CLIENT = "config.json", "client.py"
_MODELS = "model_config_list"
# Where the server's container finds the repository.
_MOUNTED = "/models"
_CLIENT = Path(__file__).parent / "serving_client.py"


def write_model_repository(
    model: Path, repository: Path, name: str, hint: str = "throughput", mounted: str = _MOUNTED
) -> Path:
    """Add a model to a repository, as a new version if it is there already under that name.

    The layout is the one that the server documents: ``NAME/VERSION/model.xml`` with its weights, and a ``config.json``
    that lists every model; what a user added to that file stays. The precision that the model was exported for is
    declared to the server too, which would else compute in bfloat16 on CPUs that have it. The client is standard
    library and numpy only.

    Args:
        model: The ``.xml`` file that ``anomalib-patchgan export`` wrote.
        repository: Folder of the repository; made if it is missing.
        name: What clients call the model; letters, digits, ``-`` and ``_``.
        hint: ``throughput`` or ``latency``.
        mounted: Where the server finds the repository.

    Returns:
        The folder of the version. A model that is the latest version already is not added again.

    Raises:
        InputError: If the model was not exported by this package, the name or the repository cannot be used, or the
            client would not prepare images as the model takes them.
    """
    if not name or not set(name.lower()) <= set("abcdefghijklmnopqrstuvwxyz0123456789-_"):
        raise InputError(f"name: found {name!r}, expected letters, digits, - and _.")
    if hint not in HINTS:
        raise InputError(f"hint: found {hint!r}, expected one of {', '.join(HINTS)}.")
    _, identity = read_model(model)
    _check_preparation(model, identity)
    configuration = _read_configuration(repository / CONFIGURATION)
    versions = sorted(int(folder.name) for folder in (repository / name).glob("*") if folder.name.isdigit())
    latest = repository / name / str(versions[-1]) if versions else None
    if latest is None or not _is_same(latest / "model.xml", model):
        latest = repository / name / str(versions[-1] + 1 if versions else 1)
        _copy_whole(model, latest)
    _put_entry(configuration[_MODELS], _entry(name, identity, hint, mounted))
    content = json.dumps(configuration, indent=2) + "\n"
    _write(repository / CONFIGURATION, content.encode())
    _write(repository / CLIENT, _CLIENT.read_bytes())
    return latest


def _check_preparation(model: Path, identity: ModelIdentity) -> None:
    for name, found in (
        ("patch_size", "patches"),
        ("colour_constancy", "balanced colours"),
        ("aliased", "images resized without antialiasing"),
    ):
        if identity.preparation.get(name):
            raise InputError(
                f"{model}: found a model of {found}, expected one of whole images as they are, which is all that the "
                "client sends; `anomalib-patchgan predict` runs this one."
            )


def _entry(name: str, identity: ModelIdentity, hint: str, mounted: str) -> dict[str, Any]:
    return {
        "name": name,
        "base_path": f"{mounted}/{name}",
        "target_device": "CPU",
        "model_version_policy": {"latest": {"num_versions": 1}},
        "plugin_config": {
            "PERFORMANCE_HINT": HINTS[hint],
            "INFERENCE_PRECISION_HINT": identity.inference_precision,
        },
    }


def _put_entry(entries: list[dict[str, Any]], own: dict[str, Any]) -> None:
    """Update the entry of a name, or add it; what a user added to it stays."""
    found = next((entry["config"] for entry in entries if entry["config"]["name"] == own["name"]), None)
    if found is None:
        entries.append({"config": own})
        return
    plugin = found.get("plugin_config")
    added = plugin if isinstance(plugin, dict) else {}
    found.update(own | {"plugin_config": added | own["plugin_config"]})


def _read_configuration(path: Path) -> dict[str, Any]:
    """All that a configuration says; one that lists no model where there is none yet."""
    try:
        configuration = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {_MODELS: []}
    except OSError as error:
        raise InputError(f"{path}: found a file that cannot be read ({error.strerror}), expected one.") from error
    except ValueError:
        configuration = None
    if not _is_configuration(configuration):
        raise InputError(f"{path}: found no configuration of a model server, expected `{_MODELS}`.")
    return configuration


def _is_configuration(content: Any) -> bool:
    entries = content.get(_MODELS) if isinstance(content, dict) else None
    if not isinstance(entries, list):
        return False
    configs = [entry.get("config") if isinstance(entry, dict) else None for entry in entries]
    return all(isinstance(config, dict) and "name" in config for config in configs)


def _write(path: Path, content: bytes) -> None:
    try:
        write_whole(path, content)
    except OSError as error:
        raise not_writable(path, error.strerror) from error


def _is_same(first: Path, second: Path) -> bool:
    pairs = [(first.with_suffix(ending), second.with_suffix(ending)) for ending in (".xml", ".bin")]
    return all(one.is_file() and file_sha256(one) == file_sha256(other) for one, other in pairs)


def _copy_whole(model: Path, folder: Path) -> None:
    """Copy a model so that a server that looks meanwhile sees the version whole or not at all."""
    # The server takes folders with a number for a name only.
    unfinished = folder.with_name(f"unfinished-{folder.name}")
    shutil.rmtree(unfinished, ignore_errors=True)
    try:
        unfinished.mkdir(parents=True)
        for ending in (".xml", ".bin"):
            shutil.copyfile(model.with_suffix(ending), unfinished / f"model{ending}")
        unfinished.rename(folder)
    except OSError as error:
        raise InputError(
            f"{folder}: found a folder that cannot be written ({error.strerror}), expected one."
        ) from error
