"""Our training as contestants: a run by itself, and several as one stack, which is how a GPU trains them."""

from __future__ import annotations

import time

import torch

from benchmarks.training.contest import Stretch, Trainer
from budgetnet.data import arrays
from budgetnet.definition import Experiment
from budgetnet.engine.choice import Settings
from budgetnet.engine.loop import Training, train
from budgetnet.engine.memory import keep_freed_memory
from budgetnet.engine.stacked.training import StackedTraining
from budgetnet.run import build_model
from budgetnet.run.data import RunData, stacked

VALIDATED = 64  # images, so that the clock sees training


class _Own(Trainer):
    def __init__(self, experiment: Experiment, device: str, threads: int) -> None:
        torch.set_num_threads(threads)
        keep_freed_memory()  # this and the next line as a run does
        torch.set_flush_denormal(True)
        self.arrays = arrays.load(experiment.data_set)
        self.experiment, self.device, self.prepared = experiment, device, 0
        self.parameters = sum(parameter.numel() for parameter in build_model(experiment).parameters())

    def first(self, images: int) -> RunData:
        """Return the first images of the training set; a few of them validate, in place of the test set."""
        found = self.arrays
        few = (found.train_images[:VALIDATED], found.train_labels[:VALIDATED])
        chosen = arrays.Arrays(found.train_images[:images], found.train_labels[:images], *few)
        return RunData(self.experiment, chosen, 0, torch.device(self.device))


class OwnTraining(_Own):
    """One run."""

    def __init__(self, experiment: Experiment, device: str, threads: int, engine: str = "auto") -> None:
        super().__init__(experiment, device, threads)
        settings = Settings(device=device, threads=threads, engine=engine)
        model, shape = build_model(experiment), experiment.data_set.image_shape
        self.training = Training(model, experiment.recipe, shape, 0, settings)
        self.description = f"{self.training.made_by}, threads: {threads}"

    def train(self, images: int) -> Stretch:
        if self.prepared != images:
            self.data, self.prepared = self.first(images), images
        began = time.perf_counter()
        list(train(self.training, self.data, self.training.epoch + 1))
        return Stretch(images, began, time.perf_counter())


class OwnStack(_Own):
    """``runs`` seeds at once in one process; all their images count."""

    def __init__(self, experiment: Experiment, device: str, threads: int, runs: int, engine: str = "auto") -> None:
        super().__init__(experiment, device, threads)
        self.settings = Settings(device=device, threads=threads, engine=engine)
        self.seeds = range(runs)
        self.description = f"{device}, stacked, runs: {runs}"

    def train(self, images: int) -> Stretch:
        if self.prepared != images:  # a stack is made for its data
            models = [build_model(self.experiment, seed) for seed in self.seeds]
            shape = self.experiment.data_set.image_shape
            data = stacked(self.experiment, [self.first(images)] * len(models))
            self.training = StackedTraining(models, self.experiment.recipe, shape, self.seeds, data, self.settings)
            self.prepared = images
        began = time.perf_counter()
        list(self.training.train(self.training.epoch + 1))
        return Stretch(images * len(self.seeds), began, time.perf_counter())
