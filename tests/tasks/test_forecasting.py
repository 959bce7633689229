import pytest
import torch

from mtlrun.tasks.forecasting import MeanAbsoluteError, MeanSquaredError, forecasting


def test_metrics_pool_entries_over_batches_of_different_sizes() -> None:
    generator = torch.Generator().manual_seed(0)
    prediction = torch.randn(7, 4, generator=generator)
    target = torch.randn(7, 4, generator=generator)
    for metric, power in ((MeanAbsoluteError(), 1), (MeanSquaredError(), 2)):
        for rows in (slice(0, 5), slice(5, 7)):
            metric.update(prediction[rows], target[rows])
        expected = (prediction - target).double().abs().pow(power).mean()
        torch.testing.assert_close(metric.compute(), expected, rtol=1e-6, atol=0)


def test_mae_leads_and_lower_is_better() -> None:
    task = forecasting("OT")
    assert (task.name, task.leading_metric) == ("OT", "mae")
    assert task.directions == {"mae": False, "mse": False}
    for make in task.metrics.values():
        assert make().higher_is_better is False


def test_loss_is_the_mean_squared_error() -> None:
    # By hand: ((1 - 0)^2 + (2 - 4)^2) / 2
    loss = forecasting("OT").loss(torch.tensor([[1.0, 2.0]]), torch.tensor([[0.0, 4.0]]))
    assert float(loss) == 2.5


def test_shapes_that_would_broadcast_are_an_error() -> None:
    task = forecasting("OT")
    for use in (task.loss, task.metrics["mae"]().update):
        with pytest.raises(ValueError, match="targets' shape"):
            use(torch.zeros(3, 4, 1), torch.zeros(3, 4))
