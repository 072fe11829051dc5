"""Contestants for the tests of the contest: they train nothing, and their clocks say what they are told."""

import os
import time

from benchmarks.contestant import Stretch, Unavailable


class Steady:
    """So many images per second, by its own clock; a lap takes no time."""

    description = "steady"

    def __init__(self, speed, parameters=7):
        self.speed, self.parameters, self.laps = speed, parameters, 0

    def train(self, images):
        self.laps += 1
        return Stretch(images, 1.0, 1.0 + images / self.speed)


class Ending(Steady):
    """Ends in its fifth lap, the first that counts: 'raises', 'dies' or 'hangs'."""

    def __init__(self, how):
        super().__init__(100)
        self.how = how

    def train(self, images):
        if self.laps == 4:
            if self.how == "raises":
                raise ValueError("out of breath")
            if self.how == "dies":
                os._exit(3)
            time.sleep(600)
        return super().train(images)


def unavailable():
    raise Unavailable("there is no track")
