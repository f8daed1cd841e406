"""How object attributes shared by several datasets are drawn: shapes as solids, colours as displayed."""

from aloe.render import raycast

SOLID = {"cube": raycast.BOX, "sphere": raycast.SPHERE, "cylinder": raycast.CYLINDER, "cone": raycast.CONE}
RGB = {
    "gray": (0.34, 0.34, 0.34),
    "red": (0.68, 0.14, 0.14),
    "blue": (0.16, 0.29, 0.84),
    "green": (0.11, 0.41, 0.08),
    "brown": (0.51, 0.29, 0.10),
    "purple": (0.51, 0.15, 0.75),
    "cyan": (0.16, 0.82, 0.82),
    "yellow": (1.0, 0.93, 0.20),
}
