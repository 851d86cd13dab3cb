"""Every file in conf/ composes and builds."""

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from textclf.errors import ConfigError
from textclf.experiment import config
from textclf.experiment.arguments import CONF, EXPERIMENTS, choices_of
from textclf.experiment.cli import help_text
from textclf.experiment.config import SCHEMAS, build, build_all
from textclf.experiment.options import GROUPS
from textclf.training.fit import check
from textclf.training.options import TorchTrainer

EXPECTED = {
    "dataset": {
        "amazon_polarity",
        "imdb",
        "ag_news",
        "glue/rte",
        "go_emotions",
        "toxic_comments",
        "reviews",
        "headlines",
        "entailment",
        "messages",
    },
    "model": {
        "distilbert",
        "bert",
        "roberta",
        "xlnet",
        "deberta",
        "xlm-roberta",
        "minilm",
        "minilm_half",
        "minilm_lora",
        "minilm_embeddings",
        "mpnet_embeddings",
        "e5_embeddings",
        "bge_embeddings",
        "multilingual_e5_embeddings",
        "glove_embeddings",
        "wordllama_embeddings",
        "potion_embeddings",
        "static_minilm",
        "setfit",
        "minilm_zero_shot",
        "zero_shot",
        "majority",
        "naive_bayes",
        "nb_svm",
        "tfidf_logreg",
        "tfidf_svm",
        "hashed_logreg",
        "modernbert",
        "deberta-v3",
        "mdeberta",
        "electra",
        "mmbert",
        "qwen3",
        "llm",
    },
    "trainer": {"torch", "hf"},
    "tracker": {"mlflow", "none"},
}
STUDIES = {
    "quickstart", "baseline_vs_transformer", "bert_vs_distilbert", "model_zoo", "data_efficiency", "multilingual",
    "long_texts", "rare_classes", "few_shot", "cost_ladder", "multi_label", "llm_or_labels",
    "tune_transformer", "tune_linear", "tune_naive_bayes",
}  # fmt: skip
CHECKPOINTS = {
    "distilbert": "distilbert/distilbert-base-uncased",
    "bert": "google-bert/bert-base-uncased",
    "roberta": "FacebookAI/roberta-base",
    "xlnet": "xlnet/xlnet-base-cased",
    "deberta": "microsoft/deberta-base",
    "xlm-roberta": "FacebookAI/xlm-roberta-base",
    "modernbert": "answerdotai/ModernBERT-base",
    "deberta-v3": "microsoft/deberta-v3-base",
    "mdeberta": "microsoft/mdeberta-v3-base",
    "electra": "google/electra-base-discriminator",
    "mmbert": "jhu-clsp/mmBERT-base",
    "qwen3": "Qwen/Qwen3-0.6B",
    "llm": "Qwen/Qwen3-4B-Instruct-2507",
    "minilm": "sentence-transformers/all-MiniLM-L6-v2",
    "minilm_half": "sentence-transformers/all-MiniLM-L6-v2",
    "minilm_lora": "sentence-transformers/all-MiniLM-L6-v2",
    "potion_embeddings": "minishlab/potion-base-8M",
    "minilm_embeddings": "sentence-transformers/all-MiniLM-L6-v2",
    "mpnet_embeddings": "sentence-transformers/all-mpnet-base-v2",
    "e5_embeddings": "intfloat/e5-base-v2",
    "bge_embeddings": "BAAI/bge-base-en-v1.5",
    "multilingual_e5_embeddings": "intfloat/multilingual-e5-base",
    "setfit": "sentence-transformers/all-MiniLM-L6-v2",
    "minilm_zero_shot": "sentence-transformers/all-MiniLM-L6-v2",
    "zero_shot": "cross-encoder/nli-MiniLM2-L6-H768",
}
PATHS = {
    "imdb": ("stanfordnlp/imdb", None),
    "ag_news": ("fancyzhx/ag_news", None),
    "amazon_polarity": ("fancyzhx/amazon_polarity", None),
    "glue/rte": ("nyu-mll/glue", "rte"),
    "go_emotions": ("google-research-datasets/go_emotions", "simplified"),
    "toxic_comments": ("tcapelle/jigsaw-toxic-comment-classification-challenge", None),
}


@pytest.fixture(autouse=True, scope="module")
def _hydra():
    config.register()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        yield


def test_the_groups_hold_exactly_these():
    assert {group: set(names) for group in GROUPS if (names := choices_of(group))} == EXPECTED
    assert set(choices_of("study")) == STUDIES
    files = {path for path in CONF.rglob("*.yaml") if "hydra" not in path.parts and path.name != "config.yaml"}
    assert len(files) == sum(map(len, EXPECTED.values()))


@pytest.mark.parametrize(("group", "choice"), [(g, c) for g, choices in EXPECTED.items() for c in sorted(choices)])
def test_each_choice_composes_and_builds(group, choice):
    built = build_all(compose("config", [f"{group}={choice}"]))
    assert set(built) == set(GROUPS)
    if group in ("dataset", "model"):
        assert built[group].name == choice
    if choice in CHECKPOINTS:
        assert built["model"].checkpoint == CHECKPOINTS[choice]
    if choice in PATHS:
        assert (built["dataset"].path, built["dataset"].config) == PATHS[choice]
    if group == "model" and choice not in CHECKPOINTS:
        check(built["model"], TorchTrainer())


def test_any_checkpoint_and_any_dataset_by_override():
    cfg = compose(
        "config",
        [
            "model=transformer",
            "model.name=mine",
            "model.checkpoint=a/b",
            "dataset=hub",
            "dataset.name=d",
            "dataset.path=c/d",
        ],
    )
    built = build_all(cfg)
    assert (built["model"].checkpoint, built["dataset"].path) == ("a/b", "c/d")


def test_a_model_may_say_how_it_is_trained_and_the_command_line_has_the_last_word():
    assert compose("config", ["model=minilm"]).trainer.learning_rate == 2e-4
    assert compose("config", ["model=bert"]).trainer.learning_rate == 5e-5
    assert compose("config", ["model=electra"]).trainer.layer_decay == 0.8
    assert compose("config", ["model=electra", "trainer.layer_decay=null"]).trainer.layer_decay is None
    assert compose("config", ["model=minilm", "trainer=hf", "trainer.learning_rate=1e-3"]).trainer.learning_rate == 1e-3


@pytest.mark.parametrize(
    ("said", "freeze"), [("embeddings", "embeddings"), ("encoder", "encoder"), ("4", "4"), ("null", None)]
)
def test_a_part_to_freeze_is_named_or_numbered(said, freeze):
    assert build(compose("config", ["model=bert", f"model.freeze={said}"]), "model").freeze == freeze


def test_what_must_be_given_is_named():
    with pytest.raises(ConfigError, match=r"model.checkpoint, model.name must be given"):
        build(compose("config", ["model=transformer"]), "model")


def test_every_mistake_is_named_at_once():
    cfg = compose("config", ["trainer.epochs=0", "trainer.batch_size=-1", "dataset.validation_fraction=2"])
    with pytest.raises(ConfigError) as caught:
        build_all(cfg)
    problems = str(caught.value).split("\n")
    assert [problem.split(" ")[0] for problem in problems] == [
        "dataset.validation_fraction", "trainer.epochs", "trainer.batch_size",
    ]  # fmt: skip


def test_a_config_cannot_choose_the_code_that_runs():
    cfg = compose("config", ["+model._target_=os.system"])
    with pytest.raises(ConfigError, match="model._target_: there is no such option"):
        build(cfg, "model")
    foreign = OmegaConf.create({"model": {"_target_": "os.system", "command": "true"}})
    with pytest.raises(ConfigError, match="cannot choose the code that runs"):
        build(foreign, "model")


def test_every_option_says_what_it_is():
    import ast
    import inspect

    for options in {cls for base in SCHEMAS.values() for cls in base.__mro__ if cls.__module__.startswith("textclf")}:
        body = ast.parse(inspect.getsource(options)).body[0].body
        for field, after in zip(body, [*body[1:], None], strict=True):
            if isinstance(field, ast.AnnAssign):
                said = isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant)
                assert said, f"{options.__name__}.{field.target.id} has no docstring under it"


def overrides_of(study):
    own = ["dataset=files", "dataset.name=m", "dataset.train=train.%language%.csv"] if study == "multilingual" else []
    return [f"study={study}", *own]


@pytest.mark.parametrize("study", sorted(STUDIES))
def test_each_study_composes_builds_and_says_what_it_asks(study):
    cfg = compose("config", overrides_of(study), return_hydra_config=True)
    assert cfg.hydra.mode.name == "MULTIRUN"
    assert cfg.experiment == study
    built = build_all(cfg)
    assert set(built) == set(GROUPS)
    build(cfg, "compare")
    assert set(str(cfg.hydra.sweeper.params.get("model", "bert")).split(",")) <= EXPECTED["model"]
    text = (EXPERIMENTS / "study" / f"{study}.yaml").read_text()
    assert text.splitlines()[0] == "# @package _global_"
    assert text.splitlines()[1].startswith("# ")
    assert all(seed.isdecimal() for seed in str(cfg.hydra.sweeper.params.get("seed", "1")).split(","))


@pytest.mark.slow
@pytest.mark.parametrize("study", sorted(STUDIES))
def test_each_value_that_a_study_combines_builds(study):
    overrides = overrides_of(study)
    params = compose("config", overrides, return_hydra_config=True).hydra.sweeper.params
    for key in {"model", "dataset.max_train_examples"} & params.keys():
        for value in str(params[key]).split(","):
            build_all(compose("config", [*overrides, f"{key}={value}"]))


def test_the_study_of_sets_of_labels_takes_its_data_and_any_other():
    cfg = compose("config", ["study=multi_label"])
    assert build(cfg, "dataset").name == "messages"
    assert build(cfg, "dataset").has_sets
    assert build(compose("config", ["study=multi_label", "dataset=go_emotions"]), "dataset").name == "go_emotions"


def test_a_tuning_study_has_its_options_and_storage():
    cfg = compose("config", ["study=tune_transformer", "model=bert"], return_hydra_config=True)
    assert cfg.hydra.sweeper._target_ == "hydra_plugins.textclf_optuna.OptunaSweeper"
    assert cfg.hydra.sweeper.storage == "sqlite:///outputs/searches/%study_name%.db"


@pytest.mark.parametrize("launcher", ["joblib", "submitit_local", "submitit_slurm"])
def test_launchers_compose(launcher):
    cfg = compose("config", [f"hydra/launcher={launcher}"], return_hydra_config=True)
    assert "Launcher" in cfg.hydra.launcher._target_


def test_help_names_every_choice():
    from hydra.core.global_hydra import GlobalHydra

    GlobalHydra.instance().clear()
    text = help_text([])
    for choices in EXPECTED.values():
        for choice in choices:
            assert choice in text
    assert "google-bert" not in text
    assert "checkpoint: google-bert/bert-base-uncased" in help_text(["model=bert"], whole=True)
