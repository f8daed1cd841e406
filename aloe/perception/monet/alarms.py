"""Names MONet's failure modes, recognised from the metrics of a split.

Seeds do fail: mostly, all that helps is to train others and choose among them. Early in training, most of a scene is
background with any seed. On NaN the training loop itself stops.
"""

from collections.abc import Mapping

ONE_SLOT = 1.5  # slots in use, mean over the frames
UNEXPLAINED = 0.2  # fraction of the variation around the mean image
LOST = 0.5  # fraction of the objects' pixels that are in background slots
MERGED = 0.5  # fraction of the pairs of objects

_ANOTHER = "if it stays so, train another seed (--config.seed=…)"


def alarms(numbers: Mapping[str, float], slots: int) -> list[str]:
    """Returns what has failed, each with a remedy; empty if all is well.

    Args:
      numbers: those of `quality.summary`, and `explained`, the fraction of the variation of the frames around their
        mean image that is reconstructed.
      slots: N.
    """
    found = []
    if numbers["slots_used"] < ONE_SLOT:
        found.append(
            f"one slot takes all: {numbers['slots_used']:.1f} of {slots} slots are in use, the largest has "
            f"{numbers['largest_slot']:.0%} of the pixels; {_ANOTHER}, or lower loss.background_sigma and "
            "loss.foreground_sigma"
        )
    if numbers.get("in_background", 0.0) > LOST:
        found.append(
            f"all background: {numbers['in_background']:.0%} of the objects' pixels are in slots of the background; "
            f"{_ANOTHER}, or lower loss.background_sigma"
        )
    elif numbers["explained"] < UNEXPLAINED:
        found.append(
            f"all background: only {numbers['explained']:.0%} of what differs from the mean picture is reconstructed; "
            f"{_ANOTHER}, or lower loss.background_sigma and loss.foreground_sigma"
        )
    alike, unlike = numbers.get("alike_merged", 0.0), numbers.get("unlike_merged", 0.0)
    if alike > MERGED and unlike <= MERGED:
        found.append(
            f"same-coloured objects are merged: {alike:.0%} of the pairs share a slot (of other pairs {unlike:.0%}); "
            f"{_ANOTHER}, or raise loss.beta, which makes shapes and places cost more in one latent"
        )
    if unlike > MERGED:
        found.append(f"objects are merged: {unlike:.0%} of the pairs share a slot; {_ANOTHER}, or raise loss.beta")
    if numbers.get("crowded", 0.0) > 0:
        found.append(
            f"too few slots: {numbers['crowded']:.0%} of the frames show {slots} objects or more, which with the "
            f"background need {slots + 1} slots or more; raise model.slots"
        )
    return found
