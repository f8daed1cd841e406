from collections import Counter

import numpy as np
import pytest

from aloe.tasks.clevrer import scenes
from tests.tasks.clevrer.simulated import matched


def questions(drawn, kind):
    found = [
        (each, candidate.question)
        for each in drawn
        for candidates in each.rounds
        for candidate in candidates
        if candidate.question["question_type"] == kind
    ]
    assert len(found) > 20
    return found


@pytest.mark.parametrize(
    ("kind", "sizes", "right"),
    [("explanatory", {4}, {0, 1, 2, 3, 4}), ("predictive", {2}, {1}), ("counterfactual", {2, 3, 4}, {0, 1, 2, 3})],
)
def test_choices_are_as_in_the_official_files(drawn, kind, sizes, right):
    many, correct = set(), set()
    for _, question in questions(drawn, kind):
        assert set(question) == {"question", "question_type", "program", "choices"}
        choices = question["choices"]
        assert [choice["choice_id"] for choice in choices] == list(range(len(choices)))
        assert all(set(choice) == {"choice_id", "choice", "program", "answer"} for choice in choices)
        assert len({choice["choice"] for choice in choices}) == len(choices)
        many.add(len(choices))
        correct.add(sum(choice["answer"] == "correct" for choice in choices))
    assert many == sizes
    assert correct == right


def test_a_cause_is_not_named_as_the_effect_names_it(drawn):
    effects: Counter[str] = Counter()
    for each, question in questions(drawn, "explanatory"):
        effect = question["question"].split("responsible for the ")[1].removesuffix("?")
        kind, _ = each.simulated.event(effect)
        effects[kind] += 1
        for choice in question["choices"]:
            if choice["choice"].startswith("the presence of the "):
                named = choice["choice"].removeprefix("the presence of the ")
                assert named not in effect.replace("'s", " ").replace("between the ", "").split(" and the ")
                assert not f" {effect} ".startswith(f" {named}'s ")
                assert not effect.endswith(f" the {named}")
            else:
                assert each.simulated.event(choice["choice"].removeprefix("the ")) != each.simulated.event(effect)
    assert set(effects) == {"collision", "exit"}


def test_choices_are_not_about_the_same(drawn):
    for each, question in questions(drawn, "explanatory"):
        things = [
            each.simulated.one(text.removeprefix("the presence of the "))
            if text.startswith("the presence")
            else each.simulated.event(text.removeprefix("the "))
            for text in (choice["choice"] for choice in question["choices"])
        ]
        assert len(set(things)) == len(things)
    for kind in ("predictive", "counterfactual"):
        for each, question in questions(drawn, kind):
            pairs = [each.simulated.outcome(choice["choice"]) for choice in question["choices"]]
            assert len(set(pairs)) == len(pairs)


def test_what_comes_next_can_be_told(drawn):
    """Both choices are about objects in view at the end, which then collide or clearly miss each other."""
    for each, question in questions(drawn, "predictive"):
        after_FxOx2 = each.motion.location_FxOx2[scenes.SEEN :]
        for choice in question["choices"]:
            one, other = each.simulated.outcome(choice["choice"])
            closest = np.linalg.norm(after_FxOx2[:, one] - after_FxOx2[:, other], axis=-1).min()
            assert (closest < 0.45) if choice["answer"] == "correct" else (closest > 0.5)
            assert each.simulated.visible_FxO[-1, [one, other]].all()


def test_describing_the_video_does_not_answer_what_if(asked):
    """At least a third of the choices have a different label than they would have with nothing removed."""
    changed = total = 0
    for each, questions_of_video in asked:
        happened = {pair for _, kind, pair in each.simulated.happened if kind == "collision"} | each.simulated.unseen
        for question in questions_of_video:
            if question["question_type"] == "counterfactual":
                denied = " not " in question["question"]
                for choice in question["choices"]:
                    described = (each.simulated.outcome(choice["choice"]) in happened) != denied
                    changed += described != (choice["answer"] == "correct")
                    total += 1
    assert 1 / 3 < changed / total < 2 / 3


def test_the_removed_object_is_never_in_a_choice(drawn):
    for each, question in questions(drawn, "counterfactual"):
        text = question["question"].lower().replace(",", "").removesuffix("?")
        phrase = matched(r".*(?:if|without) the (.+?)(?: is removed.*| what.*| which.*)?", text)[1]
        removed = each.simulated.one(phrase)
        assert all(removed not in each.simulated.outcome(choice["choice"]) for choice in question["choices"])
