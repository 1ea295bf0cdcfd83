# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""A hospital's own data, from a CSV file to the report: Patch-GAN on images with masks and on volumes."""

import csv

import nibabel
import numpy as np
import pytest
import yaml
from PIL import Image

from anomalib_patchgan.cli import main
from anomalib_patchgan.store import Store

HEADER = ("image", "mask", "label", "subject_id", "split")


def write_manifest(folder, rows):
    with (folder / "manifest.csv").open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream).writerows([HEADER, *rows])
    return folder


def write_pictures(folder, count=16):
    """Grey noise; the last four show a bright square, which their mask covers."""
    folder.mkdir()
    rows = []
    for number in range(count):
        pixels = np.random.default_rng(number).integers(40, 120, (32, 32)).astype(np.uint8)
        name, mask, label = f"{number:02d}.png", "", "normal"
        if number >= count - 4:
            pixels[8:20, 8:20] = 220
            truth = np.zeros_like(pixels)
            truth[8:20, 8:20] = 1
            mask, label = f"{number:02d}_mask.png", "abnormal"
            Image.fromarray(truth).save(folder / mask)
        Image.fromarray(pixels).save(folder / name)
        rows.append([name, mask, label, f"patient {number}", ""])
    return write_manifest(folder, rows)


def write_volumes(folder, healthy=8, ill=4):
    """Scans in Hounsfield units, air around an ellipsoid; a dense ball in those of patients."""
    folder.mkdir()
    x, y, z = np.meshgrid(*(np.linspace(-1, 1, size) for size in (32, 32, 16)), indexing="ij")
    body = (x / 0.8) ** 2 + (y / 0.9) ** 2 + (z / 0.9) ** 2 < 1
    rows = []
    for number in range(healthy + ill):
        tissue = np.random.default_rng(number).normal(40, 15, body.shape)
        lesion = (x - 0.2) ** 2 + y**2 + z**2 < 0.3**2
        mask = ""
        if number >= healthy:
            tissue[lesion] += 120
            mask = f"{number}_mask.nii.gz"
            nibabel.save(nibabel.Nifti1Image(lesion.astype(np.uint8), np.diag([6.0, 6, 6, 1])), folder / mask)
        scan = np.where(body, tissue, -1000).astype(np.int16)
        nibabel.save(nibabel.Nifti1Image(scan, np.diag([6.0, 6, 6, 1])), folder / f"{number}.nii.gz")
        rows.append([f"{number}.nii.gz", mask, str(int(number >= healthy)), f"patient {number}", ""])
    return write_manifest(folder, rows)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hospital")
    common = {"image_size": 32, "cache_dir": str(folder / "cache"), "train_batch_size": 4}
    pictures, volumes = write_pictures(folder / "pictures"), write_volumes(folder / "volumes")
    suite = {
        "name": "hospital",
        "question": "Does Patch-GAN run on a manifest?",
        "method": "Patch-GAN",
        "seeds": [0],
        "store": str(folder / "store"),
        "report": str(folder / "report"),
        "data": {
            "pictures": {
                "class_path": "anomalib_patchgan.data.Manifest",
                "init_args": {"root": str(pictures), **common},
            },
            "volumes": {
                "class_path": "anomalib_patchgan.data.Manifest",
                "init_args": {
                    "root": str(volumes),
                    "intensity_range": [-160, 240],
                    "minimum_body_area": 1000,
                    "position_tolerance": 0.2,
                    "area_tolerance": 0.2,
                    **common,
                },
            },
        },
        "models": {
            "Patch-GAN": {
                "class_path": "anomalib_patchgan.models.PatchGan",
                "role": "method",
                "init_args": {"image_size": 32, "width": 8, "discriminator_width": 16},
                "trainer": {"max_epochs": 1},
            },
        },
    }
    path = folder / "suite.yaml"
    path.write_text(yaml.safe_dump(suite, sort_keys=False))
    status = main(["benchmark", str(path)])
    store = Store(folder / "store")
    runs = {job["data"]: store.load_run(job["key"]) for job in store.load_plan()["jobs"]}
    return status, store, runs, (folder / "report" / "index.html").read_text()


def test_patch_gan_trains_and_is_tested_on_each_manifest(finished):
    status, _, runs, _ = finished
    assert status == 0
    assert {name: run.status for name, run in runs.items()} == {"pictures": "finished", "volumes": "finished"}


@pytest.mark.parametrize(("name", "protocol"), [("pictures", "diagnosis"), ("volumes", "subject")])
def test_what_is_scored_is_what_the_manifest_lists(finished, name, protocol):
    _, store, runs, _ = finished
    samples = store.load_data(runs[name].data_key).samples
    assert runs[name].protocol == protocol
    assert set(samples["label"]) == {0, 1}
    assert len(runs[name].scores) == len(samples)
    assert np.isfinite(runs[name].scores["raw_score"]).all()


@pytest.mark.parametrize("name", ["pictures", "volumes"])
def test_what_the_method_reconstructs_is_kept_and_shown(finished, name):
    _, store, runs, page = finished
    kept = store.load_run(runs[name].key, with_maps=True).reconstructions
    assert (kept.dtype, kept.shape) == (np.uint8, (len(runs[name].scores), 32, 32, 3))
    assert kept.std() > 0
    assert "Reconstruction" in page


@pytest.mark.parametrize("name", ["pictures", "volumes"])
def test_the_report_states_the_protocol_and_measures_pixels(finished, name):
    _, store, runs, page = finished
    assert store.load_data(runs[name].data_key).card["normal_means"] in page
    assert "Pixel AP" in page
