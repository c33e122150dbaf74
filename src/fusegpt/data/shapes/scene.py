"""`Scene`: what a picture shows, and the English caption that says it. The caption is read back by `parse`."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import permutations, product

SIZES = ("small", "large")
COLOURS = ("red", "green", "blue", "yellow", "purple", "black")
SHAPES = ("circle", "square", "triangle")
# How it is written, and the relation of the second thing to the first.
RELATIONS = {"above": "below", "below": "above", "left of": "right of", "right of": "left of"}

BLANK = ""  # the word that fills a caption up, and all of a caption that is not told
WORDS = (BLANK, "a", *SIZES, *COLOURS, *SHAPES, "above", "below", "left", "right", "of")
MAX_WORDS = 10  # a small red circle left of a large blue square

GRAMMAR = (
    f"[a] [{'|'.join(SIZES)}] {'|'.join(COLOURS)} {'|'.join(SHAPES)}, "
    f"and after it, if you like, {'|'.join(RELATIONS)} and a second one of another colour"
)


@dataclass(frozen=True, order=True)
class Thing:
    """One shape. An empty size leaves it open."""

    colour: str
    shape: str
    size: str = ""

    def __str__(self) -> str:
        return " ".join(word for word in ("a", self.size, self.colour, self.shape) if word)


@dataclass(frozen=True)
class Scene:
    """One thing, or two of different colours with how the first lies to the second."""

    first: Thing
    relation: str = ""
    second: Thing | None = None

    def __str__(self) -> str:
        """The caption."""
        return f"{self.first} {self.relation} {self.second}" if self.second else str(self.first)

    @property
    def things(self) -> tuple[Thing, ...]:
        """What there is to see."""
        return (self.first, self.second) if self.second else (self.first,)

    @property
    def combination(self) -> tuple[str, ...]:
        """What makes it a scene of its own: two captions of one sight, or of one in other sizes, have the same."""
        if self.second is None:
            return (self.first.colour, self.first.shape)
        one, other, relation = self.first, self.second, self.relation
        if relation in ("below", "right of"):
            one, other, relation = other, one, RELATIONS[relation]
        return (one.colour, one.shape, relation, other.colour, other.shape)


def every_pair() -> list[Scene]:
    """Every scene of two things whose sizes are left open, in a fixed order."""
    things = [Thing(colour, shape) for colour, shape in product(COLOURS, SHAPES)]
    return [
        Scene(first, relation, second)
        for first, second in permutations(things, 2)
        if first.colour != second.colour
        for relation in RELATIONS
    ]


def parse(caption: str) -> Scene:
    """The scene that a caption tells, without regard to case. Raises ValueError saying what would be right."""
    words = caption.lower().split()
    unknown = [word for word in words if word not in WORDS]
    if unknown:
        raise ValueError(f"{unknown[0]!r} is no word of the captions; write {GRAMMAR}")
    first, rest = _thing(words)
    if not rest:
        return Scene(first)
    relation = next((r for r in RELATIONS if rest[: len(r.split())] == r.split()), "")
    second, rest = _thing(rest[len(relation.split()) :])
    if not relation or rest or first.colour == second.colour:
        raise ValueError(f"{caption!r} is no caption; write {GRAMMAR}")
    return Scene(first, relation, second)


def numbers(caption: str) -> list[int]:
    """The caption's words by their number, filled up to MAX_WORDS. The caption is one that `str(scene)` writes."""
    words = caption.split()
    return [WORDS.index(word) for word in words] + [0] * (MAX_WORDS - len(words))


def spoken(tokens: list[int]) -> str:
    """The caption of `numbers`."""
    return " ".join(WORDS[token] for token in tokens if token)


def _thing(words: list[str]) -> tuple[Thing, list[str]]:
    """The thing that the words begin with, and the words after it. Raises ValueError."""
    rest = words[1:] if words[:1] == ["a"] else words
    size = rest[0] if rest and rest[0] in SIZES else ""
    colour_and_shape = rest[bool(size) :][:2]
    if len(colour_and_shape) < 2 or colour_and_shape[0] not in COLOURS or colour_and_shape[1] not in SHAPES:
        raise ValueError(f"{' '.join(words)!r} is no thing; write {GRAMMAR}")
    colour, shape = colour_and_shape
    return Thing(colour, shape, size), rest[bool(size) + 2 :]
