# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""Brain phantoms are a BraTS 2019 tree, the same on every machine load, and hold the lesion they say they hold."""

import csv
import json
import sys

import nibabel
import numpy as np
import pytest

from anomalib_patchgan.data.phantoms import BrainPhantoms, HealthyBrainPhantoms
from anomalib_patchgan.data.phantoms.anatomy import DEFORMATIONS, Grid, draw_anatomy, load_template
from anomalib_patchgan.data.phantoms.brain import render_subject
from anomalib_patchgan.data.phantoms.lesion import APPEARANCES, RANGES
from anomalib_patchgan.errors import InputError

SPACING = 6.0
MODALITIES = ("flair", "t1", "t1ce", "t2")


def load(root, grade, name, kind):
    return nibabel.load(root / grade / name / f"{name}_{kind}.nii.gz")


@pytest.fixture(scope="module")
def template():
    return load_template(SPACING)


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    root = tmp_path_factory.mktemp("brain") / "MICCAI_BraTS_2019_Data_Training"
    calls = []
    BrainPhantoms(subjects=6, seed=3, spacing=SPACING).write(root, lambda *call: calls.append(call), processes=1)
    return root, calls


def test_tree_is_that_of_the_archive(cohort, digests):
    root, _ = cohort
    names = [f"BraTS19_PHANTOM_{number:04d}_1" for number in range(1, 7)]
    expected = {"name_mapping.csv", "phantoms.json"}
    for index, name in enumerate(names):
        grade = "LGG" if index % 3 == 2 else "HGG"
        expected |= {f"{grade}/{name}/{name}_{kind}.nii.gz" for kind in (*MODALITIES, "seg")}
    assert set(digests(root)) == expected


def test_name_mapping_has_the_header_and_grades_of_2019(cohort):
    root, _ = cohort
    rows = list(csv.reader((root / "name_mapping.csv").open()))
    assert rows[0] == [
        "Grade",
        "BraTS_2017_subject_ID",
        "BraTS_2018_subject_ID",
        "TCGA_TCIA_subject_ID",
        "BraTS_2019_subject_ID",
    ]
    assert rows[1] == ["HGG", "NA", "NA", "NA", "BraTS19_PHANTOM_0001_1"]
    assert [row[0] for row in rows[1:]] == ["HGG", "HGG", "LGG"] * 2


def test_progress_counts_every_subject(cohort):
    assert cohort[1] == [(done, 6) for done in range(1, 7)]


@pytest.mark.parametrize("kind", [*MODALITIES, "seg"])
def test_volume_has_type_shape_and_spacing(cohort, kind):
    image = load(cohort[0], "HGG", "BraTS19_PHANTOM_0001_1", kind)
    assert image.get_data_dtype() == np.int16
    assert image.shape == (40, 40, 26)
    assert image.header.get_zooms() == pytest.approx((SPACING,) * 3)
    assert np.abs(np.diag(image.affine)) == pytest.approx((*(SPACING,) * 3, 1))


def test_background_is_exactly_zero_and_shared_by_all_modalities(cohort):
    root, _ = cohort
    volumes = [np.asarray(load(root, "HGG", "BraTS19_PHANTOM_0001_1", kind).dataobj) for kind in MODALITIES]
    brain = volumes[0] > 0
    assert 0.1 < brain.mean() < 0.35
    for volume in volumes:
        assert volume.min() == 0
        np.testing.assert_array_equal(volume > 0, brain)
        np.testing.assert_array_equal(volume[[0, -1]], 0)


def test_every_subject_has_a_lesion_inside_its_brain_with_brats_labels(cohort):
    root, _ = cohort
    for entry in json.loads((root / "phantoms.json").read_text())["subjects"]:
        labels = np.asarray(load(root, entry["grade"], entry["subject"], "seg").dataobj)
        flair = np.asarray(load(root, entry["grade"], entry["subject"], "flair").dataobj)
        assert set(np.unique(labels)) <= {0, 1, 2, 4}
        assert labels.any()
        assert (flair[labels > 0] > 0).all()


def test_lesions_are_recorded_as_drawn(cohort):
    root, _ = cohort
    record = json.loads((root / "phantoms.json").read_text())
    assert record["parameters"] == BrainPhantoms(subjects=6, seed=3, spacing=SPACING).parameters()
    for entry in record["subjects"]:
        lesion, ranges = entry["lesion"], RANGES["medium"]
        assert lesion["kind"] in APPEARANCES
        assert ranges.radius_mm[0] <= lesion["radius_mm"] <= ranges.radius_mm[1]
        assert ranges.contrast[0] <= lesion["contrast"] <= ranges.contrast[1]
        labels = np.asarray(load(root, entry["grade"], entry["subject"], "seg").dataobj)
        for label, volume in entry["volume_ml"].items():
            assert volume == pytest.approx((labels == int(label)).sum() * SPACING**3 / 1000, abs=1e-3)


def test_second_write_touches_nothing(cohort):
    root, _ = cohort
    before = {path: path.stat().st_mtime_ns for path in (root, *root.rglob("*"))}
    BrainPhantoms(subjects=6, seed=3, spacing=SPACING).write(root)
    assert {path: path.stat().st_mtime_ns for path in (root, *root.rglob("*"))} == before


def test_files_do_not_depend_on_the_number_of_processes(cohort, tmp_path, digests):
    BrainPhantoms(subjects=6, seed=3, spacing=SPACING).write(tmp_path / "again", processes=2)
    assert digests(tmp_path / "again") == digests(cohort[0])


def test_subject_does_not_depend_on_the_size_of_its_cohort(template):
    small, large = (BrainPhantoms(subjects, 3, SPACING) for subjects in (2, 20))
    first, second = (render_subject(phantoms, template, 1) for phantoms in (small, large))
    np.testing.assert_array_equal(first.scans["flair"], second.scans["flair"])


@pytest.mark.parametrize(("seed", "index"), [(4, 0), (3, 1)])
def test_other_seed_or_index_gives_another_brain(template, seed, index):
    first = render_subject(BrainPhantoms(2, 3, SPACING), template, 0)
    second = render_subject(BrainPhantoms(2, seed, SPACING), template, index)
    assert (first.scans["flair"] > 0).tobytes() != (second.scans["flair"] > 0).tobytes()


def test_healthy_twin_differs_only_around_the_lesion(template):
    phantoms = BrainPhantoms(1, 3, SPACING, "easy")
    ill, healthy = (render_subject(phantoms, template, 0, with_lesion=flag) for flag in (True, False))
    assert healthy.lesion is None
    assert not healthy.labels.any()
    difference = np.abs(ill.scans["flair"].astype(int) - healthy.scans["flair"])
    lesion = ill.labels > 0
    assert difference[lesion].mean() > 10 * difference[~lesion].mean()
    np.testing.assert_array_equal(ill.scans["flair"] > 0, healthy.scans["flair"] > 0)


def test_flair_shows_lesions_of_either_sign(template):
    phantoms = BrainPhantoms(60, 0, SPACING, "easy")
    signs = {}
    for index in range(60):
        ill = render_subject(phantoms, template, index)
        if ill.lesion.kind not in ("hyperintense", "hypointense") or ill.lesion.kind in signs:
            continue
        healthy = render_subject(phantoms, template, index, with_lesion=False)
        core = ill.labels == 2
        signs[ill.lesion.kind] = np.sign(ill.scans["flair"][core].mean() - healthy.scans["flair"][core].mean())
        if len(signs) == 2:
            break
    assert signs == {"hyperintense": 1, "hypointense": -1}


def test_scanner_scale_is_arbitrary(template):
    phantoms = BrainPhantoms(6, 0, SPACING)
    means = []
    for index in range(6):
        flair = render_subject(phantoms, template, index).scans["flair"]
        means.append(flair[flair > 0].mean())
    assert max(means) > 2 * min(means)


@pytest.mark.parametrize(
    "arguments", [{"subjects": 0}, {"seed": -1}, {"spacing": 0.0}, {"spacing": float("nan")}, {"level": "trivial"}]
)
def test_impossible_arguments_are_refused(arguments):
    with pytest.raises(InputError, match=next(iter(arguments))):
        BrainPhantoms(**arguments)


@pytest.fixture(scope="module")
def twins(tmp_path_factory):
    root = tmp_path_factory.mktemp("twins") / "brats2019"
    BrainPhantoms(subjects=3, seed=3, spacing=SPACING, healthy_twins=True).write(root, processes=1)
    return root


def test_twins_are_written_beside_the_grades_under_the_same_names(twins, cohort, digests):
    names = [f"BraTS19_PHANTOM_000{number}_1" for number in (1, 2, 3)]
    expected = {f"healthy_twins/{name}/{name}_{kind}.nii.gz" for name in names for kind in (*MODALITIES, "seg")}
    assert {path for path in digests(twins) if path.startswith("healthy")} == expected


def test_writing_twins_leaves_the_lesioned_subjects_as_they_are(twins, cohort, digests):
    with_twins, without = digests(twins), digests(cohort[0])
    lesioned = {path for path in with_twins if path.startswith(("HGG", "LGG"))}
    assert len(lesioned) == 15
    assert all(with_twins[path] == without[path] for path in lesioned)


def test_a_written_twin_is_the_rendered_one_and_has_no_lesion(twins, template):
    phantoms = BrainPhantoms(subjects=3, seed=3, spacing=SPACING)
    rendered = render_subject(phantoms, template, 2, with_lesion=False)
    written = load(twins, "healthy_twins", "BraTS19_PHANTOM_0003_1", "t2")
    np.testing.assert_array_equal(np.asarray(written.dataobj), rendered.scans["t2"])
    assert not np.asarray(load(twins, "healthy_twins", "BraTS19_PHANTOM_0003_1", "seg").dataobj).any()


def test_the_reader_of_brats_sees_no_twin(twins):
    from anomalib_patchgan.data.brats_layout import LAYOUTS, find_subjects

    assert len(find_subjects(twins, LAYOUTS[2019])) == 3


def test_healthy_cohort_is_flat_and_without_lesions(tmp_path, digests):
    HealthyBrainPhantoms(subjects=2, seed=3, spacing=SPACING).write(tmp_path / "healthy", processes=1)
    names = ["PHANTOM_HEALTHY_0001", "PHANTOM_HEALTHY_0002"]
    expected = {f"{name}/{name}_{kind}.nii.gz" for name in names for kind in (*MODALITIES, "seg")}
    assert set(digests(tmp_path / "healthy")) == expected | {"phantoms.json"}
    assert not np.asarray(load(tmp_path, "healthy", names[0], "seg").dataobj).any()


def test_healthy_cohort_shares_no_brain_with_a_lesioned_one_of_its_seed(tmp_path, template):
    HealthyBrainPhantoms(subjects=1, seed=3, spacing=SPACING).write(tmp_path / "healthy", processes=1)
    flair = np.asarray(load(tmp_path, "healthy", "PHANTOM_HEALTHY_0001", "flair").dataobj)
    twin = render_subject(BrainPhantoms(1, 3, SPACING), template, 0, with_lesion=False).scans["flair"]
    assert ((flair > 0) != (twin > 0)).any()


def test_white_matter_is_brighter_than_grey_in_shifted_flair_and_darker_in_medium(template):
    def order(level):
        tissues = draw_anatomy(
            np.random.default_rng(np.random.SeedSequence([3, 0]).spawn(3)[0]),
            DEFORMATIONS[level],
            template,
            Grid(SPACING),
        ).tissues((slice(None), slice(None), slice(None)))
        twin = render_subject(BrainPhantoms(1, 3, SPACING, level), template, 0, with_lesion=False)
        flair = twin.scans["flair"][Grid(SPACING).brain_box]
        return np.sign(flair[tissues[1] > 0.8].mean() - flair[(tissues[0] > 0.8) & (flair > 0)].mean())

    assert (order("medium"), order("shifted")) == (-1, 1)


def test_shifted_lesions_are_stretched_multifocal_and_ringed(template):
    lesions = {
        level: [render_subject(BrainPhantoms(16, 1, SPACING, level), template, index).lesion for index in range(16)]
        for level in ("medium", "shifted")
    }
    spread = {level: np.std([np.log(lesion.axes) for lesion in drawn]) for level, drawn in lesions.items()}
    assert spread["shifted"] > 1.5 * spread["medium"]
    assert not any(lesion.satellites for lesion in lesions["medium"])
    assert any(lesion.satellites for lesion in lesions["shifted"])
    assert max(lesion.necrotic_share for lesion in lesions["medium"]) < 0.78
    assert max(lesion.necrotic_share for lesion in lesions["shifted"]) >= 0.78


def test_a_small_cohort_has_every_kind_in_its_share_and_radii_and_contrasts_from_end_to_end(template):
    phantoms = BrainPhantoms(20, 3, SPACING)
    lesions = [render_subject(phantoms, template, index).lesion for index in range(20)]
    ranges = RANGES["medium"]
    for kind, share in ranges.kinds.items():
        assert abs(sum(lesion.kind == kind for lesion in lesions) - 20 * share) <= 1.5
    for drawn, limits in (("radius_mm", ranges.radius_mm), ("contrast", ranges.contrast)):
        low, high = np.log(limits)
        places = np.sort([(np.log(getattr(lesion, drawn)) - low) / (high - low) for lesion in lesions])
        np.testing.assert_allclose(places, (np.arange(20) + 0.5) / 20, atol=0.1)


def test_brains_are_not_cut_off_at_the_sides(template):
    faces = []
    for index in range(30):
        brain = draw_anatomy(np.random.default_rng(index), DEFORMATIONS["medium"], template, Grid(SPACING)).brain()
        faces.append(max(face.mean() for face in (brain[0], brain[-1], brain[:, 0], brain[:, -1])))
    # A cut through the middle of a brain would fill more than a tenth of a face of the box.
    assert np.mean(np.array(faces) > 0.02) < 0.1


def test_missing_nilearn_is_one_sentence_and_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "nilearn", None)
    with pytest.raises(InputError, match="install the train extra"):
        BrainPhantoms(1, 0, SPACING).write(tmp_path / "set")
    assert list(tmp_path.iterdir()) == []
