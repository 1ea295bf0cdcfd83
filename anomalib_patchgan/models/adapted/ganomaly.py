# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""GANomaly with its authors' initialisation and losses."""

from typing import Any

from anomalib.data import ImageBatch
from anomalib.metrics import Evaluator
from anomalib.models import image
from anomalib.models.image.ganomaly.loss import DiscriminatorLoss
from anomalib.models.image.ganomaly.torch_model import GanomalyModel
from anomalib.post_processing import PostProcessor
from anomalib.pre_processing import PreProcessor
from anomalib.visualization import Visualizer
from lightning.pytorch.utilities.types import STEP_OUTPUT
from torch import Tensor, nn
from torch.nn import functional
from torchvision.transforms.v2 import Compose, Normalize, Resize

from anomalib_patchgan.errors import InputError

# Its encoders end in a map of 4 x 4, half as large as the smallest image.
SMALLEST = 8


class GeneratorLoss(nn.Module):
    """The publication's loss of the generator (Akcay et al., ACCV 2018, equations 1 to 4), with its weights.

    anomalib's compares the discriminator's probabilities instead of its features, which no longer says much once it is
    sure, and takes half of the squared distance of the latent vectors.
    """

    ADVERSARIAL, CONTEXTUAL, ENCODER = 1.0, 50.0, 1.0

    def forward(
        self, images: tuple[Tensor, Tensor], latents: tuple[Tensor, Tensor], features: tuple[Tensor, Tensor]
    ) -> Tensor:
        """Weighted sum of three distances.

        Args:
            images: Images and what they were rebuilt as, both [N, 3, H, W].
            latents: Latent vectors of both, [N, Z, 1, 1].
            features: The discriminator's features of both, [N, F, h, w].

        Returns:
            Scalar.
        """
        return (
            self.ADVERSARIAL * functional.mse_loss(*features)
            + self.CONTEXTUAL * functional.l1_loss(*images)
            + self.ENCODER * functional.mse_loss(*latents)
        )


class Ganomaly(image.Ganomaly):
    """anomalib's GANomaly, whose initialisation reaches no layer, with its authors' initialisation and losses.

    Args:
        image_size (int): Side that images are resized to, in pixels, a power of two from 8 on.
            Defaults to ``64``.
        n_features (int): Channels at half the resolution; they double with each further halving.
            Defaults to ``64``.
        latent_size (int): Length of the latent vectors.
            Defaults to ``100``.
        pre_processor (PreProcessor | bool): Pre-processor, or whether to use the default (resize, scale to [-1, 1], the
            range of the generator's output).
            Defaults to ``True``.
        post_processor (PostProcessor | bool): Post-processor, or whether to use anomalib's default.
            Defaults to ``True``.
        evaluator (Evaluator | bool): Evaluator, or whether to use anomalib's default.
            Defaults to ``True``.
        visualizer (Visualizer | bool): Visualizer, or whether to use anomalib's default.
            Defaults to ``True``.

    Raises:
        InputError: An image size that does not fit.
    """

    def __init__(
        self,
        image_size: int = 64,
        n_features: int = 64,
        latent_size: int = 100,
        pre_processor: PreProcessor | bool = True,
        post_processor: PostProcessor | bool = True,
        evaluator: Evaluator | bool = True,
        visualizer: Visualizer | bool = True,
    ) -> None:
        if image_size < SMALLEST or image_size & (image_size - 1):
            raise InputError(f"image_size: found {image_size}, expected a power of two from {SMALLEST} on.")
        resize = Resize((image_size, image_size), antialias=True)
        default = PreProcessor(transform=Compose([resize, Normalize(mean=[0.5] * 3, std=[0.5] * 3)]))
        # Past the parent's constructor, which sizes the network by the pre-processor, so that no checkpoint reads back.
        super(image.Ganomaly, self).__init__(
            pre_processor=default if pre_processor is True else pre_processor,
            post_processor=post_processor,
            evaluator=evaluator,
            visualizer=visualizer,
        )
        self.model = GanomalyModel((image_size, image_size), 3, n_features, latent_size)
        # anomalib calls it on the container alone, which is no layer.
        self.model.apply(GanomalyModel.weights_init)
        self.generator_loss = GeneratorLoss()
        self.discriminator_loss = DiscriminatorLoss()
        self.automatic_optimization = False
        # anomalib's defaults, as its authors'.
        self.learning_rate, self.beta1, self.beta2 = 2e-4, 0.5, 0.999
        self._reset_min_max()

    def training_step(self, batch: ImageBatch, *args: Any, **kwargs: Any) -> STEP_OUTPUT:
        """A step of the generator, then one of the discriminator, on [N, 3, H, W] in [-1, 1]."""
        del args, kwargs
        for_discriminator, for_generator = self.optimizers()
        discriminator = self.model.discriminator
        images, rebuilt, latent, latent_again = self.model(batch.image)

        of_real, real_features = discriminator(images)
        _, features = discriminator(rebuilt)
        generator_loss = self.generator_loss(
            (images, rebuilt), (latent, latent_again), (real_features.detach(), features)
        )
        for_generator.zero_grad()
        self.manual_backward(generator_loss)
        for_generator.step()

        of_rebuilt, _ = discriminator(rebuilt.detach())
        discriminator_loss = self.discriminator_loss(of_real, of_rebuilt)
        for_discriminator.zero_grad()
        self.manual_backward(discriminator_loss)
        # Not through Lightning's wrapper, which would count a second step of this batch.
        for_discriminator.optimizer.step()
        self.log_dict(
            {"generator_loss": generator_loss, "discriminator_loss": discriminator_loss},
            on_step=False,
            on_epoch=True,
            prog_bar=True,
            batch_size=len(images),
        )
        return {"generator_loss": generator_loss, "discriminator_loss": discriminator_loss}
