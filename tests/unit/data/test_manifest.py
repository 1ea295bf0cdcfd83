# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""A CSV file of images as a datamodule."""

import csv
import json
import os
import pickle
import shutil

import nibabel
import numpy as np
import pydicom
import pytest
from anomalib.data import AnomalibDataModule
from jsonargparse import ArgumentParser
from PIL import Image

from anomalib_patchgan.data import Manifest
from anomalib_patchgan.data.manifest_table import read_manifest
from anomalib_patchgan.data.phantoms import ManifestPhantoms
from anomalib_patchgan.data.summary import describe_card
from anomalib_patchgan.errors import InputError
from anomalib_patchgan.io import read_volume, read_volume_header

HEADER = ("image", "mask", "label", "subject_id", "split")


def write_csv(path, rows, header=HEADER, encoding="utf-8"):
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding=encoding, newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(header)
        writer.writerows(rows)
    return path


def picture(seed, lesion=False, size=(40, 50)):
    """Noise of its own in every image, so that no two count as the same, and a bright square for a lesion."""
    generator = np.random.default_rng(seed)
    pixels = generator.integers(40, 120, size).astype(np.uint8)
    mask = np.zeros(size, dtype=bool)
    if lesion:
        mask[10:20, 15:30] = True
    pixels[mask] = 230
    return pixels, mask


def write_images(folder, count=20, lesions=4, masks=True, deep=False):
    """Write grey images, two of a subject, the last of them with lesions, and their manifest."""
    (folder / "images").mkdir(parents=True)
    rows = []
    for number in range(count):
        lesion = number >= count - lesions
        pixels, mask = picture(number, lesion)
        name = f"images/{number:02d}.png"
        Image.fromarray(pixels.astype(np.uint16) * 16 if deep else pixels).save(folder / name)
        mask_name = ""
        if lesion and masks:
            mask_name = f"images/{number:02d}_mask.png"
            Image.fromarray(mask.astype(np.uint8)).save(folder / mask_name)
        rows.append([name, mask_name, "abnormal" if lesion else "normal", f"patient {number // 2}", ""])
    return write_csv(folder / "manifest.csv", rows)


def rows_of(path):
    with path.open(encoding="utf-8-sig", newline="") as stream:
        return [list(row.values()) for row in csv.DictReader(stream)]


def module_of(root, tmp_path, **arguments):
    module = Manifest(root, image_size=32, cache_dir=tmp_path / "cache", **arguments)
    module.setup()
    return module


def groups_of(module):
    return [module.train_data, module.reference_data, module.val_data, module.test_data]


class TestImages:
    @pytest.fixture(scope="class")
    def module(self, tmp_path_factory):
        folder = tmp_path_factory.mktemp("images")
        return module_of(write_images(folder, 20, 4), folder)

    def test_subjects_are_in_one_group_each(self, module):
        subjects = [set(data.samples["subject_id"]) for data in groups_of(module)]
        assert sum(map(len, subjects)) == len(set.union(*subjects)) == 10

    def test_subjects_with_a_lesion_are_in_the_test(self, module):
        assert {"patient 8", "patient 9"} <= set(module.test_data.samples["subject_id"])

    def test_the_test_has_normal_images_too(self, module):
        assert set(module.test_data.samples["label_index"]) == {0, 1}

    def test_a_mask_of_zeros_and_ones_is_read(self, module):
        for index, row in module.test_data.samples.iterrows():
            assert module.test_data[index].gt_mask.any() == bool(row["label_index"])

    def test_the_lesion_fraction_is_what_the_mask_says(self, module):
        for index, fraction in enumerate(module.test_data.samples["lesion_fraction"]):
            assert module.test_data[index].gt_mask.float().mean().item() == pytest.approx(fraction)

    def test_the_card_says_what_normal_means(self, module):
        card = json.loads(json.dumps(module.card()))
        assert card["normal_means"] == "A whole image labelled normal in the manifest."
        assert card["has_masks"] is True

    def test_the_datamodule_can_be_sent_to_workers(self, module):
        again = pickle.loads(pickle.dumps(module.test_data))
        assert len(again) == len(module.test_data)

    def test_a_folder_that_holds_the_manifest_is_as_good(self, tmp_path):
        module = module_of(write_images(tmp_path / "data").parent, tmp_path)
        assert len(module.test_data) > 0

    def test_without_all_masks_nothing_is_known_of_pixels(self, tmp_path):
        module = module_of(write_images(tmp_path / "data", masks=False), tmp_path)
        assert module.card()["has_masks"] is False
        assert module.test_data[0].gt_mask is None
        assert module.test_data.task == "classification"

    def test_without_subjects_the_card_warns(self, tmp_path):
        path = write_images(tmp_path / "data")
        write_csv(path, [[*row[:3]] for row in rows_of(path)], HEADER[:3])
        card = module_of(path, tmp_path).card()
        assert "cannot be checked" in card["protocol_parameters"]["warning"]
        assert f"Warning: {card['protocol_parameters']['warning']}" in describe_card(card)

    def test_the_split_of_the_manifest_is_kept(self, tmp_path):
        path = write_images(tmp_path / "data", 12, 2)
        names = ["train", "train", "reference", "Validation", "test", "test"]
        rows = [[*row[:4], names[index // 2]] for index, row in enumerate(rows_of(path))]
        module = module_of(write_csv(path, rows), tmp_path)
        assert set(module.val_data.samples["subject_id"]) == {"patient 3"}
        assert set(module.train_data.samples["subject_id"]) == {"patient 0", "patient 1"}

    def test_an_abnormal_image_outside_the_test_is_counted(self, tmp_path):
        path = write_images(tmp_path / "data", 12, 2)
        names = ["train", "train", "reference", "calibration", "test", "test"]
        rows = [[*row[:4], names[index // 2]] for index, row in enumerate(rows_of(path))]
        rows[0][2] = "1"
        module = module_of(write_csv(path, rows), tmp_path)
        assert module.card()["excluded"] == {"abnormal sample outside the test group": 1}

    def test_deep_images_are_scaled_by_a_declared_range(self, tmp_path):
        path = write_images(tmp_path / "data", deep=True)
        module = module_of(path, tmp_path, intensity_range=(0, 16 * 255))
        pixels, _ = picture(int(module.train_data.samples["sample_id"][0][-2:]))
        assert module.train_data[0].image.mean().item() == pytest.approx(pixels.mean() / 255, abs=1e-3)

    def test_dicom_and_png_may_be_mixed(self, tmp_path, dicom_writer):
        path = write_images(tmp_path / "data")
        rows = rows_of(path)
        pixels, _ = picture(0)
        dicom_writer(path.parent / "images" / "IM 1", pixels.astype(np.uint16) * 16, bits=12)
        rows[0][0] = "images/IM 1"
        module = module_of(write_csv(path, rows), tmp_path)
        assert "images_IM_1" in {name for data in groups_of(module) for name in data.samples["sample_id"]}

    @pytest.mark.parametrize("name", ["with space, and comma", 'with "quotes"', "Läsion_病変", "a'b"])
    def test_names_of_any_kind(self, tmp_path, name):
        path = write_images(tmp_path / "data")
        rows = rows_of(path)
        (path.parent / rows[0][0]).rename(path.parent / "images" / f"{name}.png")
        rows[0][0] = f"images/{name}.png"
        module = module_of(write_csv(path, rows, encoding="utf-8-sig"), tmp_path)
        assert sum(len(data) for data in groups_of(module)) == 20

    def test_long_names_in_letters_of_several_bytes(self, tmp_path):
        path = write_images(tmp_path / "data")
        rows = rows_of(path)
        long = "/".join(["病変" * 40, "病変" * 40])
        for row in rows:
            written = f"{long}/{row[0]}"
            (path.parent / written).parent.mkdir(parents=True, exist_ok=True)
            (path.parent / row[0]).rename(path.parent / written)
            row[0] = written
        module = module_of(write_csv(path, rows, encoding="utf-8"), tmp_path)
        assert sum(len([data[number] for number in range(len(data))]) for data in groups_of(module)) == 20

    def test_the_folder_of_the_manifest_is_no_image(self, tmp_path):
        path = write_csv(tmp_path / "list.csv", [[".", "", "normal", "p1", ""]])
        with pytest.raises(InputError, match="line 2: found a folder without DICOM files"):
            read_manifest(path)

    def test_windows_separators(self, tmp_path):
        path = write_images(tmp_path / "data")
        rows = [[row[0].replace("/", "\\"), row[1].replace("/", "\\"), *row[2:]] for row in rows_of(path)]
        assert len(module_of(write_csv(path, rows), tmp_path).test_data) > 0

    def test_absolute_paths(self, tmp_path):
        path = write_images(tmp_path / "data")
        rows = [[str(path.parent / row[0]), *row[1:]] for row in rows_of(path)]
        rows = [[row[0], str(path.parent / row[1]) if row[1] else "", *row[2:]] for row in rows]
        assert len(module_of(write_csv(tmp_path / "elsewhere" / "list.csv", rows), tmp_path).test_data) > 0

    def test_names_that_look_alike_stay_apart(self, tmp_path):
        path = write_images(tmp_path / "data")
        rows = rows_of(path)
        for row, name in zip(rows, ["images/a b.png", "images/a_b.png"], strict=False):
            (path.parent / row[0]).rename(path.parent / name)
            row[0] = name
        module = module_of(write_csv(path, rows), tmp_path)
        names = [name for data in groups_of(module) for name in data.samples["sample_id"]]
        assert len(set(names)) == len(names) == 20

    def test_a_subject_with_the_name_of_its_images_stays_one_subject(self, tmp_path):
        path = write_images(tmp_path / "data", 4, 0)
        rows = []
        for number, row in enumerate(rows_of(path)):
            (path.parent / row[0]).rename(path.parent / f"p1.{number}")
            rows.append([f"p1.{number}", "", "normal", "p1", ""])
        assert list(read_manifest(write_csv(path, rows)).subjects()) == ["p1"]
        rows[1][4], rows[0][4] = "test", "train"
        rows[2][4] = rows[3][4] = "train"
        with pytest.raises(InputError, match="found the subject p1 in test, expected train"):
            read_manifest(write_csv(path, rows))

    def test_a_name_made_for_a_line_is_not_taken_twice(self, tmp_path):
        path = write_images(tmp_path / "data", 3, 0)
        rows = rows_of(path)
        for row, name in zip(rows, ("a b.png", "a_b.png", "a_b_line3.png"), strict=True):
            (path.parent / row[0]).rename(path.parent / name)
            row[0] = name
        assert len({row.name for row in read_manifest(write_csv(path, rows)).rows}) == 3

    def test_one_damaged_image_of_a_hundred_is_listed(self, tmp_path):
        path = write_images(tmp_path / "data", 100, 10)
        (path.parent / "images" / "03.png").write_bytes(b"broken")
        card = module_of(path, tmp_path).card()
        assert list(card["left_out"]) == ["images_03"]
        assert card["excluded"]["image that cannot be used"] == 1

    def test_with_strict_it_is_an_error(self, tmp_path):
        path = write_images(tmp_path / "data", 100, 10)
        (path.parent / "images" / "03.png").write_bytes(b"broken")
        with pytest.raises(InputError, match=r"03\.png: found a file that cannot be read"):
            module_of(path, tmp_path, strict=True)

    def test_subjects_can_be_left_out(self, tmp_path):
        module = module_of(write_images(tmp_path / "data", 20, 4), tmp_path, exclude=["patient 9"])
        assert "patient 9" not in set(module.test_data.samples["subject_id"])

    def test_the_split_can_be_kept_in_a_file(self, tmp_path):
        path = write_images(tmp_path / "data", 20, 4)
        first = module_of(path, tmp_path, split_file=tmp_path / "split.json")
        again = module_of(path, tmp_path, split_file=tmp_path / "split.json", split_seed=5)
        assert first.card()["split"] == again.card()["split"]

    def test_a_split_that_was_written_beside_a_damaged_image_is_followed(self, tmp_path):
        path = write_images(tmp_path / "data", 120, 4)
        rows = [[*row[:3], f"patient {number}", ""] for number, row in enumerate(rows_of(path))]
        (path.parent / rows[7][0]).write_bytes(b"not a picture")
        first = module_of(write_csv(path, rows), tmp_path)
        assert set(first.card()["left_out"]) == {"images_07"}
        first.write_split(tmp_path / "split.json")
        again = module_of(path, tmp_path, split_file=tmp_path / "split.json", split_seed=5)
        assert first.card()["split"] == again.card()["split"]

    def test_a_copy_under_another_name_in_another_group_is_refused(self, tmp_path):
        path = write_images(tmp_path / "data", 12, 2)
        names = ["train", "train", "reference", "calibration", "test", "test"]
        rows = [[*row[:4], names[index // 2]] for index, row in enumerate(rows_of(path))]
        shutil.copy(path.parent / rows[0][0], path.parent / rows[8][0])
        with pytest.raises(InputError, match="found the same image as"):
            module_of(write_csv(path, rows), tmp_path)


class TestVolumes:
    @staticmethod
    def write_volumes(folder, subject_writer, count=12):
        rows = []
        for number in range(count):
            name = f"v{number:02d}"
            subject_writer(folder, "x", name, number, modalities=("flair",))
            rows.append([f"x/{name}/{name}_flair.nii.gz", f"x/{name}/{name}_seg.nii.gz", "1", name, ""])
        return write_csv(folder / "manifest.csv", rows)

    def test_a_volume_gives_normal_and_abnormal_slices(self, tmp_path, subject_writer):
        module = module_of(self.write_volumes(tmp_path / "data", subject_writer), tmp_path)
        assert module.card()["protocol"] == "slice"
        assert set(module.test_data.samples["label_index"]) == {0, 1}
        assert set(module.train_data.samples["label_index"]) == {0}
        for index, label in enumerate(module.test_data.samples["label_index"]):
            assert module.test_data[index].gt_mask.any() == bool(label)

    def test_a_subject_may_have_several_volumes(self, tmp_path, subject_writer):
        path = self.write_volumes(tmp_path / "data", subject_writer)
        rows = [[*row[:3], f"p{index // 2}", ""] for index, row in enumerate(rows_of(path))]
        module = module_of(write_csv(path, rows), tmp_path, minimum_lesion_area=1)
        names = [name for data in groups_of(module) for name in data.samples["sample_id"]]
        assert len(set(names)) == len(names)
        assert set(module.train_data.samples["subject_id"]) <= {f"p{number}" for number in range(6)}

    def test_a_dicom_series_is_the_same_as_its_nifti(self, tmp_path, subject_writer, series_writer):
        path = self.write_volumes(tmp_path / "data", subject_writer)
        expected = module_of(path, tmp_path)
        rows = rows_of(path)
        volume = read_volume(path.parent / rows[0][0])
        right, front, head = read_volume_header(path.parent / rows[0][0]).centre
        # Where the first voxel lies; DICOM counts to the left and to the back.
        origin = np.array([-right, -front, head]) - 4 * (np.array(volume.data.shape[::-1]) - 1) / 2
        series_writer(path.parent / "dicom", volume.data.astype(np.int16), spacing=(4, 4), distance=4, origin=origin)
        rows[0][0] = "dicom"
        found = module_of(write_csv(path, rows), tmp_path)
        for ours, theirs in zip(groups_of(found), groups_of(expected), strict=True):
            assert list(ours.samples["lesion_fraction"]) == list(theirs.samples["lesion_fraction"])
            for index in range(0, len(ours), 7):
                np.testing.assert_allclose(ours[index].image, theirs[index].image, atol=1 / 65534)

    @staticmethod
    def write_series_of(path, row, series_writer):
        """Put DICOM series in the place of the volume and the mask of a line; return their folders."""
        rows = rows_of(path)
        right, front, head = read_volume_header(path.parent / rows[row][0]).centre
        for column, name in ((0, "dicom"), (1, "dicom_mask")):
            stack = read_volume(path.parent / rows[row][column]).data.astype(np.uint16)
            # Where the first voxel lies; DICOM counts to the left and to the back.
            origin = np.array([-right, -front, head]) - 4 * (np.array(stack.shape[::-1]) - 1) / 2
            series_writer(path.parent / name, stack, spacing=(4, 4), distance=4, origin=origin)
            rows[row][column] = name
        write_csv(path, rows)
        return path.parent / "dicom", path.parent / "dicom_mask"

    @pytest.mark.parametrize(
        "header",
        [{"RescaleSlope": 1, "RescaleIntercept": -1024}, {"PhotometricInterpretation": "MONOCHROME1", "BitsStored": 8}],
    )
    def test_a_series_of_a_mask_is_what_is_stored(self, tmp_path, subject_writer, series_writer, header):
        path = self.write_volumes(tmp_path / "data", subject_writer)
        expected = module_of(path, tmp_path)
        _, mask = self.write_series_of(path, 0, series_writer)
        for file in mask.iterdir():
            data = pydicom.dcmread(file)
            data.PixelData = (data.pixel_array.astype(bool) * np.uint16(255)).tobytes()
            for name, value in header.items():
                setattr(data, name, value)
            data.save_as(file)
        found = module_of(path, tmp_path)
        for ours, theirs in zip(groups_of(found), groups_of(expected), strict=True):
            assert list(ours.samples["lesion_fraction"]) == list(theirs.samples["lesion_fraction"])

    def test_a_series_that_was_changed_with_its_size_and_times_is_read_again(
        self, tmp_path, subject_writer, series_writer
    ):
        path = self.write_volumes(tmp_path / "data", subject_writer)
        image, _ = self.write_series_of(path, 0, series_writer)
        before = module_of(path, tmp_path).test_data.reader.fingerprint
        for file in image.iterdir():
            status, data = file.stat(), pydicom.dcmread(file)
            data.PixelData = (data.pixel_array // 2).tobytes()
            data.save_as(file)
            os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))
            assert file.stat().st_size == status.st_size
        assert module_of(path, tmp_path).test_data.reader.fingerprint != before

    def test_a_window_of_hounsfield_units_tells_the_body_from_air(self, tmp_path, subject_writer):
        path = self.write_volumes(tmp_path / "data", subject_writer)
        for row in rows_of(path):
            image = nibabel.load(path.parent / row[0])
            voxels = np.asarray(image.dataobj)
            ct = np.where(voxels == 0, np.int16(-1000), 40 + voxels // 20).astype(np.int16)
            nibabel.save(nibabel.Nifti1Image(ct, image.affine), path.parent / row[0])
        module = module_of(path, tmp_path, intensity_range=(-160, 240))
        image = module.test_data[0].image
        assert image[..., 0, 0].max() == 0
        assert image[..., 16, 16].min() > 0.45
        assert module.card()["protocol_parameters"]["intensity_range"] == [-160, 240]

    @pytest.fixture(scope="class")
    def with_healthy(self, tmp_path_factory, subject_writer):
        folder = tmp_path_factory.mktemp("healthy")
        rows = []
        for number in range(14):
            name, healthy = f"v{number:02d}", number < 10
            subject_writer(folder, "x", name, number, modalities=("flair",), healthy=healthy)
            mask = "" if healthy else f"x/{name}/{name}_seg.nii.gz"
            rows.append([f"x/{name}/{name}_flair.nii.gz", mask, str(int(not healthy)), name, ""])
        return module_of(write_csv(folder / "manifest.csv", rows), folder, position_tolerance=0.2, area_tolerance=0.2)

    def test_where_there_are_healthy_volumes_normal_slices_are_theirs(self, with_healthy):
        card = with_healthy.card()
        assert card["protocol"] == "subject"
        assert "domain shift" in card["normal_means"]
        assert card["protocol_parameters"]["healthy_volumes"] == 10
        assert card["excluded"]["slice without lesion of a patient"] > 0
        for data in groups_of(with_healthy):
            for label, subject in zip(data.samples["label_index"], data.samples["subject_id"], strict=True):
                assert label == int(subject >= "v10")

    def test_patients_beside_healthy_volumes_are_test_subjects_only(self, with_healthy):
        split = with_healthy.card()["split"]
        assert {"v10", "v11", "v12", "v13"} < set(split["test"])
        assert all(split.values())

    def test_a_slice_of_a_healthy_volume_has_an_empty_mask(self, with_healthy):
        for index, label in enumerate(with_healthy.test_data.samples["label_index"]):
            assert with_healthy.test_data[index].gt_mask.any() == bool(label)

    def test_a_volume_without_background_is_refused(self, tmp_path, subject_writer):
        path = self.write_volumes(tmp_path / "data", subject_writer)
        image = path.parent / rows_of(path)[0][0]
        full = np.random.default_rng(0).integers(1, 1000, (40, 48, 30)).astype(np.int16)
        nibabel.save(nibabel.Nifti1Image(full, np.diag([-4.0, -4, 4, 1])), image)
        with pytest.raises(InputError, match="expected a background of zero"):
            module_of(path, tmp_path)

    def test_a_mask_that_lies_elsewhere_is_refused(self, tmp_path, subject_writer):
        path = self.write_volumes(tmp_path / "data", subject_writer)
        place = path.parent / rows_of(path)[0][1]
        mask = nibabel.load(place)
        voxels = np.asarray(mask.dataobj)
        nibabel.save(nibabel.Nifti1Image(voxels, mask.affine @ np.diag([-1.0, -1.0, 1.0, 1.0])), place)
        with pytest.raises(InputError, match=rf"{place.name}: found a volume whose centre lies at .*, expected"):
            module_of(path, tmp_path)

    def test_an_empty_mask_is_refused(self, tmp_path, subject_writer):
        path = self.write_volumes(tmp_path / "data", subject_writer)
        mask = path.parent / rows_of(path)[0][1]
        nibabel.save(nibabel.Nifti1Image(np.zeros((40, 48, 30), np.int16), np.diag([-4.0, -4, 4, 1])), mask)
        with pytest.raises(InputError, match="found an empty mask"):
            module_of(path, tmp_path)


class TestBadManifest:
    """Each is one sentence that names the file, the line, what was found and what was expected."""

    @pytest.fixture
    def path(self, tmp_path):
        return write_images(tmp_path / "data")

    @staticmethod
    def error_of(path, **arguments):
        with pytest.raises(InputError) as caught:
            module_of(path, path.parent, **arguments)
        message = str(caught.value)
        assert "\n" not in message
        assert "found" in message
        assert "expected" in message
        return message

    def changed(self, path, line, column, value):
        rows = rows_of(path)
        rows[line - 2][HEADER.index(column)] = value
        return self.error_of(write_csv(path, rows))

    def test_missing_manifest(self, tmp_path):
        assert "manifest.csv: found no such file" in self.error_of(tmp_path)

    def test_missing_column(self, path):
        write_csv(path, [[row[0]] for row in rows_of(path)], ["image"])
        assert "line 1: found image, expected the columns label" in self.error_of(path)

    def test_unknown_column(self, path):
        write_csv(path, rows_of(path), [*HEADER[:-1], "fold"])
        assert "line 1: found the column 'fold'" in self.error_of(path)

    def test_empty_file(self, path):
        path.write_text("")
        assert "found no columns" in self.error_of(path)

    def test_header_alone(self, path):
        assert "found no line below the header" in self.error_of(write_csv(path, []))

    def test_another_encoding(self, path):
        path.write_bytes(path.read_bytes().replace(b"patient", "Pätient".encode("latin-1")))
        assert "found bytes that are not UTF-8" in self.error_of(path)

    def test_comma_without_quotes(self, path):
        path.write_text(path.read_text() + "images/a,b.png,,0,p,,\n")
        assert "line 22: found more values than columns" in self.error_of(path)

    def test_missing_image(self, path):
        assert "line 3: found no file" in self.changed(path, 3, "image", "images/gone.png")

    def test_missing_mask(self, path):
        assert "line 21: found no file" in self.changed(path, 21, "mask", "images/gone.png")

    def test_unknown_label(self, path):
        assert "line 5: found the label 'sick', expected one of 0, normal" in self.changed(path, 5, "label", "sick")

    def test_line_without_image(self, path):
        assert "line 4: found no image" in self.changed(path, 4, "image", "")

    def test_line_without_subject(self, path):
        assert "line 4: found no subject_id" in self.changed(path, 4, "subject_id", "")

    def test_split_in_some_lines_only(self, path):
        assert "line 2: found the split ''" in self.changed(path, 4, "split", "train")

    def test_image_listed_twice(self, path):
        assert "line 6: found 00.png again, expected it once (it is in line 2)" in self.changed(
            path, 6, "image", "images/../images/00.png"
        )

    def test_subject_in_two_groups(self, path):
        rows = [[*row[:4], "train" if index else "test"] for index, row in enumerate(rows_of(path))]
        write_csv(path, rows)
        assert "line 3: found the subject patient 0 in train, expected test as in line 2" in self.error_of(path)

    def test_split_and_split_file(self, path):
        write_csv(path, [[*row[:4], "train"] for row in rows_of(path)])
        assert "expected one of the two" in self.error_of(path, split_file=path.parent / "split.json")

    def test_mask_of_another_size(self, path):
        Image.new("L", (3, 4), 1).save(path.parent / "images" / "19_mask.png")
        assert "19_mask.png: found 4 x 3 pixels, expected 40 x 50" in self.error_of(path)

    def test_empty_mask_of_an_abnormal_image(self, path):
        Image.new("L", (50, 40), 0).save(path.parent / "images" / "19_mask.png")
        assert "19_mask.png: found an empty mask" in self.error_of(path)

    def test_lesion_in_a_normal_image(self, path):
        assert "expected none, as the image is labelled normal" in self.changed(path, 2, "mask", "images/19_mask.png")

    def test_image_of_one_intensity(self, path):
        Image.fromarray(np.full((8, 8), 300, dtype=np.uint16)).save(path.parent / "images" / "05.png")
        assert "05.png: found an image of one intensity" in self.error_of(path)

    def test_volumes_beside_images(self, path, subject_writer):
        subject_writer(path.parent, "x", "v", 0, modalities=("flair",))
        assert "found a volume, expected the same kind as in line 2" in self.changed(
            path, 3, "image", "x/v/v_flair.nii.gz"
        )

    def test_volume_without_mask(self, path, subject_writer):
        subject_writer(path.parent, "x", "v", 0, modalities=("flair",))
        write_csv(path, [["x/v/v_flair.nii.gz", "", "1", "p", ""]])
        assert "line 2: found an abnormal volume without mask" in self.error_of(path)

    def test_lesion_in_a_volume_labelled_normal(self, path, subject_writer):
        subject_writer(path.parent, "x", "v", 0, modalities=("flair",))
        subject_writer(path.parent, "x", "w", 1, modalities=("flair",))
        rows = [
            [f"x/{n}/{n}_flair.nii.gz", f"x/{n}/{n}_seg.nii.gz", "0", n, s] for n, s in (("v", "train"), ("w", "test"))
        ]
        assert "found a lesion, expected none, as the volume is labelled normal" in self.error_of(write_csv(path, rows))

    def test_folder_without_dicom(self, path):
        (path.parent / "empty").mkdir()
        write_csv(path, [["empty", "images/00.png", "1", "p", ""]])
        assert "line 2: found a folder without DICOM files" in self.error_of(path)

    def test_range_the_wrong_way_round(self, path):
        assert "expected the lower intensity first" in self.error_of(path, intensity_range=(1, 0))


@pytest.mark.parametrize("named", ["", "manifest.csv"])
def test_phantoms_are_named_as_such_whether_their_folder_or_their_file_is_given(tmp_path, named):
    phantoms = ManifestPhantoms(
        train_images=3, reference_images=1, calibration_images=1, test_images=2, seed=1, side=64
    )
    phantoms.write(tmp_path / "chest", processes=1)
    card = module_of(tmp_path / "chest" / named, tmp_path).card()
    assert card["phantom"]
    assert card["phantom_parameters"] == phantoms.parameters()


def test_the_datamodule_is_built_from_a_configuration(tmp_path):
    path = write_images(tmp_path / "data")
    parser = ArgumentParser()
    parser.add_subclass_arguments(AnomalibDataModule, "data")
    arguments = {"root": str(path), "image_size": 32, "intensity_range": [0, 100], "cache_dir": str(tmp_path / "cache")}
    parsed = parser.parse_object({"data": {"class_path": "anomalib_patchgan.data.Manifest", "init_args": arguments}})
    module = parser.instantiate_classes(parsed).data
    module.setup()
    assert module.card()["protocol_parameters"]["intensity_range"] == [0, 100]
