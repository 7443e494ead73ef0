"""MetaPruning's repository as far as its scripts matter here: the same files, functions, constants and argument orders.

The networks do nothing but note the ids that they are called with, in ``called.jsonl`` beside the script, and the
searches prefer large ids, so that mutants and children take part.
"""

from __future__ import annotations

from pathlib import Path

_HEADER = """
import json
import os
import sys
import numpy as np
import argparse
import torch
import torch.nn as nn

sys.path.append("../../")
from utils.utils import *
"""

_NETWORK = """
import json
import torch
import torch.nn as nn

{scales}

class {network}(nn.Module):
    def __init__(self):
        super({network}, self).__init__()
        self.layer = nn.Linear(4, 8)

    def forward(self, x, {arguments}):
        with open("called.jsonl", "a") as file:
            given = dict({given})
            file.write(json.dumps({{k: [int(i) for i in v] for k, v in given.items()}}) + "\\n")
        return self.layer(x)
"""

_SEARCH = """
import model_for_FLOPs
from cal_FLOPs import print_model_parm_flops
from {module} import {network}, {scale_names}

parser = argparse.ArgumentParser("{network}")
parser.add_argument('--max_iters', type=int, default=20)
parser.add_argument('--data', type=str, default='../data')
args = parser.parse_args()
{repeats}
max_FLOPs = 330
model_for_flops = model_for_FLOPs.{network}().cuda()
SIZE = {size}


def infer(model, criterion, ids):
    images, target = torch.zeros(6, 4).cuda(), torch.zeros(6, dtype=torch.long).cuda()
    logits = model(images, *split(ids.astype(np.int)))
    assert criterion(logits, target).item() >= 0
    assert len(accuracy(logits, target, topk=(1, 5))) == 2
    return float(ids.mean()), 0.0, 0.0


def split(ids):
    return {split}


def test_candidates_model(model, criterion, candidates, cnt, test_dict):
    for can in candidates:
        t_can = tuple(can[:-1])
        assert t_can not in test_dict.keys()
        top1, _, _ = infer(model, criterion, can[:-1])
        cnt += 1
        can[-1] = 100.0 - top1
        test_dict[t_can] = can[-1]
    return candidates, cnt


def get_mutation(keep_top_k, num_states, mutation_num, m_prob, test_dict, untest_dict):
    raise AssertionError("the published mutation was called")


def get_crossover(keep_top_k, num_states, crossover_num, test_dict, untest_dict):
    raise AssertionError("the published crossover was called")


def random_can(num, num_states, test_dict, untest_dict):
    raise AssertionError("the published draw was called")


def search(model, criterion, num_states):
    test_dict, untest_dict, best, cnt = {{}}, {{}}, [], 1
    candidates = random_can(50, num_states, test_dict, untest_dict)
    for iter in range(args.max_iters):
        latencies = [float(can[-1]) for can in candidates]
        with open("latencies.jsonl", "a") as file:
            for can in candidates:
                file.write(json.dumps([float(one) for one in can]) + "\\n")
        candidates, cnt = test_candidates_model(model, criterion, candidates, cnt, test_dict)
        best = sorted(best + candidates, key=lambda can: can[-1])[:50]
        untest_dict = {{}}
        mutation = get_mutation(best[:10], num_states, 25, 0.1, test_dict, untest_dict)
        crossover = get_crossover(best[:10], num_states, 25, test_dict, untest_dict)
        rand = random_can(50 - len(mutation) - len(crossover), num_states, test_dict, untest_dict)
        candidates = mutation + crossover + rand
    print('finish!')


def run():
    criterion = nn.CrossEntropyLoss().cuda()
    model = nn.DataParallel({network}().cuda())
    assert all(name.startswith("module.") for name in model.state_dict())
    num_states = {num_states}
    search(model, criterion, num_states)


if __name__ == '__main__':
    run()
"""

_TRAIN = """
from {module} import {network}, {scale_names}

parser = argparse.ArgumentParser("{network}")
parser.add_argument('--epochs', type=int, default=64)
parser.add_argument('--data', metavar='DIR')
args = parser.parse_args()
{repeats}


def main():
    if not torch.cuda.is_available():
        sys.exit(1)
    model = nn.DataParallel({network}()).cuda()
    criterion = nn.CrossEntropyLoss().cuda()
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1.0 - step / args.epochs)
    for epoch in range(args.epochs):
        train(epoch, range(4), model, criterion, optimizer, scheduler)
        validate(epoch, range(2), model, criterion, args)


def draw():
    {draw}


def train(epoch, train_loader, model, criterion, optimizer, scheduler):
    model.train()
    for i in train_loader:
        logits = model(torch.ones(6, 4).cuda(), *draw())
        loss = criterion(logits, torch.zeros(6, dtype=torch.long).cuda())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    scheduler.step()


def validate(epoch, val_loader, model, criterion, args):
    model.eval()
    ids = draw()
    for i in val_loader:
        accuracy(model(torch.ones(6, 4).cuda(), *ids), torch.zeros(6, dtype=torch.long).cuda(), topk=(1, 5))


if __name__ == '__main__':
  main()
"""

_UTILS = """
import torch


def accuracy(output, target, topk=(1,)):
    _, pred = output.topk(max(topk), 1, True, True)
    correct = pred.t().eq(target.view(1, -1))
    return [correct[:k].view(-1).float().sum(0, keepdim=True) for k in topk]
"""

_FLOPS = """
import torch.nn as nn


class {network}(nn.Module):
    pass
"""

_SCALES = """
{name} = []
for i in range(31):
    {name} += [(10 + i * 3)/100]
"""

_V2_DRAW = """mids = np.random.randint(low=0, high=len(mid_channel_scale), size=18)
    overall = []
    for j in range(len(stage_repeat)):
        overall += [np.random.randint(low=0, high=len(overall_channel_scale))] * stage_repeat[j]
    return mids, overall"""

_RESNET_DRAW = """mids = np.random.randint(low=0, high=len(channel_scale), size=16)
    overall = []
    for i in range(len(stage_repeat) - 1):
        overall += [np.random.randint(low=0, high=len(channel_scale))] * stage_repeat[i]
    return overall + [-1] * (stage_repeat[-1] + 1), mids"""

FAMILIES = {
    "mobilenetv1": {
        "module": "mobilenet_v1", "network": "MobileNetV1", "names": ["channel_scale"], "size": 13, "num_states": "13",
        "searching": "rngs", "training": "rngs", "split": "(ids,)", "repeats": ("", ""),
        "draw": "return (np.random.randint(low=0, high=len(channel_scale), size=13),)",
    },
    "mobilenetv2": {
        "module": "mobilenet_v2", "network": "MobileNetV2", "names": ["overall_channel_scale", "mid_channel_scale"],
        "size": 35, "num_states": "17", "searching": "stage_oup_scale_ids, mid_scale_ids",
        "training": "mid_scale_ids, stage_oup_scale_ids", "split": "ids[:sum(stage_repeat)], ids[sum(stage_repeat):]",
        "repeats": ("stage_repeat=[1,1,2,3,4,3,3,1]", "stage_repeat=[1,1,2,3,4,3,3,1]"), "draw": _V2_DRAW,
    },
    "resnet": {
        "module": "resnet", "network": "ResNet50", "names": ["channel_scale"], "size": 20,
        "num_states": "len(stage_repeat) + sum(stage_repeat)", "searching": "ids",
        "training": "stage_oup_scale_ids, mid_scale_ids", "split": "(ids,)",
        "repeats": ("stage_repeat = [3, 4, 6, 3]", "stage_repeat=[1,3,4,6,3]"), "draw": _RESNET_DRAW,
    },
}  # fmt: skip


def write_layout(folder: Path) -> None:
    """The files of all three networks."""
    (folder / "utils").mkdir()
    (folder / "utils" / "utils.py").write_text(_UTILS)
    for name, family in FAMILIES.items():
        scales = "".join(_SCALES.format(name=one) for one in family["names"])
        shared = {**family, "scale_names": ", ".join(family["names"]), "scales": scales}
        for part, template, script in (("searching", _SEARCH, "search.py"), ("training", _TRAIN, "train.py")):
            arguments = family[part]
            given = ", ".join(f"{one}={one}" for one in arguments.split(", "))
            values = {
                **shared,
                "arguments": arguments,
                "given": given,
                "repeats": family["repeats"][part == "training"],
            }
            there = folder / name / part
            there.mkdir(parents=True)
            (there / script).write_text((_HEADER + template).format(**values))
            (there / f"{family['module']}.py").write_text(_NETWORK.format(**values))
        (folder / name / "searching" / "model_for_FLOPs.py").write_text(_FLOPS.format(**family))
        (folder / name / "searching" / "cal_FLOPs.py").write_text(
            "def print_model_parm_flops(*args):\n    return 1.0\n"
        )
