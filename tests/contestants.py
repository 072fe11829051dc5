"""Contestants for the tests of the benchmarks: they train nothing, and their clocks run as they are told."""

import os

from benchmarks.training.contest import Stretch, Trainer
from benchmarks.turns import Unavailable


class Steady(Trainer):
    """``speed`` images per second by its own clock; a turn takes no time."""

    description = "steady"
    parameters = 5_854

    def __init__(self, experiment, speed):
        self.speed = speed

    def train(self, images):
        return Stretch(images, 1.0, 1.0 + images / self.speed)


class Failing:
    def say(self, word):
        return word

    def raise_error(self):
        raise ValueError("out of breath")

    def die(self):
        os._exit(3)


def unavailable():
    raise Unavailable("there is no track")
