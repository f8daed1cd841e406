from collections import Counter

import numpy as np
import pytest

from aloe.tasks.clevrer import executor, grammar, phrases
from aloe.tasks.clevrer.executor import Object, Scene


def test_a_phrase_fits_its_object_and_no_other(drawn):
    rng = np.random.default_rng(0)
    for each in drawn:
        for index in range(len(each.scene.attributes)):
            for _ in range(8):
                phrase = phrases.the(each.read, index, rng)
                assert each.simulated.match(phrase.text) == [index]
                assert executor.run([*phrase.program.split(), "unique"], each.read).index == index


def test_objects_are_named_about_as_in_the_released_questions(drawn):
    rng = np.random.default_rng(0)
    named: Counter[tuple[str, ...]] = Counter()
    spare = 0
    for each in drawn:
        for index in range(len(each.scene.attributes)):
            for _ in range(20):
                text = phrases.the(each.read, index, rng).text
                words = text.replace("object", "").split()
                named[tuple(grammar.attributes_of(text))] += 1
                spare += any(each.simulated.match(" ".join({*words} - {word})) == [index] for word in words)
    for names, share in phrases.NAMED_BY.items():
        assert named[names] / named.total() == pytest.approx(share, abs=0.08), names
    assert 0 < spare / named.total() < 0.2  # redundant words are rare


def test_an_object_that_shares_every_pair_of_attributes_takes_three_words():
    objects = [
        ("red", "metal", "cube"),
        ("red", "metal", "sphere"),
        ("red", "rubber", "cube"),
        ("blue", "metal", "cube"),
    ]
    nothing_FxO = np.zeros((1, 4))
    scene = Scene(tuple(Object(n, *each) for n, each in enumerate(objects)), nothing_FxO > 0, nothing_FxO, ())
    assert phrases.the(scene, 0, np.random.default_rng(0)).text == "red metal cube"


def test_phrases_for_any_number_are_of_every_size(drawn):
    rng = np.random.default_rng(0)
    some = [phrases.some(drawn[0].read, rng) for _ in range(300)]
    assert {len(given) for _, given in some} == {0, 1, 2, 3}
    for phrase, given in some:
        assert len(phrase.text.replace("object", "").split()) == len(given)
    found = [len(executor.run(phrase.program.split(), drawn[0].read)) for phrase, _ in some]
    assert 0 in found
    assert max(found) == len(drawn[0].read.objects)
