# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""Classes named by a dotted path: imported late, checked before anything runs, built with jsonargparse."""

import importlib
import inspect
from argparse import ArgumentError
from copy import deepcopy
from typing import Any

from jsonargparse import ArgumentParser

from anomalib_patchgan.errors import InputError, sentence
from anomalib_patchgan.quiet import without_warnings


def import_class(class_path: str, where: str) -> type:
    """Import a class.

    Args:
        class_path: Dotted path.
        where: Key of the suite that holds it, for the message.

    Raises:
        InputError: There is no such module, or no such class in it.
    """
    module_name, _, class_name = class_path.rpartition(".")
    if not module_name:
        raise InputError(f"{where}.class_path is {class_path!r}; expected the dotted path of a class.")
    try:
        with without_warnings():
            module = importlib.import_module(module_name)
        found = getattr(module, class_name)
    except (ImportError, AttributeError) as error:
        raise InputError(f"{where}.class_path is {class_path!r}, which cannot be imported ({error}).") from error
    if not inspect.isclass(found):
        raise InputError(f"{where}.class_path is {class_path!r}, a {type(found).__name__}; expected a class.")
    return found


class Blueprint:
    """A class and checked arguments, ready to be built any number of times.

    Arguments are typed by the class's signature, so that nested ``class_path`` and ``init_args`` work as they do in
    ``anomalib train``.

    Args:
        class_path: Dotted path of the class.
        arguments: Constructor arguments.
        where: Key of the suite that holds them, for messages.

    Raises:
        InputError: The class cannot be imported or does not take the arguments.
    """

    def __init__(self, class_path: str, arguments: dict[str, Any], where: str) -> None:
        self.built_class = import_class(class_path, where)
        parameters = inspect.signature(self.built_class).parameters
        if not any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()):
            for key in arguments:
                if key not in parameters:
                    expected = ", ".join(parameters)
                    raise InputError(f"{where}.init_args has the unknown key {key!r}; expected one of {expected}.")
        self._parser = ArgumentParser(exit_on_error=False)
        self._parser.add_class_arguments(self.built_class, "built", fail_untyped=False)
        try:
            # A copy, since jsonargparse writes into nested mappings, and keys of jobs are made from these arguments.
            self._namespace = self._parser.parse_object({"built": deepcopy(arguments)})
        except ArgumentError as error:
            message = sentence(error).replace("built.", "")
            raise InputError(f"{where}.init_args does not fit {class_path}: {message}") from error

    def build(self) -> Any:
        """Build an instance."""
        return self._parser.instantiate_classes(self._namespace).built


def takes(built_class: type, argument: str) -> bool:
    """Say whether a constructor has a parameter of this name."""
    return argument in inspect.signature(built_class).parameters
