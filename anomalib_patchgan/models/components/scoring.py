# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""When a model scores during a training: in full precision, after all that its score needs is fitted."""

from abc import abstractmethod
from typing import Any

from anomalib.data import ImageBatch
from anomalib.models.components import AnomalibModule
from lightning.pytorch.utilities.types import STEP_OUTPUT

from anomalib_patchgan.models.components.precision import full_precision


class ScoredInFullPrecision(AnomalibModule):
    """Scores are computed in 32 bits whatever the precision of training; named before the model's own base."""

    def validation_step(self, batch: ImageBatch, *args: Any, **kwargs: Any) -> STEP_OUTPUT:
        """Score a batch; the post-processor calibrates on those of validation. Testing and predicting come here too."""
        del args, kwargs
        with full_precision(self.device):
            return batch.update(**self.model(batch.image)._asdict())


class FittedToWeights(ScoredInFullPrecision):
    """Beside what is learned by gradient something is fitted to the weights, of which every checkpoint keeps its own.

    Lightning writes checkpoints and validates in an order that depends on the trainer's settings, so whichever comes
    first fits, once for the weights of a step.
    """

    _fitted_at_step = -1

    @abstractmethod
    def fit_to_weights(self) -> None:
        """Fit to normal images by the present weights; called in full precision."""

    def on_fit_start(self) -> None:
        """What was fitted in an earlier training is not of the weights of this one."""
        self._fitted_at_step = -1

    def on_validation_start(self) -> None:
        """Fit before the post-processor calibrates thresholds on the validation scores."""
        if self.trainer.state.fn == "fit":
            self._fit_if_stale()

    def on_train_end(self) -> None:
        """Fit where no validation and no checkpoint did."""
        self._fit_if_stale()

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep what belongs to the weights that are kept, beside what anomalib keeps of every model."""
        super().on_save_checkpoint(checkpoint)
        # A trainer can write a model that it was never given to train.
        trainer = self._trainer
        if trainer is not None and trainer.state.fn == "fit":
            self._fit_if_stale()
            checkpoint["state_dict"].update(self.state_dict())

    def _fit_if_stale(self) -> None:
        if self._fitted_at_step != self.trainer.global_step:
            with full_precision(self.device):
                self.fit_to_weights()
            self._fitted_at_step = self.trainer.global_step
