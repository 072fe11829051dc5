"""Schemas of the responses for OpenAPI. Responses are not validated while serving."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field


class Prediction(BaseModel):
    digit: int = Field(description="the most probable class", ge=0)
    probabilities: list[float] = Field(description="of every class, rounded to 6 places")
    warning: str | None = Field(None, description="why the digit read from a picture may be wrong; absent otherwise")
    seen: str | None = Field(None, description="base64 of the 784 pixels that the network saw; only if asked for")


class Milliseconds(BaseModel):
    model: float = Field(description="of the batches in the model")
    queue: float = Field(description="from being queued to the first batch's start")
    total: float = Field(description="in the server, from the whole body's arrival to the answer")


class Predictions(BaseModel):
    model: str
    parameters: int
    predictions: list[Prediction]
    milliseconds: Milliseconds


class ModelFacts(BaseModel):
    name: str
    title: str
    parameters: int
    budget: int | None = Field(description="the most parameters it may have, or null")
    budget_text: str
    accuracy: float | None = Field(description="percent on the test set, or null")
    seed: int
    source: str = Field(description="which weights, and whose")
    own: bool = Field(description="whether the weights are of a run of your own")
    backend: str
    precision: str
    image_shape: list[int]
    classes: list[str]


class ModelList(BaseModel):
    models: list[ModelFacts]
    default: str


class GalleryImage(BaseModel):
    index: int = Field(description="in the test set")
    label: int
    digit: int = Field(description="what the model says")
    probability: float = Field(description="how sure it is of that")
    pixels: str = Field(description="base64 of 784 bytes")


class GalleryAnswer(BaseModel):
    model: str
    images: list[GalleryImage] = Field(description="at most 24, the surest errors first")
    errors: int = Field(description="in the whole test set")
    message: str | None = Field(description="why there are none, or null")


class Health(BaseModel):
    status: Literal["ok", "ready"]


class ErrorBody(BaseModel):
    code: str
    field: str | None = Field(description="what is wrong, such as images[3][4][5]")
    message: str


class Error(BaseModel):
    error: ErrorBody
