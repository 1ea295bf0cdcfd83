# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""The six artefacts, the strength of each severity, and why these strengths.

Lengths are shares of the image's shorter side, since an image does not know its millimetres: for a brain slice that
spans 192 mm, 1 % is 1.9 mm. Intensities are shares of the full scale; the bright tissue of a scan lies at half of it.
BrainWeb (Cocosco et al., NeuroImage 1997) is the simulator whose levels of noise and of non-uniformity are quoted.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

SEVERITIES = (1, 2, 3, 4, 5)


@dataclass(frozen=True)
class Parameter:
    """One strength of an artefact.

    Attributes:
        name: What it is.
        unit: Its unit.
        levels: Its value at severities 1 to 5.
    """

    name: str
    unit: str
    levels: tuple[float, float, float, float, float]


@dataclass(frozen=True)
class Artefact:
    """One artefact.

    Attributes:
        name: Its name in a suite.
        effect: What it does to an image.
        random: What is drawn for each sample, the same at every severity.
        parameters: What grows with the severity.
        reason: Why these strengths.
        moves_lesion: Whether the lesion mask moves with the image.
    """

    name: str
    effect: str
    random: str
    parameters: tuple[Parameter, ...]
    reason: str
    moves_lesion: bool = False

    def strength(self, severity: int) -> dict[str, float]:
        """The parameters at a severity.

        Args:
            severity: 1 to 5.
        """
        return {parameter.name: parameter.levels[SEVERITIES.index(severity)] for parameter in self.parameters}


_ARTEFACTS = (
    Artefact(
        name="bias_field",
        effect="multiplies the image by a smooth field, the exponential of a polynomial of third order",
        random="the polynomial's coefficients",
        parameters=(Parameter("ratio", "brightest to darkest place of the field", (1.2, 1.5, 1.9, 2.3, 3.0)),),
        reason="BrainWeb's 20 % and 40 % non-uniformity are ratios of 1.2 and 1.5; beyond lie surface coils and high "
        "fields. In a photograph the field stands for uneven light.",
    ),
    Artefact(
        name="noise",
        effect="adds noise: Rician in a scan, whose magnitude is stored, and Gaussian in a photograph",
        random="the noise",
        parameters=(Parameter("std", "% of the full scale", (1.5, 3.0, 4.5, 7.0, 10.0)),),
        reason="3, 6, 9, 14 and 20 % of a scan's bright tissue; BrainWeb goes up to 9 %, low-field scans beyond.",
    ),
    Artefact(
        name="motion",
        effect="in a scan, takes the two ends of k-space from moved copies of the image; in a photograph, averages "
        "copies along a straight path",
        random="directions and signs of the movements, and when they happen",
        parameters=(
            Parameter("rotation", "degrees (scan)", (1.0, 2.0, 4.0, 6.0, 9.0)),
            Parameter("translation", "% of the side (scan)", (1.0, 2.0, 3.0, 4.5, 6.0)),
            Parameter("disturbed", "% of k-space at either end (scan)", (12.0, 19.0, 26.0, 33.0, 40.0)),
            Parameter("path", "% of the side (photograph)", (2.0, 4.0, 6.0, 9.0, 12.0)),
        ),
        reason="In a brain slice 2 to 12 mm and 1 to 9 degrees: from a patient who lies almost still to a scan that "
        "would be repeated.",
    ),
    Artefact(
        name="blur",
        effect="smooths with a Gaussian",
        random="nothing",
        parameters=(Parameter("std", "% of the side", (0.5, 1.0, 1.5, 2.0, 3.0)),),
        reason="In a brain slice a resolution (width at half maximum) of 2 to 14 mm: from a good scan to a "
        "smeared one.",
    ),
    Artefact(
        name="gamma",
        effect="raises intensities to the power exp(s) or exp(-s)",
        random="the sign",
        parameters=(Parameter("log_gamma", "s, no unit", (0.1, 0.2, 0.3, 0.45, 0.6)),),
        reason="torchio augments with up to 0.3; the last two shift mid grey from 0.5 to 0.34 or 0.64, and to 0.28 or "
        "0.68, as another sequence or another exposure does.",
    ),
    Artefact(
        name="rotation",
        effect="turns image and lesion mask about the centre",
        random="the sign",
        parameters=(Parameter("angle", "degrees", (3.0, 6.0, 10.0, 15.0, 20.0)),),
        reason="Heads are positioned within about 10 degrees; the last two are a patient who cannot lie straight.",
        moves_lesion=True,
    ),
)

ARTEFACTS: dict[str, Artefact] = {artefact.name: artefact for artefact in _ARTEFACTS}
"""The artefacts by name."""


def describe(kinds: Sequence[str], severities: Sequence[int]) -> list[dict[str, Any]]:
    """Say what artefacts do and how strong they are; JSON-able.

    Args:
        kinds: Names of artefacts.
        severities: Severities, 1 to 5.

    Returns:
        One mapping an artefact: ``artefact, effect, random, reason`` and ``parameters``, each with ``name, unit`` and
        ``levels`` at those severities.
    """
    return [
        {
            "artefact": kind,
            "effect": ARTEFACTS[kind].effect,
            "random": ARTEFACTS[kind].random,
            "reason": ARTEFACTS[kind].reason,
            "parameters": [
                {
                    "name": parameter.name,
                    "unit": parameter.unit,
                    "levels": [ARTEFACTS[kind].strength(severity)[parameter.name] for severity in severities],
                }
                for parameter in ARTEFACTS[kind].parameters
            ],
        }
        for kind in kinds
    ]
