"""Which counterfactual questions need counterfactual reasoning (appendix C).

The authors used "a symbolic executor that uses the provided ground-truth video annotations and parsed questions to
determine causal connectivity and whether each choice happened in the non-counterfactual scenario". Interpreted here as:

* Removing an object can have an effect if it collides with another one in the video, in view or not: the paper's easy
  questions are about "an object that did not collide with any other object". What its partners do afterwards is not
  tracked.
* The non-counterfactual scenario is the video: the collisions that the annotation lists, and nothing after its end. A
  choice, which names two objects, happened if this pair collided.
* As if it were descriptive, a question's correct choices are those that happened, or with "not" those that did not.
  That is right if it gives every choice its label.

So there are three kinds: the removed object hits nothing (47 % of the real questions, according to the paper); it hits
something, but the question is right as if descriptive (45 % of the rest); and the remaining, hard ones.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from aloe.data.parallel import ordered_map
from aloe.data.skipped import Skipped
from aloe.errors import InputError
from aloe.progress_bar import progress_bar
from aloe.tasks.clevrer import executor, files, scores
from aloe.tasks.clevrer.examples import AskedQuestion
from aloe.tasks.clevrer.executor import ExecutionError, Object, Scene
from aloe.tasks.clevrer.questions import MAX_CHOICES, Question
from aloe.tasks.clevrer.scores import Outcomes

HITS_NOTHING, AS_IF_DESCRIPTIVE, HARD = "removed hits nothing", "right as if descriptive", "hard"


@dataclasses.dataclass(frozen=True, slots=True)
class FromVideo:
    """What the video alone says about a counterfactual question.

    Attributes:
      removed_collides: whether the removed object collides with any other.
      correct: for each choice, whether it would be correct if the question were descriptive.
    """

    removed_collides: bool
    correct: tuple[bool, ...]

    def kind(self, question: Question) -> str:
        """HITS_NOTHING, AS_IF_DESCRIPTIVE or HARD, given the labels of the question."""
        if not self.removed_collides:
            return HITS_NOTHING
        right = self.correct == tuple(choice.correct for choice in question.choices)
        return AS_IF_DESCRIPTIVE if right else HARD


def from_video(question: Question, scene: Scene) -> FromVideo:
    """Answers a counterfactual question, which must have programs, from the collisions of the video.

    Raises:
      ExecutionError: a program has no meaning on this scene.
    """
    program = question.program or ()
    happened = frozenset(event.objects for event in scene.collisions)
    unchanged = dataclasses.replace(scene, counterfactual={item.index: happened for item in scene.objects})
    removed = _removed(program, scene)
    return FromVideo(
        any(removed.index in pair for pair in happened),
        tuple(executor.judge(choice.program or (), program, unchanged) == "correct" for choice in question.choices),
    )


def read(root: Path, split: str, records: Sequence[AskedQuestion]) -> dict[AskedQuestion, FromVideo]:
    """Answers the counterfactual questions among `records` from their videos' annotations, with a progress bar.

    Those of a few videos may be missing, up to the usual limit: they are reported, counted and left out.

    Raises:
      InputError: too many annotations are missing or broken, or programs are missing or have no meaning.
    """
    asked: dict[int, list[AskedQuestion]] = {}
    for record in records:
        if record.question.type == "counterfactual":
            asked.setdefault(record.scene_index, []).append(record)
    paths = files.find_annotations(root)
    work = [(paths.get(scene_index), of_video) for scene_index, of_video in asked.items()]
    progress = progress_bar(ordered_map(_read_video, work), "what happens in the videos", len(work), unit="video")
    skipped = Skipped("videos with counterfactual questions", len(work))
    answers: dict[AskedQuestion, FromVideo] = {}
    for (scene_index, of_video), result in zip(asked.items(), progress, strict=True):
        if isinstance(result, InputError):
            skipped.add(scene_index, result)
        else:
            answers |= zip(of_video, result, strict=True)
    if skipped.too_many:
        needed = f"programs in {files.find_questions(root, split)} and annotations below {root}"
        raise InputError(
            f"What happens in the videos of the {split} split is not known; it takes {needed}. {skipped.summary()}"
        )
    if skipped:
        print(skipped.summary(), flush=True)
    return answers


def outcomes(answers: Mapping[AskedQuestion, FromVideo]) -> Outcomes:
    """Outcomes of these questions when they are answered as if they were descriptive."""
    logits_QxC = np.full((len(answers), MAX_CHOICES), -1.0)
    for logit_C, answer in zip(logits_QxC, answers.values(), strict=True):
        logit_C[: len(answer.correct)] = np.where(answer.correct, 1.0, -1.0)
    questions = {"descriptive": [], "choice": list(answers)}
    return scores.outcomes(questions, {"descriptive": np.empty(0), "choice": logits_QxC})


def table(answers: Mapping[AskedQuestion, FromVideo], columns: Mapping[str, Outcomes]) -> str:
    """Tabulates the percentage of counterfactual questions answered right, by kind.

    Args:
      answers: from the video, in the order of the questions.
      columns: outcomes of exactly these questions, by name.
    """
    kind_Q = np.array([answer.kind(record.question) for record, answer in answers.items()])
    rows = {
        kind: {name: column.where(kind_Q == kind) for name, column in columns.items()}
        for kind in (HITS_NOTHING, AS_IF_DESCRIPTIVE, HARD)
    }
    return scores.percent_table("counterfactual, % right", rows)


def _read_video(work: tuple[Path | None, Sequence[AskedQuestion]]) -> list[FromVideo] | InputError:
    path, records = work
    if path is None:
        return InputError(f"no annotation of scene_index {records[0].scene_index} was found; unpack its archive anew")
    try:
        scene = executor.read(files.read_annotation(path))
        return [_answered(record, scene) for record in records]
    except InputError as error:
        return error


def _answered(record: AskedQuestion, scene: Scene) -> FromVideo:
    question = record.question
    place = f"scene_index {record.scene_index}: question_id {question.question_id}"
    if question.program is None or any(choice.program is None for choice in question.choices):
        raise InputError(f"{place}: field 'program' is missing, of the question or of a choice")
    try:
        return from_video(question, scene)
    except ExecutionError as error:
        raise InputError(f"{place}: field 'program' means nothing on the annotation: {error}") from error


def _removed(program: Sequence[str], scene: Scene) -> Object:
    """The object that a program `all_events <object> get_counterfact …` removes."""
    if program[:1] != ("all_events",) or "get_counterfact" not in program:
        raise ExecutionError(f"{' '.join(program)}: removes no object")
    removed = executor.run(program[1 : program.index("get_counterfact")], scene)
    if not isinstance(removed, Object):
        raise ExecutionError(f"{' '.join(program)}: removes {removed!r}")
    return removed
