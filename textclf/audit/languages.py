"""Languages of the texts, and how well the model's tokens fit each."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from py3langid.langid import MODEL_FILE, LanguageIdentifier

from textclf.audit.characters import HTML, URL
from textclf.audit.corpus import Corpus
from textclf.audit.finding import Finding, Severity
from textclf.audit.lengths import Tokens
from textclf.audit.options import AuditOptions
from textclf.audit.shingles import is_unspaced
from textclf.documents.wording import rounded_percent
from textclf.errors import listed

READ = 300
"""Characters of a text by which its language is told."""
LONG_ENOUGH = 60
"""Letters that a text needs for its language to be told; a third of that in unspaced scripts."""
SURE = 0.8
"""Probability from which a language is believed."""
FEWEST = 3
"""Texts from which a language is listed by itself."""
SOME = 0.02
"""Share of texts in other languages than the main one that is a warning where the data does not name languages."""
UNTOLD = "not told"
FEWEST_WORDS = 200
"""Words from which tokens per word are given."""
ROUGH = 2.5
"""Tokens per word above which a tokenizer does not fit a language."""
LETTERS = re.compile(r"[^\W\d_]")


@dataclass(frozen=True)
class LanguageRow:
    """One language of the sample."""

    language: str
    examples: int
    share: float
    """Share of the sampled examples whose language is known, 0 to 1."""
    fertility: float | None
    """Tokens per word, or per character of unspaced scripts; none without a tokenizer or with too few words."""
    per: str
    """`word` or `character`."""


@dataclass(frozen=True)
class Languages:
    """The languages of a sample."""

    rows: tuple[LanguageRow, ...]
    """The most frequent first; those with few texts are put together as `other`."""
    sampled: int
    """Texts that were looked at."""
    told: int
    """Those of them whose language is known."""
    from_data: bool
    """Whether the data names the languages; else they were told by py3langid."""


def languages_of(corpus: Corpus, options: AuditOptions, tokens: Tokens | None) -> tuple[Languages, list[Finding]]:
    """Tell the languages of a sample, and measure the tokenizer on each."""
    rows = corpus.sample(options.language_sample, options.seed)
    names = [corpus.languages[row] for row in rows] if corpus.languages else _told([corpus.texts[row] for row in rows])
    counts = Counter(name for name in names if name != UNTOLD)
    listed_by_themselves = {name for name, count in counts.items() if count >= FEWEST or corpus.languages}
    grouped = [name if name in listed_by_themselves or name == UNTOLD else "other" for name in names]
    counts = Counter(name for name in grouped if name != UNTOLD)
    told = sum(counts.values())
    measured = _fertility(corpus, rows.tolist(), grouped, tokens)
    found = tuple(
        LanguageRow(name, count, count / told, *measured.get(name, (None, "word")))
        for name, count in sorted(counts.items(), key=lambda item: (item[0] == "other", -item[1], item[0]))
    )
    languages = Languages(found, len(rows), told, corpus.languages is not None)
    return languages, [*_mix(corpus, languages, rows.tolist(), names), *_rough(languages)]


@cache
def _identifier() -> LanguageIdentifier:
    """Load what tells languages, which takes most of a second."""
    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)


def _told(texts: Sequence[str]) -> list[str]:
    """Return the language of each text, by its beginning."""
    identifier = _identifier()
    out = []
    for text in texts:
        part = " ".join(URL.sub(" ", HTML.sub(" ", text[: 2 * READ])).split())[:READ]
        letters = LETTERS.findall(part)
        weight = sum(3 if is_unspaced(letter) else 1 for letter in letters)
        if weight < LONG_ENOUGH:
            out.append(UNTOLD)
            continue
        name, sure = identifier.classify(part)
        out.append(name if name and sure >= SURE else UNTOLD)
    return out


def _fertility(
    corpus: Corpus, rows: Sequence[int], names: Sequence[str], tokens: Tokens | None
) -> dict[str, tuple[float | None, str]]:
    """Return tokens per word, or per character, of each language."""
    if tokens is None:
        return {}
    length = dict(zip(tokens.rows.tolist(), (tokens.lengths - tokens.added).tolist(), strict=True))
    pieces, words, unspaced = (Counter[str]() for _ in range(3))
    for row, name in zip(rows, names, strict=True):
        if row in length:
            text = corpus.texts[row] + (f" {corpus.text_pairs[row]}" if corpus.text_pairs is not None else "")
            pieces[name] += length[row]
            words[name] += len(text.split())
            unspaced[name] += 0 if text.isascii() else sum(map(is_unspaced, text))
    out: dict[str, tuple[float | None, str]] = {}
    for name in pieces:
        by_character = unspaced[name] > words[name]
        per = "character" if by_character else "word"
        base = unspaced[name] if by_character else words[name]
        out[name] = (pieces[name] / base if base >= FEWEST_WORDS else None, per)
    return out


def _mix(corpus: Corpus, languages: Languages, rows: Sequence[int], names: Sequence[str]) -> list[Finding]:
    """Say which other languages than the main one there are."""
    if len(languages.rows) < 2:
        return []
    main = languages.rows[0].language
    others = [row for row, name in zip(rows, names, strict=True) if name not in (main, UNTOLD)]
    share = len(others) / languages.told
    said = listed([f"{row.language} {rounded_percent(row.share)}" for row in languages.rows], 10)
    name_of = dict(zip(rows, names, strict=True))
    how = "named by the data" if languages.from_data else "told by py3langid, which errs on short texts"
    return [
        Finding(
            "languages",
            Severity.warning if share >= SOME and not languages.from_data else Severity.note,
            f"Texts in other languages than {main}",
            len(others),
            languages.told,
            "sampled examples whose language is known",
            f"{said} ({how}). A model trained on one language reads the others poorly, and one score for all hides "
            f"that.",
            "Name the languages in a column (dataset.language_column), which gives scores by language, and take a "
            "multilingual checkpoint such as model=xlm-roberta; or leave the strays out.",
            examples=tuple(corpus.example(row, name_of[row]) for row in others[:8]),
        )
    ]


def _rough(languages: Languages) -> list[Finding]:
    """Say which languages the tokenizer does not fit."""
    rough = [row for row in languages.rows if row.per == "word" and (row.fertility or 0) > ROUGH]
    if not rough:
        return []
    return [
        Finding(
            "tokenizer_fit",
            Severity.warning,
            "Languages that the model cuts into many pieces",
            sum(row.examples for row in rough),
            languages.told,
            "sampled examples whose language is known",
            f"{listed([f'{row.language}: {row.fertility:.1f} tokens a word' for row in rough], 10)}, where 1.1 to 1.5 "
            f"are usual: the model knows few of their words, and less text fits into max_length.",
            "Take a checkpoint that was trained on these languages, such as model=xlm-roberta.",
        )
    ]
