"""Questions to a language model: the messages of a request, the schema of its answer, and the labels of a reply.

A reply is read strictly: it names labels as they are, or it is no answer. Nothing is looked for inside of a sentence.
"""

from __future__ import annotations

import json
import re
import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from textclf.errors import cut
from textclf.models.llm.options import LABELS, TEXT, TEXT_PAIR, AnswerWith, Prompt

THOUGHT = re.compile(r"\A\s*<think>.*?</think>", re.DOTALL)
"""What a model that thinks first says before its answer, where the server leaves it in."""
FENCE = re.compile(r"\A```(?:json)?\s*\n(.*?)\n?```\Z", re.DOTALL)
AROUND = " \t\r\n\"'`*"
"""Signs around the name of a label that are no part of it, but for those of the label's own."""
SAID = 60
"""Characters of an answer that is no class that are kept to be named."""
EMPTY, CUT_OFF, REFUSED = "(nothing)", "(cut off)", "(refused)"
"""What is said of answers that hold none."""


@dataclass(frozen=True)
class Example:
    """An example that the prompt shows."""

    text: str
    text_pair: str | None
    labels: tuple[int, ...]
    """Numbers of its labels: one, or a set."""


@dataclass(frozen=True)
class Reading:
    """The labels that a reply gives one text."""

    labels: tuple[int, ...] | None
    """Numbers of the labels: one, or a set; none where the reply is no answer."""
    said: str = ""
    """What it said instead, cut short."""


@dataclass(frozen=True)
class Questions:
    """How texts are put to a model, and how its replies are read."""

    label_names: tuple[str, ...]
    descriptions: Mapping[str, str]
    """What labels mean, by name; a label without one is named alone."""
    prompt: Prompt
    sets: bool = False
    """Whether each text has a set of labels."""
    in_json: bool = False
    """Whether answers are JSON, whoever holds them to it."""
    answer_with: AnswerWith = AnswerWith.names
    texts_per_request: int = 1
    examples: tuple[Example, ...] = field(default=())

    @cached_property
    def answers(self) -> tuple[str, ...]:
        """What each label is called in answers, in label order."""
        if self.answer_with is AnswerWith.letters:
            return tuple(string.ascii_uppercase[: len(self.label_names)])
        return self.label_names

    @property
    def several(self) -> bool:
        """Whether a request may hold several texts."""
        return self.texts_per_request > 1

    @cached_property
    def head(self) -> list[dict[str, str]]:
        """The messages that every request begins with: the task, and the examples."""
        prompt = self.prompt
        task = (prompt.task_of_sets if self.sets else prompt.task).replace(LABELS, self._lines())
        if self.several:
            task += "\n" + prompt.several
        if self.in_json:
            form = prompt.answer_in_json.replace(LABELS, self._said([(0,)] * (2 if self.several else 1)))
        else:
            form = prompt.answer_by_name.replace(LABELS, ", ".join(self.answers))
        messages = [{"role": "system", "content": f"{task}\n{form}"}]
        for start in range(0, len(self.examples), self.texts_per_request):
            some = self.examples[start : start + self.texts_per_request]
            shown = self._shown([one.text for one in some], [one.text_pair for one in some])
            messages.append({"role": "user", "content": shown})
            messages.append({"role": "assistant", "content": self._said([one.labels for one in some])})
        return messages

    def messages(self, texts: Sequence[str], text_pairs: Sequence[str | None]) -> list[dict[str, str]]:
        """Return the messages of a request on some texts, at most `texts_per_request`."""
        return [*self.head, {"role": "user", "content": self._shown(texts, text_pairs)}]

    def _lines(self) -> str:
        """Return a line for each label."""
        lines = []
        for name, answer in zip(self.label_names, self.answers, strict=True):
            words = [] if answer == name else [name]
            words += [self.descriptions[name]] if self.descriptions.get(name, name) != name else []
            lines.append(f"- {answer}" + (f": {', '.join(words)}" if words else ""))
        return "\n".join(lines)

    def _shown(self, texts: Sequence[str], text_pairs: Sequence[str | None]) -> str:
        """Return texts as they are sent."""
        shown = []
        for text, other in zip(texts, text_pairs, strict=True):
            form = self.prompt.text if other is None else self.prompt.pair
            parts = re.split(f"({re.escape(TEXT)}|{re.escape(TEXT_PAIR)})", form)  # a text may hold the marks itself
            places = {TEXT: text, TEXT_PAIR: other or ""}
            shown.append("".join(places.get(part, part) for part in parts))
        if not self.several:
            return shown[0]
        return "\n\n".join(f"[{number}]\n{one}" for number, one in enumerate(shown, 1))

    def _said(self, labels: Sequence[tuple[int, ...]]) -> str:
        """Return the answer that gives these labels."""
        named = [[self.answers[label] for label in own] for own in labels]
        if not self.in_json:
            return named[0][0]
        key = "labels" if self.sets else "label"
        each = [{key: own if self.sets else own[0]} for own in named]
        said: Any = each[0]
        if self.several:
            said = {"answers": [{"number": number, **one} for number, one in enumerate(each, 1)]}
        return json.dumps(said, ensure_ascii=False)

    @cached_property
    def schema(self) -> dict[str, Any]:
        """The JSON schema of an answer."""
        one: dict[str, Any] = {"type": "string", "enum": list(self.answers)}
        key, value = ("labels", {"type": "array", "items": one}) if self.sets else ("label", one)
        if not self.several:
            return _object({key: value})
        each = _object({"number": {"type": "integer"}, key: value})
        return _object({"answers": {"type": "array", "items": each}})

    @cached_property
    def longest_answer(self) -> int:
        """Bytes of the longest answer there can be, which no tokenizer makes more tokens of."""
        names = sorted(self.answers, key=lambda name: -len(name.encode()))
        most = tuple(range(len(names))) if self.sets else (self.answers.index(names[0]),)
        return len(self._said([most] * self.texts_per_request).encode())

    def read(self, said: str, finish: str, count: int) -> list[Reading]:
        """Return the labels that a reply gives each of its texts.

        Args:
            said: The reply.
            finish: Why it ended, as the server says.
            count: Number of texts that were asked about.
        """
        text = THOUGHT.sub("", said).strip()
        none = _nothing(text, finish)
        if not self.in_json:
            found = self._label(text)
            return [Reading(None, none) if found is None or finish == "length" else Reading((found,))]
        if (fenced := FENCE.match(text)) is not None:
            text = fenced[1]
        try:
            content = json.loads(text)
        except (ValueError, RecursionError):
            content = None
        if not isinstance(content, dict) or finish == "length":
            return [Reading(None, none)] * count
        if not self.several:
            return [self._labels(content, none)]
        listed = content.get("answers")
        by_number: dict[int, list[dict[str, Any]]] = {}
        for one in listed if isinstance(listed, list) else []:
            if isinstance(one, dict) and isinstance(one.get("number"), int):
                by_number.setdefault(one["number"], []).append(one)
        return [
            self._labels(own[0], cut(json.dumps(own[0], ensure_ascii=False), SAID))
            if len(own := by_number.get(number, [])) == 1
            else Reading(None, EMPTY if not own else f"(two answers for text {number})")
            for number in range(1, count + 1)
        ]

    def _labels(self, content: Mapping[str, Any], none: str) -> Reading:
        """Return the labels of a JSON object."""
        if not self.sets:
            value = content.get("label")
            found = self._label(value) if isinstance(value, str) else None
            said = _nothing(value, "stop") if isinstance(value, str) else none
            return Reading(None, said) if found is None else Reading((found,))
        values = content.get("labels")
        if not isinstance(values, list):
            return Reading(None, none)
        labels = [self._label(value) if isinstance(value, str) else None for value in values]
        known = tuple(dict.fromkeys(label for label in labels if label is not None))
        return Reading(None, none) if None in labels else Reading(known)

    def _label(self, said: str) -> int | None:
        """Return the number of the label that is named; none where it is none of them."""
        for form in (said, said.strip(), said.strip().removesuffix(".").strip(AROUND)):
            if form in self._exact:
                return self._exact[form]
        folded = said.strip().removesuffix(".").strip(AROUND).casefold()
        return self._folded.get(folded)

    @cached_property
    def _exact(self) -> dict[str, int]:
        return {answer: number for number, answer in enumerate(self.answers)}

    @cached_property
    def _folded(self) -> dict[str, int]:
        """The labels by their names in small letters, where no other has the same."""
        names = [answer.strip(AROUND).casefold() for answer in self.answers]
        return {name: number for number, name in enumerate(names) if names.count(name) == 1 and name}


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of an object with these fields and no others."""
    return {
        "type": "object", "properties": properties, "required": list(properties), "additionalProperties": False,
    }  # fmt: skip


def _nothing(text: str, finish: str) -> str:
    """Return what is said of a reply that is no answer."""
    if finish == "length":
        return CUT_OFF
    if finish in ("content_filter", "refusal"):
        return REFUSED
    return cut(" ".join(text.split()), SAID) if text else EMPTY
