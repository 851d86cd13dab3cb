"""Suggest labels for texts that have none, the least certain first, to correct in the app.

python -m textclf.label texts.csv --with llm --label refund --label "bug=software that does the wrong thing"
python -m textclf.label texts.csv --with latest --most 20
"""

from __future__ import annotations

import argparse
import logging
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from textclf.documents.escape import terminal
from textclf.errors import ConfigError, cut
from textclf.experiment.arguments import use_own_folder
from textclf.experiment.cli import explain
from textclf.predict.form_arguments import add_form_arguments
from textclf.system.disk import Aftermath
from textclf.system.environment import threads
from textclf.system.exits import cli_errors
from textclf.system.redact import log_to_stderr, redacted
from textclf.system.wait_policy import watch_for_torch
from textclf.tracking.find_runs import RUN_HELP

if TYPE_CHECKING:
    from textclf.label.suggest import Suggested  # with numpy and pyarrow

NOTHING_LEFT = Aftermath(
    "no half-written output is left, and the answers of a language model are kept",
    "or name another place with --output, then give the same command again: no answer is paid for twice",
)
WRITTEN = ("jsonl", "csv", "tsv", "parquet")
MOST_NAMED = 5
"""Answers without a label that are named."""


def arguments() -> argparse.Namespace:
    """Return what the command line asks for."""
    parser = argparse.ArgumentParser(
        prog="python -m textclf.label",
        description="Suggest a label for each text of a file that nobody has labelled, the least certain first, for "
        "people to correct in the app (python -m textclf.app, page Label). Texts that were labelled there already are "
        "left out, so the same command chooses the next ones.",
        epilog="The output has the text, suggested_label (of sets suggested_labels), suggested_score (its "
        "probability), suggested_probability_LABEL for each label, and the other columns of the input. OPTION is of a "
        "model that needs no training, such as model.checkpoint=NAME, model.base_url=ADDRESS or model.max_cost=2.00.",
    )
    parser.add_argument(
        "given", nargs="+", metavar="FILE [OPTION ...]", help="texts, in any form that predict reads, or - for stdin"
    )
    parser.add_argument(
        "--with", dest="by", required=True, metavar="RUN|MODEL",
        help=f"{RUN_HELP}; or a model that needs no training: llm, zero_shot, minilm_zero_shot",
    )  # fmt: skip
    parser.add_argument(
        "--label", action="append", default=[], metavar="NAME[=WORDS]",
        help="a label to choose from, and what it means in words; may be repeated",
    )  # fmt: skip
    parser.add_argument("--labels", metavar="FILE", help="YAML file of labels with what each means in words")
    parser.add_argument("--several", action="store_true", help="a text may have several labels at once, or none")
    parser.add_argument("--most", type=int, metavar="N", help="write the N least certain texts (all)")
    parser.add_argument("--sample", type=int, metavar="N", help="look at N texts alone, drawn at random (all)")
    parser.add_argument(
        "--labelled", action="append", default=[], metavar="FILE",
        help="leave out the texts of this file, which people have labelled; may be repeated. What the app keeps beside "
        "the output is left out anyway",
    )  # fmt: skip
    parser.add_argument("--label-column", metavar="NAME", help="leave out rows that have a label in this column")
    parser.add_argument("--output", metavar="FILE|-", help="file to write (outputs/labelling/NAME.jsonl)")
    parser.add_argument("--force", action="store_true", help="replace an output that is there; labels given are kept")
    add_form_arguments(parser, WRITTEN)
    parser.add_argument("--config-dir", metavar="DIR", help="folder whose model/ adds choices of your own")
    parser.add_argument(
        "--device", choices=("auto", "cpu", "cuda", "mps"), default="auto", help="of a run's transformer"
    )
    return parser.parse_intermixed_args()


def main() -> None:
    """Suggest labels for what the command line names; exit with 1 where that cannot be done."""
    log_to_stderr()
    logging.getLogger("textclf.said").setLevel(logging.INFO)
    given = arguments()
    watch_for_torch(int(threads()))
    with cli_errors(explain, NOTHING_LEFT):
        use_own_folder(given.config_dir)
        file, options = _file_and_options(given.given)
        from textclf.data.readers.text import form_of
        from textclf.label.labellers import labels_of_words
        from textclf.label.options import LabelOptions
        from textclf.label.suggest import default_output, suggest
        from textclf.predict.inputs import TextColumns
        from textclf.predict.predict_file import PIPE, Ends
        from textclf.predict.rows import Kind

        asked = LabelOptions(
            given.most,
            given.sample,
            labels_of_words(given.label, given.labels),
            given.several,
            tuple(given.labelled),
            given.label_column,
        )
        output = given.output
        if output is None:
            output = str(default_output(file))
            if Path(file).exists() or file == PIPE:
                Path(output).parent.mkdir(parents=True, exist_ok=True)
        ends = Ends(
            file,
            output,
            Kind(given.input_format) if given.input_format else None,
            Kind(given.output_format) if given.output_format else None,
            given.force,
            form_of(given.encoding, given.delimiter, given.column_names, given.quoting),
            option="",
        )
        columns = TextColumns(given.text_column, given.text_pair_column, given.title_column)
        done = suggest(given.by, options, ends, columns, asked, given.device, sys.stderr.isatty())
        for line in _said(done, output == PIPE):
            print(terminal(redacted(line)), file=sys.stderr)


def _file_and_options(given: list[str]) -> tuple[str, list[str]]:
    """Return the file and the options of a model.

    Raises:
        ConfigError: If there is not one file.
    """
    files = [word for word in given if "=" not in word or Path(word).exists() or "://" in word.partition("=")[0]]
    if len(files) != 1:
        said = f"{' '.join(files)}: name one file" if files else "Name the file of texts"
        raise ConfigError(f"{said}; options are GROUP.OPTION=VALUE, such as model.checkpoint=NAME.")
    return files[0], [word for word in given if word not in files]


def _said(done: Suggested, is_piped: bool) -> list[str]:
    """Return lines on what was written, for a person."""
    from textclf.label.suggest import left_out
    from textclf.label.worklist import labels_file

    gathered, classifier = done.gathered, done.classifier
    shares = ", ".join(f"{label} {count:,}" for label, count in done.labels.most_common(6))
    order = "the least certain first" if classifier.gives_probabilities else "in the order of the input"
    lines = [] if is_piped else [f"{done.output}: {done.written:,} texts with a suggested label, {order}: {shares}"]
    if gathered.labelled or gathered.repeated or gathered.unusable:
        lines.append(f"left out {left_out(gathered)}" + (f" ({cut(gathered.why, 120)})" if gathered.why else ""))
    if not classifier.gives_probabilities:
        lines.append(
            "note: this model names labels without probabilities, so nothing says which are uncertain"
            + ("; texts to which it named no label come first" if done.unanswered else "")
        )
    if (bill := classifier.billed) is not None:
        unread = sorted(bill.unread.items(), key=lambda item: -item[1])[:MOST_NAMED]
        if unread:
            said = ", ".join(f"{answer!r} ({count:,})" for answer, count in unread)
            lines.append(f"warning: {done.unanswered:,} answers name no label: {said}")
        costs = bill.costs()
        if "price_per_1000_texts" in costs and bill.prices is not None:
            lines.append(
                f"paid {bill.paid:.4g} {bill.prices.currency} ({costs['price_per_1000_texts']:.3g} for 1,000 texts); "
                f"answers that were kept from before cost nothing"
            )
    if not is_piped:
        lines.append(f"correct them on the page Label of the app: {_app_command(Path(done.output))}")
        lines.append(f"labels given there are kept in {labels_file(Path(done.output))}")
    return lines


def _app_command(output: Path) -> str:
    """Return the command that opens the app with a file."""
    from textclf.label.worklist import FOLDER
    from textclf.tracking.find_runs import OUTPUTS

    command = "python -m textclf.app"
    return command if output.parent == OUTPUTS / FOLDER else f"{command} --to-label {shlex.quote(str(output))}"


if __name__ == "__main__":
    main()
