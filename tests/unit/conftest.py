# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""DICOM phantoms, written on the fly."""

import numpy as np
import pydicom
import pytest
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

SERIES = generate_uid()


def write_dicom(
    path, pixels, bits=16, photometric="MONOCHROME2", frames=None, syntax=ExplicitVRLittleEndian, **elements
):
    """Write pixels [rows, columns] or [rows, columns, 3], with any further elements by keyword."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = CTImageStorage
    meta.MediaStorageSOPInstanceUID = generate_uid()
    meta.TransferSyntaxUID = syntax
    data = FileDataset(path, {}, file_meta=meta, preamble=b"\0" * 128)
    data.SOPClassUID, data.SOPInstanceUID = CTImageStorage, meta.MediaStorageSOPInstanceUID
    data.SeriesInstanceUID = SERIES
    coloured = pixels.ndim == 3 and frames is None
    data.Rows, data.Columns = pixels.shape[:2] if frames is None else pixels.shape[1:3]
    data.SamplesPerPixel = 3 if coloured else 1
    if coloured:
        data.PlanarConfiguration = 0
    if frames is not None:
        data.NumberOfFrames = frames
    data.PhotometricInterpretation = photometric
    data.BitsAllocated = 8 * pixels.dtype.itemsize
    data.BitsStored, data.HighBit = bits, bits - 1
    data.PixelRepresentation = int(np.issubdtype(pixels.dtype, np.signedinteger))
    data.PixelData = pixels.tobytes()
    for name, value in elements.items():
        setattr(data, name, value)
    path.parent.mkdir(parents=True, exist_ok=True)
    pydicom.dcmwrite(path, data, enforce_file_format=True)
    return path


def write_series(
    folder,
    volume,
    row=(1, 0, 0),
    column=(0, 1, 0),
    spacing=(2.0, 1.5),
    distance=3.0,
    skip=(),
    origin=(-30.0, -20.0, 10.0),
):
    """Write int16 slices [slices, rows, columns] at equal steps along their normal, named in the opposite order."""
    normal = np.cross(row, column)
    for index, pixels in enumerate(volume):
        if index in skip:
            continue
        write_dicom(
            folder / f"IM{len(volume) - index:04d}",
            pixels,
            ImageOrientationPatient=[*map(float, row), *map(float, column)],
            ImagePositionPatient=[float(value) for value in np.array(origin) + index * distance * normal],
            PixelSpacing=list(spacing),
        )
    return folder


@pytest.fixture
def dicom_writer():
    return write_dicom


@pytest.fixture
def series_writer():
    return write_series
