# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""Building and checking what a command line or a suite names by a class, with a sentence where it cannot be used."""

from typing import Any, TypeVar

from jsonargparse import ArgumentParser, Namespace

from anomalib_patchgan.errors import InputError

_Built = TypeVar("_Built")
# Not in the phantoms' class, since stored results are keyed by what makes their data, and this changes none of them.
LARGEST_SPACING = 20.0
"""Edge of a phantom's voxel in mm at most; the brain is 155 mm high."""


def build_datamodule(parser: ArgumentParser, options: Namespace) -> Any:
    """Build the datamodule that the option ``data`` names.

    Args:
        parser: Has ``data`` as a subclass argument.
        options: What was parsed, with the keys of ``parser`` only.

    Raises:
        InputError: The datamodule refuses its arguments, or its images would have no pixels.
    """
    refusals: list[InputError] = []

    def construct(class_type: type[_Built], *args: Any, **kwargs: Any) -> _Built:
        try:
            return class_type(*args, **kwargs)
        except InputError as error:
            refusals.append(error)
            raise

    # jsonargparse tells of all that did not fit, in a long text; in the exception's causes the refusal need not be.
    parser.add_instantiator(construct, object)
    try:
        datamodule = parser.instantiate_classes(options).data
    except (TypeError, ValueError):
        if not refusals:
            raise
        raise refusals[-1] from None
    check_image_size(getattr(datamodule, "image_size", None), "image_size")
    return datamodule


def check_spacing(phantoms: Any) -> None:
    """Refuse voxels so large that a brain has none.

    Args:
        phantoms: Phantoms of any class.

    Raises:
        InputError: Their voxels are too large.
    """
    spacing = getattr(phantoms, "spacing", 0.0)
    if not spacing <= LARGEST_SPACING:
        raise InputError(f"phantoms: spacing is {spacing}, expected at most {LARGEST_SPACING}")


def check_image_size(size: Any, where: str) -> None:
    """Refuse images without pixels.

    Args:
        size: Rows and columns, one number for a square, or None where it is not known.
        where: What holds it, for the message.

    Raises:
        InputError: A side is below 1.
    """
    sides = size if isinstance(size, list | tuple) else [size]
    if any(isinstance(side, int) and side < 1 for side in sides):
        raise InputError(f"{where}: found {size}, expected at least one row and one column.")
