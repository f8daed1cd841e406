import itertools
from collections import Counter

import pytest

from aloe.tasks.clevrer import balance, templates
from aloe.tasks.clevrer.balance import Candidate, Tally


def exist(text, answer):
    return Candidate("event exist", {"question": text, "answer": answer}, (Tally("exist", answer, 0.5),))


def test_answers_come_out_even_however_they_are_offered():
    videos = [[exist(f"q{n}", "no" if n == 5 else "yes") for n in range(6)] for _ in range(100)]
    videos[::3] = [[exist("q", "yes")]] * 34  # nothing to choose from
    answers = Counter(question["answer"] for (question,) in balance.choose(videos))
    assert abs(answers["yes"] - answers["no"]) <= 2


def test_unequal_shares_are_met():
    shares = templates.SHARES["count"]
    videos = [
        [Candidate("event count", {"question": f"{n}", "answer": n}, (Tally("count", n, shares[n]),)) for n in shares]
        for _ in range(200)
    ]
    answers = Counter(question["answer"] for chosen in balance.choose(videos) for question in chosen)
    assert answers.total() == 2 * len(videos)  # two places per video
    for value, share in shares.items():
        assert abs(answers[value] - answers.total() * share) <= 2


def test_order_numbers_and_no_two_alike(drawn):
    slots = [slot for slot, _ in templates.SLOTS]
    places = dict(templates.SLOTS)
    slot_of = {candidate.question["question"]: candidate.slot for each in drawn for candidate in each.candidates}
    for chosen in balance.choose(each.candidates for each in drawn):
        assert [question["question_id"] for question in chosen] == list(range(len(chosen)))
        assert len({question["question"] for question in chosen}) == len(chosen)
        order = [slots.index(slot_of[question["question"]]) for question in chosen]
        assert order == sorted(order)
        for slot, many in Counter(order).items():
            assert many <= places[slots[slot]]


def test_what_is_asked_depends_only_on_the_videos_before(drawn):
    videos = [each.candidates for each in drawn]
    assert list(balance.choose(videos))[:7] == list(balance.choose(videos[:7]))


def test_it_takes_one_video_at_a_time(drawn):
    endless = itertools.cycle(each.candidates for each in drawn)
    assert len(list(itertools.islice(balance.choose(endless), 3))) == 3


# How far a share may be from the released one, on the 150 videos used here.
TOLERANCE = 0.04


def test_a_tally_counts_by_its_weight():
    def offered(name, light, heavy):
        return Candidate("event exist", {"question": name}, (Tally("l", light, 0.5, 1), Tally("h", heavy, 0.5, 3)))

    first = [offered("q", "a", "a")]
    (_, (chosen,)) = balance.choose([first, [offered("light", "b", "a"), offered("heavy", "a", "b")]])
    assert chosen["question"] == "heavy"


@pytest.mark.parametrize("subtype", ["exist", "count", "query_color", "query_material", "query_shape"])
def test_answers_have_the_released_shares(asked, subtype):
    answers = Counter(
        question["answer"]
        for _, questions in asked
        for question in questions
        if question.get("question_subtype") == subtype
    )
    for value, share in templates.SHARES[subtype].items():
        assert answers[value] / answers.total() == pytest.approx(share, abs=TOLERANCE), value


def test_subtypes_have_the_released_shares(asked):
    many = Counter(question.get("question_subtype") for _, questions in asked for question in questions)
    queries = sum(many[subtype] for subtype in templates.SHARES["query"])
    for subtype, share in templates.SHARES["query"].items():
        assert many[subtype] / queries == pytest.approx(share, abs=TOLERANCE)


@pytest.mark.parametrize(("kind", "correct"), [("explanatory", 0.454), ("predictive", 0.5), ("counterfactual", 0.555)])
def test_choices_are_correct_as_often_as_the_released_ones(asked, kind, correct):
    labels = Counter()
    right = Counter()
    for question in (question for _, questions in asked for question in questions):
        if question["question_type"] == kind:
            labels.update(choice["answer"] for choice in question["choices"])
            right[str(sum(choice["answer"] == "correct" for choice in question["choices"]))] += 1
    assert labels["correct"] / labels.total() == pytest.approx(correct, abs=TOLERANCE)
    for number, share in templates.SHARES.get(f"{kind} correct", {"1": 1.0}).items():
        assert right[number] / right.total() == pytest.approx(share, abs=TOLERANCE), number


def about(text):
    """The sort of thing that an explanatory choice is about."""
    if "entering" in text or "entrance" in text:
        return "entrance"
    return "presence" if text.startswith("the presence") else "collision"


def test_what_explanatory_questions_are_about_has_the_released_shares(asked):
    choices: Counter[str] = Counter()
    effects: Counter[bool] = Counter()
    for question in (question for _, questions in asked for question in questions):
        if question["question_type"] == "explanatory":
            effects["exit" in question["question"]] += 1
            choices.update(about(choice["choice"]) for choice in question["choices"])
    for sort, share in templates.SHARES["explanatory choices"].items():
        assert choices[sort] / choices.total() == pytest.approx(share, abs=2 * TOLERANCE), sort
    assert effects[True] / effects.total() == pytest.approx(0.1, abs=2 * TOLERANCE)


def test_the_words_of_a_question_do_not_give_its_choices_away(asked):
    """With "not" or without, both labels are common; in explanatory questions, among choices of each sort."""
    labels: dict[tuple, Counter] = {}
    for question in (question for _, questions in asked for question in questions):
        for choice in question.get("choices", ()):
            sort = about(choice["choice"]) if question["question_type"] == "explanatory" else ""
            key = (question["question_type"], " not " in question["question"], sort)
            labels.setdefault(key, Counter())[choice["answer"]] += 1
    assert len(labels) == 6 + 1 + 2
    for key, counter in labels.items():
        assert 1 / 3 < counter["correct"] / counter.total() < 2 / 3, key
