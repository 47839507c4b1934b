"""Two workloads, as a prepare step describes them."""

from msgspec.structs import replace

from bench.contract.run_json import Target, Workload

MLP = Workload(
    workload="mlp",
    dataset="fashion_mnist",
    train_samples=60_000,
    test_samples=10_000,
    batch_size=128,
    epochs=10,
    quick_samples=6_400,
    target=Target(metric="accuracy", value=0.87, source="made up", margin=0.005),
    step_seconds=0.001,
)
CNN = replace(MLP, workload="cnn", quick_samples=1_280, cpu_samples=12_800, step_seconds=0.1)
