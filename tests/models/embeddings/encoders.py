"""Random sentence encoders and word vectors, written by sentence-transformers and model2vec themselves."""

from pathlib import Path
from string import ascii_lowercase

from tokenizers import Tokenizer
from tokenizers.models import WordPiece
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer

from tests.conftest import BAD, GOOD, THINGS
from textclf.models.options import EmbeddingsModel, StaticEmbeddingsModel


def write_encoder(checkpoint, folder, pooling="mean", normalize=True, dense=None, prompts=None, usual=None, length=16):
    """Write a checkpoint with a pooling and what follows, as sentence-transformers writes it; return its folder."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.base.modules.dense import Dense
    from sentence_transformers.base.modules.normalize import Normalize
    from sentence_transformers.base.modules.transformer import Transformer
    from sentence_transformers.sentence_transformer.modules.pooling import Pooling

    transformer = Transformer(str(checkpoint))
    transformer.max_seq_length = length
    modules = [transformer, Pooling(transformer.get_embedding_dimension(), pooling_mode=pooling)]
    if dense is not None:
        modules.append(Dense(modules[1].get_embedding_dimension(), 24, activation_function=dense))
    modules += [Normalize()] if normalize else []
    encoder = SentenceTransformer(modules=modules, prompts=prompts, default_prompt_name=usual, device="cpu")
    encoder.save(str(folder))
    return Path(folder)


def options_of(folder, **changes):
    """Return a model that reads the encoder of a folder."""
    return EmbeddingsModel(**{"name": "small", "checkpoint": str(folder), **changes})


def word_vectors(folder, change=lambda model: model, **config):
    """Write a checkpoint with a random vector for each letter and some words, as model2vec writes it; return its folder."""
    import numpy as np
    from model2vec import StaticModel

    words = [*GOOD, *BAD, *THINGS, "it", "is", "a", "an", "and", "that", "way", "stays", "number"]
    vocabulary = ["[PAD]", "[UNK]", *dict.fromkeys([*words, *ascii_lowercase, *(f"##{c}" for c in ascii_lowercase)])]
    tokenizer = Tokenizer(WordPiece({word: row for row, word in enumerate(vocabulary)}, unk_token="[UNK]"))
    tokenizer.normalizer, tokenizer.pre_tokenizer = BertNormalizer(), BertPreTokenizer()
    rows = np.random.default_rng(0).normal(size=(len(vocabulary), 24)).astype(np.float32)
    change(StaticModel(rows, tokenizer, normalize=True, **config)).save_pretrained(folder)
    return Path(folder)


def static_of(folder, **changes):
    """Return a model that reads the word vectors of a folder."""
    return StaticEmbeddingsModel(**{"name": "words", "checkpoint": str(folder), **changes})
