# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""Building the classes that a command line names, with their own words where they refuse their arguments."""

from typing import Any

from jsonargparse import ArgumentParser, Namespace

from anomalib_patchgan.errors import InputError


def build_datamodule(parser: ArgumentParser, options: Namespace) -> Any:
    """Build the datamodule that the option ``data`` names.

    Args:
        parser: Has ``data`` as a subclass argument.
        options: What was parsed, with the keys of ``parser`` only.

    Raises:
        InputError: The datamodule refuses its arguments, or its images would have no pixels.
    """
    refusals: list[InputError] = []

    def construct(built_class: type, *args: Any, **kwargs: Any) -> Any:
        try:
            return built_class(*args, **kwargs)
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
    _check_image_size(datamodule)
    return datamodule


def _check_image_size(datamodule: Any) -> None:
    size = getattr(datamodule, "image_size", None)
    if size is not None and min((size,) if isinstance(size, int) else size) < 1:
        raise InputError(f"image_size: found {size}, expected at least one row and one column.")
