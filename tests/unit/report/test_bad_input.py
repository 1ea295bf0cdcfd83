# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""Stores that are small, old, damaged or hostile: the page is right, or says what is missing."""

import html
import json
import re

import numpy as np
import pandas as pd
import pytest

from anomalib_patchgan.errors import InputError
from anomalib_patchgan.report import write_report
from anomalib_patchgan.store import SCHEMA_VERSION, DataRecord, Run, Store

MODELS = ("Patch-GAN", "Mean intensity")
DAMAGES = {
    "empty": lambda content: b"",
    "cut": lambda content: content[: len(content) // 2],
    "overwritten": lambda content: content[: len(content) // 2] + bytes(99) + content[len(content) // 2 + 99 :],
}


@pytest.fixture
def store(make_store):
    return make_store(names=("skin",), models=MODELS)


def text_of(page):
    return re.sub(r"\s+", " ", page.read_text())


def test_a_job_of_another_version_is_named_and_the_others_stand(store, tmp_path):
    path = store / "jobs" / "4-9-1" / "run.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"schema_version": SCHEMA_VERSION - 1}))
    page = text_of(write_report(store, tmp_path / "out"))
    assert "Patch-GAN on skin, seed 1: unreadable" in page
    assert f"has schema_version {SCHEMA_VERSION - 1}; this version of the package reads {SCHEMA_VERSION}" in page
    assert "1 of 4 jobs have no result." in page


def test_a_skipped_job_is_told_from_a_failed_one(store, tmp_path):
    plan = Store(store).load_plan()
    plan["jobs"][2]["key"], plan["jobs"][2]["skip"] = "never run", "needs weights from a hub."
    Store(store).save_plan(plan)
    page = text_of(write_report(store, tmp_path / "out"))
    assert "Mean intensity on skin, seed 0: skipped" in page
    assert "needs weights from a hub." in page


def test_a_store_of_another_version_is_a_sentence(store, tmp_path):
    path = store / "plan.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"schema_version": SCHEMA_VERSION + 1}))
    with pytest.raises(InputError, match=rf"plan.json has schema_version {SCHEMA_VERSION + 1}"):
        write_report(store, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("file", "column"), [("scores", "raw_score"), ("scores", "predicted_label")])
def test_a_job_without_a_column_is_named_and_the_others_stand(store, tmp_path, file, column):
    path = store / "jobs" / "4-9-1" / f"{file}.parquet"
    pd.read_parquet(path).drop(columns=column).to_parquet(path, index=False)
    page = text_of(write_report(store, tmp_path / "out"))
    assert "Patch-GAN on skin, seed 1: unreadable" in page
    assert f"KeyError: &#39;{column}&#39;" in page


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_job_whose_maps_are_damaged_is_named_and_the_others_stand(store, tmp_path, damage):
    path = store / "jobs" / "4-9-1" / "maps.npz"
    path.write_bytes(damage(path.read_bytes()))
    page = text_of(write_report(store, tmp_path / "out"))
    assert "Patch-GAN on skin, seed 1: unreadable" in page
    assert "1 of 4 jobs have no result." in page


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_data_whose_images_are_damaged_leave_every_job_unreadable_and_a_page(store, tmp_path, damage):
    (path,) = store.glob("data/*/images.npz")
    path.write_bytes(damage(path.read_bytes()))
    page = text_of(write_report(store, tmp_path / "out"))
    assert page.count(": unreadable</summary>") == 4


@pytest.mark.parametrize("file", ["jobs/14-9-0/maps.npz", "jobs/14-9-0/reconstructions.npz", "data/data-14/twins.npz"])
def test_pictures_that_are_damaged_once_their_scores_are_kept_leave_a_page_that_names_them(make_store, tmp_path, file):
    store = make_store(names=("brain phantoms",), models=MODELS)
    write_report(store, tmp_path / "out")
    content = bytearray((store / file).read_bytes())
    content[len(content) // 2] ^= 255
    (store / file).write_bytes(content)
    page = text_of(write_report(store, tmp_path / "out"))
    assert "No examples: the pictures in jobs/14-9-0 or data/data-14 cannot be read" in page
    assert 'class="example"' not in page


def test_samples_without_the_size_of_lesions_give_a_page_without_that_study(store, tmp_path):
    (path,) = store.glob("data/*/samples.parquet")
    table = pd.read_parquet(path)
    table.assign(lesion_fraction=np.nan).to_parquet(path, index=False)
    page = text_of(write_report(store, tmp_path / "out"))
    assert "sensitivity by lesion size" not in page
    assert "sensitivity by lesion contrast" in page
    assert "lesion size not recorded" in page


def test_data_without_a_label_column_leave_every_job_unreadable_and_a_page(store, tmp_path):
    (path,) = store.glob("data/*/samples.parquet")
    pd.read_parquet(path).drop(columns="label").to_parquet(path, index=False)
    page = text_of(write_report(store, tmp_path / "out"))
    assert page.count(": unreadable</summary>") == 4
    assert "No verdict: Patch-GAN has no usable result on this data set." in page


def test_a_file_name_that_is_a_script_is_text_everywhere(make_store, tmp_path):
    name = '"><script>alert(1)</script> \\input{x} | $x$ _y_'

    def rename(run: Run) -> Run:
        run.scores["sample_id"] = name + run.scores["sample_id"]
        return run

    store = make_store(names=("skin",), models=MODELS, change=rename)
    (path,) = store.glob("data/*/samples.parquet")
    table = pd.read_parquet(path)
    table.assign(sample_id=name + table["sample_id"], subject_id=name + table["subject_id"]).to_parquet(path)
    page = write_report(store, tmp_path / "out")
    content = page.read_text()
    assert len(re.findall(r"<script>", content)) == 2
    assert "&lt;script&gt;alert(1)" in content
    twin = (page.parent / "README.md").read_text()
    assert "<script>" not in twin
    assert "\\<script\\>alert(1)" in twin


def test_ten_thousand_images_in_the_pool_give_five_examples_and_a_small_page(tmp_path):
    count, side = 10_000, 8
    generator = np.random.default_rng(0)
    labels = np.arange(count) % 2
    masks = np.zeros((count, side, side), bool)
    masks[labels == 1, 2:4, 2:4] = True
    samples = pd.DataFrame(
        {
            "sample_id": [f"image{index}" for index in range(count)],
            "subject_id": [f"subject{index // 50}" for index in range(count)],
            "label": labels,
            "lesion_fraction": masks.mean(axis=(1, 2)),
            "slice_index": np.arange(count) % 50,
        }
    )
    record = DataRecord(
        key="data",
        name="many",
        data_class="anomalib_patchgan.data.BraTS2019",
        data_arguments={},
        card={"name": "many", "protocol": "slice", "split_sha256": "ab" * 32},
        samples=samples,
        images=generator.integers(0, 255, (count, side, side, 3), dtype=np.uint8),
        masks=masks,
    )
    scores = generator.normal(labels, 1.0)
    run = Run(
        key="job",
        model="Patch-GAN",
        role="method",
        note="",
        model_class="anomalib_patchgan.models.PatchGan",
        model_arguments={},
        data="many",
        data_key="data",
        protocol="slice",
        seed=0,
        status="finished",
        threads=1,
        scores=pd.DataFrame({"sample_id": samples["sample_id"], "raw_score": scores, "predicted_label": scores > 1.0}),
        calibration=pd.DataFrame(
            {
                "sample_id": ["n"] * 40,
                "subject_id": [f"s{index}" for index in range(40)],
                "raw_score": np.arange(40) / 20,
            }
        ),
        maps=generator.normal(size=masks.shape).astype(np.float16),
    )
    store = Store(tmp_path / "store")
    store.save_data(record)
    store.save_run(run)
    job = {"key": "job", "model": "Patch-GAN", "role": "method", "data": "many", "data_key": "data", "seed": 0}
    store.save_plan({"suite": "many", "method": "Patch-GAN", "jobs": [job], "data": {"many": {}}, "seeds": [0]})
    page = write_report(store.root, tmp_path / "out")
    assert page.read_text().count('class="example"') == 5
    assert page.stat().st_size < 1_000_000


def test_the_snippet_that_reproduces_numbers_reproduces_them(store, tmp_path, capsys, monkeypatch):
    page = write_report(store, tmp_path / "out").read_text()
    snippet = html.unescape(re.search(r"<code>(import pandas.*?)</code>", page, re.DOTALL).group(1))
    monkeypatch.chdir(tmp_path / "out")
    exec(snippet, {})
    printed = [line.rsplit(maxsplit=1) for line in capsys.readouterr().out.splitlines()]
    seeds = page[page.index("image AUROC of every seed") :]
    shown = seeds[: seeds.index("</tbody>")]
    assert printed
    for row, auroc in printed:
        assert f"{float(auroc):.3f}" in shown, row
