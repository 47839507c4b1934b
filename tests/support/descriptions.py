"""Two workloads, as a prepare step describes them."""

MLP = {
    "workload": "mlp",
    "dataset": "fashion_mnist",
    "train_samples": 60_000,
    "batch_size": 128,
    "epochs": 10,
    "quick_samples": 6_400,
    "cpu_samples": None,
    "step_seconds": 0.001,
}
CNN = {**MLP, "workload": "cnn", "quick_samples": 1_280, "cpu_samples": 12_800, "step_seconds": 0.1}
