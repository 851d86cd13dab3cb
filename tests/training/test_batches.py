import numpy as np
import pytest

from textclf.errors import ConfigError
from textclf.training.batches import BatchPlan, ProcessGroup
from textclf.training.options import TorchTrainer

LENGTHS = np.random.default_rng(0).integers(3, 120, size=1003)


def plan(epoch=1, seed=1, processes=None, lengths=LENGTHS, **options):
    made = BatchPlan(lengths, TorchTrainer(**{"batch_size": 16, **options}), seed, processes)
    made.epoch = epoch
    return made


@pytest.mark.parametrize("bucketing", [True, False])
@pytest.mark.parametrize("size", [1, 5, 16, 17, 800, 801, 1003])
def test_every_example_comes_once_and_only_the_last_batch_is_short(size, bucketing):
    batches = plan(lengths=LENGTHS[:size], length_bucketing=bucketing).batches()
    assert sorted(np.concatenate(batches).tolist()) == list(range(size))
    assert [len(batch) for batch in batches[:-1]] == [16] * (len(batches) - 1)
    assert len(batches) == plan(lengths=LENGTHS[:size]).steps


def test_order_follows_seed_and_epoch():
    first, again = plan().batches(), plan().batches()
    assert all((a == b).all() for a, b in zip(first, again, strict=True))
    for other in (plan(epoch=2), plan(seed=2)):
        assert any((a != b).any() for a, b in zip(first, other.batches(), strict=True))


def test_bucketing_saves_padding():
    def padding(batches):
        return sum(len(batch) * LENGTHS[batch].max() for batch in batches) / LENGTHS.sum() - 1

    assert padding(plan(length_bucketing=True).batches()) < 0.1 < padding(plan(length_bucketing=False).batches())


def test_short_batch_is_not_always_of_long_texts():
    last = [LENGTHS[plan(epoch=epoch).batches()[-1]].mean() for epoch in range(1, 30)]
    assert min(last) < 40
    assert max(last) > 80


@pytest.mark.parametrize("parts", [1, 2, 4])
def test_parts_of_a_step_are_its_batch(parts):
    made = plan(gradient_accumulation=parts)
    micro = list(made)
    assert len(micro) == len(made)
    whole = [batch.tolist() for batch in made.batches()]
    for step, batch in enumerate(whole):
        assert sum(micro[step * parts : (step + 1) * parts], []) == batch


def test_processes_share_each_batch_without_overlap_or_loss():
    shares = [list(plan(processes=ProcessGroup(rank, 2))) for rank in range(2)]
    alone = plan(processes=ProcessGroup(0, 1))
    for one, other in zip(*shares, strict=True):
        assert len(one) == len(other)
        assert not set(one) & set(other)
    assert sum(len(part) for share in shares for part in share) == 1002  # one is left out to share evenly
    assert len(shares[0]) == len(alone)


def test_batches_that_cannot_be_shared_are_refused():
    with pytest.raises(ConfigError, match="must be a multiple of the number of processes"):
        plan(processes=ProcessGroup(0, 3))


def test_balanced_epochs_draw_each_class_equally_often_and_anew():
    labels = np.array([0] * 90 + [1] * 10)
    plan = BatchPlan(np.arange(1, 101), TorchTrainer(batch_size=16), 1, balanced=labels)
    epochs = []
    for plan.epoch in (1, 2):
        drawn = np.concatenate(plan.batches())
        assert len(drawn) == plan.examples == 100
        assert np.bincount(labels[drawn]).tolist() == [50, 50]
        epochs.append(set(drawn.tolist()))
    assert epochs[0] != epochs[1]
