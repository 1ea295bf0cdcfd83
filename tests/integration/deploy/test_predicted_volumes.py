# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""The predictor on volumes: the same slices as in training, and maps on the grid of the file."""

import csv

import nibabel
import numpy as np
import pytest
import torch
from anomalib.post_processing import PostProcessor
from PIL import Image
from small_model import make_model, write_brain, write_series

from anomalib_patchgan.cli import main
from anomalib_patchgan.data import BraTS2019
from anomalib_patchgan.deploy import Predictor
from anomalib_patchgan.deploy.export import export_model
from anomalib_patchgan.io import read_volume

FIELD_OF_VIEW = 180.0


@pytest.fixture(scope="module")
def brains(tmp_path_factory):
    root = tmp_path_factory.mktemp("brats") / "tree"
    for number in range(12):
        write_brain(root / "HGG", f"BraTS19_X_{number:03d}_1", number)
    return root


@pytest.fixture(scope="module")
def data(brains, tmp_path_factory):
    datamodule = BraTS2019(
        brains, image_size=32, field_of_view=FIELD_OF_VIEW, cache_dir=tmp_path_factory.mktemp("cache"), slice_spacing=4
    )
    datamodule.setup()
    return datamodule


@pytest.fixture(scope="module")
def network():
    return make_model()


@pytest.fixture(scope="module")
def volume_model(network, data, tmp_path_factory):
    return export_model(network, tmp_path_factory.mktemp("volumes"), datamodule=data)["fp32"]


@pytest.fixture(scope="module")
def predictor(volume_model):
    return Predictor(volume_model, batch_size=3)


def flair(brains, data):
    subject = data.test_data.samples["subject_id"].iloc[0]
    return subject, brains / "HGG" / subject / f"{subject}_flair.nii.gz"


def test_the_map_is_voxel_by_voxel_that_of_the_model_on_each_slice(network, predictor, data, brains, tmp_path):
    subject, path = flair(brains, data)
    predictor.predict([path], tmp_path, write=("maps", "masks"))
    source, written = nibabel.load(path), nibabel.load(tmp_path / "maps" / f"{subject}_flair.nii.gz")
    np.testing.assert_array_equal(written.affine, source.affine)
    assert written.shape == source.shape
    stack = read_volume(tmp_path / "maps" / f"{subject}_flair.nii.gz").data
    samples = data.test_data.samples
    checked = 0
    for index in np.flatnonzero(samples["subject_id"] == subject):
        row = samples.iloc[index]
        with torch.inference_mode():
            own = network(data.test_data[index].image[None]).anomaly_map[0, 0].numpy()
        resized = np.asarray(Image.fromarray(own).resize((row["width"], row["height"]), Image.Resampling.BILINEAR))
        expected = np.zeros(stack.shape[1:], dtype=np.float32)
        rows = np.arange(row["top"], row["top"] + row["height"])
        columns = np.arange(row["left"], row["left"] + row["width"])
        inside_rows = (rows >= 0) & (rows < expected.shape[0])
        inside_columns = (columns >= 0) & (columns < expected.shape[1])
        expected[np.ix_(rows[inside_rows], columns[inside_columns])] = resized[np.ix_(inside_rows, inside_columns)]
        np.testing.assert_allclose(stack[row["slice_index"]], expected, atol=1e-4)
        checked += 1
    assert checked >= 2
    mask = nibabel.load(tmp_path / "masks" / f"{subject}_flair.nii.gz")
    np.testing.assert_array_equal(mask.affine, source.affine)
    np.testing.assert_array_equal(np.asarray(mask.dataobj) > 0, np.asarray(written.dataobj) > 0.5)
    assert mask.get_data_dtype() == np.uint8


def test_the_score_of_a_subject_is_the_highest_of_its_slices(network, predictor, data, brains, tmp_path):
    _, path = flair(brains, data)
    predictor.predict([path], tmp_path)
    (row,) = csv.DictReader((tmp_path / "scores.csv").open())
    prepared = predictor.preparation.open([path])
    images = np.stack(list(prepared.images((32, 32))))
    with torch.inference_mode():
        scores = network(torch.from_numpy(images)).pred_score.numpy()
    assert int(row["tiles"]) == len(scores) > 10
    assert float(row["score"]) == pytest.approx(float(scores.max()), abs=1e-4)
    assert int(row["highest_slice"]) == prepared.tiles[int(scores.argmax())].slice_index
    assert (tmp_path / "overlays" / f"{path.name}.png").is_file()


def test_the_highest_slice_is_that_of_the_raw_score_where_calibrated_scores_are_clamped(data, brains, tmp_path):
    model = make_model()
    clamping = PostProcessor()
    clamping.load_state_dict(model.post_processor.state_dict())
    clamping._image_threshold.fill_(-1e6)
    model.post_processor = clamping
    predictor = Predictor(export_model(model, tmp_path / "exported", datamodule=data)["fp32"])
    _, path = flair(brains, data)
    predictor.predict([path], tmp_path / "out", write=())
    (row,) = csv.DictReader((tmp_path / "out" / "scores.csv").open())
    prepared = predictor.preparation.open([path])
    found = predictor.predict_images(np.stack(list(prepared.images((32, 32)))))
    assert (found["pred_score"] == 1).all()
    assert int(row["highest_slice"]) == prepared.tiles[int(found["raw_score"].argmax())].slice_index
    assert float(row["raw_score"]) == pytest.approx(float(found["raw_score"].max()), rel=1e-5)


def test_prepared_slices_are_bit_by_bit_those_of_the_datamodule(predictor, data, brains):
    subject, path = flair(brains, data)
    prepared = predictor.preparation.open([path])
    images = dict(zip([tile.slice_index for tile in prepared.tiles], prepared.images((32, 32)), strict=True))
    samples = data.test_data.samples
    own = np.flatnonzero(samples["subject_id"] == subject)
    for index in own:
        np.testing.assert_array_equal(images[samples["slice_index"].iloc[index]], data.test_data[index].image.numpy())
    assert len(own) >= 2


def test_a_folder_of_subjects_is_searched_for_the_modality_and_damaged_volumes_are_listed(
    predictor, brains, tmp_path, capsys
):
    folder = tmp_path / "in"
    for number in range(2):
        write_brain(folder, f"S{number}", number, modalities=("flair", "t1"))
    image = nibabel.load(folder / "S0" / "S0_flair.nii.gz")
    voxels = np.asarray(image.dataobj).astype(np.float32)
    (folder / "bad").mkdir()
    damaged = {
        "a_flair.nii.gz": (np.stack([voxels] * 2, axis=3), "three axes"),
        "b_flair.nii": (np.where(voxels == 0, np.nan, voxels), "not finite"),
        "c_flair.nii": (0 * voxels, "empty or of one intensity"),
    }
    for name, (content, _) in damaged.items():
        nibabel.save(nibabel.Nifti1Image(content, image.affine), folder / "bad" / name)
    (folder / "bad" / "d_flair.nii.gz").write_bytes((folder / "S0" / "S0_flair.nii.gz").read_bytes()[:500])
    summary = predictor.predict([folder], tmp_path / "out")
    assert summary.done == 2
    expected = {f"bad/{name}": words for name, (_, words) in damaged.items()}
    expected["bad/d_flair.nii.gz"] = "found a file that"
    assert summary.failures.keys() == expected.keys()
    assert [name for name, words in expected.items() if words not in summary.failures[name]] == []
    rows = list(csv.DictReader((tmp_path / "out" / "scores.csv").open()))
    assert [row["input"] for row in rows if row["status"] == "ok"] == ["S0/S0_flair.nii.gz", "S1/S1_flair.nii.gz"]


def test_the_command_says_which_file_failed_and_ends_with_status_1(volume_model, brains, tmp_path, capsys):
    folder = tmp_path / "in"
    write_brain(folder, "S0", 0)
    (folder / "S0" / "cut_flair.nii.gz").write_bytes(b"cut")
    assert main(["predict", str(volume_model), str(folder), "--output", str(tmp_path / "out"), "--write", "none"]) == 1
    captured = capsys.readouterr()
    assert "S0/cut_flair.nii.gz: " in captured.err
    assert captured.out.splitlines()[-1] == str(tmp_path / "out" / "scores.csv")
    assert "1 of 2 inputs done, 1 failed" in captured.out
    assert not (tmp_path / "out" / "maps").exists()


def test_a_dicom_series_gives_the_map_of_the_same_volume_as_nifti(predictor, brains, data, tmp_path):
    _, path = flair(brains, data)
    stack = read_volume(path)
    # Axial slices as a scanner writes them: rows to the back, columns to the left, from the feet to the head.
    write_series(tmp_path / "series", stack.data.astype(np.int16), spacing=stack.spacing[1:], distance=stack.spacing[0])
    predictor.predict([tmp_path / "series"], tmp_path / "dicom")
    predictor.predict([path], tmp_path / "nifti")
    (row,) = csv.DictReader((tmp_path / "dicom" / "scores.csv").open())
    (other,) = csv.DictReader((tmp_path / "nifti" / "scores.csv").open())
    assert float(row["score"]) == pytest.approx(float(other["score"]), abs=1e-5)
    written = tmp_path / "dicom" / "maps" / "series.nii.gz"
    np.testing.assert_allclose(
        read_volume(written).data, read_volume(tmp_path / "nifti" / "maps" / path.name).data, atol=1e-4
    )
    affine = nibabel.load(written).affine
    assert nibabel.aff2axcodes(affine) == ("L", "P", "S")
    np.testing.assert_allclose(np.abs(affine[:3, :3].diagonal()), (*stack.spacing[:0:-1], stack.spacing[0]))


@pytest.mark.parametrize("output", ["series", "series/out"])
def test_a_series_in_whose_folder_its_results_lie_is_resumed(predictor, brains, data, tmp_path, output):
    _, path = flair(brains, data)
    stack = read_volume(path)
    write_series(tmp_path / "series", stack.data.astype(np.int16), spacing=stack.spacing[1:], distance=stack.spacing[0])
    predictor.predict([tmp_path / "series"], tmp_path / output)
    summary = predictor.predict([tmp_path / "series"], tmp_path / output, resume=True)
    assert (summary.done, summary.resumed) == (0, 1)


def test_series_of_mixed_orientation_are_listed(predictor, brains, data, tmp_path):
    _, path = flair(brains, data)
    voxels = read_volume(path).data.astype(np.int16)
    write_series(tmp_path / "in" / "mixed", voxels[:10])
    write_series(tmp_path / "in" / "mixed" / "turned", voxels[10:12], row=(0, 1, 0), column=(0, 0, 1))
    for number, file in enumerate(sorted((tmp_path / "in" / "mixed" / "turned").iterdir())):
        file.rename(tmp_path / "in" / "mixed" / f"turned{number}")
    (tmp_path / "in" / "mixed" / "turned").rmdir()
    write_brain(tmp_path / "in", "S0", 0)
    summary = predictor.predict([tmp_path / "in"], tmp_path / "out")
    assert (summary.done, list(summary.failures)) == (1, ["mixed"])
    assert "another orientation" in summary.failures["mixed"]


@pytest.mark.parametrize("codes", ["RAS", "LPS", "PSR", "SAL"])
def test_maps_lie_on_the_grid_of_a_file_of_any_orientation(predictor, brains, data, tmp_path, codes):
    _, path = flair(brains, data)
    image = nibabel.load(path)
    turn = nibabel.orientations.ornt_transform(
        nibabel.io_orientation(image.affine), nibabel.orientations.axcodes2ornt(codes)
    )
    turned = image.as_reoriented(turn)
    nibabel.save(turned, tmp_path / "turned.nii.gz")
    predictor.predict([tmp_path / "turned.nii.gz"], tmp_path / "turned")
    predictor.predict([path], tmp_path / "plain")
    written = nibabel.load(tmp_path / "turned" / "maps" / "turned.nii.gz")
    np.testing.assert_allclose(written.affine, turned.affine)
    assert written.shape == turned.shape
    plain = nibabel.load(tmp_path / "plain" / "maps" / path.name).as_reoriented(turn)
    np.testing.assert_allclose(written.get_fdata(), plain.get_fdata(), atol=2e-4)
