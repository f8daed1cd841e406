from collections import Counter

from aloe.tasks.clevrer import scenes
from tests.tasks.clevrer.simulated import Simulated, matched


def questions(drawn):
    for each in drawn:
        for question in (candidate.question for candidates in each.rounds for candidate in candidates):
            if question["question_type"] == "descriptive":
                yield each, question


def test_records_are_as_in_the_official_files(drawn):
    for _, question in questions(drawn):
        assert set(question) == {"question", "question_type", "question_subtype", "program", "answer"}


def test_no_answer_hangs_on_slow_motion(drawn):
    for each in drawn:
        fast = Simulated(each.scene, each.motion, each.annotation, moving=0.15)
        for _, question in questions([each]):
            assert fast.descriptive(question["question"]) == question["answer"], question["question"]


def test_times_and_orders_stand_apart(drawn):
    """Events close to the entrance or exit that a question refers to would be hard to place before or after it."""
    checked: Counter[str] = Counter()
    for each, question in questions(drawn):
        words = question["question"].removesuffix("?").split()
        for word in {"when", "before", "after"} & set(words):
            if "video" in words[words.index(word) :]:
                continue
            phrase, kind = matched(
                r"the (.+) (enter|exit)s the scene", " ".join(words[words.index(word) + 1 :])
            ).groups()
            border = each.simulated.frame_of(kind, phrase)
            near = [event for event in each.simulated.happened if abs(event[0] - border) < scenes.APART]
            assert len(near) == 1, question["question"]
            checked[f"{word} {kind}"] += 1
    assert len(checked) == 6
    assert min(checked.values()) > 3


def test_what_is_asked_for_is_not_said(drawn):
    """The phrase neither contains the attribute asked for nor identifies the object by itself."""
    checked = 0
    for each, question in questions(drawn):
        attribute = question["question_subtype"].removeprefix("query_")
        words = question["question"].removesuffix("?").split()
        for state in {"moving", "stationary"} & set(words) if attribute in ("color", "material", "shape") else ():
            start = words.index("the", words.index(attribute) if words[1] != "is" else words.index("of"))
            phrase = matched(rf"the (?:{state} )?(.+?)(?: that is {state}.*| when .*)?", " ".join(words[start:]))[1]
            described = each.simulated.match(phrase)
            assert len(described) > 1, question["question"]
            assert question["answer"] not in phrase.split()
            checked += 1
    assert checked > 100
