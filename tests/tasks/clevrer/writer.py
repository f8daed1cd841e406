"""Writes small official-looking CLEVRER files for tests; nothing in them comes from the real data set."""

import json
from pathlib import Path

import av
import numpy as np

from aloe.tasks.clevrer.annotations import COLORS, FRAMES, MATERIALS, SHAPES


def descriptive(question_id=0, text="How many collisions happen?", subtype="count", answer="2", **more):
    return {
        "question_id": question_id,
        "question": text,
        "question_type": "descriptive",
        "question_subtype": subtype,
        "program": ["events", "objects", "filter_collision", "count"],
        "answer": answer,
        **more,
    }


def multiple_choice(question_id, kind="predictive", correct=(True, False), text="What will happen next?", **more):
    """A question with one choice for each of `correct`."""
    choices = [
        {
            "choice_id": number,
            "choice": f"The {COLORS[number]} cube and the metal sphere collide",
            "program": ["all_events", "unique"],
            "answer": "correct" if right else "wrong",
        }
        for number, right in enumerate(correct)
    ]
    return {
        "question_id": question_id,
        "question": text,
        "question_type": kind,
        "program": ["unseen_events", "belong_to"],
        "choices": choices,
        **more,
    }


def entry(scene_index, questions=None):
    """One video's entry in a question file."""
    if questions is None:
        questions = [descriptive(0), multiple_choice(1)]
    return {"scene_index": scene_index, "video_filename": f"video_{scene_index:05d}.mp4", "questions": questions}


def unlabelled(record):
    """The same record without the fields that the test split lacks."""
    if isinstance(record, dict):
        return {key: unlabelled(value) for key, value in record.items() if key not in ("answer", "program")}
    if isinstance(record, list):
        return [unlabelled(value) for value in record]
    return record


def annotation(scene_index, objects=4, frames=FRAMES, seed=0):
    """A random annotation record: distinct attributes, positions in the usual range, objects that come and go."""
    random = np.random.default_rng([seed, scene_index])
    location = random.uniform(-3, 3, (frames, objects, 3))
    velocity = random.normal(size=(frames, objects, 3))
    visible = random.random((frames, objects)) < 0.7
    attributes = random.choice(len(COLORS) * len(MATERIALS) * len(SHAPES), objects, replace=False)
    return {
        "scene_index": scene_index,
        "video_filename": f"video_{scene_index:05d}.mp4",
        "object_property": [
            {
                "object_id": number,
                "color": COLORS[code % 8],
                "material": MATERIALS[code // 8 % 2],
                "shape": SHAPES[code // 16],
            }
            for number, code in enumerate(attributes)
        ],
        "motion_trajectory": [
            {
                "frame_id": frame,
                "objects": [
                    {
                        "object_id": number,
                        "location": location[frame, number].tolist(),
                        "orientation": [0.0, 0.0, 0.0],
                        "velocity": velocity[frame, number].tolist(),
                        "angular_velocity": [0.0, 0.0, 0.0],
                        "inside_camera_view": bool(visible[frame, number]),
                    }
                    for number in range(objects)
                ],
            }
            for frame in range(frames)
        ],
        "collision": [{"object_ids": [1, 0], "frame_id": 40, "location": [0.5, -0.5, 0.2]}],
    }


def write_json(path: Path, content) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    return path


def write_annotation(root: Path, scene_index: int, folder="annotation_00000-01000", **kwargs) -> Path:
    return write_json(root / folder / f"annotation_{scene_index:05d}.json", annotation(scene_index, **kwargs))


def write_video(path: Path, frames=FRAMES, rows=32, columns=48) -> Path:
    """An H.264 video; frame t (modulo 256) is grey, of brightness t in the left half and 255 - t in the right."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # The index comes first, so that a truncated file still opens.
    with av.open(str(path), "w", options={"movflags": "faststart"}) as container:
        stream = container.add_stream("libx264", rate=25, options={"crf": "4", "g": "12"})
        stream.width, stream.height, stream.pix_fmt = columns, rows, "yuv420p"
        for number in range(frames):
            picture = np.full((rows, columns, 3), number % 256, np.uint8)
            picture[:, columns // 2 :] = 255 - number % 256
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, "rgb24")))
        container.mux(stream.encode())
    return path


def write_world(root: Path, train=3, validation=2, test=1, videos=True) -> Path:
    """Writes a whole data folder in the official layout, with consecutive scene indices across splits."""
    start = 0
    for split, count in (("train", train), ("validation", validation), ("test", test)):
        indices = range(start, start + count)
        start += count
        entries = [entry(index) for index in indices]
        write_json(root / f"{split}.json", unlabelled(entries) if split == "test" else entries)
        for index in indices:
            if split != "test":
                write_annotation(root, index)
            if videos:
                write_video(root / "video_00000-01000" / f"video_{index:05d}.mp4")
    return root
