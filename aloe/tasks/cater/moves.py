"""How objects move, following CATER: ten slots of 30 frames, in each of which every object may make one move.

    _slide        along the ground to a free place; a cone takes along what is under it
    _pick_place   up, over, and down onto a free place; what was under a cone stays behind
    _rotate       about the vertical axis, except for cones and spheres
    _contain      of a cone: up, over, and down onto a smaller cone or sphere, or the snitch
    _no_op        nothing

Objects never touch. Those under a cone make no moves of their own. Cones nest: one that covers another also hides all
that is under it. Unlike in the official generator, a cone covers only what it hides completely.
"""

import dataclasses

import numpy as np

SLOT, SLOTS = 30, 10
FRAMES = SLOT * SLOTS + 1
SHORTEST = 20  # frames of a move, which begins up to 10 frames into its slot
LIFT = 2.0  # world units
UP, DOWN = 0.2, 0.8  # fractions of a lifted move's duration: fully up by the first, coming down from the second
APART = 0.1  # minimum distance between the edges of two objects, at all times
TRIES = 6  # attempts to find a free place, per action

SLIDE, PICK_PLACE, ROTATE, CONTAIN, NO_OP = "_slide", "_pick_place", "_rotate", "_contain", "_no_op"


@dataclasses.dataclass(frozen=True)
class Bodies:
    """The geometry of the objects that move.

    Attributes:
      radius_O: on the ground.
      half_height_O: height of the centre when standing on the ground.
      cone_O, round_O: which objects are cones and which are spheres; the snitch is neither.
      coverable_O: which objects a large enough cone may cover.
    """

    radius_O: np.ndarray
    half_height_O: np.ndarray
    cone_O: np.ndarray
    round_O: np.ndarray
    coverable_O: np.ndarray

    def hides(self, cone: int, other: int) -> bool:
        """Whether the cone is large enough to hide the other object completely."""
        if self.cone_O[other]:
            return bool(self.radius_O[other] < self.radius_O[cone])
        # A sphere of radius r on the ground touches, from inside, the side of a cone whose radius and half height are R
        # when r √5 = 2R − r.
        return bool(self.coverable_O[other] and self.radius_O[other] * (1 + 5**0.5) < 2 * self.radius_O[cone])


@dataclasses.dataclass(frozen=True)
class Move:
    """Object `number` acts on `other`, or on no object (None), from frame `start` to frame `end`."""

    number: int
    action: str
    other: int | None
    start: int
    end: int


@dataclasses.dataclass(frozen=True)
class Motion:
    """What happened: positions of the centres, rotations about z in radians, and the moves in temporal order."""

    location_FxOx3: np.ndarray
    yaw_FxO: np.ndarray
    moves: tuple[Move, ...]


def simulate(bodies: Bodies, location_Ox2: np.ndarray, yaw_O: np.ndarray, rng: np.random.Generator) -> Motion:
    """Simulates 301 frames of moving objects.

    Args:
      bodies: the objects.
      location_Ox2: their initial positions, keeping their distance.
      yaw_O: their initial rotations about z.
      rng: the source of all randomness.
    """
    table = _Table(bodies, location_Ox2, yaw_O, rng)
    for slot in range(SLOTS):
        table.play(slot)
    return Motion(table.location_FxOx3, table.yaw_FxO, tuple(table.moves))


class _Table:
    """The state between slots: who is under whom, and all frames; nothing moves after the last slot played."""

    def __init__(self, bodies: Bodies, location_Ox2: np.ndarray, yaw_O: np.ndarray, rng: np.random.Generator) -> None:
        self.bodies, self.rng = bodies, rng
        self.objects = len(location_Ox2)
        self.location_FxOx3 = np.tile(np.column_stack([location_Ox2, bodies.half_height_O]), (FRAMES, 1, 1))
        self.yaw_FxO = np.tile(yaw_O, (FRAMES, 1))
        self.cover: list[int | None] = [None] * self.objects  # the cone directly over each
        self.moves: list[Move] = []

    def play(self, slot: int) -> None:
        busy: set[int] = set()
        cover = list(self.cover)  # state at the end of the slot; until then, what is covered stays covered
        for number in self.rng.permutation(self.objects).tolist():
            if self.cover[number] is not None or number in busy:
                continue
            move, target_2, angle = self.choose(slot, number, busy)
            self.moves.append(move)
            if move.action == NO_OP:
                continue
            busy.add(number)
            self.carry_out(move, target_2, angle)
            if move.action in (PICK_PLACE, CONTAIN):
                cover = [None if over == number else over for over in cover]
            if move.other is not None:
                busy.add(move.other)
                cover[move.other] = number
        self.cover = cover
        self.moves.sort(key=lambda move: (move.start, move.number))

    def choose(self, slot: int, number: int, busy: set[int]) -> tuple[Move, np.ndarray, float]:
        """The first collision-free move among several attempts, its target position, and its angle of rotation."""
        bodies, rng = self.bodies, self.rng
        late = int(rng.integers(SLOT - SHORTEST + 1))
        start = slot * SLOT + late
        end = start + int(rng.integers(SHORTEST, SLOT - late + 1))
        place_2 = self.location_FxOx3[start, number, :2]
        below = [
            other
            for other in range(self.objects)
            if bodies.cone_O[number]
            and other != number
            and self.cover[other] is None
            and other not in busy
            and bodies.hides(number, other)
        ]
        actions = [SLIDE, PICK_PLACE]
        actions += [] if bodies.cone_O[number] or bodies.round_O[number] else [ROTATE]
        actions += [CONTAIN] if below else []
        for action in rng.permutation(actions).tolist():
            if action == ROTATE:
                return Move(number, action, None, start, end), place_2, float(rng.uniform(-np.pi, np.pi))
            for _ in range(TRIES):
                other = int(rng.choice(below)) if action == CONTAIN else None
                target_2 = rng.uniform(-3, 3, 2) if other is None else self.location_FxOx3[end, other, :2]
                move = Move(number, action, other, start, end)
                if self.is_free(move, target_2):
                    return move, target_2, 0.0
        return Move(number, NO_OP, None, start, end), place_2, 0.0

    def under(self, number: int | None) -> list[int]:
        """All that is under an object, directly or nested."""
        direct = [other for other in range(self.objects) if number is not None and self.cover[other] == number]
        return direct + [each for other in direct for each in self.under(other)]

    def path(self, move: Move, target_2: np.ndarray) -> np.ndarray:
        """Positions of the moving object from the first to the last frame of the move, location_Px3."""
        share_P = np.linspace(0, 1, move.end - move.start + 1)
        from_3 = self.location_FxOx3[move.start, move.number]
        raised_P = np.zeros_like(share_P)
        if move.action != SLIDE:
            raised_P = LIFT * np.interp(share_P, (0, UP, DOWN, 1), (0, 1, 1, 0))
            share_P = np.interp(share_P, (UP, DOWN), (0, 1))
        ground_Px2 = from_3[:2] + share_P[:, None] * (target_2 - from_3[:2])
        return np.column_stack([ground_Px2, from_3[2] + raised_P])

    def is_free(self, move: Move, target_2: np.ndarray) -> bool:
        """Whether the object keeps its distance from all others from the start of the move to the end of its slot."""
        bodies = self.bodies
        end_of_slot = (move.start // SLOT + 1) * SLOT
        path_Px3 = self.path(move, target_2)
        rest_Rx3 = np.repeat(path_Px3[-1:], end_of_slot - move.end, axis=0)
        path_Px3 = np.concatenate([path_Px3, rest_Rx3])
        left = self.under(move.number)  # left behind, or taken along
        met = {move.number, move.other, *self.under(move.other), *(left if move.action == SLIDE else [])}
        others = [other for other in range(self.objects) if other not in met]
        away_PxOx3 = path_Px3[:, None] - self.location_FxOx3[move.start : end_of_slot + 1, others]
        wide_O = bodies.radius_O[others] + bodies.radius_O[move.number] + APART
        high_O = bodies.half_height_O[others] + bodies.half_height_O[move.number]
        beside_PxO = np.hypot(away_PxOx3[..., 0], away_PxOx3[..., 1]) >= wide_O
        above_PxO = abs(away_PxOx3[..., 2]) >= high_O
        rising_P = np.arange(len(path_Px3)) <= (move.end - move.start) / 2
        return bool((beside_PxO | above_PxO | (rising_P[:, None] & np.isin(others, left))).all())

    def carry_out(self, move: Move, target_2: np.ndarray, angle: float) -> None:
        during, after = slice(move.start, move.end + 1), slice(move.end + 1, None)
        if move.action == ROTATE:
            self.yaw_FxO[during, move.number] += np.linspace(0, angle, move.end - move.start + 1)
            self.yaw_FxO[after, move.number] += angle
            return
        path_Px3 = self.path(move, target_2)
        path_Px3 -= path_Px3[0]
        moved = [move.number, *(self.under(move.number) if move.action == SLIDE else [])]
        self.location_FxOx3[during, moved] += path_Px3[:, None]
        self.location_FxOx3[after, moved] += path_Px3[-1]
