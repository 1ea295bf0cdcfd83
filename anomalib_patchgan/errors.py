# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""The one exception that is shown to a user as a sentence instead of a traceback, and how any other is put into one."""


class InputError(ValueError):
    """Something the user gave cannot be used.

    The message is one sentence that names the file or key, what was found and what was expected. The console script
    prints it and exits with status 2.
    """


def sentence(error: BaseException) -> str:
    """The message of an exception on one line."""
    return " ".join(str(error).split())
