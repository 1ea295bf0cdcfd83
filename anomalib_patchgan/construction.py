# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""Building what a command line names by a class, with a sentence where the class refuses it."""

from typing import Any, TypeVar

from jsonargparse import ArgumentParser, Namespace

from anomalib_patchgan.errors import InputError

_Built = TypeVar("_Built")


def build_datamodule(parser: ArgumentParser, options: Namespace) -> Any:
    """Build the datamodule that the option ``data`` names.

    Args:
        parser: Has ``data`` as a subclass argument.
        options: What was parsed, with the keys of ``parser`` only.

    Raises:
        InputError: The datamodule refuses its arguments.
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
        return parser.instantiate_classes(options).data
    except (TypeError, ValueError):
        if not refusals:
            raise
        raise refusals[-1] from None
