"""The same training by PyTorch Lightning's Trainer, without logger, checkpoints, progress bar and model summary."""

from __future__ import annotations

import logging
import time
import warnings

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import Callback
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.training.contest import Stretch, Trainer, sgd
from benchmarks.training.notebook_loop import PictureLoaders
from budgetnet.definition import SGD, Experiment


class Classifier(pl.LightningModule):
    """A network from images (N, C, H, W) to logits, trained with cross-entropy and SGD."""

    def __init__(self, network: nn.Module, optimizer: SGD) -> None:
        super().__init__()
        self.network, self.sgd = network, optimizer

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        images, labels = batch
        logits = self.network(images)
        loss = functional.cross_entropy(logits, labels)
        accuracy = (logits.argmax(1) == labels).float().mean()
        self.log_dict({"loss": loss, "accuracy": accuracy}, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=self.sgd.lr, momentum=self.sgd.momentum)


class EpochClock(Callback):
    """``time.perf_counter`` at the begin and the end of the last epoch, without the set-up of a run."""

    began = ended = 0.0

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.began = time.perf_counter()

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        float(trainer.callback_metrics["loss"])  # on a GPU: wait until all is done
        self.ended = time.perf_counter()


class LightningTraining(Trainer):
    """The Trainer."""

    def __init__(self, experiment: Experiment, device: str, threads: int, workers: int) -> None:
        torch.set_num_threads(threads)
        logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
        warnings.filterwarnings("ignore", ".*does not have many workers.*")  # to have none is one of the entrants
        warnings.filterwarnings("ignore", ".*LeafSpec.*")  # Lightning 2.6 uses what newer releases of torch deprecate
        network: nn.Module = experiment.model.build(experiment.data_set.image_shape, experiment.data_set.classes)
        self.module = Classifier(network, sgd(experiment))
        self.parameters = sum(parameter.numel() for parameter in self.module.parameters())
        self.description = f"threads: {threads}, loader workers: {workers}"
        self.loaders = PictureLoaders(experiment, device, workers)
        self.accelerator = "gpu" if device == "cuda" else "cpu"

    def train(self, images: int) -> Stretch:
        # the second of two epochs counts: loader workers start in the first
        clock = EpochClock()
        quiet = dict.fromkeys(("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False)
        trainer = pl.Trainer(
            accelerator=self.accelerator, devices=1, precision="32-true", max_epochs=2, callbacks=[clock], **quiet
        )
        trainer.fit(self.module, self.loaders.first(images))
        return Stretch(images, clock.began, clock.ended)
