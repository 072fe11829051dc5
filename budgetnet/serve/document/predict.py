"""OpenAPI description of ``POST /v1/predict``, whose bodies are of several kinds."""

from __future__ import annotations

from typing import Any

from budgetnet.serve.decoding import PIXELS, SIDE
from budgetnet.serve.document.answers import answer, errors
from budgetnet.serve.inputs import MOST_IMAGES
from budgetnet.serve.schemas import Predictions

VERSION = "1"

_ROW: dict[str, Any] = {"type": "array", "minItems": SIDE, "maxItems": SIDE, "items": {"type": "number", "minimum": 0, "maximum": 255}}
_IMAGE = {
    "description": f"{SIDE} rows of {SIDE} numbers, or base64 of {PIXELS} bytes (row by row) or of a picture's file",
    "oneOf": [
        {"type": "array", "minItems": SIDE, "maxItems": SIDE, "items": _ROW},
        {"type": "string", "contentEncoding": "base64"},
    ],
}
_BESIDE: dict[str, Any] = {
    "model": {"type": "string", "description": "the name of a served model; the first one without it"},
    "seen": {"type": "boolean", "default": False, "description": f"whether to send back the {SIDE}×{SIDE} pixels that the network saw"},
    "scale": {
        "enum": [255, 1],
        "description": "255: whole numbers from 0 to 255. 1: numbers from 0 to 1. Without it 255, and refused where that is doubtful.",
    },
}
_MANY = {"type": "array", "minItems": 1, "maxItems": MOST_IMAGES, "items": _IMAGE}
_JSON = {
    "oneOf": [
        {"type": "object", "required": [name], "properties": {name: kind} | _BESIDE, "additionalProperties": False}
        for name, kind in (("image", _IMAGE), ("images", _MANY))
    ]
}
_FILE = {"type": "string", "contentMediaType": "application/octet-stream", "description": "a picture: PNG, JPEG, …"}
_FORM = {
    "type": "object", "required": ["file"], "additionalProperties": False,
    "properties": {
        "file": {"type": "array", "minItems": 1, "maxItems": MOST_IMAGES, "items": _FILE},
        "model": _BESIDE["model"], "seen": _BESIDE["seen"],
    },
}  # fmt: skip
_PICTURE: dict[str, Any] = {"schema": {"type": "string", "contentMediaType": "image/*"}}
_QUERY = [
    {"name": "model", "in": "query", "required": False, "schema": {"type": "string"}, "description": _BESIDE["model"]["description"]},
    {"name": "seen", "in": "query", "required": False, "schema": {"type": "boolean"}, "description": _BESIDE["seen"]["description"]},
]
_STROKE = [[0] * 13 + [255] * 2 + [0] * 13 if 4 <= row < 24 else [0] * SIDE for row in range(SIDE)]
_EXAMPLES = {"one": {"summary": "A vertical stroke", "value": {"image": _STROKE}}}

OPERATION: dict[str, Any] = {
    "summary": "Predict the digits of images",
    "description": (
        f"1 to {MOST_IMAGES} images, in whichever form is at hand. Pictures are brought to MNIST's form first: one digit each, of any "
        "size, in any two colours. Arrays and bytes are taken as they are: white ink on black."
    ),
    "response_model": Predictions,
    "response_model_exclude_none": True,
    "responses": answer("The predictions, in the order of the images.") | errors(400, 404, 408, 413, 415, 422, 503),
    "openapi_extra": {
        "parameters": _QUERY,
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {"schema": _JSON, "examples": _EXAMPLES},
                "multipart/form-data": {"schema": _FORM},
                "image/png": _PICTURE,
                "image/jpeg": _PICTURE,
                "application/octet-stream": {
                    "schema": {"type": "string", "contentMediaType": "application/octet-stream", "description": f"{PIXELS} bytes an image"}
                },
            },
        },
    },
}
