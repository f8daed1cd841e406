"""Answers questions from their text and the simulation alone, without programs, executor or templates."""

import functools
import re

import numpy as np

from aloe.tasks.clevrer import scenes

ATTRIBUTES = ("color", "material", "shape")
WHAT = r"What (?:is the (?P<a>color|material|shape) of|(?P<b>color|material|shape) is) the "
ORDER = r"(?:(?P<order>first|second|last) )?"
STATE = r"(?P<state>moving|stationary)"
PASS = r"(?P<pass>enter|exit)s?"
TIME = r"(?: when the (?P<time>.+ (?:begins|ends|enters the scene|exits the scene)))?\?"
SPAN = r"(?: (?P<side>before|after) the (?P<whose>.+) (?P<mark>enter|exit)s the scene)?\?"


def matched(pattern, text):
    found = re.fullmatch(pattern, text)
    assert found, text
    return found


class Simulated:
    """What happens in a scene, as a list of (frame, kind, objects)."""

    def __init__(self, scene, motion, annotation, moving=0.02):
        self.scene, self.motion = scene, motion
        frames = [frame["objects"] for frame in annotation["motion_trajectory"]]
        self.visible_FxO = np.array([[state["inside_camera_view"] for state in frame] for frame in frames])
        velocity_FxOx3 = np.array([[state["velocity"] for state in frame] for frame in frames])
        self.moving_FxO = np.hypot(velocity_FxOx3[..., 0], velocity_FxOx3[..., 1]) > moving
        seen = [collision for collision in motion.collisions if collision.frame < len(frames)]
        self.unseen = {collision.pair for collision in motion.collisions} - {collision.pair for collision in seen}
        self.happened = [(collision.frame, "collision", collision.pair) for collision in seen]
        for frame, index in np.ndindex(self.visible_FxO.shape):
            if frame and self.visible_FxO[frame, index] != self.visible_FxO[frame - 1, index]:
                self.happened.append((frame, "enter" if self.visible_FxO[frame, index] else "exit", (index,)))
        self.happened.sort()
        self.causes = self._causes()

    def _causes(self):
        """Maps each event (kind, objects) to all its causes: walks through time, keeping each object's last event."""
        last: dict[int, tuple] = {}
        causes: dict[tuple, set] = {}
        for _, kind, objects in self.happened:
            before = [last[index] for index in objects if index in last]
            causes[kind, objects] = set(before).union(*(causes[event] for event in before))
            last.update(dict.fromkeys(objects, (kind, objects)))
        return causes

    def match(self, phrase):
        """Indices of the objects that a phrase, singular or plural, describes."""
        words = {word.removesuffix("s") for word in phrase.split()} - {"object"}
        return [index for index, attributes in enumerate(self.scene.attributes) if words <= set(attributes)]

    def one(self, phrase):
        (index,) = self.match(phrase)
        return index

    def pair(self, one, other):
        return tuple(sorted((self.one(one), self.one(other))))

    def frame_of(self, kind, phrase):
        (frame,) = [frame for frame, what, objects in self.happened if (what, objects) == (kind, (self.one(phrase),))]
        return frame

    def in_state(self, found):
        """Indices of the objects that fit the phrase and are in the given state at the given time."""
        if found["time"] is None:
            frames = slice(None)
        elif found["time"] in ("video begins", "video ends"):
            frames = [0 if found["time"] == "video begins" else -1]
        else:
            phrase, kind = matched(r"(.+) (enter|exit)s the scene", found["time"]).groups()
            frames = [self.frame_of(kind, phrase)]
        visible_FxO = self.visible_FxO[frames]
        moves_O = (visible_FxO & self.moving_FxO[frames]).any(0)
        wanted_O = moves_O if found["state"] == "moving" else visible_FxO.any(0) & ~moves_O
        return [index for index in self.match(found["of"]) if wanted_O[index]]

    def in_span(self, found, kind):
        """Events of a kind: all of them, or those before or after an entrance or exit."""
        events = [(frame, objects) for frame, what, objects in self.happened if what == kind]
        if found["side"] is None:
            return events
        border = self.frame_of(found["mark"], found["whose"])
        return [event for event in events if (event[0] < border if found["side"] == "before" else event[0] > border)]

    def passing(self, found):
        objects = self.match(found["of"])
        return [event for event in self.in_span(found, found["pass"]) if event[1][0] in objects]

    def asked(self, found, index):
        return self.scene.attributes[index][ATTRIBUTES.index(found["a"] or found["b"])]

    def descriptive(self, text):
        if found := re.fullmatch(WHAT + ORDER + r"object to collide with the (?P<of>.+)\?", text):
            me = self.one(found["of"])
            partners = [sum(pair) - me for _, kind, pair in self.happened if kind == "collision" and me in pair]
            return self.asked(found, self._ordered(partners, found["order"]))
        if found := re.fullmatch(WHAT + ORDER + rf"object that {PASS} the scene\?", text):
            passed = [objects[0] for _, kind, objects in self.happened if kind == found["pass"]]
            return self.asked(found, self._ordered(passed, found["order"]))
        if found := re.fullmatch(r"How many collisions happen" + SPAN, text):
            return str(len(self.in_span(found, "collision")))
        for pattern in (rf"How many {STATE} (?P<of>.+) are there{TIME}", rf"How many (?P<of>.+) are {STATE}{TIME}"):
            if found := re.fullmatch(pattern, text):
                return str(len(self.in_state(found)))
        if found := re.fullmatch(rf"How many (?P<of>.+?) {PASS} the scene{SPAN}", text):
            return str(len(self.passing(found)))
        if found := re.fullmatch(rf"Are there any (?P<of>.+?) that {PASS} the scene{SPAN}", text):
            return "yes" if self.passing(found) else "no"
        for pattern in (rf"(?P<of>.+) that is {STATE}{TIME}", rf"{STATE} (?P<of>.+?){TIME}"):
            if found := re.fullmatch(WHAT + pattern, text):
                (index,) = self.in_state(found)
                return self.asked(found, index)
        return "yes" if self.in_state(matched(rf"Are there any {STATE} (?P<of>.+?){TIME}", text)) else "no"

    @staticmethod
    def _ordered(indices, order):
        if order is None:
            (index,) = indices
            return index
        return indices[{"first": 0, "second": 1, "last": -1}[order]]

    def explanatory(self, question, choice):
        found = matched(r"Which of the following is (not )?responsible for the (.+)\?", question)
        causes = self.causes[self.event(found[2])]
        if presence := re.fullmatch(r"the presence of the (.+)", choice):
            truth = any(self.one(presence[1]) in objects for _, objects in causes)
        else:
            truth = self.event(choice.removeprefix("the ")) in causes
        return truth != bool(found[1])

    def event(self, text):
        if passing := re.fullmatch(r"(.+)'s (?:(entrance|entering the scene)|exit|exiting the scene)", text):
            return "enter" if passing[2] else "exit", (self.one(passing[1]),)
        hit = re.fullmatch(r"collision between the (.+) and the (.+)", text)
        return "collision", self.pair(*(hit or matched(r"(.+)'s colliding with the (.+)", text)).groups())

    def predictive(self, question, choice):
        matched(r"(What|Which event) will happen next\?", question)
        return self.outcome(choice) in self.unseen

    def counterfactual(self, question, choice):
        what = r"(?:what|which event|which of the following) will (?P<no>not )?happen"
        found = re.fullmatch(rf"(?:if the (?P<x>.+) is removed|without the (?P<y>.+)), {what}\?", question.lower())
        found = found or matched(rf"{what} (?:if the (?P<x>.+) is removed|without the (?P<y>.+))\?", question.lower())
        removed = self.one(found["x"] or found["y"])
        pair = self.outcome(choice)
        assert removed not in pair
        return (pair in self.pairs_without(removed)) != bool(found["no"])

    @functools.cache  # noqa: B019 — lives as long as the test
    def pairs_without(self, removed):
        """Pairs that collide if the object is moved far away and never pushed, instead of left out."""
        location_Ox2, velocity_Ox2 = self.scene.location_Ox2.copy(), self.scene.velocity_Ox2.copy()
        location_Ox2[removed], velocity_Ox2[removed] = (500, 500), 0
        rest = scenes.Scene(
            self.scene.attributes, location_Ox2, self.scene.angle_O, velocity_Ox2, self.scene.start_O
        ).simulate()
        return {collision.pair for collision in rest.collisions}

    def outcome(self, choice):
        found = re.fullmatch(r"The (.+) collides with the (.+)", choice)
        return self.pair(*(found or matched(r"The (.+) and the (.+) collide", choice)).groups())
