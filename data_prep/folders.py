"""What lies in a folder of footage: clips, thumbnails beside them, what systems and archives leave there."""

import re
from collections.abc import Sequence
from pathlib import Path

from data_prep.errors import InputError
from data_prep.files import natural_order
from data_prep.images import is_image
from data_prep.terminal import say_once
from data_prep.videos import VIDEO_SUFFIXES

# By Synology, macOS archives, Linux, QNAP and Windows.
LEFT_BY_SYSTEMS = {"@eadir", "__macosx", "lost+found", "#recycle", "@recycle", "$recycle.bin"}
LEFT_BY_SYSTEMS |= {"system volume information", "thumbs.db", "desktop.ini"}
NAMED_FILES = 3  # that a line names


def is_own(name: str) -> bool:
    """Tell whether something in a folder is its owner's: not hidden, not left there by a system."""
    return not name.startswith(".") and name.lower() not in LEFT_BY_SYSTEMS


def is_video(path: Path) -> bool:
    """Tell whether a path is named as a video file is, and no folder."""
    return path.suffix.lower() in VIDEO_SUFFIXES and not path.is_dir()


def clips_in(folder: Path) -> list[Path]:
    """Return the clips of a folder of footage in natural order: itself where it holds the images of one, else
    its video files and the clips in its folders.

    What is left out is said in a line. Raises InputError: no clip.
    """
    clips, left_out = _clips_in(folder, (folder.resolve(),))
    if not clips:
        raise InputError(f"{folder}: nothing to train on, expected images, videos or folders of images")
    say_left_out(folder, left_out)
    return clips


def say_left_out(folder: Path, paths: Sequence[Path]) -> None:
    """Say in a line which paths in a folder are no clips, the first of them by name; nothing for none."""
    if paths:
        others = ", .." if len(paths) > NAMED_FILES else ""
        names = ", ".join(str(path.relative_to(folder)) for path in paths[:NAMED_FILES])
        say_once(f"{folder}: left out, as no clips: {names}{others} ({len(paths)} in all)")


def check_is_clip(folder: Path) -> None:
    """Raise InputError where a folder that is to be one clip holds several, in its folders too."""
    clips, _ = _clips_in(folder, (folder.resolve(),))
    if clips and clips != [folder]:
        raise InputError(
            f"{folder}: a folder of {len(clips)} clips, expected one of them, such as {clips[0]}, or a "
            "folder of images"
        )


def _clips_in(folder: Path, above: tuple[Path, ...]) -> tuple[list[Path], list[Path]]:
    """Return the clips in a folder, and the files that are none; `above`: the folders that it lies in."""
    inside = own_paths(folder)
    if _is_of_images(inside):
        return [folder], [path for path in inside if is_video(path) or path.is_dir()]
    clips, left_out = [], []
    for path in inside:
        if path.is_dir():
            if (real := path.resolve()) in above:
                continue
            found, others = _clips_in(path, (*above, real))
            clips += found
            left_out += others if found or others else [path]
        elif is_video(path) or not path.exists():
            clips.append(path)
        else:
            left_out.append(path)
    return clips, left_out


def own_paths(folder: Path) -> list[Path]:
    """Return what is in a folder and its owner's, in natural order."""
    return sorted((p for p in folder.iterdir() if is_own(p.name)), key=lambda path: natural_order(path.name))


def _is_of_images(inside: Sequence[Path]) -> bool:
    """Tell whether the images among these are the frames of one clip, not pictures of the videos there."""
    videos = {path.stem for path in inside if is_video(path)}
    images = [path.stem for path in inside if is_image(path.name) and not path.is_dir()]
    return len(images) > len(videos) and not any(videos & _beginnings(name) for name in images)


def _beginnings(name: str) -> set[str]:
    """Return the words that a name begins with: of 00_thumb-1 these are 00, 00_thumb and itself."""
    return {name, *(name[: found.start()] for found in re.finditer(r"[\W_]", name))}
