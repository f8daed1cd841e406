"""Every question is answered again from its text and the simulation alone: by no program, and no executor."""

import functools
import re
from collections import Counter

import numpy as np
import pytest

from aloe.tasks.clevrer import executor, question_writer, scenes, templates

WHEN = r"(| when the video begins| when the video ends)\?"
WHAT = r"What (?:is the (?P<a>\w+) of|(?P<b>\w+) is) the "
ORDER = r"(?:(?P<order>first|second|last) )?"
STATE = r"(?P<state>moving|stationary)"


def matched(pattern, text):
    found = re.fullmatch(pattern, text)
    assert found, text
    return found


class Simulated:
    """Answers from a simulation."""

    def __init__(self, scene, motion):
        self.scene, self.motion = scene, motion
        self.visible_FxO = scenes.in_view(motion.location_FxOx2, scene.attributes)[: scenes.SEEN]
        self.moving_FxO = np.hypot(*motion.velocity_FxOx2[: scenes.SEEN].transpose(2, 0, 1)) > 0.02
        self.seen = [collision for collision in motion.collisions if collision.frame < scenes.SEEN]
        self.unseen = {collision.pair for collision in motion.collisions} - {collision.pair for collision in self.seen}
        first_F = self.visible_FxO.argmax(0)
        self.entrances = sorted((int(frame), index) for index, frame in enumerate(first_F) if frame > 0)
        self.causes = self._causes()

    def _causes(self):
        """Each event (kind, objects) with all that led to it: a walk through time, with each object's last event."""
        exits = [
            (frame, "exit", (index,))
            for index in range(len(self.scene.attributes))
            for frame in range(1, scenes.SEEN)
            if self.visible_FxO[frame - 1, index] and not self.visible_FxO[frame, index]
        ]
        happened = [(collision.frame, "collision", collision.pair) for collision in self.seen]
        happened += [(frame, "entrance", (index,)) for frame, index in self.entrances] + exits
        last: dict[int, tuple] = {}
        causes: dict[tuple, set] = {}
        for _, kind, objects in sorted(happened):
            before = [last[index] for index in objects if index in last]
            causes[kind, objects] = set(before).union(*(causes[event] for event in before))
            last.update(dict.fromkeys(objects, (kind, objects)))
        return causes

    def match(self, phrase):
        """Indices of the objects that a phrase, singular or plural, describes."""
        words = [word.removesuffix("s") for word in phrase.split()]
        *values, noun = words
        values += [noun] if noun != "object" else []
        return [index for index, attributes in enumerate(self.scene.attributes) if set(values) <= set(attributes)]

    def one(self, phrase):
        (index,) = self.match(phrase)
        return index

    def pair(self, one, other):
        return tuple(sorted((self.one(one), self.one(other))))

    def in_state(self, phrase, state, when):
        frames = {"": slice(None), " when the video begins": slice(0, 1), " when the video ends": slice(-1, None)}[when]
        visible_FxO = self.visible_FxO[frames]
        moves_O = (visible_FxO & self.moving_FxO[frames]).any(0)
        stands_O = visible_FxO.any(0) & ~moves_O
        return [index for index in self.match(phrase) if (moves_O if state == "moving" else stands_O)[index]]

    def attribute(self, name, index):
        return self.scene.attributes[index][("color", "material", "shape").index(name)]

    def descriptive(self, text):
        if found := re.fullmatch(WHAT + ORDER + r"object to collide with the (?P<of>.+)\?", text):
            me = self.one(found["of"])
            partners = [sum(collision.pair) - me for collision in self.seen if me in collision.pair]
            return self.attribute(found["a"] or found["b"], self._ordered(partners, found["order"]))
        if found := re.fullmatch(WHAT + ORDER + r"object that enters the scene\?", text):
            entered = [index for _, index in self.entrances]
            return self.attribute(found["a"] or found["b"], self._ordered(entered, found["order"]))
        if text == "How many collisions happen?":
            return str(len(self.seen))
        if found := re.fullmatch(r"How many (.+) enter the scene\?", text):
            return str(len(self._entered(found[1])))
        if found := re.fullmatch(r"Are there any (.+) that enter the scene\?", text):
            return "yes" if self._entered(found[1]) else "no"
        for pattern in (rf"{STATE} (?P<of>.+?){WHEN}", rf"(?P<of>.+) that is {STATE}{WHEN}"):
            if found := re.fullmatch(WHAT + pattern, text):
                (index,) = self.in_state(found["of"], found["state"], found.groups()[-1])
                return self.attribute(found["a"] or found["b"], index)
        for pattern in (rf"How many {STATE} (?P<of>.+) are there{WHEN}", rf"How many (?P<of>.+) are {STATE}{WHEN}"):
            if found := re.fullmatch(pattern, text):
                return str(len(self.in_state(found["of"], found["state"], found.groups()[-1])))
        found = matched(rf"Are there any {STATE} (?P<of>.+?){WHEN}", text)
        return "yes" if self.in_state(found["of"], found["state"], found.groups()[-1]) else "no"

    @staticmethod
    def _ordered(indices, order):
        if order is None:
            (index,) = indices
            return index
        return indices[{"first": 0, "second": 1, "last": -1}[order]]

    def _entered(self, phrase):
        return [index for _, index in self.entrances if index in self.match(phrase)]

    def explanatory(self, question, choice):
        found = matched(
            r"Which of the following is (not )?responsible for the collision between the (.+) and the (.+)\?", question
        )
        causes = self.causes["collision", self.pair(found[2], found[3])]
        if presence := re.fullmatch(r"the presence of the (.+)", choice):
            truth = any(self.one(presence[1]) in objects for _, objects in causes)
        elif entrance := re.fullmatch(r"the (.+)'s (?:entrance|entering the scene)", choice):
            truth = ("entrance", (self.one(entrance[1]),)) in causes
        else:
            hit = matched(r"the (?:collision between the )?(.+?)(?: and|'s colliding with) the (.+)", choice)
            truth = ("collision", self.pair(hit[1], hit[2])) in causes
        return truth != bool(found[1])

    def predictive(self, question, choice):
        matched(r"(What|Which event) will happen next\?", question)
        return self.outcome(choice) in self.unseen

    def counterfactual(self, question, choice):
        found = matched(r"What will (not )?happen (?:if the (.+) is removed|without the (.+))\?", question)
        removed = self.one(found[2] or found[3])
        pair = self.outcome(choice)
        assert removed not in pair
        return (pair in self.pairs_without(removed)) != bool(found[1])

    @functools.cache  # noqa: B019 — lives as long as the test
    def pairs_without(self, removed):
        """With the object put far away, with nothing to push it, instead of being left out."""
        location_Ox2, velocity_Ox2 = self.scene.location_Ox2.copy(), self.scene.velocity_Ox2.copy()
        location_Ox2[removed], velocity_Ox2[removed] = (500, 500), 0
        rest = scenes.Scene(
            self.scene.attributes, location_Ox2, self.scene.angle_O, velocity_Ox2, self.scene.start_O
        ).simulate()
        return {collision.pair for collision in rest.collisions}

    def outcome(self, choice):
        found = matched(r"The (.+?) (?:and|collides with) the (.+?)(?: collide)?", choice)
        return self.pair(found[1], found[2])


@pytest.mark.parametrize("kind", ["descriptive", "explanatory", "predictive", "counterfactual"])
def test_answers_are_those_of_the_simulation(drawn, kind):
    checked = 0
    for each in drawn:
        simulated = Simulated(each.scene, each.motion)
        for question in (candidate.question for candidate in each.candidates):
            if question["question_type"] != kind:
                continue
            if kind == "descriptive":
                assert question["answer"] == simulated.descriptive(question["question"]), question["question"]
                checked += 1
                continue
            for choice in question["choices"]:
                truth = getattr(simulated, kind)(question["question"], choice["choice"])
                assert choice["answer"] == ("correct" if truth else "wrong"), (question["question"], choice["choice"])
                checked += 1
    assert checked > 20


def test_programs_give_the_answers_and_never_fail(drawn):
    for each in drawn:
        for question in (candidate.question for candidate in each.candidates):
            for choice in question.get("choices", ()):
                assert executor.judge(choice["program"], question["program"], each.read) == choice["answer"]
            if "answer" in question:
                assert executor.answer(question["program"], each.read) == question["answer"]


def test_the_same_generator_gives_the_same_questions(drawn):
    again = question_writer.candidates(drawn[0].read, drawn[0].truth, np.random.default_rng((0, drawn[0].index, 1)))
    assert again == drawn[0].candidates


def test_choices_are_as_in_the_official_files(drawn):
    sizes: Counter[tuple[str, int, int]] = Counter()
    for question in (candidate.question for each in drawn for candidate in each.candidates):
        if question["question_type"] == "descriptive":
            assert set(question) == {"question", "question_type", "question_subtype", "program", "answer"}
            continue
        assert set(question) == {"question", "question_type", "program", "choices"}
        choices = question["choices"]
        assert [choice["choice_id"] for choice in choices] == list(range(len(choices)))
        assert all(set(choice) == {"choice_id", "choice", "program", "answer"} for choice in choices)
        assert len({choice["choice"] for choice in choices}) == len(choices)
        correct = sum(choice["answer"] == "correct" for choice in choices)
        sizes[question["question_type"], len(choices), correct] += 1
    assert {key[1:] for key in sizes if key[0] == "predictive"} == {(2, 1)}
    assert {key[1] for key in sizes if key[0] == "counterfactual"} == {2, 3, 4}
    assert all(0 < correct < choices for kind, choices, correct in sizes if kind == "counterfactual")
    assert {key[2] for key in sizes if key[0] == "explanatory"} == {0, 1, 2, 3, 4}


def test_a_cause_is_not_named_as_the_effect_names_it(drawn):
    for question in (candidate.question for each in drawn for candidate in each.candidates):
        if question["question_type"] == "explanatory":
            named = matched(r".* between the (.+) and the (.+)\?", question["question"]).groups()
            presences = {choice["choice"] for choice in question["choices"]}
            assert not presences & {f"the presence of the {name}" for name in named}


def test_nothing_unclear_is_asked(drawn):
    """A question whose answer hangs on slow motion, or on a pair that nearly touches, is left out."""
    for each in drawn:
        simulated = Simulated(each.scene, each.motion)
        fast = Simulated(each.scene, each.motion)
        fast.moving_FxO = np.hypot(*each.motion.velocity_FxOx2[: scenes.SEEN].transpose(2, 0, 1)) > 0.15
        for question in (candidate.question for candidate in each.candidates):
            if question["question_type"] == "descriptive":
                assert simulated.descriptive(question["question"]) == fast.descriptive(question["question"])
            elif question["question_type"] == "predictive":
                gap_F = each.motion.location_FxOx2[scenes.SEEN :]
                for choice in question["choices"]:
                    one, other = simulated.outcome(choice["choice"])
                    closest = np.linalg.norm(gap_F[:, one] - gap_F[:, other], axis=-1).min()
                    assert (closest < 0.45) if choice["answer"] == "correct" else (closest > 0.5)
                    assert simulated.visible_FxO[-1, [one, other]].all()


def test_every_slot_and_kind_of_wording_occurs(drawn):
    texts = [candidate.question["question"] for each in drawn for candidate in each.candidates]
    texts += [
        choice["choice"]
        for each in drawn
        for candidate in each.candidates
        for choice in candidate.question.get("choices", ())
    ]
    rows = [row for rows in templates.DESCRIPTIVE.values() for row in rows]
    rows += [*templates.EXPLANATORY, *templates.CAUSES, *templates.PREDICTIVE]
    rows += [*templates.COUNTERFACTUAL, *templates.OUTCOMES]
    for row in rows:
        pattern = re.sub(r"\\\{[^}]*\\\}", ".*", re.escape(row.text))
        assert any(re.fullmatch(pattern, text) for text in texts), row.text
    for fillings in (templates.Q, templates.N, templates.S, templates.T):
        for filling in fillings:
            assert any(filling.text in text for text in texts)
    assert {candidate.slot for each in drawn for candidate in each.candidates} == {slot for slot, _ in templates.SLOTS}


def test_phrases_are_mostly_as_short_as_can_be(drawn):
    rng = np.random.default_rng(0)
    longer = total = 0
    for each in drawn:
        simulated = Simulated(each.scene, each.motion)
        for index in range(len(each.scene.attributes)):
            for _ in range(8):
                filling = question_writer.the(each.read, index, rng)
                assert simulated.match(filling.text) == [index]
                assert executor.run(filling.program.split(), each.read).index == index
                fewer = [len(question_writer.the(each.read, index, rng).given) for _ in range(8)]
                longer += len(filling.given) > min(fewer)
                total += 1
    assert 0 < longer / total < 0.25
