# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""A small Patch-GAN with thresholds, images and volumes for it, and the writer of a DICOM series."""

from types import SimpleNamespace

import nibabel
import numpy as np
import pydicom
import torch
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

from anomalib_patchgan import PatchGan

SIZE = 32


class NormalImages:
    """A data set of smooth normal images, some of them with a bright square if they are abnormal."""

    def __init__(self, count: int, seed: int, abnormal: bool) -> None:
        generator = torch.Generator().manual_seed(seed)
        coarse = torch.rand(count, 1, 4, 4, generator=generator)
        images = torch.nn.functional.interpolate(coarse, SIZE, mode="bicubic").clamp(0, 1).expand(-1, 3, -1, -1)
        self.images = images.contiguous()
        self.labels = [int(abnormal and index % 2 == 1) for index in range(count)]
        for index, label in enumerate(self.labels):
            if label:
                self.images[index, :, 8:20, 8:20] = torch.rand(12, 12, generator=generator)

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> SimpleNamespace:
        return SimpleNamespace(image=self.images[index], gt_label=torch.tensor(self.labels[index]))


def make_model() -> PatchGan:
    """An untrained network whose novelty distribution is fitted, and with thresholds."""
    torch.manual_seed(0)
    model = PatchGan(image_size=SIZE, channels=1, width=8, discriminator_width=16, evaluator=False, visualizer=False)
    normals = NormalImages(40, 1, abnormal=False).images
    with torch.inference_mode():
        # Not the initial zeros, so that every output depends on every layer.
        for parameter in model.model.parameters():
            parameter.add_(0.05 * torch.randn(parameter.shape))
    model.eval()
    model.model.fit_novelty([normals])
    with torch.inference_mode():
        raw = model.model(normals)
    thresholds = {
        "_image_threshold": raw.pred_score.quantile(0.9),
        "image_min": raw.pred_score.median(),
        "image_max": raw.pred_score.max(),
        "_pixel_threshold": raw.anomaly_map.flatten().quantile(0.95),
        "pixel_min": raw.anomaly_map.median(),
        "pixel_max": raw.anomaly_map.max(),
    }
    for name, value in thresholds.items():
        getattr(model.post_processor, name).fill_(value)
    return model


def write_brain(root, subject, seed, modalities=("flair",)) -> None:
    """Write an ellipsoid with a bright ball in it, in the orientation of BraTS (left, posterior, superior)."""
    generator = np.random.default_rng(seed)
    shape, spacing = (40, 48, 30), (4.0, 4.0, 4.0)
    x, y, z = np.meshgrid(*(np.linspace(-1, 1, size) for size in shape), indexing="ij")
    brain = (x / 0.85) ** 2 + (y / 0.9) ** 2 + (z / 0.9) ** 2 < 1
    lesion = ((x - 0.3) ** 2 + (y + 0.1) ** 2 + (z - generator.uniform(-0.3, 0.3)) ** 2 < 0.3**2) & brain
    affine = np.diag([-spacing[0], -spacing[1], spacing[2], 1.0])
    affine[:3, 3] = (70, 90, -40)
    folder = root / subject
    folder.mkdir(parents=True)
    for modality in modalities:
        voxels = generator.uniform(200, 900) * (1 + 0.1 * generator.standard_normal(shape) + lesion)
        voxels = np.where(brain, np.maximum(voxels, 1), 0).astype(np.int16)
        nibabel.save(nibabel.Nifti1Image(voxels, affine), folder / f"{subject}_{modality}.nii.gz")
    nibabel.save(nibabel.Nifti1Image(lesion.astype(np.int16), affine), folder / f"{subject}_seg.nii.gz")


def write_series(folder, volume, row=(1, 0, 0), column=(0, 1, 0), spacing=(2.0, 1.5), distance=3.0) -> None:
    """Write int16 slices [slices, rows, columns] at equal steps along their normal."""
    folder.mkdir(parents=True)
    normal = np.cross(row, column)
    series = "1.2.3.4"
    for index, pixels in enumerate(volume):
        meta = FileMetaDataset()
        meta.MediaStorageSOPClassUID = CTImageStorage
        meta.MediaStorageSOPInstanceUID = generate_uid()
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        data = FileDataset(folder / f"{index:03d}", {}, file_meta=meta, preamble=b"\0" * 128)
        data.SOPClassUID, data.SOPInstanceUID = CTImageStorage, meta.MediaStorageSOPInstanceUID
        data.SeriesInstanceUID = series
        data.Rows, data.Columns = pixels.shape
        data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
        data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = 16, 16, 15, 1
        data.ImageOrientationPatient = [*map(float, row), *map(float, column)]
        data.ImagePositionPatient = [float(value) for value in index * distance * normal]
        data.PixelSpacing = [float(value) for value in spacing]
        data.PixelData = np.ascontiguousarray(pixels).tobytes()
        pydicom.dcmwrite(folder / f"{index:03d}", data, enforce_file_format=True)
