"""Random rotation, shift and zoom of a whole batch, each image with its own parameters, in one resampling.

Images are (N, C, H, W) float32 in raw pixel values, 0 to 255, with ``fill`` in the same unit, on any device. For the
same parameters the result is that of torchvision's functional ``rotate`` and ``affine`` on tensors, image by image.
Nothing here waits for the device or copies to it, so all of it can be captured in a CUDA graph. Coordinates are
computed by broadcasting and not by a matrix product, which is faster on the CPU by an eighth of the whole but
loses the digits that matter where reduced-precision products (TF32, autocast) are switched on.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from budgetnet.definition import Augmentation

__all__ = ["apply", "augment", "draw", "is_identity", "matrices", "resample"]


def is_identity(augmentation: Augmentation) -> bool:
    """Tell whether ``augmentation`` changes nothing, so that no random numbers are drawn for it."""
    return augmentation.rotation == augmentation.shift == augmentation.zoom == 0


def draw(augmentation: Augmentation, count: int, generator: torch.Generator) -> Tensor:
    """Parameters for ``count`` images: (count, 4) float32 on the generator's device.

    The columns are the angle in degrees (counter-clockwise), the shifts to the right and downwards as fractions of
    width and height, and the scale (above 1 enlarges), each uniform within the bounds of ``augmentation``. Only what
    is not fixed consumes random numbers.
    """
    device = generator.device
    bounds = (augmentation.rotation, augmentation.shift, augmentation.shift, augmentation.zoom)
    around = (0.0, 0.0, 0.0, 1.0)
    drawn = iter(torch.rand((sum(bound > 0 for bound in bounds), count), generator=generator, device=device).mul_(2).sub_(1))
    columns = [
        next(drawn) * bound + centre if bound > 0 else torch.full((count,), centre, device=device)
        for bound, centre in zip(bounds, around, strict=True)
    ]
    return torch.stack(columns, dim=1)


def matrices(parameters: Tensor, height: int, width: int) -> Tensor:
    """The affine maps of ``parameters`` (as draw gives them) for images of ``height`` × ``width``: (N, 2, 3) float32.

    Row 0 gives x and row 1 gives y in the input, as grid_sample counts them (-1 to 1 from edge to edge), from (x, y, 1)
    in the output, in pixels from the centre of the image. As in torchvision, an image is turned and scaled about its
    centre and shifted after that.
    """
    angle, right, down, scale = parameters.unbind(1)
    angle = torch.deg2rad(angle)
    cos, sin = torch.cos(angle) / scale, torch.sin(angle) / scale
    right, down = right * width, down * height
    x = torch.stack((cos, -sin, sin * down - cos * right), dim=1) * (2 / width)
    y = torch.stack((sin, cos, -sin * right - cos * down), dim=1) * (2 / height)
    return torch.stack((x, y), dim=1)


def resample(images: Tensor, maps: Tensor, interpolation: str, fill: float) -> Tensor:
    """``images`` (N, C, H, W) seen through ``maps`` (N, 2, 3, as matrices gives them); ``fill`` is what is outside.

    ``interpolation`` is 'nearest' or 'bilinear'. A new float32 tensor (N, C, H, W).
    """
    height, width = images.shape[-2:]
    x = torch.arange(width, dtype=torch.float32, device=maps.device) - (width - 1) / 2
    y = (torch.arange(height, dtype=torch.float32, device=maps.device) - (height - 1) / 2).unsqueeze(1)
    per_x, per_y, constant = maps.unsqueeze(-1).unsqueeze(-1).unbind(2)  # (N, 2, 1, 1) each
    grid = per_x * x + torch.addcmul(constant, per_y, y)  # (N, 2, H, W)
    if interpolation == "nearest":
        return _nearest(images, grid, fill)
    return _bilinear(images, grid, fill)


def _nearest(images: Tensor, grid: Tensor, fill: float) -> Tensor:
    # Outside, grid_sample gives 0; so that it means fill, take fill off before and put it back (exact for 8-bit values).
    if fill == 0:
        return _sampled(images, grid, "nearest")
    return _sampled(images - fill, grid, "nearest").add_(fill)


def _bilinear(images: Tensor, grid: Tensor, fill: float) -> Tensor:
    # torchvision fades to fill at the border by the share of the four neighbours that lie inside the image. That share
    # is a product of one factor in x and one in y, so it need not be sampled, at twice the cost, as a second channel.
    height, width = images.shape[-2:]
    sampled = _sampled(images, grid, "bilinear")
    inside_x = grid[:, :1].abs().mul_(-width / 2).add_((width + 1) / 2).clamp_(0, 1)
    inside_y = grid[:, 1:].abs().mul_(-height / 2).add_((height + 1) / 2).clamp_(0, 1)
    if fill == 0:
        return sampled.mul_(inside_x).mul_(inside_y)
    return sampled.sub_(fill).mul_(inside_x).mul_(inside_y).add_(fill)


def _sampled(images: Tensor, grid: Tensor, mode: str) -> Tensor:
    return functional.grid_sample(images, grid.permute(0, 2, 3, 1), mode=mode, padding_mode="zeros", align_corners=False)


def apply(images: Tensor, parameters: Tensor, interpolation: str, fill: float) -> Tensor:
    """``images`` (N, C, H, W) turned, shifted and scaled by ``parameters`` (N, 4, as draw gives them), all at once."""
    height, width = images.shape[-2:]
    return resample(images, matrices(parameters, height, width), interpolation, fill)


def augment(images: Tensor, augmentation: Augmentation, generator: torch.Generator) -> Tensor:
    """``images`` (N, C, H, W) with random parameters from ``generator``; the same tensor if there is nothing to do.

    The generator may be one of the CPU, which gives the same parameters on every device; to capture this in a graph it
    must be one of the images' own device.
    """
    if is_identity(augmentation):
        return images
    parameters = draw(augmentation, len(images), generator).to(images.device, non_blocking=True)
    return apply(images, parameters, augmentation.interpolation, augmentation.fill)
