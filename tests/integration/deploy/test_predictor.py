# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""The predictor on images: results, resuming, and what is wrong with files and models."""

import csv
import gc
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import weakref

import numpy as np
import openvino
import pytest
import torch
from PIL import Image

from anomalib_patchgan.deploy import Predictor
from anomalib_patchgan.deploy import predictor as predictor_module
from anomalib_patchgan.deploy.core import compile_in_float32
from anomalib_patchgan.deploy.export import PRECISIONS
from anomalib_patchgan.deploy.results import ResultTable
from anomalib_patchgan.errors import InputError

# What is written of an image, and the ending of its file.
KINDS = {"maps": "tif", "masks": "png", "overlays": "png"}


def read_table(folder):
    with (folder / "scores.csv").open(newline="") as stream:
        return list(csv.DictReader(stream))


@pytest.fixture(scope="module")
def predictor(exported):
    return Predictor(exported["fp32"], batch_size=4)


@pytest.fixture(scope="module")
def picture_folder(images, tmp_path_factory):
    """Grey images of 8 and 16 bits and one in colour, in two folders."""
    folder = tmp_path_factory.mktemp("pictures")
    (folder / "more").mkdir()
    for index, image in enumerate(images[:10]):
        codes = np.rint(image[0] * 255).astype(np.uint8)
        Image.fromarray(codes).save(folder / f"{index:02d}.png")
    Image.fromarray((images[10, 0] * 60000).astype(np.uint16)).save(folder / "more" / "deep.png")
    colours = np.rint(images[11].transpose(1, 2, 0) * 255).astype(np.uint8)
    Image.fromarray(colours).resize((50, 40)).save(folder / "more" / "wide.jpg")
    return folder


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("batch_size", [1, 2, 7])
def test_every_precision_runs_at_any_batch_size(exported, images, precision, batch_size):
    try:
        predictor = Predictor(exported[precision], batch_size=batch_size)
    except InputError as error:
        assert "bfloat16" in str(error)  # noqa: PT017 - what this machine cannot do is said, and nothing else
        pytest.skip("this processor has no bfloat16")
    found = predictor.predict_images(images[:9])
    assert found["raw_score"].shape == found["pred_score"].shape == found["pred_label"].shape == (9,)
    assert found["anomaly_map"].shape == images[:9, 0].shape
    alone = predictor.predict_images(images[8:9])
    assert alone["raw_score"][0] == pytest.approx(found["raw_score"][8], rel=1e-4)


def test_scores_maps_and_labels_are_those_of_the_model(model, predictor, images):
    with torch.inference_mode():
        raw = model.model(torch.from_numpy(images))
        expected = model(torch.from_numpy(images))
    found = predictor.predict_images(images)
    np.testing.assert_allclose(found["raw_score"], raw.pred_score.numpy(), atol=1e-4)
    np.testing.assert_allclose(found["pred_score"], expected.pred_score.numpy(), atol=1e-4)
    np.testing.assert_allclose(found["anomaly_map"], expected.anomaly_map[:, 0].numpy(), atol=1e-4)
    sure = np.abs(expected.pred_score.numpy() - 0.5) > 1e-4
    np.testing.assert_array_equal(found["pred_label"][sure], expected.pred_label.numpy()[sure])


def test_a_folder_gives_a_line_a_map_a_mask_and_an_overlay_for_each_image(predictor, picture_folder, tmp_path):
    summary = predictor.predict([picture_folder], tmp_path / "out", write=("maps", "masks", "overlays"))
    assert (summary.inputs, summary.done, summary.failures) == (12, 12, {})
    rows = read_table(tmp_path / "out")
    names = [*(f"{index:02d}.png" for index in range(10)), "more/deep.png", "more/wide.jpg"]
    assert [row["input"] for row in rows] == names
    assert {row["status"] for row in rows} == {"ok"}
    for name in names:
        size = Image.open(picture_folder / name).size
        written = [Image.open(tmp_path / "out" / kind / f"{name}.{ending}") for kind, ending in KINDS.items()]
        assert [picture.size for picture in written] == [size] * 3
        assert written[0].mode.startswith("I")
        assert np.array_equal(np.asarray(written[1]) > 0, np.asarray(written[0]).astype(np.int64) > 0.5 * 65535)


def test_written_maps_and_scores_are_those_of_the_prepared_image(predictor, picture_folder, tmp_path):
    predictor.predict([picture_folder / "03.png"], tmp_path, write=("maps",))
    codes = np.asarray(Image.open(picture_folder / "03.png"), dtype=np.float32) / 255
    found = predictor.predict_images(np.repeat(codes[None, None], 3, axis=1))
    written = np.asarray(Image.open(tmp_path / "maps" / "03.png.tif")).astype(np.float64) / 65535
    np.testing.assert_allclose(written, found["anomaly_map"][0], atol=1e-4)
    (row,) = read_table(tmp_path)
    assert float(row["score"]) == pytest.approx(float(found["pred_score"][0]), abs=1e-4)
    assert float(row["raw_score"]) == pytest.approx(float(found["raw_score"][0]), abs=1e-4)


def test_a_large_picture_is_resized_as_anomalib_resized_it_in_training(model, predictor, tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (90, 120, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "large.png")
    predictor.predict([tmp_path / "large.png"], tmp_path / "out", write=())
    with torch.inference_mode():
        expected = model(torch.from_numpy(noise).permute(2, 0, 1)[None] / 255)
    (row,) = read_table(tmp_path / "out")
    assert float(row["score"]) == pytest.approx(float(expected.pred_score), abs=1e-3)


def test_nothing_of_a_prediction_is_kept_after_it(predictor, picture_folder, tmp_path, monkeypatch):
    flows = []

    class Watched(predictor_module._Flow):
        def __init__(self, *arguments):
            super().__init__(*arguments)
            flows.append(weakref.ref(self))

    monkeypatch.setattr(predictor_module, "_Flow", Watched)
    predictor.predict([picture_folder], tmp_path, write=())
    gc.collect()
    assert [flow() for flow in flows] == [None]


@pytest.mark.parametrize(("room", "most"), [(1, 1), (2 * 4 * 32 * 32, 2)])
def test_inputs_that_do_not_fit_into_memory_together_take_turns(
    predictor, picture_folder, tmp_path, monkeypatch, room, most
):
    entered, finished, alive = [], [], []

    class Watched(predictor_module._Flow):
        def _enter(self, *arguments):
            super()._enter(*arguments)
            entered.append(arguments)
            alive.append(len(entered) - len(finished))

        def _finish(self, work):
            finished.append(work)
            super()._finish(work)

    monkeypatch.setattr(predictor_module, "_Flow", Watched)
    monkeypatch.setattr(predictor_module, "_BYTES_ALIVE", room, raising=False)
    assert predictor.predict([picture_folder], tmp_path).done == 12
    assert max(alive) <= most


def refusing_results(predictor):
    """Lets the results of an inference fail to be taken."""

    def refuse(*arguments):
        raise RuntimeError("found no memory")

    predictor._outputs = refuse


def failing_inference(predictor):
    """Gives a predictor a graph that compiles and cannot run."""
    images = openvino.opset13.parameter([2, 3, 32, 32], np.float32)
    shape = openvino.opset13.convert(openvino.opset13.reduce_max(images, np.array([1, 2, 3])), "i64")
    graph = openvino.Model([openvino.opset13.reshape(images, shape, special_zero=False)], [images], "failing")
    predictor.compiled = compile_in_float32(graph)


@pytest.mark.parametrize(
    ("fail", "message"), [(refusing_results, "found no memory"), (failing_inference, "shape of input data")]
)
def test_an_inference_that_fails_ends_the_prediction(exported, picture_folder, tmp_path, monkeypatch, fail, message):
    predictor = Predictor(exported["fp32"], batch_size=2)
    fail(predictor)
    monkeypatch.setattr(predictor_module, "_BYTES_ALIVE", 1)
    errors = []

    def predict():
        try:
            predictor.predict([picture_folder], tmp_path, write=())
        except RuntimeError as error:
            errors.append(str(error))

    # It waited for ever for room that the failed images would make.
    thread = threading.Thread(target=predict, daemon=True)
    thread.start()
    thread.join(timeout=60)
    (error,) = errors
    assert message in error


def test_small_files_are_read_together_and_a_large_one_alone(exported, picture_folder, tmp_path, monkeypatch):
    folder = tmp_path / "in"
    folder.mkdir()
    for index in range(9):
        shutil.copy(picture_folder / "00.png", folder / f"{index}.png")
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (700, 700, 3), dtype=np.uint8)).save(folder / "4.png")
    assert (folder / "4.png").stat().st_size > predictor_module._BYTES_READ_TOGETHER
    read = []
    whole = predictor_module._Flow._read_each
    monkeypatch.setattr(
        predictor_module._Flow,
        "_read_each",
        lambda flow, sources: read.append([each.name for each in sources]) or whole(flow, sources),
    )
    summary = Predictor(exported["fp32"], batch_size=3).predict([folder], tmp_path / "out", write=())
    assert summary.done == 9
    assert sorted(read) == [["0.png", "1.png", "2.png"], ["3.png"], ["4.png"], ["5.png", "6.png", "7.png"], ["8.png"]]


def test_what_is_no_image_is_listed_and_the_others_are_done(predictor, picture_folder, tmp_path):
    folder = tmp_path / "in"
    shutil.copytree(picture_folder, folder)
    (folder / "05a.txt").write_text("no image")
    (folder / "06a.png").write_bytes((folder / "06.png").read_bytes()[:60])
    summary = predictor.predict([folder], tmp_path / "out")
    assert summary.done == 12
    assert set(summary.failures) == {"05a.txt", "06a.png"}
    failed = {row["input"]: row["message"] for row in read_table(tmp_path / "out") if row["status"] == "failed"}
    assert failed == summary.failures
    assert all("expected an image." in message for message in failed.values())


def test_what_is_no_image_is_listed_though_its_name_is_no_text(predictor, picture_folder, tmp_path):
    folder = tmp_path / "in"
    shutil.copytree(picture_folder, folder)
    (folder / os.fsdecode(b"caf\xe9.png")).write_text("no image")
    summary = predictor.predict([folder], tmp_path / "out")
    assert (summary.done, list(summary.failures)) == (12, ["caf\\xe9.png"])
    (message,) = (row["message"] for row in read_table(tmp_path / "out") if row["status"] == "failed")
    assert message == summary.failures["caf\\xe9.png"]
    assert "expected an image." in message


def test_a_second_run_into_the_same_folder_is_refused_unless_it_resumes(exported, predictor, picture_folder, tmp_path):
    predictor.predict([picture_folder], tmp_path, write=())
    with pytest.raises(InputError, match="--resume"):
        predictor.predict([picture_folder], tmp_path, write=())
    with pytest.raises(InputError, match="its written differs"):
        predictor.predict([picture_folder], tmp_path, write=("maps",), resume=True)
    with pytest.raises(InputError, match=r"its (weights_sha256|precision) differs"):
        Predictor(exported["int8"]).predict([picture_folder], tmp_path, write=(), resume=True)
    summary = predictor.predict([picture_folder], tmp_path, write=(), resume=True)
    assert (summary.done, summary.resumed) == (0, 12)


def test_results_of_other_files_of_the_same_names_are_not_taken_for_these(predictor, picture_folder, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    shutil.copy(picture_folder / "05.png", other / "03.png")
    predictor.predict([picture_folder / "03.png"], tmp_path / "out", write=())
    with pytest.raises(InputError, match=r"found results of another file '03\.png'"):
        predictor.predict([other / "03.png"], tmp_path / "out", write=(), resume=True)


@pytest.mark.parametrize("name", ["a\rb.png", "a\nb.png", 'a "b", c.png', "\xe4.png"])
def test_a_file_of_any_name_is_resumed_once(predictor, picture_folder, tmp_path, name):
    folder = tmp_path / "in"
    folder.mkdir()
    shutil.copy(picture_folder / "03.png", folder / name)
    predictor.predict([folder], tmp_path / "out")
    summary = predictor.predict([folder], tmp_path / "out", resume=True)
    assert (summary.done, summary.resumed) == (0, 1)
    assert [row["input"] for row in read_table(tmp_path / "out")] == [name.replace("\r", "\\r")]


def test_results_of_another_preparation_are_not_resumed(exported, predictor, picture_folder, tmp_path):
    predictor.predict([picture_folder], tmp_path, write=())
    record = json.loads((tmp_path / "run.json").read_text())
    record["preparation"] = {**record["preparation"], "intensity_range": [0, 500]}
    (tmp_path / "run.json").write_text(json.dumps(record))
    with pytest.raises(InputError, match="its preparation differs"):
        predictor.predict([picture_folder], tmp_path, write=(), resume=True)


@pytest.mark.parametrize(
    "edited",
    [
        lambda text: text.replace(",", ";").encode(),
        lambda text: text.replace("\n", ",seen\n").encode(),
        lambda text: text.replace("03.png", "\xe9.png").encode("latin-1"),
    ],
    ids=["separator", "column", "encoding"],
)
def test_a_table_that_was_edited_is_not_resumed(predictor, picture_folder, tmp_path, edited):
    predictor.predict([picture_folder / "03.png"], tmp_path, write=())
    table = tmp_path / "scores.csv"
    table.write_bytes(edited(table.read_text()))
    with pytest.raises(InputError, match=r"scores\.csv: found a table that was changed, expected it as"):
        predictor.predict([picture_folder / "03.png"], tmp_path, write=(), resume=True)


def test_files_that_are_not_of_a_prediction_are_not_written_over(predictor, picture_folder, tmp_path):
    (tmp_path / "masks").mkdir()
    (tmp_path / "masks" / "03.png.png").write_text("the truth")
    with pytest.raises(InputError, match=r"masks: found files but no scores\.csv of theirs"):
        predictor.predict([picture_folder], tmp_path, write=("masks",))
    assert (tmp_path / "masks" / "03.png.png").read_text() == "the truth"


@pytest.mark.parametrize("content", ["the user's", '["a"]', '{"learning_rate": 0.1}'])
def test_a_run_of_another_program_is_not_written_over(predictor, picture_folder, tmp_path, content):
    (tmp_path / "run.json").write_text(content)
    with pytest.raises(InputError, match=r"run\.json: found a file but no scores\.csv beside it"):
        predictor.predict([picture_folder], tmp_path)
    assert (tmp_path / "run.json").read_text() == content


def test_a_prediction_that_was_killed_before_its_table_was_there_is_begun_again(predictor, picture_folder, tmp_path):
    predictor.predict([picture_folder], tmp_path, write=())
    (tmp_path / "scores.csv").unlink()
    assert predictor.predict([picture_folder], tmp_path, write=(), resume=True).resumed == 0


def test_results_in_the_input_folder_are_not_predicted(predictor, picture_folder, tmp_path):
    shutil.copytree(picture_folder, tmp_path / "in")
    for resume in (False, True):
        summary = predictor.predict([tmp_path / "in"], tmp_path / "in" / "out", resume=resume)
        assert summary.inputs == 12


def test_two_predictions_do_not_write_into_one_folder(predictor, picture_folder, tmp_path):
    with (
        ResultTable(tmp_path, {}, resume=False, stamps={}),
        pytest.raises(InputError, match="found a prediction that is writing here"),
    ):
        predictor.predict([picture_folder], tmp_path, write=(), resume=True)


def test_a_name_that_results_cannot_have_fails_alone(predictor, picture_folder, tmp_path):
    folder = tmp_path / "in"
    shutil.copytree(picture_folder, folder)
    long = "x" * 248 + ".png"
    shutil.copy(folder / "03.png", folder / long)
    summary = predictor.predict([folder], tmp_path / "out")
    assert (summary.done, list(summary.failures)) == (12, [long])
    assert "File name too long" in summary.failures[long]


def test_a_killed_prediction_is_resumed_and_ends_as_one_that_was_not_killed(exported, images, tmp_path):
    folder, killed, whole = tmp_path / "in", tmp_path / "killed", tmp_path / "whole"
    folder.mkdir()
    for index in range(400):
        codes = np.rint(images[index % len(images), 0] * 255).astype(np.uint8)
        Image.fromarray(codes).resize((160, 160)).save(folder / f"{index:03d}.png")
    code = (
        "import sys; from anomalib_patchgan.deploy import Predictor; "
        "Predictor(sys.argv[1], hint='latency').predict([sys.argv[2]], sys.argv[3])"
    )
    process = subprocess.Popen([sys.executable, "-c", code, exported["fp32"], folder, killed])
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        if (killed / "scores.csv").is_file() and (killed / "scores.csv").read_text().count("\n") > 20:
            break
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    before = (killed / "scores.csv").read_text().count("\n") - 1
    assert 0 < before < 400
    with (killed / "scores.csv").open("a") as stream:
        stream.write("399.png,o")  # a line that was cut short
    predictor = Predictor(exported["fp32"], hint="latency")
    summary = predictor.predict([folder], killed, resume=True)
    assert summary.resumed == before
    assert summary.resumed + summary.done == 400
    predictor.predict([folder], whole)
    assert (killed / "scores.csv").read_text() == (whole / "scores.csv").read_text()
    assert sorted(path.name for path in (killed / "maps").glob("*.tif")) == sorted(
        path.name for path in (whole / "maps").iterdir()
    )


def test_the_predictor_imports_neither_torch_nor_anomalib(exported, picture_folder, tmp_path):
    code = (
        "import sys; from anomalib_patchgan.cli import main; "
        "status = main(['predict', sys.argv[1], sys.argv[2], '--output', sys.argv[3]]); "
        "print(status, sorted({'torch', 'anomalib', 'lightning', 'matplotlib', 'nncf'} & set(sys.modules)))"
    )
    arguments = [sys.executable, "-c", code, exported["fp32"], picture_folder, tmp_path]
    finished = subprocess.run(arguments, capture_output=True, text=True, check=True)
    assert finished.stdout.splitlines()[-1] == "0 []"


@pytest.fixture
def copied(exported, tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(exported["fp32"].parent, folder)
    return folder


def test_a_model_without_weights_is_named(copied):
    (copied / "model.bin").unlink()
    with pytest.raises(InputError, match=r"model\.bin: found no such file"):
        Predictor(copied / "model.xml")


def test_a_model_that_was_copied_by_half_is_named(copied):
    weights = (copied / "model.bin").read_bytes()
    (copied / "model.bin").write_bytes(weights[: len(weights) // 2])
    with pytest.raises(InputError, match="model"):
        Predictor(copied / "model.xml")


def test_weights_of_another_export_are_named(copied, exported):
    weights = bytearray((copied / "model.bin").read_bytes())
    weights[len(weights) // 2] ^= 1
    (copied / "model.bin").write_bytes(bytes(weights))
    with pytest.raises(InputError, match="expected both of one export"):
        Predictor(copied / "model.xml")


def test_a_description_that_is_cut_short_is_named(copied):
    text = (copied / "model.xml").read_text()
    (copied / "model.xml").write_text(text[: len(text) // 2])
    with pytest.raises(InputError, match=r"model\.xml: found a model that cannot be read"):
        Predictor(copied / "model.xml")


def test_a_model_of_a_damaged_preparation_is_named(copied):
    text = (copied / "model.xml").read_text()
    assert text.count("&quot;kind&quot;: &quot;raster&quot;") == 1
    (copied / "model.xml").write_text(text.replace("&quot;kind&quot;: &quot;raster&quot;", "&quot;kind&quot;: 7"))
    with pytest.raises(InputError, match=r"model\.xml: preparation: found the kind 7"):
        Predictor(copied / "model.xml")


def test_a_model_of_somebody_else_is_named(tmp_path):
    parameter = openvino.opset13.parameter([1, 3, 8, 8], np.float32, name="input")
    other = openvino.Model([openvino.opset13.relu(parameter)], [parameter], "other")
    openvino.save_model(other, tmp_path / "other.xml")
    with pytest.raises(InputError, match="expected a model written by `anomalib-patchgan export`"):
        Predictor(tmp_path / "other.xml")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"device": "TPU"}, "device: found 'TPU', expected AUTO or one of this machine"),
        ({"hint": "fast"}, "hint: found 'fast', expected one of throughput, latency"),
        ({"batch_size": 0}, "batch_size: found 0, expected 1 or more"),
        ({"threads": 0}, "threads: found 0, expected 1 or more"),
    ],
)
def test_arguments_that_cannot_be_used_are_named(exported, arguments, message):
    with pytest.raises(InputError, match=message):
        Predictor(exported["fp32"], **arguments)


def test_the_device_may_be_left_to_openvino(exported, images):
    assert len(Predictor(exported["fp32"], device="AUTO", hint="latency").predict_images(images[:1])["raw_score"]) == 1


@pytest.mark.parametrize("shape", [(2, 3, 16, 16), (2, 1, 32, 32), (3, 32, 32)])
def test_images_of_another_shape_are_refused(predictor, shape):
    with pytest.raises(InputError, match=r"expected float32 \[N, 3, 32, 32\]"):
        predictor.predict_images(np.zeros(shape, dtype=np.float32))


def test_an_empty_folder_a_missing_one_and_a_volume_are_named(predictor, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="empty: found an empty folder or nothing to read, expected images"):
        predictor.predict([tmp_path / "empty"], tmp_path / "out")
    with pytest.raises(InputError, match="absent: found no such file or folder"):
        predictor.predict([tmp_path / "absent"], tmp_path / "out")
    (tmp_path / "scan.nii.gz").write_bytes(b"")
    summary = predictor.predict([tmp_path / "scan.nii.gz"], tmp_path / "out")
    assert "found a volume, expected an image" in summary.failures["scan.nii.gz"]


def test_a_folder_that_cannot_be_written_is_named(predictor, picture_folder, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(InputError, match="found a folder that cannot be written"):
        predictor.predict([picture_folder], tmp_path / "file" / "out")


def test_a_folder_that_becomes_unwritable_ends_the_prediction_with_a_sentence(predictor, picture_folder, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "maps").write_text("in the way")
    with pytest.raises(InputError, match="found a folder that cannot be written"):
        predictor.predict([picture_folder], out)
