# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""Running an exported model on files; reading, inference and writing at the same time. Needs no torch, no anomalib."""

from __future__ import annotations

import errno
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np
import openvino

from anomalib_patchgan.data.preparation import available_cores
from anomalib_patchgan.deploy.device import HINTS, check_threads, compile_for
from anomalib_patchgan.deploy.identity import LABEL, MAP, RAW_SCORE, SCORE, read_model
from anomalib_patchgan.deploy.preparation import PreparedInput, preparation_from_plain
from anomalib_patchgan.deploy.results import DONE, FAILED, MapWriter, ResultTable, Row, stamp
from anomalib_patchgan.deploy.sources import KINDS, RUN_NAME, TABLE_NAME, Source, find_sources
from anomalib_patchgan.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

_BATCHES = {"throughput": 16, "latency": 1}
# Volumes are large: this many of them are being scored or written at a time, and one is read ahead.
_VOLUMES_ALIVE, _VOLUMES_AHEAD = 2, 1
# Images differ in size: their pixels take no more than this while they are scored or written, unless one alone does.
_BYTES_ALIVE = 256 * 2**20
_READS_AHEAD_PER_CORE = 1
# Small images are read many at a time, since to hand one over costs about as much as to decode it. Files that are
# together no larger than this, so that an image of some size is read alone and few pixels are ahead of inference.
_BYTES_READ_TOGETHER = 2**18
# Seconds after which one who waits for room looks whether an inference has failed.
_PATIENCE = 1.0
# What one input's name or one of its files can be at fault for; anything else of the kind is the folder's.
_OF_ONE_INPUT = (errno.ENAMETOOLONG, errno.EISDIR)


# What of a model decides a result.
_DECISIVE = (
    "model_class",
    "weights_sha256",
    "precision",
    "inference_precision",
    "image_threshold",
    "pixel_threshold",
    "preparation",
)


@dataclass(frozen=True)
class Summary:
    """What came of a prediction.

    Attributes:
        inputs: Number of inputs found.
        done: Number predicted in this run.
        resumed: Number that an earlier run had predicted.
        failures: Why each of the others failed, by name.
        images: Number of images of the model that were run: slices, patches or whole images.
        seconds: From the start to the last written result.
        first_seconds: From the start to the first written result; None if there is none.
    """

    inputs: int
    done: int
    resumed: int
    failures: dict[str, str]
    images: int
    seconds: float
    first_seconds: float | None

    @property
    def images_per_second(self) -> float:
        """Images of the model per second, everything included."""
        return self.images / self.seconds if self.seconds else 0.0


class Predictor:
    """Scores files with an exported model.

    Args:
        model: The ``.xml`` file that ``anomalib-patchgan export`` wrote.
        device: ``CPU``, ``GPU``, ``NPU`` or ``AUTO``.
        hint: ``throughput``, for many files, or ``latency``, for one at a time.
        batch_size: Images that are run together; None for 16 with the hint ``throughput`` and 1 with ``latency``.
        threads: Threads of inference on a CPU; None leaves it to OpenVINO.

    Raises:
        InputError: If the model is damaged or was not exported by this package, or the device cannot run it.

    Example:
        >>> from anomalib_patchgan.deploy import Predictor
        >>> predictor = Predictor("exported/int8/model.xml")
        >>> summary = predictor.predict(["scans"], "results")
    """

    def __init__(
        self,
        model: Path | str,
        device: str = "CPU",
        hint: str = "throughput",
        batch_size: int | None = None,
        threads: int | None = None,
    ) -> None:
        graph, self.identity = read_model(Path(model))
        try:
            self.preparation = preparation_from_plain(self.identity.preparation)
        except InputError as error:
            raise InputError(f"{model}: {error}") from error
        if hint not in HINTS:
            raise InputError(f"hint: found {hint!r}, expected one of {', '.join(HINTS)}.")
        self.batch_size = _BATCHES[hint] if batch_size is None else batch_size
        if self.batch_size < 1:
            raise InputError(f"batch_size: found {batch_size}, expected 1 or more.")
        if threads is not None:
            check_threads(threads)
        shape = graph.input(0).get_partial_shape()
        self.image_size = shape[2].get_length(), shape[3].get_length()
        # Fixed shapes run faster, so a batch that is not full is filled up instead.
        graph.reshape([self.batch_size, 3, *self.image_size])
        self.has_map = any(MAP in output.get_names() for output in graph.outputs)
        self.compiled = compile_for(graph, self.identity.inference_precision, device, hint, threads)

    def predict_images(self, images: NDArray[np.float32]) -> dict[str, NDArray[Any]]:
        """Score images that are prepared already.

        Args:
            images: In [0, 1], float32 ``[N, 3, height, width]`` at the model's size.

        Returns:
            ``raw_score``, ``pred_score`` and ``pred_label`` ``[N]``, and, unless the model has no maps,
            ``anomaly_map`` ``[N, height, width]``.

        Raises:
            InputError: If the images have another size, other channels or another type.
        """
        expected = (3, *self.image_size)
        if images.ndim != 4 or images.shape[1:] != expected or images.dtype != np.float32:
            raise InputError(
                f"images: found {images.dtype} of the shape {images.shape}, expected float32 [N, "
                f"{', '.join(map(str, expected))}]."
            )
        request = self.compiled.create_infer_request()
        batch = np.zeros((self.batch_size, *expected), dtype=np.float32)
        parts: dict[str, list[NDArray[Any]]] = {}
        for start in range(0, len(images), self.batch_size):
            part = images[start : start + self.batch_size]
            batch[: len(part)] = part
            request.infer({0: batch})
            for name, values in self._outputs(request, len(part)).items():
                parts.setdefault(name, []).append(values)
        return {name: np.concatenate(values) for name, values in parts.items()}

    def predict(
        self,
        inputs: Sequence[Path | str],
        output: Path | str,
        write: Sequence[str] = ("maps", "overlays"),
        resume: bool = False,
        progress: Callable[[int, int], None] | None = None,
    ) -> Summary:
        """Score files and write the results.

        Files are read, scored and written at the same time, with a bounded number of them in memory. The score of an
        input of several tiles, as a volume, is the highest of theirs.

        Args:
            inputs: Files and folders: images, or NIfTI volumes and DICOM series, as the model takes them.
            output: Folder of the results: ``scores.csv``, and the folders ``maps`` (16-bit TIFF, or NIfTI on the grid
                of the input), ``masks`` and ``overlays``.
            write: Which of the three folders to write.
            resume: Whether to go on with the results that are there.
            progress: Called with the number of inputs that are done, and of all.

        Returns:
            What came of it. A file that cannot be read does not end the prediction; it is listed.

        Raises:
            InputError: If nothing is found, or the folder cannot be written.
        """
        started = perf_counter()
        unknown = sorted(set(write) - set(KINDS))
        if unknown:
            raise InputError(f"write: found {unknown[0]!r}, expected some of {', '.join(KINDS)}.")
        folder = Path(output)
        results = {(folder / name).resolve() for name in (*KINDS, TABLE_NAME, RUN_NAME)}
        sources = find_sources([Path(given) for given in inputs], self.preparation.modalities, results)
        run = {name: getattr(self.identity, name) for name in _DECISIVE} | {"written": sorted(set(write))}
        stamps = {source.name: stamp(source.files) for source in sources}
        with ResultTable(folder, run, resume, stamps) as table:
            waiting = [source for source in sources if source.name not in table.rows]
            resumed = len(sources) - len(waiting)
            writer = MapWriter(folder, frozenset(write), self.identity.pixel_threshold)

            def advance(done: int) -> None:
                if progress:
                    progress(resumed + done, len(sources))

            flow = _Flow(self, table, writer, advance)
            flow.run(waiting)
            table.sort([source.name for source in sources])
        rows = [table.rows[source.name] for source in waiting]
        return Summary(
            inputs=len(sources),
            done=sum(row.status == DONE for row in rows),
            resumed=resumed,
            failures={row.input: row.message for row in rows if row.status == FAILED},
            images=sum(row.tiles for row in rows),
            seconds=perf_counter() - started,
            first_seconds=None if flow.first_at is None else flow.first_at - started,
        )

    def _outputs(self, request: openvino.InferRequest, count: int) -> dict[str, NDArray[Any]]:
        """Copies of the first ``count`` rows of what a request has computed."""
        names = (RAW_SCORE, SCORE, LABEL, *((MAP,) if self.has_map else ()))
        found = {name: request.get_tensor(name).data[:count].copy() for name in names}
        if self.has_map:
            found[MAP] = found[MAP][:, 0]
        return found


@dataclass
class _Work:
    """An input on its way.

    Attributes:
        source: The input.
        prepared: Its tiles.
        outputs: What the model said of each tile, in any order.
    """

    source: Source
    prepared: PreparedInput
    outputs: dict[int, dict[str, Any]] = field(default_factory=dict)


_Read = tuple[PreparedInput, Iterator["NDArray[np.float32]"]]


def _read_together(sources: Sequence[Source], most: int) -> Iterator[list[Source]]:
    """Cut a list into parts that are read in one go.

    Args:
        sources: Inputs.
        most: How many at most.
    """
    together: list[Source] = []
    size = 0
    for source in sources:
        own = _size_of(source)
        if together and (len(together) == most or size + own > _BYTES_READ_TOGETHER):
            yield together
            together, size = [], 0
        together.append(source)
        size += own
    if together:
        yield together


def _size_of(source: Source) -> int:
    """Bytes of its files; 0 where they cannot be looked at, which reading will tell."""
    try:
        return sum(path.stat().st_size for path in source.files)
    except OSError:
        return 0


class _Flow:
    """Reads ahead, fills batches, and hands over to the writers what is complete."""

    def __init__(
        self, predictor: Predictor, table: ResultTable, writer: MapWriter, advance: Callable[[int], None]
    ) -> None:
        self._predictor = predictor
        self._table = table
        self._writer = writer
        self._advance = advance
        self._queue = openvino.AsyncInferQueue(predictor.compiled)
        self._queue.set_callback(self._collect)
        self._batch = np.zeros((predictor.batch_size, 3, *predictor.image_size), dtype=np.float32)
        self._slots: list[tuple[_Work, int]] = []
        self._lock = threading.Lock()
        self._error: BaseException | None = None
        self._finished = 0
        self.first_at: float | None = None
        volumes = bool(predictor.preparation.modalities)
        cores = available_cores()
        self._ahead = _VOLUMES_AHEAD if volumes else _READS_AHEAD_PER_CORE * cores
        self._most_read_together = 1 if volumes else predictor.batch_size
        self._most_alive = _VOLUMES_ALIVE if volumes else predictor.batch_size * (len(self._queue) + 2)
        self._alive, self._bytes_alive = 0, 0
        self._room = threading.Condition()
        self._readers = ThreadPoolExecutor(max_workers=cores, thread_name_prefix="reader")
        self._writers = ThreadPoolExecutor(max_workers=cores, thread_name_prefix="writer")

    def run(self, sources: Sequence[Source]) -> None:
        try:
            for source, outcome in self._read_ahead(sources):
                self._raise_error()
                if isinstance(outcome, InputError):
                    self._fail(source, str(outcome))
                elif isinstance(outcome, Exception):
                    found = f"{type(outcome).__name__} ({outcome})"
                    self._fail(source, f"{source.files[0]}: found {found}, expected a readable file.")
                else:
                    self._enter(source, *outcome)
            self._start_batch()
            self._queue.wait_all()
        finally:
            self._readers.shutdown(cancel_futures=True)
            try:
                self._queue.wait_all()
            finally:
                self._writers.shutdown()
                # Python does not see that the queue holds this object by its callback, and would keep both for ever.
                del self._queue
        self._raise_error()

    def _read_ahead(self, sources: Sequence[Source]) -> Iterator[tuple[Source, _Read | Exception]]:
        pending: deque[Future[list[tuple[Source, _Read | Exception]]]] = deque()
        for together in _read_together(sources, self._most_read_together):
            pending.append(self._readers.submit(self._read_each, together))
            if len(pending) > self._ahead:
                yield from pending.popleft().result()
        while pending:
            yield from pending.popleft().result()

    def _read_each(self, sources: Sequence[Source]) -> list[tuple[Source, _Read | Exception]]:
        outcomes: list[tuple[Source, _Read | Exception]] = []
        for source in sources:
            try:
                outcomes.append((source, self._read(source)))
            except Exception as error:  # noqa: BLE001 - whatever a damaged file does to its reader, others go on
                outcomes.append((source, error))
        return outcomes

    def _read(self, source: Source) -> _Read:
        if source.problem:
            raise InputError(source.problem)
        prepared = self._predictor.preparation.open(source.files)
        images = prepared.images(self._predictor.preparation.image_size, self._predictor.image_size)
        # A single tile is cut here, beside others; the many of a volume are cut one by one while others are scored.
        return prepared, iter(list(images)) if len(prepared.tiles) == 1 else images

    def _enter(self, source: Source, prepared: PreparedInput, images: Iterator[NDArray[np.float32]]) -> None:
        work = _Work(source, prepared)
        if not self._has_room(work):
            # What is alive may be waiting for a batch to fill.
            self._start_batch()
        with self._room:
            while not self._room.wait_for(partial(self._has_room, work), timeout=_PATIENCE):
                # What has failed never makes room. An inference that did is not collected; its request raises.
                self._raise_error()
                for request in self._queue:
                    request.wait_for(0)
            self._alive += 1
            self._bytes_alive += prepared.slice_bytes
        for index, image in enumerate(images):
            self._batch[len(self._slots)] = image
            self._slots.append((work, index))
            if len(self._slots) == len(self._batch):
                self._start_batch()

    def _has_room(self, work: _Work) -> bool:
        if self._alive == 0:
            return True
        return self._alive < self._most_alive and self._bytes_alive + work.prepared.slice_bytes <= _BYTES_ALIVE

    def _start_batch(self) -> None:
        if self._slots:
            slots, self._slots = self._slots, []
            self._queue.start_async({0: self._batch}, slots)  # copies the batch

    def _collect(self, request: openvino.InferRequest, slots: list[tuple[_Work, int]]) -> None:
        """Take the results of a batch; runs in a thread of OpenVINO, which computes nothing meanwhile."""
        try:
            outputs = self._predictor._outputs(request, len(slots))  # noqa: SLF001
            self._writers.submit(self._hand_out, outputs, slots)
        except BaseException as error:  # noqa: BLE001 - raised again in the thread that waits
            self._error = self._error or error

    def _hand_out(self, outputs: dict[str, NDArray[Any]], slots: list[tuple[_Work, int]]) -> None:
        """Give each input its part of a batch, and finish those that have all of theirs."""
        try:
            for row, (work, index) in enumerate(slots):
                with self._lock:
                    work.outputs[index] = {name: values[row] for name, values in outputs.items()}
                    complete = len(work.outputs) == len(work.prepared.tiles)
                if complete:
                    self._finish(work)
        except BaseException as error:  # noqa: BLE001 - raised again in the thread that waits
            self._error = self._error or error

    def _finish(self, work: _Work) -> None:
        try:
            self._write(work)
        except OSError as error:
            if error.errno in _OF_ONE_INPUT:
                self._fail(work.source, f"found a name that results cannot be written under ({error.strerror}).")
            else:
                self._error = self._error or InputError(
                    f"{self._writer.folder}: found a folder that cannot be written ({error.strerror or error}), "
                    "expected one; --resume goes on from here."
                )
        except BaseException as error:  # noqa: BLE001 - raised again in the thread that waits
            self._error = self._error or error
        finally:
            with self._room:
                self._alive -= 1
                self._bytes_alive -= work.prepared.slice_bytes
                self._room.notify()

    def _write(self, work: _Work) -> None:
        outputs = [work.outputs[index] for index in range(len(work.prepared.tiles))]
        # anomalib's own post-processor clamps calibrated scores, so that several may share the highest.
        highest = int(np.argmax([output[RAW_SCORE] for output in outputs]))
        tile = work.prepared.tiles[highest]
        if self._predictor.has_map:
            codes = work.prepared.assemble([output[MAP] for output in outputs])
            self._writer.write(work.source.name, work.prepared, codes, tile.slice_index)
        self._record(
            Row(
                work.source.name,
                DONE,
                float(outputs[highest][RAW_SCORE]),
                float(outputs[highest][SCORE]),
                int(outputs[highest][LABEL]),
                len(outputs),
                "" if work.prepared.space is None else tile.slice_index,
            )
        )

    def _fail(self, source: Source, message: str) -> None:
        # It names a file, and a file system's names need not be text that can be written to a table.
        written = " ".join(message.split()).encode("utf-8", "backslashreplace").decode()
        self._record(Row(source.name, FAILED, message=written))

    def _record(self, row: Row) -> None:
        self._table.add(row)
        with self._lock:
            self._finished += 1
            if self.first_at is None and row.status == DONE:
                self.first_at = perf_counter()
            self._advance(self._finished)

    def _raise_error(self) -> None:
        if self._error is not None:
            raise self._error
