"""Every question is answered again from its text and the simulation alone (simulated.py)."""

import re

import numpy as np
import pytest

from aloe.tasks.clevrer import executor, grammar, question_writer, templates, vocabulary


def texts(questions):
    for question in questions:
        yield question["question"]
        yield from (choice["choice"] for choice in question.get("choices", ()))


@pytest.mark.parametrize("kind", ["descriptive", "explanatory", "predictive", "counterfactual"])
def test_answers_are_those_of_the_simulation(drawn, kind):
    checked = 0
    for each in drawn:
        for question in (candidate.question for candidates in each.rounds for candidate in candidates):
            if question["question_type"] != kind:
                continue
            if kind == "descriptive":
                assert question["answer"] == each.simulated.descriptive(question["question"]), question["question"]
            for choice in question.get("choices", ()):
                truth = getattr(each.simulated, kind)(question["question"], choice["choice"])
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


def test_every_row_is_written_with_every_filling(drawn):
    written = set(texts(candidate.question for each in drawn for candidates in each.rounds for candidate in candidates))
    rows = [row for rows in templates.DESCRIPTIVE.values() for row in rows]
    rows += [*templates.EXPLANATORY, *templates.CAUSES, *templates.PREDICTIVE]
    for row in (*rows, *templates.COUNTERFACTUAL, *templates.OUTCOMES):
        for letter, fillings in templates.HOLES.items():
            for filling in fillings if f"{{{letter}." in row.text else fillings[:1]:
                said = grammar.sentences(row, {**templates.HOLES, letter: [filling]})
                patterns = [re.compile(re.sub(r"\\\{.+?\\\}", ".+", re.escape(each.text))) for each in said]
                assert any(each.fullmatch(text) for each in patterns for text in written), (row.text, filling)


def test_what_is_asked_has_all_words_of_the_vocabulary_and_no_other(asked):
    words = {word for _, questions in asked for text in texts(questions) for word in vocabulary.tokenize(text)}
    assert words == set(vocabulary.WORDS)


def test_every_place_is_filled_as_often_as_in_the_released_questions(asked):
    """About as many per video: 11 descriptive, 1.7 explanatory, 0.7 predictive, 1.9 counterfactual."""
    many = {
        kind: np.mean([sum(question["question_type"] == kind for question in questions) for _, questions in asked])
        for kind in ("descriptive", "explanatory", "predictive", "counterfactual")
    }
    assert many["descriptive"] > 10.9
    assert 1.6 < many["explanatory"] <= 2
    assert 0.5 < many["predictive"] < 0.9
    assert 1.6 < many["counterfactual"] <= 2
