"""A stand-in for NVML's library: cards as one describes them, answers as its documentation gives them."""

from types import SimpleNamespace

H100 = {
    "name": "NVIDIA H100 80GB HBM3",
    "uuid": "GPU-11111111-2222",
    "capability": (9, 0),
    "memory": 80 * 2**30,
    "busy": 0,
    "processes": (),
}
V100 = {**H100, "name": "Tesla V100-SXM2-16GB", "uuid": "GPU-33333333-4444", "capability": (7, 0), "memory": 16 * 2**30}


class NVMLError(Exception):
    """As NVML raises it, one kind for each fault."""


def _cpu_words(card, words):
    """The CPUs near a card as the driver names them, a bit each; of a card that says nothing none."""
    return [sum(1 << cpu % 64 for cpu in card.get("cpus", ()) if cpu // 64 == word) for word in range(words)]


def library(*cards, driver="580.95.05", cuda=13000, refused=()):
    """The library of a machine with these cards; questions named in `refused` are not supported."""

    def answer(name, give):
        def ask(*arguments):
            if name in refused:
                raise NVMLError("Not Supported")
            return give(*arguments)

        return ask

    answers = {
        "nvmlInit": lambda: None,
        "nvmlSystemGetDriverVersion": lambda: driver,
        "nvmlSystemGetCudaDriverVersion": lambda: cuda,
        "nvmlDeviceGetCount": lambda: len(cards),
        "nvmlDeviceGetHandleByIndex": lambda index: cards[index],
        "nvmlDeviceGetName": lambda card: card["name"],
        "nvmlDeviceGetUUID": lambda card: card["uuid"],
        "nvmlDeviceGetMemoryInfo": lambda card: SimpleNamespace(total=card["memory"]),
        "nvmlDeviceGetCudaComputeCapability": lambda card: card["capability"],
        "nvmlDeviceGetEnforcedPowerLimit": lambda _card: 700_000,
        "nvmlDeviceGetMaxClockInfo": lambda _card, _kind: 1_980,
        "nvmlDeviceGetUtilizationRates": lambda card: SimpleNamespace(gpu=card["busy"]),
        "nvmlDeviceGetCpuAffinity": _cpu_words,
        "nvmlDeviceGetComputeRunningProcesses": lambda card: [SimpleNamespace(pid=pid) for pid in card["processes"]],
    }
    return SimpleNamespace(NVML_CLOCK_SM=1, **{name: answer(name, give) for name, give in answers.items()})
