"""Labels and their ids."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from emugraph.errors import InputError, nearest


class Vocabulary:
    """Distinct labels, numbered from 0 in the order given.

    ``vocabulary[3]`` is the label of id 3, ``vocabulary.id("dog")`` the id of a label. Labels are any strings, the
    empty one included, and come back unchanged.

    Args:
        labels: the labels in the order of their ids.
        kind: what the labels name, for messages ("entity", "relation").

    Raises:
        InputError: a label occurs twice, or is no text (a lone surrogate).
    """

    def __init__(self, labels: Iterable[str], kind: str = "label") -> None:
        self.labels: list[str] = list(labels)
        self.kind = kind
        for label in self.labels:
            if not label.isascii() and any("\ud800" <= c <= "\udfff" for c in label):
                raise InputError(f"the {kind} label {label!r} holds half a character, which no file can; remove it")
        self._ids: dict[str, int] = {label: i for i, label in enumerate(self.labels)}
        if len(self._ids) != len(self.labels):
            duplicate = next(label for i, label in enumerate(self.labels) if self._ids[label] != i)
            raise InputError(f"the {kind} label {duplicate!r} occurs twice in the vocabulary")

    def id(self, label: str) -> int:
        """The id of a label. Raises InputError, with the nearest labels, for one that is not known."""
        found = self._ids.get(label)
        if found is None:
            raise InputError(f"unknown {self.kind} {label!r}.{nearest(label, self.labels)}")
        return found

    def get(self, label: str) -> int | None:
        """The id of a label, or None."""
        return self._ids.get(label)

    def __getitem__(self, index: int) -> str:
        return self.labels[index]

    def __contains__(self, label: object) -> bool:
        return label in self._ids

    def __len__(self) -> int:
        return len(self.labels)

    def __iter__(self) -> Iterator[str]:
        return iter(self.labels)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Vocabulary) and self.labels == other.labels

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Vocabulary({len(self)} {self.kind} labels)"
