"""Where text comes from, and its three blocks: training first, then validation, then the test, with gaps."""

from __future__ import annotations

from pathlib import Path

from fusegpt.data.sample import DataError
from fusegpt.data.text.config import TextData


def read_text(config: TextData) -> str:
    """The whole text. Raises DataError naming the file."""
    if not config.path:
        from pydoc_data.topics import topics

        return "\n\n".join(topics[name].strip("\n") for name in sorted(topics)) + "\n"
    file = Path(config.path).expanduser()
    try:
        return file.read_text(encoding="utf-8")
    except OSError as error:
        raise DataError(f"data.path: {file} cannot be read ({error.strerror})") from None
    except UnicodeDecodeError as error:
        raise DataError(f"data.path: {file} is no text in UTF-8 (byte {error.start})") from None


def blocks(text: str, config: TextData) -> dict[str, str]:
    """ "train", "val" and "test", each beginning after the end of a line, `gap_chars` or more apart.

    Neighbouring lines say the same things, so lines are never dealt out at random.
    """
    n_val, n_test = (round(share * len(text)) for share in (config.val_fraction, config.test_fraction))
    test = _line_after(text, len(text) - n_test)
    val = _line_after(text, test - n_val - config.gap_chars)
    return {
        "train": text[: max(0, val - config.gap_chars)],
        "val": text[val : max(val, test - config.gap_chars)],
        "test": text[test:],
    }


def _line_after(text: str, place: int) -> int:
    """Where the first line after `place` begins; `place` itself where no line ends within a thousand characters."""
    place = max(0, place)
    end = text.find("\n", place, place + 1000)
    return end + 1 if end >= 0 else place
