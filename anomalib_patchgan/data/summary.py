# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""What a prepared collection holds, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


def describe_card(card: Mapping[str, Any]) -> str:
    """The card of a datamodule as Markdown: what normal means, who is in which group, what was left out and why.

    Args:
        card: See :meth:`anomalib_patchgan.data.base.MedicalDataModule.card`.
    """
    lines = [
        f"{card['name']}{' (phantoms)' if card['phantom'] else ''}, protocol {card['protocol']}, "
        f"{' x '.join(map(str, card['image_size']))} pixels",
        f"Normal: {card['normal_means']}",
        "",
        "| group | subjects | normal samples | abnormal samples |",
        "| --- | ---: | ---: | ---: |",
    ]
    lines += [
        f"| {group} | {counts['subjects']} | {counts['normal']} | {counts['abnormal']} |"
        for group, counts in card["groups"].items()
    ]
    lines += ["", f"Split: {card['split_sha256']}"]
    if warning := card["protocol_parameters"].get("warning"):
        lines += ["", f"Warning: {warning}"]
    if card["excluded"]:
        lines += ["", "Left out by the protocol:", ""]
        lines += [f"- {count:,} x {reason}" for reason, count in card["excluded"].items()]
    if card["duplicates_within_groups"]:
        lines += ["", f"Pairs of images within a group that are (nearly) the same: {card['duplicates_within_groups']}"]
    if card["left_out"]:
        lines += ["", "Could not be used:", ""]
        lines += [f"- {name}: {finding}" for name, finding in card["left_out"].items()]
    return "\n".join(lines)
