import itertools
from collections import Counter

from aloe.tasks.clevrer import balance, templates
from aloe.tasks.clevrer.question_writer import Candidate, Tally


def exist(text, answer):
    return Candidate("event exist", {"question": text, "answer": answer}, (Tally("exist", answer, 0.5),))


def test_answers_come_out_even_however_they_are_offered():
    videos = [[exist(f"q{n}", "no" if n == 5 else "yes") for n in range(6)] for _ in range(100)]
    videos[::3] = [[exist("q", "yes")]] * 34  # nothing to choose from
    answers = Counter(question["answer"] for (question,) in balance.choose(videos))
    assert abs(answers["yes"] - answers["no"]) <= 2


def test_unequal_shares_are_met():
    shares = templates.COUNTS
    videos = [
        [Candidate("event count", {"question": f"{n}", "answer": n}, (Tally("count", n, shares[n]),)) for n in shares]
        for _ in range(200)
    ]
    answers = Counter(question["answer"] for chosen in balance.choose(videos) for question in chosen)
    assert answers.total() == 2 * len(videos)  # two places for each video
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


def test_no_answer_is_worth_guessing(drawn):
    """On the few videos drawn here; a larger world is nearer still."""
    answers: dict[str, Counter] = {}
    for chosen in balance.choose(each.candidates for each in drawn):
        for question in chosen:
            kind = question.get("question_subtype", question["question_type"])
            answers.setdefault(kind, Counter()).update(entry["answer"] for entry in question.get("choices", [question]))
    best = {kind: max(counter.values()) / counter.total() for kind, counter in answers.items()}
    assert best["exist"] < 0.55
    assert best["count"] < 0.33
    assert best["query_color"] < 0.2
    assert best["query_material"] < 0.57
    assert best["query_shape"] < 0.4
    assert best["explanatory"] < 0.55
    assert best["counterfactual"] < 0.55
    assert best["predictive"] == 0.5
