"""Random sentence encoders, written by sentence-transformers itself."""

from pathlib import Path

from textclf.models.options import EmbeddingsModel


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
