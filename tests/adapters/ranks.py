"""What each of several processes does that train together; apart, since each of them imports it anew."""

import json
import os
from pathlib import Path
from typing import Any

from tests.tools import library


def position(sample: Any) -> int:
    return int(sample.position)


def lists(batch: list[Any]) -> list[Any]:
    return batch


def train(number: int, world_size: int, pack: str, folder: str) -> None:
    """One epoch of rank `number`; the first one notes what all have seen, and its states."""
    torch = library("torch")
    from torch.utils.data import DataLoader

    from xlabel.adapters.torch import BundleStream

    os.environ["GLOO_SOCKET_IFNAME"] = "lo"  # no look-up of this machine's own name
    torch.set_num_threads(1)
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/meeting", rank=number, world_size=world_size
    )
    stream = BundleStream(pack, item=position, batch_size=2, shuffle=True, seed=4, uneven="repeat")
    loader = DataLoader(stream, batch_size=2, num_workers=2, collate_fn=lists, multiprocessing_context="fork")
    seen: list[list[int]] = []
    states = []
    for batch in stream.track(loader):
        gathered: list[Any] = [None] * world_size
        torch.distributed.all_gather_object(gathered, batch)  # waits for ever where a rank has fewer
        seen += gathered
        states.append(stream.state_dict()["position"])
    if number == 0:
        Path(folder, "seen.json").write_text(json.dumps([seen, states]))
    torch.distributed.destroy_process_group()
