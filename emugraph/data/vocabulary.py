"""Labels and their ids."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cached_property
from typing import Any

from emugraph.data.label_index import LabelIndex
from emugraph.data.label_store import Labels
from emugraph.errors import InputError, nearest

SMALL = 100_000
"""Up to so many labels, ids are in a dict, and all labels are compared with one that is not known."""

_LOOK_ALIKES = 10_000


class Vocabulary:
    """Distinct labels, numbered from 0 in the order given.

    ``vocabulary[3]`` is the label of id 3, ``vocabulary.id("dog")`` the id of a label. Labels are any strings, the
    empty one included, and come back unchanged. Where they are many, they take 6.25 to 6.5 bytes each besides their
    own as UTF-8, and no more while they are numbered.

    Args:
        labels: the labels in the order of their ids.
        kind: what the labels name, for messages ("entity", "relation").

    Raises:
        InputError: a label occurs twice, or is no text (a lone surrogate).
    """

    def __init__(self, labels: Iterable[str], kind: str = "label") -> None:
        self.labels: Labels[str] = labels if isinstance(labels, Labels) else Labels(labels, f"{kind} label")
        self.kind = kind
        if self.labels.has_missing:
            raise InputError(f"a {kind} label is None; give each a text, which may be empty")
        repeated = self._repeated()
        if repeated is not None:
            raise InputError(f"the {kind} label {self[repeated]!r} occurs twice in the vocabulary")

    @cached_property
    def _ids(self) -> dict[str, int] | LabelIndex:
        if len(self) > SMALL:
            return LabelIndex(self.labels)
        return {label: i for i, label in enumerate(self.labels)}

    def _repeated(self) -> int | None:
        """The first id whose label has a later one too, or None."""
        ids = self._ids
        if isinstance(ids, LabelIndex):
            return ids.repeated()
        if len(ids) == len(self):
            return None
        return next(i for i, label in enumerate(self.labels) if ids[label] != i)

    def id(self, label: str) -> int:
        """The id of a label. Raises InputError, with the nearest labels, for one that is not known."""
        id_ = self._ids.get(label)
        if id_ is None:
            raise InputError(f"unknown {self.kind} {label!r}.{self.hint(label)}")
        return id_

    def hint(self, label: str) -> str:
        """The labels nearest to one that is not known, in words, or ""."""
        return nearest(label, self._alike(label))

    def _alike(self, label: str) -> Iterable[str]:
        """Labels that may be near to one: of many those that have its first or its second half, which a slip leaves."""
        if len(self) <= SMALL:
            return self.labels
        half = len(label) // 2
        parts = filter(None, (label[:half], label[half:]))
        return {alike for part in parts for alike in self.labels.containing(part, _LOOK_ALIKES)}

    def get(self, label: str) -> int | None:
        """The id of a label, or None."""
        return self._ids.get(label)

    def __getitem__(self, index: int) -> str:
        return self.labels[index]

    def __contains__(self, label: object) -> bool:
        return isinstance(label, str) and self._ids.get(label) is not None

    def __len__(self) -> int:
        return len(self.labels)

    def __iter__(self) -> Iterator[str]:
        return iter(self.labels)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Vocabulary) and self.labels == other.labels

    __hash__ = None  # type: ignore[assignment]

    def __getstate__(self) -> dict[str, Any]:
        # The ids of many go by a hash that another process has not.
        return {"labels": self.labels, "kind": self.kind}

    def __repr__(self) -> str:
        return f"Vocabulary({len(self)} {self.kind} labels)"
