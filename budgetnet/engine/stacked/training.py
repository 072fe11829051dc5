"""Training several seeds of one experiment at once, each with its own initialization, order, augmentation and dropout.

A network alone is a stack of one, and takes the steps that it would take among others.
"""

from __future__ import annotations

import contextlib
import functools
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from budgetnet.definition import Recipe, ReduceLROnPlateau
from budgetnet.engine.choice import Settings, precisions
from budgetnet.engine.loop import Diverged, check_made_by, check_validation, mean_loss
from budgetnet.engine.stacked.choice import fastest, possible_layouts
from budgetnet.engine.stacked.layouts import Layout
from budgetnet.engine.stacked.masks import Masks
from budgetnet.engine.stacked.stack import NotStackable, Stack
from budgetnet.engine.stacked.steps import Replayed, StackedData, Steps, put_back
from budgetnet.evaluate import evaluate_stacked
from budgetnet.metrics import EpochRecord, Scores
from budgetnet.optim import build_optimizer, build_schedule, step_schedule
from budgetnet.seeds import stream_seed

EVALUATED_AT_ONCE = 1000  # images of one network: on a GPU evaluation costs launches


class StackedTraining:
    """Everything that changes while several networks train. Networks, ``seeds`` and the networks of ``data`` correspond by place.

    Raises NotStackable where the networks or the recipe do not allow it.
    """

    engine = "stacked"

    def __init__(
        self, models: Sequence[nn.Module], recipe: Recipe, image_shape: tuple[int, int, int], seeds: Sequence[int], data: StackedData,
        settings: Settings,
    ) -> None:  # fmt: skip
        if isinstance(recipe.schedule, ReduceLROnPlateau) and len(models) > 1:
            raise NotStackable("a learning rate that follows the validation accuracy is a different one for each network")
        self.precision = precisions(recipe, settings)[0]
        self._recipe, self._data = recipe, data
        self._stack = Stack([model.to(data.device) for model in models])
        masks = Masks(self._stack.models[0], image_shape)
        self.optimizer = build_optimizer(recipe.optimizer, self._stack.parameters.values(), captured=data.device.type == "cuda")
        self.schedule = build_schedule(recipe.schedule, self.optimizer)
        self._orders = [torch.Generator().manual_seed(stream_seed(seed, "order")) for seed in seeds]
        self._augmentations = [torch.Generator(data.device).manual_seed(stream_seed(seed, "augmentation")) for seed in seeds]
        self._dropouts = [torch.Generator(data.device).manual_seed(stream_seed(seed, "dropout")) for seed in seeds]
        self.epoch = 0
        self._possible = possible_layouts(self._stack, masks, settings.engine)
        self._masks = masks
        self._chosen: tuple[Layout, Steps, Callable[[int], None]] | None = None
        self.members = tuple(Member(self, place) for place in range(len(models)))

    @property
    def made_by(self) -> str:
        return f"{self._data.device.type}, {self.engine}, {self.precision}"

    def model(self, place: int) -> nn.Module:
        return self._stack.models[place]

    def generators(self, place: int) -> dict[str, torch.Generator]:
        return {"order": self._orders[place], "augmentation": self._augmentations[place], "dropout": self._dropouts[place]}

    def load_state_dicts(self, states: Sequence[Mapping[str, Any]]) -> None:
        """Go on from the checkpoints of all members. Raises EngineError where another device, engine or precision made them,
        ValueError where they are not of the same epoch."""
        if len({state["epoch"] for state in states}) != 1 or len(states) != len(self._stack):
            raise ValueError(f"checkpoints of epochs {[state['epoch'] for state in states]}; expected {len(self._stack)} of one epoch")
        for member, state in zip(self.members, states, strict=True):
            check_made_by(state["made_by"], self.made_by)
            member.model.load_state_dict(state["model"])
            for name, generator in self.generators(member.place).items():
                generator.set_state(state["generators"][name])
        self.optimizer.load_state_dict(_stacked_optimizer_state([state["optimizer"] for state in states]))
        self.schedule.load_state_dict(dict(states[0]["schedule"]))
        self.epoch = states[0]["epoch"]

    def train(self, until: int, tick: Callable[[int], None] | None = None) -> Iterator[list[EpochRecord | Diverged]]:
        """Train up to epoch ``until``; after every epoch a record for each member, or why it broke.

        A member whose loss is not finite goes on breaking; the others do not notice. ``tick`` is called with the images of
        one member after every step. An epoch's seconds are shared out among the members.
        """
        while self.epoch < until:
            started, lr = time.perf_counter(), float(self.optimizer.param_groups[0]["lr"])
            layout, steps = self._train_epoch(tick or (lambda images: None))
            batches = self._data.validation_batches(EVALUATED_AT_ONCE)
            with torch.autocast(self._data.device.type, torch.bfloat16, enabled=self.precision == "bf16"):
                scores = evaluate_stacked(layout.evaluate, batches, self._data.classes)
            self.epoch += 1
            seconds = (time.perf_counter() - started) / len(self._stack)
            records = [self._record(steps, place, lr, scores[place], seconds) for place in range(len(self._stack))]
            step_schedule(self.schedule, scores[0].accuracy)
            yield records

    def _train_epoch(self, tick: Callable[[int], None]) -> tuple[Layout, Steps]:
        self._data.draw(self._orders, self._augmentations)
        layout, steps, run = self._chosen = self._chosen or self._choose()
        steps.begin_epoch()
        for begin in range(0, self._data.length, self._recipe.batch_size):
            if begin % steps.stretch == 0:
                steps.draw_masks(self._dropouts)
            size = min(self._recipe.batch_size, self._data.length - begin)
            run(size)
            tick(size)
        return layout, steps

    def _choose(self) -> tuple[Layout, Steps, Callable[[int], None]]:
        """On CUDA the layout whose captured step is fastest, elsewhere the first that is possible, as it is."""

        def steps(layout: Layout) -> Steps:
            return Steps(layout, self._masks, self.optimizer, self._data, len(self._stack), self._recipe.batch_size, self.precision)

        first, *others = self._possible.items()
        if self._data.device.type != "cuda":
            own = steps(first[1])
            return first[1], own, own.run
        replayed = {}
        for name, layout in (first, *others):
            own = steps(layout)
            replayed[name] = (layout, own, Replayed(own, self._stack.tensors))
        size = min(self._recipe.batch_size, self._data.length)
        name = first[0]
        if others:
            with contextlib.ExitStack() as undone:
                for _, _, graphs in replayed.values():
                    undone.enter_context(put_back(graphs.changed))
                name = fastest({key: functools.partial(graphs.run, size) for key, (_, _, graphs) in replayed.items()})
        layout, own, graphs = replayed[name]
        return layout, own, graphs.run

    def _record(self, steps: Steps, place: int, lr: float, scores: Scores, seconds: float) -> EpochRecord | Diverged:
        batch, length = self._recipe.batch_size, self._data.length
        sizes = [min(batch, length - begin) for begin in range(0, length, batch)]
        try:
            loss = mean_loss(steps.losses[place], sizes, self.epoch)
            check_validation(scores, self.epoch)
        except Diverged as error:
            return error
        accuracy = 100.0 * int(steps.correct[place]) / length
        return EpochRecord(self.epoch, lr, loss, accuracy, scores.loss, scores.accuracy, seconds)


class Member:
    """Adapts one member of a stack to the Training interface."""

    def __init__(self, together: StackedTraining, place: int) -> None:
        self.together, self.place = together, place
        self.engine, self.precision = together.engine, together.precision

    @property
    def model(self) -> nn.Module:
        return self.together.model(self.place)

    @property
    def epoch(self) -> int:
        return self.together.epoch

    def forward(self, images: Tensor) -> Tensor:
        """Logits (N, classes) of (N, C, H, W) in evaluation mode, without gradient."""
        self.model.eval()
        with torch.no_grad():
            logits: Tensor = self.model(images)
        return logits.float()

    def state_dict(self) -> dict[str, Any]:
        """Its part of everything, as tensors of its own and plain values."""
        together = self.together
        optimizer, parameters = together.optimizer.state_dict(), [*self.model.parameters()]
        for number, parameter in enumerate(parameters):
            stacked = (len(together.members), *parameter.shape)
            optimizer["state"][number] = {
                name: (value[self.place] if value.shape == stacked else value).clone() if isinstance(value, Tensor) else value
                for name, value in optimizer["state"].get(number, {}).items()
            }
        return {
            "epoch": self.epoch, "made_by": together.made_by,
            "model": {name: value.clone() for name, value in self.model.state_dict().items()},
            "optimizer": optimizer, "schedule": together.schedule.state_dict(),
            "generators": {name: generator.get_state() for name, generator in together.generators(self.place).items()},
        }  # fmt: skip


def _stacked_optimizer_state(states: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Stack the optimizer states of single networks; entries that are no tensor of a parameter's shape are equal in all."""
    stacked: dict[int, dict[str, Any]] = {}
    for number, first in states[0]["state"].items():
        stacked[number] = {}
        for name, value in first.items():
            per_network = isinstance(value, Tensor) and value.dim() > 0
            stacked[number][name] = torch.stack([state["state"][number][name] for state in states]) if per_network else value
    return {"state": stacked, "param_groups": states[0]["param_groups"]}
