"""Examples contain the right frames of the right video and the right words, and nothing else."""

import collections
import dataclasses

import numpy as np
import pytest

from aloe.data.videos import another_video
from aloe.tasks.clevrer import vocabulary
from aloe.tasks.clevrer.annotations import FRAMES
from aloe.tasks.clevrer.examples import (
    Examples,
    asked,
    question_arrays,
)
from aloe.tasks.clevrer.questions import parse_questions
from tests.tasks.clevrer.encoded import questions
from tests.tasks.clevrer.writer import descriptive, entry, multiple_choice

SLOTS, SIZE = 2, 3


class Store:
    """Every value in a frame is the frame number plus 1000 times the scene index."""

    def read(self, scene_index):
        numbers = np.arange(FRAMES, dtype=np.float32) + 1000 * scene_index
        return np.broadcast_to(numbers[:, None, None], (FRAMES, SLOTS, SIZE))

    def see(self, scene_index, frames_F):
        return {"latents": self.read(scene_index)[frames_F]}


def parsed(*entries):
    videos, problems = parse_questions(list(entries), labelled=True)
    assert not problems
    return videos


def videos(count):
    return parsed(*(entry(index, questions(index)) for index in range(count)))


def seen(example):
    """The video that an example sees, and its frame numbers."""
    latents = example["latents"]
    assert latents.shape[1:] == (SLOTS, SIZE)
    assert (latents == latents[:, :1, :1]).all()
    video, frames = np.divmod(latents[:, 0, 0].astype(int), 1000)
    assert len(set(video)) == 1
    return video[0], frames.tolist()


@pytest.mark.parametrize("labels", [(True,), (False, True), (True, True, False), (False, False, True, True)])
def test_a_question_has_the_choices_it_has_and_no_others(labels):
    question = parsed(entry(0, [multiple_choice(0, correct=labels)]))[0].questions[0]
    arrays = question_arrays(question)
    there = len(labels)
    assert arrays["choices"].shape == (4, vocabulary.CHOICE_LENGTH)
    assert arrays["exists"].tolist() == [True] * there + [False] * (4 - there)
    assert arrays["correct"].tolist() == [*labels, *[False] * (4 - there)]
    # Missing choices are padding on the choice axis; those that exist have all their words, from the first position on.
    for place, choice in enumerate(question.choices):
        np.testing.assert_array_equal(arrays["choices"][place], vocabulary.choice_ids(choice.text))
        assert arrays["choices"][place].all() == (len(vocabulary.tokenize(choice.text)) == vocabulary.CHOICE_LENGTH)
    assert not arrays["choices"][there:].any()
    assert "answer" not in arrays


def test_a_descriptive_question_has_its_words_and_its_answer():
    question = parsed(entry(0, [descriptive(0, "How many collisions happen?", answer="5")]))[0].questions[0]
    arrays = question_arrays(question)
    np.testing.assert_array_equal(arrays["question"], vocabulary.question_ids("How many collisions happen?"))
    assert vocabulary.ANSWERS[arrays["answer"] - 1] == "5"
    assert set(arrays) == {"question", "answer"}


def test_a_question_without_choices_is_not_asked():
    (video,) = parsed(entry(0, [descriptive(0), multiple_choice(1, correct=()), multiple_choice(2, correct=(True,))]))
    assert [record.question.question_id for record in asked([video], descriptive=False)] == [2]
    assert [record.question.question_id for record in asked([video], descriptive=True)] == [0]


@pytest.mark.parametrize("frames", [1, 8, 25, 128])
def test_frames_are_drawn_without_replacement_and_kept_in_time_order(frames):
    examples = Examples(Store(), frames)
    record = asked(videos(3), descriptive=True)[-1]
    drawn = collections.Counter()
    draws = 3000 // frames
    for seed in range(draws):
        video, numbers = seen(examples.train(record, np.random.default_rng(seed)))
        assert video == record.scene_index == 2
        assert numbers == sorted(set(numbers))
        assert len(numbers) == frames
        drawn.update(numbers)
    share = frames / FRAMES
    counts = np.array([drawn[frame] for frame in range(FRAMES)])
    assert counts.min() > 0
    assert np.abs(counts - draws * share).max() <= 5 * np.sqrt(draws * share * (1 - share))


@pytest.mark.parametrize(("frames", "wanted"), [(25, range(0, 121, 5)), (128, range(128)), (8, range(0, 113, 16))])
def test_evaluation_frames_are_evenly_spaced_from_the_first_on(frames, wanted):
    records = asked(videos(3), descriptive=False)
    dataset = Examples(Store(), frames).evaluation(records, {})
    assert len(dataset) == len(records)
    for place, record in enumerate(records):
        assert seen(dataset[place]) == (record.scene_index, list(wanted))
        np.testing.assert_array_equal(dataset[place]["correct"], question_arrays(record.question)["correct"])


def test_a_shuffled_example_keeps_its_question_and_sees_the_other_video():
    every = videos(4)
    records = asked(every, descriptive=True)
    other = another_video(every)
    examples = Examples(Store(), 5)
    for own, shuffled, record in zip(
        examples.evaluation(records, {}), examples.evaluation(records, other), records, strict=True
    ):
        np.testing.assert_array_equal(own["question"], shuffled["question"])
        assert own["answer"] == shuffled["answer"]
        assert seen(shuffled) == (other[record.scene_index], seen(own)[1])


def words(example):
    return tuple(example["question"]), tuple(example["choice"]), bool(example["is_choice"])


def test_an_unsupervised_example_has_any_question_and_choice_of_its_own_video():
    every = videos(4)
    examples = Examples(Store(), 3)
    for video in every:
        possible = set()
        for question in video.questions:
            ids, choices = vocabulary.question_ids(question.text), [np.zeros(vocabulary.CHOICE_LENGTH, int)]
            if question.choices:
                choices = [vocabulary.choice_ids(choice.text) for choice in question.choices]
            possible |= {(tuple(ids), tuple(choice), not question.is_descriptive) for choice in choices}
        drawn = [examples.unsupervised(video, np.random.default_rng(seed)) for seed in range(300)]
        assert {words(example) for example in drawn} == possible
        assert {seen(example)[0] for example in drawn} == {video.scene_index}


def test_a_question_without_choices_is_an_unsupervised_example_with_an_empty_one():
    (video,) = parsed(entry(3, [multiple_choice(1, correct=())]))
    example = Examples(Store(), 3).unsupervised(video, np.random.default_rng(0))
    np.testing.assert_array_equal(example["question"], vocabulary.question_ids("What will happen next?"))
    assert example["is_choice"]
    assert not example["choice"].any()


def test_an_unsupervised_example_never_has_an_answer():
    """Neither as a field nor within other fields: changing all answers leaves the examples the same."""

    def answered(other):
        def record(question):
            choices = tuple(dataclasses.replace(choice, correct=other) for choice in question.choices)
            answer = vocabulary.ANSWERS[other] if question.is_descriptive else None
            return dataclasses.replace(question, answer=answer, choices=choices)

        return dataclasses.replace(video, questions=tuple(record(question) for question in video.questions))

    (video,) = videos(1)
    examples = Examples(Store(), 3)
    for seed in range(50):
        one, two = (examples.unsupervised(answered(o), np.random.default_rng(seed)) for o in (False, True))
        assert set(one) == {"question", "choice", "is_choice", "latents"}
        for field in one:
            np.testing.assert_array_equal(one[field], two[field])


def test_a_video_without_questions_is_an_unsupervised_example_too():
    (video,) = parsed(entry(7, []))
    example = Examples(Store(), 3).unsupervised(video, np.random.default_rng(0))
    assert not example["question"].any()
    assert not example["choice"].any()
    assert not example["is_choice"]
    assert seen(example)[0] == 7
    assert asked([video], descriptive=True) == asked([video], descriptive=False) == []


def test_examples_of_one_kind_have_arrays_of_one_shape_and_type():
    """Otherwise they could not be stacked into a batch."""
    every = [*videos(4), *parsed(entry(7, []))]
    examples = Examples(Store(), 3)

    def kinds(made):
        return {tuple((name, value.shape, value.dtype) for name, value in sorted(each.items())) for each in made}

    rng = np.random.default_rng(0)
    for wanted in (True, False):
        assert len(kinds(examples.train(record, rng) for record in asked(every, descriptive=wanted))) == 1
    assert len(kinds(examples.unsupervised(video, rng) for video in every for _ in range(20))) == 1
