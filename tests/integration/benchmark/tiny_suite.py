# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""A suite of tiny models, and what its store holds."""

import yaml

from anomalib_patchgan.store import Store

MODELS = {
    "Tiny": {"class_path": "tiny_benchmark.TinyModel", "role": "method", "trainer": {"max_epochs": 3}},
    "Raising": {"class_path": "tiny_benchmark.RaisingModel", "trainer": {"max_epochs": 1}},
    "Undefined": {"class_path": "tiny_benchmark.UndefinedModel", "trainer": {"max_epochs": 1}},
    "Tiny by steps": {"class_path": "tiny_benchmark.TinyModel", "trainer": {"max_steps": 1}},
}


def write_suite(folder, models):
    (folder / "data").mkdir(parents=True)
    (folder / "data" / "file").write_text("content")
    suite = {
        "name": "tiny",
        "question": "Does the tiny model see bright squares?",
        "method": "Tiny",
        "seeds": [0, 1],
        "store": str(folder / "store"),
        "report": str(folder / "report"),
        "data": {
            "squares": {
                "class_path": "tiny_benchmark.TinyData",
                "init_args": {"root": str(folder / "data"), "cache_dir": str(folder / "cache")},
            }
        },
        "models": models,
    }
    (folder / "suite.yaml").write_text(yaml.safe_dump(suite, sort_keys=False))
    return folder / "suite.yaml"


def runs_by_model(path, seed=0, with_maps=False):
    store = Store(path.parent / "store")
    jobs = [job for job in store.load_plan()["jobs"] if job["seed"] == seed]
    return {job["model"]: store.load_run(job["key"], with_maps=with_maps) for job in jobs}


def contents(folder):
    return {path.relative_to(folder): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}
