"""Questions that could be asked about a scene: filled-in templates, with their answers.

There are many more than are asked, several per answer where the scene allows; balance.py chooses among them.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from aloe.tasks.clevrer.balance import Candidate
from aloe.tasks.clevrer.causal import counterfactual, explanatory, predictive
from aloe.tasks.clevrer.descriptive import descriptive
from aloe.tasks.clevrer.executor import Scene
from aloe.tasks.clevrer.templates import DESCRIPTIVE


def candidates(scene: Scene, truth: Mapping[str, Any], rng: np.random.Generator) -> list[Candidate]:
    """Returns candidates for every slot.

    Args:
      scene: what the answers are read from.
      truth: that of the same scene (truth.describe); its unclear pairs are not asked about.
      rng: chooses wording and fillings.
    """
    found = [candidate for slot in DESCRIPTIVE for candidate in descriptive(slot, scene, rng)]
    return [
        *found,
        *explanatory(scene, rng),
        *predictive(scene, truth, rng),
        *counterfactual(scene, truth, rng),
    ]
