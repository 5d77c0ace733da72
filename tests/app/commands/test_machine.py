import json

import torch

from app.commands.machine import describe_machine


def test_machine_is_described_in_plain_json():
    about = describe_machine(torch.device("cpu"))
    assert json.loads(json.dumps(about)) == about
    assert about["cores"] >= 1
    assert about["device"] == "cpu"
    assert about["python"].startswith("3.")
