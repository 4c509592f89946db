"""What a router sees as NumPy's arrays, as torch's tensors for learning."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import TYPE_CHECKING

import numpy as np
import torch

if TYPE_CHECKING:
    from langchain_atlas.routers.policy.state_features import PriorFeatures


def as_tensors(prior: PriorFeatures) -> PriorFeatures:
    """Return the same prior, of tensors that share the arrays' memory."""
    held = {field.name: getattr(prior, field.name) for field in fields(prior)}
    return replace(
        prior, **{name: torch.from_numpy(value) for name, value in held.items() if isinstance(value, np.ndarray)}
    )
