"""What of a picture's light the reference's normals explain, and what they leave: dents, other parts, paint.

Matte surfaces under any far-away light show a brightness that is a polynomial of second degree of their normal, to a
few percent (Ramamoorthi and Hanrahan 2001). Its nine coefficients are fitted to each picture by least absolute
deviations, so that what differs in places does not bend the fit; neither the light nor the exposure need be known.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ptad_core.detection.network.inputs import IMAGE, MASK, NORMAL, NOWHERE, SEEN

CHANNELS = 2
GAMMA = 2.2
ROUNDS = 5
"""Of reweighted least squares."""
STRIDE = 4
"""Every so many pixels of each row and column are fitted to."""
RIDGE = 1e-3
"""Of the sum of weights, on all coefficients but the constant: a plate shows one normal, and says nothing of others."""
STOPS = 4.0
"""The residual spans so many factors of two."""


def explained_and_not(x: Tensor) -> Tensor:
    """Return (N, 2, S, S): what is left, 0.5 being nothing, and the fitted brightness; 0 off the part.

    Args:
        x: (N, 9, S, S) in 0..1, see ``detection.network.inputs``.
    """
    with torch.autocast(x.device.type, enabled=False), torch.no_grad():
        x = x.float()
        on_part = (x[:, MASK] > 0.9) & (x[:, SEEN] > 0.3) & (x[:, NORMAL.start] > NOWHERE)
        seen = x[:, IMAGE].mean(dim=1).clamp(min=0) ** GAMMA
        normal = x[:, NORMAL] * 255 - 128
        basis = polynomial(normal * normal.square().sum(dim=1, keepdim=True).clamp(min=1).rsqrt())
        few, middle = slice(None, None, STRIDE), mean_over(seen, on_part)
        coefficients = fit(basis[:, :, few, few].flatten(2), seen[:, few, few].flatten(1),
                           on_part[:, few, few].flatten(1), middle)
        fitted, middle = torch.einsum("nk,nkhw->nhw", coefficients, basis), middle[:, None, None]
        fitted = torch.maximum(fitted, 0.05 * middle + 1e-4)
        left = 0.5 + torch.log2((seen + 0.005) / (fitted + 0.005)) / STOPS
        shown = torch.stack([left.clamp(0, 1), fitted.clamp(0, 1) ** (1 / GAMMA)], dim=1)
        return torch.where(on_part[:, None], shown, torch.zeros_like(shown))


def polynomial(normal: Tensor) -> Tensor:
    """Return (N, 9, ...) terms up to the second degree of (N, 3, ...) unit vectors."""
    x, y, z = normal.unbind(dim=1)
    return torch.stack([torch.ones_like(x), x, y, z, x * y, y * z, x * z, x * x - y * y, 3 * z * z - 1], dim=1)


def fit(basis: Tensor, seen: Tensor, known: Tensor, middle: Tensor) -> Tensor:
    """Return the (N, 9) coefficients for (N, 9, P) terms and (N, P) brightness, where it is ``known``.

    ``middle`` is the (N,) mean brightness: the scale below which a deviation counts as noise.
    """
    basis, seen, middle = basis.double(), seen.double(), middle.double()  # the rounding of float32 would show
    weight = known.double()
    noise = (0.02 * middle + 1e-4)[:, None]
    ridge = RIDGE * torch.ones(basis.shape[1], dtype=basis.dtype, device=basis.device)
    ridge[0] = 1e-6
    coefficients = basis.new_zeros(basis.shape[:2])
    for _ in range(ROUNDS):
        weighted = basis * weight[:, None]
        matrix = weighted @ basis.transpose(1, 2)
        matrix = matrix + torch.diag_embed(ridge * weight.sum(dim=1, keepdim=True) + 1e-9)
        coefficients = solved(matrix, (weighted @ seen[:, :, None])[..., 0])
        fitted = torch.einsum("nk,nkp->np", coefficients, basis)
        weight = known / ((seen - fitted).abs() + noise)
    return coefficients.float()


def solved(matrix: Tensor, right: Tensor) -> Tensor:
    """Return (N, k) solutions of (N, k, k) positive definite systems, by elimination.

    Written out: a library's solver waits for the device to tell whether it worked, which a recorded graph cannot.
    """
    system = torch.cat([matrix, right[..., None]], dim=2)
    unit = torch.eye(matrix.shape[1], dtype=matrix.dtype, device=matrix.device)[..., None]
    for k in range(matrix.shape[1]):
        row = system[:, k:k + 1] / system[:, k:k + 1, k:k + 1]
        system = system - (system[:, :, k:k + 1] - unit[k]) * row  # row k becomes its own quotient, the others lose it
    return system[..., -1]


def mean_over(values: Tensor, known: Tensor) -> Tensor:
    """Return (N,) means of (N, H, W) values where they are known, 0 where none is."""
    return (values * known).sum(dim=(1, 2)) / known.sum(dim=(1, 2)).clamp(min=1)
