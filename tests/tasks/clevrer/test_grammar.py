import pytest

from aloe.tasks.clevrer import grammar
from aloe.tasks.clevrer.grammar import Filling, Row


def test_phrases_name_attributes_in_the_official_order():
    words = {"shape": "cube", "color": "red"}
    assert grammar.phrase(words) == Filling("red cube", "objects red filter_color cube filter_shape", "red cubes")
    assert grammar.phrase({"material": "metal"}).plural == "metal objects"
    assert grammar.phrase({}) == Filling("object", "objects", "objects")


@pytest.mark.parametrize("text", ["object", "red objects", "metal cube", "green rubber spheres", "cylinder"])
def test_a_phrase_is_read_as_it_is_said(text):
    phrase = grammar.phrase(grammar.attributes_of(text))
    assert text in (phrase.text, phrase.plural)


def test_a_row_becomes_every_sentence_and_leaves_holes_of_objects_open():
    holes = {
        "S": [Filling("big", "1"), Filling("small", "2")],
        "T": [Filling("", "now"), Filling(" near the {X.text}", "at {X.program}")],
        "Z": [Filling("unused"), Filling("too")],
    }
    said = grammar.sentences(
        Row("{S.program}", "{S.text} {O.plural}{T.text}?", "{O.program} {T.program} {S.program}"), holes
    )
    assert [sentence.text for sentence in said] == [
        "big {O.plural}?",
        "big {O.plural} near the {X.text}?",
        "small {O.plural}?",
        "small {O.plural} near the {X.text}?",
    ]
    assert [sentence.kind for sentence in said] == ["1", "1", "2", "2"]
    assert said[1].holes == ("O", "X")
    red, cube = grammar.phrase({"color": "red"}), grammar.phrase({"shape": "cube"})
    assert said[3].fill({"O": red, "X": cube}) == (
        "small red objects near the cube?",
        ["objects", "red", "filter_color", "at", "objects", "cube", "filter_shape", "2"],
    )
