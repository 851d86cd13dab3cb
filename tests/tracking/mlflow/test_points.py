import random

from textclf.tracking.mlflow.points import REMEMBERED, Points


def told(points, *calls, corrects=False):
    """Return what of some calls a run takes."""
    taken = []
    for metrics, step in calls:
        new = points.new(metrics, step, corrects)
        points.add(new, step)
        taken += [(name, step, value) for name, value in new.items()]
    return taken


def training(steps, every=1):
    return [({"train/loss": 1 / (step + 1)}, step) for step in steps if step % every == 0]


def test_steps_gone_through_again_add_nothing():
    points = Points()
    told(points, *training(range(50)))
    points.begin_session()
    assert told(points, *training(range(30, 60))) == told(Points(), *training(range(50, 60)))


def test_wherever_it_is_cut_off_the_points_are_those_of_a_run_that_was_not():
    calls = [
        *training(range(1, 11)),
        ({"validation/f1": 0.5, "train/epoch_loss": 0.6}, 10),
        *training(range(11, 21)),
        ({"validation/f1": 0.4, "train/epoch_loss": 0.3}, 20),
        ({"validation/f1": 0.5, "validation/loss": 0.7, "test/f1": 0.6, "cost/seconds": 3.0}, 10),
    ]
    whole = sorted(told(Points(), *calls))
    assert len(whole) == len({point[:2] for point in whole}) == 27
    draw = random.Random(1)
    for _ in range(200):
        points, taken = Points(), []
        for _ in range(draw.randint(1, 4)):
            start = draw.choice([0, 5, 10, 11, 22])  # the checkpoint that is gone on from
            if start and (len(taken) < start):
                start = 0
            taken += told(points, *calls[start : draw.randint(start, len(calls))])
            points.begin_session()
        taken += told(points, *calls[0 if len(taken) < 5 else 5 :])
        assert sorted(taken) == whole


def test_another_value_corrects_a_point_only_where_the_run_has_not_just_been_taken_up():
    points = Points()
    told(points, ({"validation/loss": 0.5}, 10), ({"validation/loss": 0.6}, 20))
    assert told(points, ({"validation/loss": 0.5}, 10)) == []
    assert told(points, ({"validation/loss": 0.4}, 10)) == [("validation/loss", 10, 0.4)]
    points.begin_session()
    assert told(points, ({"validation/loss": 0.55}, 10)) == []  # such as a duration, which differs each time
    assert told(points, ({"validation/loss": 0.3, "test/loss": 0.2}, 20)) == [
        ("validation/loss", 20, 0.3),
        ("test/loss", 20, 0.2),
    ]


def test_the_counts_of_a_sweep_are_corrected_when_it_is_gone_on_with():
    points = Points()
    told(points, ({"jobs": 3.0}, 0), corrects=True)
    points.begin_session()
    assert told(points, ({"jobs": 3.0}, 0), corrects=True) == []
    assert told(points, ({"jobs": 4.0}, 0), corrects=True) == [("jobs", 0, 4.0)]


def test_memory_is_bounded_and_nan_is_equal_to_itself():
    points = Points()
    told(points, *training(range(10 * REMEMBERED)))
    assert len(points._values["train/loss"]) == REMEMBERED
    assert told(points, ({"train/loss": 1.0}, 0)) == []
    told(points, ({"a": float("nan")}, 0))
    assert told(points, ({"a": float("nan")}, 0)) == []
