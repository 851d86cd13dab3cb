"""The last layer for one token: the same logits and gradients, for every family; otherwise left alone."""

import pytest
import torch
from transformers import AutoConfig, AutoModelForSequenceClassification

from textclf.models.transformer.layers import read_one_token

SMALL = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 37}
RELATIVE = {**SMALL, "relative_attention": True, "pos_att_type": ["c2p", "p2c"]}
XLNET = {"d_model": 32, "n_layer": 2, "n_head": 4, "d_inner": 37}
FAMILIES = [
    ("bert", SMALL, 37),
    ("roberta", SMALL, 37),
    ("xlm-roberta", SMALL, 37),
    ("distilbert", {"dim": 32, "hidden_dim": 37, "n_layers": 2, "n_heads": 4}, 37),
    ("deberta", RELATIVE, 37),
    ("deberta-v2", RELATIVE, 37),
    ("xlnet", XLNET, 37),
]


def make(family, options):
    """Return a classifier whose weights are large enough for a difference to show."""
    torch.manual_seed(0)
    model = AutoModelForSequenceClassification.from_config(
        AutoConfig.for_model(family, vocab_size=100, pad_token_id=0, **options)
    )
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(torch.randn_like(weight) * 0.1)
    return model.eval()


def logits_and_gradients(model):
    ids = torch.randint(1, 100, (3, 12), generator=torch.Generator().manual_seed(1))
    mask = torch.ones_like(ids)
    mask[1, 8:] = 0
    model.zero_grad()
    logits = model(input_ids=ids, attention_mask=mask).logits
    torch.nn.functional.cross_entropy(logits, torch.tensor([0, 1, 0])).backward()
    return [logits.detach(), *(weight.grad for weight in model.parameters())]


def widest_inputs(model, width):
    """Return how many tokens the layers of this width were given, from the first layer to the last."""
    seen = []
    for module in model.modules():
        if isinstance(module, torch.nn.Linear) and module.out_features == width:
            module.register_forward_hook(lambda module, given, _: seen.append(given[0].numel() // given[0].shape[-1]))
    logits_and_gradients(model)
    return seen


@pytest.mark.parametrize(("family", "options", "width"), FAMILIES, ids=[family for family, _, _ in FAMILIES])
def test_logits_and_gradients_stay_and_one_token_is_computed(family, options, width):
    model = make(family, options)
    before = logits_and_gradients(model)
    assert read_one_token(model)
    for mine, own in zip(logits_and_gradients(model), before, strict=True):
        torch.testing.assert_close(mine, own, rtol=1e-4, atol=1e-6)
    assert widest_inputs(model, width) == [3 * 12, 3]


@pytest.mark.parametrize(
    ("family", "options"),
    [
        ("xlnet", {**XLNET, "summary_type": "mean"}),
        ("bert", {**SMALL, "chunk_size_feed_forward": 1}),
        ("albert", SMALL),
    ],
    ids=["a head that reads all tokens", "layers cut into chunks", "layers that are not a list"],
)
def test_what_cannot_be_cut_is_left_alone(family, options):
    model = make(family, options)
    before = logits_and_gradients(model)[0]
    assert not read_one_token(model)
    torch.testing.assert_close(logits_and_gradients(model)[0], before, rtol=0, atol=0)


def test_trying_it_leaves_random_numbers_and_mode_alone():
    model = make("bert", SMALL).train()
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    read_one_token(model)
    assert model.training
    assert torch.equal(torch.rand(4), expected)
