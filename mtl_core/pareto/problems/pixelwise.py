"""Losses and metrics of maps: classes, a depth and a direction for each pixel.

All are means over the pixels of an image that have a target, then over images; an image without
any costs nothing.
"""

import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity, cross_entropy

__all__ = ["losses", "metrics"]


def losses(outputs: Tensor, labels: Tensor, depths: Tensor, normals: Tensor) -> Tensor:
    """Cross-entropy, absolute error and 1 - cosine: (3,).

    Args:
        outputs: (N, C + 4, H, W): logits, a depth, and a direction of any length.
        labels: (N, H, W) classes, -1 for none.
        depths: (N, H, W), 0 for none.
        normals: (N, 3, H, W), all 0 for none.
    """
    logits, depth, direction = _parts(outputs)
    entropy = cross_entropy(logits, labels.long(), reduction="none", ignore_index=-1)
    cosine = _cosine(direction, normals)
    each = (entropy, (depth - depths).abs(), 1 - cosine)
    return torch.stack(
        [_mean(of, known) for of, known in zip(each, _known(labels, depths, normals), strict=True)]
    )


def metrics(outputs: Tensor, labels: Tensor, depths: Tensor, normals: Tensor) -> Tensor:
    """Mean IoU, absolute error, and angle in degrees: (3,). Arguments as for ``losses``."""
    logits, depth, direction = _parts(outputs)
    of_class, of_depth, of_normal = _known(labels, depths, normals)
    # In single precision the arc cosine is 0.03° off near 1, which is less than normals are known.
    angle = _cosine(direction, normals).clamp(-1, 1).acos().rad2deg()
    return torch.stack(
        [
            _mean_iou(logits, labels, of_class),
            _mean((depth - depths).abs(), of_depth),
            _mean(angle, of_normal),
        ]
    )


def _parts(outputs: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    return outputs[:, :-4], outputs[:, -4], outputs[:, -3:]


def _known(labels: Tensor, depths: Tensor, normals: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    return labels >= 0, depths > 0, (normals != 0).any(dim=1)


def _cosine(direction: Tensor, normals: Tensor) -> Tensor:
    return cosine_similarity(direction, normals.to(direction.dtype), dim=1)


def _mean(each: Tensor, known: Tensor) -> Tensor:
    """each, known: (N, H, W) -> ()."""
    counted = each.where(known, 0).sum(dim=(1, 2))
    return (counted / known.sum(dim=(1, 2)).clamp_min(1)).mean()


def _mean_iou(logits: Tensor, labels: Tensor, known: Tensor) -> Tensor:
    """Mean over an image's classes, those of its labels or of its outputs, then over images."""
    classes = torch.arange(logits.shape[1], device=logits.device).view(-1, 1, 1)
    predicted = (logits.argmax(dim=1, keepdim=True) == classes) & known.unsqueeze(1)
    true = labels.unsqueeze(1) == classes
    shared = (predicted & true).sum(dim=(2, 3)).to(logits.dtype)
    either = (predicted | true).sum(dim=(2, 3))
    there = (either > 0).sum(dim=1).clamp_min(1)
    return ((shared / either.clamp_min(1)).sum(dim=1) / there).mean()
