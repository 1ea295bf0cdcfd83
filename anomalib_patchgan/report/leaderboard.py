# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""Many stores on one page: one board for each test set, since numbers of different test sets cannot be ranked."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from anomalib_patchgan.errors import InputError
from anomalib_patchgan.report.cells import MISSING, ROLES, Cell, Row, Table, area_cell, bracketed, share
from anomalib_patchgan.report.files import replace_file, table_files
from anomalib_patchgan.report.findings import UNREADABLE, Area, DataResult, ModelResult, collect
from anomalib_patchgan.report.overview import protocol_of
from anomalib_patchgan.report.rendering import render_html, render_markdown
from anomalib_patchgan.report.same_images import image_parameters, images_digest
from anomalib_patchgan.store import Store

READING = (
    "A board is one test set: one collection, one protocol, one split, the same samples and labels, made with the same "
    "parameters. Ranks are within a board; between boards neither ranks nor numbers can be compared.",
    "In brackets 95 % intervals over test subjects. Where the intervals of two models overlap widely, their order is "
    "not settled; the report of a store says which differences hold.",
    "Equal results share a rank. Controls stand in the table without one.",
)
# A store lies in the folder itself, or in one of its folders, or one below; what is deeper belongs to a store.
_WHERE = ("plan.json", "*/plan.json", "*/*/plan.json")


@dataclass(frozen=True, order=True)
class Board:
    """One test set.

    Attributes:
        name: The collection.
        protocol: What one sample is.
        split: SHA-256 of the split.
        images: SHA-256 of what else decides the test images.
        parameters: What made them, by name.
    """

    name: str
    protocol: str
    split: str
    images: str
    parameters: tuple[tuple[str, str], ...]

    def differing(self, boards: Iterable["Board"]) -> str:
        """Its parameters that other boards of the same collection, protocol and split do not share."""
        alike = [one for one in boards if (one.name, one.protocol, one.split) == (self.name, self.protocol, self.split)]
        return "; ".join(
            f"{name}: {value}"
            for name, value in self.parameters
            if any((name, value) not in one.parameters for one in alike)
        )


@dataclass(frozen=True)
class Entry:
    """One model of one store on one board.

    Attributes:
        store: Where it was run, relative to the folder of all stores.
        board: Its test set.
        phantom: Whether the data are synthetic.
        data: Name of the data set in the suite.
        row: The model's results.
        area: Its image AUROC.
        rank: Its place on the board, from 1, which equal results share; None for a control.
    """

    store: str
    board: Board
    phantom: bool
    data: str
    row: ModelResult
    area: Area
    rank: int | None


def write_leaderboard(folder: Path, output: Path) -> Path:
    """Write the leaderboard of all stores in a folder: ``index.html``, ``README.md``, a CSV and a Parquet file.

    Args:
        folder: Folder that holds the stores, or folders of them.
        output: Folder to write to; it is made if need be.

    Returns:
        The path of the page.

    Raises:
        InputError: When no store is found.
    """
    folder = Path(folder)
    stores = sorted({path.parent for pattern in _WHERE for path in folder.glob(pattern)})
    if not stores:
        raise InputError(f"{folder} holds no result store; expected folders written by `anomalib-patchgan benchmark`.")
    found: list[tuple[str, DataResult]] = []
    unread: list[tuple[str, str]] = []
    for path in stores:
        name = str(path.relative_to(folder)) if path != folder else path.resolve().name
        try:
            found += [(name, data) for data in collect(Store(path)).data]
        except UNREADABLE as error:
            unread.append((name, str(error)))
    entries = rank_entries(found)
    context = {
        "answer": _answer(entries, len(stores)),
        "leaders": [_leader(entry, entries) for entry in entries if entry.rank == 1],
        "table": leaderboard_table(entries),
        "unread": unread,
        "phantom": any(entry.phantom for entry in entries),
        "reading": READING,
    }
    output = Path(output)
    files = table_files("leaderboard", csv_rows(entries))
    files["README.md"] = render_markdown("leaderboard.md.j2", context)
    page = render_html("leaderboard.html.j2", context)
    for name, content in files.items():
        replace_file(output / name, content)
    return replace_file(output / "index.html", page)


def rank_entries(found: list[tuple[str, DataResult]]) -> list[Entry]:
    """Every model that has a result, board by board, best image AUROC first; controls have no rank."""
    entries = [
        Entry(store, _board(data), bool(data.card.get("phantom")), data.name, row, row.image_area, None)
        for store, data in found
        for row in data.results
        if row.image_area is not None
    ]
    entries.sort(key=lambda entry: (entry.board, -_compared(entry), entry.store, entry.row.model))
    values: dict[Board, list[float]] = {}
    for entry in entries:
        if entry.row.role != "control":
            values.setdefault(entry.board, []).append(_compared(entry))
    return [
        entry if entry.row.role == "control" else replace(entry, rank=values[entry.board].index(_compared(entry)) + 1)
        for entry in entries
    ]


def _compared(entry: Entry) -> float:
    """What ranks are by: the image AUROC without the rounding error that a mean over seeds adds."""
    return round(entry.area.value, 9)


def _board(data: DataResult) -> Board:
    return Board(
        name=str(data.card.get("name") or data.name),
        protocol=protocol_of(data),
        split=str(data.card.get("split_sha256") or "not known"),
        images=images_digest(data) or "not known",
        parameters=tuple(sorted(image_parameters(data).items())),
    )


def _answer(entries: list[Entry], stores: int) -> str:
    boards = len({entry.board for entry in entries})
    counted = f"{stores} store{'s' if stores != 1 else ''}"
    if not boards:
        return f"{counted.capitalize()}, and no usable result in {'it' if stores == 1 else 'any'}."
    return f"{len(entries)} results on {boards} board{'s' if boards != 1 else ''} from {counted}."


def _leader(entry: Entry, entries: list[Entry]) -> str:
    ranks = [one.rank for one in entries if one.board == entry.board and one.rank is not None]
    rivals = len(ranks) - 1
    value = f"{share(entry.area.value)} {bracketed(entry.area.interval)}".rstrip()
    tied = ", tied" if ranks.count(1) > 1 else ""
    of = f"first of {rivals + 1}{tied}" if rivals else "the only one"
    board = ", ".join((f"{entry.board.name}{' (phantoms)' if entry.phantom else ''}", *_about(entry, entries)))
    return f"{board}: {entry.row.model} {value}, {of}."


def _about(entry: Entry, entries: list[Entry]) -> Iterator[str]:
    """What a reader tells the board of an entry from others by, beside the collection."""
    yield f"{entry.board.protocol} protocol"
    yield f"split {entry.board.split[:8]}"
    differing = entry.board.differing({one.board for one in entries})
    yield f"images {entry.board.images[:8]}{f' ({differing})' if differing else ''}"


def leaderboard_table(entries: list[Entry]) -> Table:
    """The one table of all boards."""
    columns = ("Model", "Board", "Rank", "Image AUROC", "Average precision", "Pixel AP", "Seeds", "Store")
    rows = tuple(
        Row(
            (
                Cell(entry.row.model, ROLES.get(entry.row.role, entry.row.role)),
                Cell(entry.board.name, " · ".join((*_about(entry, entries), *(("phantom",) if entry.phantom else ())))),
                Cell(MISSING if entry.rank is None else str(entry.rank)),
                area_cell(entry.area, bar=True),
                Cell(share(entry.row.mean(lambda seed: seed.average_precision))),
                Cell(share(entry.row.pixel_area.value if entry.row.pixel_area else None)),
                Cell(str(len(entry.row.seeds))),
                Cell(entry.store, entry.data),
            ),
            entry.row.role,
            (entry.board.name, entry.board.protocol, entry.board.split[:8], entry.board.images[:8]),
        )
        for entry in entries
    )
    caption = "Every model of every store, board by board; in brackets 95 % intervals over test subjects."
    return Table(caption, columns, rows, frozenset(columns[2:7]), ("Data set", "Protocol", "Split", "Images"))


def csv_rows(entries: list[Entry]) -> list[dict[str, str]]:
    """The boards with plain numbers."""
    rows = []
    for entry in entries:
        interval = entry.area.interval
        rows.append(
            {
                "collection": entry.board.name,
                "protocol": entry.board.protocol,
                "split_sha256": entry.board.split,
                "images_sha256": entry.board.images,
                "phantom": str(entry.phantom).lower(),
                "rank": "" if entry.rank is None else str(entry.rank),
                "model": entry.row.model,
                "role": entry.row.role,
                "image_auroc": f"{entry.area.value:.10g}",
                "image_auroc_low": f"{interval.low:.10g}" if interval else "",
                "image_auroc_high": f"{interval.high:.10g}" if interval else "",
                "seeds_scored": str(len(entry.row.seeds)),
                "store": entry.store,
                "data": entry.data,
            }
        )
    return rows
