"""What the clock check says of pairs of launches."""

from bench.contract.case import Case
from bench.contract.launch_record import Scores, Trained
from bench.run.clock import summary


def launched(steady, between=0.0, setup=0.5, cold=2.0):
    """A launch whose fit does nothing but setup, epochs and what lies between them."""
    epochs = tuple({"seconds": seconds} for seconds in (cold, *steady))
    case = Case("mlp", "fashion_mnist", 6_400, len(epochs), 128, "arrays", "jax", "cpu", "float32", "train", "fit")
    return Trained(
        schema=2,
        case=case,
        repetition=0,
        seed=0,
        status="ok",
        reason="",
        setup_seconds=setup,
        memory={},
        phases={"fit": setup + cold + sum(steady) + between},
        resolved={},
        versions={},
        epochs=epochs,
        test=Scores(metric=0.8, loss=0.5),
    )


def test_a_clock_that_sees_all_of_fit_agrees_with_one_around_it():
    said = summary("mlp", [(launched([1.0, 1.0]), 4.5), (launched([1.1, 1.1]), 4.7)])

    assert "bare clock around the same epochs 1.0000 (worst of 2: 1.0000)" in said
    assert "around fit 1.0000" in said


def test_what_passes_between_epochs_is_told():
    said = summary("mlp", [(launched([1.0, 1.0], between=0.5), 5.0)] * 2)

    assert "bare clock around the same epochs 0.8000" in said
    assert "around fit 0.9000" in said
    assert "in its own process 1.000" in said  # fit does as much after its epochs there


def test_launches_are_paired_with_the_bare_script_beside_them():
    """A machine twice as slow in the second pair slows both, so their ratio is certain."""
    fast, slow = launched([1.0, 1.0]), launched([2.0, 2.0], setup=1.0, cold=4.0)
    said = summary("mlp", [(fast, 4.5 / 1.10), (slow, 9.0 / 1.11)])

    assert "in its own process 1.105 [1.043, 1.170]" in said
