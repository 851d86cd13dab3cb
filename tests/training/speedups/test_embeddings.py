"""Training the embeddings that occur: what is learned is the same as with all of them."""

import numpy as np
import pytest
import torch
from transformers import BertConfig, BertForSequenceClassification

from textclf.training.speedups.embeddings import TrimmedEmbedding, training_seen_tokens

IDS = np.array([[2, 7, 9, 3], [2, 8, 3, 0]], dtype=np.int32)


def make():
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=50,
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=8,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )
    return BertForSequenceClassification(config)


def train(model, steps=5, seen=None):
    """Take steps whose learning rate and so weight decay change."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01, weight_decay=0.1)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 / (1 + step))
    if seen is not None:
        seen.follow(optimizer)
    model.train()
    for _ in range(steps):
        loss = torch.nn.functional.cross_entropy(model(torch.from_numpy(IDS).long()).logits, torch.tensor([0, 1]))
        loss.backward()
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()


def test_every_weight_is_as_if_all_had_been_trained():
    plain, own = make(), make()
    train(plain)
    with training_seen_tokens(own, IDS) as seen:
        train(own, seen=seen)
    for (name, a), (other, b) in zip(plain.state_dict().items(), own.state_dict().items(), strict=True):
        assert name == other
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6, msg=name)
    assert not torch.equal(make().get_input_embeddings().weight[40], own.get_input_embeddings().weight[40])  # decayed


def test_only_what_occurs_is_trained_and_evaluation_has_the_rest():
    model = make()
    unseen = torch.tensor([[2, 40, 41, 3]])
    with training_seen_tokens(model, IDS) as seen:
        trainable = {name for name, weight in model.named_parameters() if weight.requires_grad}
        assert seen.rows.shape == (6, 16)
        assert [name for name in trainable if "word_embeddings" in name] == ["bert.embeddings.word_embeddings.rows"]
        train(model, seen=seen)
        model.eval()
        inside = model(unseen).logits
        train(model, seen=seen)  # and on, after the first evaluation
    assert type(model.get_input_embeddings()) is torch.nn.Embedding
    assert all(weight.requires_grad for weight in model.parameters())
    plain = make()
    train(plain)
    plain.eval()
    torch.testing.assert_close(plain(unseen).logits, inside, rtol=1e-4, atol=1e-5)


def test_an_exception_leaves_the_model_whole():
    model = make()

    def interrupted():
        with training_seen_tokens(model, IDS) as seen:
            train(model, seen=seen)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    plain = make()
    train(plain)
    torch.testing.assert_close(plain.get_input_embeddings().weight, model.get_input_embeddings().weight)


def test_padding_learns_nothing():
    model = make()
    padding = model.get_input_embeddings().weight[0]
    torch.nn.init.constant_(padding, 0.5)
    with training_seen_tokens(model, IDS) as seen:
        train(model, seen=seen)
        assert isinstance(seen, TrimmedEmbedding)
    decayed = 0.5 * np.prod([1 - 0.1 * 0.01 / (1 + step) for step in range(5)])
    torch.testing.assert_close(padding, torch.full_like(padding, decayed))


def test_a_vocabulary_that_mostly_occurs_is_trained_as_it_is():
    model = make()
    with training_seen_tokens(model, np.arange(45, dtype=np.int32)) as seen:
        assert seen is None
        assert type(model.get_input_embeddings()) is torch.nn.Embedding
