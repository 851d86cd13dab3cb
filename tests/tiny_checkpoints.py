"""Tiny random checkpoints, one an architecture, with the special tokens and tokenizer of each family's published ones."""

import functools
import logging

import torch
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import AutoConfig, AutoModel, CanineTokenizer, PreTrainedTokenizerFast

from tests.conftest import sentences

SMALL = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
DISENTANGLED = {"relative_attention": True, "pos_att_type": ["c2p", "p2c"]}
CAUSAL = {**SMALL, "num_key_value_heads": 1, "head_dim": 16, "bos_token_id": 0, "eos_token_id": 0, "pad_token_id": None}
BERT = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
ROBERTA = ("<s>", "<pad>", "</s>", "<unk>", "<mask>")


def _trained(tokens):
    """Return a byte-level tokenizer of these special tokens and some merges."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=320, special_tokens=list(tokens), initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator([row["text"] for row in sentences(80)], trainer)
    return tokenizer


def _between(tokenizer, single, pair):
    """Let a tokenizer put special tokens around texts."""
    names = {word.split(":")[0] for word in f"{single} {pair}".split()} - {"$A", "$B"}
    tokenizer.post_processor = processors.TemplateProcessing(
        single=single, pair=pair, special_tokens=[(name, tokenizer.token_to_id(name)) for name in sorted(names)]
    )
    return tokenizer


@functools.cache
def _wordpiece(longest, types=True):
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer, tokenizer.pre_tokenizer = normalizers.BertNormalizer(), pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordPieceTrainer(vocab_size=320, special_tokens=list(BERT), show_progress=False)
    tokenizer.train_from_iterator([row["text"] for row in sentences(80)], trainer)
    _between(tokenizer, "[CLS] $A [SEP]", "[CLS] $A [SEP] $B:1 [SEP]:1")
    special = dict(zip(("pad_token", "unk_token", "cls_token", "sep_token", "mask_token"), BERT, strict=True))
    names = ["input_ids", "token_type_ids", "attention_mask"] if types else ["input_ids", "attention_mask"]
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, model_max_length=longest, model_input_names=names, **special
    )


@functools.cache
def _roberta(longest):
    tokenizer = _between(_trained(ROBERTA), "<s> $A </s>", "<s> $A </s> </s> $B </s>")
    special = {"bos_token": "<s>", "cls_token": "<s>", "pad_token": "<pad>", "eos_token": "</s>", "sep_token": "</s>"}
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, unk_token="<unk>", mask_token="<mask>", model_max_length=longest, **special
    )


@functools.cache
def _xlnet():
    tokenizer = _between(
        _trained(("<unk>", "<s>", "</s>", "<cls>", "<sep>", "<pad>", "<mask>")),
        "$A:0 <sep>:0 <cls>:2",
        "$A:0 <sep>:0 $B:1 <sep>:1 <cls>:2",
    )
    special = {"cls_token": "<cls>", "sep_token": "<sep>", "pad_token": "<pad>", "unk_token": "<unk>"}
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        padding_side="left",
        pad_token_type_id=3,
        model_input_names=["input_ids", "token_type_ids", "attention_mask"],
        **special,
    )


@functools.cache
def _t5(adds_eos=True):
    tokenizer = _trained(("<pad>", "</s>", "<unk>"))
    if adds_eos:
        _between(tokenizer, "$A </s>", "$A </s> $B </s>")
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", eos_token="</s>", unk_token="<unk>", model_max_length=512
    )


@functools.cache
def _gpt(pad=None, side="right"):
    end = "<|endoftext|>"
    return PreTrainedTokenizerFast(
        tokenizer_object=_trained((end,) if pad is None else (end, pad)),
        eos_token=end,
        bos_token=end,
        unk_token=end,
        pad_token=pad,
        padding_side=side,
        model_max_length=256,
    )


def _offset(positions, **more):
    """Return the options of a model whose positions are counted from the padding index + 1."""
    return {
        **SMALL, "max_position_embeddings": positions, "pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2, **more
    }  # fmt: skip


T5 = {"d_model": 32, "d_kv": 16, "d_ff": 64, "num_layers": 2, "num_heads": 2, "pad_token_id": 0, "eos_token_id": 1,
      "decoder_start_token_id": 0}  # fmt: skip
BART = {
    "d_model": 32, "encoder_layers": 2, "decoder_layers": 2, "encoder_attention_heads": 2,
    "decoder_attention_heads": 2, "encoder_ffn_dim": 64, "decoder_ffn_dim": 64, "max_position_embeddings": 66,
    "pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2,
}  # fmt: skip
FAMILIES = {
    "bert": ("bert", {**SMALL, "max_position_embeddings": 64}, lambda: _wordpiece(64)),
    "distilbert": (
        "distilbert",
        {"dim": 32, "hidden_dim": 64, "n_layers": 2, "n_heads": 2, "max_position_embeddings": 64},
        lambda: _wordpiece(64, types=False),
    ),
    "roberta": ("roberta", _offset(66, type_vocab_size=1), lambda: _roberta(64)),
    "xlm-roberta": ("xlm-roberta", _offset(66, type_vocab_size=1), lambda: _roberta(64)),
    "camembert": ("camembert", _offset(66, type_vocab_size=1), lambda: _roberta(64)),
    "mpnet": ("mpnet", _offset(66), lambda: _roberta(64)),
    "longformer": ("longformer", _offset(66, attention_window=[8, 8]), lambda: _roberta(64)),
    "xlnet": ("xlnet", {"d_model": 32, "n_layer": 2, "n_head": 2, "d_inner": 64, "pad_token_id": 5}, _xlnet),
    "deberta": (
        "deberta",
        {**SMALL, **DISENTANGLED, "max_position_embeddings": 64, "max_relative_positions": 32, "type_vocab_size": 0},
        lambda: _wordpiece(64),
    ),
    "deberta-v3": (
        "deberta-v2",
        {
            **SMALL,
            **DISENTANGLED,
            "max_position_embeddings": 64,
            "position_buckets": 16,
            "type_vocab_size": 0,
            "norm_rel_ebd": "layer_norm",
            "share_att_key": True,
            "position_biased_input": False,
        },
        lambda: _wordpiece(64),
    ),
    "electra": ("electra", {**SMALL, "embedding_size": 16, "max_position_embeddings": 64}, lambda: _wordpiece(64)),
    "albert": ("albert", {**SMALL, "embedding_size": 16, "max_position_embeddings": 64}, lambda: _wordpiece(64)),
    "bigbird": (
        "big_bird",
        {**SMALL, "max_position_embeddings": 256, "block_size": 4, "num_random_blocks": 2, "pad_token_id": 0},
        lambda: _wordpiece(256),
    ),
    "funnel": (
        "funnel",
        {
            "architectures": ["FunnelModel"],
            "block_sizes": [1, 1],
            "d_model": 32,
            "n_head": 2,
            "d_head": 16,
            "d_inner": 64,
            "pad_token_id": 0,
        },
        lambda: _wordpiece(512),
    ),
    "modernbert": (
        "modernbert",
        {**SMALL, "max_position_embeddings": 256, "pad_token_id": 0, "cls_token_id": 2, "sep_token_id": 3},
        lambda: _wordpiece(256, types=False),
    ),
    "nomic": ("nomic_bert", {**SMALL, "max_position_embeddings": 256, "pad_token_id": 0}, lambda: _wordpiece(256)),
    "t5": ("t5", T5, _t5),
    "bart": ("bart", BART, lambda: _roberta(64)),
    "gpt2": (
        "gpt2",
        {"n_embd": 32, "n_layer": 2, "n_head": 2, "n_positions": 64, "bos_token_id": 0, "eos_token_id": 0},
        _gpt,
    ),
    "llama": ("llama", {**CAUSAL, "max_position_embeddings": 256}, _gpt),
    "qwen2": ("qwen2", {**CAUSAL, "max_position_embeddings": 256}, lambda: _gpt("<pad>")),
    "qwen3": ("qwen3", {**CAUSAL, "max_position_embeddings": 256}, lambda: _gpt("<pad>", "left")),
    "canine": (
        "canine",
        {**SMALL, "max_position_embeddings": 256, "num_hash_buckets": 64, "local_transformer_stride": 16},
        lambda: CanineTokenizer(model_max_length=256),
    ),
}
"""By a short name: the model type, its options, and what makes its tokenizer."""
OFTEN = ("bert", "distilbert", "roberta", "xlnet", "deberta", "deberta-v3", "xlm-roberta", "modernbert")
"""Those of the choices of `model=`; all are tried in the slow tests."""


def make_checkpoint(name, folder, tokenizer=None, **changes):
    """Write a random checkpoint of a family, which is as those on the Hub but for its size.

    Args:
        name: One of `FAMILIES`.
        folder: Where to.
        tokenizer: Another tokenizer than the family's own.
        changes: Options of the configuration that differ.
    """
    model_type, options, make = FAMILIES[name]
    tokenizer = tokenizer or make()
    sizes = {} if model_type == "canine" else {"vocab_size": len(tokenizer)}
    torch.manual_seed(0)
    config = AutoConfig.for_model(model_type, **{**sizes, **options, **changes})
    logging.disable(logging.WARNING)
    try:
        AutoModel.from_config(config).save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    finally:
        logging.disable(logging.NOTSET)
    return folder
