"""Errors on the way to a prediction; every message is a sentence for the user."""

from __future__ import annotations


class InferenceError(Exception):
    """Anything below; the message holds the offending value, what was expected and how to mend it."""


class InputError(InferenceError):
    """The images are not what the network takes."""


class ArtifactError(InferenceError):
    """The compiled artifact is damaged, of another version, or made for another machine."""


class BackendUnavailable(InferenceError):
    """This machine cannot run the backend, or the backend not the precision; the message says what is missing."""


class ParityError(InferenceError):
    """The compiled network does not compute what the trained one does; nothing was written."""
